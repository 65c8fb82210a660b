// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// extraRules are the rules for extensions that are encoded here. The requester
// gets of them only what the rules name.
type extraRules struct {
	policies   *rule // certificatePolicies (RFC 5280 §4.2.1.4)
	qualifiers map[string]qualifier
	microsoft  *rule // the certificate template of [MS-WCCE] §2.2.2.7.7
	custom     []customRule
}

type customRule struct {
	oid  string
	rule *rule
}

// qualifier is what a profile says about a certificate policy.
type qualifier struct {
	cps    string
	notice string
}

const (
	maxCustom      = 16
	maxCustomValue = 8 << 10 // octets
	maxNotice      = 200     // characters, RFC 5280 §4.2.1.4
)

// unissued are the extensions that no document sets by hand: those with
// members of their own, those that are the issuer's, and those that would give
// a certificate power that the rest of the system does not know about.
var unissued = map[string]string{
	oidMicrosoftTemplate:      "use microsoft_template",
	oidMicrosoftName:          "use microsoft_template",
	oidAuthorityInfo:          "use authority_info_access",
	"1.3.6.1.5.5.7.1.14":      "proxy certificates are not issued (RFC 3820)",
	"1.3.6.1.5.5.7.48.1.5":    "OCSP responders of a CA get their certificates from it, not by a profile",
	"1.3.6.1.4.1.11129.2.4.2": "certificates are not logged (RFC 6962)",
	"1.3.6.1.4.1.11129.2.4.3": "certificates are not logged (RFC 6962)",
}

func customKind(oid string) valueKind {
	return valueKind{templates: true, explicit: true, canonical: func(s string) (string, error) { return canonicalContent(oid, s) }}
}

// canonicalContent returns the content of an extension as "hex:…".
func canonicalContent(oid, s string) (string, error) {
	encoding, rest, _ := strings.Cut(s, ":")
	var value []byte
	var err error
	switch encoding {
	case "hex":
		value, err = hex.DecodeString(rest)
	case "base64":
		value, err = base64.StdEncoding.Strict().DecodeString(rest)
	case "utf8":
		value, err = asn1.MarshalWithParams(rest, "utf8")
	default:
		return "", models.Errorf(models.KindInvalid, "the content of the extension %s begins with hex:, base64: or utf8:", oid)
	}
	if err != nil || len(value) == 0 || len(value) > maxCustomValue {
		return "", models.Errorf(models.KindInvalid, "the content of the extension %s is not 1 to %d octets in %s", oid, maxCustomValue, encoding).Because(err)
	}
	if err := pki.CheckDER(value); err != nil {
		return "", models.Errorf(models.KindInvalid, "the content of the extension %s is not in DER: %s", oid, models.PublicText(err)).Because(err)
	}
	return "hex:" + hex.EncodeToString(value), nil
}

var policyKind = valueKind{multiple: true, explicit: true, canonical: func(s string) (string, error) {
	if _, ok := pki.ParseOID(s); !ok {
		return "", models.Errorf(models.KindInvalid, "the certificate policy %q is not a dotted object identifier", s)
	}
	if s == oidAnyPolicy {
		return "", models.Errorf(models.KindInvalid, "name the policies; anyPolicy is not issued")
	}
	return s, nil
}}

var microsoftKind = valueKind{explicit: true, canonical: func(s string) (string, error) {
	if len(s) > 128 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", models.Errorf(models.KindInvalid, "the Microsoft template %.64q is neither a short name nor an object identifier", s)
	}
	dotted, versions, versioned := strings.Cut(s, ":")
	if _, ok := pki.ParseOID(dotted); !ok {
		if versioned {
			return "", models.Errorf(models.KindInvalid, "the Microsoft template %q is not an object identifier with major and minor version, such as 1.3.6.1.4.1.311.21.8.1.2:100:3", s)
		}
		return s, nil // the name of a template of version 1
	}
	for version := range strings.SplitSeq(versions, ":") {
		if _, err := strconv.ParseUint(version, 10, 31); versioned && err != nil || strings.Count(versions, ":") > 1 {
			return "", models.Errorf(models.KindInvalid, "the Microsoft template %q has more or other versions than major and minor", s)
		}
	}
	return s, nil
}}

func (x *extensionRules) parsePolicies(n *node, within scope, critical func(*node) (bool, error)) (err error) {
	x.qualifiers = map[string]qualifier{}
	kind := policyKind
	kind.read = func(item *node) (string, error) { return x.readPolicy(item) }
	x.policies, err = parseRule(n, "certificate_policies", kind, within.inner(), critical)
	return err
}

