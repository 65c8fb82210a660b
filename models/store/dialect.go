// SPDX-License-Identifier: MIT

package store

import (
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

// dialect is which database it is.
type dialect int

const (
	sqliteDialect dialect = iota
	postgresDialect
)

// types spells the column types of the migrations. Text compares by byte in
// both, so that pages and indices have the same order everywhere. SQLite keeps
// a time as microseconds since 1970; its driver converts by the declared type.
var types = map[dialect]*strings.Replacer{
	sqliteDialect: strings.NewReplacer("{text}", "TEXT", "{bytes}", "BLOB", "{int}", "INTEGER",
		"{bool}", "BOOLEAN", "{time}", "DATETIME", "{sqlite}", "", "{postgres}", elsewhere),
	postgresDialect: strings.NewReplacer("{text}", `TEXT COLLATE "C"`, "{bytes}", "BYTEA", "{int}", "BIGINT",
		"{bool}", "BOOLEAN", "{time}", "TIMESTAMPTZ", "{sqlite}", elsewhere, "{postgres}", ""),
}

// elsewhere begins a statement of a migration that is for the other dialect.
const elsewhere = "{elsewhere}"

// gormConfig is what both dialects share. Nothing is logged by gorm: its lines
// would show values.
func gormConfig(prepare bool) *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction:   true,
		PrepareStmt:              prepare,
		PrepareStmtTTL:           10 * 365 * 24 * time.Hour, // gorm closes what expires while others use it
		DisableAutomaticPing:     true,
		DisableNestedTransaction: true,
		Logger:                   logger.Discard,
		NamingStrategy: schema.NamingStrategy{
			// gorm would make sa_ns of SANs and spkisha256 of SPKISHA256.
			NameReplacer: strings.NewReplacer("SANs", "Sans", "SHA256", "Sha256", "IDevID", "Idevid"),
		},
	}
}
