// SPDX-License-Identifier: MIT

// Package bench measures how fast a Trustloom server issues, for `trustloomd
// bench`: it starts a throw-away server, plays devices that speak EST (RFC
// 7030) or CMP (RFC 9483) to it, and sets what it sees in relation to what the same machine does
// at the same time without Trustloom. It knows the server from outside only:
// its command line, its REST API, its doors for devices, and what /proc says of it.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Config is what to measure.
type Config struct {
	Executable  string   // trustloomd, with trustloom-temporal next to it
	Environment []string // of the server
	Dir         string   // where the data directory is made
	DatabaseURL string   // postgres://…; empty: SQLite in the data directory
	Keys        string   // key store of the CAs
	ServerFlags []string // further flags of the server, such as those of a token
	Clients     []int    // each is a measurement
	Lanes       []Lane   // empty: ESTLanes
	Fill        int      // certificates to store before the inline lane is measured again; 0: not
	Profile     string   // file for the server's CPU profile; empty: none
	Duration    time.Duration
	Progress    io.Writer
	Version     string
}

// The bounds of Config.
const (
	maxClients  = 1024
	minDuration = 100 * time.Millisecond
	maxDuration = 10 * time.Minute
)

// Check reports what in the configuration cannot be.
func (c Config) Check() error {
	if len(c.Clients) == 0 {
		return errors.New("--clients names no number of clients")
	}
	for i, n := range c.Clients {
		if n < 1 || n > maxClients {
			return fmt.Errorf("--clients %d is not between 1 and %d", n, maxClients)
		}
		if slices.Contains(c.Clients[:i], n) {
			return fmt.Errorf("--clients names %d twice", n)
		}
	}
	if c.Duration < minDuration || c.Duration > maxDuration {
		return fmt.Errorf("--duration %s is not between %s and %s", c.Duration, minDuration, maxDuration)
	}
	for _, lane := range c.Lanes {
		if !slices.Contains(lanes, lane) {
			return fmt.Errorf("--lanes %q is not one of %v", lane, lanes)
		}
	}
	if c.Keys != models.StoreSoftware && c.Keys != models.StorePKCS11 {
		return fmt.Errorf("--keys %q is neither %s nor %s", c.Keys, models.StoreSoftware, models.StorePKCS11)
	}
	if c.DatabaseURL != "" && !strings.HasPrefix(c.DatabaseURL, "postgres://") && !strings.HasPrefix(c.DatabaseURL, "postgresql://") {
		return errors.New("--database-url is not of the form postgres://user:password@host/name; leave it out for SQLite")
	}
	return c.checkFill()
}

// bench is one run.
type bench struct {
	cfg      Config
	dir      string
	database string // URL for the server, empty for SQLite
	server   *server
	plant    *plant
	engine   *engine
	report   *Report
	cleanup  []func() error
}

// Run measures. Whatever it makes is gone when it returns, also after an
// error or the end of ctx.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	b := &bench{cfg: cfg, report: newReport(cfg)}
	err := b.run(ctx)
	for _, undo := range slices.Backward(b.cleanup) {
		err = errors.Join(err, undo())
	}
	if err != nil {
		return nil, err
	}
	b.report.finish()
	return b.report, nil
}

func newReport(cfg Config) *Report {
	r := &Report{
		Version: cfg.Version, StartedAt: time.Now().UTC().Truncate(time.Second), Database: "sqlite", Keys: cfg.Keys,
		Processors: runtime.NumCPU(), Go: runtime.Version(), Duration: cfg.Duration.Seconds(),
	}
	if cfg.DatabaseURL != "" {
		r.Database = "postgres"
	}
	return r
}

func (b *bench) run(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	before, err := b.references(ctx)
	if err != nil {
		return err
	}
	if err := b.figures(ctx); err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return err
	}
	after, err := b.references(ctx)
	if err != nil {
		return err
	}
	b.report.References = before.plus(after)
	b.report.Memory.After, err = b.server.processes.memory()
	return err
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.cfg.Progress, format+"\n", args...)
}

