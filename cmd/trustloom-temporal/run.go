// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

const (
	// lockPatience is how long a predecessor may take to leave the database.
	lockPatience = 15 * time.Second
	// stopPatience is how long a graceful stop may take before the process ends anyway: the database survives that.
	stopPatience = 10 * time.Second
)

// run serves until a signal comes or, if asked, until stdin ends.
func run(o Options, stdin io.Reader, stdout io.Writer) error {
	syscall.Umask(0o077) // the database holds encrypted payloads but clear identifiers
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if o.ExitWithParent {
		go func() {
			_, _ = io.Copy(io.Discard, stdin) // ends when the parent closes the pipe or dies
			cancel()
		}()
	}
	lock, err := waitForDatabase(ctx, o.Database)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // ends with the process anyway
	server, frontend, err := newServer(ctx, o)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	if err := announce(stdout, frontend); err != nil {
		return errors.Join(err, server.Stop())
	}
	<-ctx.Done()
	return stop(server)
}

func waitForDatabase(ctx context.Context, database string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	return lockDatabase(ctx, database)
}

func newServer(ctx context.Context, o Options) (temporal.Server, netip.AddrPort, error) {
	var none netip.AddrPort
	application, err := loadApplication(o.TLSDir)
	if err != nil {
		return nil, none, err
	}
	provider, err := tlsProvider(o.TLSDir, application)
	if err != nil {
		return nil, none, err
	}
	if err := prepareDatabase(ctx, o.Database); err != nil {
		return nil, none, err
	}
	database := sqlConfig(o.Database)
	if err := ensureNamespace(ctx, database, o.Namespace, o.Retention); err != nil {
		return nil, none, err
	}
	picked, err := addresses(o.Frontend)
	if err != nil {
		return nil, none, err
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(serverConfigFor(database, picked)),
		temporal.ForServices(serviceNames()),
		temporal.WithStaticHosts(staticHosts(picked)),
		temporal.WithTLSConfigFactory(provider),
		temporal.WithAuthorizer(authorizer{namespace: o.Namespace}),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
			return claimMapper{application: application, namespace: o.Namespace}
		}),
		temporal.WithCustomVisibilityStoreFactory(noVisibility{}),
		temporal.WithDynamicConfigClient(dynamicConfig()),
		temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
		temporal.WithLogger(newLogger(o.LogLevel)),
	)
	if err != nil {
		return nil, none, fmt.Errorf("assemble the server: %w", err)
	}
	return server, picked[primitives.FrontendService], nil
}

func serviceNames() []string {
	names := make([]string, len(services))
	for i, service := range services {
		names[i] = string(service)
	}
	return names
}

// announce prints the one line that a parent waits for.
func announce(stdout io.Writer, frontend netip.AddrPort) error {
	line := struct {
		Ready    bool   `json:"ready"`
		Frontend string `json:"frontend"`
	}{true, frontend.String()}
	if err := json.NewEncoder(stdout).Encode(line); err != nil {
		return fmt.Errorf("announce the server: %w", err)
	}
	return nil
}

func stop(server temporal.Server) error {
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop() }()
	select {
	case err := <-stopped:
		return err
	case <-time.After(stopPatience):
		return errors.New("the graceful stop took too long")
	}
}
