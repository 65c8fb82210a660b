// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestASecretIsShownOnceAndKeptAsAHash(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		made := ok[*api.Device](t)(p.Ops.CreateDevice(t.Context(), p.Boss, api.DeviceCreation{
			Name: "press-02", Domain: "alpha", Onboarding: api.OnboardingArming{Method: models.ESTPassword}, Metadata: map[string]string{"line": "3"}}))
		if !regexp.MustCompile(`^[a-z2-7]{32}$`).MatchString(made.Onboarding.Secret) || made.Onboarding.Username != "press-02" || made.Onboarding.Epoch != 1 {
			t.Errorf("onboarding: %+v", made.Onboarding)
		}
		row, err := p.Store.FindDeviceByName(t.Context(), "press-02")
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256([]byte(made.Onboarding.Secret)); !cmp.Equal(row.SecretHash, sum[:]) {
			t.Error("the stored hash is not that of the secret")
		}
		again := ok[*api.Device](t)(p.Ops.FindDevice(t.Context(), p.Boss, "press-02"))
		if again.Onboarding.Secret != "" || again.Metadata["line"] != "3" {
			t.Errorf("device read again: %+v", again)
		}
		if e := lastEvent(t, p, made.ID); strings.Contains(e.Details["name"]+e.Details["method"]+e.Details["epoch"], made.Onboarding.Secret) {
			t.Error("the audit event has the secret")
		}
	})
}

func TestArmingVoidsWhatWasArmedBefore(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		device, err := p.Store.FindDeviceByName(t.Context(), p.Alpha.Device)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Store.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.UseSecret(device.ID, "key", time.Now())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		armed := ok[*api.Device](t)(p.Ops.ArmDevice(t.Context(), p.Boss, device.Name, api.OnboardingArming{}))
		now, err := p.Store.FindDeviceByName(t.Context(), device.Name)
		if err != nil {
			t.Fatal(err)
		}
		if now.Epoch != 2 || now.SecretUsedBy != "" || now.SecretUsedAt != nil || armed.Onboarding.Secret == "" || cmp.Equal(now.SecretHash, device.SecretHash) {
			t.Errorf("armed again: %+v", now)
		}
		idevid := ok[*api.Device](t)(p.Ops.ArmDevice(t.Context(), p.Boss, device.Name, api.OnboardingArming{Method: models.ESTIDevID}))
		if idevid.Onboarding.Secret != "" || idevid.Onboarding.Username != "" || idevid.Onboarding.Epoch != 3 {
			t.Errorf("armed for IDevID: %+v", idevid.Onboarding)
		}
	})
}

func TestTheLifeOfADevice(t *testing.T) {
	p := small(t)
	ctx, name := t.Context(), "press-02"
	ok[*api.Device](t)(p.Ops.CreateDevice(ctx, p.Boss, api.DeviceCreation{
		Name: name, Domain: "alpha", Onboarding: api.OnboardingArming{Method: models.ESTPassword}}))
	state := func(d *api.Device, err error) models.DeviceState { return ok[*api.Device](t)(d, err).State }
	if got := state(p.Ops.SuspendDevice(ctx, p.Boss, name)); got != models.DeviceSuspended {
		t.Errorf("suspended: %s", got)
	}
	_, err := p.Ops.SuspendDevice(ctx, p.Boss, name)
	wantKind(t, err, models.KindConflict, "suspended already")
	_, err = p.Ops.ArmDevice(ctx, p.Boss, name, api.OnboardingArming{})
	wantKind(t, err, models.KindConflict, "is suspended")
	if got := state(p.Ops.ResumeDevice(ctx, p.Boss, name)); got != models.DeviceRegistered {
		t.Errorf("resumed before onboarding: %s", got)
	}
	onboard(t, p, name)
	state(p.Ops.SuspendDevice(ctx, p.Boss, name))
	if got := state(p.Ops.ResumeDevice(ctx, p.Boss, name)); got != models.DeviceOnboarded {
		t.Errorf("resumed after onboarding: %s", got)
	}
	if got := state(p.Ops.DecommissionDevice(ctx, p.Boss, name)); got != models.DeviceDecommissioned {
		t.Errorf("decommissioned: %s", got)
	}
	for verb, do := range map[string]func() (*api.Device, error){
		"resume":       func() (*api.Device, error) { return p.Ops.ResumeDevice(ctx, p.Boss, name) },
		"suspend":      func() (*api.Device, error) { return p.Ops.SuspendDevice(ctx, p.Boss, name) },
		"arm":          func() (*api.Device, error) { return p.Ops.ArmDevice(ctx, p.Boss, name, api.OnboardingArming{}) },
		"decommission": func() (*api.Device, error) { return p.Ops.DecommissionDevice(ctx, p.Boss, name) },
	} {
		if _, err := do(); models.KindOf(err) != models.KindConflict || err == nil {
			t.Errorf("%s after the end: %v", verb, err)
		}
	}
}

