// SPDX-License-Identifier: MIT

package enroll_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

const filePassword = "correct horse battery"

// depot is a world with deliveries.
type depot struct {
	*world
	deliveries *enroll.Deliveries
}

func newDepot(t *testing.T) *depot { return depotIn(t, fixture.Open(t, fixture.SQLite(t))) }

func depotIn(t *testing.T, s *store.Store) *depot {
	t.Helper()
	w := worldIn(t, s)
	sealer, err := hsm.NewSealer(make([]byte, 32))
	check(t, err)
	return &depot{world: w, deliveries: enroll.NewDeliveries(enroll.DeliveryConfig{Door: w.door, Sealer: sealer})}
}

// armed registers a device of a method.
func (d *depot) armed(name string, method models.OnboardingMethod) *models.Device {
	d.t.Helper()
	d.device(name)
	d.changeDevice(name, func(row *models.Device) { row.Method, row.SecretHash = method, nil })
	return d.deviceNamed(name)
}

func (d *depot) order(device *models.Device, channel models.DeliveryChannel, profile string) (*models.Delivery, string, error) {
	return d.deliveries.Order(context.Background(), models.DeliveryOrder{
		Device: device, Domain: d.domain, Channel: channel, Profile: profile, Algorithm: models.ECP256, Operator: "alice", Address: "192.0.2.7"})
}

// ready orders the domain credential of a new device and plays its story.
func (d *depot) ready(name string, channel models.DeliveryChannel) (*models.Delivery, string) {
	d.t.Helper()
	method := map[models.DeliveryChannel]models.OnboardingMethod{models.DeliverToOperator: models.Manual, models.DeliverByDownload: models.OTPDownload}[channel]
	row, code, err := d.order(d.armed(name, method), channel, "domain_credential")
	check(d.t, err)
	if row.State != models.DeliveryWaiting {
		d.t.Fatalf("without its story the delivery is %s", row.State)
	}
	req, err := d.store.FindRequest(context.Background(), row.RequestID)
	check(d.t, err)
	check(d.t, d.play(req))
	row, err = d.deliveries.Look(context.Background(), row.ID)
	check(d.t, err)
	return row, code
}

func packing(format models.DeliveryFormat) models.DeliveryPacking {
	return models.DeliveryPacking{Format: format, Password: filePassword, Actor: "operator:alice", Address: "192.0.2.7"}
}

func (d *depot) collect(row *models.Delivery) (*models.DeliveryPackage, error) {
	return d.deliveries.Collect(context.Background(), row.ID, packing(models.FormatPKCS12))
}

func (d *depot) redeem(name, code string) (*models.DeliveryPackage, error) {
	return d.deliveries.Redeem(context.Background(), name, code, packing(models.FormatPEMZip))
}

// says checks an error.
func says(t *testing.T, err error, kind models.Kind, text string) {
	t.Helper()
	if err == nil || models.KindOf(err) != kind || !strings.Contains(models.PublicText(err), text) {
		t.Errorf("the answer is %v, want %s: …%s…", err, kind, text)
	}
}

func (d *depot) keyGone(row *models.Delivery) {
	d.t.Helper()
	if _, err := d.store.FindSealedKey(context.Background(), row.ID); models.KindOf(err) != models.KindNotFound {
		d.t.Errorf("the sealed key is still there: %v", err)
	}
}

func TestADeviceIsOnboardedWithAKeyThatTrustloomMakes(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		d := depotIn(t, s)
		row, code := d.ready("drive-07", models.DeliverToOperator)
		if row.State != models.DeliveryReady || code != "" || !row.ExpiresAt.After(d.now.Add(59*time.Minute)) {
			t.Errorf("the delivery is %+v, its code %q", row, code)
		}
		if again, _, err := d.order(d.deviceNamed("drive-07"), models.DeliverToOperator, "domain_credential"); err != nil || again.ID != row.ID {
			t.Errorf("ordering again: %v, %v", again, err)
		}
		got, err := d.collect(row)
		check(t, err)
		if got.FileName != "drive-07-domain_credential.p12" || got.Delivery.State != models.DeliveryDelivered || got.Certificate.Kind != models.CertificateDomainCredential {
			t.Errorf("got %+v", got)
		}
		if d.deviceNamed("drive-07").State != models.DeviceOnboarded {
			t.Error("the device is not onboarded")
		}
		d.keyGone(row)
		_, err = d.collect(row)
		says(t, err, models.KindConflict, "delivered already")
		_, _, err = d.order(d.deviceNamed("drive-07"), models.DeliverToOperator, "domain_credential")
		says(t, err, models.KindDenied, "already onboarded")
	})
}

