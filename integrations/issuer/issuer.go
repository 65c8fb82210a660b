// SPDX-License-Identifier: MIT

// Package issuer is "someone who can sign": today the CAs whose keys are in
// our own key stores. It gets to-be-signed bytes that were decided, linted and
// stored before, and returns the certificate over exactly those bytes
// (RFC 5280 §4.1.1). It must not know the store or Temporal.
package issuer

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Issuer signs to-be-signed certificate bytes in the name of a CA.
//
// Issue returns the DER certificate. Calling it again with the same bytes is
// harmless: the caller records the first result and drops the others. Errors
// are KindUnavailable while the CA cannot be reached.
type Issuer interface {
	Issue(ctx context.Context, ca *models.CA, tbs []byte) ([]byte, error)
}

// Local is the Issuer for CAs in our own key stores.
type Local struct {
	stores hsm.Stores
	certs  pki.Cache // of CAs
}

// NewLocal returns the Issuer over the given key stores.
func NewLocal(stores hsm.Stores) *Local { return &Local{stores: stores} }

// Issue implements Issuer. A CA without a certificate is a root that signs
// its own.
func (l *Local) Issue(ctx context.Context, ca *models.CA, tbs []byte) ([]byte, error) {
	signer, err := l.Signer(ctx, ca)
	if err != nil {
		return nil, err
	}
	var certificate *x509.Certificate
	if len(ca.CertificateDER) > 0 {
		if certificate, err = l.certs.Parse(ca.CertificateDER); err != nil {
			return nil, fmt.Errorf("parse certificate of CA %s: %w", ca.Name, err)
		}
	}
	der, err := pki.SignTBS(tbs, certificate, signer)
	if err != nil {
		return nil, fmt.Errorf("sign with CA %s: %w", ca.Name, err)
	}
	return der, nil
}

// Signer returns the CA's key, for CRLs and for the CA's own certificate.
func (l *Local) Signer(ctx context.Context, ca *models.CA) (crypto.Signer, error) {
	store, err := l.stores.Find(ca.Key.Store)
	if err != nil {
		return nil, err
	}
	signer, err := store.Signer(ctx, ca.Key.ID)
	if err != nil {
		return nil, fmt.Errorf("find key of CA %s: %w", ca.Name, err)
	}
	return signer, nil
}

// GenerateKey makes the CA's key where the CA says it belongs, or finds the
// key that an earlier attempt made.
func (l *Local) GenerateKey(ctx context.Context, ca *models.CA) (crypto.PublicKey, error) {
	store, err := l.stores.Find(ca.Key.Store)
	if err != nil {
		return nil, err
	}
	public, err := store.Generate(ctx, ca.Key.ID, ca.Key.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("generate key of CA %s: %w", ca.Name, err)
	}
	return public, nil
}

// ImportKey brings the key of a CA from elsewhere to where the CA says that it
// belongs, and proves there that it signs for the certificate. It is
// idempotent, and never replaces a key.
func (l *Local) ImportKey(ctx context.Context, ca *models.CA, key crypto.Signer, certificate *x509.Certificate) error {
	store, err := l.stores.Find(ca.Key.Store)
	if err != nil {
		return err
	}
	importer, ok := store.(hsm.Importer)
	if !ok {
		return models.Errorf(models.KindInvalid, "the key store %s takes no keys from elsewhere", ca.Key.Store)
	}
	if err := importer.Import(ctx, ca.Key.ID, key); err != nil {
		return fmt.Errorf("import key of CA %s: %w", ca.Name, err)
	}
	signer, err := store.Signer(ctx, ca.Key.ID)
	if err != nil {
		return fmt.Errorf("find key of CA %s: %w", ca.Name, err)
	}
	return pki.ProveKey(signer, certificate)
}

// DestroyKey removes a key for good. One that is not there is no error.
func (l *Local) DestroyKey(ctx context.Context, ref models.KeyRef) error {
	store, err := l.stores.Find(ref.Store)
	if err != nil {
		return err
	}
	return store.Destroy(ctx, ref.ID)
}

// InProcess reports whether signing for ca stays in this process, so that it
// may run as a local activity.
func (l *Local) InProcess(ca *models.CA) bool { return ca.Key.Store == models.StoreSoftware }
