// SPDX-License-Identifier: MIT

package cmp

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// alone runs a test once more in a network namespace of its own, because
// OpenSSL's mock server listens on every address; it reports whether this is
// that run.
func alone(t *testing.T) bool {
	t.Helper()
	const variable = "TRUSTLOOM_TEST_ALONE"
	if os.Getenv(variable) != "" {
		raiseLoopback(t)
		return true
	}
	for _, tool := range []string{"openssl", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	flags := "-n"
	if os.Geteuid() != 0 {
		flags = "-rn"
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", flags, "true").CombinedOutput(); err != nil {
		t.Skipf("there are no network namespaces here: %s", out)
	}
	command := exec.CommandContext(t.Context(), "unshare", flags, os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), variable+"=1")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func raiseLoopback(t *testing.T) {
	t.Helper()
	fd := sure(syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0))
	defer syscall.Close(fd) //nolint:errcheck // nothing was written
	var request [40]byte    // ifreq: the name, and the flags
	copy(request[:], "lo")
	binary.NativeEndian.PutUint16(request[16:], syscall.IFF_UP)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Fatal(errno)
	}
}

// mock starts OpenSSL's mock server and returns its URL.
func mock(t *testing.T, dir string, port int, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	at := strconv.Itoa(port)
	command := exec.CommandContext(ctx, "openssl", slices.Concat([]string{"cmp", "-config", "", "-port", at, "-rsp_cert", "issued.pem", "-rsp_extracerts", "ca.pem", "-rsp_capubs", "ca.pem"}, arguments)...)
	command.Dir = dir
	out := sure(command.StdoutPipe())
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "ACCEPT") {
			go func() {
				for lines.Scan() { // until it ends
				}
			}()
			return "http://127.0.0.1:" + at + "/"
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("the mock server did not start: %s", strings.Join(said, "\n"))
	return ""
}

// mocked is what the mock server has, in files of dir, and its client.
type mocked struct {
	dir                string
	ca, server, device *identity
	request            *Request // which gets issued
	issued             *x509.Certificate
}