// Otherwise a second onboarding could be armed and begun beside the first, and
// both would be given a domain credential.
func TestAnOnboardingGoesOnAfterASuspension(t *testing.T) {
	p := small(t)
	ctx, name := t.Context(), p.Alpha.Device // its onboarding waits for people
	ok[*api.Device](t)(p.Ops.SuspendDevice(ctx, p.Boss, name))
	if d := ok[*api.Device](t)(p.Ops.ResumeDevice(ctx, p.Boss, name)); d.State != models.DeviceOnboarding {
		t.Errorf("resumed while its onboarding waits: %s", d.State)
	}
	_, err := p.Ops.ArmDevice(ctx, p.Boss, name, api.OnboardingArming{})
	wantKind(t, err, models.KindConflict, "under way")
}

// onboard moves a device through its onboarding.
func onboard(t *testing.T, p *fixture.Plant, name string) {
	t.Helper()
	for _, state := range []models.DeviceState{models.DeviceOnboarding, models.DeviceOnboarded} {
		err := p.Store.Write(t.Context(), func(tx *store.Tx) error {
			d, err := tx.FindDeviceByName(t.Context(), name)
			if err != nil {
				return err
			}
			now := time.Now()
			d.State, d.OnboardedAt = state, &now
			return tx.SaveDevice(d)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRevocationAndHold(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx, id := t.Context(), string(p.Alpha.Certificate)
		status := func(c *api.Certificate, err error) string { return ok[*api.Certificate](t)(c, err).Status }
		_, err := p.Ops.ReleaseCertificate(ctx, p.Boss, id)
		wantKind(t, err, models.KindConflict, "not on hold")
		if got := status(p.Ops.RevokeCertificate(ctx, p.Boss, id, api.Revocation{Reason: "certificateHold"})); got != "revoked" {
			t.Errorf("held: %s", got)
		}
		if got := status(p.Ops.ReleaseCertificate(ctx, p.Boss, id)); got != "valid" {
			t.Errorf("released: %s", got)
		}
		status(p.Ops.RevokeCertificate(ctx, p.Boss, id, api.Revocation{Reason: "certificateHold"}))
		revoked := ok[*api.Certificate](t)(p.Ops.RevokeCertificate(ctx, p.Boss, id, api.Revocation{Reason: "keyCompromise", Comment: "stolen"}))
		if revoked.RevocationReason != "keyCompromise" || revoked.RevokedAt == nil {
			t.Errorf("revoked for good: %+v", revoked)
		}
		_, err = p.Ops.ReleaseCertificate(ctx, p.Boss, id)
		wantKind(t, err, models.KindConflict, "not on hold")
		_, err = p.Ops.RevokeCertificate(ctx, p.Boss, id, api.Revocation{Reason: "superseded"})
		wantKind(t, err, models.KindConflict, "cannot be revoked")
		_, err = p.Ops.RevokeCertificate(ctx, p.Boss, id, api.Revocation{Reason: "removeFromCRL"})
		wantKind(t, err, models.KindInvalid, "removeFromCRL")
		if got := p.Stories.Told(); len(got) != 4 || !strings.HasPrefix(got[0], "publish ") {
			t.Errorf("told: %q", got)
		}
		root, err := p.Store.FindCAByName(ctx, "root")
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Ops.RevokeCertificate(ctx, p.Boss, string(root.CertificateID), api.Revocation{Reason: "cACompromise"})
		wantKind(t, err, models.KindDenied, "belongs to a CA")
	})
}

func TestAChainGoesUpToTheRoot(t *testing.T) {
	p := small(t)
	ca := ok[*api.CA](t)(p.Ops.FindCA(t.Context(), p.Boss, p.Alpha.CA))
	if got := subjects(t, ca.Chain); !cmp.Equal(got, []string{"CN=alpha-ca", "CN=root"}) {
		t.Errorf("chain of the CA: %q", got)
	}
	if ca.CRLURL != "http://pki.example/crl/"+ca.KeyID+".crl" || ca.Issuer != "root" || ca.Serial == "" {
		t.Errorf("CA: %+v", ca)
	}
	c := ok[*api.Certificate](t)(p.Ops.FindCertificate(t.Context(), p.Boss, string(p.Alpha.Certificate)))
	if got := subjects(t, c.Chain); !cmp.Equal(got, []string{"CN=alpha-device", "CN=alpha-ca", "CN=root"}) {
		t.Errorf("chain of the certificate: %q", got)
	}
	root, err := p.Store.FindCAByName(t.Context(), "root")
	if err != nil {
		t.Fatal(err)
	}
	self := ok[*api.Certificate](t)(p.Ops.FindCertificate(t.Context(), p.Boss, string(root.CertificateID)))
	if got := subjects(t, self.Chain); !cmp.Equal(got, []string{"CN=root"}) {
		t.Errorf("chain of the root: %q", got)
	}
}

func subjects(t *testing.T, text string) (list []string) {
	t.Helper()
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c.Subject.String())
	}
	return list
}

