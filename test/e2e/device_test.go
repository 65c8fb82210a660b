// SPDX-License-Identifier: MIT

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// plant is a PKI for tests: root, issuing CA and a domain.
type plant struct {
	*instance
	api    *api.Client
	domain string
}

// newPlant makes a PKI whose keys are in the named key store.
func newPlant(t testing.TB, i *instance, keyStore string) *plant {
	t.Helper()
	p := &plant{instance: i, api: i.Client(), domain: "press-shop"}
	key := api.Key{Algorithm: models.ECP256, Store: keyStore}
	must(p.api.CreateCA(background(), api.CACreation{Name: "plant-root", Type: models.CARoot, Key: key, Subject: api.Name{CommonName: "Plant Root"}}))(t)
	must(p.api.CreateCA(background(), api.CACreation{Name: "plant-issuing", Type: models.CAIssuing, Issuer: "plant-root", Key: key, Subject: api.Name{CommonName: "Plant Issuing"}}))(t)
	ca := must(p.api.FindCA(background(), "plant-issuing"))(t)
	if ca.State != models.CAActive {
		t.Fatalf("the issuing CA is %s: %s", ca.State, ca.Failure)
	}
	must(p.api.CreateDomain(background(), api.DomainCreation{Name: p.domain, IssuingCA: "plant-issuing"}))(t)
	return p
}

// register registers a device for onboarding with a password.
func (p *plant) register(t testing.TB, name string) *device {
	t.Helper()
	created := must(p.api.CreateDevice(background(), api.DeviceCreation{
		Name: name, Domain: p.domain, SerialNumber: "SN-" + name, Onboarding: api.OnboardingArming{Method: models.ESTPassword},
	}))(t)
	d := newDevice(t, p)
	d.name, d.secret = name, created.Onboarding.Secret
	return d
}

// requireApproval makes the onboarding of the domain wait for people.
func (p *plant) requireApproval(t testing.TB, rule *api.ApprovalRule) {
	t.Helper()
	must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{Approval: api.PolicyChange{Onboarding: api.SetRule(rule)}}))(t)
}

// approver returns a client of a person who approves.
func (p *plant) approver(t testing.TB, name string) *api.Client {
	t.Helper()
	token := must(p.api.CreateToken(background(), api.TokenCreation{Name: name, Role: models.RoleApprover}))(t)
	return p.ClientWith(token.Token)
}

// pendingApproval waits for the one approval that is pending.
func (p *plant) pendingApproval(t testing.TB) api.Approval {
	t.Helper()
	var found []api.Approval
	eventually(t, "an approval is pending", 10e9, func() bool {
		page := must(p.api.ListApprovals(background(), api.ApprovalFilter{State: models.ApprovalPending}))(t)
		found = page.Items
		return len(found) > 0
	})
	return found[0]
}

// device is a folder with keys and certificates, worked on with curl and
// OpenSSL only.
type device struct {
	t      testing.TB
	plant  *plant
	dir    string
	name   string
	secret string
	server string // other than the plant's own address
}

func newDevice(t testing.TB, p *plant) *device {
	return &device{t: t, plant: p, dir: t.TempDir()}
}

func (d *device) path(name string) string { return filepath.Join(d.dir, name) }

// openssl runs OpenSSL in the device's folder and stops the test if it fails.
func (d *device) openssl(args ...string) string {
	d.t.Helper()
	out, err := d.try("openssl", args...)
	if err != nil {
		d.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (d *device) try(program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = d.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// newCSR makes a P-256 key and a CSR for it: name.key, name.csr (DER).
func (d *device) newCSR(name, subject string, more ...string) {
	d.t.Helper()
	d.openssl(append([]string{"req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
		"-keyout", name + ".key", "-outform", "DER", "-out", name + ".csr", "-subj", subject}, more...)...)
}

// answer is what curl was answered.
type answer struct {
	status string
	header string
	body   string
}

var retryAfter = regexp.MustCompile(`(?im)^retry-after: *(\d+)`)

// est posts a DER file with curl to an EST path of the domain.
func (d *device) est(operation, csr string, more ...string) answer {
	d.t.Helper()
	return d.estAt(d.plant.instance, d.plant.domain+"/"+operation, csr, more...)
}

func (d *device) estAt(i *instance, path, csr string, more ...string) answer {
	d.t.Helper()
	args := append([]string{"--silent", "--show-error", "--max-time", "60", "--cacert", i.CA,
		"--dump-header", "header", "--output", "body", "--write-out", "%{http_code}",
		"--header", "Content-Type: application/pkcs10", "--data-binary", "@" + csr}, more...)
	cmd := exec.Command("curl", append(args, "https://"+i.HTTPS+"/.well-known/est/"+path)...)
	cmd.Dir = d.dir
	out, err := cmd.Output() // curl also fails where the server answers and then closes
	if err != nil && string(out) == "000" {
		return answer{status: "none", body: err.Error()}
	}
	header, _ := os.ReadFile(d.path("header"))
	body, _ := os.ReadFile(d.path("body"))
	return answer{status: string(out), header: string(header), body: string(body)}
}

// basic is how a device authenticates with its one-time secret.
func (d *device) basic() []string { return []string{"--user", d.name + ":" + d.secret} }

// mtls is how a device authenticates with a certificate of its folder.
func (d *device) mtls(name string) []string {
	return []string{"--cert", name + ".pem", "--key", name + ".key"}
}

// keep decodes the answer into name.pem.
func (d *device) keep(a answer, name string) {
	d.t.Helper()
	d.expect(a, "200")
	if err := os.WriteFile(d.path(name+".b64"), []byte(a.body), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.openssl("base64", "-d", "-in", name+".b64", "-out", name+".p7")
	d.openssl("pkcs7", "-inform", "DER", "-in", name+".p7", "-print_certs", "-out", name+".pem")
	d.verify(name + ".pem")
}

// verify validates a certificate with OpenSSL against the CA certificates that
// EST hands out.
func (d *device) verify(certificate string) {
	d.t.Helper()
	i := d.plant.instance
	d.mustCurl(i, "/.well-known/est/"+d.plant.domain+"/cacerts", "cacerts.b64")
	d.openssl("base64", "-d", "-in", "cacerts.b64", "-out", "cacerts.p7")
	d.openssl("pkcs7", "-inform", "DER", "-in", "cacerts.p7", "-print_certs", "-out", "cacerts.pem")
	d.openssl("verify", "-x509_strict", "-CAfile", "cacerts.pem", certificate)
}

func (d *device) mustCurl(i *instance, path, file string) {
	d.t.Helper()
	out, err := d.try("curl", "--silent", "--show-error", "--fail", "--cacert", i.CA, "--output", file, "https://"+i.HTTPS+path)
	if err != nil {
		d.t.Fatalf("GET %s: %v\n%s", path, err, out)
	}
}

// expect stops the test unless the answer has the status.
func (d *device) expect(a answer, status string) {
	d.t.Helper()
	if a.status != status {
		d.t.Fatalf("the answer is %s, want %s\n%s\n%s", a.status, status, a.header, a.body)
	}
}

// refused checks status and sentence of a refusal.
func (d *device) refused(a answer, status, sentence string) {
	d.t.Helper()
	if a.status != status || !strings.Contains(a.body, sentence) {
		d.t.Errorf("the answer is %s %q, want %s with %q", a.status, a.body, status, sentence)
	}
}

// onboard gets the device its domain credential: domain.key, domain.pem.
func (d *device) onboard() {
	d.t.Helper()
	d.newCSR("domain", "/CN=anything")
	d.keep(d.est("simpleenroll", "domain.csr", d.basic()...), "domain")
}
