// SPDX-License-Identifier: MIT

package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/trustloom/trustloom/models"
)

// table is how rows of one model are read and written without gorm, which
// takes several times as long to make up the same statement anew each time.
// What columns there are, gorm's reading of the struct says, so that both
// always agree.
type table struct {
	name    string
	columns []column
	texts   sync.Map // of SELECT statements, by condition
}

// column is one column and its field.
type column struct {
	name  string
	index []int
	json  bool
	auto  bool // a time that is set to the present if it is not set
}

// tables are the tables by model; nil for models that only gorm can handle.
var tables sync.Map // reflect.Type -> *table

// tableOf returns the table of the struct that row points to, or nil.
func (q *Queries) tableOf(row any) *table {
	t := reflect.TypeOf(row).Elem()
	if known, ok := tables.Load(t); ok {
		return known.(*table)
	}
	stmt := &gorm.Statement{DB: q.db}
	if err := stmt.Parse(row); err != nil {
		return nil // gorm says so itself
	}
	known, _ := tables.LoadOrStore(t, newTable(stmt.Schema))
	return known.(*table)
}

func newTable(s *schema.Schema) *table {
	t := &table{name: s.Table}
	for _, name := range s.DBNames {
		f := s.FieldsByDBName[name]
		_, isJSON := f.Serializer.(schema.JSONSerializer)
		if !f.Readable || !f.Creatable || !f.Updatable || f.HasDefaultValue || f.AutoIncrement || f.Serializer != nil && !isJSON ||
			!isJSON && !plainType(f.FieldType) || slices.ContainsFunc(f.StructField.Index, func(i int) bool { return i < 0 }) {
			return nil
		}
		auto := f.AutoCreateTime != 0 || f.AutoUpdateTime != 0
		t.columns = append(t.columns, column{name: name, index: f.StructField.Index, json: isJSON, auto: auto})
	}
	return t
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	scannerType = reflect.TypeFor[sql.Scanner]()
	valuerType  = reflect.TypeFor[driver.Valuer]()
)

// plainType reports whether cell and valueOf know a type.
func plainType(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == timeType {
		return true
	}
	if reflect.PointerTo(t).Implements(scannerType) || t.Implements(valuerType) {
		return false
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8
	}
	return false
}

// cell receives a column into a field; it implements sql.Scanner.
type cell struct {
	field reflect.Value
	json  bool
}

// Scan stores what a driver returned. NULL is the zero value.
func (c *cell) Scan(src any) error {
	if src == nil {
		return nil // the row is fresh
	}
	field := c.field
	if c.json {
		return scanJSON(src, field)
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if t, ok := src.(time.Time); ok && field.Type() == timeType {
		*field.Addr().Interface().(*time.Time) = t
		return nil
	}
	switch field.Kind() {
	case reflect.String:
		switch s := src.(type) {
		case string:
			field.SetString(s)
			return nil
		case []byte:
			field.SetString(string(s))
			return nil
		}
	case reflect.Slice:
		switch s := src.(type) {
		case []byte:
			field.SetBytes(bytes.Clone(s))
			return nil
		case string:
			field.SetBytes([]byte(s))
			return nil
		}
	case reflect.Int, reflect.Int64:
		if n, ok := src.(int64); ok {
			field.SetInt(n)
			return nil
		}
	case reflect.Bool:
		switch b := src.(type) {
		case bool:
			field.SetBool(b)
			return nil
		case int64:
			field.SetBool(b != 0)
			return nil
		}
	}
	return fmt.Errorf("a column of type %T does not fit a field of type %s", src, field.Type())
}

func scanJSON(src any, field reflect.Value) error {
	var text []byte
	switch s := src.(type) {
	case string:
		text = []byte(s)
	case []byte:
		text = s
	default:
		return fmt.Errorf("a column of type %T is no JSON", src)
	}
	if len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, field.Addr().Interface())
}

// valueOf returns a field as drivers take it.
func (c *column) valueOf(row reflect.Value) (any, error) {
	field := row.FieldByIndex(c.index)
	if !c.json {
		return plainValue(field), nil
	}
	text, err := json.Marshal(field.Interface())
	if err != nil || string(text) == "null" {
		return nil, err
	}
	return string(text), nil
}

// plainValue returns a value as drivers take it fastest: of a predeclared type.
func plainValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plainValue(v.Elem())
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int64:
		return v.Int()
	case reflect.Bool:
		return v.Bool()
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		return v.Bytes()
	}
	return v.Interface()
}

