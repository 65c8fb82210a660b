// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
)

// changePoints are the steps of a change that succeeds, refusedPoints those of
// one whose hook refuses. ask makes the first of both.
var (
	changePoints  = []string{faultPending, faultVersion, faultJournal, faultSwitched, faultPublished, faultHooked, faultConfirmed}
	refusedPoints = []string{faultJournal, faultSwitched, faultPublished, faultRefused, faultReturned}
)

// powerCut is what a fault point throws in these tests.
type powerCut string

// bench is one credential with a hook whose mind a file changes.
type bench struct {
	t     *testing.T
	store *store
	wish  *wish
	cutAt string
}

// newBench is one with keys in files, or in a token that was prepared.
func newBench(t *testing.T, in ...*token) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, wish: &wish{Name: "web", Key: models.ECP256, Files: files{
		Key: filepath.Join(dir, "out-key.pem"), FullChain: filepath.Join(dir, "out-full.pem"), Cert: filepath.Join(dir, "out-cert.pem"),
		Chain: filepath.Join(dir, "out-chain.pem"), Bundle: filepath.Join(dir, "out-bundle.pem"),
	}}}
	if len(in) > 0 {
		b.wish.Name, b.wish.InToken = fmt.Sprintf("web-%08x", mathrand.Uint32()), true // nobody else's in this token
		b.wish.Files.Key, b.wish.Files.Bundle, b.wish.Files.KeyURI = "", "", filepath.Join(dir, "out-key.uri")
	}
	var err error
	b.store, err = openStore(filepath.Join(dir, "web"), time.Now, func(point string) {
		if point == b.cutAt {
			panic(powerCut(point))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(in) > 0 {
		b.store.token = in[0]
	}
	return b
}

// refuses makes the hook fail unless the first version is in use.
func (b *bench) refuses() {
	b.wish.Hook = hook{Command: []string{"sh", "-c", `readlink current | grep -q v000001`}, Timeout: time.Minute}
}

// change asks for a certificate and installs it, until the power is cut.
func (b *bench) change(serial int64) (err error) {
	b.t.Helper()
	defer func() {
		if cut := recover(); cut != nil {
			err = errors.New("power cut at " + string(cut.(powerCut)))
		}
	}()
	p, content := b.issue(serial)
	if err := b.store.ask(p); err != nil {
		return err
	}
	name, err := b.store.add(content)
	if err != nil {
		return err
	}
	return b.store.install(context.Background(), b.wish, name)
}

// issue makes a key and a certificate with this serial number.
func (b *bench) issue(serial int64) (*pending, map[string][]byte) {
	b.t.Helper()
	key, kept, err := newKey(models.ECP256)
	if b.wish.InToken {
		key, kept, err = b.store.newTokenKey(context.Background(), b.wish)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		b.t.Fatal(err)
	}
	m := meta{Wish: b.wish.digest(), Obtained: time.Now()}
	content, err := versionFiles(m, kept, []*x509.Certificate{cert})
	if err != nil {
		b.t.Fatal(err)
	}
	return &pending{meta: m, Key: kept, Request: []byte("request")}, content
}

// serial checks that key and certificate in use fit, where the agent keeps
// them and where others read them, and returns the serial number.
func (b *bench) serial(shown bool) int64 {
	b.t.Helper()
	v, err := b.store.current()
	if err != nil {
		b.t.Fatalf("the pair in use cannot be read: %v", err)
	}
	if v == nil {
		return 0
	}
	if !shown {
		return v.leaf().SerialNumber.Int64()
	}
	pair, err := b.pair()
	if err != nil {
		b.t.Fatalf("what others see is no pair: %v", err)
	}
	if got, want := pair.Leaf.SerialNumber.Int64(), v.leaf().SerialNumber.Int64(); got != want {
		b.t.Errorf("others see certificate %d, in use is %d", got, want)
	}
	for name, path := range b.wish.Files.byContent() {
		if path == "" {
			continue
		}
		used, errUsed := os.ReadFile(b.store.path(v.Name, name))
		if content, err := os.ReadFile(path); err != nil || errUsed != nil || !bytes.Equal(content, used) {
			b.t.Errorf("%s is not that of certificate %d (%v, %v)", filepath.Base(path), v.leaf().SerialNumber, err, errUsed)
		}
	}
	return v.leaf().SerialNumber.Int64()
}

// pair is what other programs find.
func (b *bench) pair() (*tls.Certificate, error) {
	if !b.wish.InToken {
		return loadPair(b.wish.Files.FullChain, "", b.wish.Files.Key)
	}
	uri, err := os.ReadFile(b.wish.Files.KeyURI)
	if err != nil {
		return nil, err
	}
	key, err := b.store.token.signer(context.Background(), string(uri))
	if err != nil {
		return nil, err
	}
	pair, err := loadKeyless(b.wish.Files.FullChain, "")
	if err != nil {
		return nil, err
	}
	return withKey(pair, key)
}

// restart does what the next start does after a power cut.
func (b *bench) restart() error {
	b.cutAt = ""
	if b.wish.InToken {
		b.store.token.close()
	}
	return b.store.recover(context.Background(), b.wish)
}

func TestAPowerCutAtEveryStepLeavesAUsablePair(t *testing.T) { cutsOfAChange(t, changePoints) }

func cutsOfAChange(t *testing.T, points []string, in ...*token) {
	switched := map[string]bool{faultSwitched: true, faultPublished: true, faultHooked: true, faultConfirmed: true, faultDestroyed: true}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			b := newBench(t, in...)
			if err := b.change(1); err != nil {
				t.Fatal(err)
			}
			b.cutAt = point
			if err := b.change(2); err == nil || !strings.Contains(err.Error(), "power cut") {
				t.Fatalf("the change did not reach %s: %v", point, err)
			}
			if got, want := b.serial(true), map[bool]int64{false: 1, true: 2}[switched[point]]; got != want {
				t.Errorf("after the cut certificate %d is in use, want %d", got, want)
			}
			if err := b.restart(); err != nil {
				t.Fatal(err)
			}
			announced := switched[point] || point == faultJournal
			if got, want := b.serial(true), map[bool]int64{false: 1, true: 2}[announced]; got != want {
				t.Errorf("after the restart certificate %d is in use, want %d", got, want)
			}
			early := point == faultNoted || point == faultMade
			if p, err := b.store.asked(); err != nil || (p == nil) != (announced || early) {
				t.Errorf("the pending request after the restart: %v, %v; want one: %t", p, err, !announced && !early)
			}
			if err := b.change(3); err != nil || b.serial(true) != 3 {
				t.Errorf("the next change: %v, certificate %d", err, b.serial(true))
			}
			b.clean()
		})
	}
}

