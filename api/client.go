// SPDX-License-Identifier: MIT

package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
)

const (
	basePath    = "/api/v1"
	maxAnswer   = 16 << 20 // bytes of one answer
	maxAttempts = 3
	maxPause    = 10 * time.Second // the longest Retry-After that is waited for
)

// Config says where the server is and how to be recognised by it.
type Config struct {
	URL     string         // base, for example https://127.0.0.1:8443
	Token   string         // bearer token
	CAFile  string         // PEM file of the CAs that the server's certificate may come from; empty: RootCAs
	RootCAs *x509.CertPool // used without CAFile; nil: the system's
	Timeout time.Duration  // of one attempt; 30 s unless set

	// Proxy is as in http.Transport; nil means none.
	Proxy func(*http.Request) (*url.URL, error)
}

// Client calls the REST API. Its methods are named after the routes; errors
// that the server told are *Problem. It is safe for concurrent use.
//
// A call is repeated up to twice when the server asks to come back; when the
// connection breaks only if that does no harm: GET, and POST, which carries an
// Idempotency-Key. A secret that such a broken connection swallowed is not
// shown again.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// NewClient returns a client. It is KindInvalid if the URL is not http(s)
// with a host, or if CAFile cannot be read or holds no certificate.
func NewClient(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, models.Errorf(models.KindInvalid, "server URL %q is not of the form https://host:port", cfg.URL)
	}
	pool := cfg.RootCAs
	if cfg.CAFile != "" {
		if pool, err = readPool(cfg.CAFile); err != nil {
			return nil, err
		}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	transport := &http.Transport{
		Proxy:               cfg.Proxy,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
	}
	return &Client{
		base:  strings.TrimRight(cfg.URL, "/") + basePath,
		token: cfg.Token,
		http:  &http.Client{Transport: transport, Timeout: cfg.Timeout, CheckRedirect: refuseRedirect},
	}, nil
}

// refuseRedirect keeps the bearer token from being sent elsewhere.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func readPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, models.Errorf(models.KindInvalid, "CA file %s cannot be read", path).Because(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, models.Errorf(models.KindInvalid, "CA file %s holds no PEM certificate", path)
	}
	return pool, nil
}

// call is one request of the API.
type call struct {
	method string
	path   string // escaped, relative to basePath
	query  url.Values
	body   []byte
	key    string // Idempotency-Key
}

// path joins segments, each escaped.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (*T, error) {
	return send[T](ctx, c, call{method: http.MethodGet, path: path, query: query}, nil)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (*T, error) {
	return send[T](ctx, c, call{method: http.MethodPost, path: path, key: models.NewID[string]()}, body)
}

func change[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	return send[T](ctx, c, call{method: method, path: path}, body)
}

// send performs a call and decodes its answer. Members that this version of
// the client does not know are ignored.
func send[T any](ctx context.Context, c *Client, r call, body any) (*T, error) {
	data, err := c.text(ctx, r, body)
	if err != nil {
		return nil, err
	}
	answer := new(T)
	if len(data) == 0 {
		return answer, nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return nil, fmt.Errorf("read the answer of %s %s: %w", r.method, r.path, err)
	}
	return answer, nil
}

// text performs a call and returns the bytes of its answer.
func (c *Client) text(ctx context.Context, r call, body any) ([]byte, error) {
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the body of %s %s: %w", r.method, r.path, err)
		}
		r.body = data
	}
	for attempt := 1; ; attempt++ {
		data, pause, err := c.attempt(ctx, r)
		if err == nil {
			return data, nil
		}
		if pause < 0 || pause > maxPause || attempt == maxAttempts {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// attempt sends a call once. A negative pause means that repeating is of no use.
func (c *Client) attempt(ctx context.Context, r call) (data []byte, pause time.Duration, err error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, -1, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, faultPause(ctx, r, err), fmt.Errorf("call %s: %w", c.base, err)
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, faultPause(ctx, r, err), fmt.Errorf("read the answer of %s %s: %w", r.method, r.path, err)
	}
	if len(data) > maxAnswer {
		return nil, -1, fmt.Errorf("the answer of %s %s is longer than %d bytes", r.method, r.path, maxAnswer)
	}
	if resp.StatusCode < 300 {
		return data, 0, nil
	}
	return nil, retryPause(resp), problemOf(resp, data)
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json, application/problem+json, */*")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	return req, nil
}

// faultPause returns the pause after a broken connection: negative unless the
// call may be repeated. A bad server certificate does not mend itself.
func faultPause(ctx context.Context, r call, err error) time.Duration {
	var certificate *tls.CertificateVerificationError
	if ctx.Err() != nil || errors.As(err, &certificate) || (r.method != http.MethodGet && r.key == "") {
		return -1
	}
	return 200 * time.Millisecond
}

// retryPause returns the server's Retry-After for answers that ask to come
// back, and -1 for all others.
func retryPause(resp *http.Response) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return -1
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return time.Second
	}
	return time.Duration(seconds) * time.Second
}

// problemOf reads a problem document, or makes one for an answer that has
// none, such as a proxy's.
func problemOf(resp *http.Response, data []byte) *Problem {
	p := new(Problem)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") && json.Unmarshal(data, p) == nil {
		p.Status = resp.StatusCode
		return p
	}
	return &Problem{
		Type: "about:blank", Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode),
		Detail:    fmt.Sprintf("the server answered %s without saying why; is this the address of a Trustloom server?", resp.Status),
		RequestID: resp.Header.Get("X-Request-Id"),
	}
}