// readPolicy reads an identifier, or an object of one and its qualifiers.
func (x *extensionRules) readPolicy(n *node) (string, error) {
	if n.kind != kindObject {
		return n.str()
	}
	texts := map[string]string{}
	for _, member := range n.members {
		if !slices.Contains([]string{"oid", "cps", "user_notice"}, member.name) {
			return "", member.unknown("oid", "cps", "user_notice")
		}
		text, err := member.str()
		if err != nil {
			return "", err
		}
		texts[member.name] = text
	}
	q := qualifier{texts["cps"], texts["user_notice"]}
	if q.cps != "" {
		if _, err := pki.CanonicalSAN("uri:" + q.cps); err != nil {
			return "", n.errorf("cps: %s", models.PublicText(err))
		}
	}
	if len([]rune(q.notice)) > maxNotice || pki.CheckText(q.notice) != nil && q.notice != "" {
		return "", n.errorf("user_notice must have at most %d visible characters", maxNotice)
	}
	oid := texts["oid"]
	if oid == "" {
		return "", n.errorf("oid is missing")
	}
	if known, twice := x.qualifiers[oid]; twice && known != q {
		return "", n.errorf("policy %s has other qualifiers elsewhere", oid)
	}
	if q != (qualifier{}) {
		x.qualifiers[oid] = q
	}
	return oid, nil
}

// parseCustom reads the extensions that the document encodes itself.
func (x *extensionRules) parseCustom(n *node, within scope) error {
	if err := n.object(); err != nil {
		return err
	}
	if len(n.members) > maxCustom {
		return n.errorf("has more than %d extensions", maxCustom)
	}
	for _, member := range n.members {
		oid := member.name
		if _, ok := pki.ParseOID(oid); !ok {
			return member.errorf("is not a dotted object identifier")
		}
		if strings.HasPrefix(oid, "2.5.29.") {
			return member.errorf("standard extensions have members of their own, or are the issuer's")
		}
		if reason := unissued[oid]; reason != "" {
			return member.errorf("%s", reason)
		}
		r, err := parseRule(member, "extension "+oid, customKind(oid), within.inner(), func(m *node) (bool, error) {
			if m.name != "critical" {
				return false, nil
			}
			critical, err := m.boolean()
			x.critical[oid] = critical
			return true, err
		})
		if err != nil {
			return err
		}
		if r.absent == "" && r.value == nil && r.byDefault == nil && r.allow == nil {
			return member.errorf("needs a value, a default or a list in allow; a requester does not choose what is in it")
		}
		x.custom = append(x.custom, customRule{oid, r})
	}
	return nil
}

// applyExtras writes the extensions that are encoded here.
func (x *extensionRules) applyExtras(e *evaluation, w *wish, template *x509.Certificate) error {
	if err := x.applyPolicies(e, w, template); err != nil {
		return err
	}
	if err := x.applyMicrosoft(e, w, template); err != nil {
		return err
	}
	for _, c := range x.custom {
		var asked []string
		if value, wanted := w.take(c.oid); wanted {
			asked = []string{"hex:" + hex.EncodeToString(value)}
		}
		values, err := c.rule.apply(e, asked)
		if err != nil {
			return err
		}
		for _, v := range values {
			value, _ := hex.DecodeString(strings.TrimPrefix(v, "hex:")) // canonical
			x.add(template, c.oid, value)
		}
	}
	return nil
}

func (x *extensionRules) add(template *x509.Certificate, dotted string, value []byte) {
	oid, _ := pki.ParseOID(dotted)
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oid, Critical: x.critical[dotted], Value: value})
}

// policyInformation is PolicyInformation of RFC 5280 §4.2.1.4.
type policyInformation struct {
	Policy     asn1.ObjectIdentifier
	Qualifiers []asn1.RawValue `asn1:"optional,omitempty"`
}

