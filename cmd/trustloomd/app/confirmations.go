// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"time"

	"github.com/trustloom/trustloom/models/store"
)

// overdueGrace is how long after its deadline a confirmation is left to its
// story, and spentGrace how long a one-time secret is kept after its request
// has ended, for answers that were lost.
const (
	overdueGrace = 30 * time.Second
	spentGrace   = 15 * time.Minute
)

// rehydrateConfirmations starts the stories of certificates that should have
// been confirmed or revoked before, should the engine have lost them.
func (a *App) rehydrateConfirmations(ctx context.Context) {
	overdue, err := a.store.OverdueCMPTransactions(ctx, a.now().Add(-overdueGrace), rehydrateBatch)
	if err != nil {
		a.log.Warn("the confirmations cannot be read", "error", err)
		return
	}
	for i := range overdue {
		if err := a.stories.StartConfirmation(ctx, overdue[i].RequestID); err != nil {
			a.log.Warn("a confirmation is looked after later", "request", overdue[i].RequestID, "error", err)
			return
		}
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.DestroySpentSecrets(a.now().Add(-spentGrace))
		return err
	})
	if err != nil {
		a.log.Warn("the spent secrets cannot be destroyed", "error", err)
	}
}
