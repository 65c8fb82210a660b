// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	"errors"
	"time"

	"github.com/trustloom/trustloom/models"
)

// The bounds of a presented chain. The standard library bounds the signatures
// that it checks to one hundred.
const (
	maxIntermediates   = 8
	maxPresented       = 32 << 10 // octets of one certificate
	maxNames           = 200      // alternative names of one certificate
	maxNameConstraints = 100
	maxPolicies        = 50
	maxComparisons     = 10000
)

// VerifyClient validates the path from a client's certificate to one of the
// anchors (RFC 5280 §6) at the given time, and returns it, leaf first. Anchors
// are self-signed roots or any CA certificates that are trusted directly.
//
// The leaf must not be a CA, must be meant for client authentication if it has
// an extended key usage (IDevIDs often have none, IEEE 802.1AR §8.10) and for
// signatures if it has a key usage, and must have no critical extension that
// is not understood. Revocation is not looked at. What is presented is bounded
// before it is used. It is KindUnauthenticated, saying why, otherwise.
func VerifyClient(leaf *x509.Certificate, intermediates []*x509.Certificate, anchors []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	return verifyPresented(leaf, intermediates, anchors, at, x509.ExtKeyUsageClientAuth)
}

// VerifySigner is VerifyClient for a certificate that signed a message, outside
// of TLS: what it is meant for is for the caller to look at.
func VerifySigner(leaf *x509.Certificate, intermediates []*x509.Certificate, anchors []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	return verifyPresented(leaf, intermediates, anchors, at, x509.ExtKeyUsageAny)
}

func verifyPresented(leaf *x509.Certificate, intermediates, anchors []*x509.Certificate, at time.Time, purpose x509.ExtKeyUsage) ([]*x509.Certificate, error) {
	if len(intermediates) > maxIntermediates {
		return nil, unproven("the client sent %d intermediate certificates; at most %d are permitted", len(intermediates), maxIntermediates)
	}
	if err := checkPresented(leaf); err != nil {
		return nil, err
	}
	leaf = understood(leaf)
	pool := x509.NewCertPool()
	for _, cert := range intermediates {
		if err := checkPresented(cert); err != nil {
			return nil, err
		}
		pool.AddCert(cert)
	}
	if err := checkLeaf(leaf); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, cert := range anchors {
		roots.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: pool, CurrentTime: at,
		KeyUsages:                 []x509.ExtKeyUsage{purpose},
		MaxConstraintComparisions: maxComparisons,
	})
	if err != nil {
		return nil, explain(leaf, at, err)
	}
	if len(chains[0]) < 2 {
		return nil, unproven("the client certificate is itself a trust anchor; anchors must be CAs")
	}
	return chains[0], nil
}

// unproven returns a KindUnauthenticated error.
func unproven(format string, args ...any) *models.Error {
	return models.Errorf(models.KindUnauthenticated, format, args...)
}

// checkPresented bounds the work that a presented certificate can cause.
func checkPresented(cert *x509.Certificate) error {
	constraints := len(cert.PermittedDNSDomains) + len(cert.ExcludedDNSDomains) +
		len(cert.PermittedIPRanges) + len(cert.ExcludedIPRanges) +
		len(cert.PermittedEmailAddresses) + len(cert.ExcludedEmailAddresses) +
		len(cert.PermittedURIDomains) + len(cert.ExcludedURIDomains)
	names := len(cert.DNSNames) + len(cert.EmailAddresses) + len(cert.IPAddresses) + len(cert.URIs)
	if len(cert.Raw) > maxPresented || names > maxNames || constraints > maxNameConstraints ||
		len(cert.Policies)+len(cert.PolicyMappings) > maxPolicies {
		return unproven("a certificate of the client is larger than anything we accept")
	}
	if err := CheckPublicKey(cert.PublicKey); err != nil {
		return unproven("a certificate of the client has a key that is not permitted; %s", keyChoices).Because(err)
	}
	return nil
}

func checkLeaf(leaf *x509.Certificate) error {
	switch {
	case leaf.IsCA:
		return unproven("the client certificate is that of a CA")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return unproven("the client certificate is not meant for signatures (its keyUsage lacks digitalSignature)")
	case len(leaf.UnhandledCriticalExtensions) > 0:
		return unproven("the client certificate has the critical extension %s, which is not understood", leaf.UnhandledCriticalExtensions[0])
	}
	return nil
}

// explain turns the reason of the standard library into a sentence.
func explain(leaf *x509.Certificate, at time.Time, err error) error {
	var reason x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return unproven("the client certificate does not chain to a trusted CA; present the intermediate certificates, or add the CA to the truststore").Because(err)
	case at.Before(leaf.NotBefore):
		return unproven("the client certificate is not valid before %s", leaf.NotBefore.Format(time.RFC3339)).Because(err)
	case at.After(leaf.NotAfter):
		return unproven("the client certificate expired at %s", leaf.NotAfter.Format(time.RFC3339)).Because(err)
	case errors.As(err, &reason) && reason.Reason == x509.Expired:
		return unproven("a CA certificate above the client certificate has expired or is not valid yet").Because(err)
	case errors.As(err, &reason) && reason.Reason == x509.IncompatibleUsage:
		return unproven("the client certificate is not meant for client authentication (its extKeyUsage lacks clientAuth)").Because(err)
	}
	return unproven("the certificate path of the client is not valid").Because(err)
}
