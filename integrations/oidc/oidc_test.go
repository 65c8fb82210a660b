// SPDX-License-Identifier: MIT

package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/integrations/oidc"
	"github.com/trustloom/trustloom/models"
)

// hostile is a provider that says what a test wants. That a real one is
// understood, test/e2e shows.
type hostile struct {
	*httptest.Server
	key      *rsa.PrivateKey
	other    *ecdsa.PrivateKey // not among its keys
	document map[string]any
	token    func() string // the ID token
	userinfo map[string]any
	keys     atomic.Int32 // how often the key set was asked for
	redeemed map[string]bool
	forms    []url.Values
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{key: key, other: other, redeemed: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.document) })
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		h.keys.Add(1)
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "one", "use": "sig",
			"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		h.forms = append(h.forms, r.PostForm)
		if code := r.PostForm.Get("code"); h.redeemed[code] {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]any{"error": "invalid_grant"})
			return
		}
		h.redeemed[r.PostForm.Get("code")] = true
		answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": h.token()})
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.userinfo) })
	h.Server = httptest.NewTLSServer(mux)
	t.Cleanup(h.Close)
	h.document = map[string]any{"issuer": h.URL, "authorization_endpoint": h.URL + "/auth", "token_endpoint": h.URL + "/token", "jwks_uri": h.URL + "/keys",
		"userinfo_endpoint": h.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}}
	return h
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func part(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b64(text)
}

// claims are good ones.
func (h *hostile) claims(change map[string]any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"iss": h.URL, "sub": "4711", "aud": "trustloom", "exp": now + 300, "iat": now, "nonce": "n", "name": "Alice", "groups": []string{"a", "b"}}
	for name, value := range change {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// sign makes an ID token with the provider's key.
func (h *hostile) sign(header map[string]any, claims map[string]any) string {
	head := map[string]any{"alg": "RS256", "kid": "one", "typ": "JWT"}
	maps.Copy(head, header)
	input := part(head) + "." + part(claims)
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, h.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}

func (h *hostile) provider(t *testing.T) *oidc.Provider {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	p, err := oidc.New(oidc.Config{Issuer: h.URL, ClientID: "trustloom", ClientSecret: "secret", RedirectURL: "https://pki.example/cb",
		Scopes: []string{"openid"}, NameClaim: "name", GroupsClaim: "groups", Roots: pool})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhereTheBrowserGoes(t *testing.T) {
	h := newHostile(t)
	address, err := h.provider(t).AuthURL(t.Context(), "s", "n", strings.Repeat("v", 43))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(strings.Repeat("v", 43)))
	want := url.Values{"client_id": {"trustloom"}, "redirect_uri": {"https://pki.example/cb"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
		"nonce": {"n"}, "code_challenge": {b64(sum[:])}, "code_challenge_method": {"S256"}}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Error(diff)
	}
}

func TestWhoComesBack(t *testing.T) {
	h := newHostile(t)
	h.token = func() string { return h.sign(nil, h.claims(nil)) }
	p := h.provider(t)
	a := oidc.Answer{Code: "c", Nonce: "n", Verifier: strings.Repeat("v", 43)}
	got, err := p.Exchange(t.Context(), a)
	if diff := cmp.Diff(&oidc.Claims{Issuer: h.URL, Subject: "4711", Name: "Alice", Groups: []string{"a", "b"}}, got); diff != "" || err != nil {
		t.Fatal(err, diff)
	}
	if form := h.forms[0]; form.Get("code_verifier") != a.Verifier || form.Get("redirect_uri") != "https://pki.example/cb" || form.Get("client_secret") != "" {
		t.Errorf("form %v", form)
	}
	if _, err := p.Exchange(t.Context(), a); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("the code again: %v", err)
	}
	a.Code = "d"
	if _, err := p.Exchange(t.Context(), a); err != nil || h.keys.Load() != 1 {
		t.Errorf("another one: %v; %d times the keys", err, h.keys.Load())
	}
	h.token = func() string { return h.sign(nil, h.claims(map[string]any{"name": nil, "groups": nil})) }
	h.userinfo = map[string]any{"sub": "4711", "name": "Bob", "groups": "c"}
	a.Code = "e"
	if got, err = p.Exchange(t.Context(), a); err != nil || got.Name != "Bob" || !cmp.Equal(got.Groups, []string{"c"}) {
		t.Errorf("from the user info: %+v, %v", got, err)
	}
	h.userinfo["sub"], a.Code = "4712", "f"
	if _, err = p.Exchange(t.Context(), a); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("the user info of somebody else: %v", err)
	}
}

