// SPDX-License-Identifier: MIT

package bench

import (
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

// listFilters are all filters of `GET /api/v1/certificates`, and combinations
// of them. Whoever adds a filter to store.CertificateFilter adds a line here;
// a test compares the names.
var listFilters = []struct {
	name   string
	filter func(now time.Time) store.CertificateFilter
}{
	{"none", func(time.Time) store.CertificateFilter { return store.CertificateFilter{} }},
	{"domain", func(time.Time) store.CertificateFilter { return store.CertificateFilter{DomainID: fillDomain} }},
	{"device", func(time.Time) store.CertificateFilter { return store.CertificateFilter{DeviceID: fillDevice} }},
	{"serial", func(time.Time) store.CertificateFilter { return store.CertificateFilter{Serial: "00"} }},
	{"kind=application", func(time.Time) store.CertificateFilter {
		return store.CertificateFilter{Kind: models.CertificateApplication}
	}},
	{"kind=ca", func(time.Time) store.CertificateFilter { return store.CertificateFilter{Kind: models.CertificateCA} }},
	{"status=valid", func(time.Time) store.CertificateFilter { return store.CertificateFilter{Status: store.StatusValid} }},
	{"status=expired", func(time.Time) store.CertificateFilter { return store.CertificateFilter{Status: store.StatusExpired} }},
	{"status=revoked", func(time.Time) store.CertificateFilter { return store.CertificateFilter{Status: store.StatusRevoked} }},
	{"status=reserved", func(time.Time) store.CertificateFilter { return store.CertificateFilter{Status: store.StatusReserved} }},
	{"expires_before=now", func(now time.Time) store.CertificateFilter { return store.CertificateFilter{ExpiresBefore: now} }},
	{"expires_before=past", func(now time.Time) store.CertificateFilter {
		return store.CertificateFilter{ExpiresBefore: now.AddDate(-1, 0, 0)}
	}},
	{"origin=imported", func(time.Time) store.CertificateFilter {
		return store.CertificateFilter{Origin: models.CertificateImported}
	}},
	{"domain, status=valid", func(time.Time) store.CertificateFilter {
		return store.CertificateFilter{DomainID: fillDomain, Status: store.StatusValid}
	}},
	{"domain, status=revoked", func(time.Time) store.CertificateFilter {
		return store.CertificateFilter{DomainID: fillDomain, Status: store.StatusRevoked}
	}},
	{"device, status=valid", func(time.Time) store.CertificateFilter {
		return store.CertificateFilter{DeviceID: fillDevice, Status: store.StatusValid}
	}},
	{"one domain of a token", func(time.Time) store.CertificateFilter {
		return store.CertificateFilter{Domains: []models.DomainID{fillDomain}}
	}},
	{"a token's domains, status=valid", func(time.Time) store.CertificateFilter {
		return store.CertificateFilter{Domains: []models.DomainID{fillDomain, "none"}, Status: store.StatusValid}
	}},
}

var (
	fillDomain = models.DomainID(store.FillID("domain", 3))
	fillDevice = models.DeviceID(store.FillID("device", 4711))
)

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
	n := 0
	lookup, err := median(func() error {
		n++
		_, err := s.FindCertificate(ctx, models.CertificateID(store.FillID("certificate", n*7919%cfg.Rows)))
		return err
	})
	if err != nil {
		return err
	}
	r.Lookup = microseconds(lookup)
	for _, l := range listFilters {
		rows := 0
		took, err := median(func() error {
			page, _, err := s.ListCertificates(ctx, l.filter(now))
			rows = len(page)
			return err
		})
		if err != nil {
			return fmt.Errorf("list with filter %s: %w", l.name, err)
		}
		r.Lists = append(r.Lists, Listing{l.name, rows, microseconds(took), per(microseconds(took), r.Lookup)})
	}
	return nil
}

// median runs do for a while, after a first time that does not count.
func median(do func() error) (time.Duration, error) {
	const most, budget = 101, 3 * time.Second
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

// WriteTable writes the report for people.
func (r *ListsReport) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d certificates in %s, stored in %.0f s; one by its identifier: %.0f us\n\n", r.Rows, r.Database, r.Fill, r.Lookup)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "first page under filter\trows\tmedian (us)\t: look-up\t") // a strings.Builder takes everything
	for _, l := range r.Lists {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%.0f\t%.1f\t\n", l.Filter, l.Rows, l.Median, l.Ratio)
	}
	_ = t.Flush()
	_, err := io.WriteString(w, b.String())
	return err
}
