// SPDX-License-Identifier: MIT

// Package check walks over a whole database and finds what must never be: a
// certificate that is lost, doubled, not what was decided, or unknown to the
// audit log. There is no document to cite: the invariants are the promises of
// design.md §3 and §7, numbered as the failure experiments number them. It
// only reads, and it trusts no process that wrote: every certificate is parsed,
// verified and linted once more.
package check

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// Config says what is checked.
type Config struct {
	Store *store.Store
	Now   func() time.Time
	// Grace is how long a running server may leave something half-way before
	// that counts as forgotten.
	Grace time.Duration
	// Secrets must not be found in Files: what Temporal keeps, logs, dumps.
	Secrets []Secret
	Files   []string
	// Progress, if not nil, is told in lines how far the check is.
	Progress io.Writer
}

// Invariant is one promise.
type Invariant struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// The invariants, in the order of the report.
var (
	oneEach     = Invariant{"I1", "one certificate for each request, and every issued request has its certificate"}
	intentFirst = Invariant{"I2", "no signature without an intent over the same bytes before it"}
	uniqueness  = Invariant{"I3", "issuer and serial number mean one certificate everywhere"}
	soundness   = Invariant{"I4", "every certificate verifies, keeps inside its issuer's validity, and lints clean"}
	progress    = Invariant{"I5", "every accepted request has ended, or something will end it"}
	numbering   = Invariant{"I7", "CRL numbers and thisUpdate only grow, and a CRL is valid now"}
	chained     = Invariant{"I8", "the audit chain holds"}
	secrecy     = Invariant{"I9", "no secret lies where none belongs"}
	separation  = Invariant{"I10", "a request, its certificate and its approval are of one device and one domain"}
)

var invariants = []Invariant{oneEach, intentFirst, uniqueness, soundness, progress, numbering, chained, secrecy, separation}

// Finding is one broken promise.
type Finding struct {
	Invariant string `json:"invariant"`
	Subject   string `json:"subject"`
	Problem   string `json:"problem"`
}

// Report is what a check found.
type Report struct {
	Invariants []Invariant    `json:"invariants"`
	Looked     map[string]int `json:"looked"` // what was looked at, by noun
	Findings   []Finding      `json:"findings"`
}

// Sound reports whether nothing was found.
func (r *Report) Sound() bool { return len(r.Findings) == 0 }

// checker is one run.
type checker struct {
	Config
	linter *pki.Builder
	cas    map[string]*authority // by key ID
	byID   map[models.CAID]*authority
	mu     sync.Mutex
	report Report
	said   time.Time
}

// Run checks everything and returns what it found. An error means that the
// check could not be completed.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	c := &checker{Config: cfg, linter: pki.NewBuilder(), report: Report{Invariants: invariants, Looked: map[string]int{}}}
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{
		{"read the CAs", c.authorities},
		{"check the certificates", c.certificates},
		{"check what was purged", c.tombstones},
		{"check the requests", c.requests},
		{"check the approvals", c.approvals},
		{"check the CRLs", c.crls},
		{"check the audit chain", c.chain},
		{"look for secrets", c.secrets},
	} {
		if err := step.run(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	slices.SortStableFunc(c.report.Findings, func(a, b Finding) int { return compareInvariants(a.Invariant, b.Invariant) })
	return &c.report, nil
}

func compareInvariants(a, b string) int {
	place := func(id string) int { return slices.IndexFunc(invariants, func(i Invariant) bool { return i.ID == id }) }
	return place(a) - place(b)
}

// broken notes that an invariant does not hold. It is safe for concurrent use.
func (c *checker) broken(i Invariant, subject, problem string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Findings = append(c.report.Findings, Finding{i.ID, subject, fmt.Sprintf(problem, args...)})
}

// looked counts and, every few seconds, tells how far the check is.
func (c *checker) looked(noun string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Looked[noun] += n
	if now := time.Now(); now.Sub(c.said) > 5*time.Second {
		c.said = now
		fmt.Fprintf(c.Progress, "%d %s looked at, %d findings\n", c.report.Looked[noun], noun, len(c.report.Findings))
	}
}

// settled reports whether a row that was changed at t is old enough for its
// state to be judged: a server may be at work on it.
func (c *checker) settled(t time.Time) bool { return c.Now().Sub(t) >= c.Grace }

// pages calls look with each page of a list, and counts.
func pages[T any](ctx context.Context, c *checker, noun string, list func(store.Page) ([]T, string, error), look func(context.Context, []T) error) error {
	page := store.Page{Limit: store.MaxLimit}
	for {
		rows, next, err := list(page)
		if err != nil {
			return err
		}
		if err := look(ctx, rows); err != nil {
			return err
		}
		c.looked(noun, len(rows))
		if next == "" {
			return nil
		}
		page.Cursor = next
	}
}

// each calls look for every row, on all processors.
func each[T any](rows []T, look func(*T) error) error {
	var all errgroup.Group
	all.SetLimit(runtime.NumCPU())
	for i := range rows {
		all.Go(func() error { return look(&rows[i]) })
	}
	return all.Wait()
}

// gone reports whether err says that a row does not exist.
func gone(err error) bool { return models.KindOf(err) == models.KindNotFound }
