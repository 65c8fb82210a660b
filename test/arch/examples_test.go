// SPDX-License-Identifier: MIT

package arch_test

import (
	"strings"
	"testing"
)

// An example shows a check at work: each file of bad, alone, makes it find
// something that contains want; all files of good together make it find
// nothing.
type example struct {
	bad  map[string]string
	want string
	good map[string]string
}

func lines(n int, line string) string { return strings.Repeat(line+"\n", n) }

var examples = map[string]example{
	"imports go down the ladder": {
		bad: map[string]string{
			"models/pki/up.go":        `package pki; import "github.com/trustloom/trustloom/models/store"`,
			"models/os.go":            `package models; import "os"`,
			"workflows/hash.go":       `package workflows; import "crypto/x509"`,
			"integrations/est/cmp.go": `package est; import "github.com/trustloom/trustloom/integrations/cmp"`,
			"api/rest/store.go":       `package rest; import "github.com/trustloom/trustloom/models/store"`,
			"api/va/fixture.go":       `package va; import "github.com/trustloom/trustloom/test/fixture"`,
			"api/va/app_test.go":      `package va; import "github.com/trustloom/trustloom/cmd/trustloomd/app"`,
		},
		want: "import",
		good: map[string]string{
			"api/operations/a.go":      `package operations; import "github.com/trustloom/trustloom/models/store"`,
			"api/operations/a_test.go": `package operations_test; import ("os"; "github.com/trustloom/trustloom/api/operations"; "github.com/trustloom/trustloom/test/fixture")`,
		},
	},
	"a package is in the table before it exists": {
		bad:  map[string]string{"integrations/kmip/kmip.go": "package kmip"},
		want: "not in the ladder",
		good: map[string]string{"integrations/est/est.go": "package est"},
	},
	"only the files named import a guarded package": {
		bad:  map[string]string{"workflows/onboarding.go": `package workflows; import "github.com/trustloom/trustloom/activities"`},
		want: "only workflows/activities.go",
		good: map[string]string{
			"workflows/activities.go": `package workflows; import "github.com/trustloom/trustloom/activities"`,
			"workflows/story_test.go": `package workflows; import "github.com/trustloom/trustloom/activities"`,
		},
	},
	"protocols use models for errors only": {
		bad: map[string]string{
			"integrations/est/a.go": `package est; import "github.com/trustloom/trustloom/models"; var d models.Device`,
			"integrations/est/b.go": `package est; import nouns "github.com/trustloom/trustloom/models"; var d nouns.KeyAlgorithm`,
		},
		want: "uses models.",
		good: map[string]string{"integrations/est/a.go": `package est; import "github.com/trustloom/trustloom/models"; var e = models.Errorf(models.KindInvalid, "no")`},
	},
	"a third-party package has one home": {
		bad: map[string]string{
			"api/operations/gin.go":    `package operations; import "github.com/gin-gonic/gin"`,
			"models/pki/pkcs7.go":      `package pki; import "github.com/smallstep/pkcs7"`,
			"models/pki/cmp.go":        `package pki; import "github.com/google/go-cmp/cmp"`,
			"activities/requests.go":   `package activities; import "go.temporal.io/sdk/activity"`,
			"models/pki/cms.go":        `package pki; import "github.com/somebody/cms"`,
			"models/pki/pkcs7_test.go": `package pki; import "github.com/somebody/cms"`,
		},
		want: " home",
		good: map[string]string{
			"api/rest/gin.go":      `package rest; import "github.com/gin-gonic/gin/binding"`,
			"models/pki/cms.go":    `package pki; import "github.com/smallstep/pkcs7"`,
			"models/a_test.go":     `package models; import "github.com/google/go-cmp/cmp"`,
			"activities/errors.go": `package activities; import "go.temporal.io/sdk/temporal"`,
		},
	},
	"every dependency in use has its row in docs/adr/0003": {
		bad:  map[string]string{"models/pki/cms.go": `package pki; import "github.com/smallstep/pkcs7"`},
		want: "has no row",
		good: map[string]string{
			"models/pki/cms.go": `package pki; import "github.com/smallstep/pkcs7"`,
			dependenciesADR:     "| `github.com/smallstep/pkcs7` | CMS |",
		},
	},
	"every package has a comment": {
		bad: map[string]string{
			"models/a.go":      "package models",
			"models/b.go":      "// Package models is.\npackage models",
			"models/c_test.go": "package models_test",
		},
		want: "no comment",
		good: map[string]string{"models/a.go": "package models", "models/b.go": "// Package models holds the nouns of RFC 5280.\npackage models"},
	},
	"every exported name is documented": {
		bad: map[string]string{
			"models/a.go": "package models\nfunc Do() {}",
			"models/b.go": "package models\ntype CA struct{}",
			"models/c.go": "package models\n// CA is.\ntype CA[T any] struct{}\nfunc (c *CA[T]) Do() {}",
			"models/d.go": "package models\nconst (\n A = 1\n)",
		},
		want: "has no comment",
		good: map[string]string{"models/a.go": "package models\n// The kinds.\nconst (\n A = 1\n)\nvar (\n B = 2 // second\n c int\n)\ntype ca struct{}\nfunc (ca) Do() {}"},
	},
	"files and functions stay small": {
		bad: map[string]string{
			"models/a.go":             "package models\n" + lines(500, "//"),
			"models/a_test.go":        "package models\n" + lines(800, "//"),
			"cmd/trustloomd/main.go":  "package main\n" + lines(100, "//"),
			"models/b.go":             "package models\nfunc f() {\n" + lines(79, "_ = 1") + "}",
			"models/b_test.go":        "package models\nfunc f() {\n" + lines(79, "_ = 1") + "}",
			"models/kind_strings.go":  "package models\nvar a = []int{\n" + lines(499, "1,") + "}",
			"models/method_long.go":   "package models\nfunc (x T) f() {\n" + lines(79, "_ = 1") + "}",
			"models/table_in_code.go": "package models\nfunc f() {\n_ = []int{\n" + lines(79, "1,") + "}\n}",
		},
		want: "the limit is",
		good: map[string]string{
			"models/a.go":      "package models\n" + lines(499, "//"),
			"models/b.go":      "package models\nfunc f() {\n" + lines(78, "_ = 1") + "}",
			"models/a_test.go": "package models\nfunc f() {\n_ = []int{\n" + lines(200, "1,") + "}\n}",
			"models/gen.go":    "// Code generated by protoc. DO NOT EDIT.\n\npackage models\n" + lines(900, "//"),
		},
	},
	"interfaces stay small": {
		bad:  map[string]string{"models/a.go": "package models; type Fat interface { A(); B(); C(); D(); E(); F() }"},
		want: "6 methods",
		good: map[string]string{"models/a.go": "package models; type Slim interface { A(); B(); C(); D(); E() }"},
	},
	"there is no init function": {
		bad:  map[string]string{"models/a.go": "package models; func init() {}"},
		want: "init",
		good: map[string]string{"models/a.go": "package models; type t int; func (t) init() {}"},
	},
	"nothing below cmd reads the environment": {
		bad: map[string]string{
			"models/store/a.go": `package store; import "os"; var url = os.Getenv("URL")`,
			"models/store/b.go": `package store; import sys "os"; var get = sys.LookupEnv`,
		},
		want: "is used",
		good: map[string]string{
			"cmd/trustloomd/app/a.go": `package app; import "os"; var url = os.Getenv("URL")`,
			"models/store/a_test.go":  `package store; import "os"; var url = os.Getenv("URL")`,
		},
	},
	"nothing below the boundary reads the clock": {
		bad: map[string]string{
			"models/store/a.go": `package store; import "time"; var t = time.Now()`,
			"activities/a.go":   `package activities; import "time"; func f(t time.Time) { _ = time.Since(t) }`,
		},
		want: "is used",
		good: map[string]string{
			"activities/a.go":   `package activities; import "time"; var now = time.Now`,
			"api/server/log.go": `package server; import "time"; var t = time.Now()`,
		},
	},
	"stories use the clock of Temporal": {
		bad: map[string]string{
			"workflows/a.go": `package workflows; import "time"; var now = time.Now`,
			"workflows/b.go": `package workflows; func f() { go f() }`,
		},
		want: "workflows/",
		good: map[string]string{"workflows/a.go": `package workflows; import "time"; const d = 10 * time.Second`},
	},
	"nothing but tests panics": {
		bad: map[string]string{
			"models/a.go":            `package models; func f() { panic("no") }`,
			"models/store/a.go":      `package store; import "os"; func f() { os.Exit(1) }`,
			"cmd/trustloomd/main.go": `package main; func f() { panic("no") }`,
		},
		want: "is used",
		good: map[string]string{"cmd/trustloomd/main.go": `package main; import "os"; func main() { os.Exit(1) }`},
	},
	"models are rows, api is the wire": {
		bad: map[string]string{
			"models/a.go": "package models\ntype A struct { ID string `json:\"id\"` }",
			"api/a.go":    "package api\ntype A struct { ID string }",
			"api/b.go":    "package api\ntype A struct { ID string `json:\"id\" gorm:\"primaryKey\"` }",
		},
		want: "tag",
		good: map[string]string{
			"models/a.go":        "package models\ntype A struct { ID string `gorm:\"serializer:json\"` }",
			"models/policy/a.go": "package policy\ntype document struct { Name string `json:\"name\"` }",
			"api/a.go":           "package api\ntype Page struct { Limit int `query:\"limit\"` }\ntype A struct { Page; ID string `json:\"id\"`; secret string }",
		},
	},
	"package names say what is inside": {
		bad: map[string]string{
			"api/util/a.go": "package util",
			"api/rest/a.go": "package common",
		},
		want: "is called",
		good: map[string]string{"api/rest/a.go": "package rest"},
	},
	"the top level has the folders of the design and no others": {
		bad:  map[string]string{"internal/a.go": "package internal", "scripts/a.sh": ""},
		want: "not a folder of the design",
		good: map[string]string{"models/a.go": "package models", "Makefile": "", ".ci/run": ""},
	},
	"a TODO names its issue": {
		bad: map[string]string{
			"models/a.go":    "package models\n// TODO: later",
			"models/b.go":    "package models\n/*\nFIXME(me) later */",
			"deploy/demo.sh": "echo yes # TODO later",
			"Makefile":       "# XXX",
		},
		want: "unfinished",
		good: map[string]string{
			"models/a.go": "package models\n// TODO(#12): later\nconst s = \"TODO\"",
			"docs/a.md":   "# TODO is a word here",
		},
	},
	"a lint exception has a reason": {
		bad: map[string]string{
			"models/a.go": "package models\n//nolint:all\nvar a int",
			"models/b.go": "package models\n//lint:ignore ST1005 capital\nvar a int",
			"models/c.go": "package models\n//workflowcheck:ignore\nvar a int",
		},
		want: "no reason",
		good: map[string]string{"models/a.go": "package models\n//lint:ignore ST1005 the RFC spells it with a capital\nvar a int"},
	},
	"every fuzz target has a seed": {
		bad:  map[string]string{"models/a_test.go": `package models; func FuzzParse(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) {}) }`},
		want: "FuzzParse",
		good: map[string]string{
			"models/a_test.go": `package models; func FuzzParse(f *testing.F) { seed(f); f.Fuzz(nil) }; func FuzzOther(f *testing.F) { f.Add(1) }`,
			"models/b_test.go": `package models; func seed(f *testing.F) { f.Add([]byte("a")) }`,
		},
	},
	"a link in the documentation leads somewhere": {
		bad: map[string]string{
			"docs/README.md":      "see [it](gone.md)",
			"docs/adr/README.md":  "see [it](../operations/)",
			"docs/development.md": "see [it](../cmd/gone.go#L3)",
		},
		want: "there is no",
		good: map[string]string{
			"docs/README.md":     "[a](adr/) [b](adr/README.md#top) [c](https://example.com/x) [d](#here) ![e](picture.png)",
			"docs/adr/README.md": "[up](../README.md)",
		},
	},
	"every Go file has its licence line": {
		bad:  map[string]string{"models/a.go": "package models"},
		want: "SPDX",
		good: map[string]string{"models/a.go": "// SPDX-License-Identifier: MIT\n\npackage models"},
	},
}

func TestEachCheckFindsWhatIsWrong(t *testing.T) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			e, ok := examples[c.name]
			if !ok || len(e.bad) == 0 || len(e.good) == 0 {
				t.Fatal("the check has no example: nobody knows whether it can fail")
			}
			if c.why == "" {
				t.Error("the check gives no reason")
			}
			for name, text := range e.bad {
				found := findIn(t, c, map[string]string{name: text})
				if !strings.Contains(strings.Join(found, "\n"), e.want) {
					t.Errorf("bad example %s: findings %q lack %q", name, found, e.want)
				}
			}
			if found := findIn(t, c, e.good); len(found) > 0 {
				t.Errorf("good example: %q", found)
			}
		})
	}
	if len(examples) != len(checks) {
		t.Errorf("%d examples for %d checks", len(examples), len(checks))
	}
}

func findIn(t *testing.T, c check, files map[string]string) []string {
	t.Helper()
	tr, broken := newTree(files)
	if broken != nil {
		t.Fatal(broken)
	}
	return c.find(tr)
}
