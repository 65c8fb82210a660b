// SPDX-License-Identifier: MIT

package bench

import (
	"time"
)

// Report is what a run has measured. Rates are per second of the clock on the
// wall, which depend on the machine and on who else uses it; the ratios and
// the processor times much less so.
type Report struct {
	Version    string     `json:"version"`
	StartedAt  time.Time  `json:"started_at"`
	Database   string     `json:"database"` // sqlite or postgres
	Keys       string     `json:"keys"`
	Processors int        `json:"processors"`
	Go         string     `json:"go"`
	Duration   float64    `json:"duration_s"` // of each figure
	References References `json:"references"`
	Figures    []Figure   `json:"figures"`
	Fill       *Fill      `json:"fill,omitempty"`
	Memory     Memory     `json:"memory_mib"`
}

// References are what the same machine did in the same run without Trustloom.
type References struct {
	CreateCertificate Rate    `json:"create_certificate"`
	Inserts           [2]Rate `json:"durable_inserts"`
}

// Rate is how often something was done.
type Rate struct {
	Concurrency int     `json:"concurrency"`
	Operations  int     `json:"operations"`
	Seconds     float64 `json:"seconds"`
	PerSecond   float64 `json:"per_second"`
	Processor   float64 `json:"processor_ms"` // of the process that did it, each
}

func newRate(concurrency, operations int, elapsed, processor time.Duration) Rate {
	r := Rate{Concurrency: concurrency, Operations: operations, Seconds: elapsed.Seconds()}
	r.PerSecond = per(float64(operations), r.Seconds)
	r.Processor = per(milliseconds(processor), float64(operations))
	return r
}

// plus is both rates measured as one.
func (r Rate) plus(s Rate) Rate {
	sum := Rate{Concurrency: r.Concurrency, Operations: r.Operations + s.Operations, Seconds: r.Seconds + s.Seconds}
	sum.PerSecond = per(float64(sum.Operations), sum.Seconds)
	sum.Processor = per(r.Processor*float64(r.Operations)+s.Processor*float64(s.Operations), float64(sum.Operations))
	return sum
}

func (r References) plus(s References) References {
	sum := References{CreateCertificate: r.CreateCertificate.plus(s.CreateCertificate)}
	for i := range sum.Inserts {
		sum.Inserts[i] = r.Inserts[i].plus(s.Inserts[i])
	}
	return sum
}

// Lane is what was measured.
type Lane string

// The lanes.
const (
	LaneReenroll      Lane = "reenroll"       // inline: renewals of domain credentials
	LaneOnboard       Lane = "onboard"        // through the workflow: first identities of new devices
	LaneEnroll        Lane = "enroll"         // inline: application certificates
	LaneCMPCert       Lane = "cmp-cr"         // inline: application certificates over CMP, signed with the domain credential
	LaneCMPInit       Lane = "cmp-ir"         // through the workflow: first identities over CMP, with the one-time secret
	LaneEmptyWorkflow Lane = "empty-workflow" // a workflow that does nothing, started and waited for: a reference
)

// Figure is one lane at one number of clients. The processor times are of the
// server and of its workflow engine, each for one operation; the devices'
// side, and that of PostgreSQL, is not in them.
type Figure struct {
	Lane       Lane    `json:"lane"`
	Clients    int     `json:"clients"`
	Operations int     `json:"operations"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"per_second"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	Server     float64 `json:"server_processor_ms"`
	Engine     float64 `json:"engine_processor_ms"`
	Ratios     Ratios  `json:"ratios"`
}

// Ratios relate a figure to the references of its run.
type Ratios struct {
	CreateCertificate float64   `json:"per_second_to_create_certificate"`
	Processor         float64   `json:"server_processor_to_create_certificate"`
	Inserts           []float64 `json:"per_second_to_durable_inserts"` // with 1 and with 16 connections
	EmptyWorkflow     float64   `json:"per_second_to_empty_workflow,omitempty"`
	EST               float64   `json:"per_second_to_est,omitempty"` // of CMP, to the same lane of EST
	ESTProcessor      float64   `json:"server_processor_to_est,omitempty"`
}

// Memory is the resident sets of the processes, in MiB.
type Memory struct {
	Before Resident `json:"before"` // with a PKI and the devices, idle
	After  Resident `json:"after"`
}

// Resident is the two processes of a server.
type Resident struct {
	Server float64 `json:"server"`
	Engine float64 `json:"engine"`
}

func newFigure(lane Lane, clients int, seen sample, used usage) Figure {
	n := len(seen.latencies)
	return Figure{
		Lane: lane, Clients: clients, Operations: n, Seconds: seen.elapsed.Seconds(), PerSecond: per(float64(n), seen.elapsed.Seconds()),
		P50: milliseconds(seen.percentile(0.5)), P99: milliseconds(seen.percentile(0.99)),
		Server: per(milliseconds(used.server), float64(n)), Engine: per(milliseconds(used.engine), float64(n)),
	}
}

// finish computes the ratios.
func (r *Report) finish() {
	seen := map[Lane]map[int]Figure{}
	for _, f := range r.Figures {
		if seen[f.Lane] == nil {
			seen[f.Lane] = map[int]Figure{}
		}
		seen[f.Lane][f.Clients] = f
	}
	r.relate(r.Figures, seen)
	if r.Fill != nil {
		r.relate(r.Fill.Figures, seen)
		r.Fill.compare(r.Figures)
	}
}

// relate computes the ratios of figures to the references, and to what other
// lanes did with the same number of clients.
func (r *Report) relate(figures []Figure, seen map[Lane]map[int]Figure) {
	for i := range figures {
		f := &figures[i]
		f.Ratios = Ratios{
			CreateCertificate: per(f.PerSecond, r.References.CreateCertificate.PerSecond),
			Processor:         per(f.Server, r.References.CreateCertificate.Processor),
		}
		for _, insert := range r.References.Inserts {
			f.Ratios.Inserts = append(f.Ratios.Inserts, per(f.PerSecond, insert.PerSecond))
		}
		switch f.Lane {
		case LaneOnboard:
			f.Ratios.EmptyWorkflow = per(f.PerSecond, seen[LaneEmptyWorkflow][f.Clients].PerSecond)
		case LaneCMPCert:
			f.Ratios.toEST(f, seen[LaneEnroll][f.Clients])
		case LaneCMPInit:
			f.Ratios.toEST(f, seen[LaneOnboard][f.Clients])
		}
	}
}

func (r *Ratios) toEST(of *Figure, est Figure) {
	r.EST, r.ESTProcessor = per(of.PerSecond, est.PerSecond), per(of.Server, est.Server)
}

// per is a quotient, and 0 of nothing.
func per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
