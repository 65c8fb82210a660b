// SPDX-License-Identifier: MIT

package est

import (
	"context"
	"crypto"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/http"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// The channel bindings: tls-unique (RFC 5929 §3), the octets of a Finished
// message, and tls-exporter (RFC 9266 §2).
const (
	exporterLabel  = "EXPORTER-Channel-Binding"
	exporterLength = 32
	uniqueLength   = 12
)

// channel has the channel bindings of a connection; nil where it has none that
// is safe.
type channel struct{ unique, exporter []byte }

// channelOf returns the bindings of a connection. Below TLS 1.3 they are safe
// only with the extended master secret (RFC 7627), without which two
// connections may be made to have the same ones; and a resumed session may
// have been another's (RFC 5929 §3.1). TLS 1.3 has no tls-unique.
func channelOf(state *tls.ConnectionState) channel {
	if state == nil || !state.HandshakeComplete || state.Version < tls.VersionTLS12 {
		return channel{}
	}
	if state.Version == tls.VersionTLS12 && state.DidResume {
		return channel{}
	}
	// An empty context, not none: they differ below TLS 1.3 (RFC 9266 §2).
	exporter, err := state.ExportKeyingMaterial(exporterLabel, []byte{}, exporterLength)
	if err != nil { // no extended master secret
		return channel{}
	}
	if state.Version > tls.VersionTLS12 {
		return channel{exporter: exporter}
	}
	return channel{unique: state.TLSUnique, exporter: exporter}
}

// CheckBinding verifies that a request belongs to the connection it came over
// (RFC 7030 §3.5): its challenge password is the base64 of the connection's
// tls-unique or tls-exporter. It reports false if the request has no binding:
// there is no challenge password, or one that is no binding by its form. A
// binding that is not this connection's is KindInvalid, whether it is demanded
// or not.
func CheckBinding(csr *pki.CSR, state *tls.ConnectionState) (bool, error) {
	password, ok := csr.ChallengePassword()
	if !ok {
		return false, nil
	}
	given, err := base64.StdEncoding.Strict().DecodeString(password)
	if err != nil {
		return false, nil
	}
	c := channelOf(state)
	var want []byte
	switch {
	case len(given) == exporterLength:
		want = c.exporter
	case len(given) == uniqueLength && state != nil && state.Version == tls.VersionTLS12:
		want = c.unique
	default:
		return false, nil
	}
	if want == nil {
		return false, models.Errorf(models.KindInvalid, "this connection has no safe channel binding: connect with TLS 1.3, "+
			"or with TLS 1.2, the extended master secret, and a full handshake")
	}
	if subtle.ConstantTimeCompare(given, want) != 1 {
		return false, models.Errorf(models.KindInvalid, "the channel binding in the challenge password is not that of this connection: "+
			"make the request anew for each connection")
	}
	return true, nil
}

// SimpleEnrollBound is SimpleEnroll with a request that is bound to its
// connection (RFC 7030 §3.5): csr gets the channel binding and is signed anew
// with key, which it must be for. Asked again for the same csr the server
// finds the same request, although the binding is another.
func (c *Client) SimpleEnrollBound(ctx context.Context, csr []byte, key crypto.Signer) (Result, error) {
	return c.enrollBound(ctx, opSimpleEnroll, csr, key)
}

// SimpleReenrollBound is SimpleReenroll with a request that is bound to its
// connection.
func (c *Client) SimpleReenrollBound(ctx context.Context, csr []byte, key crypto.Signer) (Result, error) {
	return c.enrollBound(ctx, opSimpleReenroll, csr, key)
}

func (c *Client) enrollBound(ctx context.Context, operation string, csr []byte, key crypto.Signer) (Result, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return Result{}, err
	}
	defer conn.Close() //nolint:errcheck // what was read is read
	state := conn.ConnectionState()
	own := channelOf(&state)
	binding := own.exporter
	if own.unique != nil { // servers of RFC 7030 know nothing else
		binding = own.unique
	}
	if binding == nil {
		return Result{}, models.Errorf(models.KindUnavailable, "the connection to the EST server has no safe channel binding: it needs TLS 1.3, or TLS 1.2 with the extended master secret")
	}
	bound, err := pki.WithChallengePassword(csr, key, base64.StdEncoding.EncodeToString(binding))
	if err != nil {
		return Result{}, err
	}
	return c.over(conn).enroll(ctx, operation, bound)
}

// dial opens a connection of its own, for HTTP/1.1.
func (c *Client) dial(ctx context.Context) (*tls.Conn, error) {
	address := c.host
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, "443")
	}
	settings := c.settings.Clone()
	settings.NextProtos = []string{"http/1.1"}
	ctx, cancel := context.WithTimeout(ctx, c.http.Timeout)
	defer cancel()
	conn, err := (&tls.Dialer{Config: settings}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, models.Errorf(models.KindUnavailable, "the EST server %s cannot be reached", c.host).Because(err)
	}
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return nil, errors.Join(models.Errorf(models.KindInternal, "the connection is not one of TLS"), conn.Close())
	}
	return secured, nil
}

var errOneConnection = errors.New("a bound request goes over one connection")

// over returns a Client that has this connection and opens no other.
func (c *Client) over(conn net.Conn) *Client {
	left := make(chan net.Conn, 1)
	left <- conn
	other, client := *c, *c.http
	client.Transport = &http.Transport{MaxResponseHeaderBytes: maxHeader, DisableKeepAlives: true,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case conn := <-left:
				return conn, nil
			default:
				return nil, errOneConnection
			}
		}}
	other.http = &client
	return &other
}
