// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

// loginTime is how long a person may take in the browser.
const loginTime = 5 * time.Minute

func (c *cli) login() *cobra.Command {
	var silent bool
	cmd := &cobra.Command{
		Use: "login", Short: "Log in at the OpenID provider, in a browser",
		Long: `Log in at the OpenID provider that the server names, in a browser on this machine. The
session lasts some hours; it is kept in a file of your configuration folder, readable for
you only, and is used for this server where no --token-file is given.`,
		Example: "  trustloom login\n  trustloom login --no-browser   # prints the address to open",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&silent, "no-browser", false, "print the address only")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), loginTime)
		defer cancel()
		return c.logIn(ctx, !silent)
	}
	return cmd
}

func (c *cli) logIn(ctx context.Context, browse bool) error {
	file := c.sessionFile()
	if file == "" {
		return errors.New("no folder for the session: set HOME or XDG_CONFIG_HOME")
	}
	client, err := api.NewClient(api.Config{URL: c.serverURL(), CAFile: c.caFile(), Proxy: http.ProxyFromEnvironment})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the browser: %w", err)
	}
	state, verifier := random(), random()
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"redirect": {"http://" + listener.Addr().String() + "/callback"}, "state": {state},
		"challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	address := c.serverURL() + "/api/v1/login?" + query.Encode()
	fmt.Fprintf(c.errs, "Log in with a browser on this machine:\n\n%s\n\n", address)
	if browse {
		openBrowser(ctx, address)
	}
	code, err := awaitCode(ctx, listener, state)
	if err != nil {
		return err
	}
	token, err := client.CollectSession(ctx, api.SessionCollection{Code: code, Verifier: verifier})
	if err != nil {
		return err
	}
	if err := keep(file, token.Token); err != nil {
		return err
	}
	token.Token = ""
	return c.tell(token, "you are %s: %s, domains: %s, until %s", token.Operator, token.Role, scope(token.Domains), whenever(token.ExpiresAt))
}

func random() string {
	raw := make([]byte, 32)
	rand.Read(raw) //nolint:errcheck // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(raw)
}

// openBrowser tries to open an address; the person can do it, too.
func openBrowser(ctx context.Context, address string) {
	name, args := "xdg-open", []string{address}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", address}
	}
	if cmd := exec.CommandContext(ctx, name, args...); cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}

// awaitCode serves one page, to which the server sends the browser back.
func awaitCode(ctx context.Context, listener net.Listener, state string) (string, error) {
	codes := make(chan string, 1)
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Referrer-Policy", "no-referrer")
		given, code := r.URL.Query().Get("state"), r.URL.Query().Get("code")
		if r.Method != http.MethodGet || r.URL.Path != "/callback" || code == "" || subtle.ConstantTimeCompare([]byte(given), []byte(state)) != 1 {
			http.Error(w, "This is not the answer to the login that was begun.", http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, "You are logged in. This window can be closed.")
		select {
		case codes <- code:
		default:
		}
	})}
	go func() { _ = server.Serve(listener) }()
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(ending) // the page is still on its way
	}()
	select {
	case code := <-codes:
		return code, nil
	case <-ctx.Done():
		return "", errors.New("nobody logged in")
	}
}

// sessionFile is where the session at the present server is kept; empty
// without a configuration folder. Each server has its own: a session is never
// shown to another one.
func (c *cli) sessionFile() string {
	base := c.getenv("XDG_CONFIG_HOME")
	if base == "" {
		home := c.getenv("HOME")
		if runtime.GOOS == "windows" {
			home = c.getenv("APPDATA")
		}
		if home == "" {
			return ""
		}
		base = filepath.Join(home, ".config")
	}
	sum := sha256.Sum256([]byte(c.serverURL()))
	return filepath.Join(base, "trustloom", "session-"+hex.EncodeToString(sum[:8]))
}

// keep writes a session to a file for its owner only, whole or not at all.
func keep(file, token string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keep the session: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".session-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the session: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = fmt.Fprintln(temp, token)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("keep the session: %w", err)
	}
	return nil
}

func (c *cli) logout() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "End the session that a login made",
		Long:    "End the session that 'trustloom login' made, at the server and on this machine.",
		Example: "  trustloom logout", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file := c.sessionFile()
			if _, err := os.Stat(file); file == "" || errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("you are not logged in at %s", c.serverURL())
			}
			c.tokenFile = file
			client, err := c.connect()
			if err != nil {
				return err
			}
			var problem *api.Problem
			if err := client.EndSession(cmd.Context()); err != nil && (!errors.As(err, &problem) || problem.Status != http.StatusUnauthorized) {
				return err
			}
			if err := os.Remove(file); err != nil {
				return err
			}
			fmt.Fprintln(c.out, "you are logged out")
			return nil
		},
	}
}
