// SPDX-License-Identifier: MIT

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// settings are the combinations of parts that every story runs on.
var settings = map[string]struct {
	database string
	keyStore string
}{
	"sqlite, software keys":   {"sqlite", models.StoreSoftware},
	"postgres, software keys": {"postgres", models.StoreSoftware},
	"sqlite, softhsm":         {"sqlite", models.StorePKCS11},
	"postgres, softhsm":       {"postgres", models.StorePKCS11},
}

// everywhere runs a test on every setting.
func everywhere(t *testing.T, test func(t *testing.T, p *plant)) {
	t.Helper()
	for name, s := range settings {
		t.Run(name, func(t *testing.T) {
			args := database(t, s.database)
			if s.keyStore == models.StorePKCS11 {
				args = append(args, token(t)...)
			}
			test(t, newPlant(t, start(t, args...), s.keyStore))
		})
	}
}

// token makes a SoftHSM token and returns the arguments that use it.
func token(t *testing.T) []string {
	t.Helper()
	cfg := fixture.SoftHSM(t)
	pin := t.TempDir() + "/pin"
	if err := os.WriteFile(pin, []byte(cfg.PIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--pkcs11-module", cfg.Module, "--pkcs11-token", cfg.TokenLabel, "--pkcs11-pin-file", pin}
}

func TestDeviceWithPassword(t *testing.T) {
	everywhere(t, func(t *testing.T, p *plant) {
		d := p.register(t, "press-01")
		d.newCSR("domain", "/CN=anything")
		d.refused(d.est("tls_server/simpleenroll", "domain.csr", d.basic()...), "403", "is not onboarded")
		wrong := d.est("simpleenroll", "domain.csr", "--user", "press-01:wrong")
		d.refused(wrong, "401", "password is wrong")
		if !strings.Contains(wrong.header, "WWW-Authenticate: Basic") && !strings.Contains(wrong.header, "www-authenticate: Basic") {
			t.Errorf("a refused password is not told how to authenticate:\n%s", wrong.header)
		}
		d.refused(d.estAt(p.instance, "no-such-domain/simpleenroll", "domain.csr", d.basic()...), "404", "domain")
		d.refused(d.est("simpleenroll", "domain.csr"), "401", "authenticate with")

		first := d.est("simpleenroll", "domain.csr", d.basic()...)
		d.keep(first, "domain")
		if subject := d.openssl("x509", "-in", "domain.pem", "-noout", "-subject"); !strings.Contains(subject, "CN = press-01") || !strings.Contains(subject, "SN-press-01") {
			t.Errorf("the domain credential is for %q, want the device as it was registered", subject)
		}
		if again := d.est("simpleenroll", "domain.csr", d.basic()...); again.body != first.body {
			t.Error("the same request again has another answer")
		}
		d.newCSR("second", "/CN=anything")
		d.refused(d.est("simpleenroll", "second.csr", d.basic()...), "401", "used before")

		d.newCSR("web", "/CN=press-01.plant.example", "-addext", "subjectAltName=DNS:press-01.plant.example,IP:192.0.2.7")
		d.keep(d.est("tls_server/simpleenroll", "web.csr", d.mtls("domain")...), "web")
		if text := d.openssl("x509", "-in", "web.pem", "-noout", "-text"); !strings.Contains(text, "DNS:press-01.plant.example") || !strings.Contains(text, "TLS Web Server Authentication") {
			t.Errorf("the application certificate lacks its name or its purpose:\n%s", text)
		}
		d.refused(d.est("tls_server/simpleenroll", "second.csr", d.mtls("web")...), "403", "use the domain credential")
		d.refused(d.est("simpleenroll", "second.csr", d.mtls("domain")...), "403", "simplereenroll")
		reenroll(t, p, d)
		revoked(t, p, d)
	})
}

// reenroll renews the domain credential and the application certificate.
func reenroll(t *testing.T, p *plant, d *device) {
	t.Helper()
	for _, name := range []string{"domain", "web"} {
		d.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "new-"+name+".key")
		d.openssl("x509", "-in", name+".pem", "-x509toreq", "-copy_extensions", "copy", "-signkey", name+".key", "-out", "same-"+name+".csr")
		d.openssl("req", "-in", "same-"+name+".csr", "-outform", "DER", "-out", "same-"+name+".der")
		d.keep(d.est("simplereenroll", "same-"+name+".der", d.mtls(name)...), "renewed-"+name)
		for _, field := range []string{"-subject", "-ext"} {
			args := []string{"x509", "-noout", field}
			if field == "-ext" {
				args = append(args, "subjectAltName")
			}
			before := d.openssl(append(args, "-in", name+".pem")...)
			after := d.openssl(append(args, "-in", "renewed-"+name+".pem")...)
			if before != after {
				t.Errorf("renewing changed %s from %q to %q", field, before, after)
			}
		}
	}
	d.newCSR("other", "/CN=somebody-else")
	d.refused(d.est("simplereenroll", "other.csr", d.mtls("domain")...), "403", "subject")
	d.refused(d.est("simplereenroll", "same-domain.der"), "401", "re-enrollment needs")
}

// revoked revokes the first domain credential and sees it refused.
func revoked(t *testing.T, p *plant, d *device) {
	t.Helper()
	serial := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(d.openssl("x509", "-in", "domain.pem", "-noout", "-serial")), "serial="))
	page := must(p.api.ListCertificates(background(), api.CertificateFilter{Serial: serial}))(t)
	if len(page.Items) != 1 {
		t.Fatalf("%d certificates with serial number %s, want 1", len(page.Items), serial)
	}
	must(p.api.RevokeCertificate(background(), page.Items[0].ID, api.Revocation{Reason: "keyCompromise"}))(t)
	d.newCSR("third", "/CN=x")
	d.refused(d.est("tls_client/simpleenroll", "third.csr", d.mtls("domain")...), "401", "revoked")
	ca := must(p.api.FindCA(background(), "plant-issuing"))(t)
	eventually(t, "the revoked serial number is on the CRL", 20*time.Second, func() bool {
		out, err := d.try("curl", "--silent", "--fail", "--output", "crl.der", "http://"+p.HTTP+"/crl/"+ca.KeyID+".crl")
		if err != nil {
			t.Fatal(out)
		}
		return strings.Contains(strings.ToLower(d.openssl("crl", "-inform", "DER", "-in", "crl.der", "-noout", "-text")), serial)
	})
	d.openssl("crl", "-inform", "DER", "-in", "crl.der", "-out", "crl.pem")
	if out, err := d.try("openssl", "verify", "-crl_check", "-CAfile", "cacerts.pem", "-CRLfile", "crl.pem", "domain.pem"); err == nil || !strings.Contains(out, "revoked") {
		t.Errorf("OpenSSL accepts the revoked certificate: %s", out)
	}
}

