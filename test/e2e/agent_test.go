// SPDX-License-Identifier: MIT

package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// agentProgram builds trustloom-agent once.
var agentProgram = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "trustloom-agent")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/trustloom-agent")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build trustloom-agent: %w\n%s", err, out)
	}
	return path, nil
})

// agentDevice is a device that has trustloom-agent.
type agentDevice struct {
	*device
	program string
	token   *hsm.PKCS11Config // where its keys are; nil: in files
}

// withAgent gives a device the agent and its file. The hook does as the file
// "verdict" in the device's folder says.
func withAgent(t testing.TB, d *device) *agentDevice {
	t.Helper()
	a := &agentDevice{device: d, program: must(agentProgram())(t)}
	auth := fmt.Sprintf("device: %s\nsecret_file: secret\nsecret_file_after: remove\n", d.name)
	if d.secret == "" {
		auth = "idevid: {certificate: acme-chain.pem, key: acme.key}\n"
	}
	a.write("secret", d.secret+"\n")
	a.write("verdict", "exit 0")
	a.write("agent.yaml", fmt.Sprintf("server: https://%s\nca: %s\ndomain: %s\nstate_dir: state\ntruststore: trust.pem\n", d.plant.HTTPS, d.plant.CA, d.plant.domain)+auth+`
certificates:
  - name: web
    profile: tls_server
    subject: {common_name: `+d.name+`.plant.example}
    sans: ["dns:`+d.name+`.plant.example", "ip:192.0.2.7"]
    files: {key: web.key, fullchain: web.pem, certificate: web-cert.pem, chain: web-chain.pem, bundle: web-bundle.pem}
    hook: {command: [sh, `+d.path("verdict")+`], timeout: 10s}
`)
	return a
}

func (a *agentDevice) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *agentDevice) command(args ...string) *exec.Cmd {
	cmd := exec.Command(a.program, append(args, "--config", a.path("agent.yaml"))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// agent runs the agent and stops the test unless it ends with this code.
func (a *agentDevice) agent(code int, args ...string) string {
	a.t.Helper()
	cmd := a.command(args...)
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		a.t.Fatalf("trustloom-agent %s ended with %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

// killed runs the agent until it kills itself at a point.
func (a *agentDevice) killed(point string, args ...string) {
	a.t.Helper()
	cmd := a.command(args...)
	cmd.Env = append(os.Environ(), "TRUSTLOOM_FAULT="+point)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		a.t.Fatalf("trustloom-agent %v did not die at %s: %v\n%s", args, point, err, out)
	}
}

// pair loads a pair in use; that key and certificate fit is checked by it.
func (a *agentDevice) pair(name string) (tls.Certificate, error) {
	current := a.path(filepath.Join("state", name, "current"))
	version, err := filepath.EvalSymlinks(current) // as a program does that opens the folder once
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(filepath.Join(version, "fullchain.pem"), filepath.Join(version, "key.pem"))
}

// serial is the serial number of the web certificate, as other programs see
// it, after OpenSSL has verified it.
func (a *agentDevice) serial() string {
	a.t.Helper()
	if a.token != nil {
		return a.tokenSerial()
	}
	shown, err := tls.LoadX509KeyPair(a.path("web.pem"), a.path("web.key"))
	if err != nil {
		a.t.Fatal(err)
	}
	kept := must(a.pair("web"))(a.t)
	if kept.Leaf.SerialNumber.Cmp(shown.Leaf.SerialNumber) != 0 {
		a.t.Errorf("the agent uses %x, others see %x", kept.Leaf.SerialNumber, shown.Leaf.SerialNumber)
	}
	for path, name := range map[string]string{"web.key": "key.pem", "web.pem": "fullchain.pem", "web-cert.pem": "cert.pem", "web-chain.pem": "chain.pem", "web-bundle.pem": "bundle.pem"} {
		current := must(os.ReadFile(a.path(filepath.Join("state", "web", "current", name))))(a.t)
		if others := must(os.ReadFile(a.path(path)))(a.t); !bytes.Equal(others, current) {
			a.t.Errorf("%s is not what the agent uses", path)
		}
	}
	a.openssl("verify", "-x509_strict", "-CAfile", filepath.Join("state", "truststore.pem"), "web.pem")
	return kept.Leaf.SerialNumber.Text(16)
}

func TestAgent(t *testing.T) {
	p := newPlant(t, start(t, "--enroll-wait", "500ms"), models.StoreSoftware)
	a := withAgent(t, p.register(t, "press-01"))
	t.Run("the server must be trusted first", func(t *testing.T) {
		out := a.agent(1, "enroll", "--ca", a.otherCA())
		if !strings.Contains(out, "cannot be reached") || !strings.Contains(out, "certificate signed by unknown authority") {
			t.Errorf("an untrusted server is refused with %s", out)
		}
	})
	t.Run("onboarding killed at every step", func(t *testing.T) {
		for _, point := range []string{"pending", "answered", "version", "journal", "switched"} {
			b := withAgent(t, p.register(t, "killed-"+point))
			b.killed(point, "enroll")
			b.agent(0, "enroll")
			b.serial()
			if _, err := os.Stat(b.path("secret")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("killed at %s: the used secret is still there (%v)", point, err)
			}
		}
	})
	t.Run("a domain that demands channel binding", func(t *testing.T) {
		yes, no := true, false
		must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{ChannelBinding: &yes}))(t)
		b := withAgent(t, p.register(t, "bound-01"))
		b.agent(0, "enroll")
		b.serial()
		must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{ChannelBinding: &no}))(t)
	})
	t.Run("onboarding and renewal", func(t *testing.T) { onboardAndRenew(t, a) })
	t.Run("hook refuses", func(t *testing.T) { hookRefuses(t, a) })
	t.Run("power cuts", func(t *testing.T) {
		powerCuts(t, p, "cut", func(t *testing.T, d *device) *agentDevice { return withAgent(t, d) }, stepsOfFiles)
	})
	t.Run("keys in tokens", func(t *testing.T) { keysInTokens(t, p) })
	t.Run("manufacturer's certificate", func(t *testing.T) {
		d := newDevice(t, p)
		d.manufacture("acme", "SN-4711")
		root := must(os.ReadFile(d.path("acme-root.pem")))(t)
		must(p.api.CreateTruststore(background(), api.TruststoreCreation{Name: "acme", PEM: string(root)}))(t)
		must(p.api.CreateRegistration(background(), api.RegistrationCreation{Name: "acme", Truststore: "acme", Domain: p.domain, SerialPattern: `SN-\d{4}`}))(t)
		d.name = "acme-sn-4711" // as the registration will name it
		b := withAgent(t, d)
		b.agent(0, "enroll")
		b.serial()
	})
	t.Run("approval while the server restarts", func(t *testing.T) { agentWaits(t, p) })
}

