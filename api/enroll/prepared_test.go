// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/x509"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/integrations/issuer"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/workflows"
)

// here is an engine that tells a story at once, in the process of the door.
type here struct {
	client.Client
	acts *activities.Set
}

func (h here) ExecuteWorkflow(ctx context.Context, _ client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	_, err := h.acts.Issuance.IssueRequest(ctx, activities.RequestInput{RequestID: args[0].(workflows.EnrollInput).RequestID})
	return awayRun{}, err
}

// tellsHere has the stories of a world told as here does.
func (w *world) tellsHere() {
	w.t.Helper()
	endings, clock := new(activities.Endings), func() time.Time { return w.now }
	w.acts = activities.New(activities.Config{
		Store: w.store, Issuer: issuer.NewLocal(hsm.Stores{models.StoreSoftware: w.keys}), Builder: pki.NewBuilder(),
		PublicURL: "http://pki.example", Now: clock, Endings: endings,
	})
	w.door = enroll.New(enroll.Config{
		Store: w.store, Issuance: w.acts.Issuance, Stories: workflows.NewClient(here{acts: w.acts}), Endings: endings, Wait: time.Minute, Now: clock,
		Logger: slog.New(slog.DiscardHandler),
	})
}

// What the door makes ready before it stores a request is about the device as
// that was read; a device that is stored otherwise gets a certificate of what it is.
func TestWhatWasMadeReadyIsAboutTheDeviceThatIsStored(t *testing.T) {
	const straight, byTheSteps = 3, 4 // revisions of a request that ended
	tests := map[string]struct {
		who      func(*world) enroll.Identity
		revision int
	}{
		"as it was read": {func(w *world) enroll.Identity {
			device := w.deviceNamed("press-01")
			return enroll.Identity{Method: models.AuthPassword, Subject: device.Name, Device: device, Key: string(device.ID)}
		}, straight},
		"with another serial number since": {func(w *world) enroll.Identity {
			device := w.deviceNamed("press-01")
			w.changeDevice("press-01", func(d *models.Device) { d.SerialNumber = "4712" })
			return enroll.Identity{Method: models.AuthPassword, Subject: device.Name, Device: device, Key: string(device.ID)}
		}, byTheSteps},
		"new": {func(w *world) enroll.Identity { return w.unknown("press-02") }, straight},
		"new, and another one got its name meanwhile": {func(w *world) enroll.Identity { return w.unknown("press-01") }, byTheSteps},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := worldIn(t, fixture.Open(t, fixture.SQLite(t)))
			w.tellsHere()
			w.device("press-01")
			csr := w.csr(nil, nil)
			answer, err := w.door.Submit(t.Context(), &enroll.Submission{
				Protocol: "est", Kind: models.KindOnboarding, Domain: w.domain, Profile: "domain_credential", CSR: csr, Who: tt.who(w),
			})
			check(t, err)
			if answer.Certificate == nil {
				t.Fatal("there is no certificate")
			}
			cert, err := x509.ParseCertificate(answer.Certificate.DER)
			check(t, err)
			device, err := w.store.FindDevice(t.Context(), answer.Certificate.DeviceID)
			check(t, err)
			if cert.Subject.CommonName != device.Name || cert.Subject.SerialNumber != device.SerialNumber {
				t.Errorf("device %s with serial number %s has a certificate of %s", device.Name, device.SerialNumber, cert.Subject)
			}
			if req := w.requestOf(csr); req.Revision != tt.revision {
				t.Errorf("the request has the revision %d, want %d", req.Revision, tt.revision)
			}
		})
	}
}

// unknown is a device that an IDevID brings.
func (w *world) unknown(name string) enroll.Identity {
	identity := "maker/" + name
	return enroll.Identity{Method: models.AuthIDevID, Subject: "fingerprint", New: true, Key: identity, Device: &models.Device{
		ID: models.NewID[models.DeviceID](), Name: name, SerialNumber: "815", DomainID: w.domain.ID, State: models.DeviceRegistered,
		Method: models.ESTIDevID, IDevIDSHA256: "fingerprint", IDevIDIdentity: &identity,
	}}
}