func TestOthersReadWhatIsDelivered(t *testing.T) {
	d := newDepot(t)
	d.onboarded("press-01") // with a key of its own
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		command := exec.Command(name, args...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	for format, unpack := range map[models.DeliveryFormat][][]string{
		models.FormatPKCS12: {{"openssl", "pkcs12", "-in", "file", "-passin", "pass:" + filePassword, "-nodes", "-out", "all.pem"},
			{"openssl", "pkey", "-in", "all.pem", "-pubout", "-out", "key.pub"}, {"openssl", "x509", "-in", "all.pem", "-out", "cert.pem"}},
		models.FormatTarGz: {{"tar", "xzf", "file"}, {"openssl", "pkey", "-in", "press-01-tls_server-key.pem", "-passin", "pass:" + filePassword, "-pubout", "-out", "key.pub"},
			{"cp", "press-01-tls_server-cert.pem", "cert.pem"}, {"openssl", "verify", "-CAfile", "press-01-tls_server-chain.pem", "cert.pem"}},
		models.FormatPEMZip: {{"python3", "-m", "zipfile", "-e", "file", "."}, {"openssl", "pkey", "-in", "press-01-tls_server-key.pem", "-passin", "pass:" + filePassword, "-pubout", "-out", "key.pub"},
			{"openssl", "x509", "-in", "press-01-tls_server-fullchain.pem", "-out", "cert.pem"}},
	} {
		t.Run(string(format), func(t *testing.T) {
			row, _, err := d.deliveries.Order(t.Context(), models.DeliveryOrder{
				Device: d.deviceNamed("press-01"), Domain: d.domain, Channel: models.DeliverToOperator, Profile: "tls_server", Algorithm: models.ECP384,
				CommonName: "press-01.example", SANs: []string{"dns:press-01.example", "ip:192.0.2.9"}, Operator: "alice"})
			check(t, err)
			got, err := d.deliveries.Collect(t.Context(), row.ID, packing(format))
			check(t, err)
			check(t, os.WriteFile(filepath.Join(dir, "file"), got.Content, 0o600))
			for _, command := range unpack {
				run(command[0], command[1:]...)
			}
			run("openssl", "x509", "-in", "cert.pem", "-noout", "-pubkey", "-out", "cert.pub")
			run("cmp", "key.pub", "cert.pub")
			if text := run("openssl", "x509", "-in", "cert.pem", "-noout", "-text"); !strings.Contains(text, "DNS:press-01.example, IP Address:192.0.2.9") ||
				!strings.Contains(text, "secp384r1") || !strings.Contains(text, "CN = press-01.example") {
				t.Errorf("the certificate is another one:\n%s", text)
			}
		})
	}
}

func TestADeliveryIsHandedOverOnce(t *testing.T) {
	d := newDepot(t)
	row, _ := d.ready("drive-07", models.DeliverToOperator)
	var together sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		together.Go(func() { _, err := d.collect(row); results <- err })
	}
	together.Wait()
	close(results)
	got := 0
	for err := range results {
		if err == nil {
			got++
		} else if models.KindOf(err) != models.KindConflict {
			t.Errorf("a late one is told %v", err)
		}
	}
	if got != 1 {
		t.Errorf("%d got the key, want 1", got)
	}
}

