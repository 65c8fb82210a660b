// SPDX-License-Identifier: MIT

package enroll

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/trustloom/trustloom/integrations/ocsp"
	"github.com/trustloom/trustloom/models"
)

// unrevoked refuses an IDevID that its manufacturer revoked, or one of the CA
// certificates between it and the trust anchor, as far as that is known: by
// the CRLs that operators uploaded for the truststore, and, for the IDevID
// itself, by the responder that they named. Nothing is fetched from where the
// certificate says.
func (d *Door) unrevoked(ctx context.Context, truststore string, chain []*x509.Certificate) error {
	rules, err := d.cfg.Store.FindRevocation(ctx, truststore)
	if err != nil || rules.Policy == models.RevocationOff {
		return err
	}
	for i, cert := range chain[:len(chain)-1] {
		known, err := d.listed(ctx, truststore, cert, chain[i+1])
		if err != nil {
			return err
		}
		if rules.OCSPURL != "" && i == 0 {
			status, err := d.ocsp.Ask(ctx, rules.OCSPURL, cert, chain[i+1])
			switch {
			case status == ocsp.Revoked:
				return errRevoked
			case err != nil:
				d.cfg.Logger.Warn("the manufacturer's OCSP responder is of no help", "truststore", truststore, "error", err)
				if !known && rules.Policy == models.RevocationRequire {
					return models.Errorf(models.KindUnavailable, "whether the IDevID is revoked cannot be found out now").Because(err)
				}
			}
			known = known || status == ocsp.Good
		}
		if !known && rules.Policy == models.RevocationRequire {
			return models.Errorf(models.KindDenied, "whether the certificate %q is revoked is not known, and truststore %s requires that: an operator has to upload a current CRL of its issuer",
				cert.Subject.String(), truststore)
		}
	}
	return nil
}

var errRevoked = models.Errorf(models.KindUnauthenticated, "the IDevID, or a CA above it, is revoked by the manufacturer")

// listed looks a certificate up in the CRL of its issuer. It is errRevoked if
// that has it, also if the CRL is out of date, and otherwise known to be good
// if the CRL is current.
func (d *Door) listed(ctx context.Context, truststore string, cert, issuer *x509.Certificate) (good bool, err error) {
	sum := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	crl, err := d.cfg.Store.FindForeignCRL(ctx, truststore, hex.EncodeToString(sum[:]))
	if models.KindOf(err) == models.KindNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	revoked, err := d.crls.serials(crl)
	if err != nil {
		return false, err
	}
	if revoked[string(cert.SerialNumber.Bytes())] {
		return false, errRevoked
	}
	return d.cfg.Now().Before(crl.NextUpdate), nil
}

// crlCache keeps the serial numbers of the CRLs that were used last.
type crlCache struct {
	mu   sync.Mutex
	sets map[string]map[string]bool
}

const maxCachedCRLs = 32

// serials returns the serial numbers that a CRL lists, as octets.
func (c *crlCache) serials(crl *models.ForeignCRL) (map[string]bool, error) {
	key := crl.TruststoreName + "/" + crl.IssuerKeySHA256 + "/" + crl.Number
	c.mu.Lock()
	defer c.mu.Unlock()
	if set := c.sets[key]; set != nil {
		return set, nil
	}
	list, err := x509.ParseRevocationList(crl.DER)
	if err != nil {
		return nil, fmt.Errorf("parse CRL of %s: %w", crl.Issuer, err)
	}
	set := make(map[string]bool, len(list.RevokedCertificateEntries))
	for _, entry := range list.RevokedCertificateEntries {
		set[string(entry.SerialNumber.Bytes())] = true
	}
	if c.sets == nil || len(c.sets) >= maxCachedCRLs {
		c.sets = map[string]map[string]bool{}
	}
	c.sets[key] = set
	return set, nil
}
