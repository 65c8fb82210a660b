// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/trustloom/trustloom/models"
)

// Tx is one transaction of Store.Write, valid until the function that got it
// returns, and for one goroutine at a time. Its reads see its own writes.
type Tx struct {
	*Queries
	ctx    context.Context
	events []models.Event // written at the end, with one statement
	conn   *sql.Conn      // of PostgreSQL
}

// errEnded is what a Tx answers that was kept after its end.
var errEnded = models.Errorf(models.KindInternal, "the transaction has ended")

func newTx(ctx context.Context, db *gorm.DB, now func() time.Time, shield bool) *Tx {
	return &Tx{ctx: ctx, Queries: &Queries{db: db, now: now, shield: shield, broken: new(error)}}
}

// run calls fn and returns why the transaction must be rolled back, or nil.
func (tx *Tx) run(fn func(*Tx) error) error {
	err := fn(tx)
	if err == nil {
		err = *tx.broken
	}
	if err == nil {
		err = tx.flushEvents()
	}
	return err
}

// end makes later use of tx fail instead of writing into another transaction.
func (tx *Tx) end() {
	if *tx.broken == nil {
		*tx.broken = errEnded
	}
}

func (tx *Tx) session() *gorm.DB { return tx.with(tx.ctx) }

// insert adds a row and reports whether it did. It did not if a row with the
// same value of the conflict columns exists (of any unique columns if none are
// given); the transaction stays usable.
func (tx *Tx) insert(row any, subject string, conflict ...string) (bool, error) {
	stamp(row)
	if t := tx.tableOf(row); t != nil {
		ctx, err := tx.ready(tx.ctx)
		if err != nil {
			return false, tx.check(err, subject)
		}
		added, err := t.insert(ctx, tx.Queries, row, conflict)
		return added, tx.check(err, subject)
	}
	ignore := clause.OnConflict{DoNothing: true}
	for _, c := range conflict {
		ignore.Columns = append(ignore.Columns, clause.Column{Name: c})
	}
	res := tx.session().Clauses(ignore).Create(row)
	return res.RowsAffected == 1, tx.check(res.Error, subject)
}

// add is insert where an existing row is KindConflict.
func (tx *Tx) add(row any, subject string) error {
	added, err := tx.insert(row, subject)
	if err == nil && !added {
		err = models.Errorf(models.KindConflict, "%s already exists", subject)
	}
	return err
}

// addVersion inserts row under the number after the highest that query finds.
// set stores the number in the row. Writers of the same series wait for each
// other at the unique index and then try the next number.
func (tx *Tx) addVersion(row any, subject string, highest func() *gorm.DB, set func(int64)) error {
	for range 1000 {
		var last int64
		if err := highest().Scan(&last).Error; err != nil {
			return tx.check(err, subject)
		}
		set(last + 1)
		if added, err := tx.insert(row, subject); added || err != nil {
			return err
		}
	}
	return models.Errorf(models.KindUnavailable, "too many versions of %s are written at once", subject).After(retryAfter)
}

// lock is the optimistic lock and the life cycle of a row that is saved.
type lock struct {
	subject   string
	id        string
	revision  *int
	updatedAt *time.Time
}

// save writes row over the row with the same id if that still has the same
// revision and meets the condition; columns in omit are kept. It reports
// whether it did, and then has raised the revision and set the time.
func (tx *Tx) save(row any, l lock, omit []string, condition string, args ...any) (bool, error) {
	if l.id == "" {
		return false, models.Errorf(models.KindInvalid, "%s has no identifier", l.subject)
	}
	revision, updatedAt := *l.revision, *l.updatedAt
	*l.revision, *l.updatedAt = revision+1, tx.clock()
	stamp(row)
	full, arguments := "id = ? AND revision = ?", append([]any{l.id, revision}, args...)
	if condition != "" {
		full += " AND " + condition
	}
	changed, err := tx.write(row, append(slices.Clone(omit), "id", "created_at"), full, arguments)
	if err == nil && changed == 1 {
		return true, nil
	}
	*l.revision, *l.updatedAt = revision, updatedAt
	return false, tx.check(err, l.subject)
}

