// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto"
	"crypto/mldsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json/jsontext"
	"slices"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/test/fixture"
)

const lineCA = `{"type":"cert_profile","version":1,"credential_type":"ca","subject":{"reject_mods":true,"CN":{},"O":"Example Works"},
	"extensions":{"basic_constraints":{"ca":true,"path_length":0},"name_constraints":{"permitted":{"dns_names":["line.example"]}}},
	"validity":{"duration":"90d","min":"30d"},"key":{"algorithms":["EC-P256"],"rsa_bits":{"min":3072}}}`

func TestACAIsCreatedUnderAProfile(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		ok[*api.Profile](t)(p.Ops.CreateProfile(ctx, p.Boss, api.ProfileCreation{Name: "line_ca", Document: jsontext.Value(lineCA)}))
		in := api.CACreation{Name: "line", Type: models.CAIssuing, Issuer: "root", Profile: "line_ca"}
		for name, c := range map[string]struct {
			change func(*api.CACreation)
			kind   models.Kind
			text   string
		}{
			"a profile that is not there": {func(in *api.CACreation) { in.Profile = "none" }, models.KindNotFound, "none"},
			"a profile for devices":       {func(in *api.CACreation) { in.Profile = "tls_server" }, models.KindInvalid, "needs a profile of the credential_type ca"},
			"another kind of key":         {func(in *api.CACreation) { in.Key.Algorithm = models.ECP384 }, models.KindDenied, "the key is EC-P384"},
			"a subject it does not have":  {func(in *api.CACreation) { in.Subject = api.Name{CommonName: "x", Locality: "y"} }, models.KindDenied, "locality_name"},
			"an issuer that is not there": {func(in *api.CACreation) { in.Issuer = "none" }, models.KindNotFound, "none"},
			"a certificate from elsewhere": {func(in *api.CACreation) { in.Type, in.Issuer, in.Certificate = models.CAExternal, "", "x" },
				models.KindInvalid, "says everything about it"},
		} {
			refused := in
			c.change(&refused)
			_, err := p.Ops.CreateCA(ctx, p.Boss, refused)
			wantKind(t, err, c.kind, c.text)
			if _, err := p.Store.FindCAByName(ctx, "line"); models.KindOf(err) != models.KindNotFound {
				t.Fatalf("%s left something behind: %v", name, err)
			}
		}
		ca := ok[*api.CA](t)(p.Ops.CreateCA(ctx, p.Boss, in))
		if ca.Profile != "line_ca" || ca.Version != 1 || ca.Subject.Organization != "Example Works" || ca.Subject.CommonName != "line" {
			t.Errorf("%+v", ca)
		}
		all := events(t, p)
		i := slices.IndexFunc(all, func(e models.Event) bool { return e.Action == "ca.created" && e.SubjectID == ca.ID })
		if i < 0 || all[i].Details["profile"] != "line_ca" || all[i].Details["profile_version"] != "1" {
			t.Errorf("%+v", all[i])
		}
	})
}

func TestACertificateThatIsInstalledSaysWhatTheProfileSays(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	ok[*api.Profile](t)(p.Ops.CreateProfile(ctx, p.Boss, api.ProfileCreation{Name: "line_ca", Document: jsontext.Value(lineCA)}))
	ok[*api.CA](t)(p.Ops.CreateCA(ctx, p.Boss, api.CACreation{Name: "waiting", Type: models.CAIssuing, External: true, Profile: "line_ca"}))
	request := []byte(ok[string](t)(p.Ops.CARequest(ctx, p.Boss, "waiting")))
	row := ok[*models.CA](t)(p.Store.FindCAByName(ctx, "waiting"))
	asked := ok[*x509.CertificateRequest](t)(x509.ParseCertificateRequest(row.CSR)).Extensions
	root := fixture.NewOutside(t, "Offline Root", nil)
	install := func(change ...func(*x509.Certificate)) error {
		_, err := p.Ops.InstallCA(ctx, p.Boss, "waiting", api.CACertificate{Certificate: root.Answer(t, request, change...), Chain: root.PEM()})
		return err
	}
	copied := func(c *x509.Certificate) { c.ExtraExtensions = asked }
	wantKind(t, install(), models.KindInvalid, "more CAs be below it")
	wantKind(t, install(func(c *x509.Certificate) { c.MaxPathLenZero = true }), models.KindInvalid, "(name constraints) as the request asks for it")
	wantKind(t, install(copied, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(24 * time.Hour) }), models.KindDenied, "sooner than the 30d")
	if err := install(copied); err != nil {
		t.Error(err)
	}
}

// TestACAWithAnMLDSAKeyIsImported into the software store, and signs there.
func TestACAWithAnMLDSAKeyIsImported(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		key := ok[*mldsa.PrivateKey](t)(mldsa.GenerateKey(mldsa.MLDSA65()))
		template := &x509.Certificate{
			SerialNumber: pki.NewSerial(), Subject: pkix.Name{CommonName: "PQ Root"}, SubjectKeyId: ok[[]byte](t)(pki.SubjectKeyID(key.Public())),
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		der := ok[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
		root := &fixture.Outside{Key: key, Cert: ok[*x509.Certificate](t)(x509.ParseCertificate(der))}
		ca := ok[*api.CA](t)(p.Ops.ImportCA(t.Context(), p.Boss, api.CAImport{Name: "pq", Key: root.KeyPEM(t), Certificate: root.PEM()}))
		row := ok[*models.CA](t)(p.Store.FindCAByName(t.Context(), "pq"))
		signer := ok[crypto.Signer](t)(p.Keys[models.StoreSoftware].Signer(t.Context(), row.Key.ID))
		if err := pki.ProveKey(signer, root.Cert); err != nil || ca.State != models.CAActive || ca.Key.Algorithm != models.MLDSA65 {
			t.Errorf("%v %+v", err, ca)
		}
	})
}
