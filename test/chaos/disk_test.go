// SPDX-License-Identifier: MIT

package chaos

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// diskSize is what the data directory and the engine's database may take.
const diskSize = "size=48m"

// TestDiskFull (F08, F11, F45) fills the disk of the data directory, on which
// the database, the audit log in it, and the engine's database are. Nothing is
// signed that cannot be written down, everybody is told to come back, and when
// there is room again everything goes on without a restart.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, diskSize); err != nil {
		t.Skipf("a disk of a limited size cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	i := running.New(t)
	i.Dir = filepath.Join(disk, "data")
	i.CA = filepath.Join(i.Dir, "tls", "ca.pem")
	i.Start()
	p := newPlant(t, i)
	d := p.register("press-01")
	p.must(d.onboard())
	waiting := p.newcomer("press-02")

	free := fill(t, filepath.Join(disk, "filler"))
	csr, _ := newRequest("press-01")
	refused := 0
	for deadline := time.Now().Add(30 * time.Second); refused < 3 && time.Now().Before(deadline); {
		result, err := d.credential.SimpleEnroll(t.Context(), csr)
		switch {
		case err == nil: // SQLite still had a page; now there is one less
			p.keep("while the disk became full", result.Certificates[0])
			csr, _ = newRequest("press-01")
		case models.KindOf(err) != models.KindUnavailable || models.RetryAfter(err) == 0:
			t.Fatalf("with a full disk the device is told %v", err)
		default:
			refused++
		}
	}
	if refused == 0 {
		t.Fatal("the disk is full and nothing was refused")
	}
	if answer, err := http.Get("http://" + p.HTTP + "/healthz"); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("with a full disk the server is not alive: %v", err)
	}
	free()
	_, err := p.patiently("the request that was refused", d.again(csr))
	p.must(err)
	_, err = p.patiently(waiting.name, waiting.send)
	p.must(err)
	p.checkEverything(t)
}

// fill writes until the disk is full; free removes what was written.
func fill(t *testing.T, name string) (free func()) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block := []byte(strings.Repeat("x", size))
		for err == nil {
			_, err = f.Write(block)
		}
		err = nil
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}