// prepare makes everything that is measured or measures.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp(b.cfg.Dir, "trustloom-bench-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	b.cleanup = append(b.cleanup, func() error { return os.RemoveAll(b.dir) })
	if b.cfg.DatabaseURL != "" {
		if err := b.schema(ctx); err != nil {
			return err
		}
	}
	b.say("starting a server in %s ...", b.dir)
	if b.server, err = startServer(ctx, b.cfg, b.dir, b.database); err != nil {
		return err
	}
	b.cleanup = append(b.cleanup, b.server.stop)
	b.say("making a PKI and %d devices ...", slices.Max(b.cfg.Clients))
	if b.plant, err = newPlant(ctx, b.server, b.cfg.Keys, slices.Max(b.cfg.Clients)); err != nil {
		return err
	}
	b.cleanup = append(b.cleanup, b.plant.close)
	if b.engine, err = openEngine(ctx, b.server.dataDir); err != nil {
		return err
	}
	b.cleanup = append(b.cleanup, b.engine.close)
	b.report.Memory.Before, err = b.server.processes.memory()
	return err
}

// schema makes the place in PostgreSQL that server and reference share.
func (b *bench) schema(ctx context.Context) error {
	within, drop, err := store.NewSchema(ctx, b.cfg.DatabaseURL)
	if err != nil {
		return err
	}
	b.database = within
	b.cleanup = append(b.cleanup, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return drop(ctx)
	})
	b.say("the rows go into a schema of their own (trustloom_bench_...), which is dropped at the end;\nif this process is killed, it stays: DROP SCHEMA ... CASCADE removes it")
	return nil
}

// figures measures the lanes that are wanted, for each number of
// clients after each other, so that what is compared is close in time.
func (b *bench) figures(ctx context.Context) error {
	prepare := map[Lane]func(context.Context, int, int) (operation, error){
		LaneReenroll: b.plant.reenrollments, LaneOnboard: b.plant.onboardings, LaneEmptyWorkflow: b.engine.workflows,
		LaneEnroll:  b.plant.enrollments,
		LaneCMPCert: b.plant.certifications, LaneCMPInit: b.plant.initializations,
	}
	wanted := b.cfg.Lanes
	if len(wanted) == 0 {
		wanted = ESTLanes
	}
	for _, clients := range b.cfg.Clients {
		for _, lane := range lanes {
			if !slices.Contains(wanted, lane) {
				continue
			}
			figure, err := b.figure(ctx, lane, clients, prepare[lane])
			if err != nil {
				return fmt.Errorf("%s with %d clients: %w", lane, clients, err)
			}
			b.say("%s, %d clients: %.0f per second, p50 %.1f ms, p99 %.1f ms", lane, clients, figure.PerSecond, figure.P50, figure.P99)
			b.report.Figures = append(b.report.Figures, figure)
		}
	}
	return nil
}

// warmUp is how many operations each measurement does before it counts, to
// open the connections and to learn how much has to be prepared.
const warmUp = 64

// figure measures one lane with one number of clients.
func (b *bench) figure(ctx context.Context, lane Lane, clients int, prepare func(context.Context, int, int) (operation, error)) (Figure, error) {
	each := max(4, warmUp/clients)
	op, err := prepare(ctx, clients, each)
	if err != nil {
		return Figure{}, err
	}
	first, err := drive(ctx, clients, b.cfg.Duration, op)
	if err != nil {
		return Figure{}, err
	}
	rate := float64(len(first.latencies)) / first.elapsed.Seconds()
	// A warm server is faster than a cold one; what is left over does no harm.
	each += int(2 * rate * b.cfg.Duration.Seconds() / float64(clients))
	if op, err = prepare(ctx, clients, each); err != nil {
		return Figure{}, err
	}
	before, err := b.server.processes.used()
	if err != nil {
		return Figure{}, err
	}
	seen, err := drive(ctx, clients, b.cfg.Duration, op)
	if err != nil {
		return Figure{}, err
	}
	after, err := b.server.processes.used()
	if err != nil {
		return Figure{}, err
	}
	return newFigure(lane, clients, seen, after.minus(before)), nil
}
