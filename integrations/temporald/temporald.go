// SPDX-License-Identifier: MIT

// Package temporald gives the rest of Trustloom a Temporal client and keeps what it talks to alive: either the embedded
// engine (the program trustloom-temporal, started and supervised here) or an external cluster.
//
// All payloads and failure messages are encrypted before they leave the process (codec.go, failures.go). The package
// follows the Temporal gRPC API (go.temporal.io/api) through the Go SDK and imports nothing else of Trustloom.
//
// What stays readable for whoever can read Temporal's database: workflow, run, activity, signal, update and query
// names and IDs, error types, task queues, times, and search attributes. None of them may hold a secret.
package temporald

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Embedded is the Config.Address that starts trustloom-temporal next to this process.
const Embedded = "embedded"

const (
	defaultNamespace = "trustloom"
	defaultRetention = 7 * 24 * time.Hour
	// startPatience bounds Open where its context has no earlier deadline: a stale engine may hold the database for a
	// while, and a busy machine may need seconds for a start that takes one.
	startPatience = 60 * time.Second
)

// Config says which Temporal to use and how to protect what is stored there.
type Config struct {
	// Address is "embedded" or host:port of an external frontend.
	Address string
	// Namespace all workflows live in; "trustloom" if empty.
	Namespace string
	// DataDir is where the embedded engine keeps <DataDir>/temporal: its database, ports and TLS material.
	DataDir string
	// Binary is the path of trustloom-temporal.
	Binary string
	// CAFile, CertFile, KeyFile and ServerName secure the connection to an external cluster. Without any file the
	// connection is plain TCP.
	CAFile, CertFile, KeyFile, ServerName string
	// PayloadKey encrypts all payloads: 32 bytes.
	PayloadKey []byte
	// OldPayloadKeys still decrypt; keep a replaced key for the retention of the namespace and the age of the oldest
	// open workflow.
	OldPayloadKeys [][]byte
	// Logger takes the lines of the SDK and of the engine; slog.Default() if nil.
	Logger *slog.Logger
	// Metrics takes the measurements of the SDK (NewMetrics); none if nil.
	Metrics client.MetricsHandler
	// Retention is how long finished workflows are kept in a namespace made here; 7 days if zero.
	Retention time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Namespace == "" {
		c.Namespace = defaultNamespace
	}
	if c.Retention == 0 {
		c.Retention = defaultRetention
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	for _, key := range append([][]byte{c.PayloadKey}, c.OldPayloadKeys...) {
		if len(key) != keySize {
			return c, fmt.Errorf("a payload key has %d bytes: %d are needed", len(key), keySize)
		}
	}
	switch {
	case c.Address == "":
		return c, errors.New(`no Temporal address: "embedded" or host:port`)
	case c.Address == Embedded && c.DataDir == "":
		return c, errors.New("the embedded engine needs a data directory")
	case c.Address == Embedded && c.Binary == "":
		return c, errors.New("the embedded engine needs the path of trustloom-temporal")
	}
	return c, nil
}

// Engine is an open connection to Temporal and, if embedded, the process behind it.
type Engine struct {
	client    client.Client
	namespace string
	child     *supervisor // nil for an external cluster
	closeOnce sync.Once
	closeErr  error
}

// Open connects to Temporal and returns when it serves and the namespace exists. The context bounds the opening only;
// an embedded engine then lives until Close, and is started again whenever it dies.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open Temporal: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if cfg.Address == Embedded {
		return openEmbedded(ctx, cfg)
	}
	return openExternal(ctx, cfg)
}

// Client is the SDK client over the encrypted payloads. It survives restarts of the engine.
func (e *Engine) Client() client.Client { return e.client }

// Check reports whether Temporal serves right now; cheap enough for a readiness probe.
func (e *Engine) Check(ctx context.Context) error {
	if _, err := e.client.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("check Temporal: %w", err)
	}
	return nil
}

