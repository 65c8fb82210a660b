// SPDX-License-Identifier: MIT

package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// maxNameAttributes bounds the attributes of one distinguished name.
const maxNameAttributes = 30

// attribute describes what a name attribute may hold: its upper bound in
// characters (RFC 5280 appendix A.1, ITU-T X.520) and how it is encoded.
type attribute struct {
	oid       string
	label     string
	max       int
	printable bool // PrintableString is required
	single    bool // a second one would make the name ambiguous
}

var (
	country      = attribute{"2.5.4.6", "country (C)", 2, true, true}
	province     = attribute{"2.5.4.8", "state (ST)", 128, false, false}
	locality     = attribute{"2.5.4.7", "locality (L)", 128, false, false}
	organization = attribute{"2.5.4.10", "organization (O)", 64, false, false}
	unit         = attribute{"2.5.4.11", "organizational unit (OU)", 64, false, false}
	commonName   = attribute{"2.5.4.3", "common name (CN)", 64, false, true}
	serialNumber = attribute{"2.5.4.5", "serialNumber", 64, true, true}
)

var attributes = []attribute{
	country, province, locality, organization, unit, commonName, serialNumber,
	{"2.5.4.4", "surname", 64, false, false},
	{"2.5.4.42", "given name", 64, false, false},
	{"2.5.4.12", "title", 64, false, false},
	{"2.5.4.9", "street", 128, false, false},
	{"2.5.4.17", "postal code", 40, false, false},
	{"2.5.4.65", "pseudonym", 128, false, false},
	{"2.5.4.46", "dnQualifier", 64, false, false},
	{"0.9.2342.19200300.100.1.25", "domain component (DC)", 63, false, false},
	{"0.9.2342.19200300.100.1.1", "user ID (UID)", 256, false, false},
	{"1.2.840.113549.1.9.1", "e-mail address", 255, false, false},
}

// otherAttributeMax bounds attributes that are not in the table.
const otherAttributeMax = 256

func findAttribute(oid string) attribute {
	for _, a := range attributes {
		if a.oid == oid {
			return a
		}
	}
	return attribute{oid: oid, label: "attribute " + oid, max: otherAttributeMax}
}

// check returns KindInvalid unless value is permitted for the attribute.
func (a attribute) check(value string) error {
	if err := checkText("the "+a.label+" of the subject", value); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(value); n > a.max {
		return invalid("the %s of the subject has %d characters; at most %d are permitted", a.label, n, a.max)
	}
	if a.oid == country.oid && !(len(value) == 2 && isUpper(value[0]) && isUpper(value[1])) {
		return invalid("the country (C) %q is not a two-letter code in capitals (ISO 3166), such as DE", value)
	}
	return nil
}

func isUpper(b byte) bool { return 'A' <= b && b <= 'Z' }

// MarshalName returns the DER of n as an RDNSequence in the conventional
// order C, ST, L, O, OU, CN, serialNumber; empty fields are left out, so an
// empty n gives the empty sequence. C and serialNumber are PrintableString, all
// others UTF8String (RFC 5280 §4.1.2.4). It is KindInvalid, naming the field,
// for values that RFC 5280 appendix A.1 does not permit.
func MarshalName(n models.Name) ([]byte, error) {
	var present []Attribute
	for _, a := range []Attribute{
		{country.oid, n.Country}, {province.oid, n.State}, {locality.oid, n.Locality},
		{organization.oid, n.Organization}, {unit.oid, n.OrganizationalUnit},
		{commonName.oid, n.CommonName}, {serialNumber.oid, n.SerialNumber},
	} {
		if a.Value != "" {
			present = append(present, a)
		}
	}
	return MarshalAttributes(present)
}

func parseOID(s string) asn1.ObjectIdentifier {
	var oid asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(s, ".") {
		n := 0
		for _, digit := range arc {
			n = n*10 + int(digit-'0')
		}
		oid = append(oid, n)
	}
	return oid
}

// checkName checks the subject that a stranger asks for.
func checkName(rdnSequence []byte) error {
	in := cryptobyte.String(rdnSequence)
	var rdns cryptobyte.String
	if !in.ReadASN1(&rdns, der.SEQUENCE) || !in.Empty() {
		return invalid("the subject is malformed")
	}
	seen := map[string]bool{}
	count := 0
	for !rdns.Empty() {
		var rdn cryptobyte.String
		if !rdns.ReadASN1(&rdn, der.SET) || rdn.Empty() {
			return invalid("the subject is malformed")
		}
		for !rdn.Empty() {
			if count++; count > maxNameAttributes {
				return invalid("the subject has more than %d attributes", maxNameAttributes)
			}
			if err := checkNameAttribute(&rdn, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkNameAttribute(rdn *cryptobyte.String, seen map[string]bool) error {
	var pair, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	var tag der.Tag
	if !rdn.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) ||
		!pair.ReadAnyASN1(&value, &tag) || !pair.Empty() {
		return invalid("the subject is malformed")
	}
	a := findAttribute(oid.String())
	if a.single && seen[a.oid] {
		return invalid("the subject has more than one %s", a.label)
	}
	seen[a.oid] = true
	text, err := decodeText(tag, value)
	if err != nil {
		return invalid("the %s of the subject %s", a.label, err)
	}
	return a.check(text)
}

// SubjectSerialNumber returns the serialNumber attribute (2.5.4.5) of the
// certificate's subject, which names the device in an IDevID (IEEE 802.1AR
// §8.6). It is empty if the subject has none, or more than one.
func SubjectSerialNumber(cert *x509.Certificate) string {
	found, count := "", 0
	for _, a := range cert.Subject.Names {
		if a.Type.String() == serialNumber.oid {
			found, _ = a.Value.(string)
			count++
		}
	}
	if count != 1 {
		return ""
	}
	return found
}

// SameSubjectAndSAN returns nil if the request asks for the subject and the
// subjectAltName of the certificate that it renews, and KindDenied naming the
// difference otherwise (RFC 7030 §4.2.2). String types are not compared.
func SameSubjectAndSAN(csr *CSR, cert *x509.Certificate) error {
	if !sameName(csr.Request.RawSubject, cert.RawSubject) {
		return denied("the request asks for the subject %q, but the certificate has %q; renew with the same subject",
			csr.Request.Subject.String(), cert.Subject.String())
	}
	asked := RequestSANs(csr.Request)
	has := SANs(cert)
	for _, name := range asked {
		if !slices.Contains(has, name) {
			return denied("the request asks for the alternative name %q, which the certificate does not have", name)
		}
	}
	for _, name := range has {
		if !slices.Contains(asked, name) {
			return denied("the certificate has the alternative name %q, which the request leaves out", name)
		}
	}
	return nil
}

// sameName compares two encoded names attribute by attribute, in order.
func sameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var left, right pkix.RDNSequence
	if _, err := asn1.Unmarshal(a, &left); err != nil {
		return false
	}
	if _, err := asn1.Unmarshal(b, &right); err != nil {
		return false
	}
	return slices.EqualFunc(left, right, func(x, y pkix.RelativeDistinguishedNameSET) bool {
		return slices.EqualFunc(x, y, func(p, q pkix.AttributeTypeAndValue) bool {
			return p.Type.Equal(q.Type) && fmt.Sprintf("%T%v", p.Value, p.Value) == fmt.Sprintf("%T%v", q.Value, q.Value)
		})
	})
}
