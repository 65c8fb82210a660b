// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

const filePassword = "geheim-12"

func TestACAIsImportedWithItsKey(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		root := fixture.NewOutside(t, "Elsewhere Root", nil)
		middle := fixture.NewOutside(t, "Elsewhere Policy", root)
		issuing := fixture.NewOutside(t, "Elsewhere Issuing", middle)
		in := api.CAImport{Name: "bought", PKCS12: issuing.PKCS12(t, filePassword, middle, root), Password: filePassword}
		ca := ok[*api.CA](t)(p.Ops.ImportCA(ctx, p.Boss, in))
		if ca.State != models.CAActive || ca.Type != models.CAIssuing || ca.Origin != models.CAImported || ca.Issuer != "elsewhere-policy" ||
			ca.Subject.CommonName != "Elsewhere Issuing" || ca.Key.Algorithm != models.ECP256 || strings.Count(ca.Chain, "BEGIN") != 3 {
			t.Fatalf("%+v", ca)
		}
		above := ok[*api.CA](t)(p.Ops.FindCA(ctx, p.Boss, "elsewhere-policy"))
		if above.Type != models.CAExternal || above.Key.Store != "" || above.Issuer != "elsewhere-root" || above.CRLURL != "" {
			t.Errorf("the CA above: %+v", above)
		}
		row := ok[*models.CA](t)(p.Store.FindCAByName(ctx, "bought"))
		signer, err := p.Keys[models.StoreSoftware].Signer(ctx, row.Key.ID)
		if err != nil || pki.ProveKey(signer, issuing.Cert) != nil {
			t.Errorf("the key in the store: %v", err)
		}
		if got := promises(t, p, string(row.ID)); !slices.Contains(got, models.OutboxPublish) {
			t.Errorf("promises %v", got)
		}
		if e := lastEvent(t, p, string(row.ID)); e.Action != "ca.imported" {
			t.Errorf("event %+v", e)
		}
		stored := ok[*models.Certificate](t)(p.Store.FindCertificate(ctx, row.CertificateID))
		if stored.Origin != models.CertificateImported || stored.Kind != models.CertificateCA {
			t.Errorf("certificate %+v", stored)
		}
		ok[*api.Domain](t)(p.Ops.CreateDomain(ctx, p.Boss, api.DomainCreation{Name: "gamma", IssuingCA: "bought"}))
		_, err = p.Ops.ImportCA(ctx, p.Boss, in)
		wantKind(t, err, models.KindConflict, "the certificate is there already, as CA bought")
	})
}

func TestTheSameImportGoesOnWhereItWasCutOff(t *testing.T) {
	p := small(t)
	root := fixture.NewOutside(t, "Elsewhere Root", nil)
	in := api.CAImport{Name: "bought", Key: root.KeyPEM(t), Certificate: root.PEM()}
	ca := ok[*api.CA](t)(p.Ops.ImportCA(t.Context(), p.Boss, in))
	row := ok[*models.CA](t)(p.Store.FindCAByName(t.Context(), "bought"))
	// As if the process had ended between the key and the activation.
	if err := p.Store.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.DeleteCA(row); err != nil {
			return err
		}
		row.State, row.CertificateID = models.CAPending, ""
		return tx.InsertCA(row)
	}); err != nil {
		t.Fatal(err)
	}
	again := ok[*api.CA](t)(p.Ops.ImportCA(t.Context(), p.Boss, in))
	if again.ID != ca.ID || again.State != models.CAActive || again.Type != models.CARoot {
		t.Errorf("%+v", again)
	}
}

