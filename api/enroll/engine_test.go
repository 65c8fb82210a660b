// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/workflows"
)

// engineWorld is a world whose stories are told by a real engine.
func engineWorld(t *testing.T) (*world, *workflows.Client) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a running engine")
	}
	w := newWorld(t)
	engine := fixture.Temporal(t)
	stories := worker.New(engine.Client(), workflows.TaskQueue, worker.Options{
		Interceptors: []interceptor.WorkerInterceptor{&activities.Interceptor{}}, LocalActivityWorkerOnly: true,
	})
	workflows.Register(stories)
	for _, set := range w.acts.All() {
		stories.RegisterActivity(set)
	}
	check(t, stories.Start())
	t.Cleanup(stories.Stop)
	told := workflows.NewClient(engine.Client())
	w.door = enroll.New(enroll.Config{
		Store: w.store, Issuance: w.acts.Issuance, Stories: told, Wait: 10 * time.Second, Now: time.Now,
		Logger: slog.New(slog.DiscardHandler),
	})
	w.est = enroll.NewEST(w.door)
	return w, told
}

func TestCopiesFindOneStory(t *testing.T) {
	w, _ := engineWorld(t)
	w.device("press-01")
	csr := w.csr(nil, nil)
	var all sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for range 50 {
		all.Go(func() {
			got, err := w.enroll("", csr, secretOf("press-01"))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Errorf("a copy is answered %v", err)
			case len(got.Certificates) == 1:
				answers[string(got.Certificates[0].Raw)]++
			}
		})
	}
	all.Wait()
	if len(answers) != 1 {
		t.Errorf("%d different certificates, want one for all", len(answers))
	}
	if req := w.requestOf(csr); req.State != models.RequestIssued || w.deviceNamed("press-01").State != models.DeviceOnboarded {
		t.Errorf("the request is %s and the device %s", req.State, w.deviceNamed("press-01").State)
	}
}

// Whatever people do at the same moment, each story ends once, and device,
// request, approval and certificate agree on how.
func TestStoriesEndOnce(t *testing.T) {
	w, told := engineWorld(t)
	rule := &models.ApprovalRule{Steps: []models.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: models.Duration(2 * time.Second)}
	w.domain.Approval = models.ApprovalPolicy{Onboarding: rule}
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	for _, name := range names {
		w.device(name)
		if _, err := w.enroll("", w.csr(nil, nil), secretOf(name)); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i, req := range w.requests() {
		approval := w.awaitApproval(told, &req)
		if i%3 != 2 { // the others expire, or are suspended on the way
			all.Go(func() { w.decide(told, approval) })
		}
		if i%3 != 1 {
			all.Go(func() { w.withdraw(told, &req) })
		}
		if i%4 == 3 {
			all.Go(func() { w.suspend(req.DeviceID) })
		}
	}
	all.Wait()
	for _, req := range w.requests() {
		w.ended(told, &req)
		w.agrees(req.ID)
	}
}

// patience bounds what a loaded machine may take; nothing waits for it to pass.
const patience = 2 * time.Minute

// keep repeats what the relay repeats, while the engine does not answer.
func (w *world) keep(promise func() error) error {
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = promise(); err == nil || models.KindOf(err) != models.KindUnavailable {
			return err
		}
		w.t.Logf("promised again: %v", err)
	}
	return err
}

// awaitApproval waits for the story of a request to ask people. A story whose
// start was not answered in time is started as the relay does.
func (w *world) awaitApproval(told *workflows.Client, req *models.Request) *models.Approval {
	w.t.Helper()
	restart := time.Now().Add(5 * time.Second)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if a, err := w.store.FindApprovalByRequest(context.Background(), req.ID); err == nil {
			return a
		}
		if time.Now().After(restart) {
			restart = time.Now().Add(5 * time.Second)
			w.t.Logf("started again: %v", told.Restart(context.Background(), req))
		}
	}
	w.t.Fatal("the story opened no approval")
	return nil
}

// ended waits until a story has ended: the wait itself may end earlier, because
// the engine did not answer.
func (w *world) ended(told *workflows.Client, req *models.Request) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		_ = told.AwaitRequest(ctx, req.WorkflowID)
		now, err := w.store.FindRequest(ctx, req.ID)
		if err != nil || !now.Finished() {
			continue
		}
		if approval, err := w.store.FindApprovalByRequest(ctx, req.ID); err == nil && approval.State != models.ApprovalPending {
			return
		}
	}
}

// decide approves as an operator does: the row first, then the story is woken.
func (w *world) decide(told *workflows.Client, approval *models.Approval) {
	err := w.store.Write(context.Background(), func(tx *store.Tx) error {
		a, err := tx.FindApproval(context.Background(), approval.ID)
		if err != nil {
			return err
		}
		if _, err := a.Decide(models.VerdictApprove, "", time.Now()); err != nil {
			return err
		}
		return tx.SaveApproval(a)
	})
	for range 5 { // the story may end in the very moment
		if err != nil {
			break
		}
		woken := w.keep(func() error { return told.WakeApproval(context.Background(), approval.WorkflowID, approval.ID) })
		if woken == nil {
			return
		}
		w.t.Logf("woken again: %v", woken)
	}
	if err != nil && models.KindOf(err) != models.KindConflict {
		w.t.Error(err)
	}
}

// withdraw does what the relay does.
func (w *world) withdraw(told *workflows.Client, req *models.Request) {
	if err := w.keep(func() error { return told.Withdraw(context.Background(), req.WorkflowID) }); err != nil {
		w.t.Error(err)
	}
	abandon := activities.AbandonInput{RequestID: req.ID, State: models.RequestWithdrawn, Kind: models.KindDenied.String(), Text: "withdrawn by an operator"}
	if _, err := w.acts.Requests.AbandonRequest(context.Background(), abandon); err != nil {
		w.t.Error(err)
	}
}

func (w *world) suspend(id models.DeviceID) {
	err := w.store.Write(context.Background(), func(tx *store.Tx) error {
		d, err := tx.FindDevice(context.Background(), id)
		if err != nil {
			return err
		}
		d.State = models.DeviceSuspended
		return tx.SaveDevice(d)
	})
	if err != nil {
		w.t.Error(err)
	}
}

// agrees checks a story that has ended.
func (w *world) agrees(id models.RequestID) {
	w.t.Helper()
	ctx := context.Background()
	req, err := w.store.FindRequest(ctx, id)
	check(w.t, err)
	approval, err := w.store.FindApprovalByRequest(ctx, id)
	check(w.t, err)
	device, err := w.store.FindDevice(ctx, req.DeviceID)
	check(w.t, err)
	cert, err := w.store.FindCertificateByRequestKey(ctx, req.Key)
	recorded := err == nil && len(cert.DER) > 0
	issued := req.State == models.RequestIssued
	what := []any{req.State, req.FailureText, approval.State, device.State, recorded}
	switch {
	case !req.Finished() || approval.State == models.ApprovalPending:
		w.t.Errorf("the story has not ended: %v", what)
	case issued != recorded:
		w.t.Errorf("request and certificate disagree: %v", what)
	case issued && approval.State != models.ApprovalApproved:
		w.t.Errorf("issued without an approval: %v", what)
	case issued && device.OnboardedAt == nil, !issued && device.State != models.DeviceRegistered && device.State != models.DeviceSuspended:
		w.t.Errorf("request and device disagree: %v", what)
	}
}
