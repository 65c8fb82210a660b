// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/integrations/cmp"
)

func (c *cli) cmp() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "cmp",
		Short:   "Look at messages of the Certificate Management Protocol",
		Long:    "Explain messages of the Certificate Management Protocol (RFC 9810), without a server.",
		Example: "  trustloom cmp decode request.der",
	}, c.cmpDecode())
}

// decoded is what 'cmp decode -o json' prints.
type decoded struct {
	Body          string   `json:"body"`
	PVNO          int      `json:"pvno"`
	TransactionID string   `json:"transaction_id"` // hexadecimal
	Protected     bool     `json:"protected"`
	Explanation   []string `json:"explanation"`
}

func (c *cli) cmpDecode() *cobra.Command {
	return &cobra.Command{
		Use: "decode FILE", Short: "Explain a CMP message",
		Long: `Explain a CMP message: a PKIMessage in DER, PEM or base64, in a file or, with -, from standard
input. It is read as the server reads it: what is wrong with a message that is refused is said,
with the failure (PKIFailureInfo) that the server answers. Nothing is verified, neither protection
nor signatures: whoever made the message chose the words. No server is asked.

'openssl cmp' writes the messages it sends with -reqout FILE and the answers with -rspout FILE.`,
		Example: `  trustloom cmp decode request.der
  openssl cmp -cmd ir ... -reqout ir.der -rspout ip.der; trustloom cmp decode ip.der
  trustloom cmp decode request.der -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			return one(cmd, args, "one file (- is standard input)")
		},
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := c.readInput(args[0])
			if err != nil {
				return err
			}
			der, err := messageOf(data)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			message, err := cmp.ParseMessage(der)
			if err != nil {
				return fmt.Errorf("%s: %s (a server answers %s)", args[0], plain(err), cmp.FailInfoOf(err))
			}
			var text strings.Builder
			if err := cmp.Explain(&text, message); err != nil {
				return err
			}
			out := decoded{Body: message.Body.Type.String(), PVNO: message.Header.Version, TransactionID: fmt.Sprintf("%x", message.Header.TransactionID),
				Protected: message.Protection != nil, Explanation: strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")}
			return c.print(out, func(w io.Writer) { fmt.Fprint(w, text.String()) })
		},
	}
}

// messageOf returns the DER of a message in DER, PEM (of any name: there is no
// usual one) or base64. Text may begin with a 0, as DER does, but hardly any DER of
// a message is base64.
func messageOf(data []byte) ([]byte, error) {
	if der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(data), nil))); err == nil && len(der) > 0 {
		return der, nil
	}
	if len(data) > 0 && data[0] == 0x30 {
		return data, nil
	}
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes, nil
	}
	return nil, fmt.Errorf("this is neither DER nor PEM nor base64")
}
