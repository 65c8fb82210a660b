// SPDX-License-Identifier: MIT

package auth_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

var clock = time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC)

// seed adds a token and its operator, and returns the token.
func seed(t *testing.T, s *store.Store, name string, change func(*models.Token, *models.Operator)) string {
	t.Helper()
	token, hash := auth.NewToken()
	operator := &models.Operator{ID: models.NewID[models.OperatorID](), Name: name}
	row := &models.Token{ID: models.NewID[models.TokenID](), Name: name, OperatorID: operator.ID, Role: models.RoleViewer, Hash: hash}
	if change != nil {
		change(row, operator)
	}
	err := s.Write(t.Context(), func(tx *store.Tx) error { return errors.Join(tx.InsertOperator(operator), tx.InsertToken(row)) })
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestATokenIsLongAndKeptAsItsHash(t *testing.T) {
	one, hash := auth.NewToken()
	two, _ := auth.NewToken()
	if !regexp.MustCompile(`^tl_[A-Za-z0-9_-]{43}$`).MatchString(one) || one == two || hash != auth.HashToken(one) || len(hash) != 64 {
		t.Errorf("tokens %q, %q, hash %q", one, two, hash)
	}
}

func TestAuthenticate(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		past, now, future := clock.Add(-time.Second), clock, clock.Add(time.Second)
		good := seed(t, s, "good", func(r *models.Token, _ *models.Operator) { r.ExpiresAt, r.Domains = &future, []string{"alpha"} })
		unknown, _ := auth.NewToken()
		refused := map[string]string{
			"nothing":                   "",
			"an unknown token":          unknown,
			"another prefix":            "xx" + good[2:],
			"a shorter one":             good[:len(good)-1],
			"a longer one":              good + "A",
			"other characters":          good[:len(good)-1] + "!",
			"bits that do not count":    good[:len(good)-1] + "_",
			"a hash in place of it":     auth.HashToken(good),
			"a token that has expired":  seed(t, s, "past", func(r *models.Token, _ *models.Operator) { r.ExpiresAt = &past }),
			"one that expires now":      seed(t, s, "now", func(r *models.Token, _ *models.Operator) { r.ExpiresAt = &now }),
			"a revoked one":             seed(t, s, "revoked", func(r *models.Token, _ *models.Operator) { r.RevokedAt = &future }),
			"one of a disabled person":  seed(t, s, "off", func(_ *models.Token, o *models.Operator) { o.Disabled = true }),
			"a megabyte":                strings.Repeat("tl_", 1<<18),
			"characters beyond ASCII":   "tl_" + strings.Repeat("ä", 21) + "a",
			"a line break at its end":   good[:len(good)-1] + "\n",
			"a line break in its midst": good[:20] + "\n" + good[21:],
		}
		a := auth.New(s, func() time.Time { return clock })
		who, err := a.Authenticate(t.Context(), auth.Credentials{Bearer: good})
		if err != nil || who.Name != "good" || who.TokenName != "good" || who.Role != models.RoleViewer || !cmp.Equal(who.Domains, []string{"alpha"}) || !who.Limited() {
			t.Errorf("principal %+v, %v", who, err)
		}
		texts := map[string]bool{}
		for name, token := range refused {
			_, err := a.Authenticate(t.Context(), auth.Credentials{Bearer: token})
			if err == nil || models.KindOf(err) != models.KindUnauthenticated {
				t.Errorf("%s: %v", name, err)
			}
			texts[models.PublicText(err)] = true
		}
		if len(texts) != 1 {
			t.Errorf("the reason of a refusal can be told apart: %v", texts)
		}
	})
}

func TestWhoIsNotInTheTableMayNothing(t *testing.T) {
	if auth.Allowed("root", auth.ReadCAs) || auth.Allowed("", auth.ReadCAs) || auth.Allowed(models.RoleAdmin, "cas.destroy") {
		t.Error("an unknown role or permission is granted")
	}
	limited := auth.Principal{Role: models.RoleAdmin, Domains: []string{"alpha"}}
	for permission, kind := range map[auth.Permission]models.Kind{
		auth.WriteTokens: models.KindDenied, auth.WriteCAs: models.KindDenied, auth.CreateDomains: models.KindDenied, auth.ReadOperators: models.KindDenied,
	} {
		if err := auth.Authorize(limited, permission); err == nil || models.KindOf(err) != kind {
			t.Errorf("%s for a limited administrator: %v", permission, err)
		}
	}
	for _, permission := range []auth.Permission{auth.ChangeDomains, auth.WriteDevices, auth.DecideApprovals, auth.ReadAudit} {
		if err := auth.Authorize(limited, permission); err != nil {
			t.Errorf("%s for a limited administrator: %v", permission, err)
		}
	}
}

func TestBootstrap(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		file := filepath.Join(t.TempDir(), "admin-token")
		created, err := auth.Bootstrap(t.Context(), s, file)
		if err != nil || !created {
			t.Fatal(created, err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the file: %v, %v", info.Mode(), err)
		}
		who, err := auth.New(s, time.Now).Authenticate(t.Context(), auth.Credentials{Bearer: strings.TrimSpace(string(data))})
		if err != nil || who.Name != auth.AdminName || who.Role != models.RoleAdmin || who.Limited() {
			t.Errorf("principal %+v, %v", who, err)
		}
		if events, _, err := s.ListEvents(t.Context(), store.EventFilter{Action: "token.created"}); err != nil || len(events) != 1 || events[0].Actor != "system" {
			t.Errorf("events %+v, %v", events, err)
		}
		if created, err := auth.Bootstrap(t.Context(), s, file); err != nil || created {
			t.Errorf("a second time: %v, %v", created, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if created, err := auth.Bootstrap(t.Context(), s, file); err != nil || created {
			t.Errorf("without the file, on a store that has tokens: %v, %v", created, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 0 {
			t.Errorf("left in the directory: %v, %v", entries, err)
		}
	})
}

func TestBootstrapGoesOnWhereItWasInterrupted(t *testing.T) {
	s := fixture.Open(t, fixture.SQLite(t))
	file := filepath.Join(t.TempDir(), "admin-token")
	token, _ := auth.NewToken()
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if created, err := auth.Bootstrap(t.Context(), s, file); err != nil || !created {
		t.Fatal(created, err)
	}
	if _, err := auth.New(s, time.Now).Authenticate(t.Context(), auth.Credentials{Bearer: token}); err != nil {
		t.Errorf("the token that the file had: %v", err)
	}
	empty := fixture.Open(t, fixture.SQLite(t))
	if err := os.WriteFile(file, []byte("not a token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Bootstrap(t.Context(), empty, file); models.KindOf(err) != models.KindInvalid || err == nil {
		t.Errorf("a file with something else: %v", err)
	}
}

func TestProcessesThatStartTogetherHaveOneToken(t *testing.T) {
	fixture.URLs(t, func(t *testing.T, url string) {
		file := filepath.Join(t.TempDir(), "admin-token")
		var group sync.WaitGroup
		made := make([]bool, 4)
		for i := range made {
			s := fixture.Open(t, url)
			group.Go(func() {
				created, err := auth.Bootstrap(t.Context(), s, file)
				if err != nil {
					t.Error(err)
				}
				made[i] = created
			})
		}
		group.Wait()
		n := 0
		for _, m := range made {
			if m {
				n++
			}
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = auth.New(fixture.Open(t, url), time.Now).Authenticate(t.Context(), auth.Credentials{Bearer: strings.TrimSpace(string(data))})
		if n != 1 || err != nil {
			t.Errorf("%d processes created the administrator; the file's token: %v", n, err)
		}
	})
}