func (x *extensionRules) applyPolicies(e *evaluation, w *wish, template *x509.Certificate) error {
	var asked []string
	if value, wanted := w.take(oidCertificatePolicies); wanted {
		var requested []policyInformation
		if err := unmarshal(pkix.Extension{Value: value}, "certificate_policies", &requested); err != nil {
			return err
		}
		for _, p := range requested {
			asked = append(asked, p.Policy.String())
		}
	}
	oids, err := x.policies.apply(e, asked)
	if err != nil || len(oids) == 0 {
		return err
	}
	var written []policyInformation
	for _, dotted := range oids {
		oid, _ := pki.ParseOID(dotted)
		qualifiers, err := x.qualifiers[dotted].marshal()
		if err != nil {
			return err
		}
		written = append(written, policyInformation{oid, qualifiers})
	}
	value, err := asn1.Marshal(written)
	if err != nil {
		return fmt.Errorf("encode certificate policies: %w", err)
	}
	x.add(template, oidCertificatePolicies, value)
	return nil
}

func (q qualifier) marshal() (encoded []asn1.RawValue, err error) {
	add := func(info any) {
		der, failure := asn1.Marshal(info)
		if failure != nil {
			err = fmt.Errorf("encode policy qualifier: %w", failure)
		}
		encoded = append(encoded, asn1.RawValue{FullBytes: der})
	}
	if q.cps != "" {
		add(struct {
			ID  asn1.ObjectIdentifier
			URI string `asn1:"ia5"`
		}{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 1}, q.cps})
	}
	if q.notice != "" {
		type userNotice struct {
			Text string `asn1:"utf8"`
		}
		add(struct {
			ID     asn1.ObjectIdentifier
			Notice userNotice
		}{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 2}, userNotice{q.notice}})
	}
	return encoded, err
}

func (x *extensionRules) applyMicrosoft(e *evaluation, w *wish, template *x509.Certificate) error {
	var asked []string
	for _, oid := range []string{oidMicrosoftTemplate, oidMicrosoftName} {
		value, wanted := w.take(oid)
		if !wanted {
			continue
		}
		name, err := readMicrosoft(oid, value)
		if err != nil {
			return err
		}
		asked = append(asked, name)
	}
	names, err := x.microsoft.apply(e, asked)
	if err != nil || len(names) == 0 {
		return err
	}
	oid, value, err := marshalMicrosoft(names[0])
	if err != nil {
		return err
	}
	template.ExtraExtensions = append(template.ExtraExtensions,
		pkix.Extension{Id: parseOID(oid), Critical: x.critical[oidMicrosoftTemplate], Value: value})
	return nil
}

// readMicrosoft returns the template that an extension names, as documents do.
func readMicrosoft(oid string, value []byte) (string, error) {
	extension := pkix.Extension{Value: value}
	if oid == oidMicrosoftTemplate {
		var template struct {
			ID    asn1.ObjectIdentifier
			Major int `asn1:"optional,default:-1"`
			Minor int `asn1:"optional,default:-1"`
		}
		if err := unmarshal(extension, "microsoft_template", &template); err != nil {
			return "", err
		}
		name := template.ID.String()
		for _, version := range []int{template.Major, template.Minor} {
			if version >= 0 {
				name += ":" + strconv.Itoa(version)
			}
		}
		return name, nil
	}
	var raw asn1.RawValue
	if err := unmarshal(extension, "microsoft_template", &raw); err != nil || raw.Tag != asn1.TagBMPString || len(raw.Bytes)%2 != 0 {
		return "", models.Errorf(models.KindInvalid, "the requested extension microsoft_template is malformed").Because(err)
	}
	units := make([]uint16, len(raw.Bytes)/2)
	for i := range units {
		units[i] = uint16(raw.Bytes[2*i])<<8 | uint16(raw.Bytes[2*i+1])
	}
	return string(utf16.Decode(units)), nil
}

func marshalMicrosoft(name string) (oid string, value []byte, err error) {
	dotted, versions, _ := strings.Cut(name, ":")
	id, isOID := pki.ParseOID(dotted)
	if !isOID {
		var bmp []byte
		for _, unit := range utf16.Encode([]rune(name)) {
			bmp = append(bmp, byte(unit>>8), byte(unit))
		}
		value, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagBMPString, Bytes: bmp})
		return oidMicrosoftName, value, err
	}
	fields := []any{id}
	for version := range strings.SplitSeq(versions, ":") {
		if number, err := strconv.Atoi(version); err == nil {
			fields = append(fields, number)
		}
	}
	var content []byte
	for _, field := range fields {
		der, err := asn1.Marshal(field)
		if err != nil {
			return "", nil, fmt.Errorf("encode Microsoft template: %w", err)
		}
		content = append(content, der...)
	}
	value, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: content})
	return oidMicrosoftTemplate, value, err
}
