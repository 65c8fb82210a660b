// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
)

// foreignPlaces are where a login must never send a browser (R07).
func foreignPlaces() map[string]operations.LoginStart {
	starts := map[string]operations.LoginStart{}
	for _, to := range []string{"//evil.example", "/\\evil.example", "https://evil.example", "\\\\evil.example", "/a//evil.example", "/%2fevil.example", "/?x=//evil",
		"/#x", "javascript:alert(1)", "evil", "/a\r\nSet-Cookie: x=y", "/@evil.example", "/ ", "/a\x00", "/" + strings.Repeat("a/", 10) + "?"} {
		starts["the page "+to] = operations.LoginStart{Return: to}
	}
	digest, state := strings.Repeat("a", 43), strings.Repeat("s", 16)
	for _, to := range []string{"https://evil.example/callback", "http://localhost:80/callback", "http://127.0.0.1.evil.example:80/callback", "http://127.0.0.1@evil.example:80/callback",
		"http://127.0.0.1:80/callback?x=", "http://127.0.0.1:80/callback#", "http://127.0.0.1:80/callback/../x", "http://127.0.0.1/callback", "http://127.0.0.1:080/callback",
		"http://[::1]:80/callback\n", "HTTP://127.0.0.1:80/callback", "http://10.0.0.1:80/callback", "http://[::ffff:127.0.0.1]:80/callback", "x"} {
		starts["the listener "+to] = operations.LoginStart{Redirect: to, Challenge: digest, State: state}
	}
	starts["a listener without a challenge"] = operations.LoginStart{Redirect: "http://127.0.0.1:80/callback", State: state}
	starts["a listener without a state"] = operations.LoginStart{Redirect: "http://127.0.0.1:80/callback", Challenge: digest}
	starts["a listener with a state that is text"] = operations.LoginStart{Redirect: "http://127.0.0.1:80/callback", Challenge: digest, State: state + "&code=x"}
	starts["a listener and a page"] = operations.LoginStart{Return: "/x", Redirect: "http://127.0.0.1:80/callback", Challenge: digest, State: state}
	return starts
}

// TestLoginsSendNobodyElsewhere is R07: neither by the way a login begins, nor
// by a cookie that somebody made.
func TestLoginsSendNobodyElsewhere(t *testing.T) {
	l := newLogins(t, small(t), nil)
	for what, start := range foreignPlaces() {
		t.Run(what, func(t *testing.T) {
			_, address, err := l.ops.StartLogin(t.Context(), start)
			wantKind(t, err, models.KindInvalid, "")
			if address != "" {
				t.Errorf("sent to %q", address)
			}
			if start.Return == "" {
				start.Return = "/"
			}
			made, err := json.Marshal(struct {
				Secret []byte    `json:"secret"`
				Until  time.Time `json:"until"`
				operations.LoginStart
			}{make([]byte, 32), l.now.Add(time.Minute), start})
			if err != nil {
				t.Fatal(err)
			}
			cookie := base64.RawURLEncoding.EncodeToString(made)
			derived := func(what string) string {
				sum := sha256.Sum256([]byte("trustloom login " + what + "\x00" + cookie))
				return base64.RawURLEncoding.EncodeToString(sum[:])
			}
			l.nonce, l.verifier = derived("nonce"), derived("verifier")
			end, err := l.ops.FinishLogin(t.Context(), operations.LoginAnswer{Cookie: cookie, State: derived("state"), Code: "good", Address: "192.0.2.7"})
			wantKind(t, err, models.KindUnauthenticated, "")
			if end != nil {
				t.Errorf("%+v", end)
			}
		})
	}
}