func TestImportsThatAreRefused(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	root := fixture.NewOutside(t, "Elsewhere Root", nil)
	make := func(change func(*x509.Certificate)) api.CAImport {
		ca := fixture.NewOutside(t, "Bad", root, change)
		return api.CAImport{Name: "bad", Key: ca.KeyPEM(t), Certificate: ca.PEM(), Chain: root.PEM()}
	}
	good := fixture.NewOutside(t, "Good", root)
	other := fixture.NewOutside(t, "Other", root)
	file := good.PKCS12(t, filePassword, root)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weakPEM := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(weak)})
	ok[*api.CA](t)(p.Ops.ImportCA(ctx, p.Boss, api.CAImport{Name: "good", PKCS12: file, Password: filePassword}))
	renewed := fixture.NewOutside(t, "Renewed", root)
	before := len(ok[[]*models.CA](t)(p.Store.AllCAs(ctx)))
	for name, c := range map[string]struct {
		in   api.CAImport
		kind models.Kind
		text string
	}{
		"a wrong password":          {api.CAImport{Name: "bad", PKCS12: file, Password: "wrong"}, models.KindInvalid, "password is wrong"},
		"an expired CA":             {make(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), models.KindInvalid, "expired"},
		"an end-entity certificate": {make(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }), models.KindInvalid, "not that of a CA"},
		"a CA that may not sign":    {make(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), models.KindInvalid, "keyCertSign"},
		"the key of another":        {api.CAImport{Name: "bad", Key: other.KeyPEM(t), Certificate: renewed.PEM(), Chain: root.PEM()}, models.KindInvalid, "does not belong"},
		"a weak key":                {api.CAImport{Name: "bad", Key: weakPEM, Certificate: renewed.PEM()}, models.KindInvalid, "1024 bits"},
		"the same certificate":      {api.CAImport{Name: "bad", PKCS12: file, Password: filePassword}, models.KindConflict, "as CA good"},
		"the same key":              {api.CAImport{Name: "bad", Key: good.KeyPEM(t), Certificate: again(t, good, root).PEM(), Chain: root.PEM()}, models.KindConflict, "as that of CA good"},
		"a certificate without a key": {api.CAImport{Name: "bad", Key: root.KeyPEM(t), Certificate: root.PEM()}, models.KindConflict,
			"without its key, as CA elsewhere-root; remove that one first"},
		"a name that is taken":       {api.CAImport{Name: "good", Key: other.KeyPEM(t), Certificate: other.PEM(), Chain: root.PEM()}, models.KindConflict, "exists"},
		"a chain without its root":   {api.CAImport{Name: "bad", Key: fixture.NewOutside(t, "x", fixture.NewOutside(t, "Unknown", nil)).KeyPEM(t)}, models.KindInvalid, "no certificate"},
		"nothing":                    {api.CAImport{Name: "bad"}, models.KindInvalid, "either pkcs12, or key"},
		"two of everything":          {api.CAImport{Name: "bad", PKCS12: file, Key: good.KeyPEM(t)}, models.KindInvalid, "either pkcs12, or key"},
		"a store that is not there":  {api.CAImport{Name: "bad", PKCS12: file, Store: "cloud"}, models.KindInvalid, "software, pkcs11"},
		"a file of half a megabyte":  {api.CAImport{Name: "bad", PKCS12: append([]byte{0x30}, make2(600<<10)...)}, models.KindInvalid, "larger than"},
		"a chain with a key in it":   {api.CAImport{Name: "bad", Key: other.KeyPEM(t), Certificate: other.PEM(), Chain: good.KeyPEM(t)}, models.KindInvalid, "private key"},
		"a token that does not work": {api.CAImport{Name: "bad", Key: other.KeyPEM(t), Certificate: other.PEM(), Chain: root.PEM(), Store: models.StorePKCS11}, models.KindInvalid, "not configured"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Ops.ImportCA(ctx, p.Boss, c.in)
			wantKind(t, err, c.kind, c.text)
			if err != nil && (strings.Contains(err.Error(), filePassword) || strings.Contains(err.Error(), "BEGIN")) {
				t.Errorf("it tells a secret: %v", err)
			}
		})
	}
	if after := len(ok[[]*models.CA](t)(p.Store.AllCAs(ctx))); after != before {
		t.Errorf("%d CAs instead of %d: a refusal left something behind", after, before)
	}
	_, err = p.Ops.ImportCA(ctx, p.Caller(t, "viewer", models.RoleViewer), api.CAImport{})
	wantKind(t, err, models.KindDenied, "")
}

func make2(n int) []byte { return make([]byte, n) }

