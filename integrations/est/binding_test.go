// SPDX-License-Identifier: MIT

package est

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestABoundRequestIsVerified(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2, tls-unique": tls.VersionTLS12, "TLS 1.3, tls-exporter": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			p := newPlant()
			server := serveVersion(t, p, version)
			key := newKey()
			csr := newRequest("press-01", key)
			client := newClient(t, ClientConfig{URL: server.URL, Roots: trust(server), Label: Label{Domain: "press-shop"}, Username: "press-01", Password: "open:sesame"})
			for range 2 {
				result, err := client.SimpleEnrollBound(t.Context(), csr, key)
				if err != nil || len(result.Certificates) == 0 || !key.PublicKey.Equal(result.Certificates[0].PublicKey) {
					t.Fatalf("%+v, %v", result, err)
				}
				if _, peer := p.calls(); !peer.Bound {
					t.Error("the backend does not hear that the request is bound")
				}
			}
			if _, err := client.SimpleEnroll(t.Context(), csr); err != nil {
				t.Fatal(err)
			}
			if _, peer := p.calls(); peer.Bound {
				t.Error("a request without binding is said to be bound")
			}
			issued, err := client.SimpleEnrollBound(t.Context(), csr, key)
			if err != nil {
				t.Fatal(err)
			}
			renewal := newClient(t, ClientConfig{URL: server.URL, Roots: trust(server), Label: Label{Domain: "press-shop"},
				Certificate: &tls.Certificate{Certificate: [][]byte{issued.Certificates[0].Raw, p.issuing.cert.Raw}, PrivateKey: key}})
			next := newKey()
			if _, err := renewal.SimpleReenrollBound(t.Context(), newRequest("press-01", next), next); err != nil {
				t.Fatal(err)
			}
			if _, peer := p.calls(); !peer.Bound || len(peer.Certificates) == 0 {
				t.Errorf("a bound renewal: %+v", peer)
			}
		})
	}
}

// TestAttackE10 has bindings that are not those of the connection.
func TestAttackE10(t *testing.T) {
	zeros := func(n int) func(*tls.ConnectionState) []byte {
		return func(*tls.ConnectionState) []byte { return make([]byte, n) }
	}
	exporter := func(context []byte, label string) func(*tls.ConnectionState) []byte {
		return func(s *tls.ConnectionState) []byte { return must(s.ExportKeyingMaterial(label, context, 32)) }
	}
	tests := map[string]struct {
		version uint16
		binding func(*tls.ConnectionState) []byte
		resumed bool
		status  int
		bound   bool
	}{
		"TLS 1.3, its own exporter":             {tls.VersionTLS13, exporter([]byte{}, exporterLabel), false, 200, true},
		"TLS 1.3, its own exporter, resumed":    {tls.VersionTLS13, exporter([]byte{}, exporterLabel), true, 200, true},
		"TLS 1.3, zeros":                        {tls.VersionTLS13, zeros(32), false, 400, false},
		"TLS 1.3, another label":                {tls.VersionTLS13, exporter([]byte{}, "EXPORTER-Token-Binding"), false, 400, false},
		"TLS 1.3 has no tls-unique":             {tls.VersionTLS13, zeros(12), false, 200, false},
		"TLS 1.2, its own tls-unique":           {tls.VersionTLS12, func(s *tls.ConnectionState) []byte { return s.TLSUnique }, false, 200, true},
		"TLS 1.2, its own exporter":             {tls.VersionTLS12, exporter([]byte{}, exporterLabel), false, 200, true},
		"TLS 1.2, the exporter without context": {tls.VersionTLS12, exporter(nil, exporterLabel), false, 400, false},
		"TLS 1.2, zeros":                        {tls.VersionTLS12, zeros(12), false, 400, false},
		"TLS 1.2, its own tls-unique, resumed":  {tls.VersionTLS12, func(s *tls.ConnectionState) []byte { return s.TLSUnique }, true, 400, false},
		"TLS 1.2, its own exporter, resumed":    {tls.VersionTLS12, exporter([]byte{}, exporterLabel), true, 400, false},
		"a challenge password that is a wish":   {tls.VersionTLS13, func(*tls.ConnectionState) []byte { return []byte("hunter") }, false, 200, false},
		"an exporter with an octet more":        {tls.VersionTLS13, zeros(33), false, 200, false},
		"TLS 1.2, half of its own tls-unique":   {tls.VersionTLS12, func(s *tls.ConnectionState) []byte { return s.TLSUnique[:6] }, false, 200, false},
		"TLS 1.2, its own tls-unique, one bit off": {tls.VersionTLS12, func(s *tls.ConnectionState) []byte {
			return append([]byte{s.TLSUnique[0] ^ 1}, s.TLSUnique[1:]...)
		}, false, 400, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlant()
			server := serveVersion(t, p, tt.version)
			conn := connect(t, server, tt.resumed)
			state := conn.ConnectionState()
			if state.DidResume != tt.resumed {
				t.Fatalf("resumed: %v", state.DidResume)
			}
			key := newKey()
			csr := must(pki.WithChallengePassword(newRequest("press-01", key), key, base64.StdEncoding.EncodeToString(tt.binding(&state))))
			before, _ := p.calls()
			status, text := postOver(t, conn, csr)
			if status != tt.status {
				t.Errorf("status %d, want %d: %s", status, tt.status, text)
			}
			after, peer := p.calls()
			if asked := after > before; asked != (tt.status == 200) || asked && peer.Bound != tt.bound {
				t.Errorf("the backend was asked: %v, bound: %v", asked, peer.Bound)
			}
		})
	}
	t.Run("a binding of another connection", func(t *testing.T) {
		p := newPlant()
		server := serveVersion(t, p, tls.VersionTLS13)
		first := connect(t, server, false).ConnectionState()
		key := newKey()
		csr := must(pki.WithChallengePassword(newRequest("press-01", key), key, base64.StdEncoding.EncodeToString(channelOf(&first).exporter)))
		if status, text := postOver(t, connect(t, server, false), csr); status != 400 || !strings.Contains(text, "not that of this connection") {
			t.Errorf("status %d: %s", status, text)
		}
	})
}

