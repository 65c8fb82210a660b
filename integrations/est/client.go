// SPDX-License-Identifier: MIT

package est

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/trustloom/trustloom/models"
)

const (
	maxAnswer      = 256 << 10 // octets
	defaultTimeout = 60 * time.Second
	defaultPending = 60 * time.Second // if a 202 does not say
	maxPending     = 7 * 24 * time.Hour
	maxHeader      = 64 << 10
	maxSentence    = 300 // characters of an error text that are passed on
)

// ClientConfig says which server a Client talks to, and as whom.
type ClientConfig struct {
	URL         string           // of the server, such as https://pki.example:8443
	Label       Label            // the zero Label for servers that have none; Profile needs a Domain
	Roots       *x509.CertPool   // the server's trust anchors; nil for those of the system
	Certificate *tls.Certificate // authenticates the client; the chain is sent with its intermediates
	Username    string           // HTTP Basic, if not empty
	Password    string
	Timeout     time.Duration // of one exchange; default one minute
}

// Client enrolls at an EST server (RFC 7030). It is safe for concurrent use.
type Client struct {
	base     string
	host     string
	settings *tls.Config
	username string
	password string
	http     *http.Client
}

// NewClient returns a Client. It is KindInvalid for a URL that is not one of
// an HTTPS server.
func NewClient(cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, models.Errorf(models.KindInvalid, "EST server %q: write https://host:port", cfg.URL)
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}
	if cfg.Certificate != nil {
		// Servers that name acceptable CAs often forget some: it is sent in any case.
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cfg.Certificate, nil }
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	path := strings.TrimSuffix(base.Path, "/") + strings.TrimSuffix(Prefix, "/")
	for _, segment := range []string{cfg.Label.Domain, cfg.Label.Profile} {
		if segment != "" {
			path += "/" + url.PathEscape(segment)
		}
	}
	return &Client{
		base: base.Scheme + "://" + base.Host + path + "/", host: base.Host, settings: settings, username: cfg.Username, password: cfg.Password,
		http: &http.Client{
			Timeout:   cfg.Timeout,
			Transport: &http.Transport{TLSClientConfig: settings, MaxResponseHeaderBytes: maxHeader},
			// A redirect could lead credentials and trust elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// As returns a Client that authenticates with another user name and password,
// over the same connections.
func (c *Client) As(username, password string) *Client {
	other := *c
	other.username, other.password = username, password
	return &other
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// CACerts returns the certificates of the CA (RFC 7030 §4.1). They are as
// trustworthy as the TLS connection.
func (c *Client) CACerts(ctx context.Context) ([]*x509.Certificate, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+opCACerts, nil)
	if err != nil {
		return nil, err
	}
	result, err := c.exchange(request)
	if err == nil && result.Pending() {
		return nil, badAnswer("the EST server lets its CA certificates wait")
	}
	return result.Certificates, err
}

// SimpleEnroll sends a PKCS #10 request in DER (RFC 7030 §4.2.1). The result
// is pending, or has the certificate for the request's key first and whatever
// else the server sent after it. Sending the same request again is how one
// asks whether a pending one is ready.
func (c *Client) SimpleEnroll(ctx context.Context, csr []byte) (Result, error) {
	return c.enroll(ctx, opSimpleEnroll, csr)
}

// SimpleReenroll is SimpleEnroll for the renewal of the client's certificate
// (RFC 7030 §4.2.2).
func (c *Client) SimpleReenroll(ctx context.Context, csr []byte) (Result, error) {
	return c.enroll(ctx, opSimpleReenroll, csr)
}

func (c *Client) enroll(ctx context.Context, operation string, csr []byte) (Result, error) {
	parsed, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return Result{}, models.Errorf(models.KindInvalid, "the request is not a PKCS #10 certification request in DER").Because(err)
	}
	request, err := c.post(ctx, operation, csr)
	if err != nil {
		return Result{}, err
	}
	result, err := c.exchange(request)
	if err != nil || result.Pending() {
		return result, err
	}
	key, ok := parsed.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	i := slices.IndexFunc(result.Certificates, func(cert *x509.Certificate) bool { return ok && key.Equal(cert.PublicKey) })
	if i < 0 {
		return Result{}, badAnswer("the EST server sent no certificate for the key of the request")
	}
	issued := result.Certificates[i]
	result.Certificates = slices.Insert(slices.Delete(result.Certificates, i, i+1), 0, issued)
	return result, nil
}

// post makes a request with a CSR.
func (c *Client) post(ctx context.Context, operation string, csr []byte) (*http.Request, error) {
	// A reader of known size: the body has a Content-Length, not chunks.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+operation, bytes.NewReader(encodeBase64(csr)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", typePKCS10)
	request.Header.Set("Content-Transfer-Encoding", "base64")
	if c.username != "" {
		request.SetBasicAuth(c.username, c.password)
	}
	return request, nil
}

// send sends a request and reads the body of the answer within bounds.
func (c *Client) send(request *http.Request) (*http.Response, []byte, error) {
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, nil, models.Errorf(models.KindUnavailable, "the EST server %s cannot be reached", request.URL.Host).Because(err)
	}
	defer answer.Body.Close() //nolint:errcheck // what was read is read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, nil, badAnswer("the answer of the EST server broke off").Because(err)
	case len(body) > maxAnswer:
		return nil, nil, badAnswer("the answer of the EST server is larger than %d KiB", maxAnswer>>10)
	}
	return answer, body, nil
}

