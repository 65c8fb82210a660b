// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/trustloom/trustloom/activities"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/enroll"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/api/server"
	"github.com/trustloom/trustloom/integrations/hsm"
	"github.com/trustloom/trustloom/integrations/issuer"
	"github.com/trustloom/trustloom/integrations/temporald"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/workflows"
)

// App is the object graph of one process.
type App struct {
	cfg       Config
	log       *slog.Logger
	server    *server.Server
	store     *store.Store
	keys      hsm.Stores
	keySealer *hsm.Sealer // of keys that are delivered
	nonceKey  []byte      // of CMP
	deliver   *enroll.Deliveries
	tls       *tls.Config // of the server's listener
	engine    *temporald.Engine
	issuer    *issuer.Local
	acts      *activities.Set
	endings   *activities.Endings // nil unless devices and stories are in this process
	stories   *workflows.Client
	sealer    *activities.Sealer
	metrics   *prometheus.Registry
	people    *auth.People // nil without --operator-ca
	logins    operations.Logins
	closers   []func() error
	fatal     context.CancelCauseFunc // ends the process, with the reason

	remembered   memory // used by the goroutine that seals only
	rememberedAt time.Time

	clockError time.Duration // see fault.go
}

// Run builds the process that cfg describes and serves until ctx ends. It
// returns nil after a graceful stop, also one during the start.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	ctx, fatal := context.WithCancelCause(ctx)
	defer fatal(nil)
	a := &App{cfg: cfg, log: log, metrics: prometheus.NewRegistry(), fatal: fatal}
	if err := errors.Join(a.setClock(), a.open(ctx)); err != nil {
		err = errors.Join(err, a.close())
		if ctx.Err() == nil {
			return err
		}
		log.Info("stopped before it served", "because", err)
		return nil
	}
	a.announce()
	background, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	sealed := make(chan struct{})
	go func() { defer close(done); a.relay(background) }()
	go func() { defer close(sealed); a.seal(background) }()
	swept := make(chan struct{})
	go func() { defer close(swept); a.sweep(background) }()
	purged := make(chan struct{})
	go func() { defer close(purged); a.purge(background) }()
	err := a.server.Run(ctx)
	stop()
	<-purged
	<-swept
	<-done
	<-sealed
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, a.close())
}

// open builds the graph, bottom up. Whatever was opened is closed by close,
// in the opposite order, also when a later step fails.
func (a *App) open(ctx context.Context) error {
	steps := []struct {
		what string
		open func(context.Context) error
	}{
		{"claim the data directory", a.openDataDir},
		{"open the listeners", a.openListeners},
		{"open the database", a.openStore},
		{"compare the database with what was seen of it", a.checkMemory},
		{"open the key stores", a.openKeys},
		{"start the workflow engine", a.openEngine},
		{"build the activities", a.openActivities},
		{"prepare the first operator and the shipped profiles", a.seed},
		{"read the CAs of operators", a.openPeople},
		{"prepare logins", a.openLogins},
		{"start the workers", a.openWorkers},
		{"mount the interfaces", a.mount},
	}
	for _, step := range steps {
		started := time.Now()
		if err := step.open(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		a.log.Debug(step.what, "took", time.Since(started).Round(time.Millisecond))
	}
	return nil
}

func (a *App) onClose(f func() error) { a.closers = append(a.closers, f) }

func (a *App) close() error {
	var err error
	for i := len(a.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, a.closers[i]())
	}
	return err
}

func (a *App) openDataDir(context.Context) error {
	if err := os.MkdirAll(a.cfg.DataDir, 0o700); err != nil {
		return err
	}
	release, err := lock(filepath.Join(a.cfg.DataDir, "lock"))
	if err != nil {
		return err
	}
	a.onClose(release)
	return nil
}

func (a *App) openListeners(context.Context) error {
	own, err := server.NewTLS(server.TLSConfig{
		Dir: a.cfg.TLSDir, CertFile: a.cfg.TLSCert, KeyFile: a.cfg.TLSKey, Names: a.cfg.names(), Now: a.now,
	})
	if err != nil {
		return err
	}
	a.tls = own
	proxies, err := server.ParseProxies(a.cfg.TrustedProxies)
	if err != nil {
		return fmt.Errorf("--trusted-proxies: %w", err)
	}
	a.server, err = server.Open(server.Config{HTTPSAddr: a.cfg.HTTPSAddr, HTTPAddr: a.cfg.HTTPAddr, TLS: own, Proxies: proxies, Logger: a.log})
	return err
}

func (a *App) openStore(ctx context.Context) (err error) {
	sealing, err := hsm.LoadOrCreateSealingKey(a.cfg.SealingKeyFile)
	if err != nil {
		return err
	}
	a.store, err = store.Open(ctx, store.Config{URL: a.cfg.DatabaseURL, Now: a.now, AuditKey: audit.NewKey(sealing)})
	if err == nil {
		a.onClose(a.store.Close)
	}
	return err
}

