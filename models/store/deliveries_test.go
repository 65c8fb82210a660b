// SPDX-License-Identifier: MIT

package store_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func newDelivery(channel models.DeliveryChannel, device, profile string) *models.Delivery {
	return &models.Delivery{State: models.DeliveryWaiting, Channel: channel, DomainID: "domain", DeviceID: models.DeviceID(device),
		RequestID: models.NewID[models.RequestID](), ProfileName: profile, KeyAlgorithm: models.ECP256, CodeHash: []byte{1}, TriesLeft: 3,
		Life: models.Duration(time.Hour), Actor: "operator:alice", ExpiresAt: later(0)}
}

// secretOf returns n random bytes.
func secretOf(n int) []byte {
	secret := make([]byte, n)
	rand.Read(secret)
	return secret
}

func insertDelivery(t testing.TB, s *store.Store, d *models.Delivery, sealed []byte) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error { return tx.InsertDelivery(d, sealed) })
}

func TestADeliveryIsReadBackWithItsKey(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		d, sealed := newDelivery(models.DeliverByDownload, "device", "generic"), secretOf(300)
		insertDelivery(t, s, d, sealed)
		same(t, must[*models.Delivery](t)(s.FindDelivery(background, d.ID)), d)
		same(t, must[*models.Delivery](t)(s.FindDeliveryByRequest(background, d.RequestID)), d)
		same(t, must[*models.Delivery](t)(s.FindDownload(background, "device")), d)
		same(t, must[[]byte](t)(s.FindSealedKey(background, d.ID)), sealed)
		_, err := s.FindDownload(background, "other")
		wantKind(t, err, models.KindNotFound)
		_, err = s.FindOpenDelivery(background, "device", "generic")
		wantKind(t, err, models.KindNotFound)
	})
}

func TestOneOpenDeliveryStandsInTheWayOfAnother(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		insert := func(channel models.DeliveryChannel, device, profile string) error {
			return s.Write(background, func(tx *store.Tx) error {
				return tx.InsertDelivery(newDelivery(channel, device, profile), []byte("key"))
			})
		}
		for _, c := range []struct {
			channel         models.DeliveryChannel
			device, profile string
			conflict        bool
		}{
			{models.DeliverByDownload, "a", "generic", false},
			{models.DeliverByDownload, "a", "tls_server", true},
			{models.DeliverByDownload, "b", "generic", false},
			{models.DeliverToOperator, "a", "generic", false},
			{models.DeliverToOperator, "a", "generic", true},
			{models.DeliverToOperator, "a", "tls_server", false},
			{models.DeliverByEST, "a", "generic", false},
			{models.DeliverByEST, "a", "generic", false},
		} {
			if err := insert(c.channel, c.device, c.profile); (models.KindOf(err) == models.KindConflict) != c.conflict || (err != nil) != c.conflict {
				t.Errorf("%v: %v", c, err)
			}
		}
		open := must[*models.Delivery](t)(s.FindOpenDelivery(background, "a", "tls_server"))
		open.State = models.DeliveryWithdrawn
		write(t, s, func(tx *store.Tx) error { return tx.SaveDelivery(open) })
		if err := insert(models.DeliverToOperator, "a", "tls_server"); err != nil {
			t.Errorf("after the open one has ended: %v", err)
		}
		all := pages(t, func(d models.Delivery) string { return string(d.Channel) }, func(p store.Page) ([]models.Delivery, string, error) {
			return s.ListDeliveries(background, store.DeliveryFilter{Page: p, DeviceID: "a"})
		})
		if all != "download operator operator est est operator" {
			t.Errorf("the list is %q", all)
		}
	})
}

