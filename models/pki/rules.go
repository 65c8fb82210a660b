// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"
)

// checkTemplate holds our own lints: what no certificate of this PKI may be,
// whatever a profile says. issuer is nil for a root.
func checkTemplate(t *x509.Certificate, pub crypto.PublicKey, issuer *x509.Certificate) error {
	if !validSerial(t.SerialNumber) {
		return denied("the serial number must be positive and have at most %d octets (RFC 5280 §4.1.2.2)", serialOctets)
	}
	if !t.NotBefore.Before(t.NotAfter) {
		return denied("the certificate would end at %s, not after it begins", t.NotAfter.Format(time.RFC3339))
	}
	if err := CheckPublicKey(pub); err != nil {
		return err
	}
	if err := checkName(t.RawSubject); err != nil {
		return err
	}
	if err := checkTemplateSANs(t); err != nil {
		return err
	}
	if err := checkUsages(t, pub); err != nil {
		return err
	}
	if err := checkExtraExtensions(t); err != nil {
		return err
	}
	if issuer == nil {
		return nil
	}
	return checkIssuer(t, pub, issuer)
}

// checkIssuer checks the certificate against the one that will sign it.
func checkIssuer(t *x509.Certificate, pub crypto.PublicKey, issuer *x509.Certificate) error {
	switch {
	case !issuer.BasicConstraintsValid || !issuer.IsCA || issuer.KeyUsage&x509.KeyUsageCertSign == 0:
		return denied("the issuer %q is not a CA that signs certificates", issuer.Subject.String())
	case len(issuer.SubjectKeyId) == 0:
		return denied("the certificate of the issuer %q has no subjectKeyIdentifier", issuer.Subject.String())
	case t.NotAfter.After(issuer.NotAfter):
		return denied("the certificate would end at %s, after its issuer, which ends at %s", t.NotAfter.Format(time.RFC3339), issuer.NotAfter.UTC().Format(time.RFC3339))
	case t.IsCA && issuer.MaxPathLen == 0 && issuer.MaxPathLenZero:
		return denied("the issuer %q may not have CAs below it (its pathLenConstraint is 0)", issuer.Subject.String())
	}
	if key, ok := issuer.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || key.Equal(pub) {
		return denied("the public key is the issuer's own; make a new key")
	}
	return nil
}

func checkTemplateSANs(t *x509.Certificate) error {
	names := SANs(t)
	if len(names) > maxSANs {
		return denied("the certificate would have more than %d alternative names", maxSANs)
	}
	if len(slices.Compact(slices.Clone(names))) < len(names) {
		return denied("the certificate would have the same alternative name twice")
	}
	for _, n := range t.DNSNames {
		if err := checkDNSName(n); err != nil {
			return err
		}
	}
	for _, n := range t.EmailAddresses {
		if err := checkEmail(n); err != nil {
			return err
		}
	}
	for _, n := range t.URIs {
		if err := checkURI(n.String()); err != nil {
			return err
		}
	}
	for _, n := range t.IPAddresses {
		if v4 := n.To4(); v4 != nil {
			n = v4
		}
		if err := checkIP(n); err != nil {
			return err
		}
	}
	return nil
}

// purposes are the key usages that fit each extended one: a certificate must
// have at least one of them (RFC 5280 §4.2.1.12).
var purposes = map[x509.ExtKeyUsage]x509.KeyUsage{
	x509.ExtKeyUsageServerAuth:      x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement,
	x509.ExtKeyUsageClientAuth:      x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
	x509.ExtKeyUsageCodeSigning:     x509.KeyUsageDigitalSignature,
	x509.ExtKeyUsageEmailProtection: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement,
	x509.ExtKeyUsageTimeStamping:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
	x509.ExtKeyUsageOCSPSigning:     x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
}

// signingUsages are all that an Ed25519 key can do (RFC 8410 §5).
const signingUsages = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageCertSign | x509.KeyUsageCRLSign

func checkUsages(t *x509.Certificate, pub crypto.PublicKey) error {
	if _, ok := pub.(ed25519.PublicKey); ok && t.KeyUsage&^signingUsages != 0 {
		return denied("an Ed25519 key signs only; leave out the key usages for encryption and key agreement (RFC 8410 §5)")
	}
	if t.IsCA && (!t.BasicConstraintsValid || t.KeyUsage&x509.KeyUsageCertSign == 0) {
		return denied("a CA certificate must have basicConstraints and the key usage keyCertSign (RFC 5280 §4.2.1.3)")
	}
	if !t.IsCA && t.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return denied("only CAs may have the key usages keyCertSign and cRLSign")
	}
	for _, usage := range t.ExtKeyUsage {
		if usage == x509.ExtKeyUsageAny {
			return denied("anyExtendedKeyUsage is not issued; name the purposes")
		}
		if fitting, known := purposes[usage]; known && t.KeyUsage != 0 && t.KeyUsage&fitting == 0 {
			return denied("the key usages do not fit an extended key usage (RFC 5280 §4.2.1.12)")
		}
	}
	return nil
}

// reservedExtensions are written from the fields of the template or by the
// Builder alone, or not at all (RFC 5280 §4.2.1).
var reservedExtensions = []asn1.ObjectIdentifier{
	{2, 5, 29, 14},              // subjectKeyIdentifier
	{2, 5, 29, 15},              // keyUsage
	{2, 5, 29, 17},              // subjectAltName
	{2, 5, 29, 18},              // issuerAltName
	{2, 5, 29, 19},              // basicConstraints
	{2, 5, 29, 31},              // cRLDistributionPoints
	{2, 5, 29, 35},              // authorityKeyIdentifier
	{2, 5, 29, 37},              // extKeyUsage
	{1, 3, 6, 1, 5, 5, 7, 1, 1}, // authorityInfoAccess
}

func checkExtraExtensions(t *x509.Certificate) error {
	if len(t.ExtraExtensions) > maxExtensions {
		return denied("the certificate would have more than %d extra extensions", maxExtensions)
	}
	seen := map[string]bool{}
	for _, extension := range t.ExtraExtensions {
		if slices.ContainsFunc(reservedExtensions, extension.Id.Equal) {
			return denied("the extension %s cannot be set as an extra one", extension.Id)
		}
		if seen[extension.Id.String()] {
			return denied("the certificate would have the extension %s twice", extension.Id)
		}
		seen[extension.Id.String()] = true
		if err := strictDER(extension.Value, maxCSRElements); err != nil {
			return denied("the extension %s is not in DER: %s", extension.Id, err)
		}
	}
	return nil
}
