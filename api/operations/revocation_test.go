// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestTheRevocationOfIDevIDs(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		key := ok[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Maker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		root := ok[*x509.Certificate](t)(x509.ParseCertificate(ok[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))
		ok[*api.Truststore](t)(p.Ops.CreateTruststore(ctx, p.Boss, api.TruststoreCreation{Name: "maker", PEM: string(pki.EncodePEM(root))}))
		crl := func(number int64, serials ...int64) api.CRLUpload {
			list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
			for _, s := range serials {
				list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: time.Now()})
			}
			der := ok[[]byte](t)(x509.CreateRevocationList(rand.Reader, list, root, key))
			return api.CRLUpload{DER: base64.StdEncoding.EncodeToString(der)}
		}
		if r := ok[*api.TruststoreRevocation](t)(p.Ops.FindTruststoreRevocation(ctx, p.Boss, "maker")); r.Policy != models.RevocationIfKnown || len(r.CRLs) != 0 {
			t.Errorf("the default is %+v", r)
		}
		ok[*api.TruststoreRevocation](t)(p.Ops.PutForeignCRL(ctx, p.Boss, "maker", crl(0xff, 7)))
		_, err := p.Ops.PutForeignCRL(ctx, p.Boss, "maker", crl(0x20)) // O07: shorter in hex, and lower
		wantKind(t, err, models.KindConflict, "or a higher one already")
		_, err = p.Ops.PutForeignCRL(ctx, p.Boss, "maker", crl(0xff))
		wantKind(t, err, models.KindConflict, "or a higher one already")
		r := ok[*api.TruststoreRevocation](t)(p.Ops.PutForeignCRL(ctx, p.Boss, "maker", crl(0x100, 7, 8)))
		if len(r.CRLs) != 1 || r.CRLs[0].Number != "100" || r.CRLs[0].Entries != 2 || !r.CRLs[0].Current {
			t.Errorf("the CRLs are %+v", r.CRLs)
		}
		_, err = p.Ops.PutForeignCRL(ctx, p.Boss, p.Alpha.Truststore, crl(1))
		wantKind(t, err, models.KindInvalid, "not signed by a CA")
		_, err = p.Ops.PutForeignCRL(ctx, p.Boss, "maker", api.CRLUpload{})
		wantKind(t, err, models.KindInvalid, "one of them")
		rules := api.RevocationRules{Policy: models.RevocationRequire, OCSPURL: "http://ocsp.example/"}
		for range 2 {
			if r := ok[*api.TruststoreRevocation](t)(p.Ops.PutTruststoreRevocation(ctx, p.Boss, "maker", rules)); r.Policy != rules.Policy || r.OCSPURL != rules.OCSPURL {
				t.Errorf("the rules are %+v", r)
			}
		}
		_, err = p.Ops.PutTruststoreRevocation(ctx, p.Boss, "maker", api.RevocationRules{Policy: "off", OCSPURL: "file:///x"})
		wantKind(t, err, models.KindInvalid, "ocsp_url")
		_, err = p.Ops.PutTruststoreRevocation(ctx, p.Boss, "maker", api.RevocationRules{Policy: "perhaps"})
		wantKind(t, err, models.KindInvalid, "is not one of")
		_, err = p.Ops.FindTruststoreRevocation(ctx, p.Caller(t, "alpha-viewer", models.RoleViewer, "alpha"), "maker")
		wantKind(t, err, models.KindNotFound, "no truststore maker")
		_, err = p.Ops.PutForeignCRL(ctx, p.Caller(t, "alpha-admin", models.RoleAdmin, "alpha"), p.Alpha.Truststore, crl(1))
		wantKind(t, err, models.KindDenied, "beyond the domains")
	})
}
