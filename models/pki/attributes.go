// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
	"strings"
)

// Attribute is one attribute of a subject.
type Attribute struct {
	OID   string // dotted
	Value string
}

// ia5Attributes are the ones that RFC 5280 appendix A.1 and RFC 4519 §2.4
// define as IA5String.
var ia5Attributes = []string{"0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1"}

// tag returns the string type in which the attribute is written.
func (a attribute) tag() int {
	switch {
	case a.printable:
		return asn1.TagPrintableString
	case slices.Contains(ia5Attributes, a.oid):
		return asn1.TagIA5String
	}
	return asn1.TagUTF8String
}

// CheckAttribute returns KindInvalid, naming the attribute, unless its value
// is one that a subject may have (RFC 5280 appendix A.1).
func CheckAttribute(a Attribute) error {
	found := findAttribute(a.OID)
	if err := found.check(a.Value); err != nil {
		return err
	}
	switch tag := found.tag(); {
	case tag == asn1.TagPrintableString && !isPrintable(a.Value):
		return invalid("the %s %q may have letters, digits, spaces and '()+,-./:=? only", found.label, a.Value)
	case tag == asn1.TagIA5String && !isASCII(a.Value):
		return invalid("the %s %q may have ASCII characters only", found.label, a.Value)
	}
	return nil
}

// MarshalAttributes returns the DER of a subject: an RDNSequence with one
// attribute per RDN, in the order given; without attributes it is the empty
// sequence. Country and serialNumber are PrintableString, domain component and
// e-mail address IA5String, all others UTF8String (RFC 5280 §4.1.2.4). It is
// KindInvalid for values that CheckAttribute refuses.
func MarshalAttributes(attributes []Attribute) ([]byte, error) {
	if len(attributes) > maxNameAttributes {
		return nil, invalid("the subject has more than %d attributes", maxNameAttributes)
	}
	rdns := pkix.RDNSequence{}
	for _, a := range attributes {
		if err := CheckAttribute(a); err != nil {
			return nil, err
		}
		rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{
			Type:  parseOID(a.OID),
			Value: asn1.RawValue{Tag: findAttribute(a.OID).tag(), Bytes: []byte(a.Value)},
		}})
	}
	name, err := asn1.Marshal(rdns)
	if err != nil {
		return nil, fault("encode the subject").Because(err)
	}
	return name, nil
}

// CanonicalSAN returns an alternative name, written as SANs writes it ("dns:",
// "ip:", "uri:", "email:", "upn:", "hwmodule:OID:" or "other:OID:" and the
// name), in its canonical form: DNS names in
// lower case, addresses as RFC 5952 prints them. It is KindInvalid for names
// that are not issued.
func CanonicalSAN(name string) (string, error) {
	kind, value, _ := strings.Cut(name, ":")
	switch kind {
	case "dns":
		return "dns:" + strings.ToLower(value), checkDNSName(value)
	case "email":
		return name, checkEmail(value)
	case "uri":
		return name, checkURI(value)
	case kindUPN, kindHardware, kindOther:
		return canonicalOtherName(name)
	case "ip":
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Zone() != "" {
			return "", invalid("%q is not an IP address", value)
		}
		return "ip:" + addr.String(), checkIP(addr.AsSlice())
	}
	return "", invalid("%q is not a kind of alternative name that is issued", kind)
}
