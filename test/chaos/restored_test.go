// SPDX-License-Identifier: MIT

package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestDatabaseRestoredFromBackup (F14) gives the server its database of an
// earlier hour. It notices that it has seen more, and does not serve before an
// operator accepts that.
func TestDatabaseRestoredFromBackup(t *testing.T) {
	p := newPlant(t, running.Start(t))
	p.must(p.register("press-01").onboard())
	p.Stop()
	database, backup := filepath.Join(p.Dir, "trustloom.db"), t.TempDir()
	files := []string{"", "-wal", "-shm"} // what SQLite keeps beside the database belongs to it
	for _, more := range files {
		if _, err := os.Stat(database + more); err == nil {
			copyFile(t, database+more, filepath.Join(backup, "db"+more))
		}
	}
	p.Start()
	p.must(p.register("press-02").onboard())
	p.Stop()
	for _, more := range files {
		if err := os.Remove(database + more); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(backup, "db"+more)); err == nil {
			copyFile(t, filepath.Join(backup, "db"+more), database+more)
		}
	}

	p.Launch()
	p.AwaitEnd(30 * time.Second)
	if log := p.Log.String(); !strings.Contains(log, "older than what this server has seen") || !strings.Contains(log, "--accept-older-database") {
		t.Fatalf("the server does not say why it does not start:\n%s", running.Tail(log, 10))
	}
	args := p.Args
	p.Args = append(args, "--accept-older-database")
	p.Start()
	p.Stop()
	p.Args = args
	p.Start() // and from now on as usual
	p.must(p.register("press-02").onboard())
	events, err := p.api.ListEvents(t.Context(), api.EventFilter{Action: "database.accepted"})
	p.must(err)
	if len(events.Items) != 1 {
		t.Errorf("%d audit events say that an older database was accepted, want 1", len(events.Items))
	}
}
