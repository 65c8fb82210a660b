// SPDX-License-Identifier: MIT

package operations_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func fingerprints(anchors []api.TrustAnchor) (list []string) {
	for _, a := range anchors {
		list = append(list, a.Fingerprint)
	}
	return list
}

func TestVersionsOfATruststoreTellWhatChanged(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		a, b, c := ok[[]byte](t)(fixture.Certificates(1)), ok[[]byte](t)(fixture.Certificates(1)), ok[[]byte](t)(fixture.Certificates(1))
		for i, content := range [][]byte{slices.Concat(a, b), slices.Concat(b, c), b} {
			if i == 0 {
				ok[*api.Truststore](t)(p.Ops.CreateTruststore(ctx, p.Boss, api.TruststoreCreation{Name: "t", PEM: string(content)}))
				continue
			}
			ok[*api.Truststore](t)(p.Ops.PutTruststore(ctx, p.Boss, "t", api.TruststoreVersion{PEM: string(content)}))
		}
		page := ok[*api.Page[api.Truststore]](t)(p.Ops.ListTruststoreVersions(ctx, p.Boss, "t", api.PageQuery{}))
		var got [][2]int
		for _, v := range page.Items {
			got = append(got, [2]int{len(v.Added), len(v.Removed)})
		}
		if diff := cmp.Diff([][2]int{{2, 0}, {1, 1}, {0, 1}}, got); diff != "" {
			t.Errorf("added and removed (-want +got):\n%s", diff)
		}
		first := ok[*api.Truststore](t)(p.Ops.FindTruststore(ctx, p.Boss, "t", api.TruststoreQuery{Version: 1}))
		if first.PEM != string(slices.Concat(a, b)) {
			t.Error("version 1 is not what it was")
		}
		if diff := cmp.Diff(fingerprints(first.Certificates)[:1], fingerprints(page.Items[1].Removed)); diff != "" {
			t.Errorf("removed with version 2 (-want +got):\n%s", diff)
		}
		_, err := p.Ops.FindTruststore(ctx, p.Boss, "t", api.TruststoreQuery{Version: 9})
		wantKind(t, err, models.KindNotFound, "version 9")
	})
}

func TestTruststoresComeAndGoInEveryFormat(t *testing.T) {
	p, ctx := small(t), t.Context()
	two := ok[[]byte](t)(fixture.Certificates(2))
	certs, err := pki.ParseCertificates(two, 2)
	if err != nil {
		t.Fatal(err)
	}
	der := func(format pki.Format, n int) string {
		file, err := pki.EncodeCertificates(format, certs[:n]...)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(file.Content)
	}
	p7 := ok[*pki.File](t)(pki.EncodeCertificates(pki.FormatPKCS7, certs...))
	for name, tt := range map[string]struct {
		in   api.TruststoreCreation
		want int
	}{
		"pem":       {api.TruststoreCreation{Name: "pem", PEM: string(two)}, 2},
		"pkcs7":     {api.TruststoreCreation{Name: "pkcs7", PEM: string(p7.Content)}, 2},
		"pkcs7-der": {api.TruststoreCreation{Name: "pkcs7-der", DER: der(pki.FormatPKCS7DER, 2)}, 2},
		"der":       {api.TruststoreCreation{Name: "der", DER: der(pki.FormatDER, 1)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if s := ok[*api.Truststore](t)(p.Ops.CreateTruststore(ctx, p.Boss, tt.in)); len(s.Certificates) != tt.want {
				t.Errorf("%d certificates, want %d", len(s.Certificates), tt.want)
			}
			file, err := p.Ops.TruststoreContent(ctx, p.Boss, name, api.TruststoreContentQuery{Format: name})
			if err != nil {
				t.Fatal(err)
			}
			back, err := pki.ParseCertificates(file.Content, 2)
			if err != nil || len(back) != tt.want || !bytes.Equal(back[0].Raw, certs[0].Raw) {
				t.Errorf("%s holds %d certificates: %v", file.Name, len(back), err)
			}
		})
	}
	_, err = p.Ops.TruststoreContent(ctx, p.Boss, "pem", api.TruststoreContentQuery{Format: "der"})
	wantKind(t, err, models.KindInvalid, "holds one")
	_, err = p.Ops.TruststoreContent(ctx, p.Boss, "pem", api.TruststoreContentQuery{Format: "jks"})
	wantKind(t, err, models.KindInvalid, "is not one of pem")
	_, err = p.Ops.CreateTruststore(ctx, p.Boss, api.TruststoreCreation{Name: "x", PEM: string(two), DER: der(pki.FormatDER, 1)})
	wantKind(t, err, models.KindInvalid, "one of them")
	_, err = p.Ops.CreateTruststore(ctx, p.Boss, api.TruststoreCreation{Name: "x", DER: "!"})
	wantKind(t, err, models.KindInvalid, "base64")
}

