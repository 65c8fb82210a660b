// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// shaped makes an IDevID of any shape.
func (m *manufacturer) shaped(t *testing.T, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "device"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(20, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	change(template)
	return sign(t, template, m.cert, newKey(t), m.key)
}

// hardware is a subjectAltName with a hardwareModuleName (RFC 4108 §5).
func hardware(t *testing.T, critical bool, serial string) pkix.Extension {
	t.Helper()
	type module struct {
		Type   asn1.ObjectIdentifier
		Serial []byte
	}
	type other struct {
		ID    asn1.ObjectIdentifier
		Value module `asn1:"explicit,tag:0"`
	}
	name, err := asn1.MarshalWithParams(other{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4}, module{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 7}, []byte(serial)}}, "tag:0")
	check(t, err)
	value, err := asn1.Marshal([]asn1.RawValue{{FullBytes: name}})
	check(t, err)
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: critical, Value: value}
}

func uris(t *testing.T, texts ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, text := range texts {
			u, err := url.Parse(text)
			check(t, err)
			c.URIs = append(c.URIs, u)
		}
	}
}

// admit adds a registration that looks at another part of the IDevID.
func (w *world) admit(name string, match models.RegistrationMatch, pattern string, m *manufacturer) {
	w.t.Helper()
	w.trust(name, pattern, m)
	w.write(func(tx *store.Tx) error {
		r, err := tx.FindRegistration(context.Background(), name)
		if err != nil {
			return err
		}
		if err := tx.DeleteRegistration(name); err != nil {
			return err
		}
		r.Match = match
		return tx.InsertRegistration(r)
	})
}

func TestRegistrationsLookAtTheNamesOfAnIDevID(t *testing.T) {
	const oid = "1.3.6.1.4.1.32473.7/"
	withHardware := func(t *testing.T, critical bool, serial string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.Subject, c.ExtraExtensions = pkix.Name{}, []pkix.Extension{hardware(t, critical, serial)}
		}
	}
	tests := map[string]struct {
		match   models.RegistrationMatch
		pattern string
		idevid  func(*testing.T) func(*x509.Certificate)
		want    string // name of the device, or what the refusal says
		serial  string
	}{
		"a URI": {models.MatchURI, "urn:acme:press:[0-9]+", func(t *testing.T) func(*x509.Certificate) { return uris(t, "urn:acme:press:42", "urn:other") }, "maker-urn-acme-press-42", ""},
		"a URI that is longer than the pattern": {models.MatchURI, "urn:acme:press:[0-9]+", func(t *testing.T) func(*x509.Certificate) { return uris(t, "urn:acme:press:42:x") },
			"no registration of domain press-shop admits the URIs", ""},
		"two URIs that match":                       {models.MatchURI, "urn:acme:.*", func(t *testing.T) func(*x509.Certificate) { return uris(t, "urn:acme:1", "urn:acme:2") }, "make its pattern narrower", ""},
		"a hardware module":                         {models.MatchHardwareModule, `1\.3\.6\.1\.4\.1\.32473\.7/A.*`, func(t *testing.T) func(*x509.Certificate) { return withHardware(t, false, "A-17") }, "maker-a-17", "A-17"},
		"a critical hardware module and no subject": {models.MatchHardwareModule, ".*", func(t *testing.T) func(*x509.Certificate) { return withHardware(t, true, "A-17") }, "maker-a-17", "A-17"},
		"a hardware module in octets":               {models.MatchHardwareModule, ".*/0x.*", func(t *testing.T) func(*x509.Certificate) { return withHardware(t, true, "\x01\xff") }, "maker-0x01ff", "0x01ff"},
		"a hardware module of another type":         {models.MatchHardwareModule, `1\.2\.3/.*`, func(t *testing.T) func(*x509.Certificate) { return withHardware(t, true, "A-17") }, oid + "A-17", ""},
		"no such name at all":                       {models.MatchHardwareModule, ".*", func(t *testing.T) func(*x509.Certificate) { return uris(t, "urn:x") }, "admits the hardware modules", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, m := newWorld(t), newManufacturer(t, "Maker")
			w.admit("maker", tt.match, tt.pattern, m)
			idevid := m.shaped(t, tt.idevid(t))
			_, err := w.enroll("", w.csr(nil, nil), with(idevid))
			if err != nil {
				if models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), tt.want) || w.rows()[2] != 0 {
					t.Errorf("the refusal is %v, want %q", err, tt.want)
				}
				return
			}
			if d := w.deviceNamed(tt.want); d.SerialNumber != tt.serial {
				t.Errorf("the serial number is %q, want %q", d.SerialNumber, tt.serial)
			}
		})
	}
}