func TestApprovalRules(t *testing.T) {
	p := small(t)
	step := []api.ApprovalStep{{Name: "operator"}}
	hours := func(n int) models.Duration { return models.Duration(time.Duration(n) * time.Hour) }
	for name, c := range map[string]struct {
		rule *api.ApprovalRule
		want *api.ApprovalRule
		text string
	}{
		"defaults are filled in": {
			rule: &api.ApprovalRule{Steps: step},
			want: &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: hours(336), RemindAfter: hours(168), EscalateAfter: hours(252)},
		},
		"defaults follow the deadline": {
			rule: &api.ApprovalRule{Steps: step, Deadline: hours(8)},
			want: &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: hours(8), RemindAfter: hours(4), EscalateAfter: hours(6)},
		},
		"a rule needs a step":                      {rule: &api.ApprovalRule{}, text: "0 steps"},
		"eleven steps are too many":                {rule: &api.ApprovalRule{Steps: make([]api.ApprovalStep, 11)}, text: "11 steps"},
		"a step needs a name":                      {rule: &api.ApprovalRule{Steps: make([]api.ApprovalStep, 1)}, text: "no name"},
		"a quorum is at most ten":                  {rule: &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "a", Quorum: 11}}}, text: "quorum 11"},
		"a quorum is not negative":                 {rule: &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "a", Quorum: -1}}}, text: "quorum -1"},
		"a reminder comes before the escalation":   {rule: &api.ApprovalRule{Steps: step, Deadline: hours(8), RemindAfter: hours(6)}, text: "must come before"},
		"an escalation comes before the deadline":  {rule: &api.ApprovalRule{Steps: step, Deadline: hours(8), EscalateAfter: hours(8)}, text: "must come before"},
		"null removes a rule, absence leaves them": {rule: nil, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			change := api.DomainChange{Approval: api.PolicyChange{Onboarding: api.SetRule(c.rule)}}
			got, err := p.Ops.ChangeDomain(t.Context(), p.Boss, "alpha", change)
			if c.text != "" {
				wantKind(t, err, models.KindInvalid, c.text)
				return
			}
			if err != nil || !cmp.Equal(got.Approval.Onboarding, c.want) || got.Approval.Renewal != nil {
				t.Errorf("rule %+v, %v", got, err)
			}
		})
	}
}

