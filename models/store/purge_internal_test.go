// SPDX-License-Identifier: MIT

package store

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
)

// TestAPurgeWalksOverWhatHasExpired reads SQLite's plans: what is valid, or of
// other domains, is not met, however much of it there is.
func TestAPurgeWalksOverWhatHasExpired(t *testing.T) {
	s := openWriter(t)
	rule := PurgeRule{DomainID: "a", Retention: 1, Now: time.Now()}
	for i, index := range []string{"certificates_issued_domain", "certificates_issued_domain", "certificates_recalled_domain", "certificates_recalled_domain"} {
		index += " ((domain_id,origin,not_after,id)>(?,?,?,?) AND (domain_id,origin,not_after)<(?,?,?))"
		for _, after := range []purgeKey{{}, {"x", time.Now().AddDate(-1, 0, 0)}} {
			walk := s.purgeWalks(t.Context(), rule, after)[i]
			text := s.db.ToSQL(func(*gorm.DB) *gorm.DB {
				return walk.Session(&gorm.Session{DryRun: true}).Select("id", "not_after").Order("domain_id, origin, not_after, id").Limit(5).Find(&[]purgeKey{})
			})
			if plan := planOf(t, s, text); !strings.Contains(plan, "INDEX "+index) || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("%s\n%s\nwant %s", text, plan, index)
			}
		}
	}
}
