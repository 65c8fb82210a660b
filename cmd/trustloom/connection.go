// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/trustloom/trustloom/api"
)

// Where the server is looked for when nothing is said: what 'trustloomd serve'
// without any flag opens and writes.
const (
	defaultURL       = "https://127.0.0.1:8443"
	defaultCA        = "data/tls/ca.pem"
	defaultTokenFile = "data/admin-token"
)

// maxTokenFile bounds a token file; a token has some dozens of characters.
const maxTokenFile = 4 << 10

func (c *cli) connect() (*api.Client, error) {
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	return api.NewClient(api.Config{URL: c.serverURL(), CAFile: c.caFile(), Token: token, Proxy: http.ProxyFromEnvironment})
}

// said returns what a flag, or else an environment variable, says.
func (c *cli) said(flag, variable string) string {
	if flag != "" {
		return flag
	}
	return c.getenv(variable)
}

// serverURL returns the base of the server's URLs, without a slash at the end.
func (c *cli) serverURL() string {
	if url := c.said(c.url, "TRUSTLOOM_URL"); url != "" {
		return strings.TrimRight(url, "/")
	}
	return defaultURL
}

// caFile returns the file with the CA of the server's TLS certificate; empty
// means that the system's CAs apply.
func (c *cli) caFile() string {
	if file := c.said(c.ca, "TRUSTLOOM_CA"); file != "" {
		return file
	}
	if _, err := os.Stat(filepath.FromSlash(defaultCA)); err != nil {
		return ""
	}
	return filepath.FromSlash(defaultCA)
}

// tokenPath returns the token file, and whether it was named.
func (c *cli) tokenPath() (path string, said bool) {
	if file := c.said(c.tokenFile, "TRUSTLOOM_TOKEN_FILE"); file != "" {
		return file, true
	}
	return filepath.FromSlash(defaultTokenFile), false
}

func (c *cli) token() (string, error) {
	path, said := c.tokenPath()
	if !said {
		if session := c.sessionFile(); session != "" {
			if _, err := os.Stat(session); err == nil {
				path, said = session, true
			}
		}
	}
	data, err := readFile(path, maxTokenFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !said:
		return "", fmt.Errorf("no token: --token-file is not given, TRUSTLOOM_TOKEN_FILE is not set, and there is no %s in this folder.\n"+
			"Run trustloom where 'trustloomd serve' keeps its data directory, name the file with the token, or log in ('trustloom login')", path)
	case err != nil:
		return "", fmt.Errorf("the token cannot be read: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("token file %s does not hold a token, one word", path)
	}
	return token, nil
}
