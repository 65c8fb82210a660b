// SPDX-License-Identifier: MIT

package pki

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/bits"
	"reflect"
	"time"
	"unicode"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// encodeTBS returns the TBSCertificate (RFC 5280 §4.1) of a template, byte for
// byte what x509.CreateCertificate makes of it, but without the signature that
// it makes, and verifies, on the way: that costs more than all the rest. It
// knows what nearly every certificate is made of; of a template that has more
// it says so by false, and nothing is encoded.
//
// wanted says which extensions are to be critical, as markCritical has it.
func encodeTBS(t *x509.Certificate, issuerName, identifier []byte, pub crypto.PublicKey, wanted []pkix.Extension) (tbs []byte, ok bool) {
	extensions, ok := plainExtensions(t)
	if !ok {
		return nil, false
	}
	for i := range extensions {
		extensions[i].Critical = criticality(extensions[i], wanted, t.ExtraExtensions, len(t.RawSubject) == 2)
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, false
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 1024))
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) }) // v3
		b.AddASN1BigInt(t.SerialNumber)
		b.AddBytes(identifier)
		b.AddBytes(issuerName)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, t.NotBefore)
			addTime(b, t.NotAfter)
		})
		b.AddBytes(t.RawSubject)
		b.AddBytes(spki)
		if len(extensions) == 0 {
			return
		}
		b.AddASN1(der.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, e := range extensions {
					addExtension(b, e, e.Critical)
				}
			})
		})
	})
	tbs, err = b.Bytes()
	return tbs, err == nil
}

// addTime adds a Time: UTCTime through the year 2049 (RFC 5280 §4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t = t.UTC(); t.Year() < 1950 || t.Year() > 2049 {
		b.AddASN1GeneralizedTime(t)
		return
	}
	b.AddASN1UTCTime(t)
}

// The extensions that plainExtensions writes itself (RFC 5280 §4.2).
var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidAuthorityInfo    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}
	oidDistribution     = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAIAOCSP          = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1}
	oidAIAIssuers       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 2}
)

// usageIdentifiers are the extended key usages that have a constant in x509.
var usageIdentifiers = map[x509.ExtKeyUsage]asn1.ObjectIdentifier{
	x509.ExtKeyUsageServerAuth:      {1, 3, 6, 1, 5, 5, 7, 3, 1},
	x509.ExtKeyUsageClientAuth:      {1, 3, 6, 1, 5, 5, 7, 3, 2},
	x509.ExtKeyUsageCodeSigning:     {1, 3, 6, 1, 5, 5, 7, 3, 3},
	x509.ExtKeyUsageEmailProtection: {1, 3, 6, 1, 5, 5, 7, 3, 4},
	x509.ExtKeyUsageTimeStamping:    {1, 3, 6, 1, 5, 5, 7, 3, 8},
	x509.ExtKeyUsageOCSPSigning:     {1, 3, 6, 1, 5, 5, 7, 3, 9},
}

// plainExtensions encodes the extensions of a template in the order of
// x509.CreateCertificate. It reports false if the template has a field that
// is not of them, or a value that is for the standard library to refuse.
func plainExtensions(t *x509.Certificate) (list []pkix.Extension, ok bool) {
	if !isPlain(*t) {
		return nil, false
	}
	list = make([]pkix.Extension, 0, 8+len(t.ExtraExtensions))
	add := func(oid asn1.ObjectIdentifier, critical bool, write func(*cryptobyte.Builder)) {
		var b cryptobyte.Builder
		write(&b)
		value, err := b.Bytes()
		ok = ok && err == nil
		list = append(list, pkix.Extension{Id: oid, Critical: critical, Value: value})
	}
	sequence := func(write func(*cryptobyte.Builder)) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddASN1(der.SEQUENCE, write) }
	}
	ok = true
	if t.KeyUsage != 0 {
		add(oidKeyUsage, true, func(b *cryptobyte.Builder) { addKeyUsage(b, t.KeyUsage) })
	}
	if len(t.ExtKeyUsage)+len(t.UnknownExtKeyUsage) > 0 {
		add(oidExtKeyUsage, false, sequence(func(b *cryptobyte.Builder) { addUsages(b, t) }))
	}
	if t.BasicConstraintsValid {
		add(oidBasicConstraints, true, sequence(func(b *cryptobyte.Builder) { addBasicConstraints(b, t) }))
	}
	if len(t.SubjectKeyId) > 0 {
		add(oidSubjectKeyID, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(t.SubjectKeyId) })
	}
	if len(t.AuthorityKeyId) > 0 {
		add(oidAuthorityKeyID, false, sequence(func(b *cryptobyte.Builder) { addImplicit(b, 0, t.AuthorityKeyId) }))
	}
	if len(t.OCSPServer)+len(t.IssuingCertificateURL) > 0 {
		add(oidAuthorityInfo, false, sequence(func(b *cryptobyte.Builder) { addAuthorityInfo(b, t) }))
	}
	if len(t.DNSNames)+len(t.EmailAddresses)+len(t.IPAddresses)+len(t.URIs) > 0 {
		add(oidSubjectAltName, len(t.RawSubject) == 2, sequence(func(b *cryptobyte.Builder) { addSANs(b, t) }))
	}
	if len(t.CRLDistributionPoints) > 0 {
		add(oidDistribution, false, sequence(func(b *cryptobyte.Builder) { addDistributionPoints(b, t.CRLDistributionPoints) }))
	}
	return append(list, t.ExtraExtensions...), ok
}

