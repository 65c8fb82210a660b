// SPDX-License-Identifier: MIT

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/integrations/est"
)

// TestGuessingIsThrottledWhileOthersEnroll guesses a thousand times at one
// device, then a thousand times at as many names from one address, while
// other devices are onboarded.
func TestGuessingIsThrottledWhileOthersEnroll(t *testing.T) {
	p := newPlant(t, start(t), "software")
	victim, neighbour := p.register(t, "victim"), p.register(t, "neighbour")
	var others []*device
	for i := range 8 {
		others = append(others, p.register(t, fmt.Sprint("other-", i)))
	}
	for attack, name := range map[string]func(i int) string{
		"127.0.0.9": func(int) string { return "victim" }, "127.0.0.10": func(i int) string { return fmt.Sprint("guess-", i) },
	} {
		answers := make(chan map[int]int, 1)
		go func() { answers <- p.guess(t, attack, 1000, name) }()
		for _, d := range others[:4] {
			if err := p.onboard(t, d, "127.0.0.1"); err != nil {
				t.Errorf("%s during the attack from %s: %v", d.name, attack, err)
			}
		}
		others = others[4:]
		counts := <-answers
		if most := 300; counts[401] < 10 || counts[401] > most || counts[401]+counts[503] != 1000 {
			t.Errorf("attack from %s: answers by status %v; at most %d were to be looked at", attack, counts, most)
		}
	}
	if err := p.onboard(t, victim, "127.0.0.1"); err == nil || !strings.Contains(err.Error(), "failed attempts") {
		t.Errorf("the victim's right password during the lock: %v", err)
	}
	eventually(t, "a device at the attacker's address gets in", 20*time.Second, func() bool { return p.onboard(t, neighbour, "127.0.0.10") == nil })
	locks := must(p.api.ListEvents(background(), api.EventFilter{Action: "authentication.locked"}))(t)
	if len(locks.Items) == 0 || len(locks.Items) > 5 || locks.Items[0].Details["claimed"] != "victim" {
		t.Errorf("events %s", asJSON(t, locks))
	}
	for _, outcome := range []string{"failed", "limited", "locked"} {
		if !strings.Contains(metrics(t, p.instance), `trustloom_authentication_refusals_total{method="password",outcome="`+outcome+`"}`) {
			t.Errorf("no metric of what was %s", outcome)
		}
	}
}

// httpFrom returns a client whose connections come from a loopback address.
func (p *plant) httpFrom(t testing.TB, address string) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(p.CA))(t))
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// guess sends wrong passwords, eight at a time, and counts the answers.
func (p *plant) guess(t testing.TB, address string, n int, name func(int) string) map[int]int {
	client, csr := p.httpFrom(t, address), newRequest(t)
	counts, next := map[int]int{}, make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var group sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		group.Go(func() {
			for i := range next {
				status, retry := p.postCSR(t, client, csr, name(i), "wrong")
				mu.Lock()
				counts[status]++
				mu.Unlock()
				if status == http.StatusServiceUnavailable && retry == "" {
					t.Error("503 without Retry-After")
				}
			}
		})
	}
	group.Wait()
	return counts
}

func newRequest(t testing.TB) []byte {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	return must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))(t)
}

func (p *plant) postCSR(t testing.TB, client *http.Client, csr []byte, name, password string) (status int, retryAfter string) {
	body := base64.StdEncoding.EncodeToString(csr)
	r := must(http.NewRequest(http.MethodPost, "https://"+p.HTTPS+est.Prefix+p.domain+"/simpleenroll", bytes.NewReader([]byte(body))))(t)
	r.Header.Set("Content-Type", "application/pkcs10")
	r.SetBasicAuth(name, password)
	resp, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Retry-After")
}

// onboard sends a device's right password until the answer is a certificate
// or a refusal.
func (p *plant) onboard(t testing.TB, d *device, address string) error {
	t.Helper()
	client, csr := p.httpFrom(t, address), newRequest(t)
	for range 100 {
		switch status, _ := p.postCSR(t, client, csr, d.name, d.secret); status {
		case http.StatusOK:
			return nil
		case http.StatusAccepted:
			time.Sleep(100 * time.Millisecond)
		case http.StatusServiceUnavailable:
			return fmt.Errorf("too many failed attempts")
		default:
			return fmt.Errorf("status %d", status)
		}
	}
	return fmt.Errorf("pending for too long")
}
