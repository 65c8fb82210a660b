// SPDX-License-Identifier: MIT

package temporald_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// canaries makes secrets that can be found wherever they leak: all begin with the same random text.
type canaries struct{ prefix string }

func (c canaries) of(where string) string { return c.prefix + "-" + where }

// story puts a secret into every field that a workflow can fill.
type story struct{ secret canaries }

type outcome struct {
	Local, Work, Child, Note, Amendment, SideEffect string
	ChildMessage, ChildDetail                       string
	PanicMessage                                    string
}

// Run is the workflow.
func (s story) Run(ctx workflow.Context, input string) (outcome, error) {
	var out outcome
	if err := workflow.SetQueryHandler(ctx, "state", func(question string) (string, error) {
		return question + "/" + s.secret.of("query-result"), nil
	}); err != nil {
		return out, err
	}
	if err := workflow.SetUpdateHandler(ctx, "amend", func(_ workflow.Context, text string) (string, error) {
		out.Amendment = text
		return s.secret.of("update-result"), nil
	}); err != nil {
		return out, err
	}
	if err := workflow.SetUpdateHandler(ctx, "refuse", func(workflow.Context) error {
		return temporal.NewApplicationError(s.secret.of("update-error"), "Refused", s.secret.of("update-error-detail"))
	}); err != nil {
		return out, err
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{"later": s.secret.of("memo-upserted")}); err != nil {
		return out, err
	}
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return s.secret.of("side-effect") }).Get(&out.SideEffect); err != nil {
		return out, err
	}
	if err := s.activities(ctx, input, &out); err != nil {
		return out, err
	}
	if err := s.children(ctx, &out); err != nil {
		return out, err
	}
	workflow.GetSignalChannel(ctx, "note").Receive(ctx, &out.Note)
	return out, workflow.Await(ctx, func() bool { return out.Amendment != "" && workflow.AllHandlersFinished(ctx) })
}

func (s story) activities(ctx workflow.Context, input string, out *outcome) error {
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: 5 * time.Second})
	if err := workflow.ExecuteLocalActivity(local, s.Local, input).Get(ctx, &out.Local); err != nil {
		return err
	}
	ordinary := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second, HeartbeatTimeout: 5 * time.Second, Summary: s.secret.of("activity-summary"),
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond, MaximumAttempts: 2},
	})
	if err := workflow.ExecuteActivity(ordinary, s.Work, s.secret.of("activity-input")).Get(ctx, &out.Work); err != nil {
		return err
	}
	err := workflow.ExecuteActivity(ordinary, s.Explode).Get(ctx, nil)
	var boom *temporal.PanicError
	if !errors.As(err, &boom) {
		return fmt.Errorf("the panic came back as %w", err)
	}
	out.PanicMessage = boom.Error()
	return nil
}

func (s story) children(ctx workflow.Context, out *outcome) error {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id + "/child", StaticSummary: s.secret.of("child-summary")})
	if err := workflow.ExecuteChildWorkflow(child, s.Child, s.secret.of("child-input")).Get(ctx, &out.Child); err != nil {
		return err
	}
	failing := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id + "/failing"})
	err := workflow.ExecuteChildWorkflow(failing, s.Fail, "child").Get(ctx, nil)
	out.ChildMessage, out.ChildDetail = read(err)
	return nil
}

// Local is the local activity.
func (s story) Local(_ context.Context, input string) (string, error) {
	return input + "/" + s.secret.of("local-result"), nil
}

// Work fails once, after a heartbeat, and then returns what it finds in that.
func (s story) Work(ctx context.Context, input string) (string, error) {
	if !activity.HasHeartbeatDetails(ctx) {
		activity.RecordHeartbeat(ctx, s.secret.of("heartbeat"))
		return "", temporal.NewApplicationError(s.secret.of("activity-error"), "Flaky", s.secret.of("activity-error-detail"))
	}
	var found string
	if err := activity.GetHeartbeatDetails(ctx, &found); err != nil {
		return "", err
	}
	return input + "/" + found, nil
}

// Explode panics: message and stack go into the history.
func (s story) Explode(context.Context) error { panic(s.secret.of("panic")) }

// Child is the child that works.
func (s story) Child(_ workflow.Context, input string) (string, error) {
	return input + "/" + s.secret.of("child-result"), nil
}

