// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/serialization"
	temporalsql "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/resolver"
	"go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// pragmas of each connection: one writer that survives a kill and a power cut.
var pragmas = map[string]string{"journal_mode": "wal", "synchronous": "full", "busy_timeout": "10000"}

// sqlConfig is how Temporal opens the file.
func sqlConfig(path string) *config.SQL {
	attributes := map[string]string{"mode": "rw"}
	for name, value := range pragmas {
		attributes[name] = value
	}
	return &config.SQL{PluginName: sqliteplugin.PluginName, DatabaseName: path, ConnectAttributes: attributes}
}

// prepareDatabase makes the file and its schema, all of it or nothing, or checks that an existing file has the schema
// this server knows: Temporal itself neither checks nor migrates SQLite.
func prepareDatabase(ctx context.Context, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	query := url.Values{"mode": {"rw"}}
	for name, value := range pragmas {
		query.Add("_pragma", name+"="+value)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?"+query.Encode())
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	return errors.Join(ensureSchema(ctx, db), db.Close())
}

func ensureSchema(ctx context.Context, db *sql.DB) error {
	var tables int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE type = 'table'`).Scan(&tables); err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	if tables == 0 {
		return createSchema(ctx, db)
	}
	var have string
	err := db.QueryRowContext(ctx, `SELECT version FROM trustloom_engine`).Scan(&have)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if have != schemaVersion() {
		return fmt.Errorf("the database has schema %s and this server needs %s: stop trustloomd and move the file away; "+
			"unfinished work is started again from Trustloom's own database", have, schemaVersion())
	}
	return nil
}

func schemaVersion() string {
	return sqlite.Version + "/" + sqlite.VisibilityVersion
}

func createSchema(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("create the schema: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := sqlite.SetupSchemaOnDB(schemaWriter{tx: tx, ctx: ctx}); err != nil {
		return fmt.Errorf("create the schema: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE trustloom_engine (version TEXT NOT NULL)`); err != nil {
		return fmt.Errorf("create the schema: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO trustloom_engine (version) VALUES (?)`, schemaVersion()); err != nil {
		return fmt.Errorf("create the schema: %w", err)
	}
	return tx.Commit()
}

// schemaWriter lets Temporal write its schema into our transaction. Of the interface it needs Exec only.
type schemaWriter struct {
	sqlplugin.AdminDB
	ctx context.Context
	tx  *sql.Tx
}

// Exec implements sqlplugin.AdminDB.
func (w schemaWriter) Exec(statement string, args ...any) error {
	_, err := w.tx.ExecContext(w.ctx, statement, args...)
	return err
}

// ensureNamespace makes the namespace, or raises its retention to what is asked. It runs before the server starts, so
// nobody has a cached copy and the client needs no right to register namespaces.
func ensureNamespace(ctx context.Context, cfg *config.SQL, name string, retention time.Duration) error {
	fresh, err := sqlite.NewNamespaceConfig(clusterName, name, false, nil)
	if err != nil {
		return fmt.Errorf("describe the namespace: %w", err)
	}
	fresh.Detail.Config.Retention = durationpb.New(retention)
	if err := sqlite.CreateNamespaces(cfg, fresh); err != nil {
		return fmt.Errorf("create the namespace: %w", err)
	}
	db, err := temporalsql.NewSQLDB(sqlplugin.DbKindMain, cfg, resolver.NewNoopResolver(), log.NewNoopLogger(), metrics.NoopMetricsHandler)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return errors.Join(raiseRetention(ctx, db, name, retention), db.Close())
}

func raiseRetention(ctx context.Context, db sqlplugin.DB, name string, retention time.Duration) error {
	rows, err := db.SelectFromNamespace(ctx, sqlplugin.NamespaceFilter{Name: &name})
	if err != nil {
		return fmt.Errorf("read the namespace: %w", err)
	}
	if len(rows) != 1 {
		return fmt.Errorf("read the namespace: %d rows", len(rows))
	}
	row, codec := rows[0], serialization.NewSerializer()
	encoding, err := enumspb.EncodingTypeFromString(row.DataEncoding)
	if err != nil {
		return fmt.Errorf("decode the namespace: %w", err)
	}
	detail, err := codec.NamespaceDetailFromBlob(&commonpb.DataBlob{Data: row.Data, EncodingType: encoding})
	if err != nil {
		return fmt.Errorf("decode the namespace: %w", err)
	}
	if detail.GetConfig().GetRetention().AsDuration() >= retention {
		return nil
	}
	detail.Config.Retention = durationpb.New(retention)
	blob, err := codec.NamespaceDetailToBlob(detail)
	if err != nil {
		return fmt.Errorf("encode the namespace: %w", err)
	}
	row.Data, row.DataEncoding = blob.GetData(), blob.GetEncodingType().String()
	if _, err := db.UpdateNamespace(ctx, &row); err != nil {
		return fmt.Errorf("raise the retention: %w", err)
	}
	return nil
}
