// SPDX-License-Identifier: MIT

// Package activities holds every side effect of the stories in package
// workflows: deciding, reserving, signing, recording, asking people, making CA
// keys, publishing CRLs. One file is one struct is one set of collaborators.
//
// Every method may be called twice, and may be killed half-way: it finds what
// an earlier attempt left and goes on from there. Inputs and results carry
// identifiers and decisions, never rows, keys or secrets. The inline lane
// (package api/enroll) calls the same methods as plain functions.
//
// The package must not know workflows, HTTP or gorm.
package activities

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"log/slog"
	"time"

	"github.com/trustloom/trustloom/integrations/issuer"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// Fault is called at the named points where a test kills the process, to
// prove that nothing is lost or doubled there. It does nothing in production.
type Fault func(point string)

// The fault points, in the order in which an issuance passes them.
const (
	FaultBeforeReserve = "before-reserve"
	FaultAfterReserve  = "after-reserve"
	FaultAfterSign     = "after-sign"
	FaultAfterRecord   = "after-record"
	FaultBeforeAnswer  = "before-answer"
)

// The fault points of what clients of CMP say about certificates that they have.
const (
	FaultBeforeConfirm = "before-confirm"
	FaultAfterConfirm  = "after-confirm"
	FaultBeforeRevoke  = "before-revoke"
	FaultAfterRevoke   = "after-revoke"
)

// Config is what the activities need from outside.
type Config struct {
	Store   *store.Store
	Issuer  *issuer.Local
	Builder *pki.Builder
	// PublicURL is the base of the URLs written into certificates, without a
	// trailing slash: plain http, reachable by relying parties.
	PublicURL string
	// CRLValidity is the time from thisUpdate to nextUpdate; a new CRL is
	// published after half of it. Default 7 days.
	CRLValidity time.Duration
	Now         func() time.Time
	Fault       Fault
	Endings     *Endings // tells waiting requesters in this process; may be nil
	Logger      *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.CRLValidity == 0 {
		c.CRLValidity = 7 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Fault == nil {
		c.Fault = func(string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// writeAttempts bounds how often a step is repeated because another one
// changed the same row in between.
const writeAttempts = 5

// write runs fn in one transaction. If a row that fn read was changed before
// fn could save it, fn runs again on what is there now; what cannot be, however
// often it is tried, is KindConflict.
func (c Config) write(ctx context.Context, fn func(*store.Tx) error) error {
	var err error
	for range writeAttempts {
		if err = c.Store.Write(ctx, fn); models.KindOf(err) != models.KindConflict {
			return err
		}
	}
	return err
}

// Set is all activity structs over one configuration, as a worker registers
// them.
type Set struct {
	Requests      *Requests
	Issuance      *Issuance
	Approvals     *Approvals
	Authorities   *Authorities
	Publication   *Publication
	External      *External
	Confirmations *Confirmations
	Protectors    *Protectors // no activities
}

// New returns the activities over cfg.
func New(cfg Config) *Set {
	cfg = cfg.withDefaults()
	issuance := &Issuance{cfg: cfg}
	return &Set{
		Requests:      &Requests{cfg: cfg},
		Issuance:      issuance,
		Approvals:     &Approvals{cfg: cfg},
		Authorities:   &Authorities{cfg: cfg},
		Publication:   &Publication{cfg: cfg},
		External:      &External{cfg: cfg},
		Confirmations: &Confirmations{cfg: cfg, issuance: issuance},
		Protectors:    &Protectors{cfg: cfg, issuance: issuance},
	}
}

// All lists the structs for registration.
func (s *Set) All() []any {
	return []any{s.Requests, s.Issuance, s.Approvals, s.Authorities, s.Publication, s.External, s.Confirmations}
}

// subjectOf returns the subject of a template as RFC 4514 text. The template's
// RawSubject is what will be signed.
func subjectOf(template *x509.Certificate) string {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(template.RawSubject, &rdns); err != nil {
		return template.Subject.String()
	}
	return rdns.String()
}
