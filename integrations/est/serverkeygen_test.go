// SPDX-License-Identifier: MIT

package est

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"mime"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func (p *plant) ServerKeyGen(ctx context.Context, label Label, csr *pki.CSR, peer Peer) (KeyResult, error) {
	result, err := p.SimpleEnroll(ctx, label, csr, peer)
	if err != nil || result.Pending() {
		return KeyResult{Result: result}, err
	}
	key, err := pki.GenerateKey(csr.KeyAlgorithm)
	if err != nil {
		return KeyResult{}, err
	}
	cert := p.issuing.issue(&x509.Certificate{Subject: csr.Request.Subject}, key.Public())
	out := KeyResult{Result: Result{Certificates: []*x509.Certificate{cert}}}
	wish, err := csr.KeyEncryption()
	switch {
	case err != nil:
		return KeyResult{}, err
	case wish.Wanted():
		out.Enveloped = true
		out.Key, err = pki.EnvelopeKey(key, peer.Certificates[0], p.issuing.cert, p.issuing.key)
	default:
		out.Key, err = x509.MarshalPKCS8PrivateKey(key)
	}
	return out, err
}

func TestServerKeyGen(t *testing.T) {
	p := newPlant()
	server := serve(t, p)
	cfg := ClientConfig{URL: server.URL, Roots: trust(server), Label: Label{Domain: "press-shop"}, Username: "press-01", Password: "open:sesame"}
	client := newClient(t, cfg)
	t.Run("key and certificate come together", func(t *testing.T) {
		result, err := client.ServerKeyGen(t.Context(), newRequest("press-01", newKey()))
		if err != nil || result.Enveloped || len(result.Certificates) != 1 {
			t.Fatalf("%+v, %v", result, err)
		}
		key := must(x509.ParsePKCS8PrivateKey(result.Key))
		if !pki.KeyBelongs(key, result.Certificates[0]) {
			t.Error("they do not belong together")
		}
	})
	t.Run("a request that waits is asked again", func(t *testing.T) {
		csr := newRequest("press-01", newKey())
		p.hold(csr, 7*time.Second)
		if result, err := client.ServerKeyGen(t.Context(), csr); err != nil || result.RetryAfter != 7*time.Second {
			t.Fatalf("%+v, %v", result, err)
		}
		p.hold(csr, 0)
		if result, err := client.ServerKeyGen(t.Context(), csr); err != nil || result.Pending() {
			t.Fatalf("%+v, %v", result, err)
		}
	})
	t.Run("the answer is what RFC 7030 section 4.4.2 says", func(t *testing.T) {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/.well-known/est/press-shop/serverkeygen",
			strings.NewReader(string(encodeBase64(newRequest("press-01", newKey()))))))
		r.Header.Set("Content-Type", typePKCS10)
		r.SetBasicAuth("press-01", "open:sesame")
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		media, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
		if err != nil || media != "multipart/mixed" || parameters["boundary"] == "" || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("the header is %v", answer.Header)
		}
	})
	t.Run("other methods are refused", func(t *testing.T) {
		answer, err := server.Client().Get(server.URL + "/.well-known/est/press-shop/serverkeygen")
		if err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%v %v", answer, err)
		}
	})
}

// E13: what was to be encrypted is.
func TestOpenSSLOpensAServerGeneratedKey(t *testing.T) {
	p := newPlant()
	server := serve(t, p)
	key := newKey()
	own := p.issuing.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, SubjectKeyId: []byte{1, 2, 3}}, key.Public())
	cfg := ClientConfig{URL: server.URL, Roots: trust(server), Label: Label{Domain: "press-shop"}, Certificate: &tls.Certificate{Certificate: [][]byte{own.Raw, p.issuing.cert.Raw}, PrivateKey: key}}
	asking := newKey()
	csr := must(pki.WithKeyEncryption(newRequest("press-01", asking), asking, []byte{1, 2, 3}))
	result, err := newClient(t, cfg).ServerKeyGen(t.Context(), csr)
	if err != nil || !result.Enveloped {
		t.Fatalf("%+v, %v", result, err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"key.der": result.Key, "own.pem": pki.EncodePEM(own), "own.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("openssl", "cms", "-decrypt", "-inform", "DER", "-in", "key.der", "-inkey", "own.key", "-recip", "own.pem", "-out", "signed.der")
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
}

func TestKeyAnswersThatAreRefused(t *testing.T) {
	p := newPlant()
	key := newKey()
	cert := p.issuing.issue(&x509.Certificate{}, key.Public())
	other := must(x509.MarshalPKCS8PrivateKey(newKey()))
	body, boundary, err := encodeKeyAnswer(KeyResult{Result: Result{Certificates: []*x509.Certificate{cert}}, Key: other})
	if err != nil {
		t.Fatal(err)
	}
	good := mime.FormatMediaType(typeMultipart, map[string]string{"boundary": boundary})
	for name, c := range map[string]struct {
		contentType string
		body        string
	}{
		"a key of another certificate": {good, string(body)},
		"no boundary":                  {typeMultipart, string(body)},
		"another type":                 {typePKCS7, string(body)},
		"one part":                     {good, string(body[:strings.LastIndex(string(body[:len(body)-10]), "--"+boundary)]) + "--" + boundary + "--\r\n"},
		"nothing":                      {good, ""},
		"a part that is cut":           {good, string(body[:len(body)/2])},
	} {
		if got, err := decodeKeyAnswer(c.contentType, []byte(c.body)); models.KindOf(err) != models.KindUnavailable {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzKeyAnswer(f *testing.F) {
	p := newPlant()
	key := newKey()
	result := KeyResult{Result: Result{Certificates: []*x509.Certificate{p.issuing.issue(&x509.Certificate{}, key.Public())}}, Key: must(x509.MarshalPKCS8PrivateKey(key))}
	body, boundary, err := encodeKeyAnswer(result)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(mime.FormatMediaType(typeMultipart, map[string]string{"boundary": boundary}), body)
	f.Add("multipart/mixed; boundary=x", []byte("--x\r\nContent-Type: application/pkcs8\r\n\r\nMA==\r\n--x--"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		got, err := decodeKeyAnswer(contentType, body)
		if err == nil && (len(got.Key) == 0 || len(got.Certificates) == 0) {
			t.Error("an answer without a key or a certificate was taken")
		}
	})
}
