// SPDX-License-Identifier: MIT

package app

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/server"
)

// bindAccess adds the flags about who gets in.
func (c *Config) bindAccess(fs *pflag.FlagSet) {
	fs.StringSliceVar(&c.TrustedProxies, "trusted-proxies", nil, "addresses or networks of reverse proxies whose X-Forwarded-For counts")
	fs.IntVar(&c.AuthFailures, "auth-failures", 10, "failed attempts of one device, token or code before it is locked")
	fs.DurationVar(&c.AuthLock, "auth-lock", 30*time.Second, "the first lock; each failure after it doubles it")
	fs.DurationVar(&c.AuthMaxLock, "auth-max-lock", 15*time.Minute, "the longest lock")
	fs.IntVar(&c.AuthAddressRate, "auth-address-rate", 60, "failed attempts per minute from one address before it is slowed down")
	fs.StringVar(&c.OperatorCA, "operator-ca", "", "PEM file with the CAs that issue certificates to people, who may then authenticate with them")
	fs.StringSliceVar(&c.OperatorCRL, "operator-crl", nil, "files with CRLs of those CAs, PEM or DER")
	c.bindLogins(fs)
}

func (c *Config) checkAccess() error {
	if c.AuthFailures < 1 || c.AuthAddressRate < 1 {
		return fmt.Errorf("--auth-failures and --auth-address-rate are 1 at least")
	}
	if c.AuthLock < time.Second || c.AuthMaxLock < c.AuthLock {
		return fmt.Errorf("--auth-lock is a second at least, and --auth-max-lock not shorter")
	}
	if _, err := server.ParseProxies(c.TrustedProxies); err != nil {
		return fmt.Errorf("--trusted-proxies: %w", err)
	}
	if err := c.checkLogins(); err != nil {
		return err
	}
	if len(c.OperatorCRL) > 0 && c.OperatorCA == "" {
		return fmt.Errorf("--operator-crl needs --operator-ca")
	}
	return nil
}

// guard makes the one guard of all authentications of this process.
func (a *App) guard() *auth.Guard {
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trustloom_authentication_refusals_total",
		Help: "Attempts to authenticate that failed, or were not looked at because the principal is locked or the address limited.",
	}, []string{"method", "outcome"})
	a.metrics.MustRegister(refusals)
	return auth.NewGuard(auth.GuardConfig{
		Failures: a.cfg.AuthFailures, Lock: a.cfg.AuthLock, MaxLock: a.cfg.AuthMaxLock, AddressPerMinute: a.cfg.AuthAddressRate,
		Store: a.store, Now: a.now, Logger: a.log,
		Observe: func(method, outcome string) { refusals.WithLabelValues(method, outcome).Inc() },
	})
}
