// SPDX-License-Identifier: MIT

package arch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A binary, and what it may never link, directly or through others.
type binary struct {
	pkg   string
	never []string
	why   string
}

var binaries = []binary{
	{"cmd/trustloomd", []string{"go.temporal.io/server/..."},
		"the process that holds CA keys never links Temporal's server: about 200 modules that nobody here reviews (docs/adr/0004)"},
	{"cmd/trustloom", []string{"gorm.io/...", "modernc.org/...", "github.com/jackc/...", "github.com/gin-gonic/...", "go.temporal.io/...", module + "/models/store", module + "/workflows", module + "/activities"},
		"the operator's tool speaks REST and nothing else, so it is small and runs anywhere"},
	{"cmd/trustloom-agent", []string{"gorm.io/...", "modernc.org/...", "github.com/jackc/...", "github.com/gin-gonic/...", "go.temporal.io/..."},
		"the agent runs on small devices"},
	{"cmd/trustloom-temporal", []string{module + "/models/...", module + "/integrations/...", module + "/api/...", module + "/workflows/...", module + "/activities/..."},
		"the engine knows nothing of what runs on it, so nothing of ours can leak into it (docs/adr/0004)"},
}

func TestBinariesLinkOnlyWhatTheyMay(t *testing.T) {
	for _, b := range binaries {
		t.Run(b.pkg, func(t *testing.T) {
			if main, _ := filepath.Glob(filepath.Join(root, b.pkg, "*.go")); len(main) == 0 {
				t.Skip("not written yet")
			}
			closure := closureOf(t, b.pkg)
			if len(closure) < 10 {
				t.Fatalf("go list gave %d packages for %s", len(closure), b.pkg)
			}
			for _, finding := range forbidden(b, closure) {
				t.Errorf("%s\n\twhy: %s", finding, b.why)
			}
		})
	}
}

// forbidden returns the packages of a closure that the binary may not link.
func forbidden(b binary, closure []string) (found []string) {
	for _, p := range closure {
		if under(p, b.never...) {
			found = append(found, b.pkg+" links "+p+"; see who imports it with: go mod why "+p)
		}
	}
	return found
}

// closureOf asks the go command for everything that a package links. It reads
// import clauses only; nothing is compiled.
func closureOf(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "./"+pkg)
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}

func TestAForbiddenLinkIsFound(t *testing.T) {
	closure := []string{"fmt", "go.temporal.io/sdk/client", "go.temporal.io/server/temporal"}
	if got := forbidden(binaries[0], closure); len(got) != 1 {
		t.Errorf("forbidden() = %q, want one finding", got)
	}
}

// A broken go list would find nothing, and so seem to find nothing wrong.
func TestTheClosureSeesRealDependencies(t *testing.T) {
	got := strings.Join(closureOf(t, "models"), " ")
	if !strings.Contains(got, "fmt") || !strings.Contains(got, module+"/models") {
		t.Errorf("closure of models: %s", got)
	}
}
