// SPDX-License-Identifier: MIT

package cmp

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
	"strings"
	"sync/atomic"
	"time"

	"github.com/trustloom/trustloom/models"
)

const (
	maxAnswer      = 4 << 20 // octets: there may be CRLs in it
	maxAnswerParts = 1 << 19 // elements
	defaultTimeout = 60 * time.Second
	maxHeader      = 64 << 10
	maxSentence    = 300 // characters of an error text that are passed on
)

// ClientConfig says which server a Client talks to, as whom, and whom it
// believes.
type ClientConfig struct {
	URL   string         // of the server, such as http://pki.example:8080; a path is kept
	Label Label          // added to the URL as /.well-known/cmp/p/…; the zero Label: the URL is used as it is
	Roots *x509.CertPool // of a TLS server; nil for those of the system

	// Messages are protected by a shared secret, or by a key and its chain.
	Reference string // senderKID of the secret
	Secret    []byte
	PBMAC1    bool // instead of PasswordBasedMac
	Signer    crypto.Signer
	Chain     []*x509.Certificate // the signer's first

	// Trust are whom answers with a signature are believed: CA certificates
	// whose servers have id-kp-cmcCA or id-kp-cmcRA, or the certificate of the
	// server itself. With a secret, answers need none.
	Trust []*x509.Certificate
	// UnprotectedErrors believes errors and rejections without protection.
	// Anybody on the way can make them: it is for servers that know no better.
	UnprotectedErrors bool

	Recipient []byte           // DER of the server's Name; nil: that of Trust if it is one, else the empty one
	Version   int              // pvno of requests; 0: 2, and 3 where it is needed
	Timeout   time.Duration    // of one exchange; default one minute
	Now       func() time.Time // nil: messages have no time, certificates are not checked for theirs
}

// Client enrolls at a CMP server (RFC 9810, RFC 9483) over HTTP (RFC 9811). It
// is safe for concurrent use.
type Client struct {
	cfg     ClientConfig
	url     string
	host    string
	http    *http.Client
	protect protector
	seen    *atomic.Pointer[x509.Certificate] // who signed the last answer, and may
}

// NewClient returns a Client. It is KindInvalid for a URL that is not one of a
// server, and for no way, or two, to protect messages.
func NewClient(cfg ClientConfig) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, models.Errorf(models.KindInvalid, "CMP server %q: write http://host:port or https://host:port", cfg.URL)
	}
	if (len(cfg.Secret) > 0) == (cfg.Signer != nil) || cfg.Signer != nil && len(cfg.Chain) == 0 {
		return nil, models.Errorf(models.KindInvalid, "CMP needs a shared secret, or a key with its certificate, and not both")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	path := base.EscapedPath()
	if cfg.Label != (Label{}) {
		path = strings.TrimSuffix(path, "/") + Prefix + "/p"
		for _, segment := range []string{cfg.Label.Domain, cfg.Label.Profile} {
			if segment != "" {
				path += "/" + url.PathEscape(segment)
			}
		}
	}
	c := &Client{cfg: cfg, url: base.Scheme + "://" + base.Host + path, host: base.Host, seen: &atomic.Pointer[x509.Certificate]{}, http: &http.Client{
		Timeout:   cfg.Timeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}, MaxResponseHeaderBytes: maxHeader},
		// A redirect could lead elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.protect, err = cfg.protector()
	return c, err
}

