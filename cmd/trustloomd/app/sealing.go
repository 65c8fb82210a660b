// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/models"
)

// How often audit events are sealed, how long one round may take, how far
// behind the chain may be before it is an alarm, how often that is said, and
// how long the last head may take at a stop.
const (
	sealInterval = time.Second
	sealRound    = time.Minute
	sealBehind   = 2 * time.Minute
	sealAlarm    = time.Minute
	lastHeadTime = 5 * time.Second
	minHeads     = time.Minute
)

func (c *Config) checkAudit() error {
	switch {
	case c.AuditKeyStore == models.StorePKCS11 && c.PKCS11Module == "":
		return fmt.Errorf("--audit-key-store pkcs11 needs --pkcs11-module")
	case c.AuditKeyStore != models.StoreSoftware && c.AuditKeyStore != models.StorePKCS11:
		return fmt.Errorf("--audit-key-store %q is not one of software, pkcs11", c.AuditKeyStore)
	case c.AuditHeadInterval < minHeads:
		return fmt.Errorf("--audit-head-interval %s is shorter than %s", c.AuditHeadInterval, minHeads)
	}
	return nil
}

func (a *App) openSealer(key string) {
	a.sealer = activities.NewSealer(activities.SealerConfig{
		Store: a.store, Keys: a.keys, KeyStore: a.cfg.AuditKeyStore, KeyName: key, Now: a.now, Logger: a.log,
	})
	a.metrics.MustRegister(
		gauge("trustloom_audit_chain_length", "Audit events in the hash chain.", func() float64 { return float64(a.sealer.State().Tip.Seq) }),
		gauge("trustloom_audit_unsealed_seconds", "Age of the oldest audit event that is not in the hash chain.", func() float64 { return age(a.sealer.State().Waiting) }),
		gauge("trustloom_audit_head_age_seconds", "Age of the last signed head of the audit log; 0 if there is none.", func() float64 {
			if head := a.sealer.State().LastHead; head != nil {
				return age(head.At)
			}
			return 0
		}),
	)
}

func gauge(name, help string, value func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

// age is how many seconds ago t was, 0 for no time.
func age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(time.Since(t).Seconds(), 0)
}

// seal keeps the audit chain up to date, and signs its head from time to time
// and at the end. Every process does; of those that share a database one works
// at a time.
func (a *App) seal(ctx context.Context) {
	tick, heads := time.NewTicker(sealInterval), time.NewTicker(a.cfg.AuditHeadInterval)
	defer tick.Stop()
	defer heads.Stop()
	var alarmed time.Time
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastHeadTime)
			a.signHead(last)
			cancel()
			a.remember(ctx)
			return
		case <-heads.C:
			a.withinSealing(ctx, a.signHead)
		case <-tick.C:
			a.withinSealing(ctx, func(ctx context.Context) { alarmed = a.sealOnce(ctx, alarmed) })
			a.remember(ctx)
		}
	}
}

func (a *App) withinSealing(ctx context.Context, round func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, sealRound)
	defer cancel()
	round(ctx)
}

// sealOnce seals, and says every minute that it cannot, once it matters.
func (a *App) sealOnce(ctx context.Context, alarmed time.Time) time.Time {
	err := a.sealer.Seal(ctx)
	behind := age(a.sealer.State().Waiting) > sealBehind.Seconds()
	if err == nil && !behind || ctx.Err() != nil || time.Since(alarmed) < sealAlarm {
		return alarmed
	}
	level := a.log.Warn
	if behind {
		level = a.log.Error
	}
	level("audit events are not sealed", "oldest", a.sealer.State().Waiting, "error", err)
	return time.Now()
}

func (a *App) signHead(ctx context.Context) {
	head, err := a.sealer.SignHead(ctx)
	switch {
	case err == nil:
		a.log.Info("audit log signed", "seq", head.Seq, "hash", fmt.Sprintf("%x", head.Hash), "key", head.KeyID)
	case models.KindOf(err) != models.KindConflict:
		a.log.Warn("the head of the audit log is not signed", "error", err)
	}
}
