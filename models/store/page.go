// SPDX-License-Identifier: MIT

package store

import (
	"encoding/json"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// Bounds of Page.Limit.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

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
	after, err = models.ParseCursor(kind, p.Cursor)
	return limit, after, err
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
	return rows, models.Cursor(by.kind, by.key(&rows[limit-1])), nil
}

// within restricts a query to domains. nil means all, an empty list none.
func within(query *gorm.DB, domains []models.DomainID) *gorm.DB {
	switch {
	case domains == nil:
		return query
	case len(domains) == 0:
		return query.Where("1 = 0")
	case query.Name() == sqliteDriver: // one text, whatever the number: it stays prepared
		return query.Where("domain_id IN (SELECT value FROM json_each(?))", jsonOf(domains))
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

func jsonOf(ids []models.DomainID) string {
	text, _ := json.Marshal(ids) // strings always can be
	return string(text)
}
