// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

var errOfCaller = errors.New("the caller thinks better of it")

// operatorCount returns how many operators are committed.
func operatorCount(t testing.TB, s *store.Store) int {
	t.Helper()
	rows, _, err := s.ListOperators(background, store.Page{Limit: store.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func insertOperator(name string) func(tx *store.Tx) error {
	return func(tx *store.Tx) error { return tx.InsertOperator(&models.Operator{Name: name}) }
}

func TestAFailingCallerRollsBackOnlyItself(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		const n = 150
		var ok, failed atomic.Int32
		together(n, func(i int) {
			err := s.Write(background, func(tx *store.Tx) error {
				if err := insertOperator(fmt.Sprint("operator ", i))(tx); err != nil {
					return err
				}
				if i%10 == 3 {
					return errOfCaller
				}
				return nil
			})
			switch {
			case err == nil:
				ok.Add(1)
			case errors.Is(err, errOfCaller):
				failed.Add(1)
			default:
				t.Error(err)
			}
		})
		if ok.Load() != 135 || failed.Load() != 15 || operatorCount(t, s) != 135 {
			t.Errorf("%d succeeded, %d failed, %d rows; want 135, 15, 135", ok.Load(), failed.Load(), operatorCount(t, s))
		}
	})
}

func TestAPanicOfACallerPassesThroughAndHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		together(60, func(i int) {
			defer func() {
				if r := recover(); (r != nil) != (i%5 == 0) || (r != nil && r != any(i)) {
					t.Errorf("caller %d recovered %v", i, r)
				}
			}()
			if err := s.Write(background, func(tx *store.Tx) error {
				err := insertOperator(fmt.Sprint(i))(tx)
				if i%5 == 0 {
					panic(i)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
		if n := operatorCount(t, s); n != 48 {
			t.Errorf("%d rows, want 48", n)
		}
	})
}

func TestACallerWhoseGoroutineEndsRollsBack(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		t.Run("skipped inside", func(t *testing.T) {
			_ = s.Write(background, func(tx *store.Tx) error {
				defer t.SkipNow() // ends the goroutine, as t.Fatal does
				return insertOperator("gone")(tx)
			})
		})
		write(t, s, insertOperator("stays"))
		if n := operatorCount(t, s); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func TestATransactionReadsItsOwnWrites(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		write(t, s, func(tx *store.Tx) error {
			if err := insertOperator("alice")(tx); err != nil {
				return err
			}
			if _, err := s.FindOperatorByName(background, "alice"); models.KindOf(err) != models.KindNotFound {
				t.Errorf("others see what is not committed: %v", err)
			}
			_, err := tx.FindOperatorByName(background, "nobody") // absence is no failure
			wantKind(t, err, models.KindNotFound)
			_, err = tx.FindOperatorByName(background, "alice")
			return err
		})
		if n := operatorCount(t, s); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})
}

func TestATransactionThatWasKeptIsDead(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		var kept *store.Tx
		write(t, s, func(tx *store.Tx) error { kept = tx; return nil })
		wantKind(t, insertOperator("late")(kept), models.KindInternal)
		if n := operatorCount(t, s); n != 0 {
			t.Errorf("%d rows, want 0", n)
		}
	})
}

func TestACallWhoseContextEndsInTheQueueIsNotRun(t *testing.T) {
	t.Parallel()
	s := fixture.Open(t, fixture.SQLite(t))
	entered, leave := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.Write(background, func(tx *store.Tx) error {
			close(entered)
			<-leave
			return insertOperator("first")(tx)
		})
	}()
	<-entered
	ctx, cancel := context.WithCancel(background)
	second := make(chan error, 1)
	go func() { second <- s.Write(ctx, func(*store.Tx) error { t.Error("the second call ran"); return nil }) }()
	cancel()
	wantKind(t, <-second, models.KindUnavailable) // while the first is still inside
	close(leave)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	write(t, s, insertOperator("third"))
	if n := operatorCount(t, s); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestAContextThatEndsInsideRollsBack(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(background)
		err := s.Write(ctx, func(tx *store.Tx) error {
			if err := insertOperator("a")(tx); err != nil {
				return err
			}
			cancel()
			return insertOperator("b")(tx)
		})
		wantKind(t, err, models.KindUnavailable)
		wantKind(t, s.Write(ctx, func(*store.Tx) error { t.Error("ran"); return nil }), models.KindUnavailable)
		if n := operatorCount(t, s); n != 0 {
			t.Errorf("%d rows, want 0", n)
		}
	})
}

