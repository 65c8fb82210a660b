// SPDX-License-Identifier: MIT

package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// titles are what people read for a lane.
var titles = map[Lane]string{
	LaneReenroll:      "inline re-enrollment",
	LaneOnboard:       "onboarding (workflow)",
	LaneEnroll:        "inline enrollment",
	LaneCMPCert:       "CMP cr, signed",
	LaneCMPInit:       "CMP ir, MAC (workflow)",
	LaneEmptyWorkflow: "empty workflow",
}

// lanes is the order of the table.
var lanes = []Lane{LaneReenroll, LaneEnroll, LaneCMPCert, LaneOnboard, LaneCMPInit, LaneEmptyWorkflow}

// What the commands measure: EST, and CMP next to EST.
var (
	ESTLanes = []Lane{LaneReenroll, LaneOnboard, LaneEmptyWorkflow}
	CMPLanes = []Lane{LaneReenroll, LaneEnroll, LaneCMPCert, LaneOnboard, LaneCMPInit}
)

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "trustloomd %s, %s: %s, keys in %s, %d processors, %s, %.3g s per figure\n\n",
		r.Version, r.StartedAt.Format("2006-01-02 15:04"), r.Database, r.Keys, r.Processors, r.Go, r.Duration)
	r.writeReferences(&b)
	r.writeFigures(&b)
	r.writeRatios(&b)
	r.writeFill(&b)
	fmt.Fprintf(&b, "memory (resident, MiB): server %.0f idle, %.0f after the run; engine %.0f and %.0f\n",
		r.Memory.Before.Server, r.Memory.After.Server, r.Memory.Before.Engine, r.Memory.After.Engine)
	_, err := io.WriteString(w, b.String())
	return err
}

// columns writes lines whose cells are separated by tabs, numbers to the right.
func columns(b *strings.Builder, lines []string) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, line := range lines {
		_, _ = fmt.Fprintln(t, line+"\t") // a strings.Builder takes everything
	}
	_ = t.Flush()
	b.WriteByte('\n')
}

func (r *Report) writeReferences(b *strings.Builder) {
	lines := []string{"reference\tat a time\tper second\tprocessor each (ms)"}
	line := func(what string, rate Rate) {
		lines = append(lines, fmt.Sprintf("%s\t%d\t%.0f\t%.3f", what, rate.Concurrency, rate.PerSecond, rate.Processor))
	}
	line("x509.CreateCertificate P-256", r.References.CreateCertificate)
	for _, insert := range r.References.Inserts {
		line("durable insert", insert)
	}
	columns(b, lines)
}

// each calls do for the figures, lane by lane.
func (r *Report) each(do func(Figure)) {
	for _, lane := range lanes {
		for _, f := range r.Figures {
			if f.Lane == lane {
				do(f)
			}
		}
	}
}

func (r *Report) writeFigures(b *strings.Builder) {
	lines := []string{"lane\tclients\tper second\tp50 (ms)\tp99 (ms)\tserver processor each (ms)\tengine (ms)"}
	r.each(func(f Figure) {
		lines = append(lines, fmt.Sprintf("%s\t%d\t%.0f\t%.1f\t%.1f\t%.2f\t%.2f",
			titles[f.Lane], f.Clients, f.PerSecond, f.P50, f.P99, f.Server, f.Engine))
	})
	columns(b, lines)
}

func (r *Report) writeRatios(b *strings.Builder) {
	lines := []string{"ratio of\tclients\trate : CreateCertificate\trate : insert (1)\trate : insert (16)\trate : empty workflow\trate : EST\tprocessor : EST\tprocessor : CreateCertificate"}
	r.each(func(f Figure) {
		if f.Lane == LaneEmptyWorkflow {
			return
		}
		lines = append(lines, fmt.Sprintf("%s\t%d\t%.3f\t%.3f\t%.3f\t%s\t%s\t%s\t%.1f", titles[f.Lane], f.Clients, f.Ratios.CreateCertificate,
			f.Ratios.Inserts[0], f.Ratios.Inserts[1], ratio(f.Ratios.EmptyWorkflow), ratio(f.Ratios.EST), ratio(f.Ratios.ESTProcessor), f.Ratios.Processor))
	})
	columns(b, lines)
}

func (r *Report) writeFill(b *strings.Builder) {
	if r.Fill == nil {
		return
	}
	lines := []string{fmt.Sprintf("%s with %d more certificates\tper second\tp99 (ms)\tserver processor each (ms)\trate : before\tprocessor : before", titles[LaneReenroll], r.Fill.Rows)}
	for i, f := range r.Fill.Figures {
		lines = append(lines, fmt.Sprintf("%d clients\t%.0f\t%.1f\t%.2f\t%.2f\t%.2f",
			f.Clients, f.PerSecond, f.P99, f.Server, r.Fill.Ratios[i].PerSecond, r.Fill.Ratios[i].Processor))
	}
	columns(b, lines)
}

// ratio writes one that not every lane has.
func ratio(r float64) string {
	if r == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r)
}
