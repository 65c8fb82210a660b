// SPDX-License-Identifier: MIT

// Command trustloom-agent is the device's side of EST (RFC 7030) for devices
// whose makers have no client of their own. It makes keys, onboards the device
// with a one-time secret or its IDevID (IEEE 802.1AR), gets the certificates
// that a small file describes, stores key and chain so that a power cut at any
// moment leaves a usable pair, renews them in time, and tells the programs that
// use them. It must not know anything of a server but its EST interface.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// version is set at link time.
var version = "development"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c := &cli{out: os.Stdout, errs: os.Stderr, getenv: os.Getenv, now: time.Now, fault: faultPoint(os.Getenv(faultVariable))}
	cmd, err := c.root().ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	text, code := c.explain(cmd, err)
	fmt.Fprintln(os.Stderr, "trustloom-agent: "+text)
	return code
}

// faultVariable says where the program ends itself as a power cut would: the
// name of a point, or the number of a step, counted from one. For the tests
// that prove that a usable pair is left there; trustloomd has the same.
const faultVariable = "TRUSTLOOM_FAULT"

// faultPoint returns what is called at every step of a change.
func faultPoint(chosen string) func(string) {
	steps := 0
	return func(point string) {
		steps++
		if chosen == "" || point != chosen && strconv.Itoa(steps) != chosen {
			return
		}
		fmt.Fprintf(os.Stderr, "trustloom-agent ends itself at step %d: %s\n", steps, point)
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
			select {}
		}
	}
}