// Fail is the child that does not.
func (s story) Fail(_ workflow.Context, who string) (string, error) {
	cause := errors.New(s.secret.of(who + "-cause"))
	return "", temporal.NewNonRetryableApplicationError(s.secret.of(who+"-error"), "Doomed", cause, s.secret.of(who+"-error-detail"))
}

// PassOn fails with what its child failed with.
func (s story) PassOn(ctx workflow.Context) error {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{WorkflowID: id + "/failing"})
	return workflow.ExecuteChildWorkflow(ctx, s.Fail, "passed").Get(ctx, nil)
}

// Wait ends when it is cancelled.
func (s story) Wait(ctx workflow.Context) error {
	if err := workflow.Await(ctx, func() bool { return false }); err != nil {
		return temporal.NewCanceledError(s.secret.of("cancelled-detail"))
	}
	return nil
}

// read takes message and detail out of the application error in err.
func read(err error) (message, detail string) {
	var failed *temporal.ApplicationError
	if !errors.As(err, &failed) {
		return fmt.Sprint("not an application error: ", err), ""
	}
	if err := failed.Details(&detail); err != nil {
		detail = fmt.Sprint("no detail: ", err)
	}
	return failed.Message(), detail
}

func startStory(t *testing.T, c client.Client, secret canaries) story {
	t.Helper()
	s := story{secret: secret}
	w := worker.New(c, "story", worker.Options{})
	for _, f := range []any{s.Run, s.Child, s.Fail, s.PassOn, s.Wait} {
		w.RegisterWorkflow(f)
	}
	w.RegisterActivity(s.Work)
	w.RegisterActivity(s.Explode)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return s
}

func TestSecretsRoundTripAndReachNeitherTheDatabaseNorTheLogs(t *testing.T) {
	cfg, log := embedded(t)
	engine := open(t, cfg)
	secret := canaries{prefix: "canary" + hex.EncodeToString(randomKey(t)[:8])}
	s := startStory(t, engine.Client(), secret)
	visible := "visible" + hex.EncodeToString(randomKey(t)[:8])

	tellStory(t, engine.Client(), s, visible)
	failPassedOn(t, engine.Client(), s)
	cancelWithDetail(t, engine.Client(), s)
	signalAndUpdateWithStart(t, engine.Client(), s)

	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	stored := readFiles(t, filepath.Join(cfg.DataDir, "temporal"))
	if !bytes.Contains(stored, []byte(visible)) {
		t.Error("the workflow ID is not in the files: the search for secrets proves nothing")
	}
	for where, text := range map[string][]byte{"files": stored, "log of the engine": engineLines(log)} {
		for _, form := range forms(secret.prefix) {
			if i := bytes.Index(text, form); i >= 0 {
				t.Errorf("a secret is in the %s: %q", where, text[max(0, i-80):min(len(text), i+80)])
			}
		}
	}
}

// engineLines leaves out the lines of the SDK: it logs the errors of activities, in our own process and in our own log.
func engineLines(log *record) []byte {
	var lines [][]byte
	for line := range bytes.Lines(log.bytes()) {
		if bytes.Contains(line, []byte(`"component":"temporal"`)) {
			lines = append(lines, line)
		}
	}
	return bytes.Join(lines, nil)
}

// forms are the ways a text may look in a file: as it is, and within Base64 at each alignment.
func forms(text string) [][]byte {
	found := [][]byte{[]byte(text)}
	for skip := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(text[skip : skip+12]))
		found = append(found, []byte(encoded))
	}
	return found
}

