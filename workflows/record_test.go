// SPDX-License-Identifier: MIT

package workflows_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/integrations/issuer"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/workflows"
)

func registerAs(name string) workflow.RegisterOptions { return workflow.RegisterOptions{Name: name} }

// recorder runs the stories on a real engine with real activities and keeps
// their histories. Its payloads are not encrypted, so that they can be read
// and replayed without a key; they hold identifiers only.
type recorder struct {
	t        *testing.T
	temporal client.Client
	stories  *workflows.Client
	store    *store.Store
	domain   *models.Domain
}

// record rewrites testdata/history from this build.
func record(t *testing.T) {
	t.Helper()
	r := &recorder{t: t, store: fixture.Open(t, fixture.SQLite(t))}
	r.temporal = fixture.PlainTemporal(t)
	r.stories = workflows.NewClient(r.temporal)
	r.work(hsm.Stores{models.StoreSoftware: software(t)})
	r.authorities()
	r.external()
	r.atOnce()
	r.confirmations()
	r.approvals()
	r.failure()
}

func software(t *testing.T) hsm.KeyStore {
	t.Helper()
	keys, err := hsm.OpenSoftware(hsm.SoftwareConfig{Dir: t.TempDir(), SealingKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// work starts the workers of a process.
func (r *recorder) work(keys hsm.Stores) {
	r.t.Helper()
	set := activities.New(activities.Config{Store: r.store, Issuer: issuer.NewLocal(keys), Builder: pki.NewBuilder(), PublicURL: "http://pki.example"})
	for _, queue := range []string{workflows.TaskQueue, workflows.KeyTaskQueue} {
		w := worker.New(r.temporal, queue, worker.Options{Interceptors: []interceptor.WorkerInterceptor{&activities.Interceptor{}}})
		workflows.Register(w)
		for _, s := range set.All() {
			w.RegisterActivity(s)
		}
		if err := w.Start(); err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(w.Stop)
	}
}

func (r *recorder) write(fn func(*store.Tx) error) {
	r.t.Helper()
	if err := r.store.Write(context.Background(), fn); err != nil {
		r.t.Fatal(err)
	}
}

// keep writes the history of a workflow to a file.
func (r *recorder) keep(name, workflowID string) {
	r.t.Helper()
	var h history.History
	events := r.temporal.GetWorkflowHistory(context.Background(), workflowID, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			r.t.Fatal(err)
		}
		h.Events = append(h.Events, event)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&h)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", "history", name+".json"), append(text, '\n'), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *recorder) authorities() {
	root := r.authority("authority-root", models.CA{Type: models.CARoot, Validity: models.Duration(24 * 365 * time.Hour)})
	issuing := r.authority("authority-issuing", models.CA{Type: models.CAIssuing, IssuerID: root, Validity: models.Duration(24 * 300 * time.Hour)})
	r.authority("authority-failed", models.CA{Type: models.CAIssuing, IssuerID: "01a00000-0000-7000-8000-000000000000", Validity: models.Duration(time.Hour)})
	if err := r.stories.Publish(context.Background(), issuing); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("a CRL is published", func() bool {
		ca, err := r.store.FindCA(context.Background(), issuing)
		if err != nil {
			return false
		}
		_, err = r.store.LatestCRL(context.Background(), ca.KeyID)
		return err == nil
	})
	r.keep("publication", workflows.PublicationID(issuing))
	r.domain = &models.Domain{ID: models.NewID[models.DomainID](), Name: "press-shop", IssuingCAID: issuing, Profiles: []string{"domain_credential"}}
	r.write(func(tx *store.Tx) error {
		err := tx.InsertProfile(&models.Profile{ID: models.NewID[models.ProfileID](), Name: "domain_credential", Document: policy.Shipped()["domain_credential"]})
		if err != nil {
			return err
		}
		return tx.InsertDomain(r.domain)
	})
}

// external records a CA whose certificate is installed, and one that is given
// up.
func (r *recorder) external() {
	r.t.Helper()
	for name, wait := range map[string]time.Duration{"external-installed": time.Hour, "external-expired": 3 * time.Second} {
		deadline := time.Now().Add(wait)
		ca := models.CA{
			ID: models.NewID[models.CAID](), Name: name, Type: models.CAIssuing, State: models.CAPending, Generation: 1, Origin: models.CARequested,
			Subject: models.Name{CommonName: name}, Deadline: &deadline,
		}
		ca.Key = models.KeyRef{Store: models.StoreSoftware, ID: "ca-" + string(ca.ID), Algorithm: models.ECP256}
		r.write(func(tx *store.Tx) error { return tx.InsertCA(&ca) })
		if err := r.stories.StartExternalAuthority(context.Background(), ca.ID); err != nil {
			r.t.Fatal(err)
		}
		if name == "external-installed" {
			r.eventually("the request is there", func() bool {
				row, err := r.store.FindCA(context.Background(), ca.ID)
				return err == nil && len(row.CSR) > 0
			})
			row, err := r.store.FindCA(context.Background(), ca.ID)
			if err != nil {
				r.t.Fatal(err)
			}
			row.State = models.CAActive
			r.write(func(tx *store.Tx) error { return tx.SaveCA(row) })
			if err := r.stories.WakeAuthority(context.Background(), ca.ID); err != nil {
				r.t.Fatal(err)
			}
		}
		if err := r.stories.AwaitRequest(context.Background(), workflows.ExternalAuthorityID(ca.ID)); err != nil {
			r.t.Fatal(err)
		}
		r.keep(name, workflows.ExternalAuthorityID(ca.ID))
	}
}

func (r *recorder) authority(name string, ca models.CA) models.CAID {
	r.t.Helper()
	ca.ID, ca.Name, ca.State, ca.Generation = models.NewID[models.CAID](), name, models.CAPending, 1
	ca.Subject = models.Name{CommonName: name}
	ca.Key = models.KeyRef{Store: models.StoreSoftware, ID: "ca-" + string(ca.ID), Algorithm: models.ECP256}
	r.write(func(tx *store.Tx) error { return tx.InsertCA(&ca) })
	if err := r.stories.StartAuthority(context.Background(), ca.ID); err != nil {
		r.t.Fatal(err)
	}
	if err := r.stories.AwaitAuthority(context.Background(), ca.ID); err != nil {
		r.t.Fatal(err)
	}
	r.keep(name, workflows.AuthorityID(ca.ID))
	return ca.ID
}

// request starts the story of a fresh device's request.
func (r *recorder) request(name string, decision models.Decision) *models.Request {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		r.t.Fatal(err)
	}
	device := &models.Device{ID: models.NewID[models.DeviceID](), Name: name, DomainID: r.domain.ID, State: models.DeviceOnboarding, Method: models.ESTPassword}
	req := &models.Request{
		ID: models.NewID[models.RequestID](), Key: models.RequestKey(models.KeyParts{Transaction: name}), Kind: models.KindOnboarding,
		State: models.RequestReceived, Protocol: "est", DomainID: r.domain.ID, DeviceID: device.ID, ProfileName: "domain_credential",
		ProfileVersion: 1, CSR: csr, AuthMethod: models.AuthPassword, Decision: decision,
	}
	req.WorkflowID = workflows.OnboardingID(r.domain.ID, req.Key)
	r.write(func(tx *store.Tx) error {
		if err := tx.InsertDevice(device); err != nil {
			return err
		}
		_, err := tx.InsertRequest(req)
		return err
	})
	if err := r.stories.StartOnboarding(context.Background(), req.ID, req.WorkflowID); err != nil {
		r.t.Fatal(err)
	}
	return req
}

// ended waits for the story and keeps its history under the name.
func (r *recorder) ended(name string, req *models.Request, state models.RequestState) {
	r.t.Helper()
	if err := r.stories.AwaitRequest(context.Background(), req.WorkflowID); err != nil {
		r.t.Fatal(err)
	}
	current, err := r.store.FindRequest(context.Background(), req.ID)
	if err != nil || current.State != state {
		r.t.Fatalf("%s ended as %s (%v), want %s", name, current.State, err, state)
	}
	r.keep(name, req.WorkflowID)
}

func (r *recorder) atOnce() {
	req := r.request("at-once", models.Decision{Outcome: models.OutcomeIssue})
	r.ended("onboarding-at-once", req, models.RequestIssued)
}

// approvals records what people, and nobody, can do to an onboarding.
func (r *recorder) approvals() {
	for verdict, state := range map[models.Verdict]models.RequestState{models.VerdictApprove: models.RequestIssued, models.VerdictReject: models.RequestRejected} {
		word := map[models.Verdict]string{models.VerdictApprove: "approved", models.VerdictReject: "rejected"}[verdict]
		req := r.request("to-be-"+word, waits(time.Hour))
		r.decide(req, verdict)
		r.ended("onboarding-"+word, req, state)
		r.keep("approval-"+word, workflows.ApprovalID(req.ID))
	}
	req := r.request("to-expire", waits(4*time.Second))
	r.ended("onboarding-expired", req, models.RequestExpired)
	r.keep("approval-expired", workflows.ApprovalID(req.ID))

	req = r.request("to-withdraw", waits(time.Hour))
	r.approval(req)
	if err := r.stories.Withdraw(context.Background(), req.WorkflowID); err != nil {
		r.t.Fatal(err)
	}
	r.ended("onboarding-withdrawn", req, models.RequestWithdrawn)
	r.keep("approval-withdrawn", workflows.ApprovalID(req.ID))
}

func waits(deadline time.Duration) models.Decision {
	return models.Decision{Outcome: models.OutcomeWait, Approval: &models.ApprovalRule{
		Steps: []models.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: models.Duration(deadline),
	}}
}

// approval waits until the request's approval is open.
func (r *recorder) approval(req *models.Request) *models.Approval {
	r.t.Helper()
	var approval *models.Approval
	r.eventually("the approval is open", func() (open bool) {
		var err error
		approval, err = r.store.FindApprovalByRequest(context.Background(), req.ID)
		return err == nil
	})
	return approval
}

func (r *recorder) decide(req *models.Request, verdict models.Verdict) {
	r.t.Helper()
	approval := r.approval(req)
	r.write(func(tx *store.Tx) error {
		if _, err := approval.Decide(verdict, "", time.Now()); err != nil {
			return err
		}
		return tx.SaveApproval(approval)
	})
	if err := r.stories.WakeApproval(context.Background(), approval.WorkflowID, approval.ID); err != nil {
		r.t.Fatal(err)
	}
}

// failure records an onboarding that cannot be issued.
func (r *recorder) failure() {
	r.domain.Suspended = true
	r.write(func(tx *store.Tx) error { return tx.SaveDomain(r.domain) })
	req := r.request("to-fail", models.Decision{Outcome: models.OutcomeIssue})
	r.ended("onboarding-failed", req, models.RequestFailed)
}

func (r *recorder) eventually(what string, check func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !check(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not in time: %s", what)
		}
	}
}
