// SPDX-License-Identifier: MIT

package operations_test

import (
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestEventsThatWaitForTheirPlacesAreCounted asks before anything was sealed,
// as an operator does right after the start: "0 events" alone would be a lie.
func TestEventsThatWaitForTheirPlacesAreCounted(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx, written := t.Context(), len(events(t, p))
		v := ok[*api.AuditVerification](t)(p.Ops.VerifyAudit(ctx, p.Boss, api.AuditVerificationQuery{}))
		if !v.Done || v.Checked != 0 || v.Waiting != written || len(v.Findings) != 0 {
			t.Errorf("%d events are written: %+v", written, v)
		}
		part := ok[*api.AuditPart](t)(p.Ops.ReadAuditChain(ctx, p.Boss, api.AuditPartQuery{}))
		if part.Next != 0 || part.Waiting != written {
			t.Errorf("the export: %+v", part)
		}
		ok[*api.AuditHead](t)(p.Ops.SignAuditHead(ctx, p.Boss)) // seals them, and has an event of its own
		v = ok[*api.AuditVerification](t)(p.Ops.VerifyAudit(ctx, p.Boss, api.AuditVerificationQuery{}))
		if v.Checked != written || v.Waiting != 1 {
			t.Errorf("after the head: %+v", v)
		}
	})
}
