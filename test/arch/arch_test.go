// SPDX-License-Identifier: MIT

// Package arch_test holds the structure of the tree as tests: the import
// ladder and the homes of dependencies (docs/adr/0001, docs/adr/0003), what
// the binaries may link, package comments, sizes, and a few habits.
//
// Every check is a function from a tree of parsed files to findings. Each is
// run twice: over the repository, where it must find nothing, and over a small
// offending example (examples_test.go), where it must find what is wrong.
// A finding says what is wrong, where, and why the rule exists.
//
// Only closure_test.go asks the go command; everything else parses the
// files, whatever their build tags, so that the tests take a second.
package arch_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"
)

// module is the path that every import of ours starts with.
const module = "github.com/trustloom/trustloom"

// A check is one rule over the whole tree.
type check struct {
	name string // a sentence
	why  string // the reason, added to each finding
	find func(*tree) []string
}

// checks lists the rules. Each one has an example in examples_test.go.
var checks = []check{
	{"imports go down the ladder", "docs/adr/0001: whoever imports upwards can no longer be read, tested or replaced alone", findLadder},
	{"a package is in the table before it exists", "docs/adr/0001: enter it in ladder_test.go with its purpose and what it may import", findUnknownPackages},
	{"only the files named import a guarded package", "docs/adr/0001: the seam between two rungs is one file, so that it can be read at once", findSeams},
	{"protocols use models for errors only", "docs/adr/0001: a protocol package must stay publishable alone; of the vocabulary it shares the error kinds and nothing else", findProtocolVocabulary},
	{"a third-party package has one home", "docs/adr/0003: what is imported in one place can be understood, updated and replaced there", findHomes},
	{"every dependency in use has its row in docs/adr/0003", "a dependency is a decision: say what it is for and what was rejected", findUndocumentedDependencies},
	{"every package has a comment", "the first thing a reader looks for: what it is, which document it follows, what it must not know", findPackageComments},
	{"every exported name is documented", "an exported name is a promise, and a promise has words", findExportedDocs},
	{"files and functions stay small", "beauty and ugliness are in the tail (style.md §3.7): split by step or by noun; tables and vectors are exempt in sizes_test.go, with a reason", findSizes},
	{"interfaces stay small", "an interface of more than 5 methods has more than one reason to exist: make optional interfaces", findInterfaces},
	{"there is no init function", "what exists is listed in cmd/trustloomd/app, not collected behind the reader's back", findInit},
	{"nothing below cmd reads the environment", "configuration belongs to its consumer as a Config struct; only cmd reads files, flags and environment", findEnvironment},
	{"nothing below the boundary reads the clock", "a clock is a parameter, now func() time.Time, so that deadlines can be tested without waiting; time.Now as its default value is fine", findClock},
	{"stories use the clock of Temporal", "a story is replayed: time, sleep and goroutines come from package workflow", findStoryClock},
	{"nothing but tests panics", "a panic takes the requests of every other device with it: return an error of KindInternal", findPanics},
	{"models are rows, api is the wire", "one struct that is row, JSON and payload at once ties the schema to every client", findTags},
	{"package names say what is inside", "util and its kin are places where things go to be forgotten (style.md §3.2)", findBadNames},
	{"the top level has the folders of the design and no others", "docs/adr/0001: a reader finds the six words of the design, and nothing that hides", findTopLevel},
	{"a TODO names its issue", "an unfinished thing that nobody tracks stays unfinished: write TODO(#12)", findTodos},
	{"a lint exception has a reason", "an exception without a reason can never be removed", findLintExceptions},
	{"every fuzz target has a seed", "without a seed the short run in make test never gets past the first length check", findFuzzSeeds},
	{"a link in the documentation leads somewhere", "a reader who is sent to nowhere stops reading", findDeadLinks},
	{"every Go file has its licence line", "one line, SPDX-License-Identifier: MIT, is what tools and lawyers look for", findLicence},
}

func TestTheTreeKeepsItsRules(t *testing.T) {
	tr := loadRepository(t)
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if found := c.find(tr); len(found) > 0 {
				t.Errorf("\n%s\nwhy: %s", strings.Join(found, "\n"), c.why)
			}
		})
	}
}

// findings collects what a check finds, in order of place.
type findings []string

func (f *findings) add(s *source, line int, format string, args ...any) {
	*f = append(*f, fmt.Sprintf("%s:%d: ", s.path, line)+fmt.Sprintf(format, args...))
}

func (f findings) sorted() []string {
	sort.Strings(f)
	return f
}

// under reports whether path is one of the patterns, or below one that ends
// in "/...".
func under(path string, patterns ...string) bool {
	for _, p := range patterns {
		if parent, ok := strings.CutSuffix(p, "/..."); ok {
			if path == parent || strings.HasPrefix(path, parent+"/") {
				return true
			}
			continue
		}
		if path == p {
			return true
		}
	}
	return false
}
