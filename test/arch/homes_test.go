// SPDX-License-Identifier: MIT

package arch_test

import "strings"

// A home says where a third-party package may be imported: in packages
// ("models/store", "cmd/...") or in single files ("models/pki/cms.go"). No
// home at all means: in tests only.
type home struct {
	dependency string
	in         []string
}

// homes is the table of design.md §2, "one third-party dependency, one home".
// The row of docs/adr/0003 says what each is for. The first match counts.
var homes = []home{
	{"github.com/gin-gonic/gin/...", []string{"api/rest", "api/ui", "api/server"}},

	{"gorm.io/...", []string{"models/store"}},
	{"modernc.org/sqlite/...", []string{"models/store"}},
	{"github.com/jackc/pgx/v5/...", []string{"models/store"}},

	{"github.com/ThalesGroup/crypto11/...", []string{"integrations/hsm"}},
	{"github.com/miekg/pkcs11/...", []string{"integrations/hsm"}},           // the errors crypto11 returns
	{"github.com/thales-e-security/pool/...", []string{"integrations/hsm"}}, // the errors of its session pool
	{"github.com/smallstep/pkcs7/...", []string{"models/pki/cms.go"}},
	{"software.sslmate.com/src/go-pkcs12/...", []string{"models/pki/credential.go"}},
	{"github.com/zmap/zlint/v3/...", []string{"models/pki/lint.go"}},
	{"github.com/zmap/zcrypto/...", []string{"models/pki/lint.go"}}, // the certificates zlint takes
	{"github.com/coreos/go-oidc/v3/...", []string{"integrations/oidc"}},
	{"golang.org/x/oauth2/...", []string{"integrations/oidc"}},
	{"github.com/robfig/cron/v3/...", []string{"models/policy"}},
	{"github.com/slack-go/slack/...", []string{"integrations/notify"}},

	{"go.temporal.io/server/...", []string{"cmd/trustloom-temporal"}},
	{"go.temporal.io/sdk/...", []string{"workflows", "activities/errors.go", "integrations/temporald", "cmd/trustloomd/...", "cmd/trustloom-temporal"}},
	{"go.temporal.io/api/...", []string{"workflows", "integrations/temporald", "cmd/trustloomd/...", "cmd/trustloom-temporal"}},

	{"google.golang.org/grpc/...", []string{"integrations/temporald", "cmd/trustloom-temporal"}},     // options of Temporal's connections
	{"google.golang.org/protobuf/...", []string{"cmd/trustloom-temporal", "integrations/temporald"}}, // types in Temporal's own messages

	{"github.com/spf13/cobra/...", []string{"cmd/..."}},
	{"github.com/spf13/pflag/...", []string{"cmd/..."}},
	{"github.com/goccy/go-yaml/...", []string{"cmd/trustloomd/app", "cmd/trustloom-agent"}},
	{"github.com/google/uuid/...", []string{"models", "api/server"}},
	{"github.com/prometheus/client_golang/...", []string{"cmd/trustloomd/app", "api/server", "integrations/temporald"}},

	{"golang.org/x/crypto/ocsp/...", []string{"integrations/ocsp"}},
	{"golang.org/x/crypto/cryptobyte/...", append([]string{"models/pki/...", "integrations/hsm"}, protocols...)},
	{"golang.org/x/net/idna/...", []string{"models/pki"}},
	{"golang.org/x/text/...", []string{"models/pki"}},
	{"golang.org/x/sync/...", []string{"api/...", "cmd/...", "models/store", "integrations/..."}},
	{"golang.org/x/term/...", []string{"cmd/trustloom"}},
	{"golang.org/x/sys/...", []string{"cmd/...", "integrations/temporald"}},

	{"github.com/google/go-cmp/...", nil},
	{"github.com/cloudflare/circl/...", []string{"test/interop"}},
	{"github.com/google/jsonschema-go/...", nil},
	{"github.com/stretchr/testify/...", nil},
	{"github.com/rogpeppe/go-internal/testscript/...", nil},
}

func homeOf(path string) *home {
	for i := range homes {
		if under(path, homes[i].dependency) {
			return &homes[i]
		}
	}
	return nil
}

func findHomes(t *tree) []string {
	var f findings
	for _, s := range t.goFiles(nil) {
		for _, i := range s.imports() {
			if !i.thirdParty() {
				continue
			}
			h := homeOf(i.path)
			switch {
			case h == nil:
				f.add(s, i.line, "%s has no home: enter it in homes_test.go and in docs/adr/0003", i.path)
			case s.isTest():
				// tests may use what has a home somewhere
			case len(h.in) == 0:
				f.add(s, i.line, "%s is at home in tests only", i.path)
			case !under(s.pkg(), h.in...) && !under(s.path, h.in...):
				f.add(s, i.line, "%s is at home in %q", i.path, h.in)
			}
		}
	}
	return f.sorted()
}

const dependenciesADR = "docs/adr/0003-dependencies.md"

func findUndocumentedDependencies(t *tree) []string {
	var f findings
	text := t.find(dependenciesADR)
	reported := map[string]bool{}
	for _, s := range t.goFiles(nil) {
		for _, i := range s.imports() {
			h := homeOf(i.path)
			if !i.thirdParty() || h == nil || reported[h.dependency] {
				continue
			}
			if !strings.Contains(text, "`"+strings.TrimSuffix(h.dependency, "/...")) {
				reported[h.dependency] = true
				f.add(s, i.line, "%s is used and has no row in %s", h.dependency, dependenciesADR)
			}
		}
	}
	return f.sorted()
}
