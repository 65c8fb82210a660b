// SPDX-License-Identifier: MIT

package hsm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// pkcs11Tool makes or shows objects as somebody else's program does.
func pkcs11Tool(t *testing.T, cfg hsm.PKCS11Config, args ...string) string {
	t.Helper()
	args = append([]string{"--module", cfg.Module, "--token-label", cfg.TokenLabel, "--login", "--pin", cfg.PIN}, args...)
	out, err := exec.Command("pkcs11-tool", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("pkcs11-tool %q: %v\n%s\nrun `make deps`", args, err, out)
	}
	return string(out)
}

func TestAKeyThatOthersMadeIsUsed(t *testing.T) {
	cfg := fixture.SoftHSM(t)
	for _, name := range []string{"01", "02"} {
		pkcs11Tool(t, cfg, "--keypairgen", "--key-type", "EC:prime256v1", "--id", name, "--label", "idevid")
	}
	pkcs11Tool(t, cfg, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "03", "--label", "other")
	pkcs11Tool(t, cfg, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "04", "--label", "half")
	pkcs11Tool(t, cfg, "--delete-object", "--type", "pubkey", "--id", "04")
	s := openToken(t, cfg)
	ctx := context.Background()
	tests := map[string]struct {
		id, label string
		want      models.Kind // KindInternal: it is found
	}{
		"by its identifier":       {"\x01", "", models.KindInternal},
		"by its label":            {"", "other", models.KindInternal},
		"by both":                 {"\x02", "idevid", models.KindInternal},
		"two have the label":      {"", "idevid", models.KindConflict},
		"its public half is gone": {"\x04", "", models.KindConflict},
		"none has both":           {"\x03", "idevid", models.KindNotFound},
		"none has the identifier": {"\x09", "", models.KindNotFound},
		"nobody says which":       {"", "", models.KindInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := s.Existing(ctx, []byte(tt.id), []byte(tt.label))
			if tt.want != models.KindInternal {
				wantKind(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256([]byte("x"))
			signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
			if public, ok := key.Public().(*ecdsa.PublicKey); err != nil || !ok || !ecdsa.VerifyASN1(public, digest[:], signature) {
				t.Errorf("its signature does not verify (%v)", err)
			}
		})
	}
	if err := s.Destroy(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Existing(ctx, nil, []byte("other")); err != nil {
		t.Errorf("a key of others was destroyed: %v", err)
	}
}

func TestATokenIsFoundByItsSlot(t *testing.T) {
	cfg := fixture.SoftHSM(t)
	fixture.SoftHSM(t) // another one next to it
	byLabel := openToken(t, cfg)
	made := must(byLabel.Generate(context.Background(), "here", models.ECP256))(t)
	if err := byLabel.Close(); err != nil {
		t.Fatal(err)
	}
	slots := must(exec.Command("softhsm2-util", "--show-slots").Output())(t)
	before, _, _ := strings.Cut(string(slots), cfg.TokenLabel)
	all := regexp.MustCompile(`Slot (\d+)`).FindAllStringSubmatch(before, -1)
	slot := must(strconv.Atoi(all[len(all)-1][1]))(t)

	both := cfg
	both.Slot = &slot
	_, err := hsm.OpenPKCS11(both)
	wantKind(t, err, models.KindInvalid)

	bySlot := both
	bySlot.TokenLabel = ""
	key := must(openToken(t, bySlot).Signer(context.Background(), "here"))(t)
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(made) {
		t.Error("the slot leads to another token than the label")
	}
}
