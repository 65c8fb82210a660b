// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/cmd/trustloomd/check"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/store"
)

// checkFlags is what the command line of check says.
type checkFlags struct {
	dataDir, databaseURL, output string
	sealingKeyFile               string
	grace                        time.Duration
	logs, secretFiles            []string
}

func checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for what must never be: lost, doubled or unknown certificates",
		Long: `Walk over the whole database and check the promises that this server makes:

  I1   one certificate for each request, and every issued request has its certificate
  I2   no signature without an intent over the same bytes before it
  I3   issuer and serial number mean one certificate everywhere, CRLs included
  I4   every certificate verifies, keeps inside its issuer's validity, and lints clean
  I5   every accepted request has ended, or something will end it
  I7   CRL numbers and thisUpdate only grow, and a CRL is valid now
  I8   the audit chain holds, its heads are signed with the keys that it notes, and with
       the key of --sealing-key-file every event was written by a Trustloom that has it
  I9   no secret lies where none belongs: the admin token, and what --secret-file
       names, are looked for in what Temporal keeps and in the files of --log
  I10  a request, its certificate and its approval are of one device and one domain

It only reads and may run beside the server. What a running server may have
half-way at the moment is not judged before it is --grace old. The exit code is 0
if every promise holds, 1 otherwise: worth a nightly run. It looks at about a
thousand certificates per second and says how far it is.`,
		Example: `  trustloomd check
  trustloomd check --data-dir /var/lib/trustloom --log /var/log/trustloom.log
  trustloomd check --database-url postgres://trustloom:secret@db/trustloom -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.dataDir, "data-dir", environment("TRUSTLOOM_DATA_DIR", "./data"), "the server's data directory")
	fs.StringVar(&f.databaseURL, "database-url", os.Getenv("TRUSTLOOM_DATABASE_URL"), "postgres://user:password@host/name (default SQLite in the data directory)")
	fs.StringVar(&f.sealingKeyFile, "sealing-key-file", os.Getenv("TRUSTLOOM_SEALING_KEY_FILE"), "the server's sealing key (default sealing.key in the data directory, if it is there)")
	fs.DurationVar(&f.grace, "grace", 2*time.Minute, "how old something unfinished must be to count as forgotten")
	fs.StringSliceVar(&f.logs, "log", nil, "files in which no secret may be, besides what Temporal keeps")
	fs.StringSliceVar(&f.secretFiles, "secret-file", nil, "files whose content is a secret to be looked for")
	fs.StringVarP(&f.output, "output", "o", "table", "table or json")
	return cmd
}

// environment returns the value of an environment variable, or what is meant
// without it.
func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

var errUnsound = errors.New("not every promise holds; keep the database as it is, and a copy of it, until it is known why")

func (f *checkFlags) run(cmd *cobra.Command) error {
	if f.output != "table" && f.output != "json" {
		return fmt.Errorf("--output %q is neither table nor json", f.output)
	}
	if f.databaseURL == "" {
		f.databaseURL = "sqlite:" + filepath.Join(f.dataDir, "trustloom.db")
	}
	secrets, files, err := f.search()
	if err != nil {
		return err
	}
	key, err := f.auditKey()
	if err != nil {
		return err
	}
	s, err := store.Inspect(cmd.Context(), store.Config{URL: f.databaseURL, Now: time.Now, AuditKey: key})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	report, err := check.Run(cmd.Context(), check.Config{
		Store: s, Grace: f.grace, Secrets: secrets, Files: files, Progress: cmd.ErrOrStderr(),
	})
	if err != nil {
		return err
	}
	if f.output == "json" {
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	if err == nil && !report.Sound() {
		err = errUnsound
	}
	return err
}

// search gathers the secrets to be looked for, and where.
func (f *checkFlags) search() ([]check.Secret, []string, error) {
	files, err := filepath.Glob(filepath.Join(f.dataDir, "temporal", "*.db*"))
	if err != nil {
		return nil, nil, err
	}
	var secrets []check.Secret
	for _, name := range append([]string{filepath.Join(f.dataDir, "admin-token")}, f.secretFiles...) {
		secret, err := check.ReadSecret(name)
		if errors.Is(err, os.ErrNotExist) && len(secrets) == 0 && len(f.secretFiles) == 0 {
			continue // the administrator has put the token elsewhere
		}
		if err != nil {
			return nil, nil, err
		}
		secrets = append(secrets, secret)
	}
	return secrets, append(files, f.logs...), nil
}

// auditKey returns the key that authenticates audit events. Without it the
// chain is checked, but not who wrote the events.
func (f *checkFlags) auditKey() (audit.Key, error) {
	name := f.sealingKeyFile
	if name == "" {
		name = filepath.Join(f.dataDir, "sealing.key")
		if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
			return audit.Key{}, nil
		}
	}
	sealing, err := hsm.ReadSealingKey(name)
	if err != nil {
		return audit.Key{}, err
	}
	return audit.NewKey(sealing), nil
}
