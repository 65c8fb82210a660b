// SPDX-License-Identifier: MIT

package cmp

import (
	"crypto/x509"
	"encoding/asn1"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models/pki"
)

// The object identifiers of general messages and of generalInfo (RFC 9810
// §5.3.19, §5.1.1).
var (
	OIDCAProtEncCert     = infoType(1)
	OIDSignKeyPairTypes  = infoType(2)
	OIDEncKeyPairTypes   = infoType(3)
	OIDPreferredSymmAlg  = infoType(4)
	OIDCAKeyUpdateInfo   = infoType(5)
	OIDCurrentCRL        = infoType(6)
	OIDUnsupportedOIDs   = infoType(7)
	OIDKeyPairParamReq   = infoType(10)
	OIDKeyPairParamRep   = infoType(11)
	OIDRevPassphrase     = infoType(12)
	OIDImplicitConfirm   = infoType(13)
	OIDConfirmWaitTime   = infoType(14)
	OIDOrigPKIMessage    = infoType(15)
	OIDSuppLangTags      = infoType(16)
	OIDCACerts           = infoType(17)
	OIDRootCAKeyUpdate   = infoType(18)
	OIDCertReqTemplate   = infoType(19)
	OIDRootCACert        = infoType(20)
	OIDCertProfile       = infoType(21)
	OIDCRLStatusList     = infoType(22)
	OIDCRLs              = infoType(23)
	OIDKemCiphertextInfo = infoType(24)
)

func infoType(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 4, n} }

// info reads an InfoTypeAndValue. The values that steer a transaction are
// checked here, others by who asks for them.
func (d *decoder) info() Attribute {
	info := d.attribute("an InfoTypeAndValue", true)
	if !d.ok() {
		return info
	}
	value := &decoder{in: info.Value, err: d.err}
	switch {
	case info.OID.Equal(OIDImplicitConfirm):
		value.null("implicitConfirm")
		value.end("implicitConfirm")
	case info.OID.Equal(OIDConfirmWaitTime):
		value.time("confirmWaitTime")
		value.end("confirmWaitTime")
	case info.OID.Equal(OIDCertProfile):
		value.freeText()
		value.end("certProfile")
	}
	return info
}

// newInfo makes an InfoTypeAndValue with what fill adds.
func newInfo(oid asn1.ObjectIdentifier, fill func(*builder)) (Attribute, error) {
	value, err := encoded(fill)
	return Attribute{OID: oid, Value: value}, err
}

// ImplicitConfirmInfo asks for, or grants, that there is no certConf.
func ImplicitConfirmInfo() Attribute {
	return Attribute{OID: OIDImplicitConfirm, Value: []byte{byte(der.NULL), 0}}
}

// ConfirmWaitInfo says until when certConf is waited for.
func ConfirmWaitInfo(until time.Time) (Attribute, error) {
	return newInfo(OIDConfirmWaitTime, func(b *builder) { addTime(b, until.Truncate(time.Second)) })
}

// CertProfileInfo asks for certificates of profiles, one for each request.
func CertProfileInfo(names ...string) (Attribute, error) {
	return newInfo(OIDCertProfile, func(b *builder) { addTexts(b, names) })
}

// CertificatesInfo makes a value that is a list of certificates: caCerts.
// Without certificates there is no value.
func CertificatesInfo(oid asn1.ObjectIdentifier, certs []*x509.Certificate) (Attribute, error) {
	return listInfo(oid, rawOf(certs))
}

// CRLsInfo makes the value of crls; without CRLs there is none.
func CRLsInfo(crls [][]byte) (Attribute, error) { return listInfo(OIDCRLs, crls) }

func listInfo(oid asn1.ObjectIdentifier, elements [][]byte) (Attribute, error) {
	if len(elements) == 0 {
		return Attribute{OID: oid}, nil
	}
	return newInfo(oid, func(b *builder) { addCertificates(b, elements) })
}

// CertificateInfo makes a value that is one certificate: rootCaCert,
// caProtEncCert. A nil one makes no value.
func CertificateInfo(oid asn1.ObjectIdentifier, cert *x509.Certificate) Attribute {
	if cert == nil {
		return Attribute{OID: oid}
	}
	return Attribute{OID: oid, Value: cert.Raw}
}

// AlgorithmsInfo makes a value that is a list of algorithms: signKeyPairTypes,
// encKeyPairTypes.
func AlgorithmsInfo(oid asn1.ObjectIdentifier, algorithms []Algorithm) (Attribute, error) {
	return newInfo(oid, func(b *builder) {
		addList(b, algorithms, func(b *builder, a *Algorithm) { a.encode(b) })
	})
}

// AlgorithmInfo makes a value that is one algorithm: preferredSymmAlg,
// keyPairParamRep.
func AlgorithmInfo(oid asn1.ObjectIdentifier, a Algorithm) (Attribute, error) {
	return newInfo(oid, a.encode)
}

// parse reads the value with a function, which has to read all of it.
func (a *Attribute) parse(read func(*decoder)) error {
	if a.Value == nil {
		return nil
	}
	d := newDecoder(a.Value)
	read(d)
	d.end("the value of " + a.OID.String())
	return *d.err
}

// Elements returns the certificates or CRLs that the value lists, in DER; nil
// if there is no value.
func (a *Attribute) Elements() ([][]byte, error) {
	var all [][]byte
	err := a.parse(func(d *decoder) { all = d.certificates(1) })
	return all, err
}

// Certificates returns the certificates that the value lists; nil if there is
// no value.
func (a *Attribute) Certificates() ([]*x509.Certificate, error) {
	elements, err := a.Elements()
	if err != nil {
		return nil, err
	}
	return parseCertificates(elements)
}

// Certificate returns the certificate that the value is; nil if there is none.
func (a *Attribute) Certificate() (*x509.Certificate, error) {
	if a.Value == nil {
		return nil, nil
	}
	return parseCertificate(a.Value)
}

// Algorithms returns the algorithms that the value lists.
func (a *Attribute) Algorithms() ([]Algorithm, error) {
	var all []Algorithm
	err := a.parse(func(d *decoder) {
		d.each("a list of algorithms", 1, func(d *decoder) { all = append(all, d.algorithm("an algorithm")) })
	})
	return all, err
}

// Algorithm returns the algorithm that the value is; nil if there is none.
func (a *Attribute) Algorithm() (*Algorithm, error) {
	if a.Value == nil {
		return nil, nil
	}
	var out Algorithm
	err := a.parse(func(d *decoder) { out = d.algorithm("an algorithm") })
	return &out, err
}

// Texts returns the strings that the value lists: suppLangTags, certProfile.
func (a *Attribute) Texts() ([]string, error) {
	var all []string
	err := a.parse(func(d *decoder) { all = d.freeText() })
	return all, err
}

func rawOf(certs []*x509.Certificate) [][]byte {
	var raw [][]byte
	for _, cert := range certs {
		raw = append(raw, cert.Raw)
	}
	return raw
}

func parseCertificates(elements [][]byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for _, element := range elements {
		cert, err := parseCertificate(element)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func parseCertificate(element []byte) (*x509.Certificate, error) {
	if err := pki.CheckDER(element); err != nil {
		return nil, malformed("a certificate in the message is not in DER")
	}
	cert, err := x509.ParseCertificate(element)
	if err != nil {
		return nil, malformed("a certificate in the message is malformed")
	}
	return cert, nil
}
