// SPDX-License-Identifier: MIT

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// speaksCMP gives a device the agent, and has it speak CMP over plain HTTP.
func speaksCMP(t testing.TB, d *device) *agentDevice {
	t.Helper()
	a := withAgent(t, d)
	text := string(must(os.ReadFile(a.path("agent.yaml")))(t))
	text = strings.Replace(text, "server: https://"+d.plant.HTTPS+"\nca: "+d.plant.CA+"\n", "protocol: cmp\nserver: http://"+d.plant.HTTP+"\n", 1)
	if d.secret == "" {
		text = "cmp_trust: root.pem\n" + text
	}
	a.write("agent.yaml", text)
	return a
}

func TestAgentSpeaksCMP(t *testing.T) {
	p := newPlant(t, start(t, "--enroll-wait", "500ms"), models.StoreSoftware)
	t.Run("onboarding and renewal", func(t *testing.T) {
		a := speaksCMP(t, p.registerCMP(t, "press-01", models.CMPSecret))
		a.agent(0, "enroll")
		first := a.serial()
		if _, err := os.Stat(a.path("secret")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the used secret is still there (%v)", err)
		}
		a.agent(0, "renew", "--now")
		if a.serial() == first {
			t.Error("the certificate was not renewed")
		}
	})
	t.Run("onboarding killed where the protocol matters", func(t *testing.T) {
		for _, point := range []string{"pending", "answered", "version"} {
			a := speaksCMP(t, p.registerCMP(t, "killed-"+point, models.CMPSecret))
			a.killed(point, "enroll")
			a.agent(0, "enroll")
			a.serial()
		}
	})
	t.Run("a device that spoke EST and explicit confirmation", func(t *testing.T) {
		a := withAgent(t, p.register(t, "press-02"))
		a.agent(0, "enroll")
		first := a.serial()
		b := speaksCMP(t, a.device)
		yes, no := true, false
		must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{CMP: api.CMPChange{ImplicitConfirm: &no}}))(t)
		b.agent(0, "renew", "--now")
		if b.serial() == first {
			t.Error("the certificate was not renewed")
		}
		must(p.api.ChangeDomain(background(), p.domain, api.DomainChange{CMP: api.CMPChange{ImplicitConfirm: &yes}}))(t)
	})
	t.Run("manufacturer's certificate", func(t *testing.T) {
		d := newDevice(t, p)
		d.manufacture("acme", "SN-4711")
		d.write("root.pem", []byte(must(p.api.FindCA(background(), "plant-root"))(t).Certificate))
		root := must(os.ReadFile(d.path("acme-root.pem")))(t)
		must(p.api.CreateTruststore(background(), api.TruststoreCreation{Name: "acme", PEM: string(root)}))(t)
		must(p.api.CreateRegistration(background(), api.RegistrationCreation{Name: "acme", Truststore: "acme", Domain: p.domain, SerialPattern: `SN-\d{4}`}))(t)
		d.name = "acme-sn-4711" // as the registration will name it
		a := speaksCMP(t, d)
		a.agent(0, "enroll")
		a.serial()
	})
	t.Run("approval while the server restarts", func(t *testing.T) {
		p.requireApproval(t, &api.ApprovalRule{Steps: []api.ApprovalStep{{Name: "operator", Quorum: 1}}, Deadline: models.Duration(time.Hour)})
		a := speaksCMP(t, p.registerCMP(t, "press-03", models.CMPSecret))
		a.agent(3, "enroll", "--wait", "0s")
		if _, err := os.Stat(a.path(filepath.Join("state", "domain", "pending", "transaction.json"))); err != nil {
			t.Errorf("the transaction is not kept: %v", err)
		}
		a.waitsOverARestart(t, p, "90s")
	})
}

// TestBenchCMP runs the benchmark for a moment and looks whether CMP is
// compared with EST. How fast it is, it does not judge.
func TestBenchCMP(t *testing.T) {
	out, err := exec.Command(running.Binary(t, "trustloomd"), "bench", "cmp", "--clients", "2", "--duration", "500ms", "-o", "json", "--dir", t.TempDir()).Output()
	if err != nil {
		t.Fatalf("trustloomd bench cmp: %v\n%s", err, out)
	}
	var report struct {
		Figures []struct {
			Lane   string `json:"lane"`
			Ratios struct {
				EST float64 `json:"per_second_to_est"`
			} `json:"ratios"`
		} `json:"figures"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	compared := 0
	for _, f := range report.Figures {
		if strings.HasPrefix(f.Lane, "cmp-") && f.Ratios.EST > 0 {
			compared++
		}
	}
	if len(report.Figures) != 5 || compared != 2 {
		t.Errorf("%+v", report)
	}
}
