// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
)

// CertificateFilter selects certificates; empty fields select all.
type CertificateFilter struct {
	Page
	DomainID      models.DomainID
	DeviceID      models.DeviceID
	Kind          models.CertificateKind
	Status        string            // one of the Status constants
	ExpiresBefore time.Time         // NotAfter is earlier than this
	Serial        string            // lower-case hex, of any issuer
	Now           time.Time         // decides valid or expired; zero means the store's clock
	Domains       []models.DomainID // nil: all; empty: none
	Origin        models.CertificateOrigin
}

// The values of CertificateFilter.Status.
const (
	StatusReserved = "reserved" // not recorded yet
	StatusValid    = "valid"    // issued and before NotAfter
	StatusExpired  = "expired"  // issued and after NotAfter
	StatusRevoked  = "revoked"  // revoked or held, expired or not
)

// certificateList names the list in cursors.
const certificateList = "certificates"

// No certificate expires outside of these (RFC 5280 §4.1.2.5).
var (
	beforeAll = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	afterAll  = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// ListCertificates returns certificates, the soonest to expire first; those of
// the same instant by their identifiers.
//
// In that order a bound in time (valid, expired, expires before) is where a
// page begins or ends. State, origin, domain and device, which order nothing,
// are the front of an index each: a page is merged from as many walks as the
// filter leaves combinations of them open, and no walk meets what cannot be on
// the page, however much of it there is.
func (q *Queries) ListCertificates(ctx context.Context, f CertificateFilter) ([]models.Certificate, string, error) {
	setDefault(&f.Now, q.clock())
	w, err := f.open(q.with(ctx).Name() == sqliteDriver)
	if err != nil {
		return nil, "", err
	}
	rows := make([]models.Certificate, 0, min(w.limit, DefaultLimit+1))
	if walks := w.walks(); len(walks) > 0 {
		text := "SELECT * FROM certificates WHERE id IN (SELECT id FROM (" + strings.Join(walks, " UNION ALL ") +
			") AS found ORDER BY not_after, id LIMIT ?) ORDER BY not_after, id"
		if err := q.with(ctx).Raw(text, append(w.args, w.limit)...).Find(&rows).Error; err != nil {
			return nil, "", q.check(err, certificateList)
		}
	}
	if len(rows) < w.limit {
		return rows, "", nil
	}
	rows = rows[:w.limit-1]
	last := &rows[len(rows)-1]
	return rows, models.Cursor(certificateList, expiryKey(last.NotAfter, last.ID)), nil
}

// expiryKey is the place of a certificate in lists in the order of expiry.
func expiryKey(notAfter time.Time, id models.CertificateID) string {
	return strconv.FormatInt(notAfter.UnixMicro(), 10) + "/" + string(id)
}

// parseExpiryKey is the inverse of expiryKey, for the cursors of a list.
func parseExpiryKey(list, key string) (notAfter time.Time, id models.CertificateID, err error) {
	micros, text, _ := strings.Cut(key, "/")
	n, err := strconv.ParseInt(micros, 10, 64)
	notAfter = time.UnixMicro(n).UTC()
	if err != nil || text == "" || strconv.FormatInt(n, 10) != micros || notAfter.Before(beforeAll) || notAfter.After(afterAll) {
		return time.Time{}, "", models.Errorf(models.KindInvalid, "the cursor does not belong to this list of %s; begin without one", list)
	}
	return notAfter, models.CertificateID(text), nil
}

// certificateWalks makes the text of a page's walks, and collects their
// arguments in the order of the text.
type certificateWalks struct {
	CertificateFilter
	lite    bool // SQLite
	limit   int  // rows to read: one more than there are on a page
	after   time.Time
	afterID models.CertificateID
	before  time.Time // exclusive
	args    []any
}

// open checks the filter and finds where its page begins and ends.
func (f CertificateFilter) open(lite bool) (*certificateWalks, error) {
	limit, key, err := f.Page.open(certificateList)
	if err != nil {
		return nil, err
	}
	w := &certificateWalks{CertificateFilter: f, lite: lite, limit: limit + 1, after: beforeAll, before: afterAll}
	if key != "" {
		if w.after, w.afterID, err = parseExpiryKey(certificateList, key); err != nil {
			return nil, err
		}
	}
	if !f.ExpiresBefore.IsZero() {
		w.before = instant(f.ExpiresBefore)
	}
	switch now := instant(f.Now); f.Status {
	case "", StatusReserved, StatusRevoked:
	case StatusValid:
		if w.after.Before(now) {
			w.after, w.afterID = now, "" // no identifier is empty: now itself is on the page
		}
	case StatusExpired:
		if now.Before(w.before) {
			w.before = now
		}
	default:
		return nil, models.Errorf(models.KindInvalid, "status %q is not one of %s, %s, %s, %s",
			f.Status, StatusReserved, StatusValid, StatusExpired, StatusRevoked)
	}
	w.narrow()
	return w, nil
}

// narrow makes one list, nil for all, of the domain that is asked for and of
// those that may be seen.
func (w *certificateWalks) narrow() {
	switch {
	case w.DomainID == "" && w.Domains == nil:
	case w.DomainID == "":
		w.Domains = slices.Clone(w.Domains) // stays empty if it is
		slices.Sort(w.Domains)
		w.Domains = slices.Compact(w.Domains)
	case w.Domains == nil || slices.Contains(w.Domains, w.DomainID):
		w.Domains = []models.DomainID{w.DomainID}
	default:
		w.Domains = []models.DomainID{}
	}
}

// walks returns the SELECT of each walk: its identifiers and their order.
func (w *certificateWalks) walks() (list []string) {
	switch {
	case w.Domains != nil && len(w.Domains) == 0:
		return nil
	case w.Serial != "":
		return []string{w.few("serial = ?", w.Serial)}
	case w.Kind == models.CertificateCA:
		return []string{w.few("kind = 'ca'")} // a constant, for the partial index
	case w.DeviceID != "":
		return []string{w.ofDevice()}
	}
	if w.Status == "" || w.Status == StatusReserved {
		list = append(list, w.few(unrecorded))
	}
	for _, state := range []models.CertificateState{models.CertificateIssued, models.CertificateRevoked} {
		if w.Status == StatusReserved || w.Status != "" && (w.Status == StatusRevoked) != (state == models.CertificateRevoked) {
			continue
		}
		for _, origin := range []models.CertificateOrigin{models.CertificateMade, models.CertificateImported} {
			if w.Origin == "" || w.Origin == origin {
				list = append(list, w.ofState(state, origin))
			}
		}
	}
	return list
}

// few walks rows that are few: the condition has an index of its own, and all
// else is looked at row by row. The inner limit bounds nothing; it keeps the
// planners from walking another index, whose order or end they like better.
func (w *certificateWalks) few(condition string, args ...any) string {
	w.args = append(append(w.args, args...), w.after, w.afterID, w.before)
	return "SELECT id, not_after FROM (SELECT id, not_after FROM (SELECT * FROM certificates WHERE " + condition +
		" LIMIT 9223372036854775807 OFFSET 0) AS few WHERE (not_after, id) > (?, ?) AND not_after < ?" + w.rest() +
		" ORDER BY not_after, id" + w.end() + ") AS walk"
}

// ofDevice walks the rows of a device.
func (w *certificateWalks) ofDevice() string {
	return "SELECT id, not_after FROM (SELECT id, not_after" + w.between("device_id", "?", "device_id = ANY(ARRAY[?])", w.DeviceID) + w.rest() +
		" ORDER BY device_id, not_after, id" + w.end() + ") AS walk"
}

// ofState walks the rows of a state and an origin: all of them, or those of
// each domain.
func (w *certificateWalks) ofState(state models.CertificateState, origin models.CertificateOrigin) string {
	// Constants, for the partial indices and because the planner need not guess.
	condition, made := " AND state = '"+string(state)+"'", "'"+string(origin)+"'"
	if w.Domains == nil {
		return "SELECT id, not_after FROM (SELECT id, not_after" + w.between("origin", made, "origin = "+made) + condition + w.ofKind() +
			" ORDER BY origin, not_after, id" + w.end() + ") AS walk"
	}
	w.args = append(w.args, jsonOf(w.Domains))
	walk := w.between("domain_id, origin", "d.value, "+made, "domain_id = ANY(ARRAY[d.value]) AND origin = "+made) + condition + w.ofKind() +
		" ORDER BY domain_id, origin, not_after, id" + w.end()
	if w.lite {
		return "SELECT c.id, c.not_after FROM json_each(?) AS d CROSS JOIN certificates AS c ON c.id IN (SELECT id" + walk + ")"
	}
	return "SELECT walk.id, walk.not_after FROM json_array_elements_text(?::json) AS d(value), LATERAL (SELECT id, not_after" + walk + ") AS walk"
}

// between walks the part of an index that can be on the page. To SQLite both
// ends are rows, so that it finds no other index that fits. PostgreSQL stops at
// an end only if what is before it is equal to something; that it is equal to
// the one value of an array is nothing by which it would take an index whose
// order does as well, to meet enough of the rows soon, which it would not.
func (w *certificateWalks) between(columns, values, equal string, args ...any) string {
	w.args = append(append(w.args, args...), w.after, w.afterID)
	if !w.lite {
		w.args = append(w.args, w.before)
		return " FROM certificates WHERE " + equal + " AND (not_after, id) > (?, ?) AND not_after < ?"
	}
	w.args = append(append(w.args, args...), w.before)
	return " FROM certificates WHERE (" + columns + ", not_after, id) > (" + values + ", ?, ?) AND (" + columns + ", not_after) < (" + values + ", ?)"
}

// rest is what of the filter is looked at row by row. The plus changes nothing
// but that SQLite does not walk another index because of it.
func (w *certificateWalks) rest() (text string) {
	plus, domains := "", `SELECT json_array_elements_text(?::json) COLLATE "C"`
	if w.lite {
		plus, domains = "+", "SELECT value FROM json_each(?)"
	}
	switch w.Status {
	case StatusReserved:
		text = " AND " + plus + unrecorded
	case StatusRevoked:
		text = " AND " + plus + "state = 'revoked'"
	case StatusValid, StatusExpired:
		text = " AND " + plus + "state = 'issued'"
	}
	if w.Domains != nil {
		text += " AND " + plus + "domain_id IN (" + domains + ")"
		w.args = append(w.args, jsonOf(w.Domains))
	}
	if w.DeviceID != "" {
		text += " AND " + plus + "device_id = ?"
		w.args = append(w.args, w.DeviceID)
	}
	if w.Origin != "" {
		text += " AND " + plus + "origin = ?"
		w.args = append(w.args, w.Origin)
	}
	return text + w.ofKind()
}

func (w *certificateWalks) ofKind() string {
	if w.Kind == "" {
		return ""
	}
	w.args = append(w.args, w.Kind)
	return " AND kind = ?"
}

func (w *certificateWalks) end() string {
	w.args = append(w.args, w.limit)
	return " LIMIT ?"
}
