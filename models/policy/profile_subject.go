// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/trustloom/trustloom/models/pki"
)

// subjectRules are the rules for each attribute of the subject; every known
// attribute has one.
type subjectRules struct {
	rules      map[string]*rule // by dotted OID
	rejectMods bool             // for attributes that are not known
	authority  bool             // of CAs: there is no device
}

// identities are the attributes that name a device: what the requester sends
// in them is kept only if it is the authenticated device's own.
var identities = map[string]func(Subject) string{
	oidSerialNumber: func(s Subject) string { return s.Device.SerialNumber },
	oidUserID:       func(s Subject) string { return s.Device.Name },
}

// impliedSerialNumber is the rule for serial_number in profiles that have none.
const impliedSerialNumber = text("{{device.serial_number}}")

func attributeKind(field entry) valueKind {
	return valueKind{multiple: field.multiple, templates: true, patterns: true, canonical: func(s string) (string, error) {
		return s, pki.CheckAttribute(pki.Attribute{OID: field.oid, Value: s})
	}}
}

func (s *subjectRules) parse(n *node, outer scope) error {
	own, members, err := readScope(n, outer, subjectAttributes)
	if err != nil {
		return err
	}
	s.rules, s.rejectMods = map[string]*rule{}, own.rejectMods
	for _, member := range members {
		field, ok := subjectAttributes.find(member.name)
		if !ok {
			return member.unknown(append([]string{"allow", "mutable", "reject_mods"}, subjectAttributes.canonicals()...)...)
		}
		if s.rules[field.oid] != nil {
			return member.errorf("there are two rules for %s", field.canonical)
		}
		r, err := parseRule(member, "subject "+field.canonical, attributeKind(field), own.inner(), nil)
		if err != nil {
			return err
		}
		s.rules[field.oid] = r
	}
	for _, field := range subjectAttributes {
		if s.rules[field.oid] == nil {
			s.rules[field.oid] = s.implied(field, own)
		}
		if !s.authority {
			s.rules[field.oid].identity = identities[field.oid]
		}
	}
	return nil
}

func (s *subjectRules) implied(field entry, within scope) *rule {
	r := &rule{label: "subject " + field.canonical, kind: attributeKind(field), rejectMods: within.rejectMods}
	switch {
	case field.oid == oidSerialNumber && !s.authority:
		r.value = []text{impliedSerialNumber}
	case !within.allows(field.canonical):
		r.absent = "the profile does not have it"
	}
	return r
}

// apply writes the subject of the certificate: the attributes in the
// conventional order, each in an RDN of its own.
func (s *subjectRules) apply(e *evaluation, csr *pki.CSR, template *x509.Certificate) error {
	asked, err := s.asked(e, csr)
	if err != nil {
		return err
	}
	var attributes []pki.Attribute
	for _, field := range subjectAttributes {
		values, err := s.rules[field.oid].apply(e, asked[field.oid])
		if err != nil {
			return err
		}
		for _, v := range values {
			attributes = append(attributes, pki.Attribute{OID: field.oid, Value: v})
		}
	}
	if template.RawSubject, err = pki.MarshalAttributes(attributes); err != nil {
		return err
	}
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(template.RawSubject, &rdns); err != nil {
		return fmt.Errorf("read the subject back: %w", err)
	}
	template.Subject.FillFromRDNSequence(&rdns)
	return nil
}

// SubjectText returns an encoded subject as RFC 4514 text; it is empty for
// what is no subject.
func SubjectText(rawSubject []byte) string {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(rawSubject, &rdns); err != nil {
		return ""
	}
	return rdns.String()
}

// asked collects the requested values of each known attribute, in their order.
func (s *subjectRules) asked(e *evaluation, csr *pki.CSR) (map[string][]string, error) {
	asked := map[string][]string{}
	for _, a := range csr.Request.Subject.Names {
		value, isText := a.Value.(string)
		oid := a.Type.String()
		if _, known := subjectAttributes.findOID(oid); known && isText {
			asked[oid] = append(asked[oid], value)
			continue
		}
		unknown := rule{label: "subject attribute " + oid, rejectMods: s.rejectMods}
		if err := unknown.leaveOut(e, []string{fmt.Sprint(a.Value)}, "it is not one that is issued"); err != nil {
			return nil, err
		}
	}
	return asked, nil
}