// again certifies the key of a CA once more.
func again(t *testing.T, ca, above *fixture.Outside) *fixture.Outside {
	t.Helper()
	template := *ca.Cert
	template.SerialNumber = pki.NewSerial()
	der, err := x509.CreateCertificate(rand.Reader, &template, above.Cert, ca.Key.Public(), above.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture.Outside{Key: ca.Key, Cert: ok[*x509.Certificate](t)(x509.ParseCertificate(der))}
}

func TestAnExternalCASignsOurRequest(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		root := fixture.NewOutside(t, "Offline Root", nil)
		ca := ok[*api.CA](t)(p.Ops.CreateCA(ctx, p.Boss, api.CACreation{
			Name: "waiting", Type: models.CAIssuing, External: true, Subject: api.Name{CommonName: "Waiting CA"}}))
		if !ca.Awaits() || ca.Origin != models.CARequested || time.Until(*ca.Deadline) < 29*24*time.Hour {
			t.Fatalf("%+v", ca)
		}
		request := []byte(ok[string](t)(p.Ops.CARequest(ctx, p.Boss, "waiting")))
		stranger := fixture.NewOutside(t, "Stranger", root)
		install := func(certificate, chain []byte) error {
			_, err := p.Ops.InstallCA(ctx, p.Boss, "waiting", api.CACertificate{Certificate: certificate, Chain: chain})
			return err
		}
		for name, c := range map[string]struct {
			certificate, chain []byte
			text               string
		}{
			"another key":             {stranger.PEM(), root.PEM(), "another key"},
			"another subject":         {root.Answer(t, request, func(c *x509.Certificate) { c.RawSubject = stranger.Cert.RawSubject }), root.PEM(), "was asked for"},
			"not a CA":                {root.Answer(t, request, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }), root.PEM(), "not that of a CA"},
			"no keyCertSign":          {root.Answer(t, request, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), root.PEM(), "keyCertSign"},
			"expired":                 {root.Answer(t, request, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), root.PEM(), "expired"},
			"a root that is missing":  {root.Answer(t, request), nil, "is missing"},
			"a root that is no match": {root.Answer(t, request), fixture.NewOutside(t, "Offline Root", nil).PEM(), "was not signed by any"},
			"a CA below a leaf":       {fixture.NewOutside(t, "Leaf", root, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }).Answer(t, request), root.PEM(), ""},
			"nothing":                 {nil, nil, "missing"},
		} {
			wantKind(t, install(c.certificate, c.chain), models.KindInvalid, c.text)
			if t.Failed() {
				t.Fatal(name)
			}
		}
		answer := root.Answer(t, request)
		if err := install(append(slices.Clone(root.PEM()), answer...), nil); err != nil {
			t.Fatal(err)
		}
		if err := install(answer, nil); err != nil {
			t.Errorf("installing again: %v", err)
		}
		wantKind(t, install(root.Answer(t, request), nil), models.KindConflict, "waits for no certificate")
		ca = ok[*api.CA](t)(p.Ops.FindCA(ctx, p.Boss, "waiting"))
		if ca.State != models.CAActive || ca.Issuer != "offline-root" || ca.Request != "" || strings.Count(ca.Chain, "BEGIN") != 2 {
			t.Errorf("%+v", ca)
		}
		if got := promises(t, p, ca.ID); !slices.Contains(got, models.OutboxWakeAuthority) || !slices.Contains(got, models.OutboxPublish) {
			t.Errorf("promises %v", got)
		}
		wantKind(t, p.Ops.DeleteCA(ctx, p.Boss, "waiting"), models.KindConflict, "may have issued")
		wantKind(t, p.Ops.DeleteCA(ctx, p.Boss, "offline-root"), models.KindConflict, "a CA below it")
	})
}

func TestTheWaitForACertificateIsCancelled(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	ca := ok[*api.CA](t)(p.Ops.CreateCA(ctx, p.Boss, api.CACreation{Name: "waiting", Type: models.CAIssuing, External: true, Deadline: models.Duration(time.Hour)}))
	if err := p.Ops.DeleteCA(ctx, p.Boss, "waiting"); err != nil {
		t.Fatal(err)
	}
	_, err := p.Ops.FindCA(ctx, p.Boss, "waiting")
	wantKind(t, err, models.KindNotFound, "")
	if got := promises(t, p, "software/"+ca.ID); !slices.Contains(got, models.OutboxDestroyKey) {
		t.Errorf("promises %v", got)
	}
	if e := lastEvent(t, p, ca.ID); e.Action != "ca.removed" {
		t.Errorf("event %+v", e)
	}
}

func TestCAsWithoutAKey(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	root := fixture.NewOutside(t, "Company Root", nil)
	policy := fixture.NewOutside(t, "Company Policy", root)
	add := func(in api.CACreation) error {
		in.Type = models.CAExternal
		_, err := p.Ops.CreateCA(ctx, p.Boss, in)
		return err
	}
	leaf := fixture.NewOutside(t, "Leaf", root, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 })
	wantKind(t, add(api.CACreation{Name: "policy", Certificate: string(policy.PEM())}), models.KindInvalid, `"CN=Company Root,O=Elsewhere" is missing`)
	wantKind(t, add(api.CACreation{Name: "leaf", Certificate: string(leaf.PEM())}), models.KindInvalid, "not that of a CA")
	wantKind(t, add(api.CACreation{Name: "none"}), models.KindInvalid, "needs the CA's certificate")
	wantKind(t, add(api.CACreation{Name: "key", Certificate: string(root.KeyPEM(t))}), models.KindInvalid, "private key")
	if err := add(api.CACreation{Name: "company-root", Certificate: string(root.PEM())}); err != nil {
		t.Fatal(err)
	}
	if err := add(api.CACreation{Name: "policy", Certificate: string(policy.PEM())}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, add(api.CACreation{Name: "twice", Certificate: string(root.PEM())}), models.KindConflict, "as CA company-root")
	_, err := p.Ops.CreateDomain(ctx, p.Boss, api.DomainCreation{Name: "d", IssuingCA: "policy"})
	wantKind(t, err, models.KindInvalid, "is not here")
	_, err = p.Ops.CreateCA(ctx, p.Boss, api.CACreation{Name: "sub", Type: models.CAIssuing, Issuer: "policy"})
	wantKind(t, err, models.KindConflict, "create sub with external")
	wantKind(t, p.Ops.DeleteCA(ctx, p.Boss, "company-root"), models.KindConflict, "a CA below it")
	wantKind(t, p.Ops.DeleteCA(ctx, p.Boss, "root"), models.KindConflict, "may have issued")
	for _, name := range []string{"policy", "company-root"} {
		if err := p.Ops.DeleteCA(ctx, p.Boss, name); err != nil {
			t.Error(err)
		}
	}
}
