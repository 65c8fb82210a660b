// SPDX-License-Identifier: MIT

package temporald_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/integrations/temporald"
)

// parentFlag makes this test binary be the parent of an engine, to be killed: <flag> <binary> <data dir> <key>.
const parentFlag = "trustloom-test-parent"

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == parentFlag {
		beParent(os.Args[2], os.Args[3], os.Args[4])
	}
	os.Exit(m.Run())
}

// beParent opens an engine, prints its process ID and waits to be killed.
func beParent(binary, dir, key string) {
	payloadKey, err := hex.DecodeString(key)
	if err != nil {
		os.Exit(1)
	}
	engine, err := temporald.Open(context.Background(), temporald.Config{Address: temporald.Embedded, Binary: binary, DataDir: dir,
		PayloadKey: payloadKey, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(engine.Pid())
	select {}
}

// waitForSignal is a story that is open while things happen.
func waitForSignal(ctx workflow.Context) (string, error) {
	var said string
	workflow.GetSignalChannel(ctx, "go").Receive(ctx, &said)
	return said, nil
}

// alive reports whether a process runs; one that waits to be collected does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(after, []byte("Z"))
}

func TestAKilledEngineIsStartedAgainAndOpenWorkflowsFinish(t *testing.T) {
	cfg, _ := embedded(t)
	engine := open(t, cfg)
	w := worker.New(engine.Client(), "wait", worker.Options{})
	w.RegisterWorkflow(waitForSignal)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	run, err := engine.Client().ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "open", TaskQueue: "wait"}, waitForSignal)
	if err != nil {
		t.Fatal(err)
	}
	ports, first := readPortsFile(t, cfg), engine.Pid()
	for range 2 {
		before := engine.Pid()
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another engine serves", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return engine.Pid() != 0 && engine.Pid() != before && engine.Check(ctx) == nil
		})
	}
	if again := readPortsFile(t, cfg); ports != again {
		t.Errorf("the ports moved from %s to %s", ports, again)
	}
	if alive(first) {
		t.Error("the killed engine still lives")
	}
	if err := engine.Client().SignalWorkflow(t.Context(), "open", "", "go", "on"); err != nil {
		t.Fatal(err)
	}
	var said string
	if err := run.Get(t.Context(), &said); err != nil || said != "on" {
		t.Errorf("the open workflow ended with %q, %v", said, err)
	}
}