func TestOrdersThatAreRefused(t *testing.T) {
	d := newDepot(t)
	password, manual := d.device("press-01"), d.armed("drive-07", models.Manual)
	before := d.rows()
	for name, c := range map[string]struct {
		device  *models.Device
		channel models.DeliveryChannel
		profile string
		kind    models.Kind
		says    string
	}{
		"for a device that proves itself":           {password, models.DeliverToOperator, "domain_credential", models.KindDenied, "armed for onboarding by est-password, not by manual"},
		"by another way than it is armed for":       {manual, models.DeliverByDownload, "domain_credential", models.KindDenied, "armed for onboarding by manual, not by otp-download"},
		"of an application before the onboarding":   {manual, models.DeliverToOperator, "tls_server", models.KindDenied, "not onboarded"},
		"of a profile that the domain does not let": {manual, models.DeliverToOperator, "generic", models.KindDenied, "not allowed"},
		"of a profile that does not exist":          {manual, models.DeliverToOperator, "none", models.KindNotFound, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := d.order(c.device, c.channel, c.profile)
			says(t, err, c.kind, c.says)
		})
	}
	d.domain.Operations = &models.DomainDoors{Methods: []models.OnboardingMethod{models.ESTIDevID}}
	_, _, err := d.order(manual, models.DeliverToOperator, "domain_credential")
	says(t, err, models.KindDenied, "manual")
	if after := d.rows(); after != before {
		t.Errorf("the refusals changed the rows from %v to %v", before, after)
	}
	for _, c := range []struct {
		format   models.DeliveryFormat
		password string
	}{{"pkcs13", filePassword}, {models.FormatPKCS12, "eleven char"}, {models.FormatPKCS12, strings.Repeat("x", 129)}, {models.FormatTarGz, "twelve chars\n"},
		{models.FormatPKCS12, "twelve chars \U0001F511"}, {models.FormatPKCS12, "twelve chars \xff"}} {
		if _, err := d.deliveries.Collect(context.Background(), "none", models.DeliveryPacking{Format: c.format, Password: c.password}); models.KindOf(err) != models.KindInvalid {
			t.Errorf("format %q and password %q: %v", c.format, c.password, err)
		}
	}
}

func TestPeopleStillApprove(t *testing.T) {
	d := newDepot(t)
	d.askPeople()
	row, _, err := d.order(d.armed("drive-07", models.Manual), models.DeliverToOperator, "domain_credential")
	check(t, err)
	_, err = d.collect(row)
	says(t, err, models.KindConflict, "not issued yet")
	req, err := d.store.FindRequest(t.Context(), row.RequestID)
	check(t, err)
	if req.Decision.Outcome != models.OutcomeWait || req.AuthMethod != models.AuthOperator || req.AuthSubject != "alice" {
		t.Errorf("the request is %+v", req)
	}
	d.now = d.now.Add(72 * time.Hour) // longer than the life of what is ready
	d.approve(req)
	check(t, d.play(req))
	_, err = d.collect(row)
	check(t, err)
}

func TestTheCodeOpensADownloadOnce(t *testing.T) {
	d := newDepot(t)
	row, code := d.ready("drive-08", models.DeliverByDownload)
	if len(code) != 19 || strings.Contains(string(row.CodeHash), strings.ReplaceAll(code, "-", "")) {
		t.Fatalf("the code is %q, its hash %x", code, row.CodeHash)
	}
	_, err := d.redeem("drive-08", "too short")
	says(t, err, models.KindInvalid, "16 letters and digits")
	got, err := d.redeem("drive-08", strings.ToUpper(strings.ReplaceAll(code, "-", " ")))
	check(t, err)
	if got.FileName != "drive-08-domain_credential.zip" || len(got.Content) == 0 {
		t.Errorf("got %+v", got)
	}
	d.keyGone(row)
	_, err = d.redeem("drive-08", code)
	says(t, err, models.KindConflict, "downloaded already")
	events, _, err := d.store.ListEvents(t.Context(), store.EventFilter{Noun: "delivery"})
	check(t, err)
	for _, e := range events {
		if strings.Contains(fmt.Sprint(e), code) || strings.Contains(fmt.Sprint(e), strings.ReplaceAll(code, "-", "")) || strings.Contains(fmt.Sprint(e), filePassword) {
			t.Errorf("a secret is in the audit event %+v", e)
		}
	}
	if len(events) != 3 { // ordered, ready, delivered
		t.Errorf("%d audit events, want 3", len(events))
	}
}

const wrongGuess = "zzzz-zzzz-zzzz-zzzz"

// B08, and no enumeration: a stranger hears the same about a device that
// exists and one that does not.
func TestWrongCodesLockTheDownload(t *testing.T) {
	d := newDepot(t)
	row, code := d.ready("drive-08", models.DeliverByDownload)
	d.device("press-01") // there is no download for it
	for _, want := range []string{"You have 2 more tries", "You have one more try", "locked", "locked"} {
		for _, name := range []string{"drive-08", "press-01", "no-such-device", "No Such Device"} {
			_, err := d.redeem(name, wrongGuess)
			says(t, err, models.KindUnauthenticated, want)
		}
	}
	_, err := d.redeem("drive-08", code)
	says(t, err, models.KindUnauthenticated, "locked")
	d.keyGone(row)
	locked, err := d.store.FindDelivery(t.Context(), row.ID)
	check(t, err)
	if locked.State != models.DeliveryLocked {
		t.Errorf("the delivery is %s", locked.State)
	}
	d.now = d.now.Add(2 * time.Hour) // all are forgotten at the same time
	for _, name := range []string{"drive-08", "no-such-device"} {
		_, err := d.redeem(name, wrongGuess)
		says(t, err, models.KindUnauthenticated, "You have 2 more tries")
	}
}

