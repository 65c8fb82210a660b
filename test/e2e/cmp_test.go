// SPDX-License-Identifier: MIT

package e2e

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// registerCMP registers a device for onboarding by CMP.
func (p *plant) registerCMP(t testing.TB, name string, method models.OnboardingMethod) *device {
	t.Helper()
	created := must(p.api.CreateDevice(background(), api.DeviceCreation{
		Name: name, Domain: p.domain, SerialNumber: "SN-" + name, Onboarding: api.OnboardingArming{Method: method},
	}))(t)
	d := newDevice(t, p)
	d.name, d.secret = name, created.Onboarding.Secret
	d.write("root.pem", []byte(must(p.api.FindCA(background(), "plant-root"))(t).Certificate))
	d.write("issuing.pem", []byte(must(p.api.FindCA(background(), "plant-issuing"))(t).Certificate))
	return d
}

// cmp runs OpenSSL's client for CMP.
func (d *device) cmp(command, path string, more ...string) (string, error) {
	d.t.Helper()
	return d.try("openssl", slices.Concat([]string{"cmp", "-config", "", "-batch", "-cmd", command, "-server", "http://" + cmp.Or(d.server, d.plant.HTTP),
		"-path", "/.well-known/cmp/p/" + d.plant.domain + path, "-no_proxy", "127.0.0.1", "-total_timeout", "60"}, more)...)
}

// gets runs it for a certificate, which it keeps as NAME.pem and verifies.
func (d *device) gets(name, command, path string, more ...string) {
	d.t.Helper()
	out, err := d.cmp(command, path, append(more, "-certout", name+".pem", "-chainout", name+".chain")...)
	if err != nil {
		d.t.Fatalf("openssl cmp %s: %v\n%s", command, err, out)
	}
	d.openssl("verify", "-CAfile", "root.pem", "-untrusted", name+".chain", name+".pem")
}

// refusedCMP runs it and expects to be refused.
func (d *device) refusedCMP(says, command, path string, more ...string) {
	d.t.Helper()
	out, err := d.cmp(command, path, append(more, "-unprotected_errors", "-certout", "refused.pem")...)
	if err == nil || !strings.Contains(out, says) {
		d.t.Errorf("openssl cmp %s: %v, want %q in\n%s", command, err, says, out)
	}
}

func (d *device) newKey(name string) []string {
	d.t.Helper()
	d.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name+".key")
	return []string{"-newkey", name + ".key", "-subject", "/CN=" + d.name}
}

// bySecret and bySignature are how a request is protected.
func (d *device) bySecret() []string {
	return []string{"-ref", d.name, "-secret", "pass:" + d.secret}
}

func (d *device) bySignature(name string) []string {
	return []string{"-cert", name + ".pem", "-key", name + ".key", "-trusted", "root.pem", "-untrusted", "issuing.pem"}
}

// serialOf returns the serial number of a certificate as the API writes it.
func (d *device) serialOf(name string) string {
	d.t.Helper()
	text := strings.TrimSpace(d.openssl("x509", "-in", name+".pem", "-noout", "-serial"))
	return strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(text, "serial="), "0"))
}

func (d *device) certificate(name string) api.Certificate {
	d.t.Helper()
	page := must(d.plant.api.ListCertificates(background(), api.CertificateFilter{Serial: d.serialOf(name)}))(d.t)
	if len(page.Items) != 1 {
		d.t.Fatalf("%d certificates with the serial number of %s.pem", len(page.Items), name)
	}
	return page.Items[0]
}

