// SPDX-License-Identifier: MIT

package arch_test

import (
	"go/ast"
	"path"
	"strings"
)

// The hard limits of style.md §3.7. Aim for half.
const (
	maxFunctionLines = 80
	maxFileLines     = 500
	maxTestFileLines = 800
	maxMainLines     = 100
	maxPackageFiles  = 25
	maxMethods       = 5
)

// wide packages have one file for each noun, or for each structure of their
// specification, by design.md §2: they grow in breadth, not in depth.
var wide = map[string]int{
	"models/store":     60, // one file per noun
	"models/pki":       45, // one file per structure: CSR, certificate, CRL, CMS, PKCS#8, PKCS#12, ...
	"models/policy":    35, // one file per concern of profile documents
	"integrations/cmp": 35, // one file per structure of the messages, and per body of the responder and the client
	"api":              35, // one file per noun, and its calls
	"api/operations":   45, // one file per noun
	"cmd/trustloom":    45, // one file per noun
}

// exempt files hold tables or vectors rather than logic. Each has its reason.
var exempt = map[string]string{}

func findSizes(t *tree) []string {
	var f findings
	files := map[string][]*source{}
	for _, s := range t.goFiles(func(s *source) bool { return !generated(s) && exempt[s.path] == "" }) {
		lines, limit := strings.Count(s.text, "\n"), maxFileLines
		switch {
		case strings.HasSuffix(s.path, "_test.go"):
			limit = maxTestFileLines
		case path.Base(s.path) == "main.go":
			limit = maxMainLines
			files[s.pkg()] = append(files[s.pkg()], s)
		case strings.HasPrefix(path.Base(s.path), "migrations_"):
			// frozen steps, one file each: their number grows with the years (docs/adr/0001)
		default:
			files[s.pkg()] = append(files[s.pkg()], s)
		}
		if lines > limit {
			f.add(s, 1, "the file has %d lines, the limit is %d", lines, limit)
		}
		findLongFunctions(s, &f)
	}
	for pkg, in := range files {
		if limit := max(maxPackageFiles, wide[pkg]); len(in) > limit {
			f.add(in[0], 1, "package %s has %d files, the limit is %d", pkg, len(in), limit)
		}
	}
	return f.sorted()
}

func findLongFunctions(s *source, f *findings) {
	for _, d := range s.file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		lines := s.line(fn.End()) - s.line(fn.Pos()) + 1
		if strings.HasSuffix(s.path, "_test.go") {
			lines -= tableLines(s, fn.Body)
		}
		if lines > maxFunctionLines {
			f.add(s, s.line(fn.Pos()), "%s has %d lines, the limit is %d", fn.Name.Name, lines, maxFunctionLines)
		}
	}
}

// tableLines counts the lines inside the outermost composite literals of a
// test: its table of cases, which is data.
func tableLines(s *source, body *ast.BlockStmt) (lines int) {
	ast.Inspect(body, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		lines += s.line(lit.Rbrace) - s.line(lit.Lbrace)
		return false
	})
	return lines
}

func findInterfaces(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if it, ok := spec.Type.(*ast.InterfaceType); ok && it.Methods.NumFields() > maxMethods {
				f.add(s, s.line(n.Pos()), "interface %s has %d methods, the limit is %d", spec.Name.Name, it.Methods.NumFields(), maxMethods)
			}
			return true
		})
	}
	return f.sorted()
}