func newMocked(t *testing.T) *mocked {
	t.Helper()
	m := &mocked{dir: t.TempDir(), ca: newAuthority("Mock CA", nil), request: forDevice(BodyIR, "press-01")}
	m.server, m.device = m.ca.member("Mock Server"), m.ca.member("press-01")
	m.issued = m.ca.issue(&x509.Certificate{Subject: m.device.cert.Subject}, m.request.Key.Public())
	for name, data := range map[string][]byte{
		"ca.pem": pki.EncodePEM(m.ca.cert), "issued.pem": pki.EncodePEM(m.issued), "server.pem": pki.EncodePEM(m.server.cert),
		"server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: sure(x509.MarshalPKCS8PrivateKey(m.server.key))}),
	} {
		if err := os.WriteFile(filepath.Join(m.dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// of is the request in another body.
func (m *mocked) of(body BodyType, explicit bool) *Request {
	r := *m.request
	r.Type, r.Explicit = body, explicit
	switch body {
	case BodyKUR:
		r.OldCert = m.issued // the mock server wants it to be what it issues
	case BodyP10CR:
		r.CSR = sure(x509.CreateCertificateRequest(nil, &x509.CertificateRequest{Subject: m.device.cert.Subject}, r.Key))
	}
	return &r
}

func TestClientAgainstOpenSSL(t *testing.T) {
	if !alone(t) {
		return
	}
	m := newMocked(t)
	of, issued := m.of, m.issued
	mac := []string{"-srv_ref", "mock", "-srv_secret", "pass:1234-5678"}
	signed := []string{"-srv_cert", "server.pem", "-srv_key", "server.key", "-srv_trusted", "ca.pem", "-srv_untrusted", "ca.pem"}
	secret := ClientConfig{Reference: "press-01", Secret: []byte("1234-5678")}
	key := ClientConfig{Signer: m.device.key, Chain: []*x509.Certificate{m.device.cert, m.ca.cert}, Trust: []*x509.Certificate{m.server.cert}}
	believing := secret
	believing.UnprotectedErrors = true
	pbmac1 := secret
	pbmac1.PBMAC1 = true
	for i, c := range []struct {
		name    string
		server  []string
		cfg     ClientConfig
		request *Request
		polls   int
		kind    models.Kind
		fail    FailInfo
		text    string
	}{
		{"ir with a MAC", mac, secret, of(BodyIR, false), 0, 0, 0, ""},
		{"ir with a MAC, implicit", append(slices.Clone(mac), "-grant_implicitconf"), secret, of(BodyIR, false), 0, 0, 0, ""},
		{"ir with a MAC, asked three times", append(slices.Clone(mac), "-poll_count", "3", "-check_after", "7"), secret, of(BodyIR, true), 3, 0, 0, ""},
		{"cr with a signature", signed, key, of(BodyCR, true), 0, 0, 0, ""},
		{"cr with a signature, asked twice", append(slices.Clone(signed), "-poll_count", "2", "-check_after", "1"), key, of(BodyCR, true), 2, 0, 0, ""},
		{"kur", signed, key, of(BodyKUR, true), 0, 0, 0, ""},
		{"p10cr", signed, key, of(BodyP10CR, true), 0, 0, 0, ""},
		{"p10cr, asked once", append(slices.Clone(signed), "-poll_count", "1", "-check_after", "1"), key, of(BodyP10CR, true), 1, 0, 0, ""},
		{"a rejection", append(slices.Clone(mac), "-pkistatus", "2", "-failure", "9", "-statusstring", "no proof"), secret, of(BodyIR, true), 0, models.KindInvalid, FailBadPOP, "badPOP: no proof"},
		{"an error", append(slices.Clone(mac), "-send_error"), secret, of(BodyIR, true), 0, models.KindInvalid, FailBadRequest, "badRequest: error processing message"},
		{"an unprotected error", append(slices.Clone(mac), "-send_error", "-send_unprot_err"), secret, of(BodyIR, true), 0, models.KindUnavailable, FailSystemUnavail, "without protection"},
		{"an unprotected error that is believed", append(slices.Clone(mac), "-send_error", "-send_unprot_err"), believing, of(BodyIR, true), 0, models.KindInvalid, FailBadRequest, "badRequest"},
		{"an unprotected rejection", append(slices.Clone(mac), "-send_unprot_err", "-pkistatus", "2", "-failure", "23"), secret, of(BodyIR, true), 0, models.KindUnavailable, FailSystemUnavail, "not protected"},
		{"answers without protection", append(slices.Clone(mac), "-send_unprotected"), believing, of(BodyIR, true), 0, models.KindUnavailable, FailSystemUnavail, "not protected"},
		{"another secret", []string{"-srv_ref", "mock", "-srv_secret", "pass:other", "-accept_unprotected"}, secret, of(BodyIR, true), 0, models.KindUnavailable, FailSystemUnavail, "does not know the shared secret"},
		{"PBMAC1, which OpenSSL does not know", mac, pbmac1, of(BodyIR, true), 0, models.KindInvalid, FailBadRequest, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := c.cfg
			cfg.URL = mock(t, m.dir, 8100+i, c.server...)
			client := newTestClient(t, cfg)
			transaction := sure(NewClientTransaction(c.request))
			result, err := client.Ask(t.Context(), transaction)
			for n := 1; err == nil && result.Pending(); n++ {
				if n > c.polls {
					t.Fatalf("it waits longer than it should, for %s", result.RetryAfter)
				}
				result, err = client.Ask(t.Context(), transaction)
			}
			if c.fail != 0 {
				if models.KindOf(err) != c.kind || FailInfoOf(err) != c.fail || !strings.Contains(models.PublicText(err), c.text) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || !result.Certificate.Equal(issued) {
				t.Fatalf("%+v, %v", result, err)
			}
			if !result.Confirmed {
				if err := client.Confirm(t.Context(), transaction, result.Certificate, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Run("rr, and then genm", func(t *testing.T) { // the server closes the connection between them
		cfg := key
		cfg.URL = mock(t, m.dir, 8200, signed...)
		client := newTestClient(t, cfg)
		if err := client.Revoke(t.Context(), issued, 1); err != nil {
			t.Error(err)
		}
		answer, err := client.General(t.Context(), Attribute{OID: OIDSignKeyPairTypes})
		if err != nil || answer == nil || answer.Value != nil { // it returns the question
			t.Errorf("%+v, %v", answer, err)
		}
	})
}