// isPlain reports whether t has no fields but those that are written here,
// and no texts but plain ones.
func isPlain(t x509.Certificate) bool {
	if t.MaxPathLen < -1 || !t.IsCA && (t.MaxPathLen > 0 || t.MaxPathLenZero) {
		return false
	}
	for _, usage := range t.ExtKeyUsage {
		if usageIdentifiers[usage] == nil {
			return false
		}
	}
	texts := [][]string{t.DNSNames, t.EmailAddresses}
	for _, u := range t.URIs {
		texts = append(texts, []string{u.String()})
	}
	for _, list := range texts {
		for _, text := range list {
			for _, r := range text {
				if r > unicode.MaxASCII {
					return false
				}
			}
		}
	}
	for _, e := range t.ExtraExtensions { // x509 lets these replace its own
		if e.Id.Equal(oidSubjectAltName) {
			return false
		}
		for _, reserved := range reservedExtensions {
			if e.Id.Equal(reserved) {
				return false
			}
		}
	}
	t.SerialNumber, t.NotBefore, t.NotAfter, t.RawSubject, t.SubjectKeyId, t.AuthorityKeyId = nil, time.Time{}, time.Time{}, nil, nil, nil
	t.DNSNames, t.EmailAddresses, t.IPAddresses, t.URIs = nil, nil, nil, nil
	t.KeyUsage, t.ExtKeyUsage, t.UnknownExtKeyUsage = 0, nil, nil
	t.BasicConstraintsValid, t.IsCA, t.MaxPathLen, t.MaxPathLenZero = false, false, 0, false
	t.CRLDistributionPoints, t.IssuingCertificateURL, t.OCSPServer, t.ExtraExtensions = nil, nil, nil, nil
	return reflect.ValueOf(t).IsZero()
}

// addImplicit adds a value under a context-specific tag, as names have it.
func addImplicit(b *cryptobyte.Builder, tag der.Tag, value []byte) {
	b.AddASN1(tag.ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(value) })
}

// addKeyUsage adds the BIT STRING, in which bit 0 is the first.
func addKeyUsage(b *cryptobyte.Builder, usage x509.KeyUsage) {
	octets := []byte{bits.Reverse8(byte(usage)), bits.Reverse8(byte(usage >> 8))}
	if octets[1] == 0 {
		octets = octets[:1]
	}
	unused := bits.TrailingZeros8(octets[len(octets)-1])
	b.AddASN1(der.BIT_STRING, func(b *cryptobyte.Builder) {
		b.AddUint8(uint8(unused))
		b.AddBytes(octets)
	})
}

func addUsages(b *cryptobyte.Builder, t *x509.Certificate) {
	for _, usage := range t.ExtKeyUsage {
		b.AddASN1ObjectIdentifier(usageIdentifiers[usage])
	}
	for _, usage := range t.UnknownExtKeyUsage {
		b.AddASN1ObjectIdentifier(usage)
	}
}

func addBasicConstraints(b *cryptobyte.Builder, t *x509.Certificate) {
	if t.IsCA {
		b.AddASN1Boolean(true)
	}
	if t.MaxPathLen > 0 || t.MaxPathLen == 0 && t.MaxPathLenZero {
		b.AddASN1Int64(int64(t.MaxPathLen))
	}
}

// The choices of GeneralName (RFC 5280 §4.2.1.6).
const (
	nameEmail der.Tag = 1
	nameDNS   der.Tag = 2
	nameURI   der.Tag = 6
	nameIP    der.Tag = 7
)

func addAuthorityInfo(b *cryptobyte.Builder, t *x509.Certificate) {
	add := func(method asn1.ObjectIdentifier, urls []string) {
		for _, u := range urls {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(method)
				addImplicit(b, nameURI, []byte(u))
			})
		}
	}
	add(oidAIAOCSP, t.OCSPServer)
	add(oidAIAIssuers, t.IssuingCertificateURL)
}

func addSANs(b *cryptobyte.Builder, t *x509.Certificate) {
	for _, name := range t.DNSNames {
		addImplicit(b, nameDNS, []byte(name))
	}
	for _, email := range t.EmailAddresses {
		addImplicit(b, nameEmail, []byte(email))
	}
	for _, ip := range t.IPAddresses {
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		addImplicit(b, nameIP, ip)
	}
	for _, u := range t.URIs {
		addImplicit(b, nameURI, []byte(u.String()))
	}
}

// addDistributionPoints adds one DistributionPoint with a fullName for each URL.
func addDistributionPoints(b *cryptobyte.Builder, urls []string) {
	inside := der.Tag(0).ContextSpecific().Constructed()
	for _, u := range urls {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(inside, func(b *cryptobyte.Builder) {
				b.AddASN1(inside, func(b *cryptobyte.Builder) { addImplicit(b, nameURI, []byte(u)) })
			})
		})
	}
}
