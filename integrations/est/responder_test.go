// SPDX-License-Identifier: MIT

package est

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
)

// exchange is one HTTP exchange in a table: what is sent, what must come.
type exchange struct {
	method  string // default POST
	path    string // default /.well-known/est/press-shop/simpleenroll
	header  http.Header
	body    []byte
	status  int
	answer  map[string]string // headers
	says    string            // part of the body
	backend bool              // whether the backend is asked
}

func basic(username, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
}

// good returns the headers of a request that is answered with a certificate,
// with changes.
func good(changes ...string) http.Header {
	header := http.Header{"Content-Type": {"application/pkcs10"}, "Authorization": {basic("press-01", "open:sesame")}}
	for i := 0; i < len(changes); i += 2 {
		header.Del(changes[i])
		for value := range strings.SplitSeq(changes[i+1], "|") {
			if value != "" {
				header.Add(changes[i], value)
			}
		}
	}
	return header
}

func TestResponder(t *testing.T) {
	const est = "/.well-known/est/"
	csr := newRequest("press-01", newKey())
	b64 := base64.StdEncoding.EncodeToString(csr)
	broken := bytes.Clone(csr)
	broken[len(broken)-1] ^= 1
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
	issued := map[string]string{"Content-Type": "application/pkcs7-mime; smime-type=certs-only", "Content-Transfer-Encoding": "base64"}
	unauthenticated := map[string]string{"WWW-Authenticate": `Basic realm="trustloom est", charset="UTF-8"`}
	tests := map[string]exchange{
		"base64":                           {body: []byte(b64), status: 200, answer: issued, backend: true},
		"base64 in short lines with CRLF":  {body: []byte(b64[:11] + "\r\n" + b64[11:40] + "\n \t" + b64[40:] + "\r\n"), status: 200, backend: true},
		"PEM":                              {body: inPEM, status: 200, backend: true},
		"DER":                              {body: csr, status: 200, backend: true},
		"DER said to be base64":            {header: good("Content-Transfer-Encoding", "base64"), body: csr, status: 200, backend: true},
		"base64 said to be 8bit":           {header: good("Content-Transfer-Encoding", "8bit"), body: []byte(b64), status: 200, backend: true},
		"a parameter of the content type":  {header: good("Content-Type", "application/pkcs10; charset=utf-8"), body: csr, status: 200, backend: true},
		"a malformed parameter":            {header: good("Content-Type", "application/pkcs10; charset"), body: csr, status: 200, backend: true},
		"an upper-case content type":       {header: good("Content-Type", "Application/PKCS10"), body: csr, status: 200, backend: true},
		"a slash at the end":               {path: est + "press-shop/simpleenroll/", body: csr, status: 200, backend: true},
		"a profile as segment":             {path: est + "press-shop/tls_server/simpleenroll", body: csr, status: 200, backend: true},
		"a profile behind a tilde":         {path: est + "press-shop~tls_server/simpleenroll/", body: csr, status: 200, backend: true},
		"100,000 query parameters":         {path: est + "press-shop/simpleenroll?" + strings.Repeat("a&", 100000), body: csr, status: 200, backend: true},
		"cacerts":                          {method: "GET", path: est + "press-shop/cacerts", status: 200, answer: issued},
		"cacerts with a bad Authorization": {method: "GET", path: est + "press-shop/cacerts/", header: good("Authorization", "Bearer x"), status: 200},
		"the head of cacerts":              {method: "HEAD", path: est + "press-shop/cacerts", status: 200, answer: issued},

		"no content type":       {header: good("Content-Type", ""), body: csr, status: 415, says: "send the request with Content-Type: application/pkcs10"},
		"another content type":  {header: good("Content-Type", "application/octet-stream"), body: csr, status: 415},
		"a multipart body":      {header: good("Content-Type", "multipart/mixed; boundary=x"), body: csr, status: 415},
		"two content types":     {header: good("Content-Type", "application/pkcs10|text/plain"), body: csr, status: 415},
		"GET simpleenroll":      {method: "GET", status: 405, answer: map[string]string{"Allow": "POST"}, says: "simpleenroll is asked for with POST"},
		"PUT simplereenroll":    {method: "PUT", path: est + "press-shop/simplereenroll", status: 405, answer: map[string]string{"Allow": "POST"}},
		"POST cacerts":          {path: est + "press-shop/cacerts", status: 405, answer: map[string]string{"Allow": "GET, HEAD"}},
		"nothing":               {status: 400, says: "the request is empty"},
		"garbage":               {body: []byte("hello"), status: 400},
		"a CSR cut short":       {body: csr[:len(csr)-1], status: 400},
		"bytes after the CSR":   {body: append(bytes.Clone(csr), 0), status: 400},
		"a broken signature":    {body: broken, status: 400, says: "the signature of the request is not made by its key"},
		"64 KiB and one":        {body: make([]byte, 64<<10+1), status: 413, answer: map[string]string{"Connection": "close"}, says: "larger than 64 KiB"},
		"64 KiB of white space": {body: bytes.Repeat([]byte(" "), 64<<10), status: 400},
		"an unknown domain":     {path: est + "paint-shop/simpleenroll", body: csr, status: 404, says: "there is no domain paint-shop (request r-1)", backend: true},

		"no credentials":                 {header: good("Authorization", ""), body: csr, status: 401, answer: unauthenticated, says: "who are you?", backend: true},
		"a wrong password":               {header: good("Authorization", basic("press-01", "sesame")), body: csr, status: 401, answer: unauthenticated, backend: true},
		"a unicode twin of the name":     {header: good("Authorization", basic("ｐress-01", "open:sesame")), body: csr, status: 401, backend: true},
		"another scheme":                 {header: good("Authorization", "Bearer token"), body: csr, status: 401, answer: unauthenticated, says: "the Authorization header cannot be read"},
		"a scheme without credentials":   {header: good("Authorization", "Basic"), body: csr, status: 401},
		"no base64":                      {header: good("Authorization", "Basic ???"), body: csr, status: 401},
		"no colon":                       {header: good("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("press-01"))), body: csr, status: 401},
		"a NUL in the password":          {header: good("Authorization", basic("press-01", "open:sesame\x00")), body: csr, status: 401},
		"Latin-1":                        {header: good("Authorization", basic("press-01", "\xfc")), body: csr, status: 401},
		"two Authorization headers":      {header: good("Authorization", "Basic eDp5|"+basic("press-01", "open:sesame")), body: csr, status: 401},
		"a long user name":               {header: good("Authorization", basic(strings.Repeat("u", 257), "x")), body: csr, status: 401},
		"a long password":                {header: good("Authorization", basic("press-01", strings.Repeat("p", 1025))), body: csr, status: 401},
		"a password of 512 KiB":          {header: good("Authorization", basic("press-01", strings.Repeat("p", 512<<10))), body: csr, status: 401},
		"a certificate in proxy headers": {header: good("Authorization", "", "X-SSL-Client-Cert", "-----BEGIN CERTIFICATE-----", "x_ssl_client_cert", "x", "X-Forwarded-Client-Cert", "x"), body: csr, status: 401, backend: true},

		"no domain":              {path: est + "simpleenroll", body: csr, status: 404, says: "EST is offered per domain; use /.well-known/est/{domain}/simpleenroll"},
		"no domain, with slash":  {method: "GET", path: est + "cacerts/", status: 404, says: "use /.well-known/est/{domain}/cacerts"},
		"nothing but the prefix": {method: "GET", path: est, status: 404},
		"no operation":           {method: "GET", path: est + "press-shop", status: 404, says: "the path does not end in an operation"},
		"csrattrs":               {method: "GET", path: est + "press-shop/csrattrs", header: http.Header{}, status: 200, answer: map[string]string{"Content-Type": "application/csrattrs", "Content-Transfer-Encoding": "base64"}},
		"csrattrs of a profile that wants nothing":      {method: "GET", path: est + "press-shop/domain_credential/csrattrs", status: 204},
		"csrattrs with credentials that cannot be read": {method: "GET", path: est + "press-shop/csrattrs", header: good("Authorization", "Basic ???"), status: 200},
		"POST csrattrs":                     {path: est + "press-shop/csrattrs", body: csr, status: 405, answer: map[string]string{"Allow": "GET, HEAD"}},
		"E16 fullcmc with a message inside": {path: est + "press-shop/fullcmc", header: http.Header{"Content-Type": {"application/pkcs7-mime; smime-type=CMC-request"}}, body: bytes.Repeat([]byte{0x30, 0x80}, 20000), status: 404, says: "fullcmc is not offered"},
		"E12 dots":                          {path: est + "../simpleenroll", body: csr, status: 404},
		"E12 escaped dots":                  {path: est + "%2e%2e/simpleenroll", body: csr, status: 404},
		"E12 an escaped slash":              {path: est + "press-shop%2ftls_server/simpleenroll", body: csr, status: 404},
		"E12 a slash of unicode":            {path: est + "press-shop%E2%88%95tls_server/simpleenroll", body: csr, status: 404},
		"E12 a label of 2 KiB":              {path: est + strings.Repeat("a", 2048) + "/simpleenroll", body: csr, status: 404},
		"fullcmc":                           {path: est + "press-shop/fullcmc", body: csr, status: 404, says: "fullcmc is not offered"},
		"dots":                              {path: est + "../press-shop/simpleenroll", body: csr, status: 404},
		"escaped dots":                      {path: est + "%2e%2e/simpleenroll", body: csr, status: 404},
		"an escaped slash":                  {path: est + "press-shop%2fx/simpleenroll", body: csr, status: 404},
		"an escaped letter":                 {path: est + "%70ress-shop/simpleenroll", body: csr, status: 404},
		"a unicode slash":                   {path: est + "press-shop∕x/simpleenroll", body: csr, status: 404},
		"upper case":                        {path: est + "Press-Shop/simpleenroll", body: csr, status: 404},
		"a label of 2 KB":                   {path: est + strings.Repeat("a", 2048) + "/simpleenroll", body: csr, status: 404},
		"an empty segment":                  {path: est + "press-shop//simpleenroll", body: csr, status: 404},
		"two slashes at the end":            {path: est + "press-shop/simpleenroll//", body: csr, status: 404},
		"four segments":                     {path: est + "a/b/c/simpleenroll", body: csr, status: 404},
		"a tilde too many":                  {path: est + "press-shop~a~b/simpleenroll", body: csr, status: 404},
		"a tilde and a segment":             {path: est + "press-shop~a/b/simpleenroll", body: csr, status: 404},
		"a tilde and no profile":            {path: est + "press-shop~/simpleenroll", body: csr, status: 404},
	}
	p := newPlant()
	server := serve(t, p)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test.run(t, p, server) })
	}
}

