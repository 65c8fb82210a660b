// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"net/http"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
)

// declareCertificates declares the routes of certificates.
func declareCertificates(s *surface) {
	route(s, operation{id: "ListCertificates", method: http.MethodGet, path: "/certificates", permission: auth.ReadCertificates, status: 200,
		summary: "List the certificates, the soonest to expire first."},
		func(ctx context.Context, who operations.Caller, r *api.CertificateFilter) (*api.Page[api.Certificate], error) {
			return s.ops.ListCertificates(ctx, who, *r)
		})
	route(s, operation{id: "ImportCertificates", method: http.MethodPost, path: "/certificates/imports", permission: auth.ImportCertificates, status: 200,
		summary: "Bring the certificates of one file, issued elsewhere, into the inventory. The same again changes nothing."},
		func(ctx context.Context, who operations.Caller, r *sent[api.CertificateImport]) (*api.CertificateImportResult, error) {
			return s.ops.ImportCertificates(ctx, who, r.Body)
		})
	route(s, operation{id: "FindCertificate", method: http.MethodGet, path: "/certificates/{id}", permission: auth.ReadCertificates, status: 200,
		summary: "Return a certificate with its PEM and chain."},
		func(ctx context.Context, who operations.Caller, r *byID) (*api.Certificate, error) {
			return s.ops.FindCertificate(ctx, who, r.ID)
		})
	route(s, operation{id: "AnnotateCertificate", method: http.MethodPatch, path: "/certificates/{id}", permission: auth.WriteDevices, status: 200,
		summary: "Change what is noted about a certificate; null removes a key."},
		func(ctx context.Context, who operations.Caller, r *identified[api.Annotating]) (*api.Certificate, error) {
			return s.ops.AnnotateCertificate(ctx, who, r.ID, r.Body)
		})
	route(s, operation{id: "CertificatePEM", method: http.MethodGet, path: "/certificates/{id}/pem", permission: auth.ReadCertificates, status: 200,
		summary: "Return a certificate as PEM."},
		func(ctx context.Context, who operations.Caller, r *byID) (*pemText, error) {
			text, err := s.ops.CertificatePEM(ctx, who, r.ID)
			return (*pemText)(&text), err
		})
	route(s, operation{id: "RevokeCertificate", method: http.MethodPost, path: "/certificates/{id}/revocation", permission: auth.RevokeCertificates, status: 200,
		summary: "Revoke a certificate. It is refused as a credential at once; the CRL follows."},
		func(ctx context.Context, who operations.Caller, r *identified[api.Revocation]) (*api.Certificate, error) {
			return s.ops.RevokeCertificate(ctx, who, r.ID, r.Body)
		})
	route(s, operation{id: "ReleaseCertificate", method: http.MethodDelete, path: "/certificates/{id}/revocation", permission: auth.RevokeCertificates, status: 200,
		summary: "Release a certificate that is on hold."},
		func(ctx context.Context, who operations.Caller, r *byID) (*api.Certificate, error) {
			return s.ops.ReleaseCertificate(ctx, who, r.ID)
		})
}
