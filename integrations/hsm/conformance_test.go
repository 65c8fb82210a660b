// SPDX-License-Identifier: MIT

package hsm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// keyStoreKind is an implementation the conformance tests run over.
type keyStoreKind struct {
	algorithms []models.KeyAlgorithm
	// open returns a function that opens the same key store each time.
	open func(t testing.TB) func() hsm.KeyStore
}

func keyStoreKinds() map[string]keyStoreKind {
	fast := []models.KeyAlgorithm{models.ECP256, models.ECP384, models.ECP521, models.RSA2048, models.RSA3072}
	return map[string]keyStoreKind{
		"software": {append([]models.KeyAlgorithm{models.Ed25519}, fast...), func(t testing.TB) func() hsm.KeyStore {
			cfg := hsm.SoftwareConfig{Dir: t.TempDir(), SealingKey: make([]byte, 32)}
			return func() hsm.KeyStore { return must(hsm.OpenSoftware(cfg))(t) }
		}},
		"pkcs11": {fast, func(t testing.TB) func() hsm.KeyStore {
			cfg := fixture.SoftHSM(t)
			return func() hsm.KeyStore { return must(hsm.OpenPKCS11(cfg))(t) }
		}},
	}
}

// must returns a function that ends the test if err is set, and gives v.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKind(t testing.TB, err error, want models.Kind) {
	t.Helper()
	if err == nil || models.KindOf(err) != want {
		t.Fatalf("got error %v, want kind %s", err, want)
	}
}