// B02 and B03, and the holes around them.
func TestWhichDeviceAnIDevIDIs(t *testing.T) {
	type scene struct {
		*world
		m      *manufacturer
		idevid *x509.Certificate
	}
	onboard := func(s *scene, idevid *x509.Certificate) error {
		_, err := s.enroll("", s.csr(nil, nil), with(idevid))
		return err
	}
	register := func(s *scene, name, serial, pin string) {
		s.write(func(tx *store.Tx) error {
			return tx.InsertDevice(&models.Device{Name: name, SerialNumber: serial, DomainID: s.domain.ID, State: models.DeviceRegistered, Method: models.ESTIDevID, Epoch: 1, IDevIDSHA256: pin})
		})
	}
	tests := map[string]struct {
		prepare     func(*scene)
		want        string // device; or what the refusal says, if it has a space in it
		quarantined string // the device that has the IDevID in quarantine
	}{
		"a new one makes a device": {func(*scene) {}, "maker-sn-1", ""},
		"B02 another manufacturer with the same serial number": {func(s *scene) {
			other := newManufacturer(s.t, "Other")
			s.trust("other", ".*", other)
			check(s.t, onboard(s, other.idevid(s.t, "SN-1")))
		}, "maker-sn-1", ""},
		"B03 a clone of a bound device": {func(s *scene) { check(s.t, onboard(s, s.m.idevid(s.t, "SN-1"))) },
			"device maker-sn-1 is bound to another IDevID", "maker-sn-1"},
		"B03 a clone of a pinned device that has not come yet": {func(s *scene) { register(s, "press-07", "SN-1", strings.Repeat("ab", 32)) },
			"device press-07 is bound to another IDevID", "press-07"},
		"a device registered by serial number":   {func(s *scene) { register(s, "press-07", "SN-1", "") }, "press-07", ""},
		"a device registered by its fingerprint": {func(s *scene) { register(s, "press-07", "", digestOf(s.idevid)) }, "press-07", ""},
		"the fingerprint goes before the serial number": {func(s *scene) {
			register(s, "press-06", "SN-1", strings.Repeat("ab", 32))
			register(s, "press-07", "SN-1", digestOf(s.idevid))
		}, "press-07", ""},
		"two devices registered by the same serial number": {func(s *scene) {
			register(s, "press-07", "SN-1", "")
			register(s, "press-08", "SN-1", "")
		}, "devices press-07 and press-08 are registered with the serial number", ""},
		"a device registered in another domain is not found": {func(s *scene) {
			register(s, "press-07", "SN-1", "")
			s.changeDevice("press-07", func(d *models.Device) { d.DomainID = s.other.ID })
		}, "maker-sn-1", ""},
		"a device of the same name that awaits a password": {func(s *scene) {
			register(s, "press-07", "SN-1", "")
			s.changeDevice("press-07", func(d *models.Device) { d.Method = models.ESTPassword })
		}, "maker-sn-1", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scene{world: newWorld(t), m: newManufacturer(t, "Maker")}
			s.trust("maker", ".*", s.m)
			s.idevid = s.m.idevid(t, "SN-1")
			tt.prepare(s)
			before := s.rows()
			err := onboard(s, s.idevid)
			if !strings.Contains(tt.want, " ") {
				check(t, err)
				if d := s.deviceNamed(tt.want); d.IDevIDSHA256 != digestOf(s.idevid) || d.IDevIDIdentity == nil || d.IDevIDKeySHA256 == "" {
					t.Errorf("the device is %+v", d)
				}
				return
			}
			if err == nil || models.KindOf(err) != models.KindDenied || !strings.Contains(models.PublicText(err), tt.want) {
				t.Errorf("the refusal is %v, want %q", err, tt.want)
			}
			after := s.rows()
			if tt.quarantined != "" {
				before[3]++ // the alarm
				s.inQuarantine(tt.quarantined, s.idevid)
			}
			if after != before {
				t.Errorf("the refusal changed requests, certificates, devices, events, promises from %v to %v", before, after)
			}
			_ = onboard(s, s.idevid) // again: no second alarm
			if again := s.rows(); again != after {
				t.Errorf("the second refusal changed %v to %v", after, again)
			}
		})
	}
}

func digestOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// inQuarantine checks that exactly this IDevID is in quarantine.
func (w *world) inQuarantine(device string, cert *x509.Certificate) {
	w.t.Helper()
	rows, err := w.store.QuarantinedIDevIDs(context.Background(), w.deviceNamed(device).ID)
	check(w.t, err)
	if len(rows) != 1 || rows[0].Fingerprint != digestOf(cert) || rows[0].Address != "192.0.2.7" {
		w.t.Errorf("in quarantine are %+v", rows)
	}
	events, _, err := w.store.ListEvents(context.Background(), store.EventFilter{Action: "idevid.quarantined"})
	check(w.t, err)
	if len(events) != 1 || events[0].Details["idevid_sha256"] != digestOf(cert) {
		w.t.Errorf("the alarms are %+v", events)
	}
}

