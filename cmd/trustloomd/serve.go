// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/cmd/trustloomd/app"
	"github.com/trustloom/trustloom/cmd/trustloomd/bench"
)

func serveCommand() *cobra.Command {
	cfg := app.Config{Version: version}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is told to stop (Ctrl-C, SIGTERM); requests in flight
are answered first.

Every flag is also an environment variable (--data-dir is TRUSTLOOM_DATA_DIR)
and a key of the YAML file given with --config. Flags win over the environment,
the environment over the file.

The first start writes two files into the data directory that you need next:
admin-token, the bearer token of the operator admin, and tls/ca.pem, the CA
that clients have to trust. GET /readyz answers 200 as soon as the server works.`,
		Example: `  trustloomd serve
  trustloomd serve --data-dir /var/lib/trustloom --https-addr 0.0.0.0:8443 --http-addr 0.0.0.0:8080 --public-url http://pki.plant.example:8080
  trustloomd serve --database-url postgres://trustloom:secret@db/trustloom --temporal-address temporal:7233 --role api`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Complete(cmd.Flags(), os.Getenv); err != nil {
				return err
			}
			log, err := newLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat)
			if err != nil {
				return err
			}
			finish, err := profile(os.Getenv(bench.ProfileVariable))
			if err != nil {
				return err
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(garbagePercent)
			}
			return errors.Join(app.Run(cmd.Context(), cfg, log), finish())
		},
	}
	cfg.Bind(cmd.Flags())
	return cmd
}

// garbagePercent lets the heap grow to three times what is in use, which is
// little (20 MiB or so), before it is collected: half as often as by default.
const garbagePercent = 200

// profile writes where the processor time goes into a file, until finish is
// called. It does nothing without a file.
func profile(file string) (finish func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("start the profile: %w", err), f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

// newLogger returns the process's logger.
func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is not one of debug, info, warn, error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log-format %q is neither text nor json", format)
}
