// SPDX-License-Identifier: MIT

//go:build cgo

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// softToken is a SoftHSM token that belongs to somebody else, too.
type softToken struct {
	*token
	t       *testing.T
	cfg     hsm.PKCS11Config
	pinFile string
	log     *bytes.Buffer
}

func newSoftToken(t *testing.T) *softToken {
	t.Helper()
	cfg := fixture.SoftHSM(t)
	dir, log := t.TempDir(), &bytes.Buffer{}
	s := &softToken{t: t, cfg: cfg, pinFile: filepath.Join(dir, "pin"), log: log}
	s.setPIN(cfg.PIN)
	c := &config{document: document{StateDir: dir, PKCS11: &tokenEntry{Module: cfg.Module, Token: cfg.TokenLabel, PINFile: s.pinFile}}}
	command := newCLI(log)
	command.getenv = func(name string) string { return map[string]string{pinVariable: cfg.PIN}[name] }
	s.token = command.token(c, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(s.close)
	s.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "trustloom-agent-web")
	return s
}

func (s *softToken) setPIN(pin string) {
	s.t.Helper()
	if err := os.WriteFile(s.pinFile, []byte(pin+"\n"), filePerm); err != nil {
		s.t.Fatal(err)
	}
}

// tool looks at the token as somebody else's program does.
func (s *softToken) tool(args ...string) string {
	s.t.Helper()
	args = append([]string{"--module", s.cfg.Module, "--token-label", s.cfg.TokenLabel, "--login", "--pin", s.cfg.PIN}, args...)
	out, err := exec.Command("pkcs11-tool", args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("pkcs11-tool %q: %v\n%s\nrun `make deps`", args, err, out)
	}
	return string(out)
}

var objectLabel = regexp.MustCompile(`label: +(\S+)`)

// labels returns the labels of the private keys in the token.
func (s *softToken) labels() (labels []string) {
	s.t.Helper()
	for _, found := range objectLabel.FindAllStringSubmatch(s.tool("--list-objects", "--type", "privkey"), -1) {
		labels = append(labels, found[1])
	}
	return labels
}

// holdsOnly checks that the keys which the agent has in the token are those of
// its versions, and that the key of others is still there.
func (s *softToken) holdsOnly(b *bench) {
	s.t.Helper()
	names, err := b.store.versions()
	if err != nil {
		b.t.Fatal(err)
	}
	want := []string{"trustloom-agent-web"}
	for _, name := range names {
		key, err := readKey(b.store.path(name))
		if err != nil {
			b.t.Fatal(err)
		}
		u, err := parseKeyURI(key.URI)
		if err != nil {
			b.t.Fatal(err)
		}
		want = append(want, u.Object)
	}
	got := slices.DeleteFunc(s.labels(), func(label string) bool { return label != want[0] && !strings.Contains(label, b.wish.Name) })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.t.Errorf("the token has the keys %q, want %q", got, want)
	}
	if notes, err := os.ReadDir(b.store.path(dirMade)); err != nil || len(notes) != len(names) {
		b.t.Errorf("%d keys are noted (%v), want %d", len(notes), err, len(names))
	}
}

func TestAPowerCutAtEveryStepLeavesAUsableKeyInTheToken(t *testing.T) {
	s := newSoftToken(t)
	tokenPoints := append(append([]string{faultNoted, faultMade}, changePoints...), faultDestroyed)
	t.Run("a change", func(t *testing.T) { cutsOfAChange(t, tokenPoints, s.token) })
	t.Run("the first certificate", func(t *testing.T) { cutsOfTheFirst(t, tokenPoints[:len(tokenPoints)-1], s.token) })
	t.Run("a refusal", func(t *testing.T) { cutsOfARefusal(t, s.token) })
	if left := s.labels(); len(left) == 0 || !slices.Contains(left, "trustloom-agent-web") {
		t.Errorf("the key of others is gone; there are %q", left)
	}
}

func TestTheKeyBeforeIsDestroyedOnceTheHookHasAgreed(t *testing.T) {
	s := newSoftToken(t)
	b := newBench(t, s.token)
	if err := b.change(1); err != nil {
		t.Fatal(err)
	}
	s.holdsOnly(b)
	b.refuses()
	if err := b.change(2); err == nil {
		t.Fatal("the hook did not refuse")
	}
	if got := b.serial(true); got != 1 {
		t.Errorf("certificate %d is in use, want the previous one", got)
	}
	s.holdsOnly(b) // both
	b.wish.Hook = hook{}
	if err := b.store.install(context.Background(), b.wish, b.store.refused()); err != nil || b.serial(true) != 2 {
		t.Errorf("once the hook agrees: %v, certificate %d", err, b.serial(true))
	}
	b.clean()
	s.holdsOnly(b) // the new one
}

