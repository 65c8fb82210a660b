// SPDX-License-Identifier: MIT

package hsm_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// otherProcess is what a second process of these tests is told to do.
type otherProcess struct {
	Software hsm.SoftwareConfig
	Module   string // of a token, if not empty
	Label    string
	PIN      string
}

const otherProcessEnv = "TRUSTLOOM_HSM_TEST_PROCESS"

// TestOtherProcess is not a test but what the other processes run.
func TestOtherProcess(t *testing.T) {
	text := os.Getenv(otherProcessEnv)
	if text == "" {
		t.Skip("runs only as the second process of another test")
	}
	var job otherProcess
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		t.Fatal(err)
	}
	var s hsm.KeyStore
	if job.Module != "" {
		s = must(hsm.OpenPKCS11(hsm.PKCS11Config{Module: job.Module, TokenLabel: job.Label, PIN: job.PIN}))(t)
	} else {
		s = must(hsm.OpenSoftware(job.Software))(t)
	}
	closing(t, s)
	fmt.Println("ready")
	fmt.Scanln() // until all processes are ready
	pub := must(s.Generate(t.Context(), "one", models.ECP256))(t)
	fmt.Println("public key", hex.EncodeToString(must(x509.MarshalPKIXPublicKey(pub))(t)))
}

func TestProcessesThatGenerateOneKeyGetTheSame(t *testing.T) {
	token := fixture.SoftHSM(t)
	jobs := map[string]otherProcess{
		"software": {Software: hsm.SoftwareConfig{Dir: t.TempDir(), SealingKey: make([]byte, 32)}},
		"pkcs11":   {Module: token.Module, Label: token.TokenLabel, PIN: token.PIN},
	}
	for name, job := range jobs {
		t.Run(name, func(t *testing.T) {
			env := append(os.Environ(), otherProcessEnv+"="+string(must(json.Marshal(job))(t)))
			keys := map[string]int{}
			for _, answer := range runProcesses(t, 4, append(env, fixture.SoftHSMEnv(t)...)) {
				keys[answer]++
			}
			if len(keys) != 1 {
				t.Fatalf("the processes have %d different keys: %v", len(keys), keys)
			}
		})
	}
}

// runProcesses lets n processes generate a key at the same time and returns
// the public keys they report.
func runProcesses(t *testing.T, n int, env []string) []string {
	t.Helper()
	answers, errs := make([]string, n), make([]error, n)
	starts := make([]func(), n)
	for i := range n {
		cmd := exec.Command(must(os.Executable())(t), "-test.run=^TestOtherProcess$", "-test.timeout=60s")
		cmd.Env, cmd.Stderr = env, os.Stderr
		in, out := must(cmd.StdinPipe())(t), must(cmd.StdoutPipe())(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var word string
		if _, err := fmt.Fscan(out, &word); err != nil || word != "ready" {
			t.Fatalf("the process says %q: %v", word, err)
		}
		starts[i] = func() {
			fmt.Fprintln(in)
			text, err := io.ReadAll(out)
			if errs[i] = errors.Join(err, cmd.Wait()); errs[i] != nil {
				errs[i] = fmt.Errorf("%w\n%s", errs[i], text)
			}
			for line := range strings.Lines(string(text)) {
				if key, ok := strings.CutPrefix(line, "public key "); ok {
					answers[i] = key
				}
			}
		}
	}
	together(n, func(i int) { starts[i]() })
	for i, err := range errs {
		if err != nil || answers[i] == "" {
			t.Fatalf("process %d: no key: %v", i, err)
		}
	}
	return answers
}