func TestBadRequests(t *testing.T) {
	p := newPlant(t, start(t), models.StoreSoftware)
	d := p.register(t, "press-01")
	d.newCSR("domain", "/CN=x")
	csr, err := os.ReadFile(d.path("domain.csr"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) {
		if err := os.WriteFile(d.path(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	broken := append([]byte{}, csr...)
	broken[len(broken)-1] ^= 1
	write("broken.csr", broken)
	write("huge.csr", make([]byte, 70<<10))
	d.openssl("req", "-new", "-newkey", "rsa:1024", "-noenc", "-keyout", "weak.key", "-outform", "DER", "-out", "weak.csr", "-subj", "/CN=x")
	for name, tt := range map[string]struct{ file, status string }{
		"a CSR with a broken signature": {"broken.csr", "400"},
		"a body of 70 KiB":              {"huge.csr", "413"},
		"a weak key":                    {"weak.csr", "400"},
	} {
		if a := d.est("simpleenroll", tt.file, d.basic()...); a.status != tt.status {
			t.Errorf("%s is answered %s %q, want %s", name, a.status, a.body, tt.status)
		}
	}
	if page := must(p.api.ListRequests(background(), api.RequestFilter{}))(t); len(page.Items) != 0 {
		t.Errorf("bad requests left %d rows", len(page.Items))
	}
	d.onboard() // and the secret is still good
}

func TestForeignAndExpiredCertificates(t *testing.T) {
	p := newPlant(t, start(t), models.StoreSoftware)
	d := p.register(t, "press-01")
	d.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "foreign.key", "-out", "foreign.pem", "-subj", "/CN=press-01", "-days", "5")
	d.newCSR("domain", "/CN=x")
	d.refused(d.est("simpleenroll", "domain.csr", d.mtls("foreign")...), "401", "neither issued here")
	d.refused(d.est("simplereenroll", "domain.csr", d.mtls("foreign")...), "401", "not issued here")
	short := must(p.api.FindProfile(background(), "domain_credential", 0))(t)
	document := strings.Replace(string(short.Document), `"365d"`, `"5s"`, 1)
	if document == string(short.Document) {
		t.Fatalf("the shipped profile has another validity than the test expects: %s", document)
	}
	must(p.api.PutProfile(background(), "domain_credential", api.ProfileVersion{Document: []byte(document)}))(t)
	d.keep(d.est("simpleenroll", "domain.csr", d.basic()...), "domain")
	time.Sleep(6 * time.Second) // the certificate's own lifetime: nothing else makes a real one expire
	d.newCSR("web", "/CN=x")
	d.refused(d.est("tls_server/simpleenroll", "web.csr", d.mtls("domain")...), "401", "validity period")
}

func TestDeviceWithIDevID(t *testing.T) {
	everywhere(t, func(t *testing.T, p *plant) {
		d := newDevice(t, p)
		d.manufacture("acme", "SN-4711")
		root, err := os.ReadFile(d.path("acme-root.pem"))
		if err != nil {
			t.Fatal(err)
		}
		d.newCSR("domain", "/")
		d.refused(d.est("simpleenroll", "domain.csr", d.idevid("acme")...), "401", "manufacturer")
		must(p.api.CreateTruststore(background(), api.TruststoreCreation{Name: "acme", PEM: string(root)}))(t)
		must(p.api.CreateRegistration(background(), api.RegistrationCreation{Name: "acme-presses", Truststore: "acme", Domain: p.domain, SerialPattern: `SN-\d{4}`}))(t)

		d.keep(d.est("simpleenroll", "domain.csr", d.idevid("acme")...), "domain")
		page := must(p.api.ListDevices(background(), api.DeviceFilter{}))(t)
		if len(page.Items) != 1 || page.Items[0].SerialNumber != "SN-4711" || page.Items[0].State != models.DeviceOnboarded {
			t.Fatalf("devices after onboarding by IDevID: %s", asJSON(t, page.Items))
		}
		d.newCSR("web", "/CN=press")
		d.refused(d.est("tls_server/simpleenroll", "web.csr", d.idevid("acme")...), "403", "not onboarded")
		d.keep(d.est("tls_server/simpleenroll", "web.csr", d.mtls("domain")...), "web")
		d.newCSR("second", "/")
		d.refused(d.est("simpleenroll", "second.csr", d.idevid("acme")...), "403", "already onboarded")

		awaited := newDevice(t, p) // an operator registered it before it came
		awaited.issue("acme", d.dir, "SN-4712")
		must(p.api.CreateDevice(background(), api.DeviceCreation{Name: "press-12", Domain: p.domain, SerialNumber: "SN-4712", Onboarding: api.OnboardingArming{Method: models.ESTIDevID}}))(t)
		awaited.newCSR("domain", "/")
		awaited.keep(awaited.est("simpleenroll", "domain.csr", awaited.idevid("acme")...), "domain")
		if bound := must(p.api.FindDevice(background(), "press-12"))(t); bound.State != models.DeviceOnboarded || bound.IDevIDSHA256 == "" {
			t.Errorf("the registered device was not bound to its IDevID: %s", asJSON(t, bound))
		}

		other := newDevice(t, p)
		other.manufacture("acme", "XX-1") // another root of the same name
		other.newCSR("domain", "/")
		other.refused(other.est("simpleenroll", "domain.csr", other.idevid("acme")...), "401", "manufacturer")
	})
}

// manufacture makes an IDevID under a two-level manufacturer CA.
func (d *device) manufacture(maker, serial string) {
	d.t.Helper()
	d.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-noenc", "-keyout", maker+"-root.key", "-out", maker+"-root.pem",
		"-subj", "/O="+maker+"/CN="+maker+" Root", "-days", "3650")
	d.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", maker+"-sub.key", "-out", maker+"-sub.csr", "-subj", "/O="+maker+"/CN="+maker+" Devices")
	d.extensions("ca.ext", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid")
	d.openssl("x509", "-req", "-in", maker+"-sub.csr", "-CA", maker+"-root.pem", "-CAkey", maker+"-root.key", "-days", "3000", "-extfile", "ca.ext", "-out", maker+"-sub.pem")
	d.issue(maker, d.dir, serial)
}

// issue makes an IDevID under the manufacturer CA in the folder plant.
func (d *device) issue(maker, plant, serial string) {
	d.t.Helper()
	sub := filepath.Join(plant, maker+"-sub")
	d.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", maker+".key", "-out", maker+".csr", "-subj", "/O="+maker+"/serialNumber="+serial)
	d.extensions("ee.ext", "keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid")
	d.openssl("x509", "-req", "-in", maker+".csr", "-CA", sub+".pem", "-CAkey", sub+".key", "-days", "3000", "-extfile", "ee.ext", "-out", maker+".pem")
	leaf, _ := os.ReadFile(d.path(maker + ".pem"))
	chain, _ := os.ReadFile(sub + ".pem")
	if err := os.WriteFile(d.path(maker+"-chain.pem"), append(leaf, chain...), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) extensions(file, text string) {
	d.t.Helper()
	if err := os.WriteFile(d.path(file), []byte(text+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) idevid(maker string) []string {
	return []string{"--cert", maker + "-chain.pem", "--key", maker + ".key"}
}