// Pid is the process ID of the embedded engine, 0 while it is down and for an external cluster.
func (e *Engine) Pid() int {
	if e.child == nil {
		return 0
	}
	return e.child.pid()
}

// Close disconnects and stops the embedded engine gracefully; workers must be stopped before. It may be called twice.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		e.client.Close()
		if e.child != nil {
			e.closeErr = e.child.stop()
		}
	})
	return e.closeErr
}

func clientOptions(cfg Config) client.Options {
	payloads := NewDataConverter(cfg.PayloadKey, cfg.Namespace, cfg.OldPayloadKeys...)
	return client.Options{
		Namespace:               cfg.Namespace,
		Logger:                  sdklog.NewStructuredLogger(cfg.Logger),
		MetricsHandler:          cfg.Metrics,
		DataConverter:           payloads,
		FailureConverter:        NewFailureConverter(payloads),
		WorkerHeartbeatInterval: -1, // nobody reads the list of workers
	}
}

func openEmbedded(ctx context.Context, cfg Config) (*Engine, error) {
	child, err := startSupervisor(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start the embedded engine: %w", err)
	}
	options := clientOptions(cfg)
	options.HostPort = "passthrough:///" + serverName // the dialer knows the port
	options.ConnectionOptions = child.connection()
	sdk, err := dial(ctx, options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the embedded engine: %w", err), child.stop())
	}
	engine := &Engine{client: sdk, namespace: cfg.Namespace, child: child}
	if err := engine.awaitNamespace(ctx); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return engine, nil
}

func openExternal(ctx context.Context, cfg Config) (*Engine, error) {
	options := clientOptions(cfg)
	options.HostPort = cfg.Address
	var err error
	if options.ConnectionOptions, err = externalConnection(cfg); err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s: %w", cfg.Address, err)
	}
	sdk, err := dial(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s: %w", cfg.Address, err)
	}
	engine := &Engine{client: sdk, namespace: cfg.Namespace}
	if err := engine.ensureNamespace(ctx, cfg.Retention); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return engine, nil
}

// dial retries while the frontend is not there yet: the SDK alone gives up after its first call.
func dial(ctx context.Context, options client.Options) (client.Client, error) {
	var sdk client.Client
	err := retry(ctx, func() (final bool, err error) {
		sdk, err = client.DialContext(ctx, options)
		var denied *serviceerror.PermissionDenied
		return errors.As(err, &denied), err
	})
	return sdk, err
}

func (e *Engine) describeNamespace(ctx context.Context) error {
	_, err := e.client.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: e.namespace})
	return err
}

// awaitNamespace waits until the frontend knows the namespace that the engine made before it began to serve.
func (e *Engine) awaitNamespace(ctx context.Context) error {
	err := retry(ctx, func() (bool, error) { return false, e.describeNamespace(ctx) })
	if err != nil {
		return fmt.Errorf("find namespace %s: %w", e.namespace, err)
	}
	return nil
}

// ensureNamespace registers the namespace in an external cluster if it is missing and if that is allowed to us.
func (e *Engine) ensureNamespace(ctx context.Context, retention time.Duration) error {
	err := e.describeNamespace(ctx)
	var missing *serviceerror.NamespaceNotFound
	if err == nil {
		return nil
	}
	if !errors.As(err, &missing) {
		return fmt.Errorf("find namespace %s: %w", e.namespace, err)
	}
	_, err = e.client.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        e.namespace,
		Description:                      "Trustloom",
		WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("namespace %s does not exist and cannot be registered with these credentials; "+
			"register it with a retention of %s and start again: %w", e.namespace, retention, err)
	}
	return e.awaitNamespace(ctx) // frontends learn of a new namespace from a cache that they refresh
}

// retry repeats attempt with a growing pause until it succeeds, calls its error final, or ctx ends.
func retry(ctx context.Context, attempt func() (final bool, err error)) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		final, err := attempt()
		if err == nil || final {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		case <-timer.C:
		}
	}
}
