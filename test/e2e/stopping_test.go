// SPDX-License-Identifier: MIT

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestStoppedWhileItStarts sends SIGTERM before the server is ready: that is a
// graceful stop like any other, and the engine does not outlive it.
func TestStoppedWhileItStarts(t *testing.T) {
	i := newInstance(t)
	i.launch()
	cmd := i.cmd
	eventually(t, "the engine is being started", 10*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(i.dir, "temporal", "tls"))
		return err == nil
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	i.awaitEnd(30 * time.Second)
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the exit status is %d:\n%s", code, tail(i.log.String(), 10))
	}
	if engineRuns(i.dir) {
		t.Error("the engine still runs")
	}
	i.start() // nothing is in the way
}
