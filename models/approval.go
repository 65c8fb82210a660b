// SPDX-License-Identifier: MIT

package models

import "time"

// Approval is a durable wait for people. It is bound to the digest of what is
// approved: decisions for another digest do not count.
type Approval struct {
	ID            ApprovalID     `gorm:"primaryKey"`
	RequestID     RequestID      `gorm:"uniqueIndex;not null"`
	SubjectSHA256 string         `gorm:"not null"` // hex digest of the request that is approved
	DomainID      DomainID       `gorm:"index;not null"`
	DeviceID      DeviceID       `gorm:"index"`
	State         ApprovalState  `gorm:"index;not null"`
	Steps         []ApprovalStep `gorm:"serializer:json"`
	CurrentStep   int            // index into Steps
	StepApprovals int            // approvals given in the current step
	WorkflowID    string
	Deadline      time.Time
	RemindAt      time.Time
	EscalateAt    time.Time
	RemindedAt    *time.Time
	EscalatedAt   *time.Time
	DecidedAt     *time.Time
	Reason        string // comment of the decision that ended it
	Revision      int
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Verdict is what one person says.
type Verdict string

// The verdicts.
const (
	VerdictApprove Verdict = "approve"
	VerdictReject  Verdict = "reject"
)

// ApprovalDecision is one person's word on one approval. A person gives one
// word per approval, whatever the step: that is the four-eyes rule.
type ApprovalDecision struct {
	ID            DecisionID `gorm:"primaryKey"`
	ApprovalID    ApprovalID `gorm:"uniqueIndex:one_word;not null"`
	OperatorID    OperatorID `gorm:"uniqueIndex:one_word;not null"`
	OperatorName  string
	Step          int
	Verdict       Verdict
	Comment       string
	SubjectSHA256 string
	Void          bool // its operator was disabled while the approval was pending: it counts no more
	CreatedAt     time.Time
}

// Recount sets step and count of a pending approval from the decisions that
// count. It ends the approval as approved if they are enough for every step,
// with the comment of the last one.
func (a *Approval) Recount(decisions []ApprovalDecision, now time.Time) {
	given := make([]int, len(a.Steps))
	comment := ""
	for _, d := range decisions {
		if d.Verdict == VerdictApprove && !d.Void && d.Step < len(given) {
			given[d.Step]++
			comment = d.Comment
		}
	}
	for i, step := range a.Steps {
		if given[i] < step.Quorum {
			a.CurrentStep, a.StepApprovals = i, given[i]
			return
		}
	}
	a.State, a.Reason, a.DecidedAt = ApprovalApproved, comment, &now
}

// Decide applies one person's verdict to a pending approval and reports
// whether it ended. It is KindConflict unless the approval is pending and
// before its deadline.
func (a *Approval) Decide(v Verdict, comment string, now time.Time) (ended bool, err error) {
	if a.State != ApprovalPending {
		return false, Errorf(KindConflict, "approval %s is already %s", a.ID, a.State)
	}
	if !now.Before(a.Deadline) {
		return false, Errorf(KindConflict, "the deadline of approval %s has passed", a.ID)
	}
	switch v {
	case VerdictReject:
		a.State, a.Reason = ApprovalRejected, comment
	case VerdictApprove:
		a.StepApprovals++
		if a.StepApprovals < a.Steps[a.CurrentStep].Quorum {
			return false, nil
		}
		if a.CurrentStep+1 < len(a.Steps) {
			a.CurrentStep, a.StepApprovals = a.CurrentStep+1, 0
			return false, nil
		}
		a.State, a.Reason = ApprovalApproved, comment
	default:
		return false, Errorf(KindInvalid, "decision %q is neither approve nor reject", v)
	}
	a.DecidedAt = &now
	return true, nil
}
