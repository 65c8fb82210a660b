// SPDX-License-Identifier: MIT

package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// doorFlags are the flags that say which ways lead into a domain.
type doorFlags struct {
	operations, methods []string
	bound, unbound      bool
	implicit, explicit  bool
	confirmWait         models.Duration
	ras                 string
}

func (f *doorFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.operations, "operations", nil, "what its devices may ask for, all of it: "+words(models.DeviceOperations))
	flags.StringSliceVar(&f.methods, "onboarding-methods", nil, "how they may prove themselves for their first identity, all of it: "+methods())
	flags.BoolVar(&f.bound, "channel-binding", false, "demand that each request is bound to its TLS connection (RFC 7030 section 3.5)")
	flags.BoolVar(&f.unbound, "no-channel-binding", false, "demand no binding")
	cmd.MarkFlagsMutuallyExclusive("channel-binding", "no-channel-binding")
	flags.BoolVar(&f.explicit, "cmp-explicit-confirm", false, "CMP: every client has to confirm its certificate")
	flags.BoolVar(&f.implicit, "cmp-implicit-confirm", false, "CMP: who asks for implicit confirmation gets it")
	cmd.MarkFlagsMutuallyExclusive("cmp-explicit-confirm", "cmp-implicit-confirm")
	flags.TextVar(&f.confirmWait, "cmp-confirm-wait", models.DefaultConfirmWait, "CMP: how long a certificate waits for being confirmed before it is revoked")
	flags.StringVar(&f.ras, "cmp-ra-truststore", "", "CMP: truststore of the registration authorities that may ask for its devices; '' for none")
}

// changeCMP returns what is given of the settings for CMP.
func (f *doorFlags) changeCMP(cmd *cobra.Command) (change api.CMPChange) {
	if f.implicit || f.explicit {
		change.ImplicitConfirm = &f.implicit
	}
	if cmd.Flags().Changed("cmp-confirm-wait") {
		change.ConfirmWait = &f.confirmWait
	}
	if cmd.Flags().Changed("cmp-ra-truststore") {
		change.RATruststore = &f.ras
	}
	return change
}

// describeCMP says what the settings of a domain for CMP are.
func describeCMP(r api.CMPRules) string {
	text := "confirmation within " + r.ConfirmWait.String() + ", implicit if asked for"
	if !r.ImplicitConfirm {
		text = "confirmation within " + r.ConfirmWait.String() + ", never implicit"
	}
	if r.RATruststore != "" {
		text += "; registration authorities of " + r.RATruststore
	}
	return text
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
