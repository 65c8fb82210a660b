// SPDX-License-Identifier: MIT

// Package ocsp asks an OCSP responder about one certificate (RFC 6960, RFC
// 5019). It believes only what the issuer, or a responder that the issuer
// delegated to, signed about exactly that certificate, and only while it is
// current. It must not know the store or where a URL came from: its caller
// answers for that.
package ocsp

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/trustloom/trustloom/models"
)

const (
	maxAnswer      = 64 << 10 // octets
	maxURL         = 500
	defaultTimeout = 5 * time.Second
	tolerance      = 5 * time.Minute // between clocks
)

// Status is what a responder says about a certificate.
type Status string

// The statuses (RFC 6960 §2.2).
const (
	Good    Status = "good"
	Revoked Status = "revoked"
	Unknown Status = "unknown"
)

// Client asks responders. It is safe for concurrent use.
type Client struct {
	now  func() time.Time
	http *http.Client
}

// NewClient returns a Client whose exchanges take at most timeout, five
// seconds unless set.
func NewClient(timeout time.Duration, now func() time.Time) *Client {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &Client{now: now, http: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: timeout}).DialContext, MaxResponseHeaderBytes: 16 << 10, MaxIdleConnsPerHost: 2,
		},
		// A responder that leads elsewhere is not the one that was named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// CheckURL is KindInvalid unless text is the URL of a responder.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return models.Errorf(models.KindInvalid, "the OCSP URL %q is not of the form http://host/path", text)
	}
	return nil
}

// Ask returns the status of cert, which issuer issued, from the responder at
// target. Whatever cannot be believed is KindUnavailable, never good.
func (c *Client) Ask(ctx context.Context, target string, cert, issuer *x509.Certificate) (Status, error) {
	if err := CheckURL(target); err != nil {
		return Unknown, err
	}
	question, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return Unknown, unbelievable("the OCSP request cannot be made").Because(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(question))
	if err != nil {
		return Unknown, unbelievable("the OCSP request cannot be made").Because(err)
	}
	request.Header.Set("Content-Type", "application/ocsp-request")
	request.Header.Set("Accept", "application/ocsp-response")
	answer, err := c.http.Do(request)
	if err != nil {
		return Unknown, unbelievable("the OCSP responder cannot be reached").Because(err)
	}
	defer answer.Body.Close() //nolint:errcheck // what was read is read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer || answer.StatusCode != http.StatusOK {
		return Unknown, unbelievable("the OCSP responder answered %d, or too much", answer.StatusCode).Because(err)
	}
	return c.believe(body, cert, issuer)
}

func unbelievable(format string, args ...any) *models.Error {
	return models.Errorf(models.KindUnavailable, format, args...)
}

// believe reads a response (RFC 6960 §3.2).
func (c *Client) believe(body []byte, cert, issuer *x509.Certificate) (Status, error) {
	response, err := ocsp.ParseResponse(body, issuer) // one status, and the signature of the issuer or of its delegate
	if err != nil {
		return Unknown, unbelievable("the OCSP response cannot be believed").Because(err)
	}
	now := c.now()
	switch delegate := response.Certificate; {
	case response.SerialNumber == nil || response.SerialNumber.Cmp(cert.SerialNumber) != 0:
		return Unknown, unbelievable("the OCSP response is about another certificate")
	case delegate != nil && !delegate.Equal(issuer) && !slices.Contains(delegate.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return Unknown, unbelievable("the OCSP response is signed by a certificate that is not for that")
	case delegate != nil && (now.Before(delegate.NotBefore) || now.After(delegate.NotAfter)):
		return Unknown, unbelievable("the OCSP response is signed by a certificate that has expired")
	case response.ThisUpdate.After(now.Add(tolerance)):
		return Unknown, unbelievable("the OCSP response is from the future")
	case response.NextUpdate.IsZero() || !now.Before(response.NextUpdate.Add(tolerance)):
		return Unknown, unbelievable("the OCSP response is out of date")
	}
	switch response.Status {
	case ocsp.Good:
		return Good, nil
	case ocsp.Revoked:
		return Revoked, nil
	}
	return Unknown, nil
}
