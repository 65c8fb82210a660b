// SPDX-License-Identifier: MIT

// Command trustloomd is the Trustloom server: it onboards devices, issues
// their certificates over EST (RFC 7030), and keeps every story durable on
// Temporal.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set at link time.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process at once
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "trustloomd:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trustloomd",
		Short: "The Trustloom server: device certificates over their whole life",
		Long: `trustloomd manages the certificates of industrial devices: it onboards them,
issues and renews their certificates, and proves afterwards what happened.

Without any setting 'trustloomd serve' runs everything on this machine in the
folder ./data: the database (SQLite), the workflow engine (Temporal, a process
of its own) and the keys (software, sealed). PostgreSQL, a Temporal cluster and
a PKCS#11 token come in by settings alone.`,
		Version: version, SilenceUsage: true, SilenceErrors: true,
	}
	cmd.AddCommand(serveCommand(), checkCommand(), healthcheckCommand(), benchCommand())
	return cmd
}
