// SPDX-License-Identifier: MIT

package est

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
)

type Options struct {
	Logger     *slog.Logger
	WriteError func(w http.ResponseWriter, r *http.Request, err error)
	RequestID  func(*http.Request) string
}

func NewResponder(backend Backend, opts Options) http.Handler { return http.NotFoundHandler() }

type ClientConfig struct {
	URL         string
	Label       Label
	Roots       *x509.CertPool
	Certificate *tls.Certificate
	Username    string
	Password    string
}

type Client struct{}

func NewClient(cfg ClientConfig) (*Client, error)                             { return &Client{}, nil }
func (c *Client) CACerts(ctx context.Context) ([]*x509.Certificate, error)    { return nil, nil }
func (c *Client) SimpleEnroll(ctx context.Context, csr []byte) (Result, error) { return Result{}, nil }
func (c *Client) SimpleReenroll(ctx context.Context, csr []byte) (Result, error) {
	return Result{}, nil
}
