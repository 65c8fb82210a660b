// SPDX-License-Identifier: MIT

package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// IssueRequest takes a request that waits for nobody to its end at once: what
// DecideRequest, ReserveCertificate, SignCertificate and DeliverCertificate do
// step by step, in two transactions instead of five. Intent comes first here,
// too: the reservation is committed before anything is signed.
//
// Whatever is not as simple is left as it is, for the steps: a request that
// people decide, that is refused, that an earlier attempt has begun, or whose
// CA has its key outside of this process. The result says where it stands.
func (i *Issuance) IssueRequest(ctx context.Context, in RequestInput) (DecideResult, error) {
	if prepared := i.cfg.Endings.take(in.RequestID); prepared != nil {
		defer i.cfg.Endings.tell(in.RequestID, nil) // or that it takes longer
		if state, err := i.goThrough(ctx, prepared); state != "" || err != nil {
			return DecideResult{State: state}, err
		}
	}
	req, err := i.cfg.Store.FindRequest(ctx, in.RequestID)
	if err != nil {
		return DecideResult{}, err
	}
	if req.State != models.RequestReceived || req.Decision.Outcome != models.OutcomeIssue {
		return DecideResult{State: req.State, Wait: req.State == models.RequestWaiting}, nil
	}
	facts, err := i.Facts(ctx, req)
	if err != nil || !i.cfg.Issuer.InProcess(facts.CA) {
		return DecideResult{State: req.State}, err
	}
	defer i.cfg.Endings.tell(req.ID, nil) // or that it takes longer
	i.cfg.Fault(FaultBeforeReserve)
	cert, err := i.decideAndReserve(ctx, req, facts)
	if err != nil || cert == nil {
		return DecideResult{State: req.State}, err
	}
	i.cfg.Fault(FaultAfterReserve)
	// From here on it goes through: a signature may exist.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), straightTime)
	defer cancel()
	state, err := i.signAndDeliver(ctx, req.ID, cert, facts.CA)
	return DecideResult{State: state}, err
}

// straightTime bounds what is done once a certificate is reserved; the steps
// take over from there.
const straightTime = 8 * time.Second

// decideAndReserve carries out the decision and stores the reservation in one
// transaction. It returns nil if somebody else was at the request meanwhile.
func (i *Issuance) decideAndReserve(ctx context.Context, req *models.Request, facts *Facts) (*models.Certificate, error) {
	if err := i.stillTheirs(ctx, req, facts.Device); err != nil {
		return nil, err
	}
	cert, limits, err := i.prepare(ctx, req, facts)
	if err != nil {
		return nil, err
	}
	cert.Attempts = 1 // the signature follows at once
	reserved := false
	err = i.cfg.write(ctx, func(tx *store.Tx) error {
		now, err := tx.FindRequest(ctx, req.ID)
		if reserved = false; err != nil || now.State != models.RequestReceived {
			return err
		}
		if reserved, err = tx.ReserveCertificate(cert); err != nil || !reserved {
			return err
		}
		if err := hold(tx, cert, limits); err != nil {
			return err
		}
		for _, state := range []models.RequestState{models.RequestApproved, models.RequestReserved} {
			now.State = state
			if err := tx.SaveRequest(now); err != nil {
				return err
			}
		}
		if err := tx.Audit(requestEvent(now, "request.approved", reasons(now.Decision.Reasons))); err != nil {
			return err
		}
		return tx.Audit(certificateEvent(now, cert, "certificate.reserved"))
	})
	if err != nil || !reserved {
		return nil, err
	}
	return cert, nil
}

// signAndDeliver signs the reserved bytes, then records the certificate and
// ends the request in one transaction. If another attempt recorded first, the
// request is left to the steps.
func (i *Issuance) signAndDeliver(ctx context.Context, id models.RequestID, cert *models.Certificate, ca *models.CA) (models.RequestState, error) {
	der, err := i.cfg.Issuer.Issue(ctx, ca, cert.TBS)
	if err != nil {
		return models.RequestReserved, err
	}
	i.cfg.Fault(FaultAfterSign)
	return i.recordAndDeliver(ctx, id, cert, der)
}

// recordAndDeliver is the second half of signAndDeliver.
func (i *Issuance) recordAndDeliver(ctx context.Context, id models.RequestID, cert *models.Certificate, der []byte) (models.RequestState, error) {
	sum := sha256.Sum256(der)
	state := models.RequestReserved
	err := i.cfg.write(ctx, func(tx *store.Tx) error {
		won, err := tx.RecordCertificate(cert.ID, der, hex.EncodeToString(sum[:]))
		if err != nil || !won {
			return err
		}
		req, err := tx.FindRequest(ctx, id)
		if err != nil {
			return err
		}
		if err := tx.Audit(certificateEvent(req, cert, "certificate.issued")); err != nil {
			return err
		}
		if req.State == models.RequestReserved {
			err = deliver(ctx, tx, req, i.cfg)
		}
		state = req.State
		return err
	})
	if err == nil {
		i.cfg.Fault(FaultAfterRecord)
	}
	return state, err
}
