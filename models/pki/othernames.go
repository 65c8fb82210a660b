// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The kinds of otherName (RFC 5280 §4.2.1.6) that are issued, as SANs writes
// them: "upn:user@realm", "hwmodule:OID:hex" and "other:OID:text".
const (
	kindUPN      = "upn"
	kindHardware = "hwmodule"
	kindOther    = "other"
)

// The types of otherName with a syntax of their own. Every other one is a
// UTF8String.
var (
	oidUserPrincipalName  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidHardwareModuleName = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4} // RFC 4108 §5
)

const (
	maxOtherName    = 256 // characters
	maxModuleSerial = 64  // octets
)

var tagOtherName = der.Tag(0).ContextSpecific().Constructed()

// readOtherName returns the contents of an otherName as SANs writes it.
func readOtherName(contents []byte) (string, error) {
	in := cryptobyte.String(contents)
	var oid asn1.ObjectIdentifier
	var explicit, value cryptobyte.String
	var tag der.Tag
	if !in.ReadASN1ObjectIdentifier(&oid) || !in.ReadASN1(&explicit, tagOtherName) || !in.Empty() ||
		!explicit.ReadAnyASN1(&value, &tag) || !explicit.Empty() {
		return "", invalid("an otherName of the subjectAltName is malformed")
	}
	var name string
	switch {
	case oid.Equal(oidHardwareModuleName):
		var module asn1.ObjectIdentifier
		var serial cryptobyte.String
		if tag != der.SEQUENCE || !value.ReadASN1ObjectIdentifier(&module) || !value.ReadASN1(&serial, der.OCTET_STRING) || !value.Empty() {
			return "", invalid("a hardwareModuleName of the subjectAltName is malformed (RFC 4108 §5)")
		}
		name = kindHardware + ":" + module.String() + ":" + hex.EncodeToString(serial)
	case tag != der.UTF8String:
		return "", invalid("the otherName %s of the subjectAltName is not a UTF8String; other types are not issued", oid)
	case oid.Equal(oidUserPrincipalName):
		name = kindUPN + ":" + string(value)
	default:
		name = kindOther + ":" + oid.String() + ":" + string(value)
	}
	return canonicalOtherName(name)
}

// canonicalOtherName checks a name as SANs writes it.
func canonicalOtherName(name string) (string, error) {
	kind, rest, _ := strings.Cut(name, ":")
	if kind == kindUPN {
		return name, checkUPN(rest)
	}
	dotted, value, found := strings.Cut(rest, ":")
	oid, ok := ParseOID(dotted)
	if !found || !ok {
		return "", invalid("%q is not an object identifier, a colon and a value", rest)
	}
	if kind == kindHardware {
		serial, err := hex.DecodeString(value)
		if err != nil || len(serial) == 0 || len(serial) > maxModuleSerial {
			return "", invalid("the serial number of the hardware module %q is not 1 to %d octets in hex", value, maxModuleSerial)
		}
		return kind + ":" + dotted + ":" + strings.ToLower(value), nil
	}
	if oid.Equal(oidUserPrincipalName) || oid.Equal(oidHardwareModuleName) {
		return "", invalid("the otherName %s has a kind of its own; ask for it as that", dotted)
	}
	return name, checkOtherText("otherName "+dotted, value)
}

func checkOtherText(what, value string) error {
	if err := checkText("the "+what, value); err != nil {
		return err
	}
	if utf8.RuneCountInString(value) > maxOtherName {
		return invalid("the %s has more than %d characters", what, maxOtherName)
	}
	return nil
}

// checkUPN accepts name@realm, which need not be ASCII.
func checkUPN(name string) error {
	if err := checkOtherText("user principal name", name); err != nil {
		return err
	}
	local, realm, found := strings.Cut(name, "@")
	if !found || local == "" || realm == "" || strings.ContainsAny(name, " \"<>") || strings.Contains(realm, "@") {
		return invalid("the user principal name %q is not of the form name@realm", name)
	}
	return nil
}

// ParseOID reads a dotted object identifier whose arcs fit 31 bits. It
// reports false for anything else, leading zeros included.
func ParseOID(dotted string) (asn1.ObjectIdentifier, bool) {
	if len(dotted) > 128 {
		return nil, false
	}
	var oid asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != arc {
			return nil, false
		}
		oid = append(oid, int(n))
	}
	valid := len(oid) >= 2 && oid[0] <= 2 && (oid[0] == 2 || oid[1] < 40)
	return oid, valid
}

// otherNamesOf returns the otherNames among encoded GeneralNames, as SANs
// writes them. What is malformed was refused when it came in.
func otherNamesOf(generalNames []byte) (names []string) {
	in := cryptobyte.String(generalNames)
	var list cryptobyte.String
	if !in.ReadASN1(&list, der.SEQUENCE) {
		return nil
	}
	for !list.Empty() {
		var contents cryptobyte.String
		var tag der.Tag
		if !list.ReadAnyASN1(&contents, &tag) {
			return names
		}
		if tag != tagOtherName {
			continue
		}
		if name, err := readOtherName(contents); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func otherNamesIn(extensions []pkix.Extension) []string {
	for _, e := range extensions {
		if e.Id.Equal(oidSubjectAltName) && len(e.Value) > 0 {
			return otherNamesOf(e.Value)
		}
	}
	return nil
}

// RequestSANs returns the alternative names that are asked for, as SANs
// writes them.
func RequestSANs(request *x509.CertificateRequest) []string {
	names := append(sanStrings(request.DNSNames, request.EmailAddresses, request.IPAddresses, request.URIs),
		otherNamesIn(request.Extensions)...)
	slices.Sort(names)
	return names
}

// MarshalSANs returns the value of a subjectAltName extension with the names
// as SANs writes them, in their order. It is KindInvalid for names that
// CanonicalSAN refuses.
func MarshalSANs(names []string) ([]byte, error) {
	var b cryptobyte.Builder
	var failure error
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, name := range names {
			canonical, err := CanonicalSAN(name)
			if err != nil {
				failure = err
				return
			}
			addGeneralName(b, canonical)
		}
	})
	value, err := b.Bytes()
	if failure != nil {
		return nil, failure
	}
	if err != nil {
		return nil, fault("encode the alternative names").Because(err)
	}
	return value, nil
}

func addGeneralName(b *cryptobyte.Builder, name string) {
	kind, value, _ := strings.Cut(name, ":")
	text := func(choice der.Tag) {
		b.AddASN1(choice.ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
	}
	switch kind {
	case "dns":
		text(choiceDNS)
	case "email":
		text(choiceEmail)
	case "uri":
		text(choiceURI)
	case "ip":
		ip := net.ParseIP(value)
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		b.AddASN1(der.Tag(choiceIP).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(ip) })
	default:
		addOtherName(b, kind, value)
	}
}

func addOtherName(b *cryptobyte.Builder, kind, value string) {
	oid, write := oidUserPrincipalName, func(b *cryptobyte.Builder) {
		b.AddASN1(der.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
	}
	if kind != kindUPN {
		var dotted string
		dotted, value, _ = strings.Cut(value, ":")
		oid, _ = ParseOID(dotted)
	}
	if kind == kindHardware {
		module, serial := oid, unhex(value)
		oid, write = oidHardwareModuleName, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(module)
				b.AddASN1OctetString(serial)
			})
		}
	}
	b.AddASN1(tagOtherName, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(tagOtherName, write)
	})
}
