// SPDX-License-Identifier: MIT

package check

import (
	"context"
	"fmt"

	"github.com/trustloom/trustloom/models/audit"
)

// nobodysKey is no KeyID: with it alone every head is somebody else's.
const nobodysKey = "none"

// chain goes along the audit chain from its beginning. Heads have to be signed
// with a key that this installation noted when it began to use it.
func (c *checker) chain(ctx context.Context) error {
	keys, err := c.Store.AuditKeys(ctx)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		keys = []string{nobodysKey}
	}
	var walk audit.Walk
	for done := false; !done && !walk.Full(); {
		before := walk.Seq
		var err error
		if done, err = c.Store.CheckAudit(ctx, &walk, keys); err != nil {
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
