// SPDX-License-Identifier: MIT

package policy

import (
	"encoding/asn1"
	"slices"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Wanted returns what a request should contain so that the profile issues it as
// it is (RFC 7030 §4.5, RFC 9908): the kind of key, the attributes of the
// subject that the profile sets for who or that the device has to bring, a
// place for alternative names where one is required, and the purposes. What
// the device may leave to the server is not in it. who may know the domain
// only; then what depends on the device is left out.
func (p *Profile) Wanted(who Subject) pki.CSRAttrs {
	wanted := pki.CSRAttrs{Key: p.keys.preferred()}
	for _, field := range subjectAttributes {
		r := p.subject.rules[field.oid]
		if r == nil || r.absent != "" {
			continue
		}
		for _, value := range r.settled(who) {
			wanted.Subject = append(wanted.Subject, pki.Attribute{OID: field.oid, Value: value})
		}
	}
	if usages := p.extensions.extKeyUsage.purposes(); len(usages) > 0 {
		if value, err := asn1.Marshal(usages); err == nil {
			wanted.Extensions = append(wanted.Extensions, pki.ExtensionTemplate{OID: oidExtKeyUsage, Critical: p.extensions.critical[oidExtKeyUsage], Value: value})
		}
	}
	named := slices.ContainsFunc(alternativeNames, func(kind entry) bool {
		r := p.extensions.names[kind.canonical]
		return r != nil && r.absent == "" && r.required && r.value == nil && r.byDefault == nil
	})
	if p.extensions.needsName || named {
		wanted.Extensions = append(wanted.Extensions, pki.ExtensionTemplate{OID: oidSubjectAltName, Critical: p.extensions.critical[oidSubjectAltName]})
	}
	return wanted
}

// settled returns the values that the profile sets for who; a value that the
// device has to bring is empty.
func (r *rule) settled(who Subject) []string {
	switch {
	case r.value != nil && !r.mutable:
		values, _ := r.resolve(&evaluation{who: who}, r.value) // what is not possible is not asked for
		return values
	case r.required && r.value == nil && r.byDefault == nil:
		return []string{""}
	}
	return nil
}

// purposes returns the extended key usages that the profile gives by itself.
func (r *rule) purposes() (oids []asn1.ObjectIdentifier) {
	if r == nil || r.absent != "" {
		return nil
	}
	own := r.value
	if own == nil {
		own = r.byDefault
	}
	for _, usage := range own {
		oid := string(usage)
		if named, ok := extendedKeyUsages.find(oid); ok {
			oid = named.oid
		}
		oids = append(oids, parseOID(oid))
	}
	return oids
}

// preferred returns the kind of key that a device should make: the first of
// the list, or the smallest of the family; empty if any will do.
func (k keyRules) preferred() models.KeyAlgorithm {
	switch {
	case len(k.algorithms) > 0:
		return k.algorithms[0]
	case len(k.families) == 0:
		return ""
	case k.families[0] == "EC":
		return models.ECP256
	}
	for _, size := range []struct {
		bits int
		name models.KeyAlgorithm
	}{{2048, models.RSA2048}, {3072, models.RSA3072}, {4096, models.RSA4096}, {8192, models.RSA8192}} {
		if size.bits >= k.minRSA && (k.maxRSA == 0 || size.bits <= k.maxRSA) {
			return size.name
		}
	}
	return ""
}
