// SPDX-License-Identifier: MIT

package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// clock is a clock that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(c.offset.Load()))
}
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// logged is a log that tests read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func openToken(t testing.TB, cfg hsm.PKCS11Config) *hsm.PKCS11 {
	t.Helper()
	s := must(hsm.OpenPKCS11(cfg))(t)
	closing(t, s)
	return s
}

// pullOut takes the tokens of the test away; putBack brings them back.
func pullOut(t testing.TB) (putBack func()) {
	t.Helper()
	tokens := fixture.SoftHSMTokens(t)
	if err := os.Rename(tokens, tokens+".away"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Rename(tokens+".away", tokens); err != nil {
			t.Fatal(err)
		}
	}
}

func wantComeBack(t testing.TB, err error) {
	t.Helper()
	wantKind(t, err, models.KindUnavailable)
	if models.RetryAfter(err) <= 0 {
		t.Fatalf("%v does not say when to come back", err)
	}
}

func TestPKCS11HealsAfterTheTokenWasAway(t *testing.T) {
	var c clock
	cfg := fixture.SoftHSM(t)
	cfg.Now = c.now
	s := openToken(t, cfg)
	pub := must(s.Generate(t.Context(), "ca", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "ca"))(t)
	for range 2 { // it must work more than once
		c.advance(time.Minute)
		putBack := pullOut(t)
		wantComeBack(t, signAndVerify(signer))
		wantComeBack(t, s.Check(t.Context()))
		_, err := s.Signer(t.Context(), "ca")
		wantComeBack(t, err)
		putBack()
		wantComeBack(t, signAndVerify(signer)) // the rate of attempts is limited
		c.advance(time.Minute)
		if err := signAndVerify(signer); err != nil {
			t.Fatalf("the signer did not recover: %v", err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if again := must(s.Generate(t.Context(), "ca", models.ECP256))(t); !samePublic(pub, again) {
			t.Fatal("the key is another one")
		}
	}
}

func TestPKCS11TokenAwayIsNoProofThatAKeyIsGone(t *testing.T) {
	for name, back := range map[string]bool{"while the token is away": false, "after it was away for one call": true} {
		t.Run(name, func(t *testing.T) {
			var c clock
			cfg := fixture.SoftHSM(t)
			cfg.Now = c.now
			s := openToken(t, cfg)
			pub := must(s.Generate(t.Context(), "used", models.ECP256))(t)
			putBack := pullOut(t)
			_, err := s.Signer(t.Context(), "other")
			wantComeBack(t, err)
			if back {
				putBack()
			}
			wantComeBack(t, s.Destroy(t.Context(), "used"))
			_, err = s.Generate(t.Context(), "new", models.ECP256)
			wantComeBack(t, err)
			if !back {
				putBack()
			}
			c.advance(time.Minute)
			if found := must(s.Signer(t.Context(), "used"))(t); !samePublic(pub, found.Public()) {
				t.Fatal("the key is another one")
			}
			_, err = s.Signer(t.Context(), "other")
			wantKind(t, err, models.KindNotFound)
		})
	}
}

func TestPKCS11HealsOnceForThirtyTwoCallers(t *testing.T) {
	var c clock
	var log logged
	cfg := fixture.SoftHSM(t)
	cfg.Now, cfg.Logger = c.now, slog.New(slog.NewTextHandler(&log, nil))
	s := openToken(t, cfg)
	must(s.Generate(t.Context(), "ca", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "ca"))(t)
	putBack := pullOut(t)
	wantComeBack(t, signAndVerify(signer)) // the handles are dead from here on
	putBack()
	c.advance(time.Minute)
	before := log.count("token is open")
	errs := make([]error, 32)
	together(len(errs), func(i int) { errs[i] = signAndVerify(signer) })
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if opened := log.count("token is open") - before; opened != 1 {
		t.Fatalf("the token was opened %d times", opened)
	}
}

func TestPKCS11StartsWithoutItsToken(t *testing.T) {
	var c clock
	cfg := fixture.SoftHSM(t)
	cfg.Now = c.now
	putBack := pullOut(t)
	s := openToken(t, cfg)
	wantComeBack(t, s.Check(t.Context()))
	putBack()
	c.advance(time.Minute)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPKCS11TriesAWrongPINOnce(t *testing.T) {
	var c clock
	var log logged
	cfg := fixture.SoftHSM(t)
	right := cfg.PIN
	cfg.PIN, cfg.Now, cfg.Logger = "999999", c.now, slog.New(slog.NewTextHandler(&log, nil))
	s := openToken(t, cfg)
	for range 5 {
		c.advance(time.Hour)
		_, generated := s.Generate(t.Context(), "k", models.ECP256)
		_, found := s.Signer(t.Context(), "k")
		for _, err := range []error{s.Check(t.Context()), generated, found, s.Destroy(t.Context(), "k")} {
			wantKind(t, err, models.KindUnavailable)
			if text := models.PublicText(err); !strings.Contains(text, "refused the PIN") || strings.Contains(err.Error(), "999999") {
				t.Fatalf("the error is not clear, or shows the PIN: %v", err)
			}
		}
	}
	if n := log.count("refused the PIN; correct it"); n != 1 {
		t.Fatalf("there were %d attempts to log in", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.PIN = right
	if err := openToken(t, cfg).Check(t.Context()); err != nil {
		t.Fatalf("the right PIN does not work after a restart: %v", err)
	}
}

func TestPKCS11TriesAChangedPINOnce(t *testing.T) {
	var c clock
	var log logged
	cfg := fixture.SoftHSM(t)
	cfg.Now, cfg.Logger = c.now, slog.New(slog.NewTextHandler(&log, nil))
	s := openToken(t, cfg)
	must(s.Generate(t.Context(), "k", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "k"))(t)
	runTool(t, "pkcs11-tool", "--module", cfg.Module, "--token-label", cfg.TokenLabel, "--login", "--pin", cfg.PIN,
		"--change-pin", "--new-pin", "4321")
	putBack := pullOut(t)
	wantComeBack(t, signAndVerify(signer))
	putBack()
	for range 3 {
		c.advance(time.Hour)
		wantKind(t, signAndVerify(signer), models.KindUnavailable)
	}
	if n := log.count("refused the PIN; correct it"); n != 1 {
		t.Fatalf("there were %d attempts to log in", n)
	}
}

func runTool(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\nif it is not installed, run `make deps`", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPKCS11KeysNeverLeaveTheToken(t *testing.T) {
	for _, alg := range []models.KeyAlgorithm{models.ECP256, models.RSA2048} {
		t.Run(string(alg), func(t *testing.T) {
			cfg := fixture.SoftHSM(t)
			s := openToken(t, cfg)
			must(s.Generate(t.Context(), "ca-1", alg))(t)
			tool := []string{"--module", cfg.Module, "--token-label", cfg.TokenLabel}
			login := append(tool, "--login", "--pin", cfg.PIN)
			private := runTool(t, "pkcs11-tool", append(login, "--list-objects", "--type", "privkey")...)
			for _, want := range []string{"sensitive", "always sensitive", "never extractable", "local",
				"label:      trustloom-ca-1", fmt.Sprintf("ID:         %x", "ca-1"), "sign"} {
				if !strings.Contains(private, want) {
					t.Errorf("pkcs11-tool does not say %q of the private key:\n%s", want, private)
				}
			}
			if strings.Contains(private, "decrypt") || strings.Contains(private, "unwrap") {
				t.Errorf("the CA key does more than sign:\n%s", private)
			}
			if n := strings.Count(private, "Private Key Object"); n != 1 {
				t.Errorf("there are %d private keys", n)
			}
			if out := runTool(t, "pkcs11-tool", append(tool, "--list-objects", "--type", "privkey")...); strings.Contains(out, "ca-1") {
				t.Errorf("the private key shows without login:\n%s", out)
			}
			wantUnreadable(t, cfg, "ca-1")
		})
	}
}

// wantUnreadable fails the test if the token gives out the private key of id.
func wantUnreadable(t testing.TB, cfg hsm.PKCS11Config, id string) {
	t.Helper()
	token := must(crypto11.Configure(&crypto11.Config{Path: cfg.Module, TokenLabel: cfg.TokenLabel, Pin: cfg.PIN, MaxSessions: 2}))(t)
	defer token.Close()
	key := must(token.FindKeyPair([]byte(id), nil))(t)
	for _, secret := range []crypto11.AttributeType{crypto11.CkaValue, crypto11.CkaPrivateExponent, crypto11.CkaPrime1} {
		value, err := token.GetAttribute(key, secret)
		if err == nil && value != nil && len(value.Value) > 0 {
			t.Errorf("the token gives out attribute %#x of the private key", secret)
		}
	}
}

// makeKey makes a key in the token by other means, without login protection of ours.
func makeKey(t testing.TB, cfg hsm.PKCS11Config, id, label string) {
	t.Helper()
	runTool(t, "pkcs11-tool", "--module", cfg.Module, "--token-label", cfg.TokenLabel, "--login", "--pin", cfg.PIN,
		"--keypairgen", "--key-type", "EC:prime256v1", "--id", fmt.Sprintf("%x", id), "--label", label)
}

func TestPKCS11RefusesKeysInDoubt(t *testing.T) {
	cases := map[string]func(t *testing.T, cfg hsm.PKCS11Config){
		"two keys with one identifier": func(t *testing.T, cfg hsm.PKCS11Config) {
			makeKey(t, cfg, "k", "trustloom-k")
			makeKey(t, cfg, "k", "trustloom-k")
		},
		"two keys with one label": func(t *testing.T, cfg hsm.PKCS11Config) {
			makeKey(t, cfg, "k", "trustloom-k")
			makeKey(t, cfg, "l", "trustloom-k")
		},
		"a key that has only our ID": func(t *testing.T, cfg hsm.PKCS11Config) { makeKey(t, cfg, "k", "somebody's") },
		"a key without a public half": func(t *testing.T, cfg hsm.PKCS11Config) {
			makeKey(t, cfg, "k", "trustloom-k")
			deleteHalf(t, cfg, "k", "pubkey")
		},
		"the public half of another key": func(t *testing.T, cfg hsm.PKCS11Config) {
			makeKey(t, cfg, "k", "trustloom-k")
			deleteHalf(t, cfg, "k", "pubkey")
			makeKey(t, cfg, "l", "trustloom-l")
			deleteHalf(t, cfg, "l", "privkey")
			runTool(t, "pkcs11-tool", "--module", cfg.Module, "--token-label", cfg.TokenLabel, "--login", "--pin", cfg.PIN,
				"--set-id", fmt.Sprintf("%x", "k"), "--id", fmt.Sprintf("%x", "l"), "--type", "pubkey")
		},
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := fixture.SoftHSM(t)
			prepare(t, cfg)
			s := openToken(t, cfg)
			_, err := s.Signer(t.Context(), "k")
			wantKind(t, err, models.KindInternal)
			_, err = s.Generate(t.Context(), "k", models.ECP256)
			wantKind(t, err, models.KindInternal)
		})
	}
}

func deleteHalf(t testing.TB, cfg hsm.PKCS11Config, id, half string) {
	t.Helper()
	runTool(t, "pkcs11-tool", "--module", cfg.Module, "--token-label", cfg.TokenLabel, "--login", "--pin", cfg.PIN,
		"--delete-object", "--type", half, "--id", fmt.Sprintf("%x", id))
}

func TestPKCS11NeverSignsWithAKeyThatTookTheNameOfAnother(t *testing.T) {
	var c clock
	cfg := fixture.SoftHSM(t)
	cfg.Now = c.now
	s := openToken(t, cfg)
	must(s.Generate(t.Context(), "k", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "k"))(t)
	deleteHalf(t, cfg, "k", "privkey")
	deleteHalf(t, cfg, "k", "pubkey")
	makeKey(t, cfg, "k", "trustloom-k")
	c.advance(time.Minute)
	_, err := signer.Sign(rand.Reader, sum256([]byte("x")), crypto.SHA256)
	wantKind(t, err, models.KindInternal)
	if !strings.Contains(err.Error(), "another key") {
		t.Fatalf("got %v", err)
	}
}

func TestPKCS11Ed25519IsRefusedWithAdvice(t *testing.T) {
	s := openToken(t, fixture.SoftHSM(t))
	_, err := s.Generate(t.Context(), "k", models.Ed25519)
	wantKind(t, err, models.KindInvalid)
	if text := models.PublicText(err); !strings.Contains(text, "cannot make Ed25519 keys; use") {
		t.Fatalf("got %q", text)
	}
}

func TestPKCS11ManyCallersShareFewSessions(t *testing.T) {
	cfg := fixture.SoftHSM(t)
	cfg.MaxSessions = 3
	s := openToken(t, cfg)
	must(s.Generate(t.Context(), "k", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "k"))(t)
	errs := make([]error, 32)
	together(len(errs), func(i int) { errs[i] = errors.Join(signAndVerify(signer), s.Check(t.Context())) })
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestOpenPKCS11RefusesWhatCanNeverWork(t *testing.T) {
	good := fixture.SoftHSM(t)
	cases := map[string]func(*hsm.PKCS11Config){
		"a module that is not there": func(c *hsm.PKCS11Config) { c.Module = "/nowhere/module.so" },
		"no token label":             func(c *hsm.PKCS11Config) { c.TokenLabel = "" },
		"too few sessions":           func(c *hsm.PKCS11Config) { c.MaxSessions = 1 },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := good
			spoil(&cfg)
			_, err := hsm.OpenPKCS11(cfg)
			wantKind(t, err, models.KindInvalid)
		})
	}
	if text := fmt.Sprintf("%v %+v", good, good); strings.Contains(text, good.PIN) {
		t.Errorf("the configuration prints its PIN: %s", text)
	}
}

func TestPKCS11AfterCloseIsUnavailable(t *testing.T) {
	s := must(hsm.OpenPKCS11(fixture.SoftHSM(t)))(t)
	must(s.Generate(t.Context(), "k", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "k"))(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantKind(t, signAndVerify(signer), models.KindUnavailable)
	wantKind(t, s.Check(t.Context()), models.KindUnavailable)
}

func TestPKCS11TokenThatSignsWronglyOnceIsOpenedAgain(t *testing.T) {
	var c clock
	cfg := fixture.SoftHSM(t)
	cfg.Now = c.now
	s := openToken(t, cfg)
	must(s.Generate(t.Context(), "k", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "k"))(t)
	hsm.SpoilSignatures(s, "k")
	c.advance(time.Minute)
	if err := signAndVerify(signer); err != nil {
		t.Fatal(err)
	}
}

func TestPKCS11KeyIsOutOfUseAfterThreeWrongSignatures(t *testing.T) {
	var c clock
	cfg := fixture.SoftHSM(t)
	cfg.Now = c.now
	s := openToken(t, cfg)
	must(s.Generate(t.Context(), "k", models.ECP256))(t)
	must(s.Generate(t.Context(), "good", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "k"))(t)
	hsm.SpoilSignatures(s, "k")
	for range 3 {
		wantComeBack(t, signAndVerify(signer))
	}
	c.advance(time.Hour)
	wantKind(t, signAndVerify(signer), models.KindInternal)
	if err := signAndVerify(must(s.Signer(t.Context(), "good"))(t)); err != nil {
		t.Fatalf("another key does not sign: %v", err)
	}
}

func TestPKCS11TokenThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	s := openToken(t, fixture.SoftHSM(t))
	answer := make(chan struct{})
	defer close(answer)
	err := hsm.CallThatHangs(s, time.Millisecond, answer)
	wantKind(t, err, models.KindUnavailable)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}