func TestAKeyMovesIntoTheTokenAndOutOfIt(t *testing.T) {
	s := newSoftToken(t)
	b := newBench(t, s.token)
	inToken, inFiles := *b.wish, *b.wish
	inFiles.InToken, inFiles.Files.KeyURI = false, ""
	inFiles.Files.Key = filepath.Join(t.TempDir(), "out-key.pem")
	b.wish = &inFiles
	if err := b.change(1); err != nil {
		t.Fatal(err)
	}
	b.wish = &inToken
	b.refuses()
	if err := b.change(2); !errors.Is(err, errRefused) {
		t.Errorf("the move ended with %v, want %v", err, errRefused)
	}
	b.wish = &inFiles
	if b.serial(true) != 1 {
		t.Error("the pair in files is not in use again")
	}
	inToken.Hook = hook{}
	b.wish = &inToken
	if err := b.store.install(context.Background(), b.wish, b.store.refused()); err != nil || b.serial(true) != 2 {
		t.Errorf("once the hook agrees: %v, certificate %d", err, b.serial(true))
	}
	b.clean() // the version with the key file is gone
	s.holdsOnly(b)
	b.wish = &inFiles
	if err := b.change(3); err != nil || b.serial(true) != 3 {
		t.Errorf("the way back: %v, certificate %d", err, b.serial(true))
	}
	if left := s.labels(); len(left) != 1 {
		t.Errorf("the token has %q, want the key of others", left)
	}
}

func TestATokenThatIsAwayIsNoReasonToEnd(t *testing.T) {
	s := newSoftToken(t)
	b := newBench(t, s.token)
	if err := b.change(1); err != nil {
		t.Fatal(err)
	}
	key, err := s.signer(context.Background(), mustRead(t, b.wish.Files.KeyURI))
	if err != nil {
		t.Fatal(err)
	}
	tokens := fixture.SoftHSMTokens(t)
	away := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	away(tokens, tokens+".away")
	s.close() // SoftHSM looks at its folder when it is opened
	if _, _, err := b.store.newTokenKey(context.Background(), b.wish); models.KindOf(err) != models.KindUnavailable || !strings.Contains(plain(err), s.cfg.TokenLabel) {
		t.Errorf("without the token the error is %v", err)
	}
	if err := b.restart(); err != nil {
		t.Errorf("without the token the agent does not start: %v", err)
	}
	away(tokens+".away", tokens)
	again, err := s.signer(context.Background(), mustRead(t, b.wish.Files.KeyURI))
	if err != nil {
		t.Fatalf("the token is back, and not used: %v", err)
	}
	if public, ok := key.Public().(interface{ Equal(x any) bool }); ok && !public.Equal(again.Public()) {
		t.Error("the key is another one")
	}
	if err := b.change(2); err != nil {
		t.Error(err)
	}
	s.holdsOnly(b)
}

// A label and a slot are two names of one token: who changes one for the other
// in the file loses nothing.
func TestATokenIsNamedByItsSlot(t *testing.T) {
	s := newSoftToken(t)
	b := newBench(t, s.token)
	if err := b.change(1); err != nil {
		t.Fatal(err)
	}
	shown, err := exec.Command("softhsm2-util", "--show-slots").Output()
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(shown), s.cfg.TokenLabel)
	slots := regexp.MustCompile(`Slot (\d+)`).FindAllStringSubmatch(before, -1)
	slot, err := strconv.Atoi(slots[len(slots)-1][1])
	if err != nil {
		t.Fatal(err)
	}
	s.close()
	s.entry.Token, s.entry.Slot = "", &slot
	if got := b.serial(true); got != 1 {
		t.Errorf("by its slot the token shows certificate %d", got)
	}
	if err := b.change(2); err != nil || !strings.Contains(mustRead(t, b.wish.Files.KeyURI), "slot-id="+strconv.Itoa(slot)) {
		t.Errorf("the change ended with %v", err)
	}
	s.holdsOnly(b)
	other := slot + 1
	s.entry.Slot = &other
	if _, err := s.signer(context.Background(), mustRead(t, b.wish.Files.KeyURI)); models.KindOf(err) != models.KindConflict {
		t.Errorf("a key in another slot is taken for one of this token: %v", err)
	}
}

