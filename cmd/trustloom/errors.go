// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// The exit codes besides 0.
const (
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake in the command line that only the command itself
// can see.
type usageError struct{ text string }

// Error returns the sentence.
func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// explain says what went wrong and what to do about it, and chooses the exit
// code.
func (c *cli) explain(cmd *cobra.Command, err error) (text string, code int) {
	var usage *usageError
	if !c.started || errors.As(err, &usage) {
		return fmt.Sprintf("%s\nSee '%s --help'.", strings.TrimSpace(plain(err)), cmd.CommandPath()), exitUsage
	}
	return c.failure(err), exitFailure
}

// failure explains an error of a command that was understood.
func (c *cli) failure(err error) string {
	var problem *api.Problem
	if errors.As(err, &problem) {
		if problem.Status == http.StatusUnauthorized {
			path, _ := c.tokenPath()
			return fmt.Sprintf("%s\nThe token is from %s, the server is %s.", printable(err.Error()), path, c.serverURL())
		}
		return printable(err.Error())
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return fmt.Sprintf("the server at %s is not trusted: %s\n"+
			"Name the CA of its TLS certificate with --ca or TRUSTLOOM_CA; the server keeps it in its data directory as tls/ca.pem.", c.serverURL(), untrusted.Err)
	}
	var broken *url.Error
	if errors.As(err, &broken) && !errors.Is(err, context.Canceled) {
		return fmt.Sprintf("no server answers at %s: %s\n"+
			"Start one with 'trustloomd serve' (or 'make run'), or name another with --url or TRUSTLOOM_URL.", c.serverURL(), broken.Err)
	}
	return plain(err)
}

// plain returns the sentence of an error without its kind.
func plain(err error) string {
	var known *models.Error
	if errors.As(err, &known) {
		return known.Public
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}
