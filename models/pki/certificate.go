// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// Issuer is who will sign. A nil Certificate means that the certificate signs
// itself: a root.
type Issuer struct {
	Certificate *x509.Certificate
	Algorithm   models.KeyAlgorithm // of the issuer's key
	Hash        crypto.Hash         // to sign with, where the key leaves a choice; 0: as strong as the key
	Above       []*x509.Certificate // of the CAs above it, the nearest first: what they forbid is not issued
}

// TBS is a linted TBSCertificate, ready to be stored and then signed.
type TBS struct {
	DER    []byte
	SHA256 string // lower-case hex, of DER
}

// Builder makes to-be-signed certificates. It is safe for concurrent use, and
// worth keeping: it chooses its lints and makes its stand-in key once.
type Builder struct {
	setup func() (linter, ed25519.PrivateKey)
}

// NewBuilder returns a Builder, which prepares itself on first use.
func NewBuilder() *Builder {
	return &Builder{setup: sync.OnceValues(func() (linter, ed25519.PrivateKey) {
		// GenerateKey cannot fail: the random source aborts the program instead.
		// Of all keys, crypto/x509 signs and checks with this kind the fastest.
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		return newLinter(), key
	})}
}

// BuildTBS returns the linted bytes of a certificate for pub under issuer.
//
// Of the template it takes SerialNumber, NotBefore, NotAfter, RawSubject or
// else Subject, the alternative names, KeyUsage, the extended key usages, the
// basic constraints, the name constraints, CRLDistributionPoints,
// IssuingCertificateURL, OCSPServer and ExtraExtensions, where a
// subjectAltName, for names without a field, must say all that the fields say; of Extensions only whether the ones written from these
// fields are critical. SubjectKeyID and AuthorityKeyID (by key identifier only)
// are its own work; a self-signed certificate has no AuthorityKeyID (RFC 5280
// §4.2.1.1). What the issuer's key will sign is never signed here: the
// stand-in is a throw-away key, replaced by the issuer's AlgorithmIdentifier.
//
// It is KindDenied, naming the rules or lints, for a certificate that must not
// be issued, and KindInvalid for a key that is not permitted.
func (b *Builder) BuildTBS(template *x509.Certificate, pub crypto.PublicKey, issuer Issuer) (*TBS, error) {
	algorithm, err := issuerAlgorithm(issuer, pub)
	if err != nil {
		return nil, err
	}
	own, err := ownTemplate(template, pub, issuer)
	if err != nil {
		return nil, err
	}
	if err := checkTemplate(own, pub, issuer); err != nil {
		return nil, err
	}
	lints, standIn := b.setup()
	tbs, dressed, err := encode(own, pub, issuer.Certificate, algorithm.identifier, template.Extensions, standIn)
	if err != nil {
		return nil, err
	}
	if err := lints.run(dressed, issuer.Certificate == nil); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(tbs)
	return &TBS{DER: tbs, SHA256: hex.EncodeToString(digest[:])}, nil
}

// issuerAlgorithm returns how the issuer signs, after checking that what is
// said about its key is true.
func issuerAlgorithm(issuer Issuer, pub crypto.PublicKey) (*signatureAlgorithm, error) {
	if issuer.Certificate != nil {
		pub = issuer.Certificate.PublicKey
	}
	actual, err := KeyAlgorithmOf(pub)
	if err != nil {
		return nil, err
	}
	if issuer.Algorithm != "" && issuer.Algorithm != actual {
		return nil, fault("the issuer's key is %s, not %s", actual, issuer.Algorithm)
	}
	customary, err := signatureAlgorithmOf(pub)
	if err != nil || issuer.Hash == 0 {
		return customary, err
	}
	return customary.withHash(issuer.Hash)
}

