// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// extensionRules are the rules for the extensions of RFC 5280 §4.2.1 that a
// profile decides on.
type extensionRules struct {
	keyUsage    *rule
	extKeyUsage *rule
	names       map[string]*rule // by the canonical name of the kind
	needsName   bool             // at least one alternative name
	noBasic     bool             // basicConstraints is left out
	rejectMods  bool             // for what has no rule
	critical    map[string]bool  // by dotted OID, where the document says so
	extraRules
	urls      urlRules
	authority *authorityRules // of profiles for CAs
}

// usuallyCritical is what crypto/x509 writes unless it is told otherwise;
// subjectAltName is also critical when the subject is empty.
var usuallyCritical = map[string]bool{oidKeyUsage: true, oidBasicConstraints: true, oidExtKeyUsage: false, oidSubjectAltName: false}

func (x *extensionRules) parse(n *node, outer scope) error {
	own, members, err := readScope(n, outer, extensionNames)
	if err != nil {
		return err
	}
	x.rejectMods, x.critical = own.rejectMods, map[string]bool{}
	seen := map[string]bool{}
	for _, member := range members {
		field, ok := extensionNames.find(member.name)
		if !ok {
			return member.unknown(append([]string{"allow", "mutable", "reject_mods"}, extensionNames.canonicals()...)...)
		}
		if seen[field.oid] {
			return member.errorf("there are two rules for %s", field.canonical)
		}
		seen[field.oid] = true
		if err := x.parseExtension(member, field, own); err != nil {
			return err
		}
	}
	return x.imply(own)
}

func (x *extensionRules) parseExtension(n *node, field entry, within scope) (err error) {
	critical := func(member *node) (bool, error) {
		if member.name != "critical" {
			return false, nil
		}
		value, err := member.boolean()
		x.critical[field.oid] = value
		return true, err
	}
	switch field.oid {
	case oidKeyUsage:
		x.keyUsage, err = parseRule(n, field.canonical, x.keyUsageKind(), within.inner(), critical)
	case oidCertificatePolicies:
		err = x.parsePolicies(n, within, critical)
	case oidNameConstraints:
		err = x.parseNameConstraints(n)
	case oidCRLPoints:
		err = x.urls.parseCRLs(n)
	case oidAuthorityInfo:
		err = x.urls.parseAuthorityInfo(n)
	case oidMicrosoftTemplate:
		x.microsoft, err = parseRule(n, field.canonical, microsoftKind, within.inner(), critical)
	case "":
		err = x.parseCustom(n, within)
	case oidExtKeyUsage:
		x.extKeyUsage, err = parseRule(n, field.canonical, extKeyUsageKind, within.inner(), critical)
	case oidSubjectAltName:
		err = x.parseNames(n, within, critical)
	case oidBasicConstraints:
		err = x.parseBasicConstraints(n, critical)
	}
	return err
}

func (x *extensionRules) keyUsageKind() valueKind {
	if x.authority != nil {
		return authorityUsageKind
	}
	return keyUsageKind
}

