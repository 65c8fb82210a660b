// SPDX-License-Identifier: MIT

package api

import (
	"context"
	"iter"
	"net/http"
)

// ListCertificates returns one page of the certificates, oldest first.
func (c *Client) ListCertificates(ctx context.Context, f CertificateFilter) (*Page[Certificate], error) {
	return get[Page[Certificate]](ctx, c, path("certificates"), EncodeQuery(f))
}

// AllCertificates follows the pages of ListCertificates.
func (c *Client) AllCertificates(ctx context.Context, f CertificateFilter) iter.Seq2[Certificate, error] {
	return Collect(func(cursor string) (*Page[Certificate], error) {
		f.PageQuery = PageQuery{Limit: pageLimit, Cursor: cursor}
		return c.ListCertificates(ctx, f)
	})
}

// FindCertificate returns a certificate with its PEM and chain.
func (c *Client) FindCertificate(ctx context.Context, id string) (*Certificate, error) {
	return get[Certificate](ctx, c, path("certificates", id), nil)
}

// CertificatePEM returns the PEM of a certificate.
func (c *Client) CertificatePEM(ctx context.Context, id string) ([]byte, error) {
	return c.text(ctx, call{method: http.MethodGet, path: path("certificates", id, "pem")}, nil)
}

// ImportCertificates brings the certificates of one file into the inventory.
func (c *Client) ImportCertificates(ctx context.Context, body CertificateImport) (*CertificateImportResult, error) {
	return post[CertificateImportResult](ctx, c, path("certificates", "imports"), body)
}

// RevokeCertificate revokes a certificate.
func (c *Client) RevokeCertificate(ctx context.Context, id string, body Revocation) (*Certificate, error) {
	return post[Certificate](ctx, c, path("certificates", id, "revocation"), body)
}

// ReleaseCertificate ends the hold of a certificate.
func (c *Client) ReleaseCertificate(ctx context.Context, id string) (*Certificate, error) {
	return change[Certificate](ctx, c, http.MethodDelete, path("certificates", id, "revocation"), nil)
}