func TestANewCertificateOfTheSameKeyIsNoClone(t *testing.T) {
	w, m := newWorld(t), newManufacturer(t, "Maker")
	w.trust("maker", ".*", m)
	key := newKey(t)
	made := func() *x509.Certificate {
		return sign(t, &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{SerialNumber: "SN-1"}, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().AddDate(20, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		}, m.cert, key, m.key)
	}
	_, err := w.enroll("", w.csr(nil, nil), with(made()))
	check(t, err)
	w.refused(models.KindDenied, func() (est.Result, error) { return w.enroll("", w.csr(nil, nil), with(made())) })
}

func TestAnIDevIDComesWhileItsDeviceIsChanged(t *testing.T) {
	mine, other := "issuer:SN-1", "issuer:SN-2"
	bound := models.Device{Name: "press-01", IDevIDIdentity: &mine, IDevIDSHA256: "a", IDevIDKeySHA256: "k"}
	free := models.Device{Name: "press-01"}
	for name, tt := range map[string]struct {
		before, now models.Device
		fine        bool
	}{
		"nothing happened":        {bound, bound, true},
		"it was free and is":      {free, free, true},
		"an operator unbound it":  {bound, free, false},
		"an operator pinned it":   {free, models.Device{IDevIDSHA256: "b"}, false},
		"another one came first":  {free, models.Device{IDevIDIdentity: &other, IDevIDSHA256: "b"}, false},
		"it was bound to another": {bound, models.Device{IDevIDIdentity: &other, IDevIDSHA256: "a"}, false},
		"its copy came first":     {free, bound, false},
	} {
		t.Run(name, func(t *testing.T) {
			who := enroll.Identity{Device: &tt.before, Key: mine, Subject: "a", IDevIDKey: "k"}
			err := enroll.BindNow(&tt.now, &who)
			if (err == nil) != tt.fine {
				t.Errorf("the answer is %v", err)
			}
			if tt.fine && (tt.now.IDevIDSHA256 != "a" || *tt.now.IDevIDIdentity != mine || tt.now.IDevIDKeySHA256 != "k") {
				t.Errorf("the device is %+v", tt.now)
			}
		})
	}
}

// B09: a device is in the domains that it was given, and in no other.
func TestAGatewayIsOnlyWhereItWasGivenARecord(t *testing.T) {
	w, m := newWorld(t), newManufacturer(t, "Maker")
	w.trust("maker", ".*", m)
	w.write(func(tx *store.Tx) error {
		return tx.InsertRegistration(&models.Registration{Name: "paint", TruststoreName: "maker", DomainID: w.other.ID, Match: models.MatchSerialNumber, SerialPattern: ".*"})
	})
	idevid := m.idevid(t, "SN-1")
	elsewhere := func() (est.Result, error) {
		return w.est.SimpleEnroll(context.Background(), est.Label{Domain: "paint-shop"}, w.csr(nil, nil), with(idevid))
	}
	_, err := w.enroll("", w.csr(nil, nil), with(idevid))
	check(t, err)
	check(t, w.play(&w.requests()[0]))
	w.refused(models.KindDenied, elsewhere)
	home := w.deviceNamed("maker-sn-1")
	w.write(func(tx *store.Tx) error {
		return tx.InsertDevice(&models.Device{Name: "gw-paint", SerialNumber: "SN-1", DomainID: w.other.ID, State: models.DeviceRegistered, Method: models.ESTIDevID, Epoch: 1, HomeID: home.ID})
	})
	w.refused(models.KindNotFound, func() (est.Result, error) {
		return w.est.SimpleEnroll(context.Background(), est.Label{Domain: "nowhere-shop"}, w.csr(nil, nil), with(idevid))
	})
	_, err = elsewhere()
	check(t, err)
	if d := w.deviceNamed("gw-paint"); d.State != models.DeviceOnboarding || d.IDevIDIdentity != nil {
		t.Errorf("the record is %+v", d)
	}
	if d := w.deviceNamed("maker-sn-1"); d.State != models.DeviceOnboarded {
		t.Errorf("the home record is %s", d.State)
	}
	for _, r := range w.requests() {
		if r.DomainID == w.other.ID {
			check(t, w.play(&r))
		}
	}
	// The credential of one domain is none in the other.
	rows, _, err := w.store.ListCertificates(context.Background(), store.CertificateFilter{DomainID: w.other.ID})
	check(t, err)
	if len(rows) != 1 || rows[0].DeviceID != w.deviceNamed("gw-paint").ID {
		t.Fatalf("the certificates there are %+v", rows)
	}
	credential, err := x509.ParseCertificate(rows[0].DER)
	check(t, err)
	w.refused(models.KindDenied, func() (est.Result, error) { return w.enroll("tls_server", w.csr(nil, nil), with(credential)) })
	w.changeDevice("maker-sn-1", func(d *models.Device) { d.State = models.DeviceSuspended })
	w.refused(models.KindDenied, elsewhere)
}
