// SPDX-License-Identifier: MIT

package temporald

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
)

// labelNames are the tags of the SDK that become labels; they take few values. All others are dropped: workflow and
// run IDs have no end of values. Each metric has all of these labels, an absent tag is an empty label, which Prometheus
// treats as no label: so one metric may be reported with different sets of tags.
var labelNames = []string{
	"namespace", "task_queue", "workflow_type", "activity_type", "operation", "worker_type", "poller_type",
	"status_code", "failure_reason", "cause",
}

const (
	// labelSetMax bounds the memory of one metric whatever the tags do; what comes later is counted without labels.
	labelSetMax   = 2000
	labelValueMax = 128
)

// timerBuckets reach from a loopback call to a workflow that waited for people.
var timerBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 600, 3600, 86400}

// NewMetrics reports the measurements of the SDK to reg: counters with the suffix _total, timers as histograms with
// the suffix _seconds, gauges under their own name.
func NewMetrics(reg prometheus.Registerer) client.MetricsHandler {
	return &metricsHandler{collectors: &collectors{reg: reg, byName: map[string]*vector{}}}
}

// metricsHandler is a set of labels over shared collectors; it never changes.
type metricsHandler struct {
	collectors *collectors
	labels     map[string]string
}

// WithTags implements client.MetricsHandler.
func (h *metricsHandler) WithTags(tags map[string]string) client.MetricsHandler {
	labels := maps.Clone(h.labels)
	for _, name := range labelNames {
		if value, ok := tags[name]; ok {
			if labels == nil {
				labels = make(map[string]string, len(tags))
			}
			labels[name] = value
		}
	}
	return &metricsHandler{collectors: h.collectors, labels: labels}
}

// Counter implements client.MetricsHandler.
func (h *metricsHandler) Counter(name string) client.MetricsCounter {
	if !strings.HasSuffix(name, "_total") {
		name += "_total"
	}
	vec, ok := get(h.collectors, name, func() *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help(name)}, labelNames)
	})
	if !ok {
		return client.MetricsNopHandler.Counter(name)
	}
	metric, err := vec.GetMetricWithLabelValues(h.collectors.values(name, h.labels)...)
	if err != nil { // somebody else's metric of this name
		return client.MetricsNopHandler.Counter(name)
	}
	return counter{metric}
}

// Gauge implements client.MetricsHandler.
func (h *metricsHandler) Gauge(name string) client.MetricsGauge {
	vec, ok := get(h.collectors, name, func() *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help(name)}, labelNames)
	})
	if !ok {
		return client.MetricsNopHandler.Gauge(name)
	}
	metric, err := vec.GetMetricWithLabelValues(h.collectors.values(name, h.labels)...)
	if err != nil { // somebody else's metric of this name
		return client.MetricsNopHandler.Gauge(name)
	}
	return gauge{metric}
}

// Timer implements client.MetricsHandler.
func (h *metricsHandler) Timer(name string) client.MetricsTimer {
	name += "_seconds"
	vec, ok := get(h.collectors, name, func() *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help(name), Buckets: timerBuckets}, labelNames)
	})
	if !ok {
		return client.MetricsNopHandler.Timer(name)
	}
	metric, err := vec.GetMetricWithLabelValues(h.collectors.values(name, h.labels)...)
	if err != nil { // somebody else's metric of this name
		return client.MetricsNopHandler.Timer(name)
	}
	return timer{metric}
}

func help(name string) string {
	return "Temporal SDK: " + strings.ReplaceAll(strings.TrimPrefix(name, "temporal_"), "_", " ") + "."
}

type counter struct{ prometheus.Counter }

// Inc implements client.MetricsCounter; a counter never goes down.
func (c counter) Inc(delta int64) {
	if delta > 0 {
		c.Add(float64(delta))
	}
}

type gauge struct{ prometheus.Gauge }

// Update implements client.MetricsGauge.
func (g gauge) Update(value float64) { g.Set(value) }

type timer struct{ prometheus.Observer }

// Record implements client.MetricsTimer.
func (t timer) Record(d time.Duration) { t.Observe(d.Seconds()) }

// collectors are registered once each, when they are first used.
type collectors struct {
	reg prometheus.Registerer

	mu     sync.RWMutex
	byName map[string]*vector
}

// vector is one metric and the label sets it has; collector is nil if its name cannot be registered.
type vector struct {
	collector prometheus.Collector
	seen      map[string]bool
}

func get[C prometheus.Collector](c *collectors, name string, make func() C) (C, bool) {
	c.mu.RLock()
	v, known := c.byName[name]
	c.mu.RUnlock()
	if !known {
		v = c.register(name, make())
	}
	collector, ok := v.collector.(C)
	return collector, ok
}

func (c *collectors) register(name string, fresh prometheus.Collector) *vector {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, known := c.byName[name]; known {
		return v
	}
	v := &vector{collector: fresh, seen: map[string]bool{}}
	if err := c.reg.Register(fresh); err != nil {
		v.collector = nil // measurements are dropped rather than work stopped
		var exists prometheus.AlreadyRegisteredError
		if errors.As(err, &exists) {
			v.collector = exists.ExistingCollector // of another handler over the same registry
		}
	}
	c.byName[name] = v
	return v
}

// values returns one value per label name, all empty when the metric has too many sets already.
func (c *collectors) values(name string, labels map[string]string) []string {
	values := make([]string, len(labelNames))
	for i, label := range labelNames {
		value := strings.ToValidUTF8(labels[label], "?")
		if len(value) > labelValueMax {
			value = strings.ToValidUTF8(value[:labelValueMax], "")
		}
		values[i] = value
	}
	key := strings.Join(values, "\x00")
	c.mu.RLock()
	v := c.byName[name]
	known, full := v.seen[key], len(v.seen) >= labelSetMax
	c.mu.RUnlock()
	if known {
		return values
	}
	if full {
		return make([]string, len(labelNames))
	}
	c.mu.Lock()
	v.seen[key] = true
	c.mu.Unlock()
	return values
}
