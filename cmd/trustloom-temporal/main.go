// SPDX-License-Identifier: MIT

// Command trustloom-temporal is the embedded workflow engine: Temporal's server (all services in one process) on one
// SQLite file, on loopback only, with mutual TLS on every port and an authorizer that knows exactly one client.
//
// It exists as its own program so that the process that holds CA keys does not link Temporal's server and its two
// hundred modules. trustloomd starts and supervises it through integrations/temporald; nobody needs to start it by hand.
//
// Built from the public packages of go.temporal.io/server (MIT); see reference/temporal.md §1.11 and §1.12.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

// exitUsage is for a command line that cannot be used (EX_USAGE of sysexits.h; 2 is what a Go panic ends with). Other
// failures end with 1, a graceful stop with 0.
const exitUsage = 64

func main() {
	options, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "trustloom-temporal:", err)
		os.Exit(exitUsage)
	}
	if err := run(options, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trustloom-temporal:", err)
		os.Exit(1)
	}
}
