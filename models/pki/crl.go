// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/trustloom/trustloom/models"
)

// CRLEntry is one revoked certificate of a CRL.
type CRLEntry struct {
	Serial    *big.Int
	RevokedAt time.Time
	Reason    int // code of RFC 5280 §5.3.1; 0, unspecified, is left out of the CRL
}

// BuildCRL returns a signed version 2 CRL in DER (RFC 5280 §5): complete,
// direct, with AuthorityKeyID by key identifier and CRLNumber. Times are whole
// seconds in UTC. The order of entries is kept.
//
// The signature is verified with the issuer's public key; a signer that does
// not hold it is KindInternal, and so is an entry that must not be there:
// reason 7 is not used, reason 8 belongs into delta CRLs, and a serial number
// occurs once.
func BuildCRL(issuer *x509.Certificate, signer crypto.Signer, number int64, thisUpdate, nextUpdate time.Time, entries []CRLEntry) ([]byte, error) {
	if number < 1 {
		return nil, fault("the CRL number %d is not positive", number)
	}
	algorithm, err := signatureAlgorithmOf(issuer.PublicKey)
	if err != nil {
		return nil, err
	}
	revoked, err := revokedEntries(entries)
	if err != nil {
		return nil, err
	}
	template := &x509.RevocationList{
		SignatureAlgorithm:        algorithm.standard,
		Number:                    big.NewInt(number),
		ThisUpdate:                models.UTC(thisUpdate),
		NextUpdate:                models.UTC(nextUpdate),
		RevokedCertificateEntries: revoked,
	}
	permitted := *issuer
	if permitted.KeyUsage == 0 { // a CA from elsewhere whose certificate does not limit its key
		permitted.KeyUsage = x509.KeyUsageCRLSign
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, &permitted, signer)
	if err != nil {
		return nil, fmt.Errorf("sign CRL %d: %w", number, err)
	}
	if err := verifyCRL(der, issuer); err != nil {
		return nil, fault("the signer did not return a valid CRL").Because(err)
	}
	return der, nil
}

func revokedEntries(entries []CRLEntry) ([]x509.RevocationListEntry, error) {
	revoked := make([]x509.RevocationListEntry, 0, len(entries))
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		if !validSerial(e.Serial) || seen[string(e.Serial.Bytes())] {
			return nil, fault("the serial number %s of a CRL entry is not valid or occurs twice", SerialHex(e.Serial))
		}
		if e.Reason < 0 || e.Reason > 10 || e.Reason == 7 || e.Reason == 8 {
			return nil, fault("the reason %d of a CRL entry does not exist in complete CRLs", e.Reason)
		}
		seen[string(e.Serial.Bytes())] = true
		revoked = append(revoked, x509.RevocationListEntry{
			SerialNumber: e.Serial, RevocationTime: models.UTC(e.RevokedAt), ReasonCode: e.Reason,
		})
	}
	return revoked, nil
}

func verifyCRL(der []byte, issuer *x509.Certificate) error {
	parsed, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	return parsed.CheckSignatureFrom(issuer)
}
