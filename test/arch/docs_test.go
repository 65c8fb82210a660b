// SPDX-License-Identifier: MIT

package arch_test

import (
	"go/ast"
	"path"
	"regexp"
	"strings"
)

func findPackageComments(t *tree) []string {
	var f findings
	for pkg, sources := range t.packages() {
		comment := ""
		for _, s := range sources {
			// A package made of tests only, like this one, is documented there.
			if s.file.Doc != nil && (!strings.HasSuffix(s.path, "_test.go") || onlyTests(sources)) {
				comment += s.file.Doc.Text()
			}
		}
		if len(strings.Fields(comment)) < 5 {
			f.add(sources[0], 1, "package %s has no comment of at least a sentence", pkg)
		}
	}
	return f.sorted()
}

func onlyTests(sources []*source) bool {
	for _, s := range sources {
		if !strings.HasSuffix(s.path, "_test.go") {
			return false
		}
	}
	return true
}

func findExportedDocs(t *tree) []string {
	var f findings
	for _, s := range t.goFiles(func(s *source) bool { return !strings.HasSuffix(s.path, "_test.go") }) {
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc.Text() == "" && d.Name.IsExported() && ast.IsExported(receiver(d)) {
					f.add(s, s.line(d.Pos()), "%s has no comment", d.Name.Name)
				}
			case *ast.GenDecl:
				undocumented(s, d, &f)
			}
		}
	}
	return f.sorted()
}

// receiver is the type a method belongs to, and of a function its own name.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// undocumented reports exported names of a declaration without a comment of
// their own, at the end of their line, or, in a group, on the group.
func undocumented(s *source, d *ast.GenDecl, f *findings) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			own := spec.Doc.Text() != "" || spec.Comment.Text() != ""
			if spec.Name.IsExported() && !own && d.Doc.Text() == "" {
				f.add(s, s.line(spec.Pos()), "type %s has no comment", spec.Name.Name)
			}
		case *ast.ValueSpec:
			if spec.Doc.Text() != "" || spec.Comment.Text() != "" || d.Doc.Text() != "" {
				continue
			}
			for _, name := range spec.Names {
				if name.IsExported() {
					f.add(s, s.line(name.Pos()), "%s has no comment", name.Name)
				}
			}
		}
	}
}

func findLicence(t *tree) []string {
	var f findings
	for _, s := range t.goFiles(nil) {
		if !strings.HasPrefix(s.text, "// SPDX-License-Identifier: MIT\n") && !generated(s) {
			f.add(s, 1, "the first line is not // SPDX-License-Identifier: MIT")
		}
	}
	return f.sorted()
}

// generated reports whether a tool wrote the file.
func generated(s *source) bool { return ast.IsGenerated(s.file) }

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

// findDeadLinks looks at relative links between documents; those to files that
// are not text of the tree, such as pictures, are not looked at.
func findDeadLinks(t *tree) []string {
	var f findings
	for _, s := range t.sources {
		if path.Ext(s.path) != ".md" {
			continue
		}
		for i, text := range strings.Split(s.text, "\n") {
			for _, m := range link.FindAllStringSubmatch(text, -1) {
				to := path.Join(path.Dir(s.path), m[1])
				if strings.Contains(m[1], "://") || path.Ext(to) != "" && !textual(to) || t.has(to) {
					continue
				}
				f.add(s, i+1, "there is no %s", to)
			}
		}
	}
	return f.sorted()
}

// has reports whether the tree has the file, or files in the folder.
func (t *tree) has(name string) bool {
	for _, s := range t.sources {
		if s.path == name || strings.HasPrefix(s.path, name+"/") {
			return true
		}
	}
	return false
}

// badNames are packages that say nothing about what is inside.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "shared", "core", "base", "misc", "types", "lib", "manager"}

func findBadNames(t *tree) []string {
	var f findings
	for pkg, sources := range t.packages() {
		for _, bad := range badNames {
			if path.Base(pkg) == bad || strings.TrimSuffix(sources[0].file.Name.Name, "_test") == bad {
				f.add(sources[0], 1, "package %s is called %s", pkg, bad)
			}
		}
	}
	return f.sorted()
}

// topLevel is every folder the root may have, and why; dot folders, and what
// the build and a run leave behind (bin, data), are not looked at.
var topLevel = map[string]string{
	"cmd": "assembles", "workflows": "decide the order", "activities": "do", "api": "listens",
	"models": "know", "integrations": "speak",
	"deploy": "compose, helm, systemd, demo", "test": "across packages", "docs": "for people",
}

func findTopLevel(t *tree) []string {
	var f findings
	for _, folder := range t.folders {
		if topLevel[folder] == "" && !strings.HasPrefix(folder, ".") {
			f = append(f, folder+"/: not a folder of the design")
		}
	}
	return f.sorted()
}
