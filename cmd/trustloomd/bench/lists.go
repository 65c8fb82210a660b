// SPDX-License-Identifier: MIT

package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// ListsConfig is what to measure of the lists.
type ListsConfig struct {
	Rows        int
	Dir         string
	DatabaseURL string // postgres://…; empty: SQLite
	Progress    io.Writer
}

// ListsReport is how long the first pages take.
type ListsReport struct {
	Database string    `json:"database"`
	Rows     int       `json:"rows"`
	Fill     float64   `json:"fill_s"`
	Lookup   float64   `json:"lookup_us"` // of one certificate by its identifier
	Lists    []Listing `json:"lists"`
}

// Listing is the first page under one filter.
type Listing struct {
	Filter string  `json:"filter"`
	Rows   int     `json:"rows"` // on the page
	Median float64 `json:"median_us"`
	Ratio  float64 `json:"ratio_to_lookup"`
}

// RunLists fills a database of its own and measures the first pages. What it
// made is gone when it returns.
func RunLists(ctx context.Context, cfg ListsConfig) (report *ListsReport, err error) {
	dir, err := os.MkdirTemp(cfg.Dir, "trustloom-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	url, kind := "sqlite:"+filepath.Join(dir, "lists.db"), "sqlite"
	if cfg.DatabaseURL != "" {
		within, drop, err := store.NewSchema(ctx, cfg.DatabaseURL)
		if err != nil {
			return nil, err
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			_ = drop(ctx)
		}()
		url, kind = within, "postgres"
	}
	s, err := store.Open(ctx, store.Config{URL: url})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	report = &ListsReport{Database: kind, Rows: cfg.Rows}
	return report, report.measure(ctx, s, cfg)
}

func (r *ListsReport) measure(ctx context.Context, s *store.Store, cfg ListsConfig) error {
	now, begun := time.Now(), time.Now()
	err := s.FillCertificates(ctx, cfg.Rows, now, func(done int) {
		if done%100_000 == 0 {
			fmt.Fprintf(cfg.Progress, "%d certificates stored ...\n", done)
		}
	})
	if err != nil {
		return err
	}
	r.Fill = time.Since(begun).Seconds()
	return r.look(ctx, s, now)
}

// look measures the first pages.
func (r *ListsReport) look(ctx context.Context, s *store.Store, now time.Time) error {
	n := 0
	lookup, err := median(ofLookups, func() error {
		n++
		_, err := s.FindCertificate(ctx, models.CertificateID(store.FillID("certificate", n*7919%r.Rows)))
		return err
	})
	if err != nil {
		return err
	}
	r.Lookup = microseconds(lookup)
	for _, l := range listFilters() {
		list, err := r.list(ctx, s, l, now)
		if err != nil {
			return fmt.Errorf("list with filter %s: %w", l, err)
		}
		r.Lists = append(r.Lists, list)
	}
	return nil
}

// list measures one combination of filters, and one that seems slow a second
// time, more often: others use the machine.
func (r *ListsReport) list(ctx context.Context, s *store.Store, l listFilter, now time.Time) (out Listing, err error) {
	for _, most := range []int{ofLists, ofLookups} {
		rows := 0
		took, err := median(most, func() error {
			page, _, err := s.ListCertificates(ctx, l.filter(now))
			rows = len(page)
			return err
		})
		if err != nil {
			return out, err
		}
		out = Listing{l.String(), rows, microseconds(took), per(microseconds(took), r.Lookup)}
		if out.Ratio < seemsSlow {
			break
		}
	}
	return out, nil
}

// How often something is done to find its median.
const (
	ofLookups = 101
	ofLists   = 11 // there are many

	seemsSlow = 25 // times a look-up
)

// median runs do for a while, after a first time that does not count.
func median(most int, do func() error) (time.Duration, error) {
	const budget = time.Second
	if err := do(); err != nil {
		return 0, err
	}
	var took []time.Duration
	for begun := time.Now(); len(took) < most && (len(took) < 3 || time.Since(begun) < budget); {
		start := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// slowest is how many combinations the table shows.
const slowest = 25

// WriteTable writes the report for people: the slowest of all lists.
func (r *ListsReport) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d certificates in %s, stored in %.0f s; one by its identifier: %.0f us\n", r.Rows, r.Database, r.Fill, r.Lookup)
	lists := slices.SortedStableFunc(slices.Values(r.Lists), func(a, b Listing) int { return cmp.Compare(b.Ratio, a.Ratio) })
	shown := min(slowest, len(lists))
	fmt.Fprintf(&b, "The %d slowest of %d combinations of filters (-o json shows all); the median of all is %.1f look-ups.\n\n",
		shown, len(lists), lists[len(lists)/2].Ratio)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "first page under filter\trows\tmedian (us)\t: look-up\t") // a strings.Builder takes everything
	for _, l := range lists[:shown] {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%.0f\t%.1f\t\n", l.Filter, l.Rows, l.Median, l.Ratio)
	}
	_ = t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}
