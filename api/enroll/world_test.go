// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/integrations/issuer"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/workflows"
)

// world is a door over a real store, real activities and software keys. The
// engine behind it is away: the test itself walks the steps of a story, and so
// decides what happens between them.
type world struct {
	t      *testing.T
	store  *store.Store
	keys   hsm.KeyStore
	acts   *activities.Set
	door   *enroll.Door
	est    *enroll.EST
	ca     *models.CA
	domain *models.Domain
	other  *models.Domain
	now    time.Time
	fault  func(point string)
}

// away is an engine that does not answer.
type away struct{ client.Client }

func (away) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, serviceerror.NewUnavailable("away")
}
func (away) GetWorkflow(context.Context, string, string) client.WorkflowRun { return awayRun{} }

type awayRun struct{ client.WorkflowRun }

func (awayRun) Get(context.Context, any) error { return serviceerror.NewUnavailable("away") }

func newWorld(t *testing.T) *world {
	t.Helper()
	return worldIn(t, fixture.Open(t, fixture.SQLite(t)))
}

func worldIn(t *testing.T, s *store.Store) *world {
	t.Helper()
	software, err := hsm.OpenSoftware(hsm.SoftwareConfig{Dir: t.TempDir(), SealingKey: make([]byte, 32)})
	check(t, err)
	t.Cleanup(func() { _ = software.Close() })
	w := &world{t: t, store: s, keys: software, now: time.Now(), fault: func(string) {}}
	clock, fault := func() time.Time { return w.now }, func(point string) { w.fault(point) }
	w.acts = activities.New(activities.Config{
		Store: s, Issuer: issuer.NewLocal(hsm.Stores{models.StoreSoftware: software}), Builder: pki.NewBuilder(),
		PublicURL: "http://pki.example", Now: clock, Fault: fault,
	})
	w.door = enroll.New(enroll.Config{
		Store: s, Issuance: w.acts.Issuance, Stories: workflows.NewClient(away{}), Wait: time.Second, Now: clock,
		Logger: slog.New(slog.DiscardHandler),
	})
	w.est = enroll.NewEST(w.door)
	root := w.makeCA("root", "", models.CARoot)
	w.ca = w.makeCA("issuing", root.ID, models.CAIssuing)
	profiles := []string{"domain_credential", "tls_server", "tls_client"}
	w.domain = &models.Domain{ID: models.NewID[models.DomainID](), Name: "press-shop", IssuingCAID: w.ca.ID, Profiles: profiles}
	w.other = &models.Domain{ID: models.NewID[models.DomainID](), Name: "paint-shop", IssuingCAID: w.ca.ID, Profiles: profiles}
	w.write(func(tx *store.Tx) error {
		for name, document := range policy.Shipped() {
			if err := tx.InsertProfile(&models.Profile{ID: models.NewID[models.ProfileID](), Name: name, Document: document}); err != nil {
				return err
			}
		}
		if err := tx.InsertDomain(w.domain); err != nil {
			return err
		}
		return tx.InsertDomain(w.other)
	})
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) write(fn func(*store.Tx) error) {
	w.t.Helper()
	check(w.t, w.store.Write(context.Background(), fn))
}

func (w *world) makeCA(name string, issuer models.CAID, kind models.CAType) *models.CA {
	w.t.Helper()
	ca := &models.CA{
		ID: models.NewID[models.CAID](), Name: name, Type: kind, State: models.CAPending, IssuerID: issuer, Generation: 1,
		Subject: models.Name{CommonName: "Plant " + name}, Validity: models.Duration(10 * 365 * 24 * time.Hour),
	}
	ca.Key = models.KeyRef{Store: models.StoreSoftware, ID: "ca-" + string(ca.ID), Algorithm: models.ECP256}
	w.write(func(tx *store.Tx) error { return tx.InsertCA(ca) })
	for _, step := range []func(context.Context, activities.AuthorityInput) (activities.AuthorityResult, error){
		w.acts.Authorities.GenerateAuthorityKey, w.acts.Authorities.ReserveAuthorityCertificate,
		w.acts.Authorities.SignAuthorityCertificate, w.acts.Authorities.ActivateAuthority,
	} {
		_, err := step(context.Background(), activities.AuthorityInput{CAID: ca.ID})
		check(w.t, err)
	}
	made, err := w.store.FindCA(context.Background(), ca.ID)
	check(w.t, err)
	return made
}

