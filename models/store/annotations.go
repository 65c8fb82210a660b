// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/trustloom/trustloom/models"
)

// noted restricts a query to rows whose metadata has a value under a key.
func noted(query *gorm.DB, key, value string) *gorm.DB {
	switch {
	case key == "":
		return query
	case query.Name() == sqliteDriver:
		return query.Where("metadata ->> ? = ?", `$."`+key+`"`, value)
	default:
		return query.Where("CAST(metadata AS jsonb) ->> CAST(? AS text) = ?", key, value)
	}
}

// deviceGroup is a device in a group.
type deviceGroup struct {
	Name     string
	DeviceID models.DeviceID
}

// TableName implements the interface of gorm.
func (deviceGroup) TableName() string { return "device_groups" }

// IndexGroups lets a device be found by its groups. It belongs into the
// transaction that saves the device.
func (tx *Tx) IndexGroups(d *models.Device) error {
	subject := quoted("groups of device", d.Name)
	if err := tx.session().Where("device_id = ?", d.ID).Delete(&deviceGroup{}).Error; err != nil || len(d.Groups) == 0 {
		return tx.check(err, subject)
	}
	rows := make([]deviceGroup, len(d.Groups))
	for i, name := range d.Groups {
		rows[i] = deviceGroup{Name: name, DeviceID: d.ID}
	}
	return tx.check(tx.session().Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error, subject)
}

// FindAnnotation returns what is noted about a row; an empty annotation, with
// the revision 0, if nothing is.
func (q *Queries) FindAnnotation(ctx context.Context, noun, id string) (*models.Annotation, error) {
	a := &models.Annotation{}
	err := q.with(ctx).Where("noun = ? AND subject_id = ?", noun, id).Take(a).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return &models.Annotation{Noun: noun, SubjectID: id}, nil
	}
	return a, q.check(err, "annotation")
}

// SaveAnnotation writes an annotation. It is KindConflict if a is not the
// present revision.
func (tx *Tx) SaveAnnotation(a *models.Annotation) error {
	subject := fmt.Sprintf("metadata of %s %s", a.Noun, a.SubjectID)
	a.Revision, a.UpdatedAt = a.Revision+1, tx.clock()
	if a.Revision == 1 {
		added, err := tx.insert(a, subject)
		if err == nil && !added {
			err = changed(subject)
		}
		return err
	}
	res := tx.session().Model(a).Where("noun = ? AND subject_id = ? AND revision = ?", a.Noun, a.SubjectID, a.Revision-1).
		Select("metadata", "revision", "updated_at").UpdateColumns(a)
	if res.Error == nil && res.RowsAffected == 0 {
		return changed(subject)
	}
	return tx.check(res.Error, subject)
}

// revocable is what the end of a device revokes: everything that is in force,
// and what is on hold, for good. What has expired needs no revocation.
const revocable = "device_id = ? AND not_after > ? AND (state = 'issued' OR (state = 'revoked' AND revoked_reason = 'certificateHold'))"

// RevokeOfDevice revokes every certificate of a device that is in force or on
// hold, with an audit event like e for each, and promises the CRLs. It returns
// the CAs whose CRLs have to follow, and how many certificates it revoked.
func (tx *Tx) RevokeOfDevice(id models.DeviceID, reason models.RevocationReason, at time.Time, e models.Event) ([]models.CAID, int, error) {
	var rows []models.Certificate
	err := tx.session().Select("id", "serial", "issuer_ca_id", "domain_id", "device_id", "request_id").Where(revocable, id, instant(at)).Order("id").Find(&rows).Error
	if err != nil {
		return nil, 0, tx.check(err, quoted("certificates of device", id))
	}
	var issuers []models.CAID
	seen := map[models.CAID]bool{}
	for _, c := range rows {
		if err := tx.RevokeCertificate(c.ID, reason, at); err != nil {
			return nil, 0, err
		}
		if err := tx.Audit(revocationEvent(&c, reason, e)); err != nil {
			return nil, 0, err
		}
		if seen[c.IssuerCAID] {
			continue
		}
		seen[c.IssuerCAID], issuers = true, append(issuers, c.IssuerCAID)
		if err := tx.Promise(models.OutboxItem{Action: models.OutboxPublish, SubjectID: string(c.IssuerCAID)}); err != nil {
			return nil, 0, err
		}
	}
	return issuers, len(rows), nil
}

// revocationEvent is e about one certificate.
func revocationEvent(c *models.Certificate, reason models.RevocationReason, e models.Event) models.Event {
	details := map[string]string{"serial": c.Serial, "reason": string(reason)}
	for key, value := range e.Details {
		details[key] = value
	}
	e.Action, e.Noun, e.SubjectID, e.Details = "certificate.revoked", "certificate", string(c.ID), details
	e.DomainID, e.DeviceID, e.RequestID = c.DomainID, c.DeviceID, c.RequestID
	return e
}

// InTheMaking counts the certificates of a device that were reserved after an
// instant and have no signature yet.
func (q *Queries) InTheMaking(ctx context.Context, id models.DeviceID, after time.Time) (int, error) {
	var count int64
	err := q.with(ctx).Model(&models.Certificate{}).Where("device_id = ? AND created_at > ?", id, instant(after)).Where(unrecorded).Count(&count).Error
	return int(count), q.check(err, quoted("certificates of device", id))
}
