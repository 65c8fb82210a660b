// SPDX-License-Identifier: MIT

package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/models"
)

// doorFlags are the flags that say which ways lead into a domain.
type doorFlags struct {
	operations, methods []string
	bound, unbound      bool
}

func (f *doorFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.operations, "operations", nil, "what its devices may ask for, all of it: "+words(models.DeviceOperations))
	flags.StringSliceVar(&f.methods, "onboarding-methods", nil, "how they may prove themselves for their first identity, all of it: "+methods())
	flags.BoolVar(&f.bound, "channel-binding", false, "demand that each request is bound to its TLS connection (RFC 7030 section 3.5)")
	flags.BoolVar(&f.unbound, "no-channel-binding", false, "demand no binding")
	cmd.MarkFlagsMutuallyExclusive("channel-binding", "no-channel-binding")
}

// change returns what is given; nil stays as it is.
func (f *doorFlags) change(cmd *cobra.Command) (operations *[]models.DeviceOperation, methods *[]models.OnboardingMethod, binding *bool) {
	if cmd.Flags().Changed("operations") {
		operations = typed[models.DeviceOperation](f.operations)
	}
	if cmd.Flags().Changed("onboarding-methods") {
		methods = typed[models.OnboardingMethod](f.methods)
	}
	if f.bound || f.unbound {
		binding = &f.bound
	}
	return operations, methods, binding
}

func typed[S ~string](values []string) *[]S {
	list := make([]S, len(values))
	for i, v := range values {
		list[i] = S(strings.TrimSpace(v))
	}
	return &list
}

func words[S ~string](values []S) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return strings.Join(list, ", ")
}

func demanded(yes bool) string {
	if yes {
		return "demanded"
	}
	return "not demanded"
}
