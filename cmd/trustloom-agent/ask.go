// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
)

// ask sends a request, bound to its connection if the server says that it
// wants to see that (RFC 7030 §3.5, §4.5.2).
func ask(ctx context.Context, client *est.Client, p *pending) (est.Result, error) {
	wanted, err := client.CSRAttrs(ctx)
	if err != nil {
		return est.Result{}, err
	}
	renews := p.Predecessor != ""
	if !wanted.ChallengePassword {
		if renews {
			return client.SimpleReenroll(ctx, p.Request)
		}
		return client.SimpleEnroll(ctx, p.Request)
	}
	key, err := signerOf(p.KeyPEM)
	if err != nil {
		return est.Result{}, err
	}
	if renews {
		return client.SimpleReenrollBound(ctx, p.Request, key)
	}
	return client.SimpleEnrollBound(ctx, p.Request, key)
}

// signerOf reads a key that the agent made.
func signerOf(keyPEM []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, models.Errorf(models.KindInternal, "the key of the request is not in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, models.Errorf(models.KindInternal, "the key of the request cannot be read").Because(err)
	}
	return signer, nil
}