// otherCA is a file with a CA that has nothing to do with the server.
func (a *agentDevice) otherCA() string {
	a.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=other", "-days", "5")
	return a.path("other.pem")
}

func onboardAndRenew(t *testing.T, a *agentDevice) {
	a.agent(0, "enroll")
	first := must(a.pair("web"))(t)
	a.serial()
	if out := a.agent(0, "status"); strings.Count(out, " ok ") != 2 {
		t.Errorf("the status is\n%s", out)
	}
	if out := a.agent(0, "status", "-o", "json"); !strings.Contains(out, `"dns:press-01.plant.example"`) || !strings.Contains(out, `"renews_at"`) {
		t.Errorf("the status is\n%s", out)
	}
	a.agent(0, "renew") // nothing is due
	if got := a.serial(); got != first.Leaf.SerialNumber.Text(16) {
		t.Error("a certificate was renewed long before it is due")
	}
	file := string(must(os.ReadFile(a.path("agent.yaml")))(t))
	a.write("agent.yaml", strings.Replace(file, "ca: "+a.plant.CA+"\n", "", 1)) // it is remembered
	a.agent(0, "renew", "--now")
	second := must(a.pair("web"))(t)
	switch {
	case second.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) == 0:
		t.Error("renew --now left the certificate as it is")
	case string(second.Leaf.RawSubject) != string(first.Leaf.RawSubject), fmt.Sprint(second.Leaf.DNSNames, second.Leaf.IPAddresses) != fmt.Sprint(first.Leaf.DNSNames, first.Leaf.IPAddresses):
		t.Errorf("the renewed certificate is for %s %v", second.Leaf.Subject, second.Leaf.DNSNames)
	case string(second.Leaf.RawSubjectPublicKeyInfo) == string(first.Leaf.RawSubjectPublicKeyInfo):
		t.Error("the renewed certificate has the old key")
	}
	a.serial()
}

func hookRefuses(t *testing.T, a *agentDevice) {
	before := a.serial()
	a.write("verdict", `[ "$TRUSTLOOM_EVENT" = returned ] || { echo port is busy; exit 4; }`)
	if out := a.agent(1, "renew", "web", "--now"); !strings.Contains(out, "port is busy") {
		t.Errorf("the hook's words are lost:\n%s", out)
	}
	if after := a.serial(); after != before {
		t.Errorf("certificate %s is in use although the hook refused it, want %s", after, before)
	}
	if out := a.agent(1, "status"); !strings.Contains(out, "failing") || !strings.Contains(out, "port is busy") {
		t.Errorf("the status is\n%s", out)
	}
	a.write("verdict", "exit 0")
	a.agent(0, "renew", "web")
	if after := a.serial(); after == before {
		t.Error("the certificate that waited for the hook is not in use")
	}
	a.agent(0, "status")
}

func agentWaits(t *testing.T, p *plant) {
	p.requireApproval(t, &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: models.Duration(time.Hour)})
	a := withAgent(t, p.register(t, "press-02"))
	a.agent(3, "enroll", "--wait", "0s")
	if out := a.agent(1, "status"); !strings.Contains(out, "waiting") {
		t.Errorf("the status is\n%s", out)
	}
	a.waitsOverARestart(t, p, "60s")
}

// waitsOverARestart has an agent that waits for people ask again while the
// server is killed, and a person approve after that.
func (a *agentDevice) waitsOverARestart(t *testing.T, p *plant, patience string) {
	t.Helper()
	approval := p.pendingApproval(t)
	cmd := a.command("enroll", "--wait", patience)
	log := &running.Log{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the agent asks again", 20*time.Second, func() bool { return strings.Contains(log.String(), "asked again") })
	p.Kill()
	p.Start()
	if err := decide(t, p.approver(t, "alice"), approval, models.VerdictApprove, ""); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the agent did not get its certificate: %v\n%s", err, log)
	}
	a.serial()
}
