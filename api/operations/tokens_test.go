// SPDX-License-Identifier: MIT

package operations_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestAdministratorsWhoRevokeEachOtherAtOnce(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		names := []string{"boss"}
		for n := range 7 {
			names = append(names, fmt.Sprintf("deputy-%d", n))
			p.Caller(t, names[n+1], models.RoleAdmin)
		}
		start := make(chan struct{})
		var all sync.WaitGroup
		var revoked atomic.Int64
		for _, name := range names {
			all.Go(func() {
				<-start
				if err := p.Ops.RevokeToken(t.Context(), p.Boss, name); err == nil {
					revoked.Add(1)
				} else if models.KindOf(err) != models.KindConflict {
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
		if int(revoked.Load()) != len(names)-1 {
			t.Errorf("%d of %d tokens are revoked, want all but one", revoked.Load(), len(names))
		}
	})
}
