// SPDX-License-Identifier: MIT

package rest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// speakTruststores uses the truststore and the domain that speakTrust left.
func speakTruststores(t *testing.T, ctx context.Context, w *world, c *api.Client) {
	t.Helper()
	done[*api.Truststore](t)(c.PutTruststore(ctx, "c", api.TruststoreVersion{PEM: string(done[[]byte](t)(fixture.Certificates(1)))}))
	if n := count(t, c.AllTruststoreVersions(ctx, "c")); n != 3 {
		t.Errorf("%d versions", n)
	}
	if s := done[*api.Truststore](t)(c.FindTruststore(ctx, "c", 3)); len(s.Added) != 1 || len(s.Removed) != 2 {
		t.Errorf("version 3: %+v", s)
	}
	for _, format := range []string{"", "pem", "der", "pkcs7", "pkcs7-der"} {
		done[[]byte](t)(c.TruststoreContent(ctx, "c", api.TruststoreContentQuery{Format: format}))
	}
	stores := []string{"c"}
	done[*api.Domain](t)(c.ChangeDomain(ctx, "c", api.DomainChange{Truststores: &stores}))
	if page := done[*api.Page[api.Truststore]](t)(c.DomainTruststores(ctx, "c")); len(page.Items) != 1 || page.Items[0].PEM == "" {
		t.Errorf("truststores of the domain: %+v", page)
	}
	done[*api.TruststoreRevocation](t)(c.PutTruststoreRevocation(ctx, "c", api.RevocationRules{Policy: models.RevocationRequire}))
	if r := done[*api.TruststoreRevocation](t)(c.FindTruststoreRevocation(ctx, "c")); r.Policy != models.RevocationRequire {
		t.Errorf("revocation: %+v", r)
	}
	anchors, crl := anchorAndCRL(t)
	done[*api.Truststore](t)(c.CreateTruststore(ctx, api.TruststoreCreation{Name: "c-crl", PEM: anchors}))
	done[*api.TruststoreRevocation](t)(c.PutForeignCRL(ctx, "c-crl", api.CRLUpload{PEM: crl}))
	pinned := api.DeviceCreation{Name: "c-drive", Domain: "c", Onboarding: api.OnboardingArming{Method: models.ESTIDevID}, IDevIDSHA256: strings.Repeat("ab", 32)}
	done[*api.Device](t)(c.CreateDevice(ctx, pinned))
	if d := done[*api.Device](t)(c.UnbindDevice(ctx, "c-drive", api.DeviceUnbinding{})); d.IDevIDSHA256 != "" {
		t.Errorf("unbound: %+v", d)
	}
	note := api.MetadataChange{"hall": api.SetText("3"), "line": {}}
	if d := done[*api.Device](t)(c.ChangeDevice(ctx, "c-drive", api.DeviceChange{AddGroups: []string{"line-3"}, Metadata: note})); d.Groups[0] != "line-3" || d.Metadata["hall"] != "3" {
		t.Errorf("changed: %+v", d)
	}
	if n := count(t, c.AllDevices(ctx, api.DeviceFilter{Group: "line-3", Metadata: "hall=3"})); n != 1 {
		t.Errorf("%d devices in the group", n)
	}
	if ca := done[*api.CA](t)(c.AnnotateCA(ctx, "alpha-ca", api.Annotating{Metadata: note})); ca.Metadata["hall"] != "3" {
		t.Errorf("annotated: %+v", ca)
	}
	if cert := done[*api.Certificate](t)(c.AnnotateCertificate(ctx, string(w.Alpha.Certificate), api.Annotating{Metadata: note})); cert.Metadata["hall"] != "3" {
		t.Errorf("annotated: %+v", cert)
	}
	content := done[[]byte](t)(c.CABundle(ctx, "alpha-ca"))
	if _, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err != nil {
		t.Error(err)
	}
}

// anchorAndCRL makes a CA certificate and a CRL of it, both PEM.
func anchorAndCRL(t *testing.T) (anchor, crl string) {
	t.Helper()
	key := done[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Maker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der := done[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	root := done[*x509.Certificate](t)(x509.ParseCertificate(der))
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), text("X509 CRL", done[[]byte](t)(x509.CreateRevocationList(rand.Reader, list, root, key)))
}
