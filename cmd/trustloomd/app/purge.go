// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// How often expired certificates are purged, how soon after the start, and how
// long the purge leaves the database to others after each batch.
const (
	purgeInterval = time.Hour
	purgeFirst    = 2 * time.Minute
	purgePause    = 100 * time.Millisecond
)

// purgeMetrics say how far the purge is.
type purgeMetrics struct {
	purged, failures prometheus.Counter
	finished         prometheus.Gauge
}

func newPurgeMetrics(reg prometheus.Registerer) *purgeMetrics {
	m := &purgeMetrics{
		purged:   prometheus.NewCounter(prometheus.CounterOpts{Name: "trustloom_purged_certificates_total", Help: "Expired certificates that this process removed by the retention rules, those on demand not counted."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "trustloom_purge_failures_total", Help: "Rounds of the purge that could not be completed."}),
		finished: prometheus.NewGauge(prometheus.GaugeOpts{Name: "trustloom_purge_last_success_timestamp_seconds", Help: "When the last round of the purge ended well; 0 if none has."}),
	}
	reg.MustRegister(m.purged, m.failures, m.finished)
	return m
}

// purge removes, every hour, what the retention rules of the domains do not
// keep. Processes that share a database may all do so: one batch is done at a
// time. A process that serves only the interfaces leaves it to the workers.
func (a *App) purge(ctx context.Context) {
	if a.cfg.Role == RoleAPI {
		return
	}
	metrics := newPurgeMetrics(a.metrics)
	timer := time.NewTimer(purgeFirst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			a.purgeRound(ctx, metrics)
			timer.Reset(purgeInterval)
		}
	}
}

// purgeRound looks at every domain. What fails in one does not keep the others
// waiting; the next round comes to it again.
func (a *App) purgeRound(ctx context.Context, metrics *purgeMetrics) {
	failed := false
	page := store.Page{Limit: store.MaxLimit}
	for {
		domains, next, err := a.store.ListDomains(ctx, page)
		if err == nil {
			for i := range domains {
				if domains[i].Retention > 0 && !a.purgeDomain(ctx, &domains[i], metrics) {
					failed = true
				}
			}
		} else if failed = true; ctx.Err() == nil {
			a.log.Warn("expired certificates are purged later", "error", err)
		}
		if page.Cursor = next; next == "" || ctx.Err() != nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
	case failed:
		metrics.failures.Inc()
	default:
		metrics.finished.SetToCurrentTime()
	}
}

func (a *App) purgeDomain(ctx context.Context, domain *models.Domain, metrics *purgeMetrics) bool {
	done, err := a.store.Purge(ctx, store.PurgeOrder{
		DomainID: domain.ID, Pause: purgePause, Event: models.Event{Actor: "system"}, Done: func(n int) { metrics.purged.Add(float64(n)) },
	})
	if done.Count > 0 {
		a.log.Info("expired certificates were purged", "domain", domain.Name, "retention", domain.Retention, "certificates", done.Count)
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("expired certificates are purged later", "domain", domain.Name, "error", err)
	}
	return err == nil
}
