// SPDX-License-Identifier: MIT

package policy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

var keyUsageKind = valueKind{multiple: true, canonical: func(s string) (string, error) {
	usage, ok := keyUsages.find(s)
	if !ok {
		return "", models.Errorf(models.KindInvalid, "unknown key usage %q; known are %s", s, strings.Join(keyUsages.canonicals(), ", "))
	}
	return unreserved(usage.canonical)
}}

var extKeyUsageKind = valueKind{multiple: true, canonical: func(s string) (string, error) {
	if usage, ok := extendedKeyUsages.find(s); ok {
		return unreserved(usage.canonical)
	}
	if !dottedOID.MatchString(s) {
		return "", models.Errorf(models.KindInvalid, "unknown extended key usage %q; known are %s and dotted object identifiers",
			s, strings.Join(extendedKeyUsages.canonicals(), ", "))
	}
	return s, nil
}}

// authorityUsageKind is keyUsageKind of profiles for CAs.
var authorityUsageKind = valueKind{multiple: true, canonical: func(s string) (string, error) {
	if usage, ok := keyUsages.find(s); ok && (usage.canonical == "key_cert_sign" || usage.canonical == "crl_sign") {
		return usage.canonical, nil
	}
	return keyUsageKind.canonical(s)
}}

func unreserved(usage string) (string, error) {
	if reason := reserved[usage]; reason != "" {
		return "", models.Errorf(models.KindInvalid, "%s: %s", usage, reason)
	}
	return usage, nil
}

// wish is what a request says about the extensions that have no fields in
// x509.CertificateRequest.
type wish struct {
	keyUsages    []string
	extKeyUsages []string
	ca           bool
	others       []pkix.Extension // whatever else is asked for
}

// take returns the value of an extension that is asked for and counts it as
// seen to.
func (w *wish) take(oid string) (value []byte, wanted bool) {
	i := slices.IndexFunc(w.others, func(e pkix.Extension) bool { return e.Id.String() == oid })
	if i < 0 {
		return nil, false
	}
	value = w.others[i].Value
	w.others = slices.Delete(w.others, i, i+1)
	return value, true
}

// wishOf reads the requested extensions (RFC 2985 §5.4.2).
func wishOf(csr *pki.CSR) (*wish, error) {
	w := &wish{}
	for _, extension := range csr.Request.Extensions {
		var err error
		switch oid := extension.Id.String(); oid {
		case oidKeyUsage:
			w.keyUsages, err = readKeyUsage(extension)
		case oidExtKeyUsage:
			w.extKeyUsages, err = readExtKeyUsage(extension)
		case oidBasicConstraints:
			w.ca, err = readBasicConstraints(extension)
		case oidSubjectAltName, oidSubjectKeyID: // read elsewhere; always of our own making
		default:
			w.others = append(w.others, extension)
		}
		if err != nil {
			return nil, err
		}
	}
	return w, nil
}

// fill takes the usages of the certificate that is renewed where the request
// asks for none.
func (w *wish) fill(old *x509.Certificate) {
	for _, extension := range old.Extensions {
		switch {
		case extension.Id.String() == oidKeyUsage && w.keyUsages == nil:
			w.keyUsages, _ = readKeyUsage(extension)
		case extension.Id.String() == oidExtKeyUsage && w.extKeyUsages == nil:
			w.extKeyUsages, _ = readExtKeyUsage(extension)
		}
	}
}

// unmarshal reads an extension's value completely.
func unmarshal(extension pkix.Extension, name string, into any) error {
	rest, err := asn1.Unmarshal(extension.Value, into)
	if err != nil || len(rest) > 0 {
		return models.Errorf(models.KindInvalid, "the requested extension %s is malformed", name).Because(err)
	}
	return nil
}

func readKeyUsage(extension pkix.Extension) ([]string, error) {
	var bits asn1.BitString
	if err := unmarshal(extension, "key_usage", &bits); err != nil {
		return nil, err
	}
	var usages []string
	for i, usage := range keyUsages {
		if bits.At(i) == 1 {
			usages = append(usages, usage.canonical)
		}
	}
	return usages, nil
}

func readExtKeyUsage(extension pkix.Extension) ([]string, error) {
	var oids []asn1.ObjectIdentifier
	if err := unmarshal(extension, "extended_key_usage", &oids); err != nil {
		return nil, err
	}
	var usages []string
	for _, oid := range oids {
		name := oid.String()
		if usage, known := extendedKeyUsages.findOID(name); known {
			name = usage.canonical
		}
		if !slices.Contains(usages, name) {
			usages = append(usages, name)
		}
	}
	return usages, nil
}

func readBasicConstraints(extension pkix.Extension) (ca bool, err error) {
	var constraints struct {
		IsCA       bool `asn1:"optional"`
		MaxPathLen int  `asn1:"optional,default:-1"`
	}
	err = unmarshal(extension, "basic_constraints", &constraints)
	return constraints.IsCA, err
}

