// SPDX-License-Identifier: MIT

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestDemo plays what `make demo` plays, also with the CA keys on a token.
func TestDemo(t *testing.T) {
	running.Binary(t, "trustloomd")
	for _, store := range []string{models.StoreSoftware, models.StorePKCS11} {
		t.Run(store, func(t *testing.T) {
			var flags []string
			if store == models.StorePKCS11 {
				flags = token(t) // sets the environment, too
			}
			cmd := exec.Command("bash", "../../deploy/demo/demo.sh")
			cmd.Env = append(os.Environ(), "DEMO_STORE="+store, "DEMO_FLAGS="+strings.Join(flags, " "))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "4 chains verified by OpenSSL") {
				t.Errorf("the demo ended with %v:\n%s", err, out)
			}
		})
	}
}
