// SPDX-License-Identifier: MIT

package cmp

import (
	"strings"
	"testing"
)

func TestExplainSaysWhatIsThere(t *testing.T) {
	vectors := files(t, "openssl/*.der")
	for name, wants := range map[string][]string{
		"ir":           {"ir: initialization request", "protection       PasswordBasedMac", `("press-01")`, "subject        CN=press-01", "EC P-256 key", "signature over the request, ECDSA with SHA-256"},
		"cr":           {"implicitConfirm  there is to be no certConf", "extension      2.5.29.17", "not after      20"},
		"ip":           {"certificates of CAs:", "status         accepted", "certificate    CN=press-01, issued by CN=press-01"},
		"cp":           {"extra certificates:"},
		"ip-waiting":   {"status         waiting"},
		"ip-rejection": {"failure        badPOP", `text           "no proof"`},
		"ir-certconf":  {"certificate of request 0:", "hash"},
		"ir-pollreq":   {"asks about       request 0"},
		"kur":          {"control 1.3.6.1.5.5.7.5.1.5"},
		"p10cr":        {"request          CN=press-01, EC P-256 key"},
		"rr":           {"certificate to revoke:", "entry extensions"},
		"rp":           {"status           accepted"},
		"genm":         {"signKeyPairTypes (asked for)"},
		"error":        {"failure          badRequest", "error code", "details"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ParseMessage(vectors[name])
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := Explain(&out, m); err != nil {
				t.Fatal(err)
			}
			for _, want := range wants {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, out.String())
				}
			}
		})
	}
}
