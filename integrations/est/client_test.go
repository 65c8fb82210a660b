// SPDX-License-Identifier: MIT

package est

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestClientAgainstResponder(t *testing.T) {
	p := newPlant()
	server := serve(t, p)
	base := ClientConfig{URL: server.URL, Roots: trust(server), Label: Label{Domain: "press-shop", Profile: "domain_credential"}}
	key := newKey()
	csr := newRequest("press-01", key)

	t.Run("the CA certificates come in their order", func(t *testing.T) {
		certs, err := newClient(t, base).CACerts(t.Context())
		if err != nil || len(certs) != 2 || !certs[0].Equal(p.issuing.cert) || !certs[1].Equal(p.root.cert) {
			t.Fatalf("%d certificates, %v", len(certs), err)
		}
	})
	withPassword := base
	withPassword.Username, withPassword.Password = "press-01", "open:sesame"
	var first *x509.Certificate
	t.Run("a password gets a certificate, alone", func(t *testing.T) {
		result, err := newClient(t, withPassword).SimpleEnroll(t.Context(), csr)
		if err != nil || result.Pending() || len(result.Certificates) != 1 {
			t.Fatalf("%+v, %v", result, err)
		}
		first = result.Certificates[0]
		if !key.PublicKey.Equal(first.PublicKey) || first.CheckSignatureFrom(p.issuing.cert) != nil {
			t.Error("not a certificate of the CA for the key")
		}
		if diff := cmp.Diff(Label{Domain: "press-shop", Profile: "domain_credential"}, p.labels[len(p.labels)-1]); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a client certificate renews itself, with its intermediates", func(t *testing.T) {
		withCert := base
		withCert.Label.Profile = ""
		withCert.Certificate = &tls.Certificate{Certificate: [][]byte{first.Raw, p.issuing.cert.Raw}, PrivateKey: key}
		client := newClient(t, withCert)
		result, err := client.SimpleReenroll(t.Context(), newRequest("press-01", newKey()))
		if err != nil || len(result.Certificates) != 1 {
			t.Fatalf("%+v, %v", result, err)
		}
		if _, peer := p.calls(); len(peer.Certificates) != 2 || peer.HasBasic || peer.Address != "127.0.0.1" || peer.RequestID != "r-1" {
			t.Errorf("peer %+v", peer)
		}
		_, err = client.SimpleReenroll(t.Context(), newRequest("press-02", newKey()))
		if models.KindOf(err) != models.KindDenied {
			t.Errorf("another subject: %v", err)
		}
	})
	t.Run("a request that waits is told when to come back, and then gets its certificate", func(t *testing.T) {
		waiting := newRequest("press-01", newKey())
		p.hold(waiting, 1500*time.Millisecond)
		client := newClient(t, withPassword)
		for range 3 {
			if result, err := client.SimpleEnroll(t.Context(), waiting); err != nil || result.RetryAfter != 2*time.Second {
				t.Fatalf("%+v, %v", result, err)
			}
		}
		p.hold(waiting, 0)
		if result, err := client.SimpleEnroll(t.Context(), waiting); err != nil || result.Pending() {
			t.Fatalf("%+v, %v", result, err)
		}
	})
	t.Run("a wrong password is unauthenticated, and says why", func(t *testing.T) {
		wrong := withPassword
		wrong.Password = "sesame"
		_, err := newClient(t, wrong).SimpleEnroll(t.Context(), csr)
		if models.KindOf(err) != models.KindUnauthenticated || models.PublicText(err) != "the EST server answered 401: who are you? (request r-1)" {
			t.Error(err)
		}
	})
	t.Run("a server that is not trusted is not talked to", func(t *testing.T) {
		stranger := withPassword
		stranger.Roots = x509.NewCertPool()
		before, _ := p.calls()
		_, err := newClient(t, stranger).SimpleEnroll(t.Context(), csr)
		var unknown x509.UnknownAuthorityError
		if after, _ := p.calls(); models.KindOf(err) != models.KindUnavailable || !errors.As(err, &unknown) || after != before {
			t.Error(err)
		}
	})
}

