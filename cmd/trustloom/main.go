// SPDX-License-Identifier: MIT

// Command trustloom is the operators' command line: everything that it does it
// does over the REST API of a Trustloom server (package api). For devices,
// which speak EST (RFC 7030), it prints the commands that their users run with
// OpenSSL and curl.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set at link time.
var version = "development"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c := &cli{out: os.Stdout, errs: os.Stderr, in: os.Stdin, getenv: os.Getenv}
	cmd, err := c.root().ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	text, code := c.explain(cmd, err)
	fmt.Fprintln(os.Stderr, "trustloom: "+text)
	return code
}