func (x *extensionRules) parseBasicConstraints(n *node, critical func(*node) (bool, error)) error {
	if x.noBasic = n.kind == kindNull; x.noBasic {
		return nil
	}
	if err := n.object(); err != nil {
		return err
	}
	for _, member := range n.members {
		known, err := critical(member)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		switch member.name {
		case "ca":
			err = x.parseCA(member)
		case "path_length":
			err = x.parsePathLength(member)
		default:
			err = member.unknown("ca", "critical", "path_length")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// imply adds the rules that the document leaves out.
func (x *extensionRules) imply(own scope) error {
	if x.keyUsage == nil {
		usage := []text{"digital_signature"}
		if x.authority != nil {
			usage = []text{"key_cert_sign", "crl_sign"}
		}
		x.keyUsage = &rule{label: "key_usage", kind: x.keyUsageKind(), rejectMods: own.rejectMods}
		if own.allows("key_usage") {
			x.keyUsage.byDefault = usage
		} else {
			x.keyUsage.value = usage
		}
	}
	if x.extKeyUsage == nil {
		x.extKeyUsage = &rule{label: "extended_key_usage", kind: extKeyUsageKind, rejectMods: own.rejectMods}
		if !own.allows("extended_key_usage") {
			x.extKeyUsage.absent = "the profile does not have it"
		}
	}
	absent := func(label string, kind valueKind) *rule {
		return &rule{label: label, kind: kind, rejectMods: own.rejectMods, absent: "the profile does not have it"}
	}
	if x.policies == nil {
		x.policies = absent("certificate_policies", policyKind)
	}
	if x.microsoft == nil {
		x.microsoft = absent("microsoft_template", microsoftKind)
	}
	if x.names == nil {
		within := own.inner()
		within.allowAll = own.allows("subject_alternative_name")
		x.implyNames(within, "the profile does not have it")
	}
	return nil
}

// parseNames reads the rules for subjectAltName.
func (x *extensionRules) parseNames(n *node, within scope, critical func(*node) (bool, error)) error {
	if n.kind == kindNull {
		x.implyNames(scope{rejectMods: within.rejectMods}, "the profile forbids it")
		return nil
	}
	own, members, err := readScope(n, within.inner(), alternativeNames)
	if err != nil {
		return err
	}
	x.names = map[string]*rule{}
	for _, member := range members {
		known, err := critical(member)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		if member.name == "required" {
			if x.needsName, err = member.boolean(); err != nil {
				return err
			}
			continue
		}
		if err := x.parseNameKind(member, own); err != nil {
			return err
		}
	}
	x.implyNames(own, "the profile does not have it")
	return nil
}

func (x *extensionRules) parseNameKind(n *node, own scope) error {
	field, ok := alternativeNames.find(n.name)
	if !ok {
		return n.unknown(append([]string{"allow", "critical", "mutable", "reject_mods", "required"}, alternativeNames.canonicals()...)...)
	}
	if x.names[field.canonical] != nil {
		return n.errorf("there are two rules for %s", field.canonical)
	}
	r, err := parseRule(n, nameLabel(field), nameKind(field), own.inner(), nil)
	x.names[field.canonical] = r
	return err
}

func (x *extensionRules) implyNames(own scope, absent string) {
	if x.names == nil {
		x.names = map[string]*rule{}
	}
	for _, field := range alternativeNames {
		if x.names[field.canonical] != nil {
			continue
		}
		r := &rule{label: nameLabel(field), kind: nameKind(field), rejectMods: own.rejectMods}
		if !own.allows(field.canonical) {
			r.absent = absent
		}
		x.names[field.canonical] = r
	}
}

func nameLabel(field entry) string { return "subject_alternative_name " + field.canonical }

func nameKind(field entry) valueKind {
	prefix := field.oid + ":"
	return valueKind{
		multiple: true, templates: true, patterns: field.oid != "ip" && field.oid != "hwmodule", fold: field.oid == "dns",
		canonical: func(s string) (string, error) {
			canonical, err := pki.CanonicalSAN(prefix + s)
			return strings.TrimPrefix(canonical, prefix), err
		},
	}
}

// applyNames writes the alternative names of the certificate.
func (x *extensionRules) applyNames(e *evaluation, csr *pki.CSR, template *x509.Certificate) error {
	asked := map[string][]string{}
	for _, name := range pki.RequestSANs(csr.Request) {
		kind, value, _ := strings.Cut(name, ":")
		asked[kind] = append(asked[kind], value)
	}
	var names []string
	for _, field := range alternativeNames {
		values, err := x.names[field.canonical].apply(e, asked[field.oid])
		if err != nil {
			return err
		}
		for _, v := range values {
			names = append(names, field.oid+":"+v)
		}
	}
	if x.needsName && len(names) == 0 {
		return models.Errorf(models.KindInvalid, "subject_alternative_name is required; ask for a name that the profile allows")
	}
	return x.setNames(template, names)
}

// setNames writes names into the fields of the template, and all of them into
// an encoded extension as well if there is one without a field.
func (x *extensionRules) setNames(template *x509.Certificate, names []string) error {
	encode := false
	for _, name := range names {
		kind, value, _ := strings.Cut(name, ":")
		fielded, err := addName(template, kind, value)
		if err != nil {
			return err
		}
		encode = encode || !fielded
	}
	if !encode {
		return nil
	}
	value, err := pki.MarshalSANs(slices.Sorted(slices.Values(names)))
	if err != nil {
		return err
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{
		Id: parseOID(oidSubjectAltName), Critical: x.critical[oidSubjectAltName] || len(template.Subject.Names) == 0, Value: value,
	})
	return nil
}

// addName reports whether the kind of name has a field.
func addName(template *x509.Certificate, kind, value string) (bool, error) {
	switch kind {
	case "dns":
		template.DNSNames = append(template.DNSNames, value)
	case "ip":
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(value))
	case "email":
		template.EmailAddresses = append(template.EmailAddresses, value)
	case "uri":
		uri, err := url.Parse(value)
		if err != nil {
			return false, err
		}
		template.URIs = append(template.URIs, uri)
	default:
		return false, nil
	}
	return true, nil
}

// setCriticality notes in Extensions where criticality is not the usual one.
func (x *extensionRules) setCriticality(template *x509.Certificate) {
	for _, field := range extensionNames {
		critical, said := x.critical[field.oid]
		_, written := usuallyCritical[field.oid]
		if said && written && critical != usuallyCritical[field.oid] {
			template.Extensions = append(template.Extensions, pkix.Extension{Id: parseOID(field.oid), Critical: critical})
		}
	}
}

// parseOID reads what is known to be a dotted object identifier.
func parseOID(dotted string) (oid asn1.ObjectIdentifier) {
	for arc := range strings.SplitSeq(dotted, ".") {
		n := 0
		for _, digit := range arc {
			n = n*10 + int(digit-'0')
		}
		oid = append(oid, n)
	}
	return oid
}