// device registers a device with the one-time secret "secret of <name>".
func (w *world) device(name string) *models.Device {
	w.t.Helper()
	sum := sha256.Sum256([]byte("secret of " + name))
	d := &models.Device{
		ID: models.NewID[models.DeviceID](), Name: name, SerialNumber: "4711", DomainID: w.domain.ID, State: models.DeviceRegistered,
		Method: models.ESTPassword, SecretHash: sum[:], Epoch: 1,
	}
	w.write(func(tx *store.Tx) error { return tx.InsertDevice(d) })
	return d
}

func secretOf(name string) est.Peer {
	return est.Peer{Username: name, Password: "secret of " + name, HasBasic: true, Address: "192.0.2.7"}
}

func with(cert *x509.Certificate, more ...*x509.Certificate) est.Peer {
	return est.Peer{Certificates: append([]*x509.Certificate{cert}, more...), Address: "192.0.2.7"}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

// csr makes a CSR like template with a key, a new one if it is nil.
func (w *world) csr(key *ecdsa.PrivateKey, template *x509.CertificateRequest) *pki.CSR {
	w.t.Helper()
	if key == nil {
		key = newKey(w.t)
	}
	if template == nil {
		template = &x509.CertificateRequest{Subject: pkix.Name{CommonName: "anything"}}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	check(w.t, err)
	csr, err := pki.ParseCSR(der)
	check(w.t, err)
	return csr
}

// renewalOf makes a CSR for the subject and names of a certificate.
func (w *world) renewalOf(cert *x509.Certificate) *pki.CSR {
	w.t.Helper()
	return w.csr(nil, &x509.CertificateRequest{RawSubject: cert.RawSubject, DNSNames: cert.DNSNames, IPAddresses: cert.IPAddresses, URIs: cert.URIs})
}

func (w *world) enroll(profile string, csr *pki.CSR, peer est.Peer) (est.Result, error) {
	return w.est.SimpleEnroll(context.Background(), est.Label{Domain: w.domain.Name, Profile: profile}, csr, peer)
}

func (w *world) reenroll(csr *pki.CSR, peer est.Peer) (est.Result, error) {
	return w.est.SimpleReenroll(context.Background(), est.Label{Domain: w.domain.Name}, csr, peer)
}

// requestOf returns the only request with a CSR.
func (w *world) requestOf(csr *pki.CSR) *models.Request {
	w.t.Helper()
	var found []models.Request
	for _, r := range w.requests() {
		if string(r.CSR) == string(csr.DER) {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		w.t.Fatalf("%d requests with the CSR, want 1", len(found))
	}
	return &found[0]
}

func (w *world) requests() []models.Request {
	w.t.Helper()
	rows, _, err := w.store.ListRequests(context.Background(), store.RequestFilter{Page: store.Page{Limit: store.MaxLimit}})
	check(w.t, err)
	return rows
}

// play walks the steps of a story after the decision and the approval.
func (w *world) play(req *models.Request) error {
	ctx, in := context.Background(), activities.RequestInput{RequestID: req.ID}
	if _, err := w.acts.Requests.DecideRequest(ctx, in); err != nil {
		return err
	}
	reserved, err := w.acts.Issuance.ReserveCertificate(ctx, in)
	if err != nil {
		return err
	}
	if _, err := w.acts.Issuance.SignCertificate(ctx, activities.CertificateInput{CertificateID: reserved.CertificateID}); err != nil {
		return err
	}
	_, err = w.acts.Requests.DeliverCertificate(ctx, in)
	return err
}

// waiting brings a request to its approval.
func (w *world) waiting(req *models.Request) models.ApprovalID {
	w.t.Helper()
	_, err := w.acts.Requests.DecideRequest(context.Background(), activities.RequestInput{RequestID: req.ID})
	check(w.t, err)
	opened, err := w.acts.Approvals.OpenApproval(context.Background(), activities.OpenApprovalInput{RequestID: req.ID, WorkflowID: "approval"})
	check(w.t, err)
	return opened.ApprovalID
}

// approve has a person approve a waiting request and concludes it.
func (w *world) approve(req *models.Request) {
	w.t.Helper()
	id := w.waiting(req)
	w.write(func(tx *store.Tx) error {
		approval, err := tx.FindApproval(context.Background(), id)
		if err != nil {
			return err
		}
		if _, err := approval.Decide(models.VerdictApprove, "", w.now); err != nil {
			return err
		}
		return tx.SaveApproval(approval)
	})
	_, err := w.acts.Requests.ConcludeApproval(context.Background(), activities.RequestInput{RequestID: req.ID})
	check(w.t, err)
}

// onboarded registers a device, onboards it and returns its domain credential.
func (w *world) onboarded(name string) (*models.Device, *x509.Certificate) {
	w.t.Helper()
	device, csr := w.device(name), w.csr(nil, nil)
	_, err := w.enroll("", csr, secretOf(name))
	check(w.t, err)
	check(w.t, w.play(w.requestOf(csr)))
	got, err := w.enroll("", csr, secretOf(name))
	check(w.t, err)
	return device, got.Certificates[0]
}

// application obtains an application certificate.
func (w *world) application(credential *x509.Certificate) *x509.Certificate {
	w.t.Helper()
	got, err := w.enroll("tls_server", w.csr(nil, nil), with(credential))
	check(w.t, err)
	return got.Certificates[0]
}

// changeDevice changes a device's row as an operator does.
func (w *world) changeDevice(name string, do func(*models.Device)) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		d, err := tx.FindDeviceByName(context.Background(), name)
		if err != nil {
			return err
		}
		do(d)
		return tx.SaveDevice(d)
	})
}

