// SPDX-License-Identifier: MIT

package operations

import (
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

const (
	defaultDeadline = models.Duration(14 * 24 * time.Hour)
	maxSteps        = 10
	maxQuorum       = 10
	maxStepName     = 63
)

// parseRule validates an approval rule and fills in its defaults, so that the
// rule that is stored says all that will happen. A nil rule stays nil.
func parseRule(story string, in *api.ApprovalRule) (*models.ApprovalRule, error) {
	if in == nil {
		return nil, nil
	}
	rule := &models.ApprovalRule{Deadline: in.Deadline, RemindAfter: in.RemindAfter, EscalateAfter: in.EscalateAfter}
	if len(in.Steps) < 1 || len(in.Steps) > maxSteps {
		return nil, models.Errorf(models.KindInvalid, "approval.%s has %d steps, 1 to %d are possible; null removes the rule", story, len(in.Steps), maxSteps)
	}
	for i, s := range in.Steps {
		step, err := parseStep(story, i, s)
		if err != nil {
			return nil, err
		}
		rule.Steps = append(rule.Steps, step)
	}
	if rule.Deadline == 0 {
		rule.Deadline = defaultDeadline
	}
	if rule.RemindAfter == 0 {
		rule.RemindAfter = rule.Deadline / 2
	}
	if rule.EscalateAfter == 0 {
		rule.EscalateAfter = rule.Deadline / 4 * 3
	}
	if rule.RemindAfter >= rule.EscalateAfter || rule.EscalateAfter >= rule.Deadline {
		return nil, models.Errorf(models.KindInvalid, "approval.%s: remind_after (%s) must come before escalate_after (%s), and that before the deadline (%s)",
			story, rule.RemindAfter, rule.EscalateAfter, rule.Deadline)
	}
	return rule, nil
}

func parseStep(story string, i int, in api.ApprovalStep) (models.ApprovalStep, error) {
	step := models.ApprovalStep(in)
	if step.Quorum == 0 {
		step.Quorum = 1
	}
	if step.Quorum < 1 || step.Quorum > maxQuorum {
		return step, models.Errorf(models.KindInvalid, "approval.%s.steps[%d]: quorum %d is not 1 to %d", story, i, step.Quorum, maxQuorum)
	}
	if step.Name == "" {
		return step, models.Errorf(models.KindInvalid, "approval.%s.steps[%d] has no name", story, i)
	}
	return step, checkText("name of an approval step", step.Name, maxStepName)
}

func parsePolicy(in api.ApprovalPolicy) (policy models.ApprovalPolicy, err error) {
	if policy.Onboarding, err = parseRule("onboarding", in.Onboarding); err != nil {
		return policy, err
	}
	if policy.Enrollment, err = parseRule("enrollment", in.Enrollment); err != nil {
		return policy, err
	}
	policy.Renewal, err = parseRule("renewal", in.Renewal)
	return policy, err
}

// changePolicy applies the rules that a change names.
func changePolicy(policy *models.ApprovalPolicy, in api.PolicyChange) (err error) {
	for _, c := range []struct {
		story string
		to    **models.ApprovalRule
		from  api.RuleChange
	}{
		{"onboarding", &policy.Onboarding, in.Onboarding},
		{"enrollment", &policy.Enrollment, in.Enrollment},
		{"renewal", &policy.Renewal, in.Renewal},
	} {
		if !c.from.Set {
			continue
		}
		if *c.to, err = parseRule(c.story, c.from.Rule); err != nil {
			return err
		}
	}
	return nil
}

func wireRule(rule *models.ApprovalRule) *api.ApprovalRule {
	if rule == nil {
		return nil
	}
	return &api.ApprovalRule{
		Steps: wireSteps(rule.Steps), Deadline: rule.Deadline, RemindAfter: rule.RemindAfter, EscalateAfter: rule.EscalateAfter,
	}
}

func wireSteps(steps []models.ApprovalStep) []api.ApprovalStep {
	out := make([]api.ApprovalStep, len(steps))
	for i, s := range steps {
		out[i] = api.ApprovalStep(s)
	}
	return out
}