// ownTemplate copies what BuildTBS takes from a template and adds the rest.
func ownTemplate(t *x509.Certificate, pub crypto.PublicKey, issuer Issuer) (*x509.Certificate, error) {
	subject, err := subjectOf(t)
	if err != nil {
		return nil, err
	}
	keyID, err := SubjectKeyID(pub)
	if err != nil {
		return nil, err
	}
	own := &x509.Certificate{
		SerialNumber: t.SerialNumber, NotBefore: models.UTC(t.NotBefore), NotAfter: models.UTC(t.NotAfter),
		RawSubject: subject, SubjectKeyId: keyID,
		DNSNames: t.DNSNames, EmailAddresses: t.EmailAddresses, IPAddresses: t.IPAddresses, URIs: t.URIs,
		KeyUsage: t.KeyUsage, ExtKeyUsage: t.ExtKeyUsage, UnknownExtKeyUsage: t.UnknownExtKeyUsage,
		BasicConstraintsValid: t.BasicConstraintsValid, IsCA: t.IsCA, MaxPathLen: t.MaxPathLen, MaxPathLenZero: t.MaxPathLenZero,
		CRLDistributionPoints: t.CRLDistributionPoints, IssuingCertificateURL: t.IssuingCertificateURL, OCSPServer: t.OCSPServer,
		PermittedDNSDomainsCritical: t.PermittedDNSDomainsCritical,
		PermittedDNSDomains:         t.PermittedDNSDomains, ExcludedDNSDomains: t.ExcludedDNSDomains,
		PermittedIPRanges: t.PermittedIPRanges, ExcludedIPRanges: t.ExcludedIPRanges,
		PermittedEmailAddresses: t.PermittedEmailAddresses, ExcludedEmailAddresses: t.ExcludedEmailAddresses,
		PermittedURIDomains: t.PermittedURIDomains, ExcludedURIDomains: t.ExcludedURIDomains,
		ExtraExtensions: t.ExtraExtensions,
	}
	if issuer.Certificate != nil {
		own.AuthorityKeyId = issuer.Certificate.SubjectKeyId
	}
	return own, nil
}

func subjectOf(t *x509.Certificate) ([]byte, error) {
	if len(t.RawSubject) > 0 {
		return t.RawSubject, nil
	}
	subject, err := asn1.Marshal(t.Subject.ToRDNSequence())
	if err != nil {
		return nil, denied("the subject cannot be encoded").Because(err)
	}
	return subject, nil
}

// splitTBS returns the fields of a TBSCertificate before, at and after its
// AlgorithmIdentifier (RFC 5280 §4.1).
func splitTBS(tbs []byte) (head, algorithm, tail cryptobyte.String, ok bool) {
	in := cryptobyte.String(tbs)
	var fields, version, serial cryptobyte.String
	ok = in.ReadASN1(&fields, der.SEQUENCE) && in.Empty()
	before := fields
	ok = ok && fields.ReadASN1Element(&version, der.Tag(0).ContextSpecific().Constructed()) &&
		fields.ReadASN1Element(&serial, der.INTEGER) &&
		fields.ReadASN1Element(&algorithm, der.SEQUENCE)
	return before[:len(version)+len(serial)], algorithm, fields, ok
}

// encode returns the TBSCertificate of a template, and a certificate around it
// for the lints to look at, whose signature nobody can verify.
func encode(own *x509.Certificate, pub crypto.PublicKey, issuer *x509.Certificate, identifier []byte, wanted []pkix.Extension, standIn ed25519.PrivateKey) (tbs, dressed []byte, err error) {
	parent := own
	if issuer != nil {
		parent = &x509.Certificate{RawSubject: issuer.RawSubject}
	}
	if tbs, plain := encodeTBS(own, parent.RawSubject, identifier, pub, wanted); plain {
		dressed, err = assemble(tbs, identifier, make([]byte, ed25519.SignatureSize))
		return tbs, dressed, err
	}
	signed, err := x509.CreateCertificate(rand.Reader, own, parent, pub, standIn)
	if err != nil {
		return nil, nil, denied("the certificate cannot be encoded").Because(err)
	}
	return recast(signed, identifier, wanted, own.ExtraExtensions)
}

// recast returns the TBSCertificate of a certificate with the issuer's
// AlgorithmIdentifier, and with its extensions as critical as wanted asks for
// unless they are fixed; and a certificate around it for the lints to look at.
func recast(certificate, identifier []byte, wanted, fixed []pkix.Extension) (tbs, dressed []byte, err error) {
	in := cryptobyte.String(certificate)
	var outer, old, signature cryptobyte.String
	ok := in.ReadASN1(&outer, der.SEQUENCE) && outer.ReadASN1Element(&old, der.SEQUENCE) &&
		outer.SkipASN1(der.SEQUENCE) && outer.ReadASN1(&signature, der.BIT_STRING)
	head, _, tail, okTBS := splitTBS(old)
	if !ok || !okTBS {
		return nil, nil, fault("the encoded certificate cannot be read back")
	}
	rest := []byte(tail)
	if len(wanted) > 0 {
		if rest, err = markCritical(tail, wanted, fixed); err != nil {
			return nil, nil, err
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(head)
		b.AddBytes(identifier)
		b.AddBytes(rest)
	})
	if tbs, err = b.Bytes(); err != nil {
		return nil, nil, fault("encode the certificate").Because(err)
	}
	dressed, err = assemble(tbs, identifier, signature[1:])
	return tbs, dressed, err
}

// assemble returns the DER of a Certificate.
func assemble(tbs, identifier, signature []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(identifier)
		b.AddASN1BitString(signature)
	})
	certificate, err := b.Bytes()
	if err != nil {
		return nil, fault("encode the certificate").Because(err)
	}
	return certificate, nil
}