func TestCloseLetsWritesFinish(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url}))
		var written atomic.Int32
		together(50, func(i int) {
			if i == 25 {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err := s.Write(background, insertOperator(fmt.Sprint(i))); err == nil {
				written.Add(1)
			} else if k := models.KindOf(err); k != models.KindUnavailable {
				t.Errorf("write after close: %v", err)
			}
		})
		if err := s.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		wantKind(t, s.Write(background, insertOperator("late")), models.KindUnavailable)
		_, err := s.FindOperatorByName(background, "late")
		wantKind(t, err, models.KindUnavailable)
		wantKind(t, s.Check(background), models.KindUnavailable)
		if n := operatorCount(t, fixture.Open(t, url)); n != int(written.Load()) {
			t.Errorf("%d rows, but %d callers were told that theirs is written", n, written.Load())
		}
	})
}

func TestWhatWasAnsweredSurvivesAKill(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		const child = "STORE_TEST_CHILD_URL"
		if inherited := os.Getenv(child); inherited != "" {
			writeUntilKilled(t, inherited)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestWhatWasAnsweredSurvivesAKill$/^sqlite$")
		cmd.Env = append(os.Environ(), child+"="+url)
		out := must[interface{ Read([]byte) (int, error) }](t)(cmd.StdoutPipe())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		buf := make([]byte, 4096)
		for strings.Count(said.String(), "wrote ") < 200 {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatalf("child: %v: %s", err, said.String())
			}
			said.Write(buf[:n])
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		s := fixture.Open(t, url)
		lines := strings.Split(said.String(), "\n")
		for _, line := range lines[:len(lines)-1] {
			if name, ok := strings.CutPrefix(line, "wrote "); ok {
				if _, err := s.FindOperatorByName(background, name); err != nil {
					t.Fatalf("%s was answered and is gone: %v", name, err)
				}
			}
		}
		write(t, s, insertOperator("after"))
	})
}

// writeUntilKilled is the child of TestWhatWasAnsweredSurvivesAKill.
func writeUntilKilled(t *testing.T, url string) {
	s := must[*store.Store](t)(store.Open(background, store.Config{URL: url}))
	together(8, func(worker int) {
		for i := range 100_000 {
			name := fmt.Sprintf("w%d-%d", worker, i)
			if err := s.Write(background, insertOperator(name)); err != nil {
				t.Error(err)
				return
			}
			os.Stdout.WriteString("wrote " + name + "\n")
		}
	})
}

func TestOpenRefusesWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	garbage := filepath.Join(folder, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		url  string
		kind models.Kind
	}{
		"another database":            {"mysql://localhost/x", models.KindInvalid},
		"no path":                     {"sqlite:", models.KindInvalid},
		"memory":                      {"sqlite::memory:", models.KindInvalid},
		"PostgreSQL that nobody runs": {"postgres://trustloom:s3cret@127.0.0.1:1/x", models.KindUnavailable},
		"PostgreSQL URL that is none": {"postgres://trustloom:s3cret@127.0.0.1:port/x", models.KindInvalid},
		"folder that does not exist":  {"sqlite:" + folder + "/a/b", models.KindUnavailable},
		"file that is no database":    {"sqlite:" + garbage, models.KindInternal},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(background, store.Config{URL: tt.url})
			if s != nil || err == nil || models.KindOf(err) != tt.kind {
				t.Errorf("got %v, %v, want %s", s, err, tt.kind)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestPathsWithSpecialCharactersAndMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "50% of ?#&%41 ü.db")
	s := fixture.Open(t, "sqlite:"+path)
	write(t, s, insertOperator("alice"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", info.Name(), info.Mode())
		}
	}
}

func TestTheClockIsTheCallers(t *testing.T) {
	t.Parallel()
	fixture.URLs(t, func(t *testing.T, url string) {
		now := later(0)
		s := must[*store.Store](t)(store.Open(background, store.Config{URL: url, Now: func() time.Time { return now }}))
		defer s.Close()
		d := newRequest("k")
		write(t, s, func(tx *store.Tx) error { _, err := tx.InsertRequest(d); return err })
		now = later(time.Minute)
		write(t, s, func(tx *store.Tx) error { return tx.SaveRequest(d) })
		got := must[*models.Request](t)(s.FindRequest(background, d.ID))
		if want := later(0).UTC().Truncate(time.Microsecond); got.CreatedAt != want || got.UpdatedAt != want.Add(time.Minute) {
			t.Errorf("created %v, updated %v", got.CreatedAt, got.UpdatedAt)
		}
	})
}
