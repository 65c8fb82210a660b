// SPDX-License-Identifier: MIT

package operations

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/x509"
	"fmt"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// File is an answer that is no JSON: content with its media type and a name.
type File struct {
	Name      string
	MediaType string
	Content   []byte
}

// CABundle returns what a relying party of a CA needs as a ZIP file: the
// certificates from the root to the CA, each as PEM and DER, all of them in
// chain.pem, and the current CRL of each.
func (o *Operations) CABundle(ctx context.Context, who Caller, name string) (*File, error) {
	if err := auth.Authorize(who.Principal, auth.ReadCAs); err != nil {
		return nil, err
	}
	ca, err := caNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	if len(ca.CertificateDER) == 0 {
		return nil, models.Errorf(models.KindConflict, "CA %s is %s and has no certificate", name, ca.State)
	}
	chain, err := o.store.CAChain(ctx, ca.ID)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	archive := bundle{Writer: zip.NewWriter(&out)}
	var all []*x509.Certificate
	for i := range chain {
		row := chain[len(chain)-1-i] // the root first
		certificate, err := x509.ParseCertificate(row.CertificateDER)
		if err != nil {
			return nil, fmt.Errorf("parse certificate of CA %s: %w", row.Name, err)
		}
		all = append(all, certificate)
		base := fmt.Sprintf("%02d-%s", i+1, row.Name)
		archive.add(base+".pem", pki.EncodePEM(certificate))
		archive.add(base+".cer", certificate.Raw)
		crl, err := o.store.LatestCRL(ctx, row.KeyID)
		if ifAbsent(err) != nil {
			return nil, err
		}
		if err == nil {
			archive.add(base+".crl", crl.DER)
		}
	}
	archive.add("chain.pem", pki.EncodePEM(all...))
	if err := archive.end(); err != nil {
		return nil, err
	}
	return &File{Name: name + ".zip", MediaType: "application/zip", Content: out.Bytes()}, nil
}

// bundle is a ZIP file that is being written; its first error stays.
type bundle struct {
	*zip.Writer
	err error
}

func (b *bundle) add(name string, content []byte) {
	if b.err != nil {
		return
	}
	w, err := b.Create(name)
	if err == nil {
		_, err = w.Write(content)
	}
	b.err = err
}

func (b *bundle) end() error {
	if b.err != nil {
		return b.err
	}
	return b.Close()
}
