// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"time"
)

// Options is the validated command line.
type Options struct {
	Database       string
	Frontend       netip.AddrPort
	TLSDir         string
	Namespace      string
	Retention      time.Duration
	ExitWithParent bool
	LogLevel       string
}

const usage = `trustloom-temporal is the workflow engine that trustloomd embeds: Temporal on one SQLite file.

trustloomd starts it, restarts it when it dies, and stops it; you need this page only to look inside.

It serves gRPC on a loopback address and on four more loopback ports that it picks itself. Each port demands a
client certificate: the frontend accepts the one in client.pem and no other; the internal ports accept only a
certificate that the process makes for itself at start and never writes down. The client may start, signal, update,
query, describe, cancel and terminate workflows, work on tasks and manage schedules in its own namespace. Everything
else (namespaces, search attributes, batch operations, worker deployments, reset, delete, nexus, admin calls) is denied.

When it serves, it prints one line to standard output: {"ready":true,"frontend":"127.0.0.1:7233"}. Logs go to
standard error as JSON lines.

The list of workflows is not indexed (visibility is off): Trustloom's own database answers every list, and the index
would cost half of the engine's throughput. ListWorkflowExecutions and ListSchedules answer "unimplemented".

Usage:
  trustloom-temporal --db FILE --tls-dir DIR [flags]

`

var logLevels = []string{"debug", "info", "warn", "error"}

func parseOptions(args []string, out io.Writer) (Options, error) {
	var o Options
	flags := flag.NewFlagSet("trustloom-temporal", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprint(out, usage)
		fmt.Fprintln(out, "Flags:")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.Database, "db", "", "SQLite `file` (WAL, synchronous FULL); made with its schema if it does not exist")
	frontend := flags.String("frontend-addr", "127.0.0.1:0", "loopback `address` of the frontend; port 0 picks a free one")
	flags.StringVar(&o.TLSDir, "tls-dir", "", "`directory` with ca.pem, server.pem, server.key and client.pem")
	flags.StringVar(&o.Namespace, "namespace", "trustloom", "`namespace` that is made if it does not exist, and the only one the client may use")
	flags.DurationVar(&o.Retention, "retention", 7*24*time.Hour, "how `long` finished workflows are kept; raised, never lowered, on an existing namespace")
	flags.BoolVar(&o.ExitWithParent, "exit-with-parent", false, "stop gracefully when standard input reaches its end, that is when the parent is gone")
	flags.StringVar(&o.LogLevel, "log-level", "warn", "debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return Options{}, err
	}
	if flags.NArg() > 0 {
		return Options{}, fmt.Errorf("unexpected argument %q: everything is given by flags, see --help", flags.Arg(0))
	}
	var err error
	if o.Frontend, err = loopbackAddress(*frontend); err != nil {
		return Options{}, err
	}
	return o, o.validate()
}

func (o *Options) validate() error {
	switch {
	case o.Database == "":
		return errors.New("--db is missing: the SQLite file, see --help")
	case o.TLSDir == "":
		return errors.New("--tls-dir is missing: the directory with ca.pem, server.pem, server.key and client.pem, see --help")
	case o.Namespace == "":
		return errors.New("--namespace must not be empty")
	case o.Retention < time.Hour:
		return fmt.Errorf("--retention %s is too short: at least 1h", o.Retention)
	case !slices.Contains(logLevels, o.LogLevel):
		return fmt.Errorf("--log-level %q is not one of debug, info, warn, error", o.LogLevel)
	}
	path, err := filepath.Abs(o.Database)
	if err != nil {
		return fmt.Errorf("find the database: %w", err)
	}
	o.Database = path
	return nil
}

// loopbackAddress refuses everything that another machine could reach: the engine is a part of one program.
func loopbackAddress(s string) (netip.AddrPort, error) {
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--frontend-addr %q is not an address and a port: %w", s, err)
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--frontend-addr %q: %q is not an IP address: %w", s, host, err)
	}
	if !addr.Addr().IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("--frontend-addr %s is not a loopback address: the engine serves this machine only", s)
	}
	return addr, nil
}
