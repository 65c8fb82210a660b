// SPDX-License-Identifier: MIT

package enroll

import "context"

// BindNow is bindNow, for what happens between two of its reads.
var BindNow = bindNow

// Round is one round of Sweep, without forgetting; it reports whether the
// sweeper was told that there is something to forget.
func (d *Deliveries) Round(ctx context.Context) (stirred bool) {
	d.settleAll(ctx)
	select {
	case <-d.wake:
		return true
	default:
		return false
	}
}

// SetDeviceRate changes Config.DeviceRate.
func SetDeviceRate(d *Door, n int) { d.cfg.DeviceRate = n }
