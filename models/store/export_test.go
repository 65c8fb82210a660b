// SPDX-License-Identifier: MIT

package store

import (
	"database/sql"
	"sync"

	"gorm.io/gorm/schema"
)

// Pool gives tests the connections behind a store.
func Pool(s *Store) *sql.DB { return s.pool }

// Columns returns the table of a noun and the columns that gorm writes.
func Columns(row any) (table string, columns []string, err error) {
	parsed, err := schema.Parse(row, &sync.Map{}, gormConfig(false).NamingStrategy)
	if err != nil {
		return "", nil, err
	}
	for _, f := range parsed.Fields {
		if f.DBName != "" {
			columns = append(columns, f.DBName)
		}
	}
	return parsed.Table, columns, nil
}

// Exec runs a statement of a test.
func (tx *Tx) Exec(statement string) error { return tx.session().Exec(statement).Error }

// Steps returns how many migrations there are.
func Steps() int { return len(migrations()) }