func TestDeliveriesMoveAsTheyMay(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		for end, want := range map[models.DeliveryState]models.Kind{
			models.DeliveryDelivered: models.KindConflict, // it was never ready
			models.DeliveryExpired:   models.KindInternal, models.DeliveryWithdrawn: models.KindInternal, models.DeliveryLocked: models.KindInternal,
		} {
			d := newDelivery(models.DeliverByEST, "device", "generic")
			insertDelivery(t, s, d, []byte("key"))
			d.State = end
			err := s.Write(background, func(tx *store.Tx) error { return tx.SaveDelivery(d) })
			_, gone := s.FindSealedKey(background, d.ID)
			if want == models.KindConflict {
				wantKind(t, err, want)
				if gone != nil {
					t.Errorf("a refused move took the key: %v", gone)
				}
				continue
			}
			if err != nil {
				t.Errorf("to %s: %v", end, err)
			}
			wantKind(t, gone, models.KindNotFound)
			d.State = models.DeliveryReady
			wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveDelivery(d) }), models.KindConflict)
		}
		d := newDelivery(models.DeliverByEST, "device", "generic")
		insertDelivery(t, s, d, []byte("key"))
		stale := *d
		d.State = models.DeliveryReady
		write(t, s, func(tx *store.Tx) error { return tx.SaveDelivery(d) })
		stale.TriesLeft--
		wantKind(t, s.Write(background, func(tx *store.Tx) error { return tx.SaveDelivery(&stale) }), models.KindConflict)
		if rows := must[[]models.Delivery](t)(s.UnsettledDeliveries(background, "", 10)); len(rows) != 5 {
			t.Errorf("%d deliveries to look after, want 5", len(rows))
		}
	})
}

// databaseFiles returns everything that the database keeps in files, but not
// PostgreSQL's own log.
func databaseFiles(t *testing.T, s *store.Store, address string) []byte {
	t.Helper()
	dir := filepath.Dir(strings.TrimPrefix(address, "sqlite:"))
	if strings.HasPrefix(address, "postgres") {
		write := []string{"CHECKPOINT"}
		for _, statement := range write {
			if _, err := store.Pool(s).Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		// Of this database only: those of the other tests make it a search for minutes.
		own := lines(t, s, "SELECT oid::text FROM pg_database WHERE datname = current_database()")[0]
		dir = filepath.Join(lines(t, s, "SHOW data_directory")[0], "base", own)
	}
	var all []byte
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // files come and go
		}
		data, _ := os.ReadFile(path)
		all = append(all, data...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// dumpOf returns a copy of the database as operators make it.
func dumpOf(t *testing.T, s *store.Store, address string) []byte {
	t.Helper()
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		copied := filepath.Join(t.TempDir(), "copy.db")
		if _, err := store.Pool(s).Exec("VACUUM INTO ?", copied); err == nil {
			return must[[]byte](t)(os.ReadFile(copied))
		}
		return must[[]byte](t)(os.ReadFile(path)) // readers may not write: the file is what a backup takes
	}
	u := must[*url.URL](t)(url.Parse(address))
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	out, err := exec.Command(found[len(found)-1], "--format=plain", u.String()).Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	return out
}

// contains finds a secret in whatever form a dump writes it.
func contains(where, secret []byte) bool {
	return bytes.Contains(where, secret) || bytes.Contains(where, fmt.Appendf(nil, "%x", secret))
}

// Acceptance 4: the key is gone from the database and from copies that are
// made afterwards.
func TestDestroyedKeysAreGoneFromTheFiles(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, address string) {
		s := fixture.Open(t, address)
		const many = 120 // enough for pages to be split and joined
		deliveries, secrets := make([]*models.Delivery, many), make([][]byte, many)
		for i := range many {
			deliveries[i], secrets[i] = newDelivery(models.DeliverByEST, "device", "generic"), secretOf(200+i%7*500)
			insertDelivery(t, s, deliveries[i], secrets[i])
		}
		eventuallyScrubbed(t, s)
		if files := databaseFiles(t, s, address); !contains(files, secrets[0][:64]) || !contains(dumpOf(t, s, address), secrets[0][:64]) {
			t.Fatal("the keys are not even found while they are there: the search proves nothing")
		}
		const kept = 7
		for i := range many {
			at := i * 37 % many // not in the order of their identifiers
			if at == kept {
				continue
			}
			deliveries[at].State = models.DeliveryExpired
			write(t, s, func(tx *store.Tx) error { return tx.SaveDelivery(deliveries[at]) })
		}
		files := scrubbedFiles(t, s, address, append(slices.Clone(secrets[:kept]), secrets[kept+1:]...))
		dump := dumpOf(t, s, address)
		for i, secret := range secrets {
			for _, piece := range [][]byte{secret[:48], secret[len(secret)-48:]} {
				if there := contains(files, piece); there != (i == kept) {
					t.Errorf("key %d of %d octets in the files: %v", i, len(secret), there)
				}
			}
			if there := contains(dump, secret[:48]); there != (i == kept) {
				t.Errorf("key %d in a copy made afterwards: %v", i, there)
			}
		}
	})
}