func TestNoTryIsLostWhenManyGuessAtOnce(t *testing.T) {
	d := newDepot(t)
	row, code := d.ready("drive-08", models.DeliverByDownload)
	var together sync.WaitGroup
	for range 12 {
		together.Go(func() { _, _ = d.redeem("drive-08", wrongGuess) })
	}
	together.Wait()
	_, err := d.redeem("drive-08", code)
	says(t, err, models.KindUnauthenticated, "locked")
	d.keyGone(row)
}

func TestTheCodeOfAnotherDownloadIsWrong(t *testing.T) {
	d := newDepot(t)
	_, first := d.ready("drive-08", models.DeliverByDownload)
	_, second := d.ready("drive-09", models.DeliverByDownload)
	_, err := d.redeem("drive-09", first)
	says(t, err, models.KindUnauthenticated, "2 more")
	_, err = d.redeem("drive-09", second)
	check(t, err)
}

// What nobody fetches ends with all that was made for it.
func TestWhatIsNotDeliveredIsTakenBack(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, d *depot, row *models.Delivery){
		"its time is over": func(_ *testing.T, d *depot, _ *models.Delivery) { d.now = d.now.Add(61 * time.Minute) },
		"an operator withdraws it": func(t *testing.T, d *depot, row *models.Delivery) {
			_, err := d.deliveries.Withdraw(t.Context(), row.ID, "operator:alice", "", "withdrawn by an operator")
			check(t, err)
		},
		"wrong codes lock it": func(_ *testing.T, d *depot, _ *models.Delivery) {
			for range 3 {
				_, _ = d.redeem("drive-08", wrongGuess)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t)
			row, code := d.ready("drive-08", models.DeliverByDownload)
			end(t, d, row)
			d.sweep()
			d.keyGone(row)
			if _, err := d.redeem("drive-08", code); err == nil {
				t.Error("the code is still good")
			}
			cert, err := d.store.FindCertificate(t.Context(), row.CertificateID)
			check(t, err)
			if cert.State != models.CertificateRevoked || cert.RevokedReason != "cessationOfOperation" {
				t.Errorf("the certificate is %s (%s)", cert.State, cert.RevokedReason)
			}
			device := d.deviceNamed("drive-08")
			if device.State != models.DeviceRegistered || device.OnboardedAt != nil {
				t.Errorf("the device is %s", device.State)
			}
			if _, _, err := d.order(device, models.DeliverByDownload, "domain_credential"); err != nil {
				t.Errorf("ordering it anew: %v", err)
			}
		})
	}
}

// sweep runs one round of the sweeper.
func (d *depot) sweep() {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.deliveries.Sweep(ctx) }()
	deadline := time.Now().Add(10 * time.Second)
	for {
		rows, err := d.store.UnsettledDeliveries(context.Background(), "", 10)
		check(d.t, err)
		if len(rows) == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-done
}

func TestARejectedRequestEndsItsDelivery(t *testing.T) {
	d := newDepot(t)
	d.askPeople()
	row, code, err := d.order(d.armed("drive-08", models.OTPDownload), models.DeliverByDownload, "domain_credential")
	check(t, err)
	_, err = d.redeem("drive-08", code)
	says(t, err, models.KindConflict, "waits for an approval")
	_, err = d.redeem("drive-08", wrongGuess)
	says(t, err, models.KindUnauthenticated, "2 more")
	d.write(func(tx *store.Tx) error {
		req, err := tx.FindRequest(t.Context(), row.RequestID)
		if err != nil {
			return err
		}
		req.State, req.FailureKind, req.FailureText = models.RequestRejected, "Denied", "rejected by an approver: wrong plant"
		return tx.SaveRequest(req)
	})
	d.sweep()
	d.keyGone(row)
	_, err = d.redeem("drive-08", code)
	says(t, err, models.KindConflict, "withdrawn")
}