func readPortsFile(t *testing.T, cfg temporald.Config) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(cfg.DataDir, "temporal", "ports.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheEngineDiesWithAKilledParentAndTheNextParentTakesOver(t *testing.T) {
	cfg, _ := embedded(t)
	parent := exec.Command(os.Args[0], parentFlag, cfg.Binary, cfg.DataDir, hex.EncodeToString(cfg.PayloadKey))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parent.Process.Kill(); _ = parent.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil || !alive(pid) {
		t.Fatalf("no engine %q: %v", line, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	engine := open(t, cfg) // at once: the old engine may still be there
	if err := engine.Check(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "the engine of the killed parent is gone", func() bool { return !alive(pid) })
	if took := time.Since(killed); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestCloseLeavesNoProcessAndMayBeRepeated(t *testing.T) {
	cfg, _ := embedded(t)
	engine := open(t, cfg)
	pid := engine.Pid()
	for range 2 {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}
	if alive(pid) || engine.Pid() != 0 {
		t.Errorf("process %d is still there", pid)
	}
}

func TestATakenPortIsReplacedByAnother(t *testing.T) {
	cfg, _ := embedded(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().(*net.TCPAddr).Port
	dir := filepath.Join(cfg.DataDir, "temporal")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ports.json"), fmt.Appendf(nil, `{"frontend":%d}`, taken), 0o600); err != nil {
		t.Fatal(err)
	}
	engine := open(t, cfg)
	if err := engine.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Contains(readPortsFile(t, cfg), fmt.Sprint(taken)) {
		t.Error("the taken port is still remembered")
	}
}

func TestOpenExplainsWhatIsWrong(t *testing.T) {
	good, _ := embedded(t)
	cases := map[string]struct {
		change func(*temporald.Config)
		want   string
	}{
		"no address":                        {func(c *temporald.Config) { c.Address = "" }, "no Temporal address"},
		"a short key":                       {func(c *temporald.Config) { c.PayloadKey = []byte("short") }, "5 bytes: 32 are needed"},
		"a short old key":                   {func(c *temporald.Config) { c.OldPayloadKeys = [][]byte{{1}} }, "1 bytes: 32 are needed"},
		"no data directory":                 {func(c *temporald.Config) { c.DataDir = "" }, "needs a data directory"},
		"no binary":                         {func(c *temporald.Config) { c.Binary = "" }, "needs the path"},
		"a missing binary":                  {func(c *temporald.Config) { c.Binary = "/nowhere/trustloom-temporal" }, "no such file"},
		"a binary that does not understand": {func(c *temporald.Config) { c.Retention = time.Minute }, "--retention 1m0s is too short"},
		"a missing CA file": {func(c *temporald.Config) { c.Address, c.CAFile = "127.0.0.1:1", "/nowhere/ca.pem" },
			"read the CA file"},
		"a certificate without its key": {func(c *temporald.Config) { c.Address, c.CertFile = "127.0.0.1:1", "/nowhere/cert.pem" },
			"needs both"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := good
			test.change(&cfg)
			engine, err := temporald.Open(t.Context(), cfg)
			if err == nil {
				t.Fatal(errors.Join(errors.New("it opened"), engine.Close()))
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v does not say %q", err, test.want)
			}
		})
	}
}

func TestAnExternalClusterIsUsedWithMutualTLSAndItsNamespaceMustExist(t *testing.T) {
	cfg, _ := embedded(t)
	open(t, cfg)
	var ports struct{ Frontend int }
	if err := json.Unmarshal([]byte(readPortsFile(t, cfg)), &ports); err != nil {
		t.Fatal(err)
	}
	tls := filepath.Join(cfg.DataDir, "temporal", "tls")
	external := temporald.Config{
		Address: fmt.Sprintf("127.0.0.1:%d", ports.Frontend), ServerName: "engine.trustloom-temporal", PayloadKey: cfg.PayloadKey,
		CAFile: filepath.Join(tls, "ca.pem"), CertFile: filepath.Join(tls, "client.pem"), KeyFile: filepath.Join(tls, "client.key"),
	}
	engine := open(t, external)
	if err := engine.Check(t.Context()); err != nil || engine.Pid() != 0 {
		t.Errorf("check: %v, pid %d", err, engine.Pid())
	}
	external.Namespace = "elsewhere"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if engine, err := temporald.Open(ctx, external); err == nil {
		t.Fatal(errors.Join(errors.New("a namespace that does not exist was opened"), engine.Close()))
	} else if !strings.Contains(err.Error(), "namespace elsewhere") {
		t.Error(err)
	}
}

func TestAScheduleRunsAndItsWorkflowReadsItsInput(t *testing.T) {
	cfg, _ := embedded(t)
	engine := open(t, cfg)
	s := startStory(t, engine.Client(), canaries{prefix: "canary"})
	ctx := t.Context()
	handle, err := engine.Client().ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: "nightly", TriggerImmediately: true, Memo: map[string]any{"why": "because"},
		Action: &client.ScheduleWorkflowAction{ID: "job", TaskQueue: "story", Workflow: s.Child, Args: []any{"by schedule"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var ran string
	eventually(t, "the schedule started a workflow", func() bool {
		described, err := handle.Describe(ctx)
		if err != nil || len(described.Info.RecentActions) == 0 {
			return false
		}
		ran = described.Info.RecentActions[0].StartWorkflowResult.WorkflowID
		return true
	})
	var result string
	if err := engine.Client().GetWorkflow(ctx, ran, "").Get(ctx, &result); err != nil || !strings.HasPrefix(result, "by schedule/") {
		t.Errorf("%s: %q, %v", ran, result, err)
	}
	if err := handle.Delete(ctx); err != nil {
		t.Error(err)
	}
}