// exchange sends a request whose answer are certificates.
func (c *Client) exchange(request *http.Request) (Result, error) {
	answer, body, err := c.send(request)
	if err != nil {
		return Result{}, err
	}
	switch {
	case answer.StatusCode == http.StatusAccepted:
		return Result{RetryAfter: pendingFor(answer)}, nil
	case answer.StatusCode != http.StatusOK:
		return Result{}, statusError(answer, body)
	case !isType(answer.Header.Values("Content-Type"), typePKCS7):
		return Result{}, badAnswer("the answer of the EST server is not %s", typePKCS7)
	}
	certs, err := decodeCertsOnly(body)
	if err != nil {
		return Result{}, badAnswer("the EST server's certificates cannot be read: %s", models.PublicText(err)).Because(err)
	}
	return Result{Certificates: certs}, nil
}

func badAnswer(format string, args ...any) *models.Error {
	return models.Errorf(models.KindUnavailable, format, args...)
}

// kinds is the inverse of statuses, as far as there is one.
var kinds = map[int]models.Kind{
	http.StatusUnauthorized: models.KindUnauthenticated, http.StatusForbidden: models.KindDenied, http.StatusNotFound: models.KindNotFound,
	http.StatusConflict: models.KindConflict, http.StatusTooManyRequests: models.KindLimited,
}

// statusError turns an answer that is no success into an error with what the
// server said, as far as people can read it.
func statusError(answer *http.Response, body []byte) error {
	kind, known := kinds[answer.StatusCode]
	switch {
	case known:
	case answer.StatusCode >= 400 && answer.StatusCode < 500:
		kind = models.KindInvalid
	default:
		kind = models.KindUnavailable
	}
	sentence := ""
	if isType(answer.Header.Values("Content-Type"), "text/plain") {
		sentence = readable(string(body))
	}
	if sentence != "" {
		sentence = ": " + sentence
	}
	delay, _ := parseRetryAfter(answer)
	return models.Errorf(kind, "the EST server answered %d%s", answer.StatusCode, sentence).After(delay)
}

func readable(text string) string {
	kept := strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, text)
	runes := []rune(strings.Join(strings.Fields(kept), " "))
	return string(runes[:min(len(runes), maxSentence)])
}

func pendingFor(answer *http.Response) time.Duration {
	if delay, err := parseRetryAfter(answer); err == nil {
		return max(delay, time.Second)
	}
	return defaultPending
}

var errNoRetryAfter = errors.New("no Retry-After header that can be read")

// parseRetryAfter reads the delay in seconds or as a date, which counts from
// the Date of the answer (RFC 9110 §10.2.3).
func parseRetryAfter(answer *http.Response) (time.Duration, error) {
	value := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxPending), nil
	}
	until, err := http.ParseTime(value)
	sent, errSent := http.ParseTime(answer.Header.Get("Date"))
	if err != nil || errSent != nil {
		return 0, errNoRetryAfter
	}
	return min(max(until.Sub(sent), 0), maxPending), nil
}
