// SPDX-License-Identifier: MIT

package rest

import (
	"archive/zip"
	"bytes"
	"context"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/test/fixture"
)

// speakTruststores uses the truststore and the domain that speakTrust left.
func speakTruststores(t *testing.T, ctx context.Context, c *api.Client) {
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
	content := done[[]byte](t)(c.CABundle(ctx, "alpha-ca"))
	if _, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err != nil {
		t.Error(err)
	}
}
