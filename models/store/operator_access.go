// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models"
)

// SaveOperator writes all fields but Name and CreatedAt. It is KindConflict if
// o is not the present revision, or if another operator has its subject.
func (tx *Tx) SaveOperator(o *models.Operator) error {
	l := lock{quoted("operator", o.Name), string(o.ID), &o.Revision, &o.UpdatedAt}
	saved, err := tx.save(o, l, []string{"name"}, "")
	if saved || err != nil {
		return err
	}
	if _, err := tx.FindOperator(tx.ctx, o.ID); err != nil {
		return err
	}
	return models.Errorf(models.KindConflict, "%s was changed by somebody else meanwhile", l.subject)
}

// HoldOperator returns an operator that stays as it is until the transaction
// ends: whoever changes it waits.
func (tx *Tx) HoldOperator(id models.OperatorID) (*models.Operator, error) {
	if tx.db.Name() != sqliteDriver { // one transaction at a time there
		if err := tx.check(tx.session().Exec("SELECT id FROM operators WHERE id = ? FOR SHARE", id).Error, quoted("operator", id)); err != nil {
			return nil, err
		}
	}
	return tx.FindOperator(tx.ctx, id)
}

// FindOperatorBySubject returns the operator that an OpenID provider knows as
// subject.
func (q *Queries) FindOperatorBySubject(ctx context.Context, issuer, subject string) (*models.Operator, error) {
	return find[models.Operator](ctx, q, "operator", "issuer = ? AND subject = ? AND issuer <> ''", issuer, subject)
}

// VoidDecisions makes the words of an operator on pending approvals count no
// more, and returns those approvals.
func (tx *Tx) VoidDecisions(id models.OperatorID) ([]models.Approval, error) {
	pending := tx.session().Model(&models.Approval{}).Select("id").Where("state = ?", models.ApprovalPending)
	var voided []models.ApprovalDecision
	query := tx.session().Where("operator_id = ? AND void = ?", id, false)
	if err := query.Where("approval_id IN (?)", pending).Find(&voided).Error; err != nil || len(voided) == 0 {
		return nil, tx.check(err, "decisions")
	}
	approvals := make([]models.Approval, 0, len(voided))
	for _, d := range voided {
		err := tx.session().Model(&models.ApprovalDecision{}).Where("id = ?", d.ID).UpdateColumn("void", true).Error
		if err := tx.check(err, "decisions"); err != nil {
			return nil, err
		}
		approval, err := tx.FindApproval(tx.ctx, d.ApprovalID)
		if err != nil {
			return nil, err
		}
		approvals = append(approvals, *approval)
	}
	return approvals, nil
}

// TokensOf returns the tokens and sessions of an operator.
func (q *Queries) TokensOf(ctx context.Context, id models.OperatorID) ([]models.Token, error) {
	var rows []models.Token
	err := q.with(ctx).Where("operator_id = ?", id).Order("name").Find(&rows).Error
	return rows, q.check(err, "tokens")
}

// FindToken returns the token with this identifier.
func (q *Queries) FindToken(ctx context.Context, id models.TokenID) (*models.Token, error) {
	return find[models.Token](ctx, q, "token", "id = ?", id)
}

// DeleteSessions removes the sessions that ended before an instant.
func (tx *Tx) DeleteSessions(before time.Time) error {
	err := tx.session().Where("session = ? AND expires_at < ?", true, instant(before)).Delete(&models.Token{}).Error
	return tx.check(err, "sessions")
}

// InsertOperatorCertificate adds what is compared of a person's certificates.
// It is KindConflict if that is somebody's already.
func (tx *Tx) InsertOperatorCertificate(c *models.OperatorCertificate) error {
	setDefault(&c.ID, models.NewID[models.OperatorCertificateID]())
	setDefault(&c.CreatedAt, tx.clock())
	return tx.add(c, "a registration of this certificate, or of what it is recognised by,")
}

// DeleteOperatorCertificate removes a registration. It is KindNotFound if the
// operator has none with this identifier.
func (tx *Tx) DeleteOperatorCertificate(owner models.OperatorID, id models.OperatorCertificateID) error {
	res := tx.session().Where("id = ? AND operator_id = ?", id, owner).Delete(&models.OperatorCertificate{})
	if res.Error == nil && res.RowsAffected == 0 {
		return models.Errorf(models.KindNotFound, "%s does not exist", quoted("operator certificate", id))
	}
	return tx.check(res.Error, "operator certificate")
}

// OperatorCertificates returns the registrations of an operator.
func (q *Queries) OperatorCertificates(ctx context.Context, id models.OperatorID) ([]models.OperatorCertificate, error) {
	var rows []models.OperatorCertificate
	err := q.with(ctx).Where("operator_id = ?", id).Order("id").Find(&rows).Error
	return rows, q.check(err, "operator certificates")
}

// FindOperatorCertificate returns the registration of one comparison, among
// those of one issuing key, or with an empty one of those that name none.
func (q *Queries) FindOperatorCertificate(ctx context.Context, kind models.CertificateMatch, issuerSHA256, value string) (*models.OperatorCertificate, error) {
	if issuerSHA256 == "" {
		return find[models.OperatorCertificate](ctx, q, "operator certificate", "kind = ? AND value = ? AND issuer_sha256 = ''", kind, value)
	}
	return find[models.OperatorCertificate](ctx, q, "operator certificate", "kind = ? AND value = ? AND issuer_sha256 = ?", kind, value, issuerSHA256)
}

// InsertLogin adds a completed login, and removes those that nobody collected.
func (tx *Tx) InsertLogin(l *models.Login) error {
	if err := tx.session().Where("expires_at < ?", instant(tx.clock())).Delete(&models.Login{}).Error; err != nil {
		return tx.check(err, "logins")
	}
	return tx.add(l, "login")
}

// TakeLogin returns a completed login and removes it: a code is good once. It
// is KindNotFound if there is none.
func (tx *Tx) TakeLogin(codeHash string) (*models.Login, error) {
	l, err := find[models.Login](tx.ctx, tx.Queries, "login", "code_hash = ?", codeHash)
	if err != nil {
		return nil, err
	}
	res := tx.session().Where("code_hash = ?", codeHash).Delete(&models.Login{})
	if res.Error == nil && res.RowsAffected == 0 {
		return nil, models.Errorf(models.KindNotFound, "login does not exist")
	}
	return l, tx.check(res.Error, "login")
}
