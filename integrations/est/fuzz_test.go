// SPDX-License-Identifier: MIT

package est

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// FuzzEnrollBody checks that every body is a request or KindInvalid, and that
// a request stays the same in another encoding.
func FuzzEnrollBody(f *testing.F) {
	csr := newRequest("press-01", newKey())
	f.Add(csr)
	f.Add(encodeBase64(csr))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n" + string(encodeBase64(csr)) + "-----END CERTIFICATE REQUEST-----\n"))
	f.Add([]byte(base64.StdEncoding.EncodeToString(csr[:40])))
	f.Fuzz(func(t *testing.T, body []byte) {
		parsed, err := decodeEnrollBody(body)
		if err != nil {
			if models.KindOf(err) != models.KindInvalid {
				t.Errorf("%v is not KindInvalid", err)
			}
			return
		}
		if len(encodeBase64(parsed.DER)) > pki.MaxCSR {
			return
		}
		again, err := decodeEnrollBody(encodeBase64(parsed.DER))
		if err != nil || !bytes.Equal(again.DER, parsed.DER) {
			t.Errorf("another encoding of the same request: %v", err)
		}
	})
}

// FuzzParsePath checks that what is accepted is a label of slugs and an
// operation, and that its path in the plain form means the same.
func FuzzParsePath(f *testing.F) {
	for _, path := range []string{"press-shop/cacerts", "press-shop/tls_server/simpleenroll/", "press-shop~tls_server/simplereenroll",
		"cacerts", "../x/cacerts", "a/b/c/cacerts", "%2e%2e/cacerts", "a~b~c/cacerts", "press-shop/fullcmc", ""} {
		f.Add(Prefix + path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		label, operation, err := parsePath(path)
		if err != nil {
			if models.KindOf(err) != models.KindNotFound || label != (Label{}) || operation != "" {
				t.Errorf("%v, %v, %q", err, label, operation)
			}
			return
		}
		if models.CheckName("domain", label.Domain) != nil || label.Profile != "" && models.CheckName("profile", label.Profile) != nil || methods[operation] == nil {
			t.Errorf("accepted %+v, %q", label, operation)
		}
		plain := Prefix + strings.TrimSuffix(label.Domain+"/"+label.Profile, "/") + "/" + operation
		again, same, err := parsePath(plain)
		if diff := cmp.Diff(label, again); err != nil || diff != "" || same != operation {
			t.Errorf("%s: %v %s", plain, err, diff)
		}
	})
}

// FuzzCSRAttrsBody checks that every answer to csrattrs is read or refused.
func FuzzCSRAttrsBody(f *testing.F) {
	encoded, err := pki.MarshalCSRAttrs(wanted)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add(encodeBase64(encoded))
	f.Add([]byte{0x30, 0})
	f.Add([]byte("MAA="))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeCSRAttrs(body); err != nil && models.KindOf(err) != models.KindInvalid {
			t.Errorf("%v is not KindInvalid", err)
		}
	})
}
