// SPDX-License-Identifier: MIT

package temporald

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"go.temporal.io/sdk/client"
)

// Attach connects to the embedded engine that another process runs on the same data directory, with that process's own
// right, and starts nothing. Of cfg it takes what Open does, except the address and the binary. With another payload key
// than the other process has, neither can read what the other stores.
func Attach(ctx context.Context, cfg Config) (*Engine, error) {
	cfg.Address = Embedded
	cfg.Binary = "none"
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("attach to the embedded engine: %w", err)
	}
	dir := filepath.Join(cfg.DataDir, "temporal")
	kept, err := readPorts(filepath.Join(dir, "ports.json"))
	if err != nil {
		return nil, fmt.Errorf("find the port of the embedded engine: %w", err)
	}
	tls, err := readMaterial(filepath.Join(dir, "tls"), time.Now())
	if err != nil {
		return nil, err
	}
	options := clientOptions(cfg)
	options.HostPort = net.JoinHostPort("127.0.0.1", strconv.Itoa(kept.Frontend))
	options.ConnectionOptions = client.ConnectionOptions{TLS: tls.client, GrpcCompression: &client.GrpcCompressionNone{}}
	sdk, err := dial(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded engine: %w", err)
	}
	return &Engine{client: sdk, namespace: cfg.Namespace}, nil
}
