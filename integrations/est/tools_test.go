// SPDX-License-Identifier: MIT

package est

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models/pki"
)

// shell runs commands as a device's user would type them.
func shell(t *testing.T, dir, script string, env ...string) string {
	t.Helper()
	for _, tool := range []string{"curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

func TestCurlAndOpenSSL(t *testing.T) {
	p := newPlant()
	server := serve(t, p)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tls.pem"), pki.EncodePEM(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	base := "BASE=" + server.URL + "/.well-known/est/press-shop"
	shell(t, dir, `
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout device.key -subj /CN=press-01 -out device.csr 2>/dev/null
		curl -sSf --cacert tls.pem "$BASE/cacerts" | openssl base64 -d | openssl pkcs7 -inform DER -print_certs -out ca.pem
		curl -sSf --cacert tls.pem -u press-01:open:sesame -H 'Content-Type: application/pkcs10' --data-binary @device.csr "$BASE/simpleenroll" |
			openssl base64 -d | openssl pkcs7 -inform DER -print_certs -out device.pem
		test $(grep -c BEGIN device.pem) = 1
		openssl verify -CAfile ca.pem device.pem
		openssl req -in device.csr -outform DER -out device.der
		cat device.pem ca.pem > chain.pem
		curl -sSf --http1.0 --cacert tls.pem --cert chain.pem --key device.key -H 'Content-Type: application/pkcs10' \
			--data-binary @device.der "$BASE/tls_client/simplereenroll" | base64 -d | openssl pkcs7 -inform DER -print_certs -out renewed.pem
		openssl verify -CAfile ca.pem renewed.pem
		openssl base64 -in device.der -out device.b64
		curl -sSf --cacert tls.pem --cert chain.pem --key device.key -H 'Content-Type: application/pkcs10' -H 'Transfer-Encoding: chunked' \
			--data-binary @device.b64 "$BASE/simpleenroll/" >chunked.b64
	`, base)

	der := must(os.ReadFile(filepath.Join(dir, "device.der")))
	p.hold(der, 90*time.Second)
	out := shell(t, dir, `
		curl -sS -i --cacert tls.pem -u press-01:open:sesame -H 'Content-Type: application/pkcs10' --data-binary @device.der "$BASE/simpleenroll"
		curl -sS -i --cacert tls.pem -u press-01:wrong -H 'Content-Type: application/pkcs10' --data-binary @device.der "$BASE/simpleenroll"
		curl -sS -i --path-as-is --cacert tls.pem "$BASE/../../est/press-shop/cacerts"
	`, base)
	for _, want := range []string{" 202", "Retry-After: 90", "the request waits; send the same request again after 90 seconds",
		" 401", "Basic realm=", "who are you?", " 404"} {
		if !strings.Contains(strings.ReplaceAll(out, "retry-after", "Retry-After"), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if !bytes.HasPrefix(der, []byte{0x30}) || strings.Contains(out, base64.StdEncoding.EncodeToString([]byte("press-01:wrong"))) {
		t.Error("not DER, or the password is echoed")
	}
}
