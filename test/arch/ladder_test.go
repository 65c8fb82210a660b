// SPDX-License-Identifier: MIT

package arch_test

import (
	"go/ast"
	"slices"
	"testing"
)

// A rung is one package, or several of one kind, on the import ladder.
type rung struct {
	packages []string // ours
	may      []string // packages of ours that it may import
	never    []string // others that it may not import, standard library included
}

// Groups of the table in design.md §2.
var (
	protocols = []string{
		"integrations/est", "integrations/cmp", "integrations/scep", "integrations/acme",
		"integrations/brski", "integrations/aoki", "integrations/gds", "integrations/ocsp",
	}
	// knowledge is "models*" of the table: the nouns and what is pure.
	knowledge = []string{"models", "models/pki", "models/policy", "models/audit", "models/archive"}

	gin      = []string{"github.com/gin-gonic/gin/...", "github.com/gin-contrib/..."}
	gorm     = []string{"gorm.io/...", "database/sql/..."}
	temporal = []string{"go.temporal.io/..."}
	storage  = []string{"os/...", "io/ioutil"}
)

// ladder is the table of design.md §2, from the bottom up. What a package may
// import of ours is listed in full; a package that is not listed anywhere is
// refused. Files of tests are free to look down and sideways, not at cmd.
var ladder = []rung{
	{packages: []string{"models"}, never: slices.Concat(gorm, gin, temporal, storage, []string{"net/http/..."})},
	{packages: []string{"models/pki/pfx"}, may: []string{"models"}, never: slices.Concat(gorm, gin, temporal, storage, []string{"net/http/..."})},
	{packages: []string{"models/pki"}, may: []string{"models", "models/pki/pfx"}, never: slices.Concat(gorm, gin, temporal, storage, []string{"net/http/..."})},
	{packages: []string{"models/audit", "models/archive"}, may: []string{"models"}, never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"models/policy"}, may: []string{"models", "models/pki"}, never: slices.Concat(gorm, gin, temporal, storage, []string{"net/http/..."})},
	{packages: []string{"models/store"}, may: []string{"models", "models/audit", "models/archive"}, never: slices.Concat(gin, temporal)},

	{packages: protocols, may: []string{"models/pki", "models"}, never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"integrations/hsm"}, may: []string{"models"}, never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"integrations/oidc"}, may: []string{"models"}, never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"integrations/notify"}, may: []string{"models"}, never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"integrations/issuer"}, may: slices.Concat(knowledge, protocols, []string{"integrations/hsm"}), never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"integrations/temporald"}, never: slices.Concat(gorm, gin)},

	{packages: []string{"activities"}, may: slices.Concat(knowledge, protocols, []string{"models/store", "integrations/issuer", "integrations/hsm", "integrations/notify"}), never: slices.Concat(gorm, gin, []string{"go.temporal.io/sdk/workflow"})},
	{packages: []string{"workflows"}, may: []string{"models", "activities"}, never: slices.Concat(gorm, gin, storage, []string{"net/http/...", "crypto/..."})},

	{packages: []string{"api"}, may: []string{"models"}, never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"api/auth"}, may: append([]string{"models/store"}, knowledge...), never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"api/operations"}, may: append([]string{"models/store", "workflows", "api/auth"}, knowledge...), never: slices.Concat(gorm, gin, []string{"html/template"})},
	{packages: []string{"api/enroll"}, may: slices.Concat(knowledge, protocols, []string{"models/store", "workflows", "activities"}), never: slices.Concat(gorm, gin)},
	{packages: []string{"api/va"}, may: append([]string{"models/store", "integrations/ocsp"}, knowledge...), never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"api/rest"}, may: []string{"models", "api", "api/auth", "api/operations"}, never: slices.Concat(gorm, temporal)},
	{packages: []string{"api/ui"}, may: []string{"models", "api/auth", "api/operations"}, never: slices.Concat(gorm, temporal)},
	{packages: []string{"api/server"}, may: []string{"api/auth", "api/rest", "api/ui", "api/enroll", "api/va"}, never: slices.Concat(gorm, temporal)},

	{packages: []string{"cmd/trustloomd/app"}, may: []string{"models/...", "integrations/...", "activities", "workflows", "api/..."}, never: slices.Concat(gorm, gin)},
	{packages: []string{"cmd/trustloomd/bench"}, may: []string{"cmd/trustloomd/app", "models/...", "integrations/...", "activities", "workflows", "api/..."}, never: gin},
	{packages: []string{"cmd/trustloomd/check"}, may: []string{"models/..."}, never: slices.Concat(gorm, gin)},
	{packages: []string{"cmd/trustloomd"}, may: []string{"cmd/trustloomd/app", "cmd/trustloomd/bench", "cmd/trustloomd/check", "models/...", "integrations/...", "activities", "workflows", "api/..."}, never: slices.Concat(gorm, gin)},
	{packages: []string{"cmd/trustloom"}, may: []string{"models", "models/policy", "models/audit", "api", "integrations/cmp"}, never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"cmd/trustloom-agent"}, may: append([]string{"models", "models/pki", "integrations/hsm", "api"}, protocols...), never: slices.Concat(gorm, gin, temporal)},
	{packages: []string{"cmd/trustloom-temporal"}, never: slices.Concat(gin, []string{"gorm.io/..."})},

	{packages: []string{"test/arch", "test/fixture", "test/fixture/running", "test/e2e", "test/interop", "test/chaos"}, may: []string{"models/...", "integrations/...", "activities", "workflows", "api/...", "test/..."}},
}

