// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/models"
)

// secretVariable holds the one-time secret if no file does.
const secretVariable = "TRUSTLOOM_SECRET"

const maxSecret = 4 << 10

// The exit codes besides 0.
const (
	exitTrouble = 1
	exitUsage   = 2
	exitWaiting = 3
)

// errWaiting says that the server has not decided yet.
var errWaiting = errors.New("the server has not decided yet; the request is kept: the same command asks again with the same request")

// usageError is a mistake of whoever wrote the command or the file.
type usageError struct{ text string }

// Error returns the sentence.
func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{text: fmt.Sprintf(format, args...)} }

// cli is the command line: flags over the configuration file.
type cli struct {
	out, errs io.Writer
	getenv    func(string) string
	now       func() time.Time
	fault     func(string)

	file    string
	flags   document
	started bool // the command line was understood
	output  string
	wait    time.Duration
	forced  bool
}

func (c *cli) root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trustloom-agent", Short: "Gets a device its certificates over EST or CMP, and renews them",
		Long: rootHelp, Example: rootExample, Version: version,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(*cobra.Command, []string) { c.started = true },
	}
	cmd.SetOut(c.out)
	cmd.SetErr(c.errs)
	cmd.CompletionOptions.DisableDefaultCmd = true
	f := cmd.PersistentFlags()
	f.StringVarP(&c.file, "config", "c", defaultConfig, "the file that describes server, domain and certificates")
	f.StringVar(&c.flags.Server, "server", "", "the server, such as https://pki.example:8443")
	f.StringVar(&c.flags.Protocol, "protocol", "", "est (default) or cmp")
	f.StringVar(&c.flags.CA, "ca", "", "PEM `FILE` with the CA of the server's TLS certificate; required on first contact, kept after that")
	f.StringVar(&c.flags.Domain, "domain", "", "the domain that the device belongs to")
	f.StringVar(&c.flags.Device, "device", "", "the device's name, which goes with the one-time secret")
	f.StringVar(&c.flags.StateDir, "state-dir", "", "the `FOLDER` for keys and certificates")
	cmd.AddCommand(c.enroll(), c.renew(), c.run(), c.status())
	return cmd
}

// load reads the configuration file and lets flags go first.
func (c *cli) load(cmd *cobra.Command) (*config, error) {
	d, err := readConfig(c.file, cmd.Flags().Changed("config"))
	if err != nil {
		return nil, asUsage(err)
	}
	base, err := filepath.Abs(filepath.Dir(c.file))
	if err != nil {
		return nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for _, path := range []*string{&c.flags.CA, &c.flags.StateDir, &c.flags.SecretFile} {
		absolute(path, here) // what is typed is relative to where it is typed
	}
	for _, o := range []struct{ over, to *string }{
		{&c.flags.Server, &d.Server}, {&c.flags.Protocol, &d.Protocol}, {&c.flags.CA, &d.CA}, {&c.flags.Domain, &d.Domain}, {&c.flags.Device, &d.Device},
		{&c.flags.StateDir, &d.StateDir}, {&c.flags.SecretFile, &d.SecretFile}, {&c.flags.SecretAfter, &d.SecretAfter},
	} {
		*o.to = orElse(*o.over, *o.to)
	}
	cfg, err := d.complete(base)
	if err == nil && cfg.PKCS11 != nil {
		err = tokensUsable()
	}
	return cfg, asUsage(err)
}

func asUsage(err error) error {
	if models.KindOf(err) == models.KindInvalid {
		return usagef("%s", plain(err))
	}
	return err
}

// agent returns the agent that the command line describes.
func (c *cli) agent(cmd *cobra.Command) (*agent, error) {
	cfg, err := c.load(cmd)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(c.errs, nil))
	a := &agent{cfg: cfg, log: log, now: c.now, disk: disk{c.fault}}
	a.secret = func() (string, error) { return c.readSecret("secret", cfg.SecretFile, secretVariable) }
	a.token = c.token(cfg, log)
	return a, nil
}

// token returns the token that the file describes.
func (c *cli) token(cfg *config, log *slog.Logger) *token {
	return &token{
		entry: cfg.PKCS11, disk: disk{c.fault}, marker: filepath.Join(cfg.StateDir, fileRefusedPIN), now: c.now, log: log,
		pin: func() (string, error) { return c.readSecret("PIN", cfg.PKCS11.PINFile, pinVariable) },
	}
}

// readSecret reads a secret from its file, or takes the environment's if there
// is none.
func (c *cli) readSecret(what, path, variable string) (string, error) {
	if path == "" {
		return c.getenv(variable), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	return strings.TrimSpace(string(data)), nil
}

// explain says what went wrong, and chooses the exit code.
func (c *cli) explain(cmd *cobra.Command, err error) (text string, code int) {
	var usage *usageError
	switch {
	case !c.started || errors.As(err, &usage):
		return fmt.Sprintf("%s\nSee '%s --help'.", strings.TrimSpace(plain(err)), cmd.CommandPath()), exitUsage
	case errors.Is(err, errWaiting):
		return plain(err), exitWaiting
	}
	return plain(err), exitTrouble
}

// plain returns the sentence of an error without its kind, and with the
// cause, which on a device is for the same eyes.
func plain(err error) string {
	var known *models.Error
	if errors.As(err, &known) {
		text := known.Public
		if known.Cause != nil {
			text += ": " + known.Cause.Error()
		}
		return printable(text)
	}
	return printable(err.Error())
}

// printable replaces what could change a terminal: servers and hooks wrote it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

// when writes an instant in UTC; the zero time is empty.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
