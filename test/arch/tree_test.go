// SPDX-License-Identifier: MIT

package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// A source is one file of the tree. Paths are relative to the root, with
// slashes.
type source struct {
	path string
	text string
	file *ast.File // nil unless it is Go
	fset *token.FileSet
}

// pkg is the folder of the file, which names its package.
func (s *source) pkg() string { return path.Dir(s.path) }

// isTest reports whether the file is only compiled into tests: by its name, or
// because it is below test/, which no binary may import.
func (s *source) isTest() bool {
	return strings.HasSuffix(s.path, "_test.go") || strings.HasPrefix(s.path, "test/")
}

// line is the line of a position.
func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

// imports returns the imported paths with their lines, and those of our own
// module without its name: "models/pki", or "" for the root.
func (s *source) imports() (all []imported) {
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		i := imported{path: p, line: s.line(spec.Pos())}
		if spec.Name != nil {
			i.name = spec.Name.Name
		}
		if p == module || strings.HasPrefix(p, module+"/") {
			i.ours = strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
			i.own = true
		}
		all = append(all, i)
	}
	return all
}

// nameOf is the identifier under which the file knows the package p, or "".
func (s *source) nameOf(p string) string {
	for _, i := range s.imports() {
		if i.path != p {
			continue
		}
		if i.name != "" {
			return i.name
		}
		return path.Base(p)
	}
	return ""
}

type imported struct {
	path, name, ours string
	own              bool
	line             int
}

// thirdParty reports whether the import is neither ours nor the standard
// library's: the first element of its path has a dot.
func (i imported) thirdParty() bool {
	first, _, _ := strings.Cut(i.path, "/")
	return !i.own && strings.Contains(first, ".")
}

// A tree is what the checks look at.
type tree struct {
	sources []*source // all text files that matter: Go, Makefile, shell, YAML, Markdown
	folders []string  // of the top level
}

// goFiles returns the Go files for which keep says yes; nil keeps all.
func (t *tree) goFiles(keep func(*source) bool) (files []*source) {
	for _, s := range t.sources {
		if s.file != nil && (keep == nil || keep(s)) {
			files = append(files, s)
		}
	}
	return files
}

// production returns the Go files that can be linked into a binary.
func (t *tree) production() []*source {
	return t.goFiles(func(s *source) bool { return !s.isTest() })
}

// packages groups the Go files by folder.
func (t *tree) packages() map[string][]*source {
	all := map[string][]*source{}
	for _, s := range t.goFiles(nil) {
		all[s.pkg()] = append(all[s.pkg()], s)
	}
	return all
}

// find returns the text of a file, "" if there is none.
func (t *tree) find(name string) string {
	for _, s := range t.sources {
		if s.path == name {
			return s.text
		}
	}
	return ""
}

// newTree parses files given as path and text. One that does not parse is an
// error, and text to the checks.
func newTree(files map[string]string) (t *tree, broken []error) {
	t = &tree{}
	folders := map[string]bool{}
	for name, text := range files {
		s := &source{path: name, text: text, fset: token.NewFileSet()}
		if strings.HasSuffix(name, ".go") {
			file, err := parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				broken = append(broken, err)
				file = nil
			}
			s.file = file
		}
		t.sources = append(t.sources, s)
		if first, _, below := strings.Cut(name, "/"); below {
			folders[first] = true
		}
	}
	sort.Slice(t.sources, func(i, j int) bool { return t.sources[i].path < t.sources[j].path })
	for f := range folders {
		t.folders = append(t.folders, f)
	}
	sort.Strings(t.folders)
	return t, broken
}

// textual names the files besides Go that a check looks at.
func textual(name string) bool {
	switch path.Ext(name) {
	case ".go", ".sh", ".md", ".yaml", ".yml", ".toml", ".sql", ".html", ".css", ".js":
		return true
	}
	return name == "Makefile" || name == ".ci/run"
}

// root is the folder of go.mod, seen from here.
const root = "../.."

// loadRepository reads the work tree as it is, committed or not.
func loadRepository(t *testing.T) *tree {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if skipped(rel, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !textual(rel) {
			return nil
		}
		text, err := os.ReadFile(name)
		files[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tr, broken := newTree(files)
	for _, err := range broken {
		t.Error(err)
	}
	return tr
}

// skipped names the folders that are not the project's text: what builds and
// servers leave behind, test data, and the tools' own dot folders.
func skipped(rel, base string) bool {
	if rel == ".ci" {
		return false
	}
	return rel == "bin" || rel == "data" || base == "testdata" || strings.HasPrefix(base, ".")
}
