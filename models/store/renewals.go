// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/trustloom/trustloom/models"
)

// Renewal is everything that the renewal of a certificate rests on, as it is
// at one moment.
type Renewal struct {
	Holding
	Domain  *models.Domain
	Profile *models.Profile // the current version of the one that the certificate has; nil if there is none
	// KeyFree says that nothing forbids to certify the new key (KeyInTheWay).
	KeyFree bool
}

// FindRenewal reads with one statement what a device needs that shows the
// certificate with this hex SHA-256 fingerprint to renew it in a domain for a
// key. It is KindNotFound if there is no such certificate or no such domain;
// which of them, other look-ups say.
//
// Domains, CAs and profiles are read from the database only where they have
// changed: the statement says at which revision each row is now.
func (s *Store) FindRenewal(ctx context.Context, domain, fingerprint, spkiSHA256 string) (*Renewal, error) {
	subject := quoted("certificate with fingerprint", fingerprint)
	if domain == "" || fingerprint == "" || spkiSHA256 == "" {
		return nil, models.Errorf(models.KindNotFound, "%s does not exist", subject)
	}
	if s.writer != nil && ctx.Err() == nil {
		ctx = context.WithoutCancel(ctx) // as in find
	}
	r := &Renewal{Holding: Holding{Certificate: new(models.Certificate), Device: new(models.Device)}}
	var m renewalMarks
	text, rows, err := renewalText(s.Queries, r)
	if err != nil {
		return nil, s.check(err, subject)
	}
	if err := s.takeText(ctx, text, append(rows, m.cells()...), spkiSHA256, spkiSHA256, domain, fingerprint); err != nil {
		return nil, s.check(err, subject)
	}
	if r.KeyFree = m.free == 1; r.Device.ID == "" {
		r.Device = nil
	}
	return r, s.complete(ctx, r, &m)
}

// mark is a row at one of its revisions.
type mark struct {
	id       sql.NullString
	revision sql.NullInt64
	changed  sql.NullTime
}

func (m *mark) cells() []any { return []any{&m.id, &m.revision, &m.changed} }

// is reports whether the mark is that of a row as it was read.
func (m *mark) is(revision int, changed time.Time) bool {
	return m.revision.Int64 == int64(revision) && m.changed.Time.Equal(changed)
}

// renewalMarks are the columns of a renewal that are of no whole row.
type renewalMarks struct {
	domain, issuer, above mark
	profile               sql.NullString
	free                  int64
}

func (m *renewalMarks) cells() []any {
	cells := append(append(m.domain.cells(), m.issuer.cells()...), m.above.cells()...)
	return append(cells, &m.profile, &m.free)
}

var renewalSelect = `,
	t4.id, t4.revision, t4.updated_at, t2.id, t2.revision, t2.updated_at, t3.id, t3.revision, t3.updated_at,
	(SELECT p.id FROM profiles AS p WHERE p.name = t0.profile_name ORDER BY p.version DESC LIMIT 1),
	CASE WHEN ` + keyFree("t0.device_id") + ` THEN 1 ELSE 0 END
	FROM certificates AS t0
	JOIN domains AS t4 ON t4.name = ?
	LEFT JOIN devices AS t1 ON t1.id = t0.device_id
	LEFT JOIN cas AS t2 ON t2.id = t0.issuer_ca_id
	LEFT JOIN cas AS t3 ON t3.id = t2.issuer_id
	WHERE t0.fingerprint = ? AND t0.fingerprint <> '' LIMIT 1`

// renewalText is the statement, and the places of its whole rows.
func renewalText(q *Queries, r *Renewal) (text string, into []any, err error) {
	all := []any{r.Certificate, r.Device}
	tables := make([]*table, len(all))
	for i, row := range all {
		if tables[i] = q.tableOf(row); tables[i] == nil {
			return "", nil, fmt.Errorf("rows of type %T cannot be read together with others", row)
		}
		into = append(into, tables[i].cells(reflect.ValueOf(row).Elem())...)
	}
	text = tables[0].statement(q, "renewal", func() string {
		return "SELECT " + strings.Join(columnsOf(tables), ", ") + renewalSelect
	})
	return text, into, nil
}

// complete adds the rows of which the statement said only the revision.
func (s *Store) complete(ctx context.Context, r *Renewal, m *renewalMarks) (err error) {
	if r.Domain, err = present(ctx, s, &m.domain, func(d *models.Domain) bool { return m.domain.is(d.Revision, d.UpdatedAt) }); err != nil {
		return err
	}
	if m.profile.Valid {
		always := func(*models.Profile) bool { return true } // a version never changes
		if r.Profile, err = present(ctx, s, &mark{id: m.profile}, always); err != nil {
			return err
		}
	}
	for _, above := range []*mark{&m.issuer, &m.above} {
		if !above.id.Valid {
			break
		}
		ca, err := present(ctx, s, above, func(c *models.CA) bool { return above.is(c.Revision, c.UpdatedAt) })
		if err != nil {
			return err
		}
		if r.Chain = append(r.Chain, ca); ca.IssuerID == "" {
			return nil
		}
	}
	r.Chain, err = s.CAChain(ctx, r.Certificate.IssuerCAID) // longer, or broken
	return err
}

// kept are rows that were read before, by their identifier. They are looked at
// only after the database has said that they have not changed.
type kept struct {
	mu   sync.RWMutex
	rows map[string]any
}

// maxKept bounds how many rows are kept.
const maxKept = 4096

// present returns a copy of the row of a mark: the kept one if current says
// that it is that one still.
func present[T any](ctx context.Context, s *Store, m *mark, current func(*T) bool) (*T, error) {
	s.kept.mu.RLock()
	row, ok := s.kept.rows[m.id.String].(*T)
	s.kept.mu.RUnlock()
	if !ok || !current(row) {
		var err error
		if row, err = find[T](ctx, s.Queries, quoted("row", m.id.String), "id = ?", m.id.String); err != nil {
			return nil, err
		}
		s.kept.mu.Lock()
		if s.kept.rows == nil || len(s.kept.rows) >= maxKept {
			s.kept.rows = map[string]any{}
		}
		s.kept.rows[m.id.String] = row
		s.kept.mu.Unlock()
	}
	own := *row
	return &own, nil
}
