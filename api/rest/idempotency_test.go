// SPDX-License-Identifier: MIT

package rest

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func keyed(c call, key string) call {
	c.header = http.Header{idempotencyHeader: {key}}
	return c
}

var press = call{as: "admin", method: "POST", path: "/devices", body: `{"name":"press-09","domain":"alpha","onboarding":{"method":"est-password"}}`}

func TestACopyIsAnsweredAsTheFirstWithoutItsSecret(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		first, second := w.do(keyed(press, "k1")), w.do(keyed(press, "k1"))
		if first.Code != 201 || second.Code != 201 || first.Header().Get(replayedHeader) != "" || second.Header().Get(replayedHeader) != "true" {
			t.Fatalf("first %d, second %d %v", first.Code, second.Code, second.Header())
		}
		secret := text(first, "onboarding", "secret")
		if secret == "" || text(second, "onboarding", "secret") != "" || text(second, "onboarding", "note") == "" || text(first, "id") != text(second, "id") {
			t.Errorf("first %s\nsecond %s", first.Body, second.Body)
		}
		kept, err := w.Store.FindAnswer(t.Context(), string(principal(t, w, "admin")), "k1")
		if err != nil || strings.Contains(string(kept.Body), secret) {
			t.Errorf("kept answer %s, %v", kept.Body, err)
		}
	})
}

func principal(t *testing.T, w *world, name string) models.TokenID {
	t.Helper()
	p, err := w.Auth.Authenticate(t.Context(), auth.Credentials{Bearer: w.tokens[name]})
	if err != nil {
		t.Fatal(err)
	}
	return p.TokenID
}

func TestAKeyBelongsToOneRequestOfOneToken(t *testing.T) {
	w := small(t)
	if a := w.do(keyed(press, "k1")); a.Code != 201 {
		t.Fatal(a.Body)
	}
	other := press
	other.body = strings.Replace(press.body, "press-09", "press-10", 1)
	if a := w.do(keyed(other, "k1")); a.Code != 409 || !strings.Contains(a.Body.String(), "Idempotency-Key") {
		t.Errorf("another body: %d %s", a.Code, a.Body)
	}
	arm := call{as: "admin", method: "POST", path: "/devices/alpha-device/onboarding", body: `{"method":"est-password"}`}
	if a := w.do(keyed(arm, "k2")); a.Code != 201 {
		t.Fatal(a.Body)
	}
	arm.path = "/devices/beta-device/onboarding"
	if a := w.do(keyed(arm, "k2")); a.Code != 409 {
		t.Errorf("another path: %d %s", a.Code, a.Body)
	}
	other.as = "operator"
	if a := w.do(keyed(other, "k1")); a.Code != 201 || a.Header().Get(replayedHeader) != "" {
		t.Errorf("another token: %d %s", a.Code, a.Body)
	}
	for _, key := range []string{"a b", "ä", strings.Repeat("k", 129)} {
		if a := w.do(keyed(press, key)); a.Code != 400 {
			t.Errorf("key %q: %d", key, a.Code)
		}
	}
}

func TestARefusalIsNotKept(t *testing.T) {
	w := small(t)
	early := call{as: "admin", method: "POST", path: "/domains", body: `{"name":"d9","issuing_ca":"late"}`}
	if a := w.do(keyed(early, "k")); a.Code != 404 {
		t.Fatal(a.Body)
	}
	w.expect(t, send("POST", "/cas", `{"name":"late","type":"issuing","issuer":"root"}`, 201))
	if a := w.do(keyed(early, "k")); a.Code != 201 {
		t.Errorf("the same key after the refusal: %d %s", a.Code, a.Body)
	}
}

func TestCopiesAtTheSameTimeActOnce(t *testing.T) {
	w := small(t)
	var group sync.WaitGroup
	secrets := make([]string, 8)
	for i := range secrets {
		group.Go(func() {
			a := w.do(keyed(press, "same"))
			if a.Code != 201 {
				t.Errorf("copy %d: %d %s", i, a.Code, a.Body)
			}
			secrets[i] = text(a, "onboarding", "secret")
		})
	}
	group.Wait()
	shown := 0
	for _, s := range secrets {
		if s != "" {
			shown++
		}
	}
	if shown != 1 {
		t.Errorf("the secret was shown %d times", shown)
	}
}

func TestATokenIsNotReplayed(t *testing.T) {
	w := small(t)
	make := call{as: "admin", method: "POST", path: "/tokens", body: `{"name":"t9","role":"viewer"}`}
	first, second := w.do(keyed(make, "k")), w.do(keyed(make, "k"))
	if text(first, "token") == "" || text(second, "token") != "" || text(second, "note") == "" {
		t.Errorf("first %s\nsecond %s", first.Body, second.Body)
	}
	w.do(call{as: "admin", method: "DELETE", path: "/tokens/viewer"})
	if a := w.do(call{as: "viewer", method: "GET", path: "/cas"}); a.Code != 401 {
		t.Errorf("a revoked token: %d", a.Code)
	}
}

// A digest of the body is kept with its answer. Whoever reads the database must
// not be able to try passwords against it.
func TestAPasswordLeavesNoTraceInWhatIsKept(t *testing.T) {
	request := func(password string) *sent[api.CAImport] {
		return &sent[api.CAImport]{Body: api.CAImport{Name: "x", PKCS12: []byte{1}, Password: password}}
	}
	one, other := withoutSensitive(request("geheim"), []byte("geheim")), withoutSensitive(request("anders"), []byte("anders"))
	if string(one) != string(other) || strings.Contains(string(one), "geheim") || !strings.Contains(string(one), "AQ==") {
		t.Errorf("%s\n%s", one, other)
	}
	if plain := withoutSensitive(&sent[api.Revocation]{}, []byte("as it was")); string(plain) != "as it was" {
		t.Errorf("%s", plain)
	}
}
