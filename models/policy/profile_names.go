// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"regexp"
	"slices"
	"strings"
)

// entry is one name of the vocabulary. Canonical is its snake_case form, which
// the reasons use; further spellings are matched without regard to case and
// underscores, so that snake_case covers camelCase.
type entry struct {
	canonical string
	oid       string
	others    []string
	multiple  bool // of a subject attribute: it may have more than one value
}

type vocabulary []entry

func fold(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }

// find returns the entry that name spells.
func (v vocabulary) find(name string) (entry, bool) {
	folded := fold(name)
	if folded == "" {
		return entry{}, false
	}
	for _, e := range v {
		if folded == fold(e.canonical) || name == e.oid && e.oid != "" || slices.ContainsFunc(e.others, func(o string) bool { return fold(o) == folded }) {
			return e, true
		}
	}
	return entry{}, false
}

func (v vocabulary) findOID(oid string) (entry, bool) {
	i := slices.IndexFunc(v, func(e entry) bool { return e.oid == oid })
	if i < 0 {
		return entry{}, false
	}
	return v[i], true
}

func (v vocabulary) canonicals() []string {
	names := make([]string, len(v))
	for i, e := range v {
		names[i] = e.canonical
	}
	return names
}

const (
	oidSerialNumber = "2.5.4.5"
	oidUserID       = "0.9.2342.19200300.100.1.1"
)

// subjectAttributes are the attributes that a subject may have, in the order
// in which they are written (RFC 5280 §4.1.2.4 and appendix A.1, RFC 4519).
var subjectAttributes = vocabulary{
	{"domain_component", "0.9.2342.19200300.100.1.25", []string{"DC"}, true},
	{"country_name", "2.5.4.6", []string{"C", "country"}, false},
	{"state_or_province_name", "2.5.4.8", []string{"ST", "state"}, false},
	{"locality_name", "2.5.4.7", []string{"L", "locality"}, false},
	{"street_address", "2.5.4.9", []string{"STREET"}, true},
	{"postal_code", "2.5.4.17", nil, false},
	{"organization_name", "2.5.4.10", []string{"O", "organization"}, true},
	{"organizational_unit_name", "2.5.4.11", []string{"OU", "organizational_unit"}, true},
	{"title", "2.5.4.12", nil, false},
	{"surname", "2.5.4.4", []string{"SN"}, false},
	{"given_name", "2.5.4.42", []string{"GN"}, false},
	{"initials", "2.5.4.43", nil, false},
	{"name", "2.5.4.41", nil, false},
	{"pseudonym", "2.5.4.65", nil, false},
	{"description", "2.5.4.13", nil, false},
	{"common_name", "2.5.4.3", []string{"CN"}, false},
	{"serial_number", oidSerialNumber, nil, false},
	{"user_id", oidUserID, []string{"UID"}, false},
	{"email_address", "1.2.840.113549.1.9.1", []string{"E"}, true},
}

const (
	oidKeyUsage         = "2.5.29.15"
	oidSubjectAltName   = "2.5.29.17"
	oidBasicConstraints = "2.5.29.19"
	oidExtKeyUsage      = "2.5.29.37"
	oidSubjectKeyID     = "2.5.29.14"

	oidCertificatePolicies = "2.5.29.32"
	oidAnyPolicy           = "2.5.29.32.0"
	oidNameConstraints     = "2.5.29.30"
	oidCRLPoints           = "2.5.29.31"
	oidAuthorityInfo       = "1.3.6.1.5.5.7.1.1"
	oidMicrosoftTemplate   = "1.3.6.1.4.1.311.21.7"
	oidMicrosoftName       = "1.3.6.1.4.1.311.20.2"
)

// extensionNames are the extensions that a profile has rules for; custom holds
// those without a name.
var extensionNames = vocabulary{
	{"key_usage", oidKeyUsage, []string{"KU"}, false},
	{"extended_key_usage", oidExtKeyUsage, []string{"ext_key_usage", "EKU"}, false},
	{"subject_alternative_name", oidSubjectAltName, []string{"subject_alt_name", "SAN"}, false},
	{"basic_constraints", oidBasicConstraints, []string{"BC"}, false},
	{"certificate_policies", oidCertificatePolicies, []string{"policies", "CP"}, false},
	{"name_constraints", oidNameConstraints, []string{"NC"}, false},
	{"crl_distribution_points", oidCRLPoints, []string{"CDP"}, false},
	{"authority_info_access", oidAuthorityInfo, []string{"authority_information_access", "AIA"}, false},
	{"microsoft_template", oidMicrosoftTemplate, []string{"ms_certificate_template", oidMicrosoftName}, false},
	{"custom", "", nil, false},
}