func TestCMPWithOpenSSL(t *testing.T) {
	everywhere(t, func(t *testing.T, p *plant) {
		d := p.registerCMP(t, "press-01", models.CMPSecret)
		d.refusedCMP("badMessageCheck", "ir", "", slices.Concat([]string{"-ref", d.name, "-secret", "pass:wrong"}, d.newKey("wrong"))...)
		d.gets("domain", "ir", "/initialization", slices.Concat(d.bySecret(), d.newKey("domain"), []string{"-implicit_confirm"})...)
		d.refusedCMP("badMessageCheck", "ir", "", slices.Concat(d.bySecret(), d.newKey("again"))...)

		d.gets("server", "cr", "/tls_server/certification", slices.Concat(d.bySignature("domain"), d.newKey("server"), []string{"-sans", "press-01.example"})...)
		if text := d.openssl("x509", "-in", "server.pem", "-noout", "-text"); !strings.Contains(text, "DNS:press-01.example") {
			t.Errorf("the name is not in the certificate:\n%s", text)
		}
		d.gets("implicit", "cr", "/tls_client", slices.Concat(d.bySignature("domain"), d.newKey("implicit"), []string{"-implicit_confirm"})...)
		d.gets("renewed", "kur", "/keyupdate", slices.Concat(d.bySignature("domain"), d.newKey("renewed")[:2], []string{"-oldcert", "domain.pem"})...)
		d.openssl("req", "-new", "-key", "implicit.key", "-subj", "/CN=press-01", "-out", "p10.csr")
		d.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "p10.key")
		d.openssl("req", "-new", "-key", "p10.key", "-subj", "/CN=press-01", "-out", "p10.csr")
		d.gets("p10", "p10cr", "/tls_client/pkcs10", slices.Concat(d.bySignature("renewed"), []string{"-csr", "p10.csr"})...)
		d.refusedCMP("", "cr", "/tls_client/keyupdate", slices.Concat(d.bySignature("domain"), d.newKey("mismatch"))...)

		if out, err := d.cmp("genm", "", slices.Concat(d.bySignature("renewed"), []string{"-infotype", "signKeyPairTypes"})...); err != nil {
			t.Errorf("genm: %v\n%s", err, out)
		}
		revokesByCMP(t, p, d)
	})
}

// revokesByCMP revokes certificates for every reason, and then the one that
// signs.
func revokesByCMP(t *testing.T, p *plant, d *device) {
	t.Helper()
	for reason, code := range map[string]string{"unspecified": "0", "keyCompromise": "1", "affiliationChanged": "3", "superseded": "4", "cessationOfOperation": "5", "certificateHold": "6", "privilegeWithdrawn": "9"} {
		d.gets("gone", "cr", "/tls_client", slices.Concat(d.bySignature("renewed"), d.newKey("gone"), []string{"-implicit_confirm"})...)
		if out, err := d.cmp("rr", "/revocation", slices.Concat(d.bySignature("renewed"), []string{"-oldcert", "gone.pem", "-revreason", code})...); err != nil {
			t.Fatalf("rr %s: %v\n%s", reason, err, out)
		}
		if c := d.certificate("gone"); c.Status != "revoked" || string(c.RevocationReason) != reason {
			t.Errorf("after rr %s the certificate is %s (%s)", reason, c.Status, c.RevocationReason)
		}
	}
	if out, err := d.cmp("rr", "", slices.Concat(d.bySignature("implicit"), []string{"-oldcert", "implicit.pem", "-revreason", "1"})...); err != nil {
		t.Fatalf("rr of itself: %v\n%s", err, out)
	}
	d.refusedCMP("certRevoked", "kur", "", slices.Concat(d.bySignature("implicit"), d.newKey("late")[:2], []string{"-oldcert", "implicit.pem"})...)
}

// TestCMPWaitsForPeopleOverARestart polls through an approval of two steps with
// a restart of the server in the middle.
func TestCMPWaitsForPeopleOverARestart(t *testing.T) {
	t.Parallel()
	p := newPlant(t, start(t), models.StoreSoftware)
	p.requireApproval(t, twoSteps)
	alice, bob := p.approver(t, "alice"), p.approver(t, "bob")
	d := p.registerCMP(t, "press-01", models.CMPSecret)
	d.server = patient(t, p.HTTP)
	arguments := slices.Concat(d.bySecret(), d.newKey("domain"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.gets("domain", "ir", "", arguments...)
	}()
	approval := p.pendingApproval(t)
	if err := decide(t, alice, approval, models.VerdictApprove, ""); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	p.Start()
	if err := decide(t, bob, approval, models.VerdictApprove, ""); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatal("the client is not done")
	}
	if c := d.certificate("domain"); c.Status != "valid" {
		t.Errorf("the certificate is %s", c.Status)
	}
}