func (x exchange) run(t *testing.T, p *plant, server *httptest.Server) {
	if x.method == "" {
		x.method = http.MethodPost
	}
	if x.path == "" {
		x.path = "/.well-known/est/press-shop/simpleenroll"
	}
	if x.header == nil {
		x.header = good()
	}
	request, err := http.NewRequestWithContext(t.Context(), x.method, server.URL+x.path, bytes.NewReader(x.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = x.header
	before, _ := p.calls()
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close() //nolint:errcheck // it was read
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != x.status || !strings.Contains(string(body), x.says) {
		t.Errorf("got %d %s\nwant %d %s", answer.StatusCode, body, x.status, x.says)
	}
	for name, want := range x.answer {
		got := answer.Header.Get(name)
		if name == "Connection" && answer.Close { // the client consumes it
			got = "close"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent && strings.Count(string(body), "\n") != 1 {
		t.Errorf("not one line: %q", body)
	}
	if after, _ := p.calls(); (after > before) != x.backend {
		t.Errorf("the backend was asked %d times", after-before)
	}
}

func TestEveryKindHasItsStatus(t *testing.T) {
	csr := newRequest("press-01", newKey())
	for _, kind := range models.Kinds {
		t.Run(kind.String(), func(t *testing.T) {
			p := newPlant()
			p.fail = models.Errorf(kind, "a sentence").After(1200 * time.Millisecond).Because(errors.New("the secret cause"))
			var logged bytes.Buffer
			handler := NewResponder(p, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			request := httptest.NewRequest(http.MethodPost, "https://pki.example/.well-known/est/press-shop/simpleenroll", bytes.NewReader(csr))
			request.Header = good()
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			want := map[models.Kind]int{
				models.KindInvalid: 400, models.KindUnauthenticated: 401, models.KindDenied: 403, models.KindNotFound: 404,
				models.KindConflict: 409, models.KindLimited: 503, models.KindUnavailable: 503, models.KindInternal: 500,
			}[kind]
			if recorder.Code != want {
				t.Errorf("got %d, want %d", recorder.Code, want)
			}
			if got := recorder.Body.String(); strings.Contains(got, "secret") || (kind != models.KindInternal) != (got == "a sentence\n") {
				t.Errorf("body %q", got)
			}
			if !strings.Contains(logged.String(), "the secret cause") || (want >= 500) != strings.Contains(logged.String(), "level=ERROR") {
				t.Errorf("log %q", logged.String())
			}
			if got := recorder.Header().Get("Retry-After"); (want == 503) != (got == "2") {
				t.Errorf("Retry-After %q", got)
			}
		})
	}
	t.Run("an unclassified error", func(t *testing.T) {
		p := newPlant()
		p.fail = errors.New("disk on fire")
		recorder := httptest.NewRecorder()
		NewResponder(p, Options{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "https://pki.example/.well-known/est/press-shop/cacerts", nil))
		if recorder.Code != 500 || strings.Contains(recorder.Body.String(), "fire") {
			t.Errorf("%d %s", recorder.Code, recorder.Body)
		}
	})
	t.Run("unavailable without a delay has one nevertheless", func(t *testing.T) {
		p := newPlant()
		p.fail = models.Errorf(models.KindUnavailable, "away")
		recorder := httptest.NewRecorder()
		NewResponder(p, Options{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "https://pki.example/.well-known/est/press-shop/cacerts", nil))
		if recorder.Code != 503 || recorder.Header().Get("Retry-After") != "10" {
			t.Errorf("%d %v", recorder.Code, recorder.Header())
		}
	})
}

func TestCleartextIsRefused(t *testing.T) {
	server := httptest.NewServer(NewResponder(newPlant(), Options{}))
	defer server.Close()
	answer := must(server.Client().Get(server.URL + "/.well-known/est/press-shop/cacerts"))
	defer answer.Body.Close() //nolint:errcheck // nothing is read
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("got %d", answer.StatusCode)
	}
}

func TestAThousandRepetitionsWhilePending(t *testing.T) {
	p := newPlant()
	csr := newRequest("press-01", newKey())
	p.hold(csr, 30*time.Second)
	handler := NewResponder(p, Options{})
	var group sync.WaitGroup
	for range 1000 {
		group.Go(func() {
			request := httptest.NewRequest(http.MethodPost, "https://pki.example/.well-known/est/press-shop/simpleenroll", bytes.NewReader(csr))
			request.Header = good()
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != 202 || recorder.Header().Get("Retry-After") != "30" || recorder.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%d %v", recorder.Code, recorder.Header())
			}
		})
	}
	group.Wait()
}

func TestAnswersAreWrapped(t *testing.T) {
	for line := range bytes.Lines(encodeBase64(bytes.Repeat([]byte{1}, 200))) {
		if len(line) > 77 || !bytes.HasSuffix(line, []byte("\n")) || bytes.Contains(line, []byte("\r")) {
			t.Errorf("line %q", line)
		}
	}
}

// TestRawConnections speaks HTTP as programs do that are not made of Go.
func TestRawConnections(t *testing.T) {
	csr := newRequest("press-01", newKey())
	head := "Host: pki.example\r\nContent-Type: application/pkcs10\r\nAuthorization: " + basic("press-01", "open:sesame") + "\r\n"
	const line = "POST /.well-known/est/press-shop/simpleenroll HTTP/"
	chunked := fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", head, csr[:5], len(csr)-5, csr[5:])
	tests := map[string]struct{ sent, want string }{
		"HTTP/1.0":                   {fmt.Sprintf("%s1.0\r\n%sContent-Length: %d\r\n\r\n%s", line, head, len(csr), csr), "HTTP/1.0 200 "},
		"chunks":                     {line + "1.1\r\n" + chunked, "HTTP/1.1 200 "},
		"an announced giant":         {line + "1.1\r\n" + head + "Content-Length: 1000000000\r\n\r\nMIIB", "HTTP/1.1 413 "},
		"chunks without an end":      {line + "1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("400\r\n"+strings.Repeat("A", 1024)+"\r\n", 80), "HTTP/1.1 413 "},
		"length and chunks":          {line + "1.1\r\n" + head + "Content-Length: 5\r\n" + strings.TrimPrefix(chunked, head), "HTTP/1.1 "},
		"two lengths":                {line + "1.1\r\n" + head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "HTTP/1.1 400 "},
		"a path that is not one":     {"POST /.well-known/est/../est/press-shop/simpleenroll HTTP/1.1\r\n" + head + "Content-Length: 0\r\n\r\n", "HTTP/1.1 404 "},
		"an absolute request target": {"GET https://pki.example/.well-known/est/press-shop/cacerts HTTP/1.1\r\nHost: pki.example\r\n\r\n", "HTTP/1.1 200 "},
	}
	server := serve(t, newPlant())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{RootCAs: trust(server), ServerName: "example.com"})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // the test is over
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, test.sent); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Logf("the server stopped reading: %v", err)
			}
			answer := make([]byte, len(test.want))
			if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != test.want {
				t.Errorf("got %q, %v; want %q", answer, err, test.want)
			}
		})
	}
}
