// SPDX-License-Identifier: MIT

package hsm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
)

func openSoftware(t testing.TB, dir string, key byte) *hsm.Software {
	t.Helper()
	return must(hsm.OpenSoftware(hsm.SoftwareConfig{Dir: dir, SealingKey: bytes.Repeat([]byte{key}, 32)}))(t)
}

func TestSoftwareFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s := openSoftware(t, dir, 1)
	must(s.Generate(t.Context(), "a", models.ECP256))(t)
	must(s.Generate(t.Context(), "b", models.Ed25519))(t)
	var names []string
	for _, entry := range must(os.ReadDir(dir))(t) {
		names = append(names, entry.Name())
		if mode := must(entry.Info())(t).Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %04o", entry.Name(), mode)
		}
	}
	if diff := cmp.Diff([]string{"a.key", "b.key"}, names); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	if mode := must(os.Stat(dir))(t).Mode().Perm(); mode != 0o700 {
		t.Errorf("the folder has mode %04o", mode)
	}
	if _, ok := any(must(s.Signer(t.Context(), "a"))(t)).(*ecdsa.PrivateKey); ok {
		t.Error("the signer is the private key itself")
	}
}

func TestSoftwareStoresOnOneFolderShareKeys(t *testing.T) {
	dir := t.TempDir()
	stores := make([]*hsm.Software, 8)
	for i := range stores {
		stores[i] = openSoftware(t, dir, 1)
	}
	pubs, errs := make([]crypto.PublicKey, len(stores)), make([]error, len(stores))
	together(len(stores), func(i int) { pubs[i], errs[i] = stores[i].Generate(t.Context(), "one", models.ECP256) })
	for i := range pubs {
		if errs[i] != nil || !samePublic(pubs[0], pubs[i]) {
			t.Fatalf("store %d has another key, or none: %v", i, errs[i])
		}
	}
	signer := must(stores[1].Signer(t.Context(), "one"))(t)
	if err := stores[0].Destroy(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	_, err := stores[1].Signer(t.Context(), "one")
	wantKind(t, err, models.KindNotFound)
	wantKind(t, signAndVerify(signer), models.KindNotFound)
}

func TestSoftwareKeysThatCannotBeUsed(t *testing.T) {
	cases := map[string]struct {
		spoil func(t *testing.T, dir string) error
		want  string // in the error
	}{
		"a key moved to another name does not open": {
			func(_ *testing.T, dir string) error {
				return os.Rename(filepath.Join(dir, "other.key"), filepath.Join(dir, "k.key"))
			}, "belongs under another name"},
		"a changed key does not open": {
			func(t *testing.T, dir string) error {
				content := must(os.ReadFile(filepath.Join(dir, "k.key")))(t)
				content[len(content)-1] ^= 1
				return os.WriteFile(filepath.Join(dir, "k.key"), content, 0o600)
			}, "it was changed"},
		"a key cut short does not open": {
			func(_ *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, "k.key"), 45) }, "it was changed"},
		"a file that is no key does not open": {
			func(_ *testing.T, dir string) error {
				return os.WriteFile(filepath.Join(dir, "k.key"), []byte("hello"), 0o600)
			},
			"not a sealed key"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := openSoftware(t, dir, 1)
			must(first.Generate(t.Context(), "k", models.ECP256))(t)
			must(first.Generate(t.Context(), "other", models.ECP256))(t)
			if err := tc.spoil(t, dir); err != nil {
				t.Fatal(err)
			}
			s := openSoftware(t, dir, 1)
			_, err := s.Signer(t.Context(), "k")
			wantKind(t, err, models.KindInternal)
			for _, text := range []string{tc.want, filepath.Join(dir, "k.key")} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
			_, err = s.Generate(t.Context(), "k", models.ECP256)
			wantKind(t, err, models.KindInternal)
			if err := s.Destroy(t.Context(), "k"); err != nil {
				t.Errorf("a spoilt key cannot be destroyed: %v", err)
			}
		})
	}
}

func TestSoftwareWithAnotherSealingKeyNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	late := openSoftware(t, dir, 2) // opened while there was no key yet
	must(openSoftware(t, dir, 1).Generate(t.Context(), "k", models.ECP256))(t)
	_, opened := hsm.OpenSoftware(hsm.SoftwareConfig{Dir: dir, SealingKey: bytes.Repeat([]byte{2}, 32)})
	_, found := late.Signer(t.Context(), "k")
	for _, err := range []error{opened, found} {
		wantKind(t, err, models.KindInternal)
		for _, text := range []string{"another sealing key", filepath.Join(dir, "k.key")} {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("error %q does not say %q", err, text)
			}
		}
	}
}

func TestSoftwareFolderAwayIsNoProofThatAKeyIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s := openSoftware(t, dir, 1)
	must(s.Generate(t.Context(), "k", models.ECP256))(t)
	signer := must(s.Signer(t.Context(), "k"))(t)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Signer(t.Context(), "k")
	wantKind(t, err, models.KindUnavailable)
	_, err = s.Generate(t.Context(), "new", models.ECP256)
	wantKind(t, err, models.KindUnavailable)
	wantKind(t, s.Destroy(t.Context(), "k"), models.KindUnavailable)
	wantKind(t, s.Check(t.Context()), models.KindUnavailable)
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if err := signAndVerify(signer); err != nil {
		t.Fatal(err)
	}
}

func TestLoadOrCreateSealingKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets", "sealing.key")
	keys, errs := make([][]byte, 8), make([]error, 8)
	together(len(keys), func(i int) { keys[i], errs[i] = hsm.LoadOrCreateSealingKey(path) })
	for i := range keys {
		if errs[i] != nil || len(keys[i]) != hsm.SealingKeySize || !bytes.Equal(keys[0], keys[i]) {
			t.Fatalf("caller %d has another key, or none: %v", i, errs[i])
		}
	}
	if mode := must(os.Stat(path))(t).Mode().Perm(); mode != 0o600 {
		t.Errorf("the file has mode %04o", mode)
	}
	if bytes.Equal(keys[0], make([]byte, hsm.SealingKeySize)) {
		t.Error("the key is zero")
	}
}

func TestLoadOrCreateSealingKeyRefuses(t *testing.T) {
	good := strings.Repeat("0a", 32)
	cases := map[string]struct {
		content string
		mode    os.FileMode
	}{
		"an empty file":                       {"", 0o600},
		"a key that is too short":             {good[2:], 0o600},
		"a key that is too long":              {good + "00", 0o600},
		"what is not hexadecimal":             {strings.Repeat("zz", 32), 0o600},
		"a file that everybody may read":      {good, 0o644},
		"a file that is larger than sensible": {strings.Repeat(" ", 1<<17), 0o600},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tc.content), tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := hsm.LoadOrCreateSealingKey(path)
			if err == nil || strings.Contains(err.Error(), "0a0a") {
				t.Fatalf("got error %v", err)
			}
			if after := must(os.ReadFile(path))(t); string(after) != tc.content {
				t.Fatal("the file was changed")
			}
		})
	}
	_, err := hsm.OpenSoftware(hsm.SoftwareConfig{Dir: t.TempDir(), SealingKey: []byte("short")})
	wantKind(t, err, models.KindInvalid)
	_, err = hsm.OpenSoftware(hsm.SoftwareConfig{SealingKey: make([]byte, 32)})
	wantKind(t, err, models.KindInvalid)
}

func TestStoresFind(t *testing.T) {
	s := openSoftware(t, t.TempDir(), 1)
	stores := hsm.Stores{models.StoreSoftware: s}
	if found := must(stores.Find(models.StoreSoftware))(t); found != hsm.KeyStore(s) {
		t.Fatal("another store was found")
	}
	_, err := stores.Find(models.StorePKCS11)
	wantKind(t, err, models.KindInvalid)
	if !strings.Contains(models.PublicText(err), models.StoreSoftware) {
		t.Errorf("%q does not name the choices", models.PublicText(err))
	}
}
