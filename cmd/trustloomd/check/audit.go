// SPDX-License-Identifier: MIT

package check

import (
	"context"
	"fmt"

	"github.com/trustloom/trustloom/models/audit"
)

// chain goes along the audit chain from its beginning.
func (c *checker) chain(ctx context.Context) error {
	var walk audit.Walk
	for done := false; !done && !walk.Full(); {
		before := walk.Seq
		var err error
		if done, err = c.Store.CheckAudit(ctx, &walk, nil); err != nil {
			return err
		}
		c.looked("audit events", int(walk.Seq-before))
	}
	for _, f := range walk.Findings {
		if !f.Notice() {
			c.broken(chained, fmt.Sprintf("audit log, place %d", f.Seq), "%s", f.Text)
		}
	}
	return nil
}
