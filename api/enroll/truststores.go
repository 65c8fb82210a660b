// SPDX-License-Identifier: MIT

package enroll

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

// The truststores that a domain names for its devices are fetched with the
// domain credential. The list is small and has an ETag, so that an agent may
// ask often; a truststore's content never changes within its version.

// listed is one line of the list.
type listed struct {
	Name         string `json:"name"`
	Version      int    `json:"version"`
	Certificates int    `json:"certificates"`
	SHA256       string `json:"sha256"` // of the content as PEM
}

// holder authenticates the device of a request by its domain credential.
func (d *Door) holder(ctx context.Context, name string, r *http.Request) (*models.Domain, *models.Device, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil, models.Errorf(models.KindUnauthenticated, "authenticate with the device's domain credential as TLS client certificate")
	}
	domain, err := d.domain(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	address, presented := addressOf(r), r.TLS.PeerCertificates
	who, err := d.byCertificate(ctx, domain, est.Peer{Certificates: presented, Address: address})
	switch {
	case err != nil:
		return nil, nil, err
	case who.Method != models.AuthDomainCredential:
		return nil, nil, models.Errorf(models.KindDenied, "this needs the device's domain credential, not %s", who.Method)
	case policy.Closed(who.Device) != "":
		return nil, nil, models.Errorf(models.KindDenied, "%s", policy.Closed(who.Device))
	}
	return domain, who.Device, nil
}

// addressOf is where a request comes from, without the port.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (s *Web) truststores(w http.ResponseWriter, r *http.Request) error {
	domain, _, err := s.door.holder(r.Context(), r.PathValue("domain"), r)
	if err != nil {
		return err
	}
	list := struct {
		Items []listed `json:"items"`
	}{Items: []listed{}}
	for _, name := range domain.Truststores {
		row, content, err := s.door.content(r.Context(), name, "")
		if err != nil {
			return err
		}
		list.Items = append(list.Items, listed{Name: name, Version: row.Version, Certificates: len(row.Certificates), SHA256: digest(content.Content)})
	}
	body, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	serveTagged(w, r, "application/json", digest(body), body)
	return nil
}

func (s *Web) truststore(w http.ResponseWriter, r *http.Request) error {
	domain, _, err := s.door.holder(r.Context(), r.PathValue("domain"), r)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	if !slices.Contains(domain.Truststores, name) {
		return models.Errorf(models.KindNotFound, "domain %s has no truststore of that name for its devices", domain.Name)
	}
	row, content, err := s.door.content(r.Context(), name, pki.Format(r.URL.Query().Get("format")))
	if err != nil {
		return err
	}
	w.Header().Set("Trustloom-Truststore-Version", fmt.Sprint(row.Version))
	serveTagged(w, r, content.MediaType, digest(content.Content), content.Content)
	return nil
}

// content reads the current version of a truststore.
func (d *Door) content(ctx context.Context, name string, format pki.Format) (*models.Truststore, *pki.File, error) {
	row, err := d.cfg.Store.FindTruststore(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	certs := make([]*x509.Certificate, len(row.Certificates))
	for i, der := range row.Certificates {
		if certs[i], err = x509.ParseCertificate(der); err != nil {
			return nil, nil, fmt.Errorf("parse certificate %d of truststore %s: %w", i, name, err)
		}
	}
	content, err := pki.EncodeCertificates(format, certs...)
	return row, content, err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// serveTagged answers with a body or, if the device has it already, with 304.
func serveTagged(w http.ResponseWriter, r *http.Request, media, tag string, body []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
