// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/trustloom/trustloom/models"
)

// statement changes rows. rows is how many, if nothing is in its way.
type statement struct {
	text string
	args []any
	rows int // anyNumber if that does not matter
}

const anyNumber = -1

// met reports whether a statement has changed what it should.
func (s *statement) met(changed int64) bool { return s.rows == anyNumber || int(changed) == s.rows }

// pipeline runs statements, of which none depends on the outcome of another,
// and returns how many rows each has changed. To PostgreSQL they go in one
// message: waiting for the answer to each costs more than the statement does.
func (tx *Tx) pipeline(list []statement, subject string) (counts []int64, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	ctx, err := tx.ready(tx.ctx)
	if err != nil {
		return nil, tx.check(err, subject)
	}
	counts = make([]int64, len(list))
	if tx.conn != nil {
		err = tx.conn.Raw(func(driver any) error { return send(ctx, driver.(*stdlib.Conn).Conn(), list, counts) })
	} else {
		err = tx.each(ctx, list, counts)
	}
	return counts, tx.check(err, subject)
}

func (tx *Tx) each(ctx context.Context, list []statement, counts []int64) error {
	for i, s := range list {
		res, err := tx.db.Statement.ConnPool.ExecContext(ctx, s.text, s.args...)
		if err != nil {
			return err
		}
		if counts[i], err = res.RowsAffected(); err != nil {
			return fmt.Errorf("count rows: %w", err)
		}
	}
	return nil
}

func send(ctx context.Context, conn *pgx.Conn, list []statement, counts []int64) error {
	batch := &pgx.Batch{}
	for _, s := range list {
		batch.Queue(s.text, s.args...)
	}
	results := conn.SendBatch(ctx, batch)
	for i := range list {
		tag, err := results.Exec()
		if err != nil {
			_ = results.Close() // says the same
			return err
		}
		counts[i] = tag.RowsAffected()
	}
	return results.Close()
}

// maxChunk is how many rows one statement inserts at most.
const maxChunk = 16

// chunk returns how many of n rows the next statement should insert: on
// PostgreSQL a power of two, so that few texts have to be prepared.
func (tx *Tx) chunk(n int) int {
	if tx.conn == nil {
		return 1
	}
	size := 1
	for 2*size <= min(n, maxChunk) {
		size *= 2
	}
	return size
}

// insertOf is the statement that inserts rows, but none that has the same
// value of the conflict columns as one that exists.
func insertOf[T any](tx *Tx, rows []*T, conflict ...string) (statement, error) {
	t := tx.tableOf(rows[0])
	if t == nil {
		return statement{}, models.Errorf(models.KindInternal, "rows of type %T cannot be inserted together", rows[0])
	}
	s := statement{text: t.inserts(tx.Queries, len(rows), conflict), rows: len(rows)}
	for _, row := range rows {
		values, err := t.values(row, tx.clock(), nil)
		if err != nil {
			return statement{}, err
		}
		s.args = append(s.args, values...)
	}
	return s, nil
}
