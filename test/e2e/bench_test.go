// SPDX-License-Identifier: MIT

package e2e

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/trustloom/trustloom/test/fixture/running"
)

// TestBench runs the benchmark for a moment and looks whether its report is
// whole. How fast anything is, it does not judge.
func TestBench(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"bench", "enroll", "--clients", "1,2", "--duration", "1s", "--fill", "1000", "-o", "json", "--dir", t.TempDir()}, database(t, name)...)
			cmd := exec.Command(running.Binary(t, "trustloomd"), args...)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("trustloomd bench enroll: %v\n%s", err, out)
			}
			var report map[string]any
			if err := json.Unmarshal(out, &report); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			assertPositive(t, "", report)
		})
	}
	out, err := exec.Command(running.Binary(t, "trustloomd"), "bench", "enroll", "--clients", "0").CombinedOutput()
	if err == nil {
		t.Errorf("no clients at all: %s", out)
	}
}

// TestBenchLists fills a small database and looks whether every filter has a
// figure. What the figures are it does not judge.
func TestBenchLists(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"bench", "lists", "--rows", "1000", "-o", "json", "--dir", t.TempDir()}, database(t, name)...)
			out, err := exec.Command(running.Binary(t, "trustloomd"), args...).Output()
			if err != nil {
				t.Fatalf("trustloomd bench lists: %v\n%s", err, out)
			}
			var report struct {
				Database string  `json:"database"`
				Lookup   float64 `json:"lookup_us"`
				Lists    []struct {
					Filter string  `json:"filter"`
					Rows   int     `json:"rows"`
					Median float64 `json:"median_us"`
					Ratio  float64 `json:"ratio_to_lookup"`
				} `json:"lists"`
			}
			if err := json.Unmarshal(out, &report); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			if report.Database != name || report.Lookup <= 0 || len(report.Lists) < 800 {
				t.Errorf("%+v", report)
			}
			rows := map[string]int{}
			for _, l := range report.Lists {
				rows[l.Filter] = l.Rows
				if l.Median <= 0 || l.Ratio <= 0 {
					t.Errorf("%+v", l)
				}
			}
			if rows["none"] != 50 || rows["status=revoked"] != 50 || rows["kind=ca"] != 0 || rows["serial"] != 0 {
				t.Errorf("the pages have other rows than were stored: %v", rows)
			}
		})
	}
}

// assertPositive walks a report: it has figures, and none of a measurement is
// zero or below.
func assertPositive(t *testing.T, path string, v any) (figures int) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			figures += assertPositive(t, path+"."+key, member)
		}
	case []any:
		for _, member := range v {
			figures += assertPositive(t, path, member)
		}
	case float64:
		figures = 1
		if v < 0 {
			t.Errorf("%s is %v", path, v)
		}
	}
	if path == "" && figures < 40 {
		t.Errorf("the report has %d figures only", figures)
	}
	return figures
}
