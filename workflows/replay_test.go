// SPDX-License-Identifier: MIT

package workflows_test

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/workflows"
)

var update = flag.Bool("update", false, "record histories and names anew")

// TestReplay replays every recorded history with today's code. A difference
// means that stories which are going on now would get stuck after an upgrade:
// put the change behind workflow.GetVersion instead of recording anew.
func TestReplay(t *testing.T) {
	if *update {
		record(t)
	}
	files, err := filepath.Glob("testdata/history/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d recorded histories (%v), want at least 10", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			if err := replayer(t, workflows.Stories()...).ReplayWorkflowHistoryFromJSONFile(silent(), file); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReplayNoticesChanges shows that the replay can fail.
func TestReplayNoticesChanges(t *testing.T) {
	swapped := worker.NewWorkflowReplayer()
	swapped.RegisterWorkflowWithOptions(workflows.Authority, registerAs("Onboarding"))
	if err := swapped.ReplayWorkflowHistoryFromJSONFile(silent(), "testdata/history/onboarding-at-once.json"); err == nil {
		t.Error("another story's code replays the history of an onboarding")
	}
}

func replayer(t *testing.T, stories ...any) worker.WorkflowReplayer {
	t.Helper()
	r := worker.NewWorkflowReplayer()
	for _, story := range stories {
		r.RegisterWorkflow(story)
	}
	return r
}

func silent() log.Logger { return log.NewStructuredLogger(slog.New(slog.DiscardHandler)) }

// TestNames pins the wire names: a rename would strand the stories that are
// going on.
func TestNames(t *testing.T) {
	var names []string
	for _, story := range workflows.Stories() {
		full := runtime.FuncForPC(reflect.ValueOf(story).Pointer()).Name()
		names = append(names, "workflow "+full[strings.LastIndex(full, ".")+1:])
	}
	for _, set := range activities.New(activities.Config{}).All() {
		kind := reflect.TypeOf(set)
		for i := range kind.NumMethod() {
			if isActivity(kind.Method(i).Type) {
				names = append(names, "activity "+kind.Method(i).Name)
			}
		}
	}
	names = append(names, "update "+workflows.WakeUpdate, "signal "+workflows.PublishSignal, "signal "+workflows.ChangedSignal,
		"task-queue "+workflows.TaskQueue, "task-queue "+workflows.KeyTaskQueue,
		"id "+workflows.OnboardingID("domain", "key"), "id "+workflows.EnrollmentID("domain", "key"),
		"id "+workflows.ApprovalID("request"), "id "+workflows.AuthorityID("ca"), "id "+workflows.PublicationID("ca"),
		"id "+workflows.ExternalAuthorityID("ca"), "id "+workflows.ConfirmationID("request"))
	slices.Sort(names)
	got := strings.Join(names, "\n") + "\n"
	const golden = "testdata/names.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("wire names changed (-pinned +now):\n%s", diff)
	}
}

// isActivity reports whether a method takes a context and one input and
// returns one result and an error, which is the form of every activity.
func isActivity(m reflect.Type) bool {
	return m.NumIn() == 3 && m.NumOut() == 2 && m.In(1).Name() == "Context" &&
		m.In(2).Kind() == reflect.Struct && m.Out(0).Kind() == reflect.Struct
}
