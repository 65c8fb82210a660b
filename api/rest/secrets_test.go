// SPDX-License-Identifier: MIT

package rest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

// secretMakers has a request for each operation whose answer holds a secret.
// An operation that is not here makes the test fail.
var secretMakers = map[string]call{
	"CreateDevice":   {method: http.MethodPost, path: "/devices", body: `{"name":"secret-device","domain":"alpha","onboarding":{"method":"est-password"}}`},
	"ArmDevice":      {method: http.MethodPost, path: "/devices/alpha-device/onboarding", body: `{"method":"est-password"}`},
	"CreateDelivery": {method: http.MethodPost, path: "/devices/alpha-device/deliveries", body: `{"channel":"download"}`},
	"CreateToken":    {method: http.MethodPost, path: "/tokens", body: `{"name":"secret-token","role":"auditor"}`},
}

// holdsSecrets reports whether a type has a member that is tagged as secret.
func holdsSecrets(t reflect.Type, depth int) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == timeType || depth > 6 {
		return false
	}
	for f := range t.Fields() {
		if f.Tag.Get("secret") != "" || holdsSecrets(f.Type, depth+1) {
			return true
		}
	}
	return false
}

// secretsIn returns the secrets of an answer: what is longer than a name and
// shown once.
func secretsIn(v any, name string) (found []string) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			found = append(found, secretsIn(member, name)...)
		}
	case string:
		if name == "secret" || name == "token" || name == "code" {
			found = append(found, v)
		}
	}
	return found
}

func TestNoSecretCanBeRead(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s)
		secrets := []string{w.Session(t, "guest", models.RoleViewer)}
		for _, token := range w.tokens {
			secrets = append(secrets, token)
		}
		for _, op := range declared() {
			maker, known := secretMakers[op.id]
			if op.method == http.MethodPost && holdsSecrets(op.response, 0) && !op.once && !known && !strings.HasPrefix(op.id, "Suspend") && !strings.HasPrefix(op.id, "Decommission") && !strings.HasPrefix(op.id, "Unbind") {
				t.Errorf("%s: its answer may hold a secret; secretMakers has to have a request for it", op.id)
			}
			if known {
				secrets = append(secrets, w.make(t, op.id, maker)...)
			}
		}
		for _, op := range declared() {
			if op.method != http.MethodGet {
				continue
			}
			for _, about := range []things{thingsOf(&w.Alpha), thingsOf(&w.Beta), {"device": "secret-device", "token": "secret-token", "operator": "secret-token"}} {
				w.lacks(t, op.id, w.do(call{as: "admin", method: op.method, path: fill(t, op, about)}).Body.String(), secrets)
			}
		}
		w.lacks(t, "the log", w.log.String(), secrets)
	})
}

// make asks for a secret, twice: the copy of the answer must not have it.
func (w *world) make(t *testing.T, id string, c call) []string {
	t.Helper()
	c.as, c.header = "admin", http.Header{idempotencyHeader: {"once-" + id}}
	first, again := w.do(c), w.do(c)
	var value any
	if err := json.Unmarshal(first.Body.Bytes(), &value); err != nil || first.Code >= 300 {
		t.Fatalf("%s: status %d: %s", id, first.Code, first.Body)
	}
	found := secretsIn(value, "")
	if len(found) == 0 || len(found[0]) < 19 {
		t.Errorf("%s: no secret in %s", id, first.Body)
	}
	w.lacks(t, "the repeated answer of "+id, again.Body.String(), found)
	return found
}

func (w *world) lacks(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds a secret", where)
		}
	}
}
