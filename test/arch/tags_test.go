// SPDX-License-Identifier: MIT

package arch_test

import (
	"go/ast"
	"reflect"
	"strconv"
)

// wireTags mark a field of package api as part of the wire format: of a body,
// of the query, of the path, or of a header.
var wireTags = []string{"json", "query", "path", "header"}

// tagless structs of package api are not wire types. Each has its reason.
var tagless = map[string]string{
	"api.Config":     "configures the Go client and never travels",
	"api.TextChange": "has its own MarshalJSON: it is its text, or null",
	"api.RuleChange": "has its own MarshalJSON: it is its rule, or null",
}

func findTags(t *tree) []string {
	var f findings
	for _, s := range t.production() {
		if s.pkg() != "models" && s.pkg() != "api" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := spec.Type.(*ast.StructType); ok {
				checkTags(s, spec.Name, st, &f)
			}
			return true
		})
	}
	return f.sorted()
}

func checkTags(s *source, name *ast.Ident, st *ast.StructType, f *findings) {
	for _, field := range st.Fields.List {
		tag := tagOf(field)
		line := s.line(field.Pos())
		if s.pkg() == "models" {
			if _, has := tag.Lookup("json"); has {
				f.add(s, line, "models.%s has a json tag: the wire type is in package api", name.Name)
			}
			continue
		}
		if _, has := tag.Lookup("gorm"); has {
			f.add(s, line, "api.%s has a gorm tag: the row is in package models", name.Name)
		}
		if len(field.Names) == 0 || !name.IsExported() || tagless["api."+name.Name] != "" {
			continue // embedded, or not a wire type
		}
		if field.Names[0].IsExported() && !hasAny(tag, wireTags) {
			f.add(s, line, "api.%s.%s has none of the tags %q", name.Name, field.Names[0].Name, wireTags)
		}
	}
}

func tagOf(field *ast.Field) reflect.StructTag {
	if field.Tag == nil {
		return ""
	}
	text, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return ""
	}
	return reflect.StructTag(text)
}

func hasAny(tag reflect.StructTag, keys []string) bool {
	for _, k := range keys {
		if _, ok := tag.Lookup(k); ok {
			return true
		}
	}
	return false
}
