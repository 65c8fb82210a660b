// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// checkTemplate holds our own lints: what no certificate of this PKI may be,
// whatever a profile says. The issuer of a root has no certificate.
func checkTemplate(t *x509.Certificate, pub crypto.PublicKey, issuer Issuer) error {
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
	if err := checkNameConstraints(t); err != nil {
		return err
	}
	if issuer.Certificate == nil {
		return nil
	}
	if err := checkIssuer(t, pub, issuer.Certificate); err != nil {
		return err
	}
	return checkAbove(t, issuer.Above)
}

// checkAbove checks the certificate against the CAs above the one that will
// sign it, as relying parties do along the path (RFC 5280 §6.1): a CA that was
// made elsewhere need not repeat what those above it say.
func checkAbove(t *x509.Certificate, above []*x509.Certificate) error {
	for i, ca := range above {
		below := i + 2 // CAs that would be below ca: those between, the issuer, and t
		if bounded := ca.MaxPathLen > 0 || ca.MaxPathLenZero; t.IsCA && bounded && ca.MaxPathLen < below {
			return denied("%q, which is above the issuer, permits %d CAs below it, and this would be number %d (its pathLenConstraint)", ca.Subject.String(), ca.MaxPathLen, below)
		}
		if err := checkConstrained(t, ca); err != nil {
			return err
		}
	}
	return nil
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
	return checkConstrained(t, issuer)
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

// signingUsages are all that keys which only sign can do: Ed25519 (RFC 8410
// §5) and ML-DSA (RFC 9881 §5).
const signingUsages = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageCertSign | x509.KeyUsageCRLSign

func checkUsages(t *x509.Certificate, pub crypto.PublicKey) error {
	switch pub.(type) {
	case ed25519.PublicKey, *mldsa.PublicKey:
		if t.KeyUsage&^signingUsages != 0 {
			return denied("an Ed25519 or ML-DSA key signs only; leave out the key usages for encryption and key agreement (RFC 8410 §5, RFC 9881 §5)")
		}
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
		if extension.Id.Equal(oidSubjectAltName) {
			if err := checkExtraSANs(t, extension.Value); err != nil {
				return err
			}
		}
		seen[extension.Id.String()] = true
		if err := strictDER(extension.Value, maxCSRElements); err != nil {
			return denied("the extension %s is not in DER: %s", extension.Id, err)
		}
	}
	return nil
}

// checkExtraSANs checks an encoded subjectAltName: it replaces the one that
// would be written from the fields, and must therefore say the same, in the
// order of SANs.
func checkExtraSANs(t *x509.Certificate, value []byte) error {
	if err := checkSANExtension(value); err != nil {
		return err
	}
	encoded, err := MarshalSANs(SANs(t))
	if err != nil {
		return err
	}
	if !bytes.Equal(encoded, value) {
		return denied("the subjectAltName does not have the names of the certificate")
	}
	return nil
}

// checkNameConstraints checks the name constraints of a CA certificate (RFC
// 5280 §4.2.1.10).
func checkNameConstraints(t *x509.Certificate) error {
	domains := slices.Concat(t.PermittedDNSDomains, t.ExcludedDNSDomains, t.PermittedURIDomains, t.ExcludedURIDomains)
	ranges := slices.Concat(t.PermittedIPRanges, t.ExcludedIPRanges)
	emails := slices.Concat(t.PermittedEmailAddresses, t.ExcludedEmailAddresses)
	switch count := len(domains) + len(ranges) + len(emails); {
	case count == 0:
		return nil
	case !t.IsCA:
		return denied("only CA certificates may have name constraints (RFC 5280 §4.2.1.10)")
	case count > maxNameConstraints:
		return denied("the certificate would have more than %d name constraints", maxNameConstraints)
	}
	for _, domain := range domains {
		if err := checkDNSName(strings.TrimPrefix(domain, ".")); err != nil {
			return err
		}
	}
	for _, email := range emails {
		_, host, found := strings.Cut(email, "@")
		if !found {
			host = strings.TrimPrefix(email, ".")
		}
		if err := checkDNSName(host); err != nil {
			return err
		}
	}
	for _, r := range ranges {
		if _, bits := r.Mask.Size(); bits == 0 || bits != len(r.IP)*8 {
			return denied("the name constraint %s is not a range of addresses", r)
		}
	}
	return nil
}

// checkConstrained checks the names of a certificate against the constraints
// of a CA on its path; relying parties would refuse them later.
func checkConstrained(t, issuer *x509.Certificate) error {
	for _, name := range SANs(t) {
		kind, value, _ := strings.Cut(name, ":")
		var permitted, excluded, constrained bool
		switch kind {
		case "dns":
			permitted, excluded = inDomains(value, issuer.PermittedDNSDomains), inDomains(value, issuer.ExcludedDNSDomains)
			constrained = len(issuer.PermittedDNSDomains) > 0
		case "uri":
			host := hostOfURI(t, value)
			permitted, excluded = inDomains(host, issuer.PermittedURIDomains), inDomains(host, issuer.ExcludedURIDomains)
			constrained = host != "" && len(issuer.PermittedURIDomains) > 0
		case "email":
			permitted, excluded = inMailboxes(value, issuer.PermittedEmailAddresses), inMailboxes(value, issuer.ExcludedEmailAddresses)
			constrained = len(issuer.PermittedEmailAddresses) > 0
		case "ip":
			permitted, excluded = inRanges(value, issuer.PermittedIPRanges), inRanges(value, issuer.ExcludedIPRanges)
			constrained = len(issuer.PermittedIPRanges) > 0
		}
		if excluded || constrained && !permitted {
			return denied("the alternative name %q is outside the name constraints of the CA %q", name, issuer.Subject.String())
		}
	}
	return nil
}

func hostOfURI(t *x509.Certificate, value string) string {
	for _, uri := range t.URIs {
		if uri.String() == value {
			return strings.ToLower(uri.Hostname())
		}
	}
	return ""
}

// inDomains reports whether host is one of domains or below one. With a
// leading period only what is below counts.
func inDomains(host string, domains []string) bool {
	return slices.ContainsFunc(domains, func(domain string) bool {
		domain = strings.ToLower(domain)
		if strings.HasPrefix(domain, ".") {
			return strings.HasSuffix(host, domain)
		}
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
}

func inMailboxes(address string, constraints []string) bool {
	_, host, _ := strings.Cut(address, "@")
	host = strings.ToLower(host)
	return slices.ContainsFunc(constraints, func(c string) bool {
		switch {
		case strings.Contains(c, "@"):
			return address == c
		case strings.HasPrefix(c, "."):
			return strings.HasSuffix(host, strings.ToLower(c))
		}
		return host == strings.ToLower(c)
	})
}

func inRanges(address string, ranges []*net.IPNet) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(ranges, func(r *net.IPNet) bool { return r.Contains(ip.AsSlice()) })
}
