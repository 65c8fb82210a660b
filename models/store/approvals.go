// SPDX-License-Identifier: MIT

package store

import (
	"context"

	"github.com/trustloom/trustloom/models"
)

var approvalsByID = order[models.Approval]{"approvals", "id", func(a *models.Approval) string { return string(a.ID) }}

// ApprovalFilter selects approvals; empty fields select all.
type ApprovalFilter struct {
	Page
	DomainID models.DomainID
	State    models.ApprovalState
	Domains  []models.DomainID // nil: all; empty: none
}

// OpenApproval adds a unless the request has an approval. Then it reports
// false and a becomes the row that exists.
func (tx *Tx) OpenApproval(a *models.Approval) (opened bool, err error) {
	if err := known(models.ApprovalTransitions, "approval", a.State); err != nil {
		return false, err
	}
	tx.fresh((*string)(&a.ID), &a.Revision, &a.CreatedAt, &a.UpdatedAt)
	opened, err = tx.insert(a, quoted("approval", a.ID), "request_id")
	if opened || err != nil {
		return opened, err
	}
	now, err := tx.FindApprovalByRequest(tx.ctx, a.RequestID)
	if err == nil {
		*a = *now
	}
	return false, err
}

// SaveApproval writes all fields but CreatedAt. It is KindConflict if a is not
// the present revision or its state cannot follow the present one.
func (tx *Tx) SaveApproval(a *models.Approval) error {
	l := lock{quoted("approval", a.ID), string(a.ID), &a.Revision, &a.UpdatedAt}
	saved, err := tx.save(a, l, nil, "state IN ?", predecessors(models.ApprovalTransitions, a.State))
	if saved || err != nil {
		return err
	}
	now, err := tx.FindApproval(tx.ctx, a.ID)
	if err != nil {
		return err
	}
	return refused(l, now.Revision, models.ApprovalTransitions, now.State, a.State)
}

// InsertDecision adds one person's word. It is KindConflict if the person has
// given one on this approval.
func (tx *Tx) InsertDecision(d *models.ApprovalDecision) error {
	setDefault(&d.ID, models.NewID[models.DecisionID]())
	setDefault(&d.CreatedAt, tx.clock())
	added, err := tx.insert(d, quoted("decision on approval", d.ApprovalID))
	if err == nil && !added {
		err = models.Errorf(models.KindConflict, "%s has already decided on approval %s", d.OperatorName, d.ApprovalID)
	}
	return err
}

// FindApproval returns the approval with this identifier.
func (q *Queries) FindApproval(ctx context.Context, id models.ApprovalID) (*models.Approval, error) {
	return find[models.Approval](ctx, q, quoted("approval", id), "id = ?", id)
}

// FindApprovalByRequest returns the approval of a request.
func (q *Queries) FindApprovalByRequest(ctx context.Context, id models.RequestID) (*models.Approval, error) {
	return find[models.Approval](ctx, q, quoted("approval of request", id), "request_id = ?", id)
}

// Decisions returns what people said on an approval, in that order.
func (q *Queries) Decisions(ctx context.Context, id models.ApprovalID) ([]models.ApprovalDecision, error) {
	var rows []models.ApprovalDecision
	err := q.with(ctx).Where("approval_id = ?", id).Order("id").Find(&rows).Error
	return rows, q.check(err, "decisions")
}

// ListApprovals returns approvals, newest last.
func (q *Queries) ListApprovals(ctx context.Context, f ApprovalFilter) ([]models.Approval, string, error) {
	query := matching(within(q.with(ctx), f.Domains), "domain_id", f.DomainID)
	return list(q, matching(query, "state", f.State), approvalsByID, f.Page)
}