func TestADomainNamesTheTruststoresOfItsDevices(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		alpha := p.Caller(t, "alpha-admin", models.RoleAdmin, "alpha")
		ok[*api.Truststore](t)(p.Ops.CreateTruststore(ctx, p.Boss, api.TruststoreCreation{Name: "shared", PEM: string(ok[[]byte](t)(fixture.Certificates(1)))}))
		set := func(names ...string) api.DomainChange { return api.DomainChange{Truststores: &names} }
		_, err := p.Ops.ChangeDomain(ctx, alpha, "alpha", set("shared")) // not his to see
		wantKind(t, err, models.KindNotFound, "no truststore shared")
		_, err = p.Ops.ChangeDomain(ctx, p.Boss, "alpha", set("shared", "shared"))
		wantKind(t, err, models.KindInvalid, "named twice")
		_, err = p.Ops.ChangeDomain(ctx, p.Boss, "alpha", set("none"))
		wantKind(t, err, models.KindNotFound, "no truststore none")
		ok[*api.Domain](t)(p.Ops.ChangeDomain(ctx, p.Boss, "alpha", set("shared", p.Alpha.Truststore)))
		page := ok[*api.Page[api.Truststore]](t)(p.Ops.DomainTruststores(ctx, alpha, "alpha"))
		if len(page.Items) != 2 || page.Items[0].Name != "shared" || page.Items[0].PEM == "" {
			t.Errorf("truststores of alpha: %+v", page.Items)
		}
		ok[*api.Truststore](t)(p.Ops.FindTruststore(ctx, alpha, "shared", api.TruststoreQuery{})) // now it is
		_, err = p.Ops.DomainTruststores(ctx, alpha, "beta")
		wantKind(t, err, models.KindNotFound, "no domain beta")
		if event := lastEvent(t, p, string(ok[*api.Domain](t)(p.Ops.FindDomain(ctx, p.Boss, "alpha")).ID)); event.Details["changed"] != "truststores" {
			t.Errorf("event: %+v", event)
		}
		ok[*api.Domain](t)(p.Ops.ChangeDomain(ctx, p.Boss, "alpha", set()))
		if page := ok[*api.Page[api.Truststore]](t)(p.Ops.DomainTruststores(ctx, p.Boss, "alpha")); len(page.Items) != 0 {
			t.Errorf("truststores of alpha: %+v", page.Items)
		}
	})
}

func TestABundleHasTheChainAndTheCRLs(t *testing.T) {
	p, ctx := small(t), t.Context()
	ca := ok[*api.CA](t)(p.Ops.FindCA(ctx, p.Boss, p.Alpha.CA))
	write := func(tx *store.Tx) error {
		crl := &models.CRL{CAID: models.CAID(ca.ID), KeyID: ca.KeyID, DER: []byte("a list")}
		return tx.InsertCRL(crl)
	}
	if err := p.Store.Write(ctx, write); err != nil {
		t.Fatal(err)
	}
	file := ok[*fileOf](t)(bundle(p, t))
	want := []string{"01-root.pem", "01-root.cer", "02-alpha-ca.pem", "02-alpha-ca.cer", "02-alpha-ca.crl", "chain.pem"}
	if diff := cmp.Diff(want, file.names); diff != "" {
		t.Errorf("the files (-want +got):\n%s", diff)
	}
	if n := bytes.Count(file.chain, []byte("BEGIN CERTIFICATE")); n != 2 {
		t.Errorf("chain.pem has %d certificates", n)
	}
	if block, _ := pem.Decode(file.chain); block == nil {
		t.Error("chain.pem is not PEM")
	}
	_, err := p.Ops.CABundle(ctx, p.Caller(t, "beta-viewer", models.RoleViewer, "beta"), p.Alpha.CA)
	wantKind(t, err, models.KindNotFound, "no CA alpha-ca")
}

type fileOf struct {
	names []string
	chain []byte
}

func bundle(p *fixture.Plant, t *testing.T) (*fileOf, error) {
	t.Helper()
	file, err := p.Ops.CABundle(t.Context(), p.Boss, p.Alpha.CA)
	if err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(bytes.NewReader(file.Content), int64(len(file.Content)))
	if err != nil {
		return nil, err
	}
	out := &fileOf{}
	for _, f := range archive.File {
		out.names = append(out.names, f.Name)
		if f.Name != "chain.pem" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(r); err != nil {
			return nil, err
		}
		out.chain = content.Bytes()
	}
	return out, nil
}