// TestNoBindingWithoutExtendedMasterSecret has OpenSSL leave it out (RFC 7627 §5.4).
func TestNoBindingWithoutExtendedMasterSecret(t *testing.T) {
	p := newPlant()
	server := serveVersion(t, p, tls.VersionTLS12)
	dir, key := t.TempDir(), newKey()
	csr := must(pki.WithChallengePassword(newRequest("press-01", key), key, base64.StdEncoding.EncodeToString(make([]byte, 12))))
	conf := "openssl_conf = c\n[c]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\nOptions = -ExtendedMasterSecret\n"
	for name, content := range map[string][]byte{"csr": csr, "conf": []byte(conf)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("curl", "--silent", "--insecure", "--user", "press-01:open:sesame", "--header", "Content-Type: application/pkcs10",
		"--data-binary", "@"+filepath.Join(dir, "csr"), server.URL+"/.well-known/est/press-shop/simpleenroll")
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+filepath.Join(dir, "conf"))
	out, err := cmd.CombinedOutput()
	if calls, _ := p.calls(); err != nil || calls != 0 || !strings.Contains(string(out), "no safe channel binding") {
		t.Errorf("%v, %d calls: %s", err, calls, out)
	}
}

// serveVersion is serve with one version of TLS.
func serveVersion(t *testing.T, p *plant, version uint16) *httptest.Server {
	t.Helper()
	server := serve(t, p)
	server.TLS.MinVersion, server.TLS.MaxVersion = version, version
	return server
}

// connect opens a connection, after another one whose session it resumes if
// that is asked for.
func connect(t *testing.T, server *httptest.Server, resume bool) *tls.Conn {
	t.Helper()
	cfg := &tls.Config{RootCAs: trust(server), ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if resume {
		first := must(tls.Dial("tcp", server.Listener.Addr().String(), cfg))
		_, _ = io.WriteString(first, "GET /.well-known/est/press-shop/cacerts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		_, _ = io.ReadAll(first) // with the ticket
		_ = first.Close()
	}
	conn := must(tls.Dial("tcp", server.Listener.Addr().String(), cfg))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// postOver enrolls over this very connection.
func postOver(t *testing.T, conn *tls.Conn, csr []byte) (int, string) {
	t.Helper()
	c := &Client{http: &http.Client{}}
	r := must(http.NewRequest(http.MethodPost, "https://example.com/.well-known/est/press-shop/simpleenroll", strings.NewReader(string(csr))))
	r.Header.Set("Content-Type", typePKCS10)
	r.SetBasicAuth("press-01", "open:sesame")
	answer := must(c.over(conn).http.Do(r))
	defer answer.Body.Close() //nolint:errcheck // it is read
	return answer.StatusCode, string(must(io.ReadAll(answer.Body)))
}

func TestABoundRequestIsTheSameRequest(t *testing.T) {
	key, other := newKey(), newKey()
	request := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"a.example"}}, key))
	bind := func(csr []byte, key *ecdsa.PrivateKey, password string) *pki.CSR {
		return must(pki.ParseCSR(must(pki.WithChallengePassword(csr, key, password))))
	}
	plain, one, two := must(pki.ParseCSR(request)), bind(request, key, "QUJD"), bind(request, key, "REVG")
	if got, ok := one.ChallengePassword(); got != "QUJD" || !ok {
		t.Errorf("the challenge password is %q", got)
	}
	if _, ok := plain.ChallengePassword(); ok {
		t.Error("a plain request has a challenge password")
	}
	if again := bind(one.DER, key, "REVG"); again.UnboundSHA256() != two.UnboundSHA256() || len(again.Request.DNSNames) != 1 {
		t.Error("a binding is not replaced by another one")
	}
	if one.UnboundSHA256() != two.UnboundSHA256() || one.UnboundSHA256() != plain.UnboundSHA256() || one.SHA256 == two.SHA256 || plain.UnboundSHA256() == plain.SHA256 {
		t.Error("the digests")
	}
	if different := bind(newRequest("b", key), key, "QUJD"); different.UnboundSHA256() == one.UnboundSHA256() {
		t.Error("another subject has the same digest")
	}
	if _, err := pki.WithChallengePassword(request, other, "QUJD"); models.KindOf(err) != models.KindInvalid {
		t.Errorf("a request for another key: %v", err)
	}
}
