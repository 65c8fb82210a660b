// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Approval is a durable wait for people. Decisions is given when one approval
// is asked for, not in lists.
type Approval struct {
	ID            string               `json:"id"`
	Request       string               `json:"request" doc:"ID of the request that waits"`
	Domain        string               `json:"domain" example:"press-shop"`
	Device        string               `json:"device,omitempty" example:"press-01"`
	State         models.ApprovalState `json:"state"`
	SubjectSHA256 string               `json:"subject_sha256" doc:"digest of what is approved; decisions are bound to it"`
	Steps         []ApprovalStep       `json:"steps"`
	CurrentStep   int                  `json:"current_step" doc:"index into steps"`
	StepApprovals int                  `json:"step_approvals" doc:"approvals given in the current step"`
	Deadline      time.Time            `json:"deadline"`
	RemindAt      time.Time            `json:"remind_at,omitzero"`
	EscalateAt    time.Time            `json:"escalate_at,omitzero"`
	RemindedAt    *time.Time           `json:"reminded_at,omitzero"`
	EscalatedAt   *time.Time           `json:"escalated_at,omitzero"`
	DecidedAt     *time.Time           `json:"decided_at,omitzero"`
	Reason        string               `json:"reason,omitempty" doc:"comment of the decision that ended it"`
	Decisions     []ApprovalDecision   `json:"decisions,omitempty"`
	CreatedAt     time.Time            `json:"created_at"`
	UpdatedAt     time.Time            `json:"updated_at"`
}

// ApprovalDecision is one person's word on one approval.
type ApprovalDecision struct {
	Operator  string         `json:"operator" example:"alice"`
	Step      string         `json:"step" example:"operator"`
	Decision  models.Verdict `json:"decision"`
	Comment   string         `json:"comment,omitempty"`
	Void      bool           `json:"void,omitzero" doc:"the operator was disabled meanwhile: it counts no more"`
	CreatedAt time.Time      `json:"created_at"`
}

// ApprovalFilter selects approvals.
type ApprovalFilter struct {
	Domain string               `query:"domain" doc:"name of a domain" example:"press-shop"`
	State  models.ApprovalState `query:"state" doc:"state of the approval"`
	PageQuery
}

// DecisionCreation is what a person says about an approval.
type DecisionCreation struct {
	Decision      models.Verdict `json:"decision"`
	Comment       string         `json:"comment,omitempty" doc:"up to 500 characters" example:"checked on site"`
	SubjectSHA256 string         `json:"subject_sha256,omitempty" doc:"if given, the decision counts only for this digest"`
}
