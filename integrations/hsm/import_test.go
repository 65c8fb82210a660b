// SPDX-License-Identifier: MIT

package hsm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os/exec"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

func elsewhere(t testing.TB, alg models.KeyAlgorithm) crypto.Signer {
	t.Helper()
	switch alg {
	case models.ECP256:
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	case models.ECP384:
		return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	case models.ECP521:
		return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t)
	case models.RSA2048:
		return must(rsa.GenerateKey(rand.Reader, 2048))(t)
	case models.RSA3072:
		return must(rsa.GenerateKey(rand.Reader, 3072))(t)
	default:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)(t)
	}
}

func imports(t testing.TB, s hsm.KeyStore) hsm.Importer {
	t.Helper()
	importer, ok := s.(hsm.Importer)
	if !ok {
		t.Fatalf("%T takes no keys from elsewhere", s)
	}
	return importer
}

// conformImport is part of the conformance tests of key stores.
func conformImport(t *testing.T, kind keyStoreKind, open func() hsm.KeyStore) {
	ctx := t.Context()
	first := open()
	keys := map[models.KeyAlgorithm]crypto.Signer{}
	id := func(alg models.KeyAlgorithm) string { return "from-elsewhere-" + strings.ToLower(string(alg)) }
	for _, alg := range kind.algorithms {
		keys[alg] = elsewhere(t, alg)
		for range 2 {
			if err := imports(t, first).Import(ctx, id(alg), keys[alg]); err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
		}
		if pub := must(first.Generate(ctx, id(alg), alg))(t); !samePublic(pub, keys[alg].Public()) {
			t.Fatalf("%s: another key was made in its place", alg)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := closing(t, open())
	for _, alg := range kind.algorithms {
		signer := must(second.Signer(ctx, id(alg)))(t)
		if !samePublic(signer.Public(), keys[alg].Public()) {
			t.Fatalf("%s: the key is another after reopening", alg)
		}
		if err := signAndVerify(signer); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
	}
	if err := second.Destroy(ctx, id(models.ECP256)); err != nil {
		t.Fatal(err)
	}
	_, err := second.Signer(ctx, id(models.ECP256))
	wantKind(t, err, models.KindNotFound)
}

func conformImportKeepsWhatIsThere(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	ctx, s := t.Context(), closing(t, open())
	made := must(s.Generate(ctx, "k", models.ECP256))(t)
	wantKind(t, imports(t, s).Import(ctx, "k", elsewhere(t, models.ECP256)), models.KindConflict)
	wantKind(t, imports(t, s).Import(ctx, "k", elsewhere(t, models.RSA2048)), models.KindConflict)
	if signer := must(s.Signer(ctx, "k"))(t); !samePublic(signer.Public(), made) {
		t.Fatal("the key was replaced")
	}
	wantKind(t, imports(t, s).Import(ctx, "../k", elsewhere(t, models.ECP256)), models.KindInvalid)
	wantKind(t, imports(t, s).Import(ctx, "public", nothing{}), models.KindInvalid)
}

// nothing is a signer whose key is not at hand.
type nothing struct{ crypto.Signer }

// Of eight callers with two keys for one name, those with one of them win.
func conformImportRace(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := closing(t, open())
	two := []crypto.Signer{elsewhere(t, models.ECP256), elsewhere(t, models.ECP256)}
	errs := make([]error, 8)
	together(len(errs), func(i int) { errs[i] = imports(t, s).Import(t.Context(), "one", two[i%2]) })
	stored := must(s.Signer(t.Context(), "one"))(t)
	for i, err := range errs {
		if samePublic(stored.Public(), two[i%2].Public()) {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantKind(t, err, models.KindConflict)
	}
}

func TestAnImportedKeyDoesNotLeaveTheToken(t *testing.T) {
	cfg := fixture.SoftHSM(t)
	s := closing(t, must(hsm.OpenPKCS11(cfg))(t))
	for id, alg := range map[string]models.KeyAlgorithm{"ec": models.ECP256, "rsa": models.RSA2048} {
		if err := imports(t, s).Import(t.Context(), id, elsewhere(t, alg)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("pkcs11-tool", "--module", cfg.Module, "--token-label", cfg.TokenLabel, "--login", "--pin", cfg.PIN,
		"--list-objects", "--type", "privkey").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	if strings.Count(text, "Private Key Object") != 2 || strings.Count(text, "sensitive") != 2 || strings.Contains(text, "Access:     extractable") ||
		strings.Contains(text, "decrypt") || strings.Contains(text, "unwrap") {
		t.Error(text)
	}
	wantKind(t, imports(t, s).Import(t.Context(), "ed", elsewhere(t, models.Ed25519)), models.KindInvalid)
}
