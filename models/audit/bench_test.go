// SPDX-License-Identifier: MIT

package audit_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"encoding/json/v2"

	"github.com/trustloom/trustloom/models/audit"
)

// BenchmarkCode is what an event costs whoever writes it: its encoding and its
// code. docs/operations/audit.md has the figure.
func BenchmarkCode(b *testing.B) {
	key, e := audit.NewKey(make([]byte, 32)), event(1)
	for b.Loop() {
		key.Code(audit.Encode(&e))
	}
}

// BenchmarkVerify is the computing of a check, without the reading of the
// database: encoding, code, digest and chain of each event.
func BenchmarkVerify(b *testing.B) {
	key, e := audit.NewKey(make([]byte, 32)), event(1)
	e.MAC = key.Code(audit.Encode(&e))
	var tip audit.Tip
	for b.Loop() {
		tip = tip.Next(audit.NewEntry(&e, key).Digest)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// TestOpenSSLChecksAHead runs the recipe of docs/operations/audit.md as it
// stands there.
func TestOpenSSLChecksAHead(t *testing.T) {
	for _, tool := range []string{"bash", "openssl", "jq", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s here", tool)
		}
	}
	page, err := os.ReadFile("../../docs/operations/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "A head is checked without Trustloom like this:\n\n```bash\n")
	recipe, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("the page has no recipe")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := audit.NewCertificate(key, at)
	if err != nil {
		t.Fatal(err)
	}
	head, err := audit.SignHead(audit.Tip{Seq: 4711, Hash: audit.Digest([]byte("x"), true)}, at, key, certificate)
	if err != nil {
		t.Fatal(err)
	}
	run := func() (string, error) {
		signed := wire(head)
		text, err := json.Marshal(map[string]any{
			"seq": signed.Seq, "hash": signed.Hash, "at": signed.At, "signature": signed.Signature,
			"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: head.Certificate})),
		})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-eo", "pipefail", "-c", recipe)
		cmd.Dir = t.TempDir()
		if err := os.WriteFile(cmd.Dir+"/head.json", text, 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, io.Writer(&out)
		err = cmd.Run()
		return out.String(), err
	}
	if out, err := run(); err != nil || !strings.Contains(out, "Verified OK") {
		t.Errorf("%v: %s", err, out)
	}
	head.Seq++
	if out, err := run(); err == nil {
		t.Errorf("a head that was changed: %s", out)
	}
}
