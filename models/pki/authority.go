// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"github.com/trustloom/trustloom/models"
)

// maxPath bounds how many certificates are above each other.
const maxPath = 16

// CheckCA returns KindInvalid unless a certificate from elsewhere is that of a
// CA (RFC 5280 §4.2.1.9, §4.2.1.3), with a sound key, at the given time. A CA
// that is to sign here must permit CRLs as well, and have a subject key
// identifier for its certificates to refer to.
func CheckCA(cert *x509.Certificate, signs bool, at time.Time) error {
	name := cert.Subject.String()
	if err := CheckPublicKey(cert.PublicKey); err != nil {
		return invalid("the key of the CA %q is not accepted: %s", name, models.PublicText(err)).Because(err)
	}
	if err := checkPresented(cert); err != nil {
		return invalid("the certificate of %q is larger than anything we accept", name).Because(err)
	}
	const absent = x509.KeyUsage(0)
	switch {
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return invalid("the certificate of %q is not that of a CA (its basicConstraints lack CA:TRUE)", name)
	case cert.KeyUsage != absent && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return invalid("the CA %q may not sign certificates (its keyUsage lacks keyCertSign)", name)
	case at.Before(cert.NotBefore):
		return invalid("the certificate of the CA %q is not valid before %s", name, cert.NotBefore.Format(time.RFC3339))
	case at.After(cert.NotAfter):
		return invalid("the certificate of the CA %q expired at %s", name, cert.NotAfter.Format(time.RFC3339))
	case len(cert.UnhandledCriticalExtensions) > 0:
		return invalid("the certificate of the CA %q has the critical extension %s, which is not understood", name, cert.UnhandledCriticalExtensions[0])
	case signs && cert.KeyUsage != absent && cert.KeyUsage&x509.KeyUsageCRLSign == 0:
		return invalid("the CA %q may not sign CRLs (its keyUsage lacks cRLSign), so its certificates could not be revoked here", name)
	case signs && len(cert.SubjectKeyId) == 0:
		return invalid("the certificate of the CA %q has no subjectKeyIdentifier, which its certificates have to name (RFC 5280 §4.2.1.1)", name)
	}
	return nil
}

// SelfIssued reports whether a certificate says that it issued itself.
func SelfIssued(cert *x509.Certificate) bool { return bytes.Equal(cert.RawIssuer, cert.RawSubject) }

// BuildPath validates the path (RFC 5280 §6) from a CA's certificate up to a
// root, at the given time, through certificates that are known and others that
// came with it, and returns it, its own certificate first, the root last. Paths
// over known certificates are preferred. A self-signed certificate is its own
// path. It is KindInvalid, naming what is missing, if there is none.
func BuildPath(cert *x509.Certificate, known, given []*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	if len(given) > maxCredential {
		return nil, invalid("there are %d certificates; at most %d are permitted", len(given), maxCredential)
	}
	above, missing := candidates(cert, slices.Concat(known, given))
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range above {
		switch {
		case !SelfIssued(c):
			intermediates.AddCert(c)
		case selfSigned(c):
			roots.AddCert(c)
		default:
			return nil, invalid("the signature of the root certificate of %q is not its own, or weak", c.Subject.String())
		}
	}
	paths, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		MaxConstraintComparisions: maxComparisons,
	})
	if err != nil {
		return nil, noPath(cert, missing, err)
	}
	path := slices.MinFunc(paths, func(a, b []*x509.Certificate) int { return unknownIn(a, known) - unknownIn(b, known) })
	if len(path) > maxPath {
		return nil, invalid("there are %d certificates above %q; at most %d are permitted", len(path)-1, cert.Subject.String(), maxPath-1)
	}
	return path, nil
}

// candidates returns cert and all that may be above it, by their names, and the
// name that nobody among them has, if there is one.
func candidates(cert *x509.Certificate, others []*x509.Certificate) (found []*x509.Certificate, missing string) {
	found = []*x509.Certificate{cert}
	for at := 0; at < len(found) && len(found) <= 8*maxPath; at++ {
		if SelfIssued(found[at]) {
			continue
		}
		before := len(found)
		for _, c := range others {
			if bytes.Equal(c.RawSubject, found[at].RawIssuer) && !slices.ContainsFunc(found, c.Equal) {
				found = append(found, c)
			}
		}
		known := slices.ContainsFunc(found, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, found[at].RawIssuer) })
		if len(found) == before && !known && missing == "" {
			missing = found[at].Issuer.String()
		}
	}
	return found, missing
}