// patient returns the address of a proxy that waits for the server where
// OpenSSL's client would give up.
func patient(t *testing.T, server string) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(must(url.Parse("http://" + server))(t))
	proxy.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		body := must(io.ReadAll(r.Body))(t)
		for {
			r.Body = io.NopCloser(bytes.NewReader(body))
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err == nil && answer.StatusCode != http.StatusServiceUnavailable || r.Context().Err() != nil {
				return answer, err
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestCMPWithSecretAndPKCS10 onboards a device that has a PKCS #10 request and
// a secret, and wants to know the CAs first.
func TestCMPWithSecretAndPKCS10(t *testing.T) {
	t.Parallel()
	p := newPlant(t, start(t), models.StoreSoftware)
	d := p.registerCMP(t, "press-03", models.CMPSecret)
	// Asking what there is does not use the secret up.
	if out, err := d.cmp("genm", "", append(d.bySecret(), "-infotype", "caCerts")...); err != nil || !strings.Contains(out, "id-it-caCerts") {
		t.Errorf("genm: %v\n%s", err, out)
	}
	d.newKey("domain")
	d.openssl("req", "-new", "-key", "domain.key", "-subj", "/CN="+d.name, "-out", "domain.csr")
	d.gets("domain", "p10cr", "", append(d.bySecret(), "-csr", "domain.csr")...)
	if device := must(p.api.FindDevice(background(), d.name))(t); device.State != models.DeviceOnboarded {
		t.Errorf("the device is %s", device.State)
	}
	d.refusedCMP("badMessageCheck", "genm", "", append(d.bySecret(), "-infotype", "caCerts")...)
}

// TestCMPRevokesWhatNobodyConfirms has the timer of the story run out.
func TestCMPRevokesWhatNobodyConfirms(t *testing.T) {
	t.Parallel()
	p := newPlant(t, start(t), models.StoreSoftware)
	wait := models.Duration(5 * time.Second)
	explicit := false
	must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{CMP: api.CMPChange{ConfirmWait: &wait, ImplicitConfirm: &explicit}}))(t)
	d := p.registerCMP(t, "press-01", models.CMPSecret)
	d.gets("domain", "ir", "", slices.Concat(d.bySecret(), d.newKey("domain"))...)
	arguments := slices.Concat(d.bySignature("domain"), d.newKey("kept"))
	d.gets("kept", "cr", "/tls_client", arguments...)
	if out, err := d.cmp("cr", "/tls_client", slices.Concat(d.bySignature("domain"), d.newKey("lost"), []string{"-disable_confirm", "-certout", "lost.pem"})...); err != nil {
		t.Fatalf("a client that does not confirm: %v\n%s", err, out)
	}
	eventually(t, "what nobody confirmed is revoked", 40*time.Second, func() bool { return d.certificate("lost").Status == "revoked" })
	if c := d.certificate("kept"); c.Status != "valid" {
		t.Errorf("what was confirmed is %s", c.Status)
	}
}

