// SPDX-License-Identifier: MIT

package enroll

import (
	"context"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// byPassword authenticates the sender of a request by HTTP Basic, guarded. The
// secret is one for method.
func (d *Door) byPassword(ctx context.Context, domain *models.Domain, method models.OnboardingMethod, peer est.Peer) (Identity, error) {
	return d.guarded(ctx, domain, claimed{auth.MethodPassword, peer.Username, peer.Address}, func() (Identity, error) {
		return d.password(ctx, domain, method, peer.Username, peer.Password)
	})
}

// byCertificate authenticates it by its domain credential or IDevID, guarded.
func (d *Door) byCertificate(ctx context.Context, domain *models.Domain, peer est.Peer) (Identity, error) {
	return d.guarded(ctx, domain, claimed{auth.MethodCertificate, fingerprint(peer.Certificates[0]), peer.Address}, func() (Identity, error) {
		return d.certificate(ctx, domain, peer.Certificates, peer.Address)
	})
}

// byPredecessor authenticates it by a certificate of ours, whatever it is for,
// guarded. held is what is known of it, nil if that is still to be looked up.
func (d *Door) byPredecessor(ctx context.Context, domain *models.Domain, peer est.Peer, held *store.Holding) (Identity, error) {
	if len(peer.Certificates) == 0 {
		return d.predecessor(ctx, domain, nil, nil)
	}
	return d.guarded(ctx, domain, claimed{auth.MethodCertificate, fingerprint(peer.Certificates[0]), peer.Address}, func() (Identity, error) {
		return d.predecessor(ctx, domain, peer.Certificates, held)
	})
}
