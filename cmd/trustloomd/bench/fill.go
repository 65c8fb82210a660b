// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/trustloom/trustloom/models/store"
)

// maxFill bounds Config.Fill.
const maxFill = 10_000_000

// Fill is how the inline lane fares with many certificates stored, against how
// it fared before in the same run.
type Fill struct {
	Rows    int       `json:"rows"`
	Seconds float64   `json:"seconds"` // that storing them took
	Figures []Figure  `json:"figures"`
	Ratios  []Decline `json:"ratios"`
}

// Decline relates a figure of the full database to that of the empty one.
type Decline struct {
	Clients   int     `json:"clients"`
	PerSecond float64 `json:"per_second"`
	Processor float64 `json:"server_processor_ms"`
}

// checkFill reports whether what is compared is measured at all.
func (c Config) checkFill() error {
	if c.Fill < 0 || c.Fill > maxFill {
		return fmt.Errorf("--fill %d is not between 0 and %d", c.Fill, maxFill)
	}
	if c.Fill > 0 && len(c.Lanes) > 0 && !slices.Contains(c.Lanes, LaneReenroll) {
		return fmt.Errorf("--fill is for the lane %s, which --lanes leaves out", LaneReenroll)
	}
	return nil
}

// fill stores the certificates beside the server, which has nothing to do
// meanwhile, and measures the inline lane once more.
func (b *bench) fill(ctx context.Context) error {
	if b.cfg.Fill == 0 {
		return nil
	}
	begun := time.Now()
	if err := b.store(ctx); err != nil {
		return fmt.Errorf("fill the database: %w", err)
	}
	b.report.Fill = &Fill{Rows: b.cfg.Fill, Seconds: time.Since(begun).Seconds()}
	for _, clients := range b.cfg.Clients {
		figure, err := b.figure(ctx, LaneReenroll, clients, b.plant.reenrollments)
		if err != nil {
			return fmt.Errorf("%s with %d clients and %d certificates: %w", LaneReenroll, clients, b.cfg.Fill, err)
		}
		b.say("%s, %d clients, %d certificates stored: %.0f per second, p50 %.1f ms, p99 %.1f ms",
			LaneReenroll, clients, b.cfg.Fill, figure.PerSecond, figure.P50, figure.P99)
		b.report.Fill.Figures = append(b.report.Fill.Figures, figure)
	}
	return nil
}

func (b *bench) store(ctx context.Context) (err error) {
	url := b.database
	if url == "" {
		url = "sqlite:" + filepath.Join(b.server.dataDir, "trustloom.db")
	}
	s, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.FillCertificates(ctx, b.cfg.Fill, time.Now(), func(done int) {
		if done%100_000 == 0 {
			b.say("%d certificates stored ...", done)
		}
	})
}

// compare computes the ratios of a fill to the figures before it.
func (f *Fill) compare(before []Figure) {
	for _, full := range f.Figures {
		i := slices.IndexFunc(before, func(b Figure) bool { return b.Lane == full.Lane && b.Clients == full.Clients })
		if i >= 0 {
			f.Ratios = append(f.Ratios, Decline{full.Clients, per(full.PerSecond, before[i].PerSecond), per(full.Server, before[i].Server)})
		}
	}
}