func (w *world) deviceNamed(name string) *models.Device {
	w.t.Helper()
	d, err := w.store.FindDeviceByName(context.Background(), name)
	check(w.t, err)
	return d
}

func (w *world) revoke(cert *x509.Certificate, reason models.RevocationReason) {
	w.t.Helper()
	row := w.rowOf(cert)
	w.write(func(tx *store.Tx) error { return tx.RevokeCertificate(row.ID, reason, w.now) })
}

func (w *world) rowOf(cert *x509.Certificate) *models.Certificate {
	w.t.Helper()
	row, err := w.store.FindCertificateBySerial(context.Background(), w.ca.KeyID, pki.SerialHex(cert.SerialNumber))
	check(w.t, err)
	return row
}

// askPeople makes the domain ask for an approval of everything.
func (w *world) askPeople() {
	w.t.Helper()
	rule := &models.ApprovalRule{Steps: []models.ApprovalStep{{Name: "operator", Quorum: 1}}}
	w.domain.Approval = models.ApprovalPolicy{Onboarding: rule, Enrollment: rule, Renewal: rule}
	w.write(func(tx *store.Tx) error { return tx.SaveDomain(w.domain) })
}

// rows counts everything that a submission could leave behind.
func (w *world) rows() [5]int {
	w.t.Helper()
	ctx, page := context.Background(), store.Page{Limit: store.MaxLimit}
	certs, _, err := w.store.ListCertificates(ctx, store.CertificateFilter{Page: page})
	check(w.t, err)
	devices, _, err := w.store.ListDevices(ctx, store.DeviceFilter{Page: page})
	check(w.t, err)
	events, _, err := w.store.ListEvents(ctx, store.EventFilter{Page: page})
	check(w.t, err)
	promises, err := w.store.DuePromises(ctx, w.now.AddDate(10, 0, 0), 0)
	check(w.t, err)
	return [5]int{len(w.requests()), len(certs), len(devices), len(events), len(promises)}
}

// refused checks that a submission is refused with a kind and leaves no row.
func (w *world) refused(kind models.Kind, submit func() (est.Result, error)) {
	w.t.Helper()
	before := w.rows()
	got, err := submit()
	if models.KindOf(err) != kind || err == nil {
		w.t.Errorf("the answer is %+v, %v; want kind %s", got, err, kind)
	}
	if after := w.rows(); after != before {
		w.t.Errorf("the refusal changed requests, certificates, devices, events, promises from %v to %v", before, after)
	}
}

// manufacturer is a CA that makes IDevIDs.
type manufacturer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newManufacturer(t *testing.T, name string) *manufacturer {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(20, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &manufacturer{key: key, cert: sign(t, template, template, key, key)}
}

func sign(t *testing.T, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return cert
}

func (m *manufacturer) idevid(t *testing.T, serial string) *x509.Certificate {
	t.Helper()
	number, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	check(t, err)
	return sign(t, &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: "device", SerialNumber: serial}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(20, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}, m.cert, newKey(t), m.key)
}

// trust registers a manufacturer's devices for the domain.
func (w *world) trust(name, pattern string, m *manufacturer) {
	w.t.Helper()
	w.write(func(tx *store.Tx) error {
		err := tx.InsertTruststore(&models.Truststore{ID: models.NewID[models.TruststoreID](), Name: name, Certificates: [][]byte{m.cert.Raw}})
		if err != nil {
			return err
		}
		return tx.InsertRegistration(&models.Registration{
			ID: models.NewID[models.RegistrationID](), Name: name, TruststoreName: name, DomainID: w.domain.ID, SerialPattern: pattern,
		})
	})
}
