// SPDX-License-Identifier: MIT

package activities_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/integrations/issuer"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// world is a store with a root, an issuing CA, a domain and a device, all made
// by the activities themselves over software keys.
type world struct {
	t      *testing.T
	store  *store.Store
	acts   *activities.Set
	keys   hsm.Stores
	now    time.Time
	ca     *models.CA
	domain *models.Domain
	device *models.Device
	power  string // the fault point at which the power is cut, once
	at     func(point string)

	endings *activities.Endings
}

// powerCut is what a fault point throws to stop the step there.
type powerCut struct{ point string }

func newWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	software, err := hsm.OpenSoftware(hsm.SoftwareConfig{Dir: t.TempDir(), SealingKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = software.Close() })
	w := &world{t: t, store: s, keys: hsm.Stores{models.StoreSoftware: software}, now: time.Now(), endings: new(activities.Endings)}
	w.acts = activities.New(activities.Config{
		Store: s, Issuer: issuer.NewLocal(w.keys), Builder: pki.NewBuilder(), PublicURL: "http://pki.example",
		Now: func() time.Time { return w.now }, Fault: w.fault, Endings: w.endings,
	})
	root := w.makeCA("root", "", models.CARoot)
	w.ca = w.makeCA("issuing", root.ID, models.CAIssuing)
	w.domain = &models.Domain{ID: models.NewID[models.DomainID](), Name: "press-shop", IssuingCAID: w.ca.ID, Profiles: []string{"domain_credential", "tls_server"}}
	w.device = &models.Device{
		ID: models.NewID[models.DeviceID](), Name: "press-01", SerialNumber: "4711", DomainID: w.domain.ID,
		State: models.DeviceOnboarding, Method: models.ESTPassword,
	}
	w.write(func(tx *store.Tx) error {
		for name, document := range policy.Shipped() {
			if err := tx.InsertProfile(&models.Profile{ID: models.NewID[models.ProfileID](), Name: name, Document: document}); err != nil {
				return err
			}
		}
		if err := tx.InsertDomain(w.domain); err != nil {
			return err
		}
		return tx.InsertDevice(w.device)
	})
	return w
}

func (w *world) fault(point string) {
	if w.at != nil {
		w.at(point)
	}
	if point == w.power {
		w.power = ""
		panic(powerCut{point})
	}
}

// cut runs a step that loses its power at a fault point.
func (w *world) cut(point string, step func() error) {
	w.t.Helper()
	defer func() {
		w.t.Helper()
		if cut, ok := recover().(powerCut); !ok || cut.point != point {
			w.t.Fatalf("the step did not come to %s", point)
		}
	}()
	w.power = point
	_ = step()
}

func (w *world) write(fn func(*store.Tx) error) {
	w.t.Helper()
	if err := w.store.Write(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) makeCA(name string, issuer models.CAID, kind models.CAType) *models.CA {
	w.t.Helper()
	ca := &models.CA{
		ID: models.NewID[models.CAID](), Name: name, Type: kind, State: models.CAPending, IssuerID: issuer, Generation: 1,
		Subject: models.Name{CommonName: "Plant " + name}, Validity: models.Duration(24 * 365 * time.Hour),
	}
	ca.Key = models.KeyRef{Store: models.StoreSoftware, ID: "ca-" + string(ca.ID), Algorithm: models.ECP256}
	w.write(func(tx *store.Tx) error { return tx.InsertCA(ca) })
	return w.complete(ca)
}

// complete makes the key and the certificate of a pending CA.
func (w *world) complete(ca *models.CA) *models.CA {
	w.t.Helper()
	in := activities.AuthorityInput{CAID: ca.ID}
	for _, step := range []func(context.Context, activities.AuthorityInput) (activities.AuthorityResult, error){
		w.acts.Authorities.GenerateAuthorityKey, w.acts.Authorities.ReserveAuthorityCertificate,
		w.acts.Authorities.SignAuthorityCertificate, w.acts.Authorities.ActivateAuthority,
	} {
		for range 2 { // every step may be repeated
			if _, err := step(context.Background(), in); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	made, err := w.store.FindCA(context.Background(), ca.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// request stores a received onboarding request of the device.
func (w *world) request(decision models.Decision) *models.Request {
	w.t.Helper()
	req := w.newRequest(models.KindOnboarding, "domain_credential", decision)
	w.write(func(tx *store.Tx) error {
		_, err := tx.InsertRequest(req)
		return err
	})
	return req
}

func (w *world) newRequest(kind models.RequestKind, profile string, decision models.Decision) *models.Request {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "anything"}}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	id := models.NewID[models.RequestID]()
	return &models.Request{
		ID: id, Key: models.RequestKey(models.KeyParts{Transaction: string(id)}), Kind: kind, State: models.RequestReceived,
		Protocol: "est", DomainID: w.domain.ID, DeviceID: w.device.ID, ProfileName: profile, ProfileVersion: 1,
		CSR: csr, AuthMethod: models.AuthPassword, WorkflowID: "onboarding/" + string(id), Decision: decision,
	}
}

// certificates returns every certificate row with the request's key.
func (w *world) certificates(req *models.Request) []models.Certificate {
	w.t.Helper()
	rows, _, err := w.store.ListCertificates(context.Background(), store.CertificateFilter{DeviceID: w.device.ID})
	if err != nil {
		w.t.Fatal(err)
	}
	var found []models.Certificate
	for _, row := range rows {
		if row.RequestKey == req.Key {
			found = append(found, row)
		}
	}
	return found
}

// events counts the audit events about a request by action.
func (w *world) events(req *models.Request) map[string]int {
	w.t.Helper()
	rows, _, err := w.store.ListEvents(context.Background(), store.EventFilter{RequestID: req.ID})
	if err != nil {
		w.t.Fatal(err)
	}
	count := map[string]int{}
	for _, row := range rows {
		count[row.Action]++
	}
	return count
}

// assertRevoked checks that the latest CRL is signed by the CA and names the
// serial number.
func assertRevoked(t *testing.T, w *world, serial string) {
	t.Helper()
	row, err := w.store.LatestCRL(context.Background(), w.ca.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(row.DER)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(w.ca.CertificateDER)
	if err != nil {
		t.Fatal(err)
	}
	if err := crl.CheckSignatureFrom(issuer); err != nil {
		t.Error(err)
	}
	if len(crl.RevokedCertificateEntries) != 1 || pki.SerialHex(crl.RevokedCertificateEntries[0].SerialNumber) != serial {
		t.Errorf("the CRL has %+v, want serial number %s", crl.RevokedCertificateEntries, serial)
	}
}
