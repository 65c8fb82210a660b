// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/trustloom/trustloom/models"
)

// burst stores issuances on PostgreSQL as they nearly always can be: with all
// statements in one message, and the COMMIT in another once each of them has
// changed what it should. It reports false, and has changed nothing, if one of
// them has not: then what stands in the way has to be found out.
func (s *Store) burst(ctx context.Context, batch []*issuance) (done bool, err error) {
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return false, translate(err, "transaction")
	}
	defer func() { _ = conn.Close() }() // back into the pool
	tx := newTx(ctx, s.db, s.now, false)
	tx.key, tx.conn = s.key, conn
	defer tx.end()
	list, err := tx.hopeful(batch)
	if err != nil {
		return false, nil // found again, and told to whom it concerns
	}
	err = raw(conn, func(pg *pgx.Conn) error {
		done, err = atOnce(ctx, pg, list)
		return err
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && strings.HasPrefix(refused.Code, "40") {
		return false, nil // rolled back in favour of another transaction
	}
	if err = translate(err, "transaction"); models.KindOf(err) == models.KindUnavailable {
		return false, err
	}
	return done && err == nil, nil
}

// raw runs fn over a connection, which is given up if fn leaves a transaction
// open on it.
func raw(conn *sql.Conn, fn func(*pgx.Conn) error) error {
	return conn.Raw(func(driver any) error {
		pg := driver.(*stdlib.Conn).Conn()
		defer func() {
			if pg.PgConn().TxStatus() != 'I' {
				_ = pg.Close(context.Background())
			}
		}()
		return fn(pg)
	})
}

// atOnce runs statements in a transaction and commits it if each has changed
// its rows.
func atOnce(ctx context.Context, pg *pgx.Conn, list []statement) (done bool, err error) {
	counts := make([]int64, len(list))
	if err := send(ctx, pg, list, counts); err != nil {
		_, _ = pg.Exec(ctx, sqlRollback) // or the connection is gone, and the transaction with it
		return false, err
	}
	for i, n := range counts {
		if !list[i].met(n) {
			_, err := pg.Exec(ctx, sqlRollback)
			return false, err
		}
	}
	if tag, err := pg.Exec(ctx, sqlCommit); err != nil || !strings.EqualFold(tag.String(), sqlCommit) {
		return false, models.Errorf(models.KindUnavailable, "the database could not commit").Because(fmt.Errorf("COMMIT: %s: %w", tag, orLost(err))).After(retryAfter)
	}
	return true, nil
}

// orLost is err, or that there is none although there should be.
func orLost(err error) error {
	if err == nil {
		err = sql.ErrTxDone
	}
	return err
}

// hopeful is all that issuances change if nothing is in the way of any.
func (tx *Tx) hopeful(batch []*issuance) (list []statement, err error) {
	now := tx.clock()
	list = append(list, statement{text: "BEGIN"})
	var requests []*models.Request
	var certificates []*models.Certificate
	var approved, recordings, ended []statement
	var promises []*models.OutboxItem
	for _, op := range batch {
		op.won = true
		switch {
		case op.admission != nil:
			op.admission.prepare(tx)
			requests, promises = append(requests, op.admission.Request), append(promises, &op.admission.Promise)
			ended = append(ended, op.admission.admitted(tx, now))
		case op.reservation != nil:
			op.reservation.prepare(tx)
			certificates = append(certificates, op.reservation.Certificate)
			if op.reservation.Basis != nil {
				approved = append(approved, op.reservation.approved(tx, now))
			} else {
				requests = append(requests, op.reservation.Request)
			}
		default:
			recordings = append(recordings, op.recording.recorded(tx, now))
			if op.recording.Request != nil {
				ended = append(ended, op.recording.ended(tx, now)...)
			}
		}
		if err := op.rest(tx); err != nil {
			return nil, err
		}
	}
	reserving, err := insertsOf(tx, requests, "key")
	if err != nil {
		return nil, err
	}
	signing, err := insertsOf(tx, certificates, "request_key")
	if err != nil {
		return nil, err
	}
	events, err := insertsOf(tx, tx.collected())
	if err != nil {
		return nil, err
	}
	promising, err := insertsOf(tx, promises)
	if err != nil {
		return nil, err
	}
	for _, more := range [][]statement{reserving, approved, recordings, signing, ended, promising, events} {
		list = append(list, more...)
	}
	return list, nil
}