func TestAPowerCutDuringTheFirstCertificate(t *testing.T) { cutsOfTheFirst(t, changePoints) }

func cutsOfTheFirst(t *testing.T, points []string, in ...*token) {
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			b := newBench(t, in...)
			b.cutAt = point
			if err := b.change(1); err == nil {
				t.Fatalf("the change did not reach %s", point)
			}
			b.serial(false)
			if err := b.restart(); err != nil {
				t.Fatal(err)
			}
			if err := b.change(2); err != nil || b.serial(true) != 2 {
				t.Errorf("the next change: %v, certificate %d", err, b.serial(true))
			}
			b.clean()
		})
	}
}

func TestARefusingHookBringsThePreviousPairBack(t *testing.T) { cutsOfARefusal(t) }

func cutsOfARefusal(t *testing.T, in ...*token) {
	for _, point := range append([]string{"nowhere"}, refusedPoints...) {
		t.Run("cut at "+point, func(t *testing.T) {
			b := newBench(t, in...)
			if err := b.change(1); err != nil {
				t.Fatal(err)
			}
			b.refuses()
			b.cutAt = point
			err := b.change(2)
			b.serial(true)
			if point != "nowhere" {
				err = b.restart()
			}
			if !errors.Is(err, errRefused) {
				t.Errorf("the change ended with %v, want %v", err, errRefused)
			}
			if got := b.serial(true); got != 1 {
				t.Errorf("certificate %d is in use, want the previous one", got)
			}
			if got := b.store.refused(); got != "v000002" {
				t.Errorf("the refused version is %q", got)
			}
			b.wish.Hook = hook{}
			if err := b.store.install(context.Background(), b.wish, b.store.refused()); err != nil || b.serial(true) != 2 {
				t.Errorf("the refused version, once the hook agrees: %v, certificate %d", err, b.serial(true))
			}
			b.clean()
		})
	}
}

func TestAFirstPairStaysIfItsHookRefuses(t *testing.T) {
	b := newBench(t)
	b.wish.Hook = hook{Command: []string{"false"}, Timeout: time.Minute}
	if err := b.change(1); !errors.Is(err, errRefused) {
		t.Errorf("the change ended with %v, want %v", err, errRefused)
	}
	if b.serial(true) != 1 || b.store.refused() != "v000001" {
		t.Errorf("certificate %d is in use, refused is %q", b.serial(true), b.store.refused())
	}
}

func TestAnExpiredPairIsNotBroughtBack(t *testing.T) {
	b := newBench(t)
	if err := b.change(1); err != nil {
		t.Fatal(err)
	}
	b.refuses()
	b.store.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if err := b.change(2); !errors.Is(err, errRefused) {
		t.Errorf("the change ended with %v, want %v", err, errRefused)
	}
	if got := b.serial(true); got != 2 {
		t.Errorf("certificate %d is in use, want the new one", got)
	}
}

func TestAForeignFileIsNotReplaced(t *testing.T) {
	b := newBench(t)
	if err := os.WriteFile(b.wish.Files.Key, []byte("precious"), filePerm); err != nil {
		t.Fatal(err)
	}
	if err := b.change(1); !errors.Is(err, errRefused) {
		t.Errorf("the change ended with %v, want %v", err, errRefused)
	}
	if content, err := os.ReadFile(b.wish.Files.Key); err != nil || string(content) != "precious" {
		t.Errorf("the file is %q now (%v)", content, err)
	}
}

// clean checks that nothing is left over and nothing is for others to read.
func (b *bench) clean() {
	b.t.Helper()
	names, err := b.store.versions()
	if most := map[bool]int{false: 2, true: 1}[b.wish.InToken]; err != nil || len(names) > most {
		b.t.Errorf("versions kept: %q (%v), want %d at most", names, err, most)
	}
	err = filepath.WalkDir(b.store.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), tempPrefix) {
			b.t.Errorf("%s is left over", path)
		}
		info, err := d.Info()
		if err == nil && info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0 {
			b.t.Errorf("%s has the mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		b.t.Error(err)
	}
}

func TestOnlyOneAgentWorksOnAFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), fileLock)
	release, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(path); !errors.Is(err, errLocked) {
		t.Errorf("a second lock ended with %v, want %v", err, errLocked)
	}
	release()
	again, err := lock(path)
	if err != nil {
		t.Fatalf("the lock was not given back: %v", err)
	}
	again()
}