// alternativeNames are the kinds of GeneralName that are issued; oid holds the
// prefix that package pki writes before such a name.
var alternativeNames = vocabulary{
	{"dns_names", "dns", []string{"dns_name", "dns"}, false},
	{"ip_addresses", "ip", []string{"ip_address", "ip"}, false},
	{"uris", "uri", []string{"uniform_resource_identifier", "uri"}, false},
	{"rfc822_names", "email", []string{"rfc822_name", "email"}, false},
	{"user_principal_names", "upn", []string{"user_principal_name", "upn"}, false},
	{"hardware_module_names", "hwmodule", []string{"hardware_module_name"}, false},
	{"other_names", "other", []string{"other_name"}, false},
}

// keyUsages are the bits of keyUsage, in the order of RFC 5280 §4.2.1.3.
var keyUsages = vocabulary{
	{canonical: "digital_signature"},
	{canonical: "non_repudiation", others: []string{"content_commitment"}},
	{canonical: "key_encipherment"},
	{canonical: "data_encipherment"},
	{canonical: "key_agreement"},
	{canonical: "key_cert_sign"},
	{canonical: "crl_sign"},
	{canonical: "encipher_only"},
	{canonical: "decipher_only"},
}

// extendedKeyUsages are the purposes that have names; any other one is
// written as a dotted object identifier.
var extendedKeyUsages = vocabulary{
	{canonical: "any", oid: "2.5.29.37.0", others: []string{"any_extended_key_usage"}},
	{canonical: "server_auth", oid: "1.3.6.1.5.5.7.3.1"},
	{canonical: "client_auth", oid: "1.3.6.1.5.5.7.3.2"},
	{canonical: "code_signing", oid: "1.3.6.1.5.5.7.3.3"},
	{canonical: "email_protection", oid: "1.3.6.1.5.5.7.3.4"},
	{canonical: "time_stamping", oid: "1.3.6.1.5.5.7.3.8"},
	{canonical: "ocsp_signing", oid: "1.3.6.1.5.5.7.3.9"},
	{canonical: "ipsec_ike", oid: "1.3.6.1.5.5.7.3.17"},
	{canonical: "cmc_ca", oid: "1.3.6.1.5.5.7.3.27"},
	{canonical: "cmc_ra", oid: "1.3.6.1.5.5.7.3.28"},
	{canonical: "cmc_archive", oid: "1.3.6.1.5.5.7.3.29"},
	{canonical: "cm_kga", oid: "1.3.6.1.5.5.7.3.32"},
}

// extKeyUsageNumbers are the purposes that crypto/x509 knows by number.
var extKeyUsageNumbers = map[string]x509.ExtKeyUsage{
	"server_auth": x509.ExtKeyUsageServerAuth, "client_auth": x509.ExtKeyUsageClientAuth,
	"code_signing": x509.ExtKeyUsageCodeSigning, "email_protection": x509.ExtKeyUsageEmailProtection,
	"time_stamping": x509.ExtKeyUsageTimeStamping,
}

// privileged usages give power over the certificates of others: they are
// never taken from a request, whatever a profile allows in general.
var privileged = []string{"key_cert_sign", "crl_sign", "any", "ocsp_signing", "cmc_ca", "cmc_ra", "cmc_archive", "cm_kga"}

// reserved usages are not issued to end entities at all.
var reserved = map[string]string{
	"key_cert_sign": "only CAs sign certificates, and profiles are for end entities",
	"crl_sign":      "only CAs sign CRLs, and profiles are for end entities",
	"any":           "name the purposes; anyExtendedKeyUsage is not issued",
	"ocsp_signing":  "OCSP responders of a CA get their certificates from it, not by a profile",
}

var dottedOID = regexp.MustCompile(`^([01]\.([0-9]|[1-3][0-9])|2\.(0|[1-9][0-9]{0,8}))(\.(0|[1-9][0-9]{0,8})){1,20}$`)
