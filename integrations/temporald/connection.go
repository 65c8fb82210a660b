// SPDX-License-Identifier: MIT

package temporald

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// connection leads to wherever the supervised process listens now: after a restart with another port the SDK's own
// reconnecting finds it. Compression is off because nothing leaves the machine.
func (s *supervisor) connection() client.ConnectionOptions {
	dialer := func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.frontend())
	}
	quick := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: 5 * time.Second,
	}
	return client.ConnectionOptions{
		TLS:             s.tls.client,
		GrpcCompression: &client.GrpcCompressionNone{},
		DialOptions:     []grpc.DialOption{grpc.WithContextDialer(dialer), grpc.WithConnectParams(quick)},
	}
}

// externalConnection is mutual TLS, server-authenticated TLS or plain TCP, by the files that are given.
func externalConnection(cfg Config) (client.ConnectionOptions, error) {
	if cfg.CAFile == "" && cfg.CertFile == "" && cfg.KeyFile == "" && cfg.ServerName == "" {
		return client.ConnectionOptions{TLSDisabled: true}, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if cfg.CAFile != "" {
		data, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return client.ConnectionOptions{}, fmt.Errorf("read the CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return client.ConnectionOptions{}, fmt.Errorf("%s holds no certificate", cfg.CAFile)
		}
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return client.ConnectionOptions{}, errors.New("a client certificate needs both its certificate file and its key file")
	}
	if cfg.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return client.ConnectionOptions{}, fmt.Errorf("load the client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return client.ConnectionOptions{TLS: config}, nil
}