// TestTokensThatAreRefused is R06 and R07 of the list of attacks.
func TestTokensThatAreRefused(t *testing.T) {
	h := newHostile(t)
	now := time.Now().Unix()
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(t, &h.key.PublicKey)})
	with := func(change map[string]any) func() string {
		return func() string { return h.sign(nil, h.claims(change)) }
	}
	headed := func(header map[string]any) func() string {
		return func() string { return h.sign(header, h.claims(nil)) }
	}
	foreign := func(header map[string]any) func() string { return func() string { return h.foreign(header) } }
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "x": b64(h.other.X.FillBytes(make([]byte, 32))), "y": b64(h.other.Y.FillBytes(make([]byte, 32)))} //nolint:staticcheck // the coordinates are what a JWK has
	for name, token := range map[string]func() string{
		"alg none": func() string { return part(map[string]any{"alg": "none"}) + "." + part(h.claims(nil)) + "." },
		"alg None": func() string { return part(map[string]any{"alg": "None"}) + "." + part(h.claims(nil)) + "." },
		"no signature": func() string {
			return part(map[string]any{"alg": "RS256", "kid": "one"}) + "." + part(h.claims(nil)) + "."
		},
		"HS256 under the public key as PEM":     func() string { return h.hs256(public) },
		"HS256 under the client's secret":       func() string { return h.hs256([]byte("secret")) },
		"a key that is not the provider's":      foreign(nil),
		"its key in the header":                 foreign(map[string]any{"jwk": jwk}),
		"its key set by jku":                    foreign(map[string]any{"jku": "https://evil.example/keys"}),
		"its certificate by x5u":                foreign(map[string]any{"x5u": "https://evil.example/cert"}),
		"a kid that is a path":                  foreign(map[string]any{"kid": "../../../../dev/null"}),
		"a kid that is SQL":                     foreign(map[string]any{"kid": "x' UNION SELECT 'key"}),
		"a critical header that nobody knows":   headed(map[string]any{"crit": []string{"exp"}}),
		"another issuer":                        with(map[string]any{"iss": "https://evil.example"}),
		"no issuer":                             with(map[string]any{"iss": nil}),
		"another audience":                      with(map[string]any{"aud": "other"}),
		"no audience":                           with(map[string]any{"aud": nil}),
		"an audience that begins like ours":     with(map[string]any{"aud": "trustloom-evil"}),
		"two audiences and no authorized party": with(map[string]any{"aud": []string{"trustloom", "other"}}),
		"an authorized party that is somebody":  with(map[string]any{"aud": []string{"trustloom", "other"}, "azp": "other"}),
		"another authorized party, alone":       with(map[string]any{"azp": "other"}),
		"expired":                               with(map[string]any{"exp": now - 120}),
		"no expiry":                             with(map[string]any{"exp": nil}),
		"not valid yet":                         with(map[string]any{"nbf": now + 3600}),
		"issued in the future":                  with(map[string]any{"iat": now + 3600}),
		"issued long ago":                       with(map[string]any{"iat": now - 3600}),
		"no time of issue":                      with(map[string]any{"iat": nil}),
		"no nonce":                              with(map[string]any{"nonce": nil}),
		"another nonce":                         with(map[string]any{"nonce": "m"}),
		"no subject":                            with(map[string]any{"sub": ""}),
		"a long subject":                        with(map[string]any{"sub": strings.Repeat("x", 256)}),
		"a megabyte of dots":                    func() string { return strings.Repeat(".", 1<<19) },
		"a hundred thousand bytes":              with(map[string]any{"padding": strings.Repeat("x", 100_000)}),
		"nothing":                               func() string { return "" },
		"claims that were changed after the signing": func() string {
			parts := strings.Split(h.sign(nil, h.claims(nil)), ".")
			return parts[0] + "." + part(h.claims(map[string]any{"sub": "1"})) + "." + parts[2]
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.token = token
			got, err := h.provider(t).Exchange(t.Context(), oidc.Answer{Code: name, Nonce: "n", Verifier: strings.Repeat("v", 43)})
			if err == nil || models.KindOf(err) != models.KindUnauthenticated || models.PublicText(err) != "the login failed; begin again" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	h.token = with(map[string]any{"aud": []string{"trustloom", "other"}, "azp": "trustloom"})
	if _, err := h.provider(t).Exchange(t.Context(), oidc.Answer{Code: "last", Nonce: "n"}); err != nil {
		t.Errorf("two audiences, and us as authorized party: %v", err)
	}
	if _, err := h.provider(t).Exchange(t.Context(), oidc.Answer{Code: "no nonce"}); models.KindOf(err) != models.KindUnauthenticated {
		t.Errorf("no nonce was sent: %v", err)
	}
}

func spki(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (h *hostile) hs256(secret []byte) string {
	input := part(map[string]any{"alg": "HS256", "kid": "one"}) + "." + part(h.claims(nil))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func (h *hostile) foreign(header map[string]any) string {
	head := map[string]any{"alg": "ES256"}
	maps.Copy(head, header)
	input := part(head) + "." + part(h.claims(nil))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, h.other, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func TestTheIssuerParameter(t *testing.T) {
	for name, x := range map[string]struct {
		told  bool
		given string
		good  bool
	}{
		"promised and right":      {true, "self", true},
		"promised and missing":    {true, "", false},
		"promised and wrong":      {true, "https://evil.example", false},
		"not promised, but there": {false, "https://evil.example", false},
		"not promised":            {false, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.document["authorization_response_iss_parameter_supported"] = x.told
			h.token = func() string { return h.sign(nil, h.claims(nil)) }
			issuer := strings.ReplaceAll(x.given, "self", h.URL)
			_, err := h.provider(t).Exchange(t.Context(), oidc.Answer{Code: "c", Nonce: "n", Issuer: issuer})
			if (err == nil) != x.good {
				t.Error(err)
			}
			if !x.good && len(h.forms) > 0 {
				t.Error("the code was sent all the same")
			}
		})
	}
}

func TestProvidersThatAreNone(t *testing.T) {
	for name, change := range map[string]func(h *hostile){
		"another issuer in its document": func(h *hostile) { h.document["issuer"] = "https://evil.example" },
		"keys without TLS":               func(h *hostile) { h.document["jwks_uri"] = "http://192.0.2.1/keys" },
		"a token endpoint without TLS":   func(h *hostile) { h.document["token_endpoint"] = "http://192.0.2.1/token" },
		"user info without TLS":          func(h *hostile) { h.document["userinfo_endpoint"] = "http://192.0.2.1/me" },
		"a document without an end":      func(h *hostile) { h.document["padding"] = strings.Repeat("x", 2<<20) },
		"no authorization endpoint":      func(h *hostile) { delete(h.document, "authorization_endpoint") },
		"one that is away":               func(h *hostile) { h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			change(h)
			p := h.provider(t)
			for range 2 { // the second answer is from memory
				if _, err := p.AuthURL(t.Context(), "s", "n", "v"); models.KindOf(err) != models.KindUnavailable || models.RetryAfter(err) == 0 {
					t.Error(err)
				}
			}
		})
	}
	for _, issuer := range []string{"", "http://login.example", "https://user@login.example", "ftp://login.example", "https://login.example#x", "http://127.0.0.1.evil.example"} {
		if _, err := oidc.New(oidc.Config{Issuer: issuer, ClientID: "x", RedirectURL: "https://pki.example/cb"}); err == nil {
			t.Errorf("issuer %q is taken", issuer)
		}
	}
}