// expand gives each argument that is a list of texts a place for each of
// them, and converts all as drivers take them. It reports false for arguments
// of other types.
func expand(condition string, args []any) (text string, plain []any, ok bool) {
	var b strings.Builder
	plain = make([]any, 0, len(args)+4)
	for _, a := range args {
		before, after, found := strings.Cut(condition, "?")
		v := reflect.ValueOf(a)
		if !found || !v.IsValid() {
			return "", nil, false
		}
		b.WriteString(before)
		condition = after
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String && v.Len() > 0 {
			b.WriteString("(?" + strings.Repeat(", ?", v.Len()-1) + ")")
			for i := range v.Len() {
				plain = append(plain, v.Index(i).String())
			}
			continue
		}
		if !plainType(v.Type()) {
			return "", nil, false
		}
		b.WriteByte('?')
		plain = append(plain, plainValue(v))
	}
	b.WriteString(condition)
	return b.String(), plain, true
}

// numbered spells placeholders as the dialect has them.
func (q *Queries) numbered(text string) string {
	if q.db.Name() == sqliteDriver {
		return text
	}
	var b strings.Builder
	n := 0
	for {
		before, after, found := strings.Cut(text, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		text = after
	}
}

// names lists the columns.
func (t *table) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// statement keeps a text that is made once for each dialect.
func (t *table) statement(q *Queries, key string, text func() string) string {
	key = q.db.Name() + " " + key
	if known, ok := t.texts.Load(key); ok {
		return known.(string)
	}
	known, _ := t.texts.LoadOrStore(key, q.numbered(text()))
	return known.(string)
}

// take reads the one row that meets the condition into row.
func (t *table) take(ctx context.Context, q *Queries, row any, condition string, args []any) error {
	text := t.statement(q, condition, func() string {
		return "SELECT " + strings.Join(t.names(), ", ") + " FROM " + t.name + " WHERE " + condition + " LIMIT 1"
	})
	rows, err := q.db.Statement.ConnPool.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return gorm.ErrRecordNotFound
	}
	if err := rows.Scan(t.cells(reflect.ValueOf(row).Elem())...); err != nil {
		return err
	}
	return rows.Close()
}

// cells are the places of a row into which its columns go.
func (t *table) cells(row reflect.Value) []any {
	cells, into := make([]cell, len(t.columns)), make([]any, len(t.columns))
	for i := range t.columns {
		cells[i] = cell{row.FieldByIndex(t.columns[i].index), t.columns[i].json}
		into[i] = &cells[i]
	}
	return into
}

// values returns the columns of a row, without those in omit.
func (t *table) values(row any, now time.Time, omit []string) ([]any, error) {
	v := reflect.ValueOf(row).Elem()
	values := make([]any, 0, len(t.columns)+4)
	for i := range t.columns {
		c := &t.columns[i]
		if slices.Contains(omit, c.name) {
			continue
		}
		value, err := c.valueOf(v)
		if err != nil {
			return nil, models.Errorf(models.KindInternal, "column %s cannot be encoded", c.name).Because(err)
		}
		if at, ok := value.(time.Time); ok && c.auto && at.IsZero() {
			value = now
		}
		values = append(values, value)
	}
	return values, nil
}

// insert adds a row unless one with the same value of the conflict columns
// exists (of any unique columns if none are given).
func (t *table) insert(ctx context.Context, q *Queries, row any, conflict []string) (added bool, err error) {
	values, err := t.values(row, q.clock(), nil)
	if err != nil {
		return false, err
	}
	res, err := q.db.Statement.ConnPool.ExecContext(ctx, t.inserts(q, 1, conflict), values...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// inserts is the statement that adds a number of rows.
func (t *table) inserts(q *Queries, rows int, conflict []string) string {
	key := "insert " + strconv.Itoa(rows) + " " + strings.Join(conflict, ",")
	return t.statement(q, key, func() string { return t.insertText(rows, conflict) })
}

func (t *table) insertText(rows int, conflict []string) string {
	values := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(t.columns)), ", ") + ")"
	target := ""
	if len(conflict) > 0 {
		target = " (" + strings.Join(conflict, ", ") + ")"
	}
	return "INSERT INTO " + t.name + " (" + strings.Join(t.names(), ", ") + ") VALUES " +
		values + strings.Repeat(", "+values, rows-1) + " ON CONFLICT" + target + " DO NOTHING"
}

// update writes all columns but those in omit where the condition holds.
func (t *table) update(ctx context.Context, q *Queries, row any, omit []string, condition string, args []any) (changed int64, err error) {
	values, err := t.values(row, q.clock(), omit)
	if err != nil {
		return 0, err
	}
	text := t.statement(q, "update "+strings.Join(omit, ",")+" "+condition, func() string {
		kept := slices.DeleteFunc(t.names(), func(name string) bool { return slices.Contains(omit, name) })
		return "UPDATE " + t.name + " SET " + strings.Join(kept, " = ?, ") + " = ? WHERE " + condition
	})
	res, err := q.db.Statement.ConnPool.ExecContext(ctx, text, append(values, args...)...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
