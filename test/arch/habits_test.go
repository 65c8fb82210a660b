// SPDX-License-Identifier: MIT

package arch_test

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

func findInit(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				f.add(s, s.line(fn.Pos()), "there is an init function")
			}
		}
	}
	return f.sorted()
}

// findCalls reports the uses of the named things of a package; called says
// that only calls count, not mentions of the function as a value.
func findCalls(f *findings, s *source, pkg string, names []string, called bool) {
	name := s.nameOf(pkg)
	if name == "" {
		return
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && called {
			n = call.Fun
		} else if called {
			return true
		}
		if what := selected(n, name); slices.Contains(names, what) {
			f.add(s, s.line(n.Pos()), "%s.%s is used", pkg, what)
		}
		return true
	})
}

func findEnvironment(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		if under(s.pkg(), "cmd/...") {
			continue
		}
		findCalls(&f, s, "os", []string{"Getenv", "LookupEnv", "ExpandEnv", "Environ", "Setenv", "Unsetenv"}, false)
		findCalls(&f, s, "syscall", []string{"Getenv", "Environ"}, false)
	}
	return f.sorted()
}

// clocks are the places that may ask what time it is, and why.
var clocks = map[string]string{
	"cmd/...":                "the composition root is where time.Now is passed in; benchmarks measure",
	"api/server/...":         "the outermost boundary: how long a request took, for the log and the metrics",
	"integrations/temporald": "supervises a real process and makes the TLS certificates of its connection; no decision about a device hangs on it",
}

func findClock(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		allowed := clocks[s.path] != ""
		for place := range clocks {
			allowed = allowed || under(s.pkg(), place)
		}
		if !allowed {
			findCalls(&f, s, "time", []string{"Now", "Since", "Until"}, true)
		}
	}
	return f.sorted()
}

func findStoryClock(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		if s.pkg() != "workflows" {
			continue
		}
		findCalls(&f, s, "time", []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}, false)
		ast.Inspect(s.file, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				f.add(s, s.line(n.Pos()), "a goroutine is started; use workflow.Go")
			}
			return true
		})
	}
	return f.sorted()
}

// panics are the files that may panic, and why.
var panics = map[string]string{
	"api/rest/middleware.go": "its recovery passes http.ErrAbortHandler on, which is how net/http is told to cut an answer off",
}

func findPanics(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		if panics[s.path] != "" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
				f.add(s, s.line(n.Pos()), "panic is used")
			}
			return true
		})
		if !under(s.pkg(), "cmd/...") {
			findCalls(&f, s, "os", []string{"Exit"}, false)
			findCalls(&f, s, "log", []string{"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"}, false)
		}
	}
	return f.sorted()
}

var (
	todo       = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	tracked    = regexp.MustCompile(`\b(TODO|FIXME)\(#[0-9]+\)`)
	exception  = regexp.MustCompile(`^//\s*(nolint|lint:ignore|lint:file-ignore|workflowcheck:ignore|#nosec)\b(.*)`)
	hashRemark = regexp.MustCompile(`(^|\s)#(.*)`)
)

func findTodos(t *tree) []string {
	var f findings
	for _, s := range t.sources {
		for line, remark := range remarks(s) {
			if todo.MatchString(tracked.ReplaceAllString(remark, "")) {
				f.add(s, line, "unfinished, and no issue says so: %s", strings.TrimSpace(remark))
			}
		}
	}
	return f.sorted()
}

// remarks returns the comments of a file by line: of Go files what the parser
// says, of scripts and configuration what follows a hash. Prose has none.
func remarks(s *source) map[int]string {
	all := map[int]string{}
	switch {
	case s.file != nil:
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				for i, text := range strings.Split(c.Text, "\n") {
					all[s.line(c.Pos())+i] += text
				}
			}
		}
	case !strings.HasSuffix(s.path, ".md"):
		for i, text := range strings.Split(s.text, "\n") {
			if m := hashRemark.FindStringSubmatch(text); m != nil {
				all[i+1] = m[2]
			}
		}
	}
	return all
}

func findLintExceptions(t *tree) []string {
	var f findings
	for _, s := range t.goFiles(nil) {
		for line, remark := range remarks(s) {
			m := exception.FindStringSubmatch(remark)
			if m == nil {
				continue
			}
			words := strings.Fields(m[2])
			if strings.HasPrefix(m[1], "lint:") && len(words) > 0 {
				words = words[1:] // the name of the check
			}
			if len(words) < 3 {
				f.add(s, line, "%s has no reason of at least three words", m[1])
			}
		}
	}
	return f.sorted()
}

func findFuzzSeeds(t *tree) []string {
	var f findings
	for pkg, sources := range t.packages() {
		seeders := map[string]bool{} // functions that are given a *testing.F and add to it
		var targets []*ast.FuncDecl
		where := map[*ast.FuncDecl]*source{}
		for _, s := range sources {
			for _, d := range s.file.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				if strings.HasPrefix(fn.Name.Name, "Fuzz") && strings.HasSuffix(s.path, "_test.go") {
					targets, where[fn] = append(targets, fn), s
				} else if calls(fn, func(name string) bool { return name == "Add" }) {
					seeders[fn.Name.Name] = true
				}
			}
		}
		for _, fn := range targets {
			if !calls(fn, func(name string) bool { return name == "Add" || seeders[name] }) {
				f.add(where[fn], where[fn].line(fn.Pos()), "%s of package %s adds no seed", fn.Name.Name, pkg)
			}
		}
	}
	return f.sorted()
}

// calls reports whether a function calls a function or method by such a name.
func calls(fn *ast.FuncDecl, is func(name string) bool) (found bool) {
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch fun := call.Fun.(type) {
		case *ast.Ident:
			found = found || is(fun.Name)
		case *ast.SelectorExpr:
			found = found || is(fun.Sel.Name)
		}
		return true
	})
	return found
}
