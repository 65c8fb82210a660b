// SPDX-License-Identifier: MIT

package store

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"gorm.io/gorm"

	"github.com/trustloom/trustloom/models"
)

// Holding is a certificate with its device and the CAs above it, as they are
// at one moment.
type Holding struct {
	Certificate *models.Certificate
	Device      *models.Device // nil for certificates of no device
	Chain       []*models.CA   // its issuer first, the root last
}

// FindHolding returns the recorded certificate with this hex SHA-256
// fingerprint and what it stands for. It is KindInternal if the CAs do not end
// in a root.
func (q *Queries) FindHolding(ctx context.Context, fingerprint string) (*Holding, error) {
	h := &Holding{Certificate: new(models.Certificate), Device: new(models.Device)}
	issuer, above := new(models.CA), new(models.CA)
	subject := quoted("certificate with fingerprint", fingerprint)
	if fingerprint == "" {
		return nil, models.Errorf(models.KindNotFound, "%s does not exist", subject)
	}
	err := q.takeJoined(ctx, []any{h.Certificate, h.Device, issuer, above}, fingerprint)
	if err != nil {
		return nil, q.check(err, subject)
	}
	if h.Device.ID == "" {
		h.Device = nil
	}
	if above.ID == "" || above.IssuerID != "" { // the issuer is the root, or missing, or there are more
		h.Chain, err = q.CAChain(ctx, h.Certificate.IssuerCAID)
		return h, err
	}
	h.Chain = []*models.CA{issuer, above}
	return h, nil
}

const holdingTables = ` FROM certificates AS t0
	LEFT JOIN devices AS t1 ON t1.id = t0.device_id
	LEFT JOIN cas AS t2 ON t2.id = t0.issuer_ca_id
	LEFT JOIN cas AS t3 ON t3.id = t2.issuer_id
	WHERE t0.fingerprint = ? AND t0.fingerprint <> '' LIMIT 1`

// takeJoined reads the rows of holdingTables with one statement: to ask
// PostgreSQL four times costs more than the answers.
func (q *Queries) takeJoined(ctx context.Context, rows []any, fingerprint string) error {
	var into []any
	all := make([]*table, len(rows))
	for i, row := range rows {
		if all[i] = q.tableOf(row); all[i] == nil {
			return fmt.Errorf("rows of type %T cannot be read together with others", row)
		}
		into = append(into, all[i].cells(reflect.ValueOf(row).Elem())...)
	}
	text := all[0].statement(q, "holding", func() string { return "SELECT " + strings.Join(columnsOf(all), ", ") + holdingTables })
	return q.takeText(ctx, text, into, fingerprint)
}

// columnsOf lists the columns of tables with the aliases t0, t1 and so on.
func columnsOf(all []*table) (columns []string) {
	for i, t := range all {
		for _, name := range t.names() {
			columns = append(columns, fmt.Sprintf("t%d.%s", i, name))
		}
	}
	return columns
}

// takeText reads the one row that a statement finds.
func (q *Queries) takeText(ctx context.Context, text string, into []any, args ...any) error {
	ctx, err := q.ready(ctx)
	if err != nil {
		return err
	}
	found, err := q.db.Statement.ConnPool.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	if !found.Next() {
		if err := found.Err(); err != nil {
			return err
		}
		return gorm.ErrRecordNotFound
	}
	if err := found.Scan(into...); err != nil {
		return err
	}
	return found.Close()
}
