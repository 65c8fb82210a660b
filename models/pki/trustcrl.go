// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	maxForeignCRL  = 700 << 10 // octets
	crlTolerance   = 5 * time.Minute
	oidDeltaCRL    = "2.5.29.27"
	oidIssuingDist = "2.5.29.28"
	oidCRLNumber   = "2.5.29.20"
	oidAuthorityID = "2.5.29.35"
)

// ReadForeignCRL reads a CRL that somebody else's CA issued, DER or PEM, and
// returns it with the one of issuers that signed it.
//
// It is KindInvalid, saying why, for one that is larger than 700 KiB, that none
// of issuers signed, that is not current at the given time or has no
// nextUpdate, that has no number, and for one that does not speak for all
// certificates of its issuer: a delta, an indirect or a partitioned one (RFC
// 5280 §5.2).
func ReadForeignCRL(data []byte, issuers []*x509.Certificate, at time.Time) (*x509.RevocationList, *x509.Certificate, error) {
	if len(data) > maxForeignCRL {
		return nil, nil, invalid("the CRL is larger than %d KiB", maxForeignCRL>>10)
	}
	if block, _ := pem.Decode(data); block != nil {
		if block.Type != "X509 CRL" {
			return nil, nil, invalid("the PEM block is a %q, not an X509 CRL", block.Type)
		}
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, nil, invalid("the CRL is malformed").Because(err)
	}
	var issuer *x509.Certificate
	for _, candidate := range issuers {
		if bytes.Equal(candidate.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(candidate) == nil {
			issuer = candidate
			break
		}
	}
	if issuer == nil {
		return nil, nil, invalid("the CRL of %q is not signed by a CA of the truststore", list.Issuer.String())
	}
	return list, issuer, checkForeignCRL(list, at)
}

func checkForeignCRL(list *x509.RevocationList, at time.Time) error {
	if list.Number == nil {
		return invalid("the CRL has no number, so that an old one could not be told from it")
	}
	if err := CurrentCRL(list, at); err != nil {
		return err
	}
	return CompleteCRL(list)
}

// CurrentCRL is KindInvalid, saying why, unless a CRL speaks for the given
// time: not before its thisUpdate, for which clocks may differ by five minutes,
// and before its nextUpdate, which every CRL must have (RFC 5280 §5.1.2.5).
func CurrentCRL(list *x509.RevocationList, at time.Time) error {
	switch {
	case list.NextUpdate.IsZero():
		return invalid("the CRL does not say until when it is current (nextUpdate, RFC 5280 §5.1.2.5)")
	case !at.Before(list.NextUpdate):
		return invalid("the CRL was current until %s", list.NextUpdate.UTC().Format(time.RFC3339))
	case list.ThisUpdate.After(at.Add(crlTolerance)):
		return invalid("the CRL is from the future: it is not valid before %s", list.ThisUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// CompleteCRL is KindInvalid, saying why, unless a CRL speaks for all
// certificates of its issuer: a delta, an indirect or a partitioned one, and
// one that is not understood, do not (RFC 5280 §5.2).
func CompleteCRL(list *x509.RevocationList) error {
	for _, e := range list.Extensions {
		switch oid := e.Id.String(); {
		case oid == oidDeltaCRL:
			return invalid("the CRL is a delta CRL; upload a complete one")
		case oid == oidIssuingDist && !wholeScope(e.Value):
			return invalid("the CRL covers some certificates or reasons of its issuer only; upload a complete one")
		case e.Critical && oid != oidIssuingDist && oid != oidCRLNumber && oid != oidAuthorityID:
			return invalid("the CRL has the critical extension %s, which is not understood", oid)
		}
	}
	return nil
}

// wholeScope reports whether an issuingDistributionPoint names where the CRL
// is, and limits nothing.
func wholeScope(value []byte) bool {
	in := cryptobyte.String(value)
	var fields cryptobyte.String
	if !in.ReadASN1(&fields, der.SEQUENCE) || !in.Empty() {
		return false
	}
	for !fields.Empty() {
		var field cryptobyte.String
		var tag der.Tag
		if !fields.ReadAnyASN1(&field, &tag) || tag != der.Tag(0).ContextSpecific().Constructed() {
			return false
		}
	}
	return true
}