// scrubbedFiles returns the database's files once the secrets are gone from
// them, or after some time. PostgreSQL's own housekeeping may look at the
// database at the moment of a scrub, which then leaves what that could see.
func scrubbedFiles(t *testing.T, s *store.Store, address string, secrets [][]byte) []byte {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		eventuallyScrubbed(t, s)
		files := databaseFiles(t, s, address)
		found := slices.ContainsFunc(secrets, func(secret []byte) bool { return contains(files, secret[:48]) })
		if !found || time.Now().After(deadline) {
			return files
		}
	}
}

// eventuallyScrubbed repeats what the sweeper repeats while tests beside this
// one use the same machine.
func eventuallyScrubbed(t *testing.T, s *store.Store) {
	t.Helper()
	var err error
	for range 20 {
		if err = s.Scrub(background); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// Acceptance 4: the store keeps nothing in memory either.
func TestDestroyedKeysAreGoneFromTheMemoryOfTheStore(t *testing.T) {
	const child = "STORE_TEST_MEMORY"
	if inherited := os.Getenv(child); inherited != "" {
		dumpMemory(t, inherited)
		return
	}
	for dialect, address := range map[string]func(testing.TB) string{"sqlite": fixture.SQLite, "postgres": fixture.Postgres} {
		t.Run(dialect, func(t *testing.T) {
			heap, about := filepath.Join(t.TempDir(), "heap"), secretOf(16)
			cmd := exec.Command(os.Args[0], "-test.run=^TestDestroyedKeysAreGoneFromTheMemoryOfTheStore$")
			cmd.Env = append(os.Environ(), child+"="+heap+" "+address(t)+fmt.Sprintf(" %x", about))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if dump := must[[]byte](t)(os.ReadFile(heap + ".before")); !bytes.Contains(dump, about) {
				t.Error("the key is not even found while it is there: the search proves nothing")
			}
			if dump := must[[]byte](t)(os.ReadFile(heap + ".after")); bytes.Contains(dump, about) {
				t.Error("the store keeps the key in its memory")
			}
		})
	}
}

// dumpMemory is the child: it writes what is alive in its heap before and
// after a delivery. The key begins with the marker, which comes in hex.
func dumpMemory(t *testing.T, inherited string) {
	words := strings.Fields(inherited)
	s := fixture.Open(t, words[1])
	var marker [16]byte
	fmt.Sscanf(words[2], "%x", new([]byte))
	for i := range marker {
		fmt.Sscanf(words[2][2*i:2*i+2], "%02x", &marker[i])
	}
	d := newDelivery(models.DeliverByEST, "device", "generic")
	insertDelivery(t, s, d, append(marker[:], secretOf(300)...))
	held := must[[]byte](t)(s.FindSealedKey(background, d.ID))
	clear(marker[:])
	heapTo(t, words[0]+".before")
	runtime.KeepAlive(held)
	held = nil
	d.State = models.DeliveryExpired
	write(t, s, func(tx *store.Tx) error { return tx.SaveDelivery(d) })
	must[*models.Delivery](t)(s.FindDelivery(background, d.ID))
	runtime.GC()
	runtime.GC() // pools give up what they hold at the second
	heapTo(t, words[0]+".after")
}

func heapTo(t *testing.T, path string) {
	t.Helper()
	file := must[*os.File](t)(os.Create(path))
	debug.WriteHeapDump(file.Fd())
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
