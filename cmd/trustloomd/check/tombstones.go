// SPDX-License-Identifier: MIT

package check

import (
	"context"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// eventPurged is what the purge of a certificate leaves in the audit log.
const eventPurged = "certificate.purged"

// tombstones checks that what was purged could be, is known to the audit log,
// and has not been given again.
func (c *checker) tombstones(ctx context.Context) error {
	list := func(p store.Page) ([]models.Tombstone, string, error) { return c.Store.ListTombstones(ctx, p) }
	return pages(ctx, c, "purged certificates", list, func(ctx context.Context, rows []models.Tombstone) error {
		if err := c.burials(ctx, rows); err != nil {
			return err
		}
		return each(rows, func(row *models.Tombstone) error { return c.tombstone(ctx, row) })
	})
}

// burials checks the audit events of purged certificates: without one,
// somebody else removed it.
func (c *checker) burials(ctx context.Context, rows []models.Tombstone) error {
	subjects := make([]string, len(rows))
	for i := range rows {
		subjects[i] = string(rows[i].ID)
	}
	events, err := c.Store.EventsAbout(ctx, subjects, eventPurged, eventReserved, eventImported)
	if err != nil {
		return err
	}
	purged, intended := map[string]*models.Event{}, map[string]*models.Event{}
	for i := range events {
		if e := &events[i]; e.Action == eventPurged {
			purged[e.SubjectID] = e
		} else {
			intended[e.SubjectID] = e
		}
	}
	for i := range rows {
		row, subject := &rows[i], "purged certificate "+string(rows[i].ID)
		switch e := purged[string(row.ID)]; {
		case e == nil:
			c.broken(oneEach, subject, "the audit log does not know that it was purged")
		case e.Details["serial"] != row.Serial || e.Details["sha256"] != row.Fingerprint:
			c.broken(oneEach, subject, "the audit log knows the purge of another certificate, with serial number %s", e.Details["serial"])
		}
		switch e := intended[string(row.ID)]; {
		case e == nil:
			c.broken(intentFirst, subject, "the audit log knows no intent for it")
		case e.Action == eventReserved && e.Details["tbs_sha256"] != row.TBSSHA256:
			c.broken(intentFirst, subject, "its intent was for the bytes %s, its tombstone says %s", e.Details["tbs_sha256"], row.TBSSHA256)
		}
	}
	return nil
}

func (c *checker) tombstone(ctx context.Context, row *models.Tombstone) error {
	subject := "purged certificate " + string(row.ID)
	if row.NotAfter.Add(models.MinRetention.Std()).After(row.PurgedAt) {
		c.broken(oneEach, subject, "it was purged at %s, less than %s after it expired", row.PurgedAt, models.MinRetention)
	}
	for _, again := range []struct {
		what string
		find func() (*models.Certificate, error)
	}{
		{"identifier", func() (*models.Certificate, error) { return c.Store.FindCertificate(ctx, row.ID) }},
		{"request", func() (*models.Certificate, error) { return c.Store.FindCertificateByRequestKey(ctx, row.RequestKey) }},
		{"serial number", func() (*models.Certificate, error) {
			return c.Store.FindCertificateBySerial(ctx, row.IssuerKeyID, row.Serial)
		}},
	} {
		other, err := again.find()
		if err == nil {
			c.broken(uniqueness, subject, "certificate %s has the same %s", other.ID, again.what)
		} else if !gone(err) {
			return err
		}
	}
	return c.requestOf(ctx, subject, row)
}

// requestOf checks that the request of a purged certificate still names it.
func (c *checker) requestOf(ctx context.Context, subject string, row *models.Tombstone) error {
	if row.RequestID == "" {
		if row.Origin != models.CertificateImported {
			c.broken(oneEach, subject, "nobody requested it")
		}
		return nil
	}
	req, err := c.Store.FindRequest(ctx, row.RequestID)
	switch {
	case gone(err):
		c.broken(oneEach, subject, "its request %s does not exist", row.RequestID)
	case err != nil:
		return err
	case req.Key != row.RequestKey || req.CertificateID != row.ID:
		c.broken(oneEach, subject, "its request %s is of another certificate", req.ID)
	case req.DomainID != row.DomainID || req.DeviceID != row.DeviceID:
		c.broken(separation, subject, "it is of another device or domain than its request %s", req.ID)
	}
	return nil
}