// As returns a Client that protects messages with another secret, over the
// same connections.
func (c *Client) As(reference string, secret []byte) (*Client, error) {
	other := *c
	other.cfg.Reference, other.cfg.Secret, other.cfg.Signer, other.cfg.Chain = reference, secret, nil, nil
	var err error
	other.protect, err = other.cfg.protector()
	return &other, err
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// protector derives the key of the MAC, or takes the key that signs.
func (cfg *ClientConfig) protector() (protector, error) {
	if cfg.Signer != nil {
		return newSigning(cfg.Signer)
	}
	own, err := (&macAlgorithm{pbkdf2: cfg.PBMAC1}).fresh()
	if err != nil {
		return nil, err
	}
	return own.with(cfg.Secret)
}

// Ask sends the request of a transaction, or if it waits, asks how it stands.
// It changes t: store it before the next call if it shall survive a crash. A
// transaction that failed, other than by KindUnavailable or KindLimited, is
// over.
func (c *Client) Ask(ctx context.Context, t *ClientTransaction) (*Result, error) {
	request, err := t.request()
	if err != nil {
		return nil, err
	}
	if t.Waiting {
		return c.poll(ctx, t, request)
	}
	out := &Message{Body: *request}
	if !t.Explicit {
		out.Header.GeneralInfo = append(out.Header.GeneralInfo, ImplicitConfirmInfo())
	}
	if t.Profile != "" {
		profile, err := CertProfileInfo(t.Profile)
		if err != nil {
			return nil, err
		}
		out.Header.GeneralInfo = append(out.Header.GeneralInfo, profile)
	}
	t.TheirNonce = nil // a request that is sent again begins anew
	m, err := c.exchange(ctx, t, out)
	if err != nil {
		return nil, err
	}
	return c.answered(ctx, t, request, m)
}

// poll sends pollReq (RFC 9810 §5.3.22).
func (c *Client) poll(ctx context.Context, t *ClientTransaction, request *Body) (*Result, error) {
	m, err := c.exchange(ctx, t, &Message{Body: Body{Type: BodyPollReq, PollReqs: []int{t.RequestID}}})
	var refused *refusal
	if errors.As(err, &refused) && refused.info&FailBadCertID != 0 {
		return nil, WithFailInfo(models.Errorf(models.KindConflict, "the CMP server does not know the transaction any more; begin another one").Because(err), refused.info)
	}
	if err != nil {
		return nil, err
	}
	return c.answered(ctx, t, request, m)
}

// answered reads what answers a request or a pollReq.
func (c *Client) answered(ctx context.Context, t *ClientTransaction, request *Body, m *Message) (*Result, error) {
	if m.Body.Type == BodyPollRep && t.Waiting {
		reply := m.Body.PollReps[0]
		return &Result{RetryAfter: time.Duration(max(1, reply.CheckAfter)) * time.Second, Reason: sentence(reply.Reason)}, nil
	}
	if m.Body.Type != answers[request.Type] || len(m.Body.Replies.Responses) != 1 {
		return nil, badAnswer("the CMP server answered %s with %s", request.Type, m.Body.Type)
	}
	response := &m.Body.Replies.Responses[0]
	if response.ID != t.RequestID && !(request.Type == BodyP10CR && response.ID == 0) { // OpenSSL before 3.1 says 0
		return nil, badAnswer("the CMP server answered another request: certReqId %d", response.ID)
	}
	switch response.Status.Status {
	case StatusAccepted, StatusGrantedWithMods:
		t.RequestID = response.ID
		return t.result(request, m)
	case StatusWaiting:
		if t.Waiting {
			return nil, badAnswer("the CMP server answered pollReq with waiting")
		}
		t.Waiting, t.RequestID = true, response.ID
		return c.poll(ctx, t, request)
	}
	return nil, rejection(&response.Status)
}

// Confirm sends certConf: the certificate is accepted, or refused with a
// reason. It is to be called for a Result that is not Confirmed.
func (c *Client) Confirm(ctx context.Context, t *ClientTransaction, cert *x509.Certificate, refusal string) error {
	status := CertStatus{ID: t.RequestID}
	version := 0
	hash := certHashOf(cert)
	if hash == 0 {
		version, hash = Version3, crypto.SHA256
		status.HashAlg = &Algorithm{OID: oidSHA256}
	}
	h := hash.New()
	h.Write(cert.Raw)
	status.CertHash = h.Sum(nil)
	if refusal != "" {
		status.Status = &StatusInfo{Status: StatusRejection, Text: []string{refusal}, Fail: FailIncorrectData}
	}
	m, err := c.exchange(ctx, t, &Message{Header: Header{Version: version}, Body: Body{Type: BodyCertConf, Confirms: []CertStatus{status}}})
	if err != nil {
		return err
	}
	if m.Body.Type != BodyPKIConf {
		return badAnswer("the CMP server answered certConf with %s", m.Body.Type)
	}
	return nil
}

// send posts a message and reads the answer within bounds.
func (c *Client) send(ctx context.Context, message []byte) (*Message, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(message))
	if err != nil {
		return nil, models.Errorf(models.KindInvalid, "the URL of the CMP server is wrong").Because(err)
	}
	request.Header.Set("Content-Type", ContentType)
	request.Header.Set("Cache-Control", "no-cache")
	// The same message is the same transaction: where a kept connection turns
	// out to be closed, net/http may send it again. Nothing of this is sent.
	request.Header["Idempotency-Key"] = []string{}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, models.Errorf(models.KindUnavailable, "the CMP server %s cannot be reached", c.host).Because(err)
	}
	defer answer.Body.Close() //nolint:errcheck // what was read is read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch kind, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";"); {
	case err != nil:
		return nil, badAnswer("the answer of the CMP server broke off").Because(err)
	case !strings.EqualFold(strings.TrimSpace(kind), ContentType):
		return nil, c.httpError(answer, body)
	case len(body) > maxAnswer:
		return nil, badAnswer("the answer of the CMP server is larger than %d MiB", maxAnswer>>20)
	}
	m, err := parseMessage(body, maxAnswer, maxAnswerParts)
	if err != nil {
		return nil, badAnswer("the answer of the CMP server cannot be read: %s", models.PublicText(err)).Because(err)
	}
	return m, nil
}

// httpError is an answer that is no message.
func (c *Client) httpError(answer *http.Response, body []byte) error {
	text := "not a CMP message"
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		text = sentence([]string{string(body[:min(len(body), 4*maxSentence)])})
	}
	kind := models.KindUnavailable
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		kind = models.KindInvalid
	case http.StatusNotFound:
		kind = models.KindNotFound
	case http.StatusForbidden, http.StatusUnauthorized:
		kind = models.KindDenied
	}
	return models.Errorf(kind, "the CMP server %s answered HTTP %d: %s", c.host, answer.StatusCode, text)
}