func TestClientRefusesItsConfiguration(t *testing.T) {
	for _, address := range []string{"", "http://pki.example", "pki.example:8443", "https://", "https://user:secret@pki.example"} {
		if _, err := NewClient(ClientConfig{URL: address}); models.KindOf(err) != models.KindInvalid {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := newClient(t, ClientConfig{URL: "https://pki.example"}).SimpleEnroll(t.Context(), []byte("x")); models.KindOf(err) != models.KindInvalid {
		t.Error(err)
	}
}

// TestClientAgainstOtherServers has servers that answer what ours does not.
func TestClientAgainstOtherServers(t *testing.T) {
	p := newPlant()
	key := newKey()
	csr := newRequest("press-01", key)
	issued := p.issuing.issue(&x509.Certificate{}, key.Public())
	message := must(pki.CertsOnly(p.issuing.cert, issued))
	encoded := base64.StdEncoding.EncodeToString(message)
	tests := map[string]struct {
		header http.Header
		status int
		body   string
		want   string // the error's public text, or the delay, or "issued"
		kind   models.Kind
	}{
		"base64 in one line":           {http.Header{"Content-Type": {"application/pkcs7-mime"}}, 200, encoded, "issued", 0},
		"base64 with CRLF":             {http.Header{"Content-Type": {"application/pkcs7-mime; smime-type=certs-only"}}, 200, encoded[:70] + "\r\n" + encoded[70:] + "\r\n", "issued", 0},
		"DER":                          {http.Header{"Content-Type": {"application/pkcs7-mime"}}, 200, string(message), "issued", 0},
		"another content type":         {http.Header{"Content-Type": {"text/html"}}, 200, encoded, "the answer of the EST server is not application/pkcs7-mime", models.KindUnavailable},
		"garbage":                      {http.Header{"Content-Type": {"application/pkcs7-mime"}}, 200, "MIIx====", "the EST server's certificates cannot be read: the answer is neither base64 nor DER", models.KindUnavailable},
		"an endless answer":            {http.Header{"Content-Type": {"application/pkcs7-mime"}}, 200, strings.Repeat("A", maxAnswer+1), "the answer of the EST server is larger than 256 KiB", models.KindUnavailable},
		"the certificate of another":   {http.Header{"Content-Type": {"application/pkcs7-mime"}}, 200, base64.StdEncoding.EncodeToString(must(pki.CertsOnly(p.issuing.cert))), "the EST server sent no certificate for the key of the request", models.KindUnavailable},
		"a redirect":                   {http.Header{"Location": {"https://elsewhere.example/"}}, 302, "", "the EST server answered 302", models.KindUnavailable},
		"a web page as error":          {http.Header{"Content-Type": {"text/html"}}, 500, "<h1>no</h1>", "the EST server answered 500", models.KindUnavailable},
		"an error with escapes":        {http.Header{"Content-Type": {"text/plain"}}, 400, "a\x1b[31m\nb" + strings.Repeat("c", 400), "the EST server answered 400: a [31m b" + strings.Repeat("c", 300-len("a [31m b")), models.KindInvalid},
		"pending until a date":         {http.Header{"Date": {"Sat, 21 Nov 2026 12:00:00 GMT"}, "Retry-After": {"Sat, 21 Nov 2026 12:05:00 GMT"}}, 202, "", "5m0s", 0},
		"pending since a date":         {http.Header{"Date": {"Sat, 21 Nov 2026 12:00:00 GMT"}, "Retry-After": {"Sat, 21 Nov 2026 11:00:00 GMT"}}, 202, "", "1s", 0},
		"pending without a time":       {http.Header{}, 202, "", "1m0s", 0},
		"pending at once":              {http.Header{"Retry-After": {"0"}}, 202, "", "1s", 0},
		"pending for years":            {http.Header{"Retry-After": {"999999999"}}, 202, "", "168h0m0s", 0},
		"pending for a negative time":  {http.Header{"Retry-After": {"-5"}}, 202, "", "1m0s", 0},
		"limited, as some proxies say": {http.Header{"Retry-After": {"7"}}, 429, "", "the EST server answered 429", models.KindLimited},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ContentLength <= 0 || len(r.TransferEncoding) > 0 {
					t.Errorf("Content-Length %d, Transfer-Encoding %q", r.ContentLength, r.TransferEncoding)
				}
				for name, values := range test.header {
					w.Header()[name] = values
				}
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body) //nolint:errcheck // the client may stop reading
			}))
			defer server.Close()
			result, err := newClient(t, ClientConfig{URL: server.URL, Roots: trust(server)}).SimpleEnroll(t.Context(), csr)
			got := "issued"
			switch {
			case err != nil:
				got = models.PublicText(err)
			case result.Pending():
				got = result.RetryAfter.String()
			case !result.Certificates[0].Equal(issued):
				got = "something else"
			}
			if got != test.want || err != nil && models.KindOf(err) != test.kind {
				t.Errorf("got %s (%v), want %s", got, models.KindOf(err), test.want)
			}
		})
	}
}
