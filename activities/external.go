// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// External waits for the certificate of a CA that somebody else signs.
type External struct {
	cfg Config
}

// ExternalResult is how the wait for a certificate stands.
type ExternalResult struct {
	State    models.CAState // empty: the CA was removed
	RemindAt time.Time
	Deadline time.Time
}

// RequestAuthorityCertificate signs a request for the CA's certificate with the
// CA's key and stores it, once.
func (e *External) RequestAuthorityCertificate(ctx context.Context, in AuthorityInput) (ExternalResult, error) {
	ca, err := e.cfg.Store.FindCA(ctx, in.CAID)
	if err != nil {
		return ExternalResult{}, err
	}
	if len(ca.CSR) > 0 {
		return waiting(ca)
	}
	signer, err := e.cfg.Issuer.Signer(ctx, ca)
	if err != nil {
		return ExternalResult{}, err
	}
	spki, err := spkiSHA256(signer.Public())
	if err != nil {
		return ExternalResult{}, err
	}
	if err := e.cfg.Store.CheckBlocklists(ctx, spki); err != nil {
		return ExternalResult{}, err
	}
	csr, err := e.request(ctx, ca, signer)
	if err != nil {
		return ExternalResult{}, err
	}
	return e.change(ctx, in.CAID, "ca.certificate-requested", func(ca *models.CA) bool {
		changed := len(ca.CSR) == 0
		if changed {
			ca.CSR = csr
		}
		return changed
	})
}

// request asks for a CA, under its profile if it has one.
func (e *External) request(ctx context.Context, ca *models.CA, signer crypto.Signer) ([]byte, error) {
	if ca.ProfileName == "" {
		subject, err := pki.MarshalName(ca.Subject)
		if err != nil {
			return nil, err
		}
		return pki.BuildAuthorityRequest(subject, signer)
	}
	draft, err := e.cfg.authorityDraft(ctx, policy.AuthorityCase{CA: ca, Public: signer.Public()})
	if err != nil {
		return nil, err
	}
	asked, err := draft.Asked()
	if err != nil {
		return nil, err
	}
	return pki.BuildAuthorityRequest(draft.Template.RawSubject, signer, asked...)
}

// LookAtAuthority returns how the wait stands.
func (e *External) LookAtAuthority(ctx context.Context, in AuthorityInput) (ExternalResult, error) {
	ca, err := e.cfg.Store.FindCA(ctx, in.CAID)
	if models.KindOf(err) == models.KindNotFound {
		return ExternalResult{}, nil // removed: there is nothing to wait for
	}
	if err != nil {
		return ExternalResult{}, err
	}
	return waiting(ca)
}

// RemindOfAuthority notes in the audit log that a certificate is still waited
// for. Called again it notes it again.
func (e *External) RemindOfAuthority(ctx context.Context, in AuthorityInput) (ExternalResult, error) {
	var ca *models.CA
	err := e.cfg.write(ctx, func(tx *store.Tx) (err error) {
		if ca, err = tx.FindCA(ctx, in.CAID); err != nil || ca.State != models.CAPending {
			return err
		}
		event := authorityEvent(ca, "ca.certificate-overdue", map[string]string{"deadline": ca.Deadline.UTC().Format(time.RFC3339)})
		return tx.Audit(event)
	})
	if err != nil {
		return ExternalResult{}, err
	}
	return waiting(ca)
}

// ExpireAuthority ends a CA whose certificate nobody installed in time.
func (e *External) ExpireAuthority(ctx context.Context, in AuthorityInput) (ExternalResult, error) {
	return e.change(ctx, in.CAID, "ca.failed", func(ca *models.CA) bool {
		if ca.State != models.CAPending || e.cfg.Now().Before(*ca.Deadline) {
			return false
		}
		ca.State = models.CAFailed
		ca.Failure = fmt.Sprintf("nobody installed a certificate until %s; remove the CA and create it again", ca.Deadline.UTC().Format(time.RFC3339))
		return true
	})
}

// change applies do to the CA's row and audits it if do says that it changed.
func (e *External) change(ctx context.Context, id models.CAID, action string, do func(*models.CA) bool) (ExternalResult, error) {
	var ca *models.CA
	err := e.cfg.write(ctx, func(tx *store.Tx) (err error) {
		if ca, err = tx.FindCA(ctx, id); err != nil || !do(ca) {
			return err
		}
		if err := tx.SaveCA(ca); err != nil {
			return err
		}
		return tx.Audit(authorityEvent(ca, action, map[string]string{"key_id": ca.KeyID}))
	})
	if err != nil {
		return ExternalResult{}, err
	}
	return waiting(ca)
}

// waiting tells the times of a wait: people are reminded when half of it is over.
func waiting(ca *models.CA) (ExternalResult, error) {
	if ca.Deadline == nil {
		return ExternalResult{}, models.Errorf(models.KindInternal, "CA %s waits for a certificate without a deadline", ca.Name)
	}
	return ExternalResult{State: ca.State, Deadline: *ca.Deadline, RemindAt: ca.CreatedAt.Add(ca.Deadline.Sub(ca.CreatedAt) / 2)}, nil
}