func (a *App) openKeys(context.Context) error {
	sealing, err := hsm.LoadOrCreateSealingKey(a.cfg.SealingKeyFile)
	if err != nil {
		return err
	}
	if a.keySealer, err = hsm.NewSealer(sealing); err != nil {
		return err
	}
	a.nonceKey = derived(sealing, "trustloom CMP nonces 1")
	software, err := hsm.OpenSoftware(hsm.SoftwareConfig{Dir: a.cfg.KeyDir, SealingKey: sealing})
	if err != nil {
		return err
	}
	a.onClose(software.Close)
	a.keys = hsm.Stores{models.StoreSoftware: software}
	a.openSealer(activities.AuditKeyName(sealing))
	if a.cfg.PKCS11Module == "" {
		return nil
	}
	pin, err := a.pin()
	if err != nil {
		return err
	}
	token, err := hsm.OpenPKCS11(hsm.PKCS11Config{
		Module: a.cfg.PKCS11Module, TokenLabel: a.cfg.PKCS11Token, PIN: pin, MaxSessions: a.cfg.PKCS11Sessions, Logger: a.log,
	})
	if err != nil {
		return err
	}
	a.onClose(token.Close)
	a.keys[models.StorePKCS11] = token
	return nil
}

// derived returns a key for one purpose.
func derived(sealing []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, sealing)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

func (a *App) pin() (string, error) {
	if a.cfg.PKCS11PINFile == "" {
		return a.cfg.PKCS11PIN, nil
	}
	pin, err := os.ReadFile(a.cfg.PKCS11PINFile)
	if err != nil {
		return "", fmt.Errorf("read --pkcs11-pin-file: %w", err)
	}
	return strings.TrimRight(string(pin), "\r\n"), nil
}

func (a *App) openEngine(ctx context.Context) error {
	key, err := hsm.LoadOrCreateSealingKey(a.cfg.PayloadKeyFile)
	if err != nil {
		return err
	}
	a.engine, err = temporald.Open(ctx, temporald.Config{
		Address: a.cfg.TemporalAddress, Namespace: a.cfg.TemporalNamespace, DataDir: a.cfg.DataDir, Binary: a.cfg.TemporalBinary,
		CAFile: a.cfg.TemporalCA, CertFile: a.cfg.TemporalCert, KeyFile: a.cfg.TemporalKey, ServerName: a.cfg.TemporalServerName,
		PayloadKey: key, Logger: a.log, Metrics: temporald.NewMetrics(a.metrics),
	})
	if err == nil {
		a.onClose(a.engine.Close)
	}
	return err
}

func (a *App) openActivities(context.Context) error {
	validity, err := models.ParseDuration(a.cfg.CRLValidity)
	if err != nil {
		return err
	}
	a.issuer = issuer.NewLocal(a.keys)
	if a.cfg.Role == RoleAll {
		a.endings = new(activities.Endings)
	}
	a.acts = activities.New(activities.Config{
		Store: a.store, Issuer: a.issuer, Builder: pki.NewBuilder(), PublicURL: a.cfg.PublicURL,
		CRLValidity: validity.Std(), Now: a.now, Fault: a.fault(), Endings: a.endings, Logger: a.log,
	})
	a.stories = workflows.NewClient(a.engine.Client())
	return nil
}

func (a *App) seed(ctx context.Context) error {
	file := filepath.Join(a.cfg.DataDir, "admin-token")
	created, err := auth.Bootstrap(ctx, a.store, file)
	if err != nil {
		return err
	}
	if created {
		a.log.Info("first start: the operator admin was created; its token is in the file", "file", file)
	}
	return a.seedProfiles(ctx)
}

// checks are what /readyz asks.
func (a *App) checks() []server.Check {
	checks := []server.Check{
		{Name: "database", Probe: a.store.Check},
		{Name: "temporal", Probe: a.engine.Check},
	}
	for name, store := range a.keys {
		checks = append(checks, server.Check{Name: "keys." + name, Probe: store.Check})
	}
	return checks
}

func (a *App) mount(context.Context) error {
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mounts := server.Config{Checks: a.checks(), Metrics: promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{})}
	if a.cfg.Role != RoleWorker {
		a.interfaces(&mounts)
	}
	a.server.Mount(mounts)
	return nil
}

func (a *App) announce() {
	plain, secure := a.server.Addrs()
	a.log.Info("trustloomd serves", "https", "https://"+secure, "http", "http://"+plain, "role", a.cfg.Role,
		"data_dir", a.cfg.DataDir, "trust", filepath.Join(a.cfg.TLSDir, "ca.pem"), "temporal_pid", a.engine.Pid())
}
