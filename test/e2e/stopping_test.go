// SPDX-License-Identifier: MIT

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestStoppedWhileItStarts sends SIGTERM before the server is ready: that is a
// graceful stop like any other, and the engine does not outlive it.
func TestStoppedWhileItStarts(t *testing.T) {
	i := running.New(t)
	i.Launch()
	cmd := i.Cmd
	eventually(t, "the engine is being started", 10*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(i.Dir, "temporal", "tls"))
		return err == nil
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	i.AwaitEnd(30 * time.Second)
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the exit status is %d:\n%s", code, running.Tail(i.Log.String(), 10))
	}
	if i.Engine() != 0 {
		t.Error("the engine still runs")
	}
	i.Start() // nothing is in the way
}
