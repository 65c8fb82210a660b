// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/cmd/trustloomd/bench"
	"github.com/trustloom/trustloom/models"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this build is on this machine",
		Long:  "Measure how fast this build is on this machine, on a server of its own that is gone afterwards.",
		Example: `  trustloomd bench enroll
  trustloomd bench enroll --help`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(benchEnrollCommand(), benchCMPCommand(), benchListsCommand())
	return cmd
}

func benchListsCommand() *cobra.Command {
	var cfg bench.ListsConfig
	var output string
	cmd := &cobra.Command{
		Use:   "lists",
		Short: "Measure first pages of lists in a full database",
		Long: `Fill a database of its own with certificates and measure how long the first page
of the list takes under every combination of filters, next to finding one by its
identifier. Of the certificates three tenths have expired, one tenth, all of one
domain, are revoked, and one in twenty comes from elsewhere. The database is gone
afterwards. A million certificates take some minutes to store.`,
		Example: `  trustloomd bench lists --rows 1000000
  trustloomd bench lists --database-url postgres://trustloom:secret@127.0.0.1/bench -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.Rows < 1000 || output != "table" && output != "json" {
				return errors.New("--rows has to be 1000 at least, and --output table or json")
			}
			cfg.Progress = cmd.ErrOrStderr()
			report, err := bench.RunLists(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if output == "table" {
				return report.WriteTable(cmd.OutOrStdout())
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
		},
	}
	cmd.Flags().IntVar(&cfg.Rows, "rows", 1_000_000, "how many certificates to store")
	cmd.Flags().StringVar(&cfg.DatabaseURL, "database-url", "", "postgres://user:password@host/name (default SQLite)")
	cmd.Flags().StringVar(&cfg.Dir, "dir", os.TempDir(), "where the data directory is made")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

// benchFlags is what the command line of bench enroll says.
type benchFlags struct {
	bench.Config
	module, token, pinFile string
	lanes                  []string
	output                 string
}

func benchEnrollCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "enroll",
		Short: "Measure certificates per second, inline and through the workflow",
		Long: `Measure how many certificates per second a server issues: it is started for this
with a data directory of its own, plays with devices made for it, and is gone
afterwards. Devices and server share this machine.

What is measured, for each number of clients:
  inline re-enrollment   a device renews its domain credential over EST with mutual
                         TLS; each client is one device with one connection that it
                         keeps. Nothing waits, no workflow runs.
  onboarding             a device that was registered before gets its first identity
                         over EST with its one-time password; each time another
                         device, each client over one connection that it keeps.
                         Every onboarding is a workflow that is waited for.
  empty workflow         a workflow that does nothing, started and waited for on the
                         same engine: what onboarding cannot be faster than.
Keys and requests are made beforehand and registering is not measured; parsing,
proof of possession, policy, lint, audit, signing and commits are. Throughput, the
latency of which half (p50) and 99 % (p99) stay below, and the processor time of
server and engine (from /proc) for each operation are given.

In the same run, once before and once after, the references:
  x509.CreateCertificate   the standard library, P-256, on one goroutine
  durable insert           rows of 1 KiB, each committed by itself, in the same
                           PostgreSQL or in a SQLite file on the same disk (WAL,
                           synchronous FULL), with 1 and with 16 connections

With --fill N the database is filled with N certificates of no use after the figures
are taken, and the inline lane is measured once more: how much slower an issuance is
in a plant that has issued for years. A million takes some minutes.

Read ratios, not rates: a shared machine is twice as fast in one hour as in the next,
and the devices' own work is done on the same processors. Processor times are steadier
than rates, but not immune. Repeat, and compare medians; use --duration 10s or more for
numbers that you want to keep. The data directory is made in --dir: put it on the disk
that you mean, because on a tmpfs nothing is durable and everything is fast.

With --database-url a schema of its own is made in that database and dropped at the end.`,
		Example: `  trustloomd bench enroll
  trustloomd bench enroll --clients 16 --duration 10s -o json
  trustloomd bench enroll --database-url postgres://trustloom:secret@127.0.0.1/bench
  trustloomd bench enroll --lanes reenroll --clients 16 --fill 1000000
  trustloomd bench enroll --keys pkcs11 --pkcs11-module /usr/lib/softhsm/libsofthsm2.so --pkcs11-token bench --pkcs11-pin-file pin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, bench.ESTLanes) },
	}
	f.define(cmd)
	return cmd
}

func benchCMPCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "cmp",
		Short: "Measure certificates per second over CMP, next to EST",
		Long: `Measure what 'bench enroll' measures, and the same over CMP (RFC 9483), so that the column
rate : EST says what CMP costs:
  inline enrollment        a device asks for an application certificate over EST with
                           mutual TLS and one connection that it keeps.
  CMP cr, signed           a device asks for an application certificate, protected with
                           its domain credential, over HTTP and one connection that it
                           keeps; confirmation is implicit, no workflow runs. It is
                           compared with the inline enrollment over EST.
  CMP ir, MAC (workflow)   a device that was registered before gets its first identity,
                           protected with its one-time secret (PasswordBasedMac); each
                           time another device. It is compared with onboarding over EST.
A secret is good for one first identity and no more, so a MAC always means a workflow.
The column processor : EST relates the server's time for each certificate; it is steadier
than the rate where the machine is not quiet.

Requests are made and registered beforehand. The devices verify every answer, on the same
processors. See 'trustloomd bench enroll --help' for how to read the figures.`,
		Example: `  trustloomd bench cmp
  trustloomd bench cmp --clients 16 --duration 10s -o json
  trustloomd bench cmp --lanes enroll,cmp-cr`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, bench.CMPLanes) },
	}
	f.define(cmd)
	return cmd
}

// define defines the flags that say how to measure.
func (f *benchFlags) define(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.DatabaseURL, "database-url", "", "postgres://user:password@host/name (default SQLite)")
	fs.StringVar(&f.Keys, "keys", models.StoreSoftware, "key store of the CAs: software or pkcs11")
	fs.StringVar(&f.module, "pkcs11-module", "", "PKCS#11 library, for --keys pkcs11")
	fs.StringVar(&f.token, "pkcs11-token", "", "label of the token")
	fs.StringVar(&f.pinFile, "pkcs11-pin-file", "", "file with the PIN (or TRUSTLOOM_PKCS11_PIN in the environment)")
	fs.IntSliceVar(&f.Clients, "clients", []int{1, 16, 64}, "numbers of clients to measure with")
	fs.StringSliceVar(&f.lanes, "lanes", nil, "which to measure: reenroll, enroll, onboard, cmp-cr, cmp-ir, empty-workflow (default what the command is about)")
	fs.IntVar(&f.Fill, "fill", 0, "store so many certificates, and measure the inline lane before and after")
	fs.StringVar(&f.Profile, "cpu-profile", "", "write the server's profile of the whole run to this file, for go tool pprof")
	fs.DurationVar(&f.Duration, "duration", 5*time.Second, "how long each figure is measured")
	fs.StringVar(&f.Dir, "dir", os.TempDir(), "where the data directory is made")
	fs.StringVarP(&f.output, "output", "o", "table", "table or json")
}

// run measures, the lanes that the command is about unless it was told others.
func (f *benchFlags) run(cmd *cobra.Command, lanes []bench.Lane) error {
	f.Lanes = lanes
	if err := f.complete(cmd); err != nil {
		return err
	}
	report, err := bench.Run(cmd.Context(), f.Config)
	if err != nil {
		return err
	}
	if f.output == "table" {
		return report.WriteTable(cmd.OutOrStdout())
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

// complete checks the flags and fills in the rest.
func (f *benchFlags) complete(cmd *cobra.Command) (err error) {
	if f.output != "table" && f.output != "json" {
		return fmt.Errorf("--output %q is neither table nor json", f.output)
	}
	if len(f.lanes) > 0 {
		f.Lanes = nil
	}
	for _, lane := range f.lanes {
		f.Lanes = append(f.Lanes, bench.Lane(lane))
	}
	if err := f.Check(); err != nil {
		return err
	}
	if f.Keys == models.StorePKCS11 && (f.module == "" || f.token == "") {
		return fmt.Errorf("--keys pkcs11 needs --pkcs11-module and --pkcs11-token")
	}
	if f.Keys != models.StorePKCS11 && f.module+f.token+f.pinFile != "" {
		return fmt.Errorf("--pkcs11-module, --pkcs11-token and --pkcs11-pin-file are for --keys pkcs11")
	}
	if f.Executable, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	for flag, value := range map[string]string{"--pkcs11-module": f.module, "--pkcs11-token": f.token, "--pkcs11-pin-file": f.pinFile} {
		if value != "" {
			f.ServerFlags = append(f.ServerFlags, flag, value)
		}
	}
	f.Environment = slices.DeleteFunc(os.Environ(), foreignSetting)
	f.Progress, f.Version = cmd.ErrOrStderr(), version
	return nil
}

// foreignSetting reports whether a variable of our environment is meant for
// another server than the one that is measured.
func foreignSetting(variable string) bool {
	return strings.HasPrefix(variable, "TRUSTLOOM_") && !strings.HasPrefix(variable, "TRUSTLOOM_PKCS11_PIN=")
}
