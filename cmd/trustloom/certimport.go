// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

// fileImport is what became of a file, as -o json prints it.
type fileImport struct {
	File  string                    `json:"file"`
	Error string                    `json:"error,omitempty"`
	Items []api.ImportedCertificate `json:"items,omitempty"`
}

func (c *cli) certificateImport() *cobra.Command {
	var in api.CertificateImport
	var passwords string
	cmd := &cobra.Command{
		Use: "import FILE...", Short: "Bring certificates that were issued elsewhere into the inventory",
		Long: `Bring certificates that were issued elsewhere into the inventory: PEM, DER, PKCS #7 or
PKCS #12, up to 500 in a file. They are listed (--origin imported) and watched like others,
prove nothing about a device, and can be revoked here only if the key of their CA is here:
import that CA first. Private keys in the files are not read. The same files again change
nothing.

The passwords of PKCS #12 files are in a CSV file: the name of a file, or * for all others,
and its password in each line.`,
		Example: `  trustloom certificates import old/*.pem --domain press-shop --bind-devices
  trustloom certificates import old/*.p12 --passwords passwords.csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%s needs one file or more: %s", cmd.CommandPath(), cmd.UseLine())
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&in.Domain, "domain", "", "domain that they belong to")
	cmd.Flags().BoolVar(&in.BindDevices, "bind-devices", false, "bind each to the one device of the domain that has its subject's serialNumber")
	cmd.Flags().StringVar(&passwords, "passwords", "", "CSV file with the passwords of PKCS #12 files")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		known, err := readPasswords(passwords)
		if err != nil {
			return err
		}
		return c.importFiles(ctx, client, in, args, known)
	})
	return cmd
}

func (c *cli) importFiles(ctx context.Context, client *api.Client, in api.CertificateImport, files []string, passwords map[string]string) error {
	var done []fileImport
	var counts = map[string]int{}
	failed := false
	for _, file := range files {
		one := fileImport{File: file}
		result, err := importFile(ctx, client, in, file, passwords)
		if err != nil {
			one.Error, failed = plain(err), true
			fmt.Fprintf(c.errs, "%s: %s\n", file, one.Error)
		} else {
			one.Items = result.Items
		}
		for _, item := range one.Items {
			counts[item.Outcome]++
			if item.Reason != "" {
				fmt.Fprintf(c.errs, "%s: %s: %s\n", file, printable(item.Subject), printable(item.Reason))
			}
		}
		done = append(done, one)
	}
	if err := c.tell(done, "imported: %d, known already: %d, refused: %d", counts["imported"], counts["known"], counts["refused"]); err != nil {
		return err
	}
	if failed {
		return errors.New("not every file could be imported")
	}
	return nil
}

func importFile(ctx context.Context, client *api.Client, in api.CertificateImport, file string, passwords map[string]string) (*api.CertificateImportResult, error) {
	data, err := readFile(file, maxInput/2)
	if err != nil {
		return nil, err
	}
	in.File, in.Password = data, passwords["*"]
	for _, name := range []string{filepath.Base(file), file} {
		if password, ok := passwords[name]; ok {
			in.Password = password
		}
	}
	return client.ImportCertificates(ctx, in)
}

// readPasswords reads a CSV file: name of a file, password.
func readPasswords(path string) (map[string]string, error) {
	passwords := map[string]string{}
	if path == "" {
		return passwords, nil
	}
	data, err := readFile(path, maxInput)
	if err != nil {
		return nil, err
	}
	reader := csv.NewReader(strings.NewReader(string(data)))
	reader.FieldsPerRecord = 2
	rows, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s is not a CSV file with two columns, name of a file and password", path) // the cause may quote one
	}
	for _, row := range rows {
		passwords[row[0]] = row[1]
	}
	return passwords, nil
}