func selfSigned(cert *x509.Certificate) bool {
	return cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

func unknownIn(path, known []*x509.Certificate) (count int) {
	for _, c := range path {
		if !slices.ContainsFunc(known, c.Equal) {
			count++
		}
	}
	return count
}

func noPath(cert *x509.Certificate, missing string, err error) error {
	name := cert.Subject.String()
	var unknown x509.UnknownAuthorityError
	var reason x509.CertificateInvalidError
	switch {
	case missing != "":
		return invalid("the chain of the CA %q does not end in a root: the certificate of %q is missing; send it along, or add it first", name, missing).Because(err)
	case errors.As(err, &reason) && reason.Reason == x509.Expired:
		return invalid("a certificate above the CA %q has expired or is not valid yet", name).Because(err)
	case errors.As(err, &reason) && reason.Reason == x509.TooManyIntermediates:
		return invalid("a CA above %q forbids so many CAs below it (the pathLenConstraint of its basicConstraints)", name).Because(err)
	case errors.As(err, &unknown):
		return invalid("the certificate of the CA %q was not signed by any of the certificates that are known or were sent, or with a weak algorithm such as SHA-1", name).Because(err)
	}
	return invalid("the certificate path of the CA %q is not valid", name).Because(err)
}

// BuildAuthorityRequest returns a PKCS #10 request in DER for a CA: signed by
// its key, asking for CA:TRUE and for keyCertSign and cRLSign, or else for the
// extensions that are given. subject is a Name in DER.
func BuildAuthorityRequest(subject []byte, signer crypto.Signer, extensions ...pkix.Extension) ([]byte, error) {
	algorithm, err := signatureAlgorithmOf(signer.Public())
	if err != nil {
		return nil, err
	}
	if len(extensions) == 0 {
		if extensions, err = plainAuthority(); err != nil {
			return nil, err
		}
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		RawSubject: subject, SignatureAlgorithm: algorithm.standard, ExtraExtensions: extensions,
	}, signer)
}

// plainAuthority are the extensions of any CA.
func plainAuthority() ([]pkix.Extension, error) {
	constraints, err := asn1.Marshal(struct{ IsCA bool }{true})
	if err != nil {
		return nil, fault("encode the request").Because(err)
	}
	usage, err := asn1.Marshal(asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}) // keyCertSign (5), cRLSign (6)
	if err != nil {
		return nil, fault("encode the request").Because(err)
	}
	return []pkix.Extension{
		{Id: oidBasicConstraints, Critical: true, Value: constraints},
		{Id: oidKeyUsage, Critical: true, Value: usage},
	}, nil
}

// CheckInstalled returns KindInvalid unless a certificate answers a request of
// BuildAuthorityRequest: the same key and the same subject.
func CheckInstalled(request []byte, cert *x509.Certificate) error {
	asked, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return fault("the stored request cannot be read").Because(err)
	}
	if !samePublicKey(asked.PublicKey, cert.PublicKey) {
		return invalid("the certificate of %q is for another key than that of the request", cert.Subject.String())
	}
	if readable(asked.RawSubject) != readable(cert.RawSubject) {
		return invalid("the certificate is for %q, and %q was asked for", cert.Subject.String(), asked.Subject.String())
	}
	return nil
}

// CheckAsked returns KindInvalid unless a certificate has the extensions that
// a request of BuildAuthorityRequest asks for: a path length that is not longer,
// and all others as they are in the request, which may be more or less critical.
func CheckAsked(request []byte, cert *x509.Certificate) error {
	asked, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return fault("the stored request cannot be read").Because(err)
	}
	for _, e := range asked.Extensions {
		switch {
		case e.Id.Equal(oidKeyUsage): // CheckCA says what is needed
		case e.Id.Equal(oidBasicConstraints):
			if err := checkAskedLength(e.Value, cert); err != nil {
				return err
			}
		case !slices.ContainsFunc(cert.Extensions, func(got pkix.Extension) bool { return got.Id.Equal(e.Id) && bytes.Equal(got.Value, e.Value) }):
			return invalid("the certificate of %q does not have the extension %s (%s) as the request asks for it; have it signed with the extensions of the request",
				cert.Subject.String(), e.Id, askedNames[e.Id.String()])
		}
	}
	return nil
}

// askedNames are the extensions that a profile for CAs usually asks for.
var askedNames = map[string]string{"2.5.29.30": "name constraints", "2.5.29.32": "certificate policies", "2.5.29.37": "extended key usage", "2.5.29.17": "alternative names"}

func checkAskedLength(value []byte, cert *x509.Certificate) error {
	var constraints struct {
		IsCA       bool `asn1:"optional"`
		MaxPathLen int  `asn1:"optional,default:-1"`
	}
	if _, err := asn1.Unmarshal(value, &constraints); err != nil {
		return fault("the stored request cannot be read").Because(err)
	}
	if asked := constraints.MaxPathLen; asked >= 0 && (cert.MaxPathLen < 0 || cert.MaxPathLen > asked) {
		return invalid("the certificate of %q lets more CAs be below it than the request asks for (path length %d)", cert.Subject.String(), asked)
	}
	return nil
}

// readable returns a Name in DER as RFC 4514 text, whatever string types it
// is written in: CAs change them.
func readable(name []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(name, &rdns); err != nil || len(rest) > 0 {
		return ""
	}
	return rdns.String()
}
