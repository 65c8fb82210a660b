// SPDX-License-Identifier: MIT

package api

import (
	"encoding/json/v2"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Domain is a trust area: one issuing CA, its profiles and its policies.
type Domain struct {
	ID        string   `json:"id"`
	Name      string   `json:"name" example:"press-shop"`
	IssuingCA string   `json:"issuing_ca" example:"plant-issuing"`
	Profiles  []string `json:"profiles" doc:"profiles that devices may ask for" example:"domain_credential,tls_server"`
	// Devices may ask for a profile by its alias.
	Aliases   map[string]string `json:"aliases,omitempty" doc:"further names of profiles"`
	Approval  ApprovalPolicy    `json:"approval" doc:"which stories wait for people; a story without a rule waits for nobody"`
	Suspended bool              `json:"suspended" doc:"refuses every issuance"`
	// The switches; cacerts has none, it is always open.
	Operations        []models.DeviceOperation  `json:"operations" doc:"what devices may ask for" example:"simpleenroll,simplereenroll,csrattrs,rest-enroll"`
	OnboardingMethods []models.OnboardingMethod `json:"onboarding_methods" doc:"how devices may prove themselves for their first identity" example:"est-password,est-idevid"`
	CMP               CMPRules                  `json:"cmp" doc:"settings for CMP (RFC 9810)"`
	ChannelBinding    bool                      `json:"channel_binding" doc:"requests must be bound to their TLS connection (RFC 7030 section 3.5, RFC 9266)"`

	Truststores []string `json:"truststores,omitempty" doc:"names of those that its devices should have" example:"plant-servers"`

	Retention string `json:"retention" doc:"how long certificates are kept after they expired; none: for ever" example:"90d"`

	Preset string        `json:"preset" doc:"name of the preset that limits it" example:"industrial"`
	Report *PresetReport `json:"preset_report,omitzero" doc:"in the answer to a change of the preset or a dry run only"`

	Demo      bool      `json:"demo"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// CMPRules are the settings of a domain for CMP.
type CMPRules struct {
	ImplicitConfirm bool            `json:"implicit_confirm" doc:"who asks for implicit confirmation gets it (RFC 9810 section 5.1.1.1)"`
	ConfirmWait     models.Duration `json:"confirm_wait" doc:"how long a certificate waits for being confirmed; then it is revoked" example:"5m"`
	RATruststore    string          `json:"ra_truststore,omitempty" doc:"truststore of the registration authorities that may ask for its devices" example:"plant-ras"`
}

// CMPChange changes what it names of the settings for CMP.
type CMPChange struct {
	ImplicitConfirm *bool            `json:"implicit_confirm,omitzero" doc:"true unless given"`
	ConfirmWait     *models.Duration `json:"confirm_wait,omitzero" doc:"5s to 7d; 5m unless given" example:"5m"`
	RATruststore    *string          `json:"ra_truststore,omitzero" doc:"empty: no registration authority may ask" example:"plant-ras"`
}

// ApprovalPolicy says which stories of a domain wait for people.
type ApprovalPolicy struct {
	Onboarding *ApprovalRule `json:"onboarding,omitzero"`
	Enrollment *ApprovalRule `json:"enrollment,omitzero"`
	Renewal    *ApprovalRule `json:"renewal,omitzero"`
}

// ApprovalRule describes an approval: steps in order, and when the wait ends.
type ApprovalRule struct {
	Steps         []ApprovalStep  `json:"steps" doc:"1 to 10 steps"`
	Deadline      models.Duration `json:"deadline,omitzero" doc:"14d unless given" example:"72h"`
	RemindAfter   models.Duration `json:"remind_after,omitzero" doc:"half the deadline unless given" example:"36h"`
	EscalateAfter models.Duration `json:"escalate_after,omitzero" doc:"three quarters of the deadline unless given" example:"54h"`
}

// ApprovalStep is one step: Quorum different people must approve it.
type ApprovalStep struct {
	Name   string `json:"name" example:"operator"`
	Quorum int    `json:"quorum,omitzero" doc:"1 to 10; 1 unless given" example:"1"`
}

// DomainCreation asks for a new domain.
type DomainCreation struct {
	Name      string            `json:"name" example:"press-shop"`
	IssuingCA string            `json:"issuing_ca" example:"plant-issuing"`
	Profiles  []string          `json:"profiles,omitempty" doc:"every shipped profile unless given" example:"domain_credential,tls_server"`
	Aliases   map[string]string `json:"aliases,omitempty" doc:"further names for some of the profiles; an alias comes before a profile of the same name"`
	Approval  ApprovalPolicy    `json:"approval,omitzero"`
	Demo      bool              `json:"demo,omitzero"`

	Operations        *[]models.DeviceOperation  `json:"operations,omitzero" doc:"everything but serverkeygen unless given" example:"simpleenroll,simplereenroll,csrattrs,rest-enroll"`
	OnboardingMethods *[]models.OnboardingMethod `json:"onboarding_methods,omitzero" doc:"every method unless given" example:"est-password,est-idevid"`
	ChannelBinding    *bool                      `json:"channel_binding,omitzero"`
	CMP               CMPChange                  `json:"cmp,omitzero"`
	Preset            string                     `json:"preset,omitzero" doc:"industrial unless given" example:"industrial"`
	Retention         string                     `json:"retention,omitzero" doc:"how long certificates are kept after they expired, at least 30d; for ever unless given" example:"90d"`
}

// DomainChange changes what it names and leaves the rest (RFC 7396).
type DomainChange struct {
	IssuingCA *string            `json:"issuing_ca,omitzero" example:"plant-issuing-2"`
	Profiles  *[]string          `json:"profiles,omitzero" example:"domain_credential,tls_server"`
	Aliases   *map[string]string `json:"aliases,omitzero" doc:"all of them; {} for none"`
	Approval  PolicyChange       `json:"approval,omitzero"`
	Suspended *bool              `json:"suspended,omitzero"`

	Operations        *[]models.DeviceOperation  `json:"operations,omitzero" example:"simpleenroll,simplereenroll,csrattrs"`
	OnboardingMethods *[]models.OnboardingMethod `json:"onboarding_methods,omitzero" example:"est-password,est-idevid"`
	ChannelBinding    *bool                      `json:"channel_binding,omitzero"`
	CMP               CMPChange                  `json:"cmp,omitzero"`

	Preset *string `json:"preset,omitzero" doc:"name of a preset; the answer says what it does not permit" example:"hardened"`
	DryRun bool    `json:"dry_run,omitzero" doc:"change nothing; say what the preset, the named one or the domain's, does not permit"`
	Cursor string  `json:"cursor,omitzero" doc:"next_cursor of the certificates of the last report, to go on from there"`

	Retention *string `json:"retention,omitzero" doc:"how long certificates are kept after they expired, at least 30d; none: for ever" example:"90d"`

	Truststores *[]string `json:"truststores,omitzero" doc:"those that its devices should have, all of them; [] for none" example:"plant-servers"`
}

// PolicyChange changes the approval rules that it names.
type PolicyChange struct {
	Onboarding RuleChange `json:"onboarding,omitzero"`
	Enrollment RuleChange `json:"enrollment,omitzero"`
	Renewal    RuleChange `json:"renewal,omitzero"`
}

// RuleChange sets an approval rule, or removes it: Set with a nil Rule is
// null on the wire. The zero value changes nothing.
type RuleChange struct {
	Set  bool
	Rule *ApprovalRule
}

// SetRule returns the change that sets, or with nil removes, a rule.
func SetRule(rule *ApprovalRule) RuleChange { return RuleChange{Set: true, Rule: rule} }

// AcceptsNull marks the type as one for which null has a meaning.
func (RuleChange) AcceptsNull() {}

// MarshalJSON writes the rule, or null.
func (c RuleChange) MarshalJSON() ([]byte, error) { return json.Marshal(c.Rule) }

// UnmarshalJSON reads a rule, or null. Unknown members are an error.
func (c *RuleChange) UnmarshalJSON(data []byte) error {
	c.Set, c.Rule = true, nil
	return json.Unmarshal(data, &c.Rule, json.RejectUnknownMembers(true))
}
