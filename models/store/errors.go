// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"io/fs"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/trustloom/trustloom/models"
)

// retryAfter is what callers are told to wait while the database is away.
const retryAfter = 2 * time.Second

// translate turns an error of gorm or of a driver into one of ours. subject
// says what the statement was about, for example `device "press-01"`.
func translate(err error, subject string) error {
	var ours *models.Error
	if err == nil || errors.As(err, &ours) {
		return err
	}
	switch kind := kindOf(err); kind {
	case models.KindNotFound:
		return models.Errorf(kind, "%s does not exist", subject).Because(err)
	case models.KindConflict:
		return models.Errorf(kind, "%s conflicts with what exists already, or refers to what does not exist", subject).Because(err)
	case models.KindInvalid:
		return models.Errorf(kind, "%s: a text holds characters that no text can", subject).Because(err)
	case models.KindUnavailable:
		return models.Errorf(kind, "the database is not available").Because(err).After(retryAfter)
	default:
		return models.Errorf(models.KindInternal, "database error").Because(err)
	}
}

func kindOf(err error) models.Kind {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return models.KindNotFound
	case errors.As(err, &lite):
		return kindOfSQLite(lite.Code())
	case errors.As(err, &pg):
		return kindOfPostgres(pg.Code)
	case unreachable(err):
		return models.KindUnavailable
	default:
		return models.KindInternal
	}
}

// kindOfSQLite reads an extended result code; the low byte is the primary one.
func kindOfSQLite(code int) models.Kind {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return models.KindConflict
	}
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL:
		return models.KindUnavailable
	}
	return models.KindInternal
}

// kindOfPostgres reads an SQLSTATE (PostgreSQL 15, appendix A).
func kindOfPostgres(code string) models.Kind {
	switch code {
	case "23505", "23503": // unique_violation, foreign_key_violation
		return models.KindConflict
	case "22021": // character_not_in_repertoire: NUL, or not UTF-8
		return models.KindInvalid
	case "25006", "55P03": // read_only_sql_transaction, lock_not_available
		return models.KindUnavailable
	}
	if len(code) < 2 {
		return models.KindInternal
	}
	switch code[:2] {
	case "08", "28", "3D", "40", "53", "57", "58": // connection, log-in, no such database, rollback, resources, operator, system
		return models.KindUnavailable
	}
	return models.KindInternal
}

// unreachable reports whether err says that the database did not answer.
func unreachable(err error) bool {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone,
		sql.ErrTxDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgconn.ErrConnClosed, fs.ErrPermission, fs.ErrNotExist} {
		if errors.Is(err, known) {
			return true
		}
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.Timeout(err) || err.Error() == "sql: database is closed"
}
