// SPDX-License-Identifier: MIT

package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

// programVersion is what 'trustloom version -o json' prints.
type programVersion struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Long:    "Print the version of this program, and of the Go release that it was built with.",
		Example: "  trustloom version\n  trustloom version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return c.tell(programVersion{Version: version, Go: runtime.Version()}, "trustloom %s (%s)", version, runtime.Version())
		},
	}
}
