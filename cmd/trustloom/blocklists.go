// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// Lists of fingerprints are long: a million lines is the most that a server keeps.
const (
	maxBlocklistFile = 128 << 20
	blockedAtOnce    = 5_000 // keys in one request
)

func (c *cli) blocklists() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "blocklists",
		Aliases: []string{"blocklist"},
		Short:   "Keys that nobody may use: leaked, or of a broken generator",
		Long: `Look at and change lists of keys for which no certificate is issued and no CA is imported:
keys that leaked, that a broken generator made, or that others published. A key is named by the
SHA-256 digest of its SubjectPublicKeyInfo. What shows in the key itself (ROCA, close or small
factors, bad exponents, tiny private keys) is refused without any list.`,
		Example: `  trustloom blocklists add debian-2008 --file fingerprints.txt
  openssl x509 -in leaked.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum |
      trustloom blocklists add incidents --file -
  trustloom blocklists list`,
	}, c.blocklistList(), c.blocklistShow(), c.blocklistChange(true), c.blocklistChange(false), c.blocklistDelete())
}

func (c *cli) blocklistNames() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Blocklist, error] {
		return client.AllBlocklists(ctx)
	},
		func(b api.Blocklist) string { return b.Name })
}

func (c *cli) blocklistList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the lists of keys", Long: "List the lists of keys that nobody may use, by name.",
		Example: "  trustloom blocklists list",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllBlocklists(ctx), table[api.Blocklist]{
				none:    "There are no lists of keys. 'trustloom blocklists add' makes one.",
				columns: "NAME,KEYS,CREATED,CHANGED",
				row: func(b api.Blocklist) []string {
					return []string{b.Name, strconv.Itoa(b.Keys), when(b.CreatedAt), when(b.UpdatedAt)}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) blocklistShow() *cobra.Command {
	var q api.BlockedKeyFilter
	var limit int
	cmd := &cobra.Command{
		Use: "show NAME", Short: "List the keys on a list",
		Long: "List the keys on a list by their fingerprints, which is what 'add' and 'remove' take; with\n--fingerprint only that one, if it is there.",
		Example: `  trustloom blocklists show incidents
  trustloom blocklists show debian-2008 --fingerprint 6f5b…`,
		Args: named("blocklist"), ValidArgsFunction: c.blocklistNames(),
	}
	cmd.Flags().StringVar(&q.Fingerprint, "fingerprint", "", "look for this key: the SHA-256 digest of its SubjectPublicKeyInfo")
	limitFlag(cmd, &limit)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		return list(c, limit, client.AllBlockedKeys(ctx, args[0], q), table[api.BlockedKey]{
			none:    "There is no such key on the list.",
			columns: "SHA-256 OF THE PUBLIC KEY",
			row:     func(k api.BlockedKey) []string { return []string{k.Fingerprint} },
		})
	})
	return cmd
}

// blocklistChange is add, or remove.
func (c *cli) blocklistChange(add bool) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "remove NAME --file FILE", Short: "Take keys off a list",
		Long:    "Take the keys of a file off a list: they may be used again. The file is as for 'add'.",
		Example: "  trustloom blocklists remove incidents --file wrong.txt",
		Args:    named("blocklist"), ValidArgsFunction: c.blocklistNames(),
	}
	if add {
		cmd.Use, cmd.Short = "add NAME --file FILE", "Put keys on a list"
		cmd.Long = `Put the keys of a file on a list, which need not exist. Each line begins with the SHA-256 digest of
a SubjectPublicKeyInfo in hex, with or without colons; what follows it, empty lines and lines that
begin with # are ignored. It holds from the next issuance on. Valid certificates that have such
a key are shown: they stay valid until you revoke them.`
		cmd.Example = `  trustloom blocklists add debian-2008 --file fingerprints.txt
  openssl pkey -in leaked.key -pubout -outform DER | sha256sum | trustloom blocklists add incidents --file -`
	}
	cmd.Flags().StringVar(&file, "file", "", "file of fingerprints; - reads standard input")
	_ = cmd.MarkFlagRequired("file")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		keys, err := c.readFingerprints(file)
		if err != nil {
			return err
		}
		sum, err := sendBlocklist(ctx, client, args[0], add, keys)
		if err != nil {
			return err
		}
		return c.print(sum, func(w io.Writer) {
			fmt.Fprintf(w, "list %s has %d keys: %d added, %d removed\n", sum.Blocklist.Name, sum.Blocklist.Keys, sum.Added, sum.Removed)
			for _, cert := range sum.InUse {
				fmt.Fprintf(w, "valid certificate with such a key: %s %s (%s), serial number %s\n", cert.Kind, cert.ID, printable(cert.Subject), cert.Serial)
			}
		})
	})
	return cmd
}

// sendBlocklist sends keys in portions and adds up the answers.
func sendBlocklist(ctx context.Context, client *api.Client, name string, add bool, keys []string) (*api.BlocklistChanged, error) {
	sum := &api.BlocklistChanged{InUse: []api.BlockedCertificate{}}
	for len(keys) > 0 {
		n := min(len(keys), blockedAtOnce)
		body := api.BlocklistChange{Remove: keys[:n]}
		if add {
			body = api.BlocklistChange{Add: keys[:n]}
		}
		answer, err := client.ChangeBlocklist(ctx, name, body)
		if err != nil {
			return nil, err
		}
		sum.Blocklist, sum.Added, sum.Removed = answer.Blocklist, sum.Added+answer.Added, sum.Removed+answer.Removed
		sum.InUse, keys = append(sum.InUse, answer.InUse...), keys[n:]
	}
	return sum, nil
}

// readFingerprints reads the first word of each line.
func (c *cli) readFingerprints(path string) ([]string, error) {
	data, err := c.readLong(path)
	if err != nil {
		return nil, err
	}
	var keys []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		fingerprint, err := models.ParseKeyFingerprint(words[0])
		if err != nil {
			return nil, fmt.Errorf("line %d of %s: %s", n, path, plain(err))
		}
		keys = append(keys, fingerprint)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no fingerprint in %s", path)
	}
	return keys, nil
}

// readLong is readInput for files that are sent in portions.
func (c *cli) readLong(path string) ([]byte, error) {
	if path == "-" {
		return readBounded(c.in, "standard input", maxBlocklistFile)
	}
	return readFile(path, maxBlocklistFile)
}

func (c *cli) blocklistDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Remove a list with its keys",
		Long:    "Remove a list: its keys may be used again unless they are on another one.",
		Example: "  trustloom blocklists delete debian-2008",
		Args:    named("blocklist"), ValidArgsFunction: c.blocklistNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			if err := client.DeleteBlocklist(ctx, args[0]); err != nil {
				return err
			}
			return c.tell(struct{}{}, "list %s is deleted", args[0])
		}),
	}
}
