// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/models/pki"
)

// report is what 'status' says about one credential.
type report struct {
	Name         string    `json:"name"`
	Profile      string    `json:"profile,omitempty"`
	State        string    `json:"state"` // ok missing waiting failing overdue expired
	Subject      string    `json:"subject,omitempty"`
	SANs         []string  `json:"sans,omitempty"`
	SerialNumber string    `json:"serial_number,omitempty"`
	NotAfter     time.Time `json:"not_after,omitzero"`
	RenewsAt     time.Time `json:"renews_at,omitzero"`
	NextAttempt  time.Time `json:"next_attempt,omitzero"`
	LastError    string    `json:"last_error,omitempty"`
	LastErrorAt  time.Time `json:"last_error_at,omitzero"`
	Folder       string    `json:"folder"`
	Key          string    `json:"key,omitempty"` // file, or URI of the key in a token (RFC 7512)
}

func (c *cli) status() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what the device holds", Long: statusHelp, Example: statusExample,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.output != "table" && c.output != "json" {
				return usagef("--output is %q: write table or json", c.output)
			}
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.report(cfg)
		},
	}
	cmd.Flags().StringVarP(&c.output, "output", "o", "table", "table or json")
	return cmd
}

// report writes the state of every credential; trouble is an error.
func (c *cli) report(cfg *config) error {
	var all []report
	var trouble []string
	for _, w := range cfg.Wishes {
		r, err := reportOn(w, filepath.Join(cfg.StateDir, w.Name), c.now())
		if err != nil {
			return fmt.Errorf("look at %s: %w", w.Name, err)
		}
		all = append(all, r)
		if r.State != "ok" {
			trouble = append(trouble, r.Name+" is "+r.State)
		}
	}
	trusted := []trustReport{}
	for _, w := range cfg.Anchors {
		r, err := reportOnTrust(w, cfg.StateDir)
		if err != nil {
			return fmt.Errorf("look at truststore %s: %w", w.Name, err)
		}
		trusted = append(trusted, r)
		if r.State != "ok" {
			trouble = append(trouble, "truststore "+r.Name+" is "+r.State)
		}
	}
	var err error
	if c.output == "json" {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(map[string]any{"certificates": all, "truststores": trusted})
	} else {
		err = errors.Join(c.table(all), c.trustTable(trusted))
	}
	if err == nil && len(trouble) > 0 {
		err = errors.New(strings.Join(trouble, ", "))
	}
	return err
}

func (c *cli) table(all []report) error {
	rows := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "NAME\tSTATE\tEXPIRES\tRENEWS\tSERIAL NUMBER\tKEY\tLAST ERROR")
	for _, r := range all {
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.State, orElse(when(r.NotAfter), "-"), orElse(when(r.RenewsAt), "-"),
			orElse(r.SerialNumber, "-"), orElse(keyPlace(r.Key), "-"), orElse(printable(r.LastError), "-"))
	}
	return rows.Flush()
}

// keyPlace is a shorter word for where a key is.
func keyPlace(key string) string {
	u, err := parseKeyURI(key)
	switch {
	case key == "":
		return ""
	case err != nil:
		return inFile
	}
	u.ID = nil // its label is one of its own, too
	return u.String()
}

func (c *cli) trustTable(all []trustReport) error {
	if len(all) == 0 {
		return nil
	}
	rows := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "\nTRUSTSTORE\tSTATE\tVERSION\tFILE\tLAST ERROR")
	for _, r := range all {
		fmt.Fprintf(rows, "%s\t%s\t%d\t%s\t%s\n", r.Name, r.State, r.Version, r.File, orElse(printable(r.LastError), "-"))
	}
	return rows.Flush()
}

// grace is how much of the time between renewal and expiry may pass before a
// renewal counts as overdue.
const grace = 4

// reportOn reads one credential. It takes no lock: what it reads is replaced
// in single steps.
func reportOn(w *wish, dir string, now time.Time) (report, error) {
	r := report{Name: w.Name, Profile: w.Profile, State: "missing", Folder: filepath.Join(dir, linkCurrent)}
	s := &store{dir: dir}
	var last status
	if err := readJSON(s.path(fileStatus), &last); err != nil && !errors.Is(err, os.ErrNotExist) {
		return r, err
	}
	r.LastError, r.LastErrorAt, r.NextAttempt = last.LastError, last.LastErrorAt, last.NextAttempt
	v, err := s.current()
	if err != nil {
		return r, err
	}
	if v != nil {
		leaf := v.leaf()
		r.State, r.Subject, r.SANs, r.SerialNumber = "ok", leaf.Subject.String(), pki.SANs(leaf), pki.SerialHex(leaf.SerialNumber)
		r.Key = orElse(v.Key.URI, filepath.Join(r.Folder, fileKey))
		r.NotAfter, r.RenewsAt = leaf.NotAfter.UTC(), v.due().UTC().Truncate(time.Second)
	}
	switch {
	case v != nil && !now.Before(v.leaf().NotAfter):
		r.State = "expired"
	case last.LastError != "":
		r.State = "failing"
	case last.Waiting:
		r.State = "waiting"
	case v != nil && now.After(v.due().Add(v.leaf().NotAfter.Sub(v.due())/grace)):
		r.State = "overdue"
	}
	return r, nil
}