func TestWhatIsInvalidIsRefusedWithASentence(t *testing.T) {
	p := small(t)
	ctx, who := t.Context(), p.Boss
	password := api.OnboardingArming{Method: models.ESTPassword}
	device := func(in api.DeviceCreation) error { _, err := p.Ops.CreateDevice(ctx, who, in); return err }
	ca := func(in api.CACreation) error { _, err := p.Ops.CreateCA(ctx, who, in); return err }
	domain := func(in api.DomainCreation) error { _, err := p.Ops.CreateDomain(ctx, who, in); return err }
	registration := func(in api.RegistrationCreation) error { _, err := p.Ops.CreateRegistration(ctx, who, in); return err }
	truststore := func(pem string) error {
		_, err := p.Ops.CreateTruststore(ctx, who, api.TruststoreCreation{Name: "t", PEM: pem})
		return err
	}
	leaf := ok[*api.Certificate](t)(p.Ops.FindCertificate(ctx, who, string(p.Alpha.Certificate))).PEM
	many, err := fixture.Certificates(65)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err  error
		kind models.Kind
		text string
	}{
		"a device name is a slug":            {device(api.DeviceCreation{Name: "Press 1", Domain: "alpha", Onboarding: password}), models.KindInvalid, "device name"},
		"a device needs a method":            {device(api.DeviceCreation{Name: "x", Domain: "alpha"}), models.KindInvalid, "est-password, est-idevid"},
		"a device needs a domain":            {device(api.DeviceCreation{Name: "x", Onboarding: password}), models.KindNotFound, "no domain"},
		"a serial number is printable":       {device(api.DeviceCreation{Name: "x", Domain: "alpha", SerialNumber: "a\nb", Onboarding: password}), models.KindInvalid, "serial_number"},
		"a fingerprint goes with IDevID":     {device(api.DeviceCreation{Name: "x", Domain: "alpha", IDevIDSHA256: "00", Onboarding: password}), models.KindInvalid, "goes with"},
		"a fingerprint has 64 digits":        {device(api.DeviceCreation{Name: "x", Domain: "alpha", IDevIDSHA256: "00", Onboarding: api.OnboardingArming{Method: models.ESTIDevID}}), models.KindInvalid, "64 digits"},
		"metadata is bounded":                {device(api.DeviceCreation{Name: "x", Domain: "alpha", Metadata: map[string]string{"a": strings.Repeat("x", 1001)}, Onboarding: password}), models.KindInvalid, "metadata a"},
		"an issuing CA needs an issuer":      {ca(api.CACreation{Name: "x", Type: models.CAIssuing}), models.KindInvalid, "needs an issuer"},
		"a root has no issuer":               {ca(api.CACreation{Name: "x", Type: models.CARoot, Issuer: "root"}), models.KindInvalid, "root has none"},
		"an issuer must exist":               {ca(api.CACreation{Name: "x", Type: models.CAIssuing, Issuer: "y"}), models.KindNotFound, "no CA y"},
		"a key store must be configured":     {ca(api.CACreation{Name: "x", Type: models.CARoot, Key: api.Key{Store: "cloud"}}), models.KindInvalid, "software, pkcs11"},
		"an algorithm must be known":         {ca(api.CACreation{Name: "x", Type: models.CARoot, Key: api.Key{Algorithm: "RSA-1024"}}), models.KindInvalid, "RSA-1024"},
		"a country has two letters":          {ca(api.CACreation{Name: "x", Type: models.CARoot, Subject: api.Name{CommonName: "x", Country: "Germany"}}), models.KindInvalid, ""},
		"a new CA key has a new name":        {ca(api.CACreation{Name: "x", Type: models.CARoot, Subject: api.Name{CommonName: "root"}}), models.KindConflict, "same subject"},
		"a CA lives for an hour at least":    {ca(api.CACreation{Name: "x", Type: models.CARoot, Validity: models.Duration(time.Minute)}), models.KindInvalid, "shorter"},
		"a domain needs an issuing CA":       {domain(api.DomainCreation{Name: "x", IssuingCA: "root"}), models.KindInvalid, "is a root"},
		"a domain's profiles exist":          {domain(api.DomainCreation{Name: "x", IssuingCA: "alpha-ca", Profiles: []string{"y"}}), models.KindNotFound, "no profile y"},
		"a domain's profiles are named once": {domain(api.DomainCreation{Name: "x", IssuingCA: "alpha-ca", Profiles: []string{"opc_ua", "opc_ua"}}), models.KindInvalid, "twice"},
		"a registration needs a pattern":     {registration(api.RegistrationCreation{Name: "x", Truststore: "alpha-truststore", Domain: "alpha"}), models.KindInvalid, "serial_pattern"},
		"a pattern must compile":             {registration(api.RegistrationCreation{Name: "x", Truststore: "alpha-truststore", Domain: "alpha", SerialPattern: "("}), models.KindInvalid, ""},
		"a registration's truststore exists": {registration(api.RegistrationCreation{Name: "x", Truststore: "y", Domain: "alpha", SerialPattern: "1"}), models.KindNotFound, "no truststore y"},
		"a truststore holds CA certificates": {truststore(leaf), models.KindInvalid, "not a CA certificate"},
		"a truststore holds certificates":    {truststore("nothing"), models.KindInvalid, ""},
		"a truststore has at most 64":        {truststore(string(many)), models.KindInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, c.err, c.kind, c.text) })
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	p := small(t)
	p.Caller(t, "half", models.RoleAdmin, "alpha")
	wantKind(t, p.Ops.RevokeToken(t.Context(), p.Boss, "boss"), models.KindConflict, "last that can make new ones")
	ok[*api.Token](t)(p.Ops.CreateToken(t.Context(), p.Boss, api.TokenCreation{Name: "deputy", Role: models.RoleAdmin, ExpiresIn: models.Duration(time.Hour)}))
	wantKind(t, p.Ops.RevokeToken(t.Context(), p.Boss, "boss"), models.KindConflict, "one that does not expire")
	ok[*api.Token](t)(p.Ops.CreateToken(t.Context(), p.Boss, api.TokenCreation{Name: "heir", Role: models.RoleAdmin}))
	if err := p.Ops.RevokeToken(t.Context(), p.Boss, "boss"); err != nil {
		t.Error(err)
	}
	wantKind(t, p.Ops.RevokeToken(t.Context(), p.Boss, "boss"), models.KindConflict, "revoked already")
	wantKind(t, p.Ops.RevokeToken(t.Context(), p.Boss, "nobody"), models.KindNotFound, "no token nobody")
}

