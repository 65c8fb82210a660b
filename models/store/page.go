// SPDX-License-Identifier: MIT

package store

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// Bounds of Page.Limit and of the text of a cursor.
const (
	DefaultLimit = 50
	MaxLimit     = 500
	maxCursor    = 2048
)

// cursorVersion is the first field of every cursor.
const cursorVersion = "1"

// Page asks for a part of a list: at most Limit rows (0 means DefaultLimit)
// after Cursor, which is empty or what the list before returned.
type Page struct {
	Limit  int
	Cursor string
}

// open checks p and returns its limit and the key after which to go on. kind
// names the list, so that a cursor of another list is refused.
func (p Page) open(kind string) (limit int, after string, err error) {
	if p.Limit < 0 || p.Limit > MaxLimit {
		return 0, "", models.Errorf(models.KindInvalid, "limit %d is not between 1 and %d", p.Limit, MaxLimit)
	}
	if limit = p.Limit; limit == 0 {
		limit = DefaultLimit
	}
	if p.Cursor == "" {
		return limit, "", nil
	}
	bad := models.Errorf(models.KindInvalid, "the cursor does not belong to this list of %s; begin without one", kind)
	if len(p.Cursor) > maxCursor {
		return 0, "", bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.Cursor)
	if err != nil {
		return 0, "", bad.Because(err)
	}
	fields := strings.SplitN(string(raw), "\x00", 3)
	if len(fields) != 3 || fields[1] != kind || !plain(fields[2]) || cursor(kind, fields[2]) != p.Cursor {
		return 0, "", bad
	}
	return limit, fields[2], nil
}

// plain reports whether s can be a key: PostgreSQL would refuse NUL and broken
// UTF-8 with an error of its own.
func plain(s string) bool {
	return s != "" && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

func cursor(kind, last string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + "\x00" + kind + "\x00" + last))
}

// order is the key of a list: its column, and how to read it from a row.
type order[T any] struct {
	kind, column string
	key          func(*T) string
}

// list returns one page of the rows that query selects, and the cursor of the
// next page, empty at the end.
func list[T any](q *Queries, query *gorm.DB, by order[T], page Page) ([]T, string, error) {
	limit, after, err := page.open(by.kind)
	if err != nil {
		return nil, "", err
	}
	if after != "" {
		query = query.Where(by.column+" > ?", after)
	}
	rows := make([]T, 0, min(limit, DefaultLimit)+1)
	if err := query.Order(by.column).Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, "", q.check(err, by.kind)
	}
	if len(rows) <= limit {
		return rows, "", nil
	}
	rows = rows[:limit]
	return rows, cursor(by.kind, by.key(&rows[limit-1])), nil
}

// within restricts a query to domains. nil means all, an empty list none.
func within(query *gorm.DB, domains []models.DomainID) *gorm.DB {
	switch {
	case domains == nil:
		return query
	case len(domains) == 0:
		return query.Where("1 = 0")
	case query.Name() == sqliteDriver: // one text, whatever the number: it stays prepared
		text, _ := json.Marshal(domains) // strings always can be
		return query.Where("domain_id IN (SELECT value FROM json_each(?))", string(text))
	default:
		return query.Where("domain_id IN ?", domains)
	}
}

// matching adds "column = value" unless value is empty, which in a filter
// means any.
func matching[S ~string](query *gorm.DB, column string, value S) *gorm.DB {
	if value == "" {
		return query
	}
	return query.Where(column+" = ?", value)
}