// A key in a token is what a device proves itself with when it renews.
func TestAKeyInATokenAuthenticatesByTLS(t *testing.T) {
	s := newSoftToken(t)
	for _, algorithm := range []models.KeyAlgorithm{models.ECP256, models.RSA2048} {
		b := newBench(t, s.token)
		b.wish.Key = algorithm
		if err := b.change(1); err != nil {
			t.Fatal(err)
		}
		v, err := b.store.current()
		if err != nil {
			t.Fatal(err)
		}
		pair, err := (&agent{token: s.token}).present(context.Background(), v)
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(string(algorithm)+" in "+tls.VersionName(version), func(t *testing.T) {
				if got := seenByServer(t, pair, version); !bytes.Equal(got, v.leaf().Raw) {
					t.Error("the server did not see the certificate")
				}
			})
		}
	}
}

// seenByServer returns the client certificate that a server was shown, with
// proof of its key.
func seenByServer(t *testing.T, pair *tls.Certificate, version uint16) []byte {
	t.Helper()
	own, content := newBench(t).issue(1)
	server, err := tls.X509KeyPair(content[fileFullChain], own.Key.PEM)
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	defer func() { _ = errors.Join(here.Close(), there.Close()) }()
	client := tls.Client(here, &tls.Config{MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{*pair}, InsecureSkipVerify: true}) //nolint:gosec // the client is tested
	go func() { _, _ = client.Read(make([]byte, 1)) }()                                                                                                 // shakes hands first
	conn := tls.Server(there, &tls.Config{MinVersion: version, Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAnyClientCert})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn.ConnectionState().PeerCertificates[0].Raw
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestAWrongPINIsTriedOnce(t *testing.T) {
	s := newSoftToken(t)
	opened := 0
	s.setPIN("9999")
	for attempt := range 3 {
		s.close() // as the next process of a timer
		err := s.open(context.Background())
		if models.KindOf(err) != models.KindUnavailable || !strings.Contains(plain(err), s.pinFile) || strings.Contains(err.Error(), "9999") {
			t.Errorf("attempt %d: the error is %v", attempt, err)
		}
		opened = strings.Count(s.log.String(), "correct it and restart")
	}
	if opened != 1 {
		t.Errorf("the wrong PIN was tried %d times:\n%s", opened, s.log)
	}
	if note := mustRead(t, s.marker); strings.Contains(note, "9999") {
		t.Errorf("the note has the PIN: %s", note)
	}
	s.setPIN(s.cfg.PIN)
	if err := s.open(context.Background()); err != nil {
		t.Errorf("the right PIN is not tried: %v", err)
	}
	if exists(s.marker) {
		t.Error("the note about the wrong PIN stays")
	}
	s.close()
	s.setPIN("")
	if err := s.open(context.Background()); err == nil || !strings.Contains(plain(err), pinVariable) {
		t.Errorf("without a PIN the error is %v", err)
	}
	s.entry.PINFile = ""
	if err := s.open(context.Background()); err != nil {
		t.Errorf("the PIN of the environment is not taken: %v", err)
	}
}

// What a note names is destroyed only if it is a key that the agent makes.
func TestANoteDoesNotLeadToKeysOfOthers(t *testing.T) {
	s := newSoftToken(t)
	b := newBench(t, s.token)
	if err := b.change(1); err != nil {
		t.Fatal(err)
	}
	for name, uri := range map[string]string{
		"others":  keyURI{Token: s.cfg.TokenLabel, Object: "trustloom-agent-web", ID: []byte{1}}.String(),
		"label":   keyURI{Token: s.cfg.TokenLabel, Object: "trustloom-agent-web"}.String(),
		"another": strings.Replace(mustRead(t, b.wish.Files.KeyURI), s.cfg.TokenLabel, "another", 1),
		"nothing": "",
	} {
		if err := os.WriteFile(b.store.path(dirMade, name), []byte(uri), filePerm); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.restart(); err != nil {
		t.Fatal(err)
	}
	if labels := s.labels(); len(labels) != 2 {
		t.Errorf("the token has %q, want the key in use and that of others", labels)
	}
	if !strings.Contains(s.log.String(), "stay in the token") {
		t.Errorf("nobody is told:\n%s", s.log)
	}
	b.serial(true)
}
