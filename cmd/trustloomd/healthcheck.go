// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func healthcheckCommand() *cobra.Command {
	var url string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running server whether it is ready",
		Long: `Ask a running server whether it is ready and print what it says. The exit code
is 0 if it is. With --wait the question is repeated until it is or the time is up.`,
		Example: `  trustloomd healthcheck
  trustloomd healthcheck --wait 30s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			deadline := time.Now().Add(wait)
			for {
				err := askReady(cmd, url)
				if err == nil || time.Now().After(deadline) {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				case <-time.After(200 * time.Millisecond):
				}
			}
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://"+environment("TRUSTLOOM_HTTP_ADDR", "127.0.0.1:8080"), "the server's address without TLS")
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for it to become ready")
	return cmd
}

func askReady(cmd *cobra.Command, url string) error {
	req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, resp.Status, body)
	}
	_, err = cmd.OutOrStdout().Write(body)
	return err
}
