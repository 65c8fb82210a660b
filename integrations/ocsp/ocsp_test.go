// SPDX-License-Identifier: MIT

package ocsp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/trustloom/trustloom/integrations/ocsp"
	"github.com/trustloom/trustloom/models"
)

type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func issue(t *testing.T, by *ca, serial int64, change func(*x509.Certificate)) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "number " + big.NewInt(serial).String()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	change(template)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ca{cert, key}
}

func asCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}
func signsOCSP(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
}

// O06: what a client must not believe.
func TestWhatIsBelieved(t *testing.T) {
	root := issue(t, nil, 1, asCA)
	other := issue(t, nil, 1, asCA)
	leaf := issue(t, root, 7, func(*x509.Certificate) {})
	delegate := issue(t, root, 8, signsOCSP)
	plain := issue(t, root, 9, func(*x509.Certificate) {})
	late := issue(t, root, 10, func(c *x509.Certificate) { signsOCSP(c); c.NotAfter = time.Now().Add(-time.Minute) })
	foreign := issue(t, other, 8, signsOCSP)
	now := time.Now()
	good := xocsp.Response{Status: xocsp.Good, SerialNumber: leaf.cert.SerialNumber, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}
	with := func(change func(*xocsp.Response)) xocsp.Response { r := good; change(&r); return r }
	tests := map[string]struct {
		response xocsp.Response
		signer   *ca
		raw      []byte
		status   int
		want     ocsp.Status
		fails    bool
	}{
		"good, by the issuer":                        {response: good, signer: root, want: ocsp.Good},
		"good, by a delegate":                        {response: with(func(r *xocsp.Response) { r.Certificate = delegate.cert }), signer: delegate, want: ocsp.Good},
		"revoked":                                    {response: with(func(r *xocsp.Response) { r.Status, r.RevokedAt = xocsp.Revoked, now.Add(-time.Hour) }), signer: root, want: ocsp.Revoked},
		"unknown":                                    {response: with(func(r *xocsp.Response) { r.Status = xocsp.Unknown }), signer: root, want: ocsp.Unknown},
		"O06 signed by another CA":                   {response: good, signer: other, fails: true},
		"O06 a delegate that is not for that":        {response: with(func(r *xocsp.Response) { r.Certificate = plain.cert }), signer: plain, fails: true},
		"O06 a delegate that has expired":            {response: with(func(r *xocsp.Response) { r.Certificate = late.cert }), signer: late, fails: true},
		"O06 a delegate of another CA":               {response: with(func(r *xocsp.Response) { r.Certificate = foreign.cert }), signer: foreign, fails: true},
		"O06 about another certificate":              {response: with(func(r *xocsp.Response) { r.SerialNumber = big.NewInt(8) }), signer: root, fails: true},
		"O06 out of date":                            {response: with(func(r *xocsp.Response) { r.ThisUpdate, r.NextUpdate = now.Add(-3*time.Hour), now.Add(-2*time.Hour) }), signer: root, fails: true},
		"O06 without an end":                         {response: with(func(r *xocsp.Response) { r.NextUpdate = time.Time{} }), signer: root, fails: true},
		"from the future":                            {response: with(func(r *xocsp.Response) { r.ThisUpdate = now.Add(time.Hour) }), signer: root, fails: true},
		"garbage":                                    {raw: []byte("<html>"), fails: true},
		"an answer without end":                      {raw: make([]byte, 65<<10), fails: true},
		"an error of HTTP":                           {response: good, signer: root, status: 500, fails: true},
		"a redirect":                                 {response: good, signer: root, status: 302, fails: true},
		"an error of OCSP, which nobody has to sign": {raw: xocsp.TryLaterErrorResponse, fails: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				body := tt.raw
				if body == nil {
					var err error
					if body, err = xocsp.CreateResponse(root.cert, tt.signer.cert, tt.response, tt.signer.key); err != nil {
						t.Error(err)
					}
				}
				if tt.status != 0 {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(tt.status)
				}
				_, _ = w.Write(body)
			}))
			defer server.Close()
			got, err := ocsp.NewClient(time.Minute, time.Now).Ask(context.Background(), server.URL, leaf.cert, root.cert)
			if (err != nil) != tt.fails || got == ocsp.Good && tt.want != ocsp.Good {
				t.Errorf("the answer is %s, %v", got, err)
			}
			if !tt.fails && got != tt.want {
				t.Errorf("the status is %s, want %s", got, tt.want)
			}
			if tt.fails && models.KindOf(err) != models.KindUnavailable {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestURLsOfResponders(t *testing.T) {
	for target, fine := range map[string]bool{
		"http://ocsp.example/": true, "https://ocsp.example:8443/x": true, "file:///etc/passwd": false, "ldap://x/": false, "http://": false,
		"http://user:secret@x/": false, "": false, "http://x/#y": false,
	} {
		if err := ocsp.CheckURL(target); (err == nil) != fine {
			t.Errorf("%q: %v", target, err)
		}
	}
}

func TestAResponderThatIsSilentIsNotWaitedFor(t *testing.T) {
	root := issue(t, nil, 1, asCA)
	leaf := issue(t, root, 7, func(*x509.Certificate) {})
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer server.Close()
	defer close(hold)
	if _, err := ocsp.NewClient(50*time.Millisecond, time.Now).Ask(context.Background(), server.URL, leaf.cert, root.cert); models.KindOf(err) != models.KindUnavailable {
		t.Errorf("the error is %v", err)
	}
}
