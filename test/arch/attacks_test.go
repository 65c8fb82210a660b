// SPDX-License-Identifier: MIT

package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTests  = regexp.MustCompile("`([a-z0-9]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")
	writtenTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// TestTheTestsOfTheAttacksExist keeps docs/conformance/attacks.md true: a test
// that is renamed or removed is named there.
func TestTheTestsOfTheAttacksExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/conformance/attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range writtenTest.FindAllSubmatch(text, -1) {
			written[filepath.Base(filepath.Dir(path))+"."+string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range namedTests.FindAllSubmatch(page, -1) {
		if name := string(m[1]) + "." + string(m[2]); !written[name] {
			t.Errorf("docs/conformance/attacks.md names %s, which does not exist", name)
		}
	}
}
