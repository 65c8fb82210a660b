// SPDX-License-Identifier: MIT

// Package operations holds each action of an operator once: authorise,
// validate, act, audit. REST and the pages call it; it must not know HTTP,
// gin or templates.
//
// Whatever changes rows does so in one store transaction together with its
// audit event and, where a durable story has to hear of it, a promise in the
// outbox. After the transaction the story is told at once; if that fails, the
// relay keeps the promise. A token that is limited to domains sees nothing
// else: what is outside is absent (KindNotFound), never forbidden.
package operations

import (
	"context"
	"crypto"
	"crypto/x509"
	"log/slog"
	"strings"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// Stories is what operations tell the durable stories. *workflows.Client is
// the one there is.
type Stories interface {
	AuthorityStories
	WakeApproval(ctx context.Context, approvalWorkflowID string, id models.ApprovalID) error
	Withdraw(ctx context.Context, workflowID string) error
	Publish(ctx context.Context, id models.CAID) error
}

// AuditLog signs the head of the audit log. *activities.Sealer is the one
// there is.
type AuditLog interface {
	SignHead(ctx context.Context) (*models.AuditHead, error)
	TrustedKeys(ctx context.Context) ([]string, error)
}

// AuthorityStories are those of CAs.
type AuthorityStories interface {
	StartAuthority(ctx context.Context, id models.CAID) error
	AwaitAuthority(ctx context.Context, id models.CAID) error
	StartExternalAuthority(ctx context.Context, id models.CAID) error
	WakeAuthority(ctx context.Context, id models.CAID) error
}

// Keys brings the keys of CAs from elsewhere into the key stores, idempotently,
// and destroys those of CAs that came to nothing. *issuer.Local is the one
// there is.
type Keys interface {
	ImportKey(ctx context.Context, ca *models.CA, key crypto.Signer, certificate *x509.Certificate) error
	DestroyKey(ctx context.Context, ref models.KeyRef) error
}

// Sealer seals secrets under the server's key. *hsm.Sealer is the one there is.
type Sealer interface {
	Seal(id string, plain []byte) []byte
}

// Config is what Operations is made of. Store and Stories are required.
type Config struct {
	Store   *store.Store
	Stories Stories
	// Deliverer makes keys for devices.
	Deliverer Deliverer
	Audit     AuditLog         // nil: heads are not signed here
	Now       func() time.Time // time.Now unless set
	Logger    *slog.Logger     // slog.Default() unless set

	// PublicURL is the base of the CRL, AIA and OCSP URLs.
	PublicURL string
	// KeyStores are the names of the key stores that a CA key may be made in;
	// software only unless set.
	KeyStores []string
	// People recognises the certificates of operators; nil: there are none.
	People *auth.People
	// Logins says who may log in at an OpenID provider; nobody unless set.
	Logins Logins
	// Keys takes keys from elsewhere; without it no CA can be imported.
	Keys Keys
	// Sealer seals the secrets that are kept; without it there are none.
	Sealer Sealer
	// AuthorityWait is how long the creation of a CA is waited for; 8 s unless set.
	AuthorityWait time.Duration
}

// Operations carries out what operators ask for. It is safe for concurrent use.
type Operations struct {
	store         *store.Store
	stories       Stories
	audit         AuditLog
	deliverer     Deliverer
	now           func() time.Time
	logger        *slog.Logger
	publicURL     string
	builder       *pki.Builder // for trials; it prepares itself when the first one comes
	keyStores     []string
	people        *auth.People
	logins        Logins
	authorityWait time.Duration
	keys          Keys
	sealer        Sealer
	reading       chan struct{} // held by whoever decrypts a file: that costs seconds
}

// New returns Operations over cfg.
func New(cfg Config) *Operations {
	o := &Operations{
		builder: pki.NewBuilder(),
		store:   cfg.Store, stories: cfg.Stories, audit: cfg.Audit, now: cfg.Now, logger: cfg.Logger,
		publicURL: strings.TrimRight(cfg.PublicURL, "/"), keyStores: cfg.KeyStores, authorityWait: cfg.AuthorityWait,
		people: cfg.People, logins: cfg.Logins,
		deliverer: cfg.Deliverer,
		sealer:    cfg.Sealer,
		keys:      cfg.Keys, reading: make(chan struct{}, 1),
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.logger == nil {
		o.logger = slog.Default()
	}
	if len(o.keyStores) == 0 {
		o.keyStores = []string{models.StoreSoftware}
	}
	if o.authorityWait == 0 {
		o.authorityWait = 8 * time.Second
	}
	return o
}

// Caller is who asks, from where, and under which request ID of the boundary.
type Caller struct {
	auth.Principal
	Address   string
	RequestID string
}

// event begins the audit event of an action of the caller.
func (c Caller) event(action, noun, subject string, details ...string) models.Event {
	e := models.Event{
		Actor: "operator:" + c.Name, Address: c.Address, Action: action, Noun: noun, SubjectID: subject,
		Details: map[string]string{"token": c.TokenName},
	}
	if c.RequestID != "" {
		e.Details["request_id"] = c.RequestID
	}
	for i := 0; i+1 < len(details); i += 2 {
		if details[i+1] != "" {
			e.Details[details[i]] = details[i+1]
		}
	}
	return e
}

// tellTime is how long a story may take to hear something before the relay
// has to tell it.
const tellTime = 2 * time.Second

// tell passes something on to a story at once. An error is logged only: the
// promise in the outbox is kept by the relay.
func (o *Operations) tell(ctx context.Context, who Caller, what string, call func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime)
	defer cancel()
	if err := call(ctx); err != nil {
		o.logger.WarnContext(ctx, "story not told, the relay will", "what", what, "request_id", who.RequestID, "error", err)
		return false
	}
	return true
}

// writeAttempts bounds how often a change is tried against concurrent ones.
const writeAttempts = 3

// write runs a transaction, again if another one changed the same row between
// its reading and its writing. A conflict that is not of that sort comes back
// the same.
func (o *Operations) write(ctx context.Context, do func(tx *store.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := o.store.Write(ctx, do)
		if err == nil || models.KindOf(err) != models.KindConflict || attempt == writeAttempts {
			return err
		}
	}
}
