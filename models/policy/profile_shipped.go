// SPDX-License-Identifier: MIT

package policy

import (
	"embed"
	"strings"
)

//go:embed profiles/*.json
var shipped embed.FS

// Shipped returns the profile documents that come with the server, by name:
// domain_credential, tls_server, tls_client, opc_ua and generic.
func Shipped() map[string][]byte {
	documents := map[string][]byte{}
	// The embedded folder is there, or the program would not have been built.
	files, _ := shipped.ReadDir("profiles")
	for _, file := range files {
		document, _ := shipped.ReadFile("profiles/" + file.Name())
		documents[strings.TrimSuffix(file.Name(), ".json")] = document
	}
	return documents
}
