// SPDX-License-Identifier: MIT

package temporald_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/trustloom/trustloom/integrations/temporald"
)

// gathered prints each series of a registry as name{label="value"} value, without empty labels.
func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, pair := range metric.GetLabel() {
				if pair.GetValue() != "" {
					labels = append(labels, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
				}
			}
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetHistogram().GetSampleSum()
			series[family.GetName()+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return series
}

func TestMetricsKeepBoundedTagsAndDropTheRest(t *testing.T) {
	reg := prometheus.NewRegistry()
	root := temporald.NewMetrics(reg)
	tagged := root.WithTags(map[string]string{"namespace": "n", "workflow_id": "w-1"}).WithTags(map[string]string{"operation": "o"})
	root.Counter("requests").Inc(1)
	root.Counter("requests").Inc(-5)
	tagged.Counter("requests").Inc(2)
	tagged.WithTags(map[string]string{"operation": "p"}).Counter("requests").Inc(3)
	tagged.Gauge("slots").Update(4)
	tagged.Timer("latency").Record(1500 * time.Millisecond)
	root.WithTags(map[string]string{"task_queue": "\xff"}).Gauge("slots").Update(1)
	root.Counter("requests_total").Inc(1)
	root.Gauge("not a name").Update(1)
	want := map[string]float64{
		"requests_total{}": 2,
		`requests_total{namespace="n",operation="o"}`:  2,
		`requests_total{namespace="n",operation="p"}`:  3,
		`slots{namespace="n",operation="o"}`:           4,
		`slots{task_queue="?"}`:                        1,
		`latency_seconds{namespace="n",operation="o"}`: 1.5,
	}
	if diff := cmp.Diff(want, withoutInvalid(gathered(t, reg))); diff != "" {
		t.Error(diff)
	}
}

// withoutInvalid forgets names with spaces: whether Prometheus takes them is a matter of its version.
func withoutInvalid(series map[string]float64) map[string]float64 {
	for name := range series {
		if strings.Contains(name, " ") {
			delete(series, name)
		}
	}
	return series
}

func TestMetricsStayBoundedWhenTagsDoNot(t *testing.T) {
	reg := prometheus.NewRegistry()
	root := temporald.NewMetrics(reg)
	for i := range 5000 {
		root.WithTags(map[string]string{"workflow_type": fmt.Sprint(i)}).Counter("c").Inc(1)
	}
	series := gathered(t, reg)
	if len(series) > 2001 || series["c_total{}"] != 3000 {
		t.Errorf("%d series, %v without labels", len(series), series["c_total{}"])
	}
}

func TestMetricsAreSafeForConcurrentUseAndForTwoHandlers(t *testing.T) {
	reg := prometheus.NewRegistry()
	one, two := temporald.NewMetrics(reg), temporald.NewMetrics(reg)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 100 {
				tags := map[string]string{"operation": fmt.Sprint(i % 3)}
				one.WithTags(tags).Counter("c").Inc(1)
				two.WithTags(tags).Counter("c").Inc(1)
				one.WithTags(tags).Timer("t").Record(time.Second)
			}
		})
	}
	group.Wait()
	total := 0.0
	for name, value := range gathered(t, reg) {
		if strings.HasPrefix(name, "c_total") {
			total += value
		}
	}
	if total != 1600 {
		t.Errorf("counted %v", total)
	}
}