// applyUsages writes the key usages and the basic constraints.
func (x *extensionRules) applyUsages(e *evaluation, w *wish, csr *pki.CSR, template *x509.Certificate) error {
	if err := x.applyKeyUsage(e, w, csr, template); err != nil {
		return err
	}
	if err := x.applyExtKeyUsage(e, w, template); err != nil {
		return err
	}
	if w.ca && x.authority == nil {
		r := rule{label: "basic_constraints", rejectMods: x.rejectMods}
		if err := r.leaveOut(e, []string{"CA:TRUE"}, "profiles are for end entities"); err != nil {
			return err
		}
	}
	// A template without IsCA is encoded as an empty sequence: cA is FALSE.
	template.BasicConstraintsValid = !x.noBasic
	x.setCriticality(template)
	if x.authority != nil {
		x.authority.apply(template)
	}
	return nil
}

// applyRest leaves out what is asked for and has no rule.
func (x *extensionRules) applyRest(e *evaluation, w *wish, _ *x509.Certificate) error {
	for _, extension := range w.others {
		r := rule{label: "extension", rejectMods: x.rejectMods}
		if err := r.leaveOut(e, []string{extension.Id.String()}, "the profile does not have it"); err != nil {
			return err
		}
	}
	return nil
}

func (x *extensionRules) applyKeyUsage(e *evaluation, w *wish, csr *pki.CSR, template *x509.Certificate) error {
	unfit := unfitUsages(csr.Request.PublicKey)
	fitting := *x.keyUsage
	fitting.value, fitting.byDefault = without(fitting.value, unfit), without(fitting.byDefault, unfit)
	if (x.keyUsage.value != nil || x.keyUsage.byDefault != nil) && len(fitting.value)+len(fitting.byDefault) == 0 {
		return models.Errorf(models.KindDenied, "the key of the request cannot be used for any key_usage of the profile; use another kind of key")
	}
	asked, err := fitting.withoutPrivileged(e, w.keyUsages)
	if err != nil {
		return err
	}
	var possible []string
	for _, usage := range asked {
		if !slices.Contains(unfit, usage) {
			possible = append(possible, usage)
		} else if err := fitting.leaveOut(e, []string{usage}, "the key cannot be used for it"); err != nil {
			return err
		}
	}
	usages, err := fitting.apply(e, possible)
	if err != nil {
		return err
	}
	for i, usage := range keyUsages {
		if slices.Contains(usages, usage.canonical) {
			template.KeyUsage |= 1 << i
		}
	}
	return nil
}

// without returns values without the unfit ones; nil stays nil.
func without(values []text, unfit []string) []text {
	return slices.DeleteFunc(slices.Clone(values), func(v text) bool { return slices.Contains(unfit, string(v)) })
}

// unfitUsages are the key usages that a key cannot serve: RSA does not agree
// on keys (RFC 3279 §2.3.1), elliptic curves do not encipher (RFC 8813 §3),
// Ed25519 (RFC 9295 §3) and ML-DSA (RFC 9881 §5) only sign.
func unfitUsages(key crypto.PublicKey) []string {
	switch key.(type) {
	case *rsa.PublicKey:
		return []string{"key_agreement", "encipher_only", "decipher_only"}
	case *ecdsa.PublicKey:
		return []string{"key_encipherment", "data_encipherment"}
	case ed25519.PublicKey, *mldsa.PublicKey:
		return []string{"key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"}
	}
	return nil
}

func (x *extensionRules) applyExtKeyUsage(e *evaluation, w *wish, template *x509.Certificate) error {
	asked, err := x.extKeyUsage.withoutPrivileged(e, w.extKeyUsages)
	if err != nil {
		return err
	}
	usages, err := x.extKeyUsage.apply(e, asked)
	if err != nil {
		return err
	}
	for _, usage := range usages {
		if number, ok := extKeyUsageNumbers[usage]; ok {
			template.ExtKeyUsage = append(template.ExtKeyUsage, number)
			continue
		}
		if named, ok := extendedKeyUsages.find(usage); ok {
			usage = named.oid
		}
		template.UnknownExtKeyUsage = append(template.UnknownExtKeyUsage, parseOID(usage))
	}
	return nil
}

// withoutPrivileged leaves out usages that are not taken from a request. What
// the profile names itself, among its own or its allowed values, is.
func (r *rule) withoutPrivileged(e *evaluation, asked []string) ([]string, error) {
	var kept []string
	for _, usage := range asked {
		named := slices.Contains(r.allow, text(usage)) || slices.Contains(r.value, text(usage)) || slices.Contains(r.byDefault, text(usage))
		if !slices.Contains(privileged, usage) || named {
			kept = append(kept, usage)
		} else if err := r.leaveOut(e, []string{usage}, "it gives power over other certificates"); err != nil {
			return nil, err
		}
	}
	return kept, nil
}