func tellStory(t *testing.T, c client.Client, s story, id string) {
	t.Helper()
	ctx, secret := t.Context(), s.secret
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: "story", EnableEagerStart: true,
		Memo:          map[string]any{"first": secret.of("memo")},
		StaticSummary: secret.of("summary"), StaticDetails: secret.of("details"),
	}, s.Run, secret.of("input"))
	if err != nil {
		t.Fatal(err)
	}
	checkUpdates(t, c, s, id)
	if err := c.SignalWorkflow(ctx, id, "", "note", secret.of("signal")); err != nil {
		t.Fatal(err)
	}
	answer, err := c.QueryWorkflow(ctx, id, "", "state", secret.of("query-input"))
	if err != nil {
		t.Fatal(err)
	}
	var state string
	if err := answer.Get(&state); err != nil || state != secret.of("query-input")+"/"+secret.of("query-result") {
		t.Errorf("query: %q, %v", state, err)
	}
	var got outcome
	if err := run.Get(ctx, &got); err != nil {
		t.Fatal(err)
	}
	want := outcome{
		Local:        secret.of("input") + "/" + secret.of("local-result"),
		Work:         secret.of("activity-input") + "/" + secret.of("heartbeat"),
		Child:        secret.of("child-input") + "/" + secret.of("child-result"),
		Note:         secret.of("signal"),
		Amendment:    secret.of("update-input"),
		SideEffect:   secret.of("side-effect"),
		ChildMessage: secret.of("child-error"),
		ChildDetail:  secret.of("child-error-detail"),
		PanicMessage: secret.of("panic"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	checkMemo(t, c, s, id)
}

func checkUpdates(t *testing.T, c client.Client, s story, id string) {
	t.Helper()
	ctx := t.Context()
	update := func(name string, args ...any) client.WorkflowUpdateHandle {
		handle, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: id, UpdateName: name, UpdateID: name, Args: args, WaitForStage: client.WorkflowUpdateStageCompleted})
		if err != nil {
			t.Fatal(err)
		}
		return handle
	}
	message, detail := read(update("refuse").Get(ctx, nil))
	if message != s.secret.of("update-error") || detail != s.secret.of("update-error-detail") {
		t.Errorf("update failed with %q, %q", message, detail)
	}
	var result string
	if err := update("amend", s.secret.of("update-input")).Get(ctx, &result); err != nil || result != s.secret.of("update-result") {
		t.Errorf("update: %q, %v", result, err)
	}
}

func checkMemo(t *testing.T, c client.Client, s story, id string) {
	t.Helper()
	described, err := c.DescribeWorkflow(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"first": s.secret.of("memo"), "later": s.secret.of("memo-upserted")} {
		var got string
		if err := described.GetMemoValue(name, &got); err != nil || got != want {
			t.Errorf("memo %s: %q, %v", name, got, err)
		}
	}
	if summary, err := described.GetStaticSummary(); err != nil || summary != s.secret.of("summary") {
		t.Errorf("summary: %q, %v", summary, err)
	}
}

func failPassedOn(t *testing.T, c client.Client, s story) {
	t.Helper()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "passing-on", TaskQueue: "story"}, s.PassOn)
	if err != nil {
		t.Fatal(err)
	}
	failed := run.Get(t.Context(), nil)
	message, detail := read(failed)
	if message != s.secret.of("passed-error") || detail != s.secret.of("passed-error-detail") {
		t.Errorf("the failure of a child, passed on: %q, %q", message, detail)
	}
	if !strings.Contains(failed.Error(), s.secret.of("passed-cause")) {
		t.Errorf("the cause did not arrive: %v", failed)
	}
}

func cancelWithDetail(t *testing.T, c client.Client, s story) {
	t.Helper()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "waiting", TaskQueue: "story"}, s.Wait)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CancelWorkflow(t.Context(), "waiting", ""); err != nil {
		t.Fatal(err)
	}
	var cancelled *temporal.CanceledError
	if err := run.Get(t.Context(), nil); !errors.As(err, &cancelled) {
		t.Fatalf("cancelled with %v", err)
	}
	var detail string
	if err := cancelled.Details(&detail); err != nil || detail != s.secret.of("cancelled-detail") {
		t.Errorf("detail of the cancelled workflow: %q, %v", detail, err)
	}
}

func signalAndUpdateWithStart(t *testing.T, c client.Client, s story) {
	t.Helper()
	ctx := t.Context()
	options := client.StartWorkflowOptions{ID: "started-with", TaskQueue: "story"}
	if _, err := c.SignalWithStartWorkflow(ctx, options.ID, "note", s.secret.of("signal"), options, s.Run, s.secret.of("input")); err != nil {
		t.Fatal(err)
	}
	options.WorkflowIDConflictPolicy = enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
	start := c.NewWithStartWorkflowOperation(options, s.Run, s.secret.of("input"))
	handle, err := c.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start,
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateName: "amend", Args: []any{s.secret.of("update-input")}, WaitForStage: client.WorkflowUpdateStageCompleted},
	})
	if err != nil {
		t.Fatal(err)
	}
	var result string
	if err := handle.Get(ctx, &result); err != nil || result != s.secret.of("update-result") {
		t.Errorf("update with start: %q, %v", result, err)
	}
	if err := c.GetWorkflow(ctx, options.ID, "").Get(ctx, nil); err != nil {
		t.Error(err)
	}
}

func readFiles(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
