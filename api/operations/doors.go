// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"slices"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// doorsChange are the members of a change that are about switches.
type doorsChange struct {
	Operations        *[]models.DeviceOperation
	OnboardingMethods *[]models.OnboardingMethod
	ChannelBinding    *bool
	CMP               api.CMPChange
}

// changeDoors applies the switches that a change names, and returns the names
// of the members that it has.
func changeDoors(row *models.Domain, in doorsChange) (changed []string, err error) {
	doors := row.Doors()
	if in.Operations != nil {
		changed = append(changed, "operations")
		if doors.Open, err = chosen("operation", *in.Operations, models.DeviceOperations); err != nil {
			return nil, err
		}
	}
	if in.OnboardingMethods != nil {
		changed = append(changed, "onboarding_methods")
		if doors.Methods, err = chosen("onboarding method", *in.OnboardingMethods, models.OnboardingMethods); err != nil {
			return nil, err
		}
	}
	if in.ChannelBinding != nil {
		changed = append(changed, "channel_binding")
		doors.ChannelBinding = *in.ChannelBinding
	}
	if in.CMP != (api.CMPChange{}) {
		changed = append(changed, "cmp")
		if doors.CMP, err = changeCMP(doors.CMP, in.CMP); err != nil {
			return nil, err
		}
	}
	if len(changed) > 0 {
		row.Operations = &doors
	}
	return changed, nil
}

// changeCMP returns the settings for CMP with what a change names.
func changeCMP(before *models.CMPRules, in api.CMPChange) (*models.CMPRules, error) {
	rules := models.CMPRules{}
	if before != nil {
		rules = *before
	}
	if in.ImplicitConfirm != nil {
		rules.ExplicitConfirm = !*in.ImplicitConfirm
	}
	if in.ConfirmWait != nil {
		rules.ConfirmWait = *in.ConfirmWait
		if rules.ConfirmWait < models.MinConfirmWait || rules.ConfirmWait > models.MaxConfirmWait {
			return nil, models.Errorf(models.KindInvalid, "cmp.confirm_wait must be between %s and %s", models.MinConfirmWait, models.MaxConfirmWait)
		}
	}
	if in.RATruststore != nil {
		rules.RATruststore = *in.RATruststore
	}
	return &rules, nil
}

// checkRAs makes sure that there is the truststore that a domain names for the
// registration authorities, for a caller who sees it.
func checkRAs(ctx context.Context, tx *store.Tx, who Caller, row *models.Domain) error {
	name := row.CMP().RATruststore
	if name == "" {
		return nil
	}
	_, err := truststoreNamed(ctx, tx.Queries, who, name)
	return err
}

func wireCMP(rules models.CMPRules) api.CMPRules {
	return api.CMPRules{ImplicitConfirm: !rules.ExplicitConfirm, ConfirmWait: rules.ConfirmWait, RATruststore: rules.RATruststore}
}

// chosen returns the values of a list in the order of all that there are; it
// is never nil.
func chosen[S ~string](what string, values, all []S) ([]S, error) {
	for i, v := range values {
		if err := oneOf(what, v, all); err != nil {
			return nil, err
		}
		if slices.Contains(values[:i], v) {
			return nil, models.Errorf(models.KindInvalid, "the %s %s is named twice", what, v)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(v S) bool { return !slices.Contains(values, v) }), nil
}

// admitted returns the onboarding methods of a domain, all of them if it does
// not choose.
func admitted(d *models.Domain) []models.OnboardingMethod {
	if methods := d.Doors().Methods; methods != nil {
		return methods
	}
	return models.OnboardingMethods
}

// checkDoors refuses to arm a device for a way that does not lead into its
// domain: better now than on the device.
func checkDoors(domain *models.Domain, method models.OnboardingMethod) error {
	err := policy.Arms(domain, method)
	if op := method.Operation(); err == nil && op != "" {
		err = domain.Offers(op)
	}
	if err == nil {
		return nil
	}
	return models.Errorf(models.KindConflict, "%s", models.PublicText(err))
}