func TestASealedKeyOpensForItsOwnDeliveryOnly(t *testing.T) {
	d := newDepot(t)
	first, _ := d.ready("drive-07", models.DeliverToOperator)
	second, _ := d.ready("drive-08", models.DeliverToOperator)
	sealed, err := d.store.FindSealedKey(t.Context(), first.ID)
	check(t, err)
	if block, _ := pem.Decode(sealed); block != nil {
		t.Error("the sealed key is PEM")
	}
	if _, err := x509.ParsePKCS8PrivateKey(sealed); err == nil {
		t.Error("the sealed key is not sealed")
	}
	other := *second
	other.ID, other.RequestID, other.State, other.DeviceID = models.NewID[models.DeliveryID](), models.NewID[models.RequestID](), models.DeliveryWaiting, first.DeviceID
	other.ProfileName = "tls_client"
	d.write(func(tx *store.Tx) error { // as somebody does who can write to the database
		if err := tx.InsertDelivery(&other, sealed); err != nil {
			return err
		}
		other.State = models.DeliveryReady
		return tx.SaveDelivery(&other)
	})
	if _, err := d.collect(&other); models.KindOf(err) != models.KindInternal {
		t.Errorf("the key of another delivery opens: %v", err)
	}
}

// What changed between the order and the handing over counts.
func TestNothingIsHandedOverToAClosedDevice(t *testing.T) {
	for name, change := range map[string]func(d *depot, row *models.Delivery){
		"a suspended device": func(d *depot, _ *models.Delivery) {
			d.changeDevice("drive-08", func(r *models.Device) { r.State = models.DeviceSuspended })
		},
		"a decommissioned device": func(d *depot, _ *models.Delivery) {
			d.changeDevice("drive-08", func(r *models.Device) { r.State = models.DeviceDecommissioned })
		},
		"a suspended domain": func(d *depot, _ *models.Delivery) {
			d.domain.Suspended = true
			d.write(func(tx *store.Tx) error { return tx.SaveDomain(d.domain) })
		},
		"a revoked certificate": func(d *depot, row *models.Delivery) {
			d.write(func(tx *store.Tx) error { return tx.RevokeCertificate(row.CertificateID, "keyCompromise", d.now) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t)
			row, code := d.ready("drive-08", models.DeliverByDownload)
			change(d, row)
			if _, err := d.redeem("drive-08", code); models.KindOf(err) != models.KindDenied {
				t.Errorf("the answer is %v", err)
			}
		})
	}
}

// The end of a device and of what waits for it are one transaction.
func TestTheEndOfADeviceTakesItsDeliveriesBack(t *testing.T) {
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		d := depotIn(t, s)
		end := func(row *models.Delivery) {
			d.write(func(tx *store.Tx) error {
				device, err := tx.FindDevice(context.Background(), row.DeviceID)
				check(t, err)
				device.State = models.DeviceDecommissioned
				check(t, tx.SaveDevice(device))
				_, err = tx.WithdrawDeliveries(device.ID, models.BecauseDecommissioned, d.now, models.Event{Actor: "operator:alice"})
				return err
			})
			d.keyGone(row)
		}
		ready, code := d.ready("drive-08", models.DeliverByDownload)
		end(ready)
		_, err := d.redeem("drive-08", code)
		says(t, err, models.KindConflict, "withdrawn")
		d.sweep()
		cert, err := s.FindCertificate(context.Background(), ready.CertificateID)
		check(t, err)
		if cert.State != models.CertificateRevoked || d.deviceNamed("drive-08").State != models.DeviceDecommissioned {
			t.Errorf("the certificate is %s, the device %s", cert.State, d.deviceNamed("drive-08").State)
		}
		waiting, _, err := d.order(d.armed("drive-09", models.Manual), models.DeliverToOperator, "domain_credential")
		check(t, err)
		end(waiting)
		_, err = d.collect(waiting)
		says(t, err, models.KindConflict, models.BecauseDecommissioned)
		if req, err := s.FindRequest(context.Background(), waiting.RequestID); err != nil || d.play(req) == nil {
			t.Errorf("a decommissioned device gets a certificate: %v", err)
		}
	})
}

// TestTheSweeperRests: what ended while its request still waits for people is
// looked after in every round, but there is nothing more to forget of it.
func TestTheSweeperRests(t *testing.T) {
	d := newDepot(t)
	d.askPeople()
	row, _, err := d.order(d.armed("drive-09", models.Manual), models.DeliverToOperator, "domain_credential")
	check(t, err)
	_, err = d.deliveries.Withdraw(t.Context(), row.ID, "operator:alice", "", "withdrawn by an operator")
	check(t, err)
	if !d.deliveries.Round(t.Context()) {
		t.Error("the sweeper is not told that a key was destroyed")
	}
	if d.deliveries.Round(t.Context()) {
		t.Error("the sweeper wakes itself, although nothing has changed")
	}
}