func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func closing(t testing.TB, s hsm.KeyStore) hsm.KeyStore {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// signAndVerify signs something and verifies it by other means than the store.
func signAndVerify(signer crypto.Signer) error {
	message := []byte("to be signed")
	if pub, ok := signer.Public().(ed25519.PublicKey); ok {
		signature, err := signer.Sign(rand.Reader, message, crypto.Hash(0))
		if err == nil && !ed25519.Verify(pub, message, signature) {
			err = errors.New("the Ed25519 signature does not verify")
		}
		return err
	}
	for hash, digest := range map[crypto.Hash][]byte{crypto.SHA256: sum256(message), crypto.SHA512: sum512(message)} {
		signature, err := signer.Sign(rand.Reader, digest, hash)
		if err != nil {
			return fmt.Errorf("sign with %s: %w", hash, err)
		}
		switch pub := signer.Public().(type) {
		case *ecdsa.PublicKey:
			if !ecdsa.VerifyASN1(pub, digest, signature) {
				err = errors.New("the ECDSA signature does not verify")
			}
		case *rsa.PublicKey:
			err = rsa.VerifyPKCS1v15(pub, hash, digest, signature)
		default:
			err = fmt.Errorf("public key is a %T", pub)
		}
		if err != nil {
			return fmt.Errorf("verify with %s: %w", hash, err)
		}
	}
	return nil
}

func sum256(b []byte) []byte { d := sha256.Sum256(b); return d[:] }
func sum512(b []byte) []byte { d := sha512.Sum512(b); return d[:] }

// TestKeyStore runs the conformance tests over each implementation.
func TestKeyStore(t *testing.T) {
	cases := map[string]func(*testing.T, keyStoreKind, func() hsm.KeyStore){
		"makes keys of each algorithm that sign and are found after reopening": conformAlgorithms,
		"generating again gives the same key":                                  conformIdempotent,
		"eight callers who generate one key get the same":                      conformRace,
		"thirty-two callers sign at the same time":                             conformConcurrentSigning,
		"a key is destroyed once and for all":                                  conformDestroy,
		"what is not there is not found":                                       conformUnknown,
		"identifiers that are not valid are refused":                           conformIdentifiers,
		"a context that is over ends the call":                                 conformContext,
		"RSA-PSS signatures verify":                                            conformPSS,
		"keys from elsewhere sign and are found after reopening":               conformImport,
		"a key from elsewhere never replaces one that is there":                conformImportKeepsWhatIsThere,
		"of eight callers who bring two keys for one name, one key wins":       conformImportRace,
		"check works, and closing twice is no error":                           conformClose,
	}
	for kindName, kind := range keyStoreKinds() {
		for name, run := range cases {
			t.Run(kindName+": "+name, func(t *testing.T) { run(t, kind, kind.open(t)) })
		}
	}
}

func conformAlgorithms(t *testing.T, kind keyStoreKind, open func() hsm.KeyStore) {
	ctx := t.Context()
	first := open()
	public := map[models.KeyAlgorithm]crypto.PublicKey{}
	id := func(alg models.KeyAlgorithm) string { return "key-" + strings.ToLower(string(alg)) }
	for _, alg := range kind.algorithms {
		pub := must(first.Generate(ctx, id(alg), alg))(t)
		signer := must(first.Signer(ctx, id(alg)))(t)
		if !samePublic(pub, signer.Public()) {
			t.Fatalf("%s: Generate and Signer give different public keys", alg)
		}
		if err := signAndVerify(signer); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		public[alg] = pub
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := closing(t, open())
	for _, alg := range kind.algorithms {
		signer := must(second.Signer(ctx, id(alg)))(t)
		if !samePublic(public[alg], signer.Public()) {
			t.Fatalf("%s: the public key is another after reopening", alg)
		}
		if err := signAndVerify(signer); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
	}
}

func conformIdempotent(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := closing(t, open())
	pub := must(s.Generate(t.Context(), "k", models.ECP256))(t)
	if again := must(s.Generate(t.Context(), "k", models.ECP256))(t); !samePublic(pub, again) {
		t.Fatal("the second call gave another key")
	}
	_, err := s.Generate(t.Context(), "k", models.ECP384)
	wantKind(t, err, models.KindConflict)
	_, err = s.Generate(t.Context(), "new", "RSA-512")
	wantKind(t, err, models.KindInvalid)
}

func conformRace(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := closing(t, open())
	pubs := make([]crypto.PublicKey, 8)
	errs := make([]error, len(pubs))
	together(len(pubs), func(i int) { pubs[i], errs[i] = s.Generate(t.Context(), "one", models.ECP256) })
	for i := range pubs {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !samePublic(pubs[0], pubs[i]) {
			t.Fatal("two callers got different keys")
		}
	}
	if err := signAndVerify(must(s.Signer(t.Context(), "one"))(t)); err != nil {
		t.Fatal(err)
	}
}

func conformConcurrentSigning(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := closing(t, open())
	must(s.Generate(t.Context(), "busy", models.ECP256))(t)
	shared := must(s.Signer(t.Context(), "busy"))(t)
	errs := make([]error, 32)
	together(len(errs), func(i int) {
		for range 5 {
			own, err := s.Signer(t.Context(), "busy")
			if err != nil {
				errs[i] = err
				return
			}
			errs[i] = errors.Join(errs[i], signAndVerify(shared), signAndVerify(own))
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func conformDestroy(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	ctx, s := t.Context(), closing(t, open())
	before := must(s.Generate(ctx, "k", models.ECP256))(t)
	signer := must(s.Signer(ctx, "k"))(t)
	for range 2 {
		if err := s.Destroy(ctx, "k"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Signer(ctx, "k")
	wantKind(t, err, models.KindNotFound)
	wantKind(t, signAndVerify(signer), models.KindNotFound)
	if after := must(s.Generate(ctx, "k", models.ECP256))(t); samePublic(before, after) {
		t.Fatal("the destroyed key came back")
	}
}

func conformUnknown(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := closing(t, open())
	_, err := s.Signer(t.Context(), "nobody")
	wantKind(t, err, models.KindNotFound)
	if err := s.Destroy(t.Context(), "nobody"); err != nil {
		t.Fatal(err)
	}
}

func conformIdentifiers(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := closing(t, open())
	for _, id := range []string{"", "../k", "a/b", `a\b`, "UPPER", "dot.", "a\n", "ä", strings.Repeat("a", 65)} {
		_, err := s.Generate(t.Context(), id, models.ECP256)
		wantKind(t, err, models.KindInvalid)
		_, err = s.Signer(t.Context(), id)
		wantKind(t, err, models.KindInvalid)
		wantKind(t, s.Destroy(t.Context(), id), models.KindInvalid)
	}
	must(s.Generate(t.Context(), strings.Repeat("a", 64), models.ECP256))(t)
}

func conformContext(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := closing(t, open())
	pub := must(s.Generate(t.Context(), "k", models.ECP256))(t)
	over, cancel := context.WithCancel(t.Context())
	signer := must(s.Signer(over, "k"))(t)
	cancel()
	_, generated := s.Generate(over, "new", models.ECP256)
	_, signed := s.Signer(over, "k")
	for _, err := range []error{generated, signed, s.Destroy(over, "k"), s.Check(over)} {
		wantKind(t, err, models.KindUnavailable)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%v does not say that the context was cancelled", err)
		}
	}
	if err := signAndVerify(signer); err != nil {
		t.Fatalf("the signer does not outlive the context it was found with: %v", err)
	}
	if again := must(s.Generate(t.Context(), "k", models.ECP256))(t); !samePublic(pub, again) {
		t.Fatal("the key is another one")
	}
}

func conformPSS(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := closing(t, open())
	must(s.Generate(t.Context(), "k", models.RSA2048))(t)
	signer := must(s.Signer(t.Context(), "k"))(t)
	digest := sum256([]byte("x"))
	for _, salt := range []int{rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash} {
		opts := &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256}
		signature := must(signer.Sign(rand.Reader, digest, opts))(t)
		if err := rsa.VerifyPSS(signer.Public().(*rsa.PublicKey), crypto.SHA256, digest, signature, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := signer.Sign(rand.Reader, digest[:20], crypto.SHA256); err == nil {
		t.Fatal("a digest of the wrong length was signed")
	}
}

func conformClose(t *testing.T, _ keyStoreKind, open func() hsm.KeyStore) {
	s := open()
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// together calls run(0) to run(n-1) at the same time.
func together(n int, run func(i int)) {
	var start, end sync.WaitGroup
	start.Add(1)
	for i := range n {
		end.Go(func() {
			start.Wait()
			run(i)
		})
	}
	start.Done()
	end.Wait()
}