// write writes row, without the columns in omit, where the condition holds.
func (tx *Tx) write(row any, omit []string, condition string, args []any) (changed int64, err error) {
	if t := tx.tableOf(row); t != nil {
		if condition, args, ok := expand(condition, args); ok {
			ctx, err := tx.ready(tx.ctx)
			if err != nil {
				return 0, err
			}
			return t.update(ctx, tx.Queries, row, omit, condition, args)
		}
	}
	res := tx.session().Model(row).Where(condition, args...).Select("*").Omit(omit...).UpdateColumns(row)
	return res.RowsAffected, res.Error
}

// find returns the one row of T that meets the condition. An empty argument
// finds nothing: columns are empty where something is not known yet.
func find[T any](ctx context.Context, q *Queries, subject, condition string, args ...any) (*T, error) {
	for _, a := range args {
		if reflect.ValueOf(a).IsZero() {
			return nil, models.Errorf(models.KindNotFound, "%s does not exist", subject)
		}
	}
	if q.db.Name() == sqliteDriver && ctx.Err() == nil {
		ctx = context.WithoutCancel(ctx) // a lookup is over sooner than what could interrupt it has begun
	}
	row := new(T)
	if t := q.tableOf(row); t != nil {
		if condition, args, ok := expand(condition, args); ok {
			ctx, err := q.ready(ctx)
			if err == nil {
				err = t.take(ctx, q, row, condition, args)
			}
			if err != nil {
				return nil, q.check(err, subject)
			}
			return row, nil
		}
	}
	if err := q.with(ctx).Where(condition, args...).Take(row).Error; err != nil {
		return nil, q.check(err, subject)
	}
	return row, nil
}

// known is KindInvalid unless s is a state of the table.
func known[S ~string](t models.Transitions[S], noun string, s S) error {
	for from, to := range t {
		if s == from || slices.Contains(to, s) {
			return nil
		}
	}
	return models.Errorf(models.KindInvalid, "%s has the unknown state %q", noun, s)
}

// predecessors returns the states from which a row may become s, s included.
func predecessors[S ~string](t models.Transitions[S], s S) []S {
	states := []S{s}
	for from := range t {
		if from != s && t.Allowed(from, s) {
			states = append(states, from)
		}
	}
	return states
}

// quoted names a row in an error text.
func quoted[S ~string](noun string, name S) string { return fmt.Sprintf("%s %q", noun, name) }

// stamp gives every time of row the form in which it is stored, so that what
// a caller wrote equals what is read later.
func stamp(row any) {
	v := reflect.ValueOf(row).Elem()
	for i := range v.NumField() {
		switch t := v.Field(i).Addr().Interface().(type) {
		case *time.Time:
			*t = instant(*t)
		case **time.Time:
			if *t != nil {
				u := instant(**t)
				*t = &u
			}
		}
	}
}

// setDefault sets *p unless it is set.
func setDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// fresh fills in what a new row gets from the store.
func (tx *Tx) fresh(id *string, revision *int, created, updated *time.Time) {
	if *id == "" {
		*id = models.NewID[string]()
	}
	now := tx.clock()
	setDefault(created, now)
	setDefault(updated, *created)
	*revision = 1
}

// refused is why a save found no row: another revision, or an illegal move.
func refused[S ~string](l lock, revision int, table models.Transitions[S], from, to S) error {
	if revision != *l.revision {
		return changed(l.subject)
	}
	if err := known(table, l.subject, to); err != nil {
		return err
	}
	if err := table.Check(l.subject, from, to); err != nil {
		return err
	}
	return changed(l.subject)
}

// changed is the answer of the optimistic lock.
func changed(subject string) error {
	return models.Errorf(models.KindConflict, "%s was changed by somebody else meanwhile; read it again", subject)
}

// clip returns the first n bytes of s, or fewer so that no character is cut.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "?")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