// deviations from design.md §2, each with its reason. They are the exception:
// prefer to change the code, or to propose the change of the design.
var deviations = map[[2]string]string{
	{"api/operations", "api"}:  "operations take and return the wire types, so that REST and UI share one validation and one rendering; package api holds types and no server code",
	{"api/enroll", "api/auth"}: "devices and operators are slowed down by one type, auth.Guard: an address that guesses at both has one budget of failures",
}

// mayImport reports whether a package may import another of ours.
func mayImport(r *rung, pkg, other string) bool {
	return under(other, r.may...) || deviates(pkg, other)
}

func deviates(pkg, other string) bool { return deviations[[2]string{pkg, other}] != "" }

// rungOf returns the row of a package, nil if it has none.
func rungOf(pkg string) *rung {
	for i := range ladder {
		if slices.Contains(ladder[i].packages, pkg) {
			return &ladder[i]
		}
	}
	return nil
}

func findLadder(t *tree) []string {
	var f findings
	for _, s := range t.goFiles(nil) {
		r := rungOf(s.pkg())
		for _, i := range s.imports() {
			switch {
			case i.own && i.ours == s.pkg():
				// the package under test
			case s.isTest():
				if i.own && under(i.ours, "cmd/...") {
					f.add(s, i.line, "test imports %s: a test starts the binary or builds what it needs", i.ours)
				}
			case i.own && under(i.ours, "test/..."):
				f.add(s, i.line, "%s imports %s, which is for tests only", s.pkg(), i.ours)
			case r == nil:
				// reported by findUnknownPackages
			case i.own && !mayImport(r, s.pkg(), i.ours):
				f.add(s, i.line, "%s imports %s; it may import of ours: %q", s.pkg(), i.ours, r.may)
			case !i.own && under(i.path, r.never...) && !deviates(s.pkg(), i.path):
				f.add(s, i.line, "%s imports %s, which its row in design.md §2 excludes", s.pkg(), i.path)
			}
		}
	}
	return f.sorted()
}

func findUnknownPackages(t *tree) []string {
	var f findings
	for pkg, sources := range t.packages() {
		if rungOf(pkg) == nil {
			f.add(sources[0], 1, "package %s is not in the ladder", pkg)
		}
	}
	return f.sorted()
}

// seams names imports that are legal for a package but only in one file.
var seams = []struct{ pkg, imports, file string }{
	{"workflows", module + "/activities", "workflows/activities.go"},
}

func findSeams(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		for _, seam := range seams {
			for _, i := range s.imports() {
				if s.pkg() == seam.pkg && i.path == seam.imports && s.path != seam.file {
					f.add(s, i.line, "only %s may import %s", seam.file, i.path)
				}
			}
		}
	}
	return f.sorted()
}

// errorVocabulary is what a protocol package may use of package models.
var errorVocabulary = []string{
	"Error", "Errorf", "Kind", "Kinds", "KindOf", "ParseKind", "PublicText", "RetryAfter",
	"KindInternal", "KindInvalid", "KindUnauthenticated", "KindDenied", "KindNotFound", "KindConflict", "KindLimited", "KindUnavailable",
}

func findProtocolVocabulary(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		name := s.nameOf(module + "/models")
		if name == "" || !slices.Contains(protocols, s.pkg()) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if what := selected(n, name); what != "" && !slices.Contains(errorVocabulary, what) {
				f.add(s, s.line(n.Pos()), "%s uses models.%s", s.pkg(), what)
			}
			return true
		})
	}
	return f.sorted()
}

// selected returns X if the node is the selector name.X, else "".
func selected(n ast.Node, name string) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if id, ok := sel.X.(*ast.Ident); !ok || id.Name != name {
		return ""
	}
	return sel.Sel.Name
}

func TestTheLadderHasNoCycle(t *testing.T) {
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(pkg string, trail []string)
	visit = func(pkg string, trail []string) {
		trail = append(trail, pkg)
		if state[pkg] == open {
			t.Fatalf("the table lets packages import each other in a circle: %q", trail)
		}
		if state[pkg] == done {
			return
		}
		state[pkg] = open
		r := rungOf(pkg)
		for _, other := range ladder {
			for _, p := range other.packages {
				// Packages of the test folder share fixtures among themselves.
				if mayImport(r, pkg, p) && !under(p, "test/...") {
					visit(p, trail)
				}
			}
		}
		state[pkg] = done
	}
	for _, r := range ladder {
		for _, p := range r.packages {
			visit(p, nil)
		}
	}
}

func TestEachPackageHasOneRow(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range ladder {
		for _, p := range r.packages {
			if seen[p] {
				t.Errorf("package %s is in the ladder twice: which row holds?", p)
			}
			seen[p] = true
		}
	}
}
