// SPDX-License-Identifier: MIT

package check

import (
	"context"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

func (c *checker) requests(ctx context.Context) error {
	list := func(p store.Page) ([]models.Request, string, error) {
		return c.Store.ListRequests(ctx, store.RequestFilter{Page: p})
	}
	return pages(ctx, c, "requests", list, func(ctx context.Context, rows []models.Request) error {
		return each(rows, func(row *models.Request) error {
			if row.Finished() {
				return c.finished(ctx, row)
			}
			return c.unfinished(ctx, row)
		})
	})
}

// finished checks that an issued request has its certificate and that a
// refused one has none that was released.
func (c *checker) finished(ctx context.Context, row *models.Request) error {
	subject := "request " + string(row.ID)
	certificate, err := c.Store.FindCertificateByRequestKey(ctx, row.Key)
	if err != nil && !gone(err) {
		return err
	}
	issued := row.State == models.RequestIssued
	if issued && certificate == nil {
		stone, err := c.Store.FindTombstoneByRequestKey(ctx, row.Key)
		if err == nil && stone.ID == row.CertificateID {
			return nil // it was there, and the retention rule did not keep it
		}
		if err != nil && !gone(err) {
			return err
		}
	}
	switch {
	case issued && certificate == nil:
		c.broken(oneEach, subject, "it is issued, but there is no certificate")
	case issued && len(certificate.DER) == 0:
		c.broken(oneEach, subject, "it is issued, but its certificate %s was never signed", certificate.ID)
	case issued && row.CertificateID != certificate.ID:
		c.broken(oneEach, subject, "it names certificate %s, but its key belongs to %s", row.CertificateID, certificate.ID)
	case !issued && row.CertificateID != "":
		c.broken(oneEach, subject, "it is %s, but names certificate %s", row.State, row.CertificateID)
	}
	return nil
}

// unfinished checks that something will end the request: a story whose
// deadline has not passed, a promise in the outbox, or, in the inline lane, the
// server's next round over what was left half-way.
func (c *checker) unfinished(ctx context.Context, row *models.Request) error {
	if !c.settled(row.UpdatedAt) {
		return nil
	}
	subject := "request " + string(row.ID)
	if row.WorkflowID == "" {
		c.broken(progress, subject, "it has been %s since %s and nobody finishes it", row.State, row.UpdatedAt)
		return nil
	}
	if row.State == models.RequestWaiting {
		if row.Deadline != nil && c.settled(*row.Deadline) {
			c.broken(progress, subject, "its deadline passed at %s, but it is still %s", row.Deadline, row.State)
		}
		return nil
	}
	promises, err := c.Store.PromisesAbout(ctx, string(row.ID))
	if err != nil {
		return err
	}
	if len(promises) == 0 {
		c.broken(progress, subject, "it has been %s since %s, its story %s does not go on, and no promise would start it", row.State, row.UpdatedAt, row.WorkflowID)
	}
	return nil
}

func (c *checker) approvals(ctx context.Context) error {
	list := func(p store.Page) ([]models.Approval, string, error) {
		return c.Store.ListApprovals(ctx, store.ApprovalFilter{Page: p})
	}
	return pages(ctx, c, "approvals", list, func(ctx context.Context, rows []models.Approval) error {
		return each(rows, func(row *models.Approval) error { return c.approval(ctx, row) })
	})
}

// approval checks an approval against the request that it is about, and that
// as many people approved as it asks for.
func (c *checker) approval(ctx context.Context, row *models.Approval) error {
	subject := "approval " + string(row.ID)
	req, err := c.Store.FindRequest(ctx, row.RequestID)
	if gone(err) {
		c.broken(separation, subject, "its request %s does not exist", row.RequestID)
		return nil
	}
	if err != nil {
		return err
	}
	if req.DomainID != row.DomainID || req.DeviceID != row.DeviceID {
		c.broken(separation, subject, "it is of another device or domain than its request %s", req.ID)
	}
	if row.State == models.ApprovalPending && c.settled(row.Deadline) {
		c.broken(progress, subject, "its deadline passed at %s, but it is still pending", row.Deadline)
	}
	if row.State != models.ApprovalApproved {
		return nil
	}
	decisions, err := c.Store.Decisions(ctx, row.ID)
	if err != nil {
		return err
	}
	c.quorum(subject, row, decisions)
	return nil
}

func (c *checker) quorum(subject string, row *models.Approval, decisions []models.ApprovalDecision) {
	needed, given := 0, 0
	for _, step := range row.Steps {
		needed += step.Quorum
	}
	people := map[models.OperatorID]bool{}
	for _, d := range decisions {
		if d.Verdict == models.VerdictApprove && d.SubjectSHA256 == row.SubjectSHA256 && !people[d.OperatorID] {
			people[d.OperatorID] = true
			given++
		}
	}
	if given < needed {
		c.broken(separation, subject, "it is approved by %d people, but needs %d", given, needed)
	}
}