func TestVersionsAndNames(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	document := ok[*api.Profile](t)(p.Ops.FindProfile(ctx, p.Boss, "tls_client", api.ProfileQuery{})).Document
	next := ok[*api.Profile](t)(p.Ops.PutProfile(ctx, p.Boss, p.Alpha.Profile, api.ProfileVersion{Document: document}))
	if next.Version != 2 {
		t.Errorf("version %d", next.Version)
	}
	first := ok[*api.Profile](t)(p.Ops.FindProfile(ctx, p.Boss, p.Alpha.Profile, api.ProfileQuery{Version: 1}))
	if first.Version != 1 || cmp.Equal(first.Document, next.Document) {
		t.Errorf("version 1 has changed: %+v", first)
	}
	_, err := p.Ops.FindProfile(ctx, p.Boss, p.Alpha.Profile, api.ProfileQuery{Version: 3})
	wantKind(t, err, models.KindNotFound, "version 3")
	_, err = p.Ops.CreateProfile(ctx, p.Boss, api.ProfileCreation{Name: p.Alpha.Profile, Document: document})
	wantKind(t, err, models.KindConflict, "PUT adds a version")
	_, err = p.Ops.PutProfile(ctx, p.Boss, "none", api.ProfileVersion{Document: document})
	wantKind(t, err, models.KindNotFound, "no profile none")
	_, err = p.Ops.CreateProfile(ctx, p.Boss, api.ProfileCreation{Name: "bad", Document: []byte(`{"unknown":1}`)})
	wantKind(t, err, models.KindInvalid, "")
}