// TestCMPWithIDevID lets a device register itself, and a registration authority
// speak for another.
func TestCMPWithIDevIDAndRA(t *testing.T) {
	t.Parallel()
	p := newPlant(t, start(t), models.StoreSoftware)
	d := p.registerCMP(t, "press-02", models.CMPRA)
	d.manufacture("maker", "SN-1")
	d.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "raroot.key", "-out", "raroot.pem", "-subj", "/CN=RA Root", "-days", "30")
	d.newCSR("ra", "/CN=Line RA")
	d.extensions("ra.ext", "keyUsage=critical,digitalSignature\nextendedKeyUsage=1.3.6.1.5.5.7.3.28\n")
	d.openssl("x509", "-req", "-inform", "DER", "-in", "ra.csr", "-CA", "raroot.pem", "-CAkey", "raroot.key", "-CAcreateserial", "-days", "30", "-extfile", "ra.ext", "-out", "ra.pem")
	for name, file := range map[string]string{"makers": "maker-root.pem", "ras": "raroot.pem"} {
		must(p.api.CreateTruststore(background(), api.TruststoreCreation{Name: name, PEM: string(must(os.ReadFile(d.path(file)))(t))}))(t)
	}
	must(p.api.CreateRegistration(background(), api.RegistrationCreation{Name: "makers", Truststore: "makers", Domain: p.domain, SerialPattern: "SN-.*"}))(t)
	ras := "ras"
	must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{CMP: api.CMPChange{RATruststore: &ras}}))(t)

	d.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "first.key")
	signed := func(cert, key string, more ...string) []string {
		return append([]string{"-cert", cert, "-key", key, "-trusted", "root.pem"}, more...)
	}
	d.gets("first", "ir", "", slices.Concat(signed("maker-chain.pem", "maker.key", "-untrusted", "maker-sub.pem"), []string{"-newkey", "first.key", "-subject", "/CN=me"})...)
	if device := must(p.api.FindDevice(background(), "makers-sn-1"))(t); device.State != models.DeviceOnboarded || device.Onboarding.Method != models.CMPIDevID {
		t.Errorf("the device is %s by %s", device.State, device.Onboarding.Method)
	}
	d.gets("second", "ir", "", slices.Concat(signed("ra.pem", "ra.key", "-untrusted", "issuing.pem", "-popo", "0"), d.newKey("second"))...)
	if device := must(p.api.FindDevice(background(), "press-02"))(t); device.State != models.DeviceOnboarded {
		t.Errorf("the device is %s", device.State)
	}
	d.refusedCMP("raVerified", "cr", "/tls_client", slices.Concat(signed("second.pem", "second.key", "-untrusted", "issuing.pem", "-popo", "0"), d.newKey("third"))...)
	ra := signed("ra.pem", "ra.key", "-untrusted", "issuing.pem")
	asksForAnother(t, d, ra)
	d.refusedCMP("", "rr", "", append(ra, "-oldcert", "ra.pem")...)

	d.manufacture("other", "SN-2")
	d.refusedCMP("signerNotTrusted", "ir", "", slices.Concat(signed("other-chain.pem", "other.key"), d.newKey("stranger"))...)
	if out, err := d.cmp("genm", "", append(signed("first.pem", "first.key", "-untrusted", "issuing.pem"), "-infotype", "caCerts")...); err != nil || !strings.Contains(out, "id-it-caCerts") {
		t.Errorf("genm: %v\n%s", err, out)
	}
	if out, err := d.cmp("rr", "", append(signed("first.pem", "first.key", "-untrusted", "issuing.pem"), "-oldcert", "first.pem", "-revreason", "4")...); err != nil {
		t.Errorf("a device that an IDevID brought revokes its certificate: %v\n%s", err, out)
	}
}

// asksForAnother has a registration authority do all it may for a device that
// it has onboarded, and not what it may not.
func asksForAnother(t *testing.T, d *device, ra []string) {
	t.Helper()
	d.gets("app", "cr", "/tls_client", slices.Concat(ra, d.newKey("app"), []string{"-implicit_confirm", "-popo", "0"})...)
	d.newKey("p10")
	d.openssl("req", "-new", "-key", "p10.key", "-subj", "/CN="+d.name, "-out", "p10.csr")
	d.gets("p10", "p10cr", "/tls_client/pkcs10", slices.Concat(ra, []string{"-csr", "p10.csr"})...)
	d.refusedCMP("", "kur", "", slices.Concat(ra, d.newKey("stolen")[:2], []string{"-oldcert", "app.pem"})...)
	if out, err := d.cmp("genm", "/getcacerts", append(ra, "-infotype", "caCerts")...); err != nil || !strings.Contains(out, "id-it-caCerts") {
		t.Errorf("genm: %v\n%s", err, out)
	}
	for _, step := range []struct{ reason, status string }{{"6", "revoked"}, {"8", "valid"}, {"10", "revoked"}} {
		if out, err := d.cmp("rr", "/revocation", append(ra, "-oldcert", "app.pem", "-revreason", step.reason)...); err != nil {
			t.Fatalf("rr %s: %v\n%s", step.reason, err, out)
		}
		if c := d.certificate("app"); c.Status != step.status {
			t.Errorf("after rr %s the certificate is %s (%s)", step.reason, c.Status, c.RevocationReason)
		}
	}
}
