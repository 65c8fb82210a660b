// SPDX-License-Identifier: MIT

package pki

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/community" // registers its lints
	_ "github.com/zmap/zlint/v3/lints/rfc"       // registers its lints
)

// lintSources are the documents whose rules hold in a private PKI of devices.
// The CA/Browser Forum, ETSI and the root programmes of Apple, Chrome and
// Mozilla govern publicly trusted certificates; RFC 6962 is about their logs.
var lintSources = []lint.LintSource{
	lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813, lint.Community,
}

// lintExclusions are the lints of those sources that do not run, and why.
var lintExclusions = map[string]string{
	"e_cert_issued_by_compromised_emudhra_ca":         "names one public CA, to which nothing here chains",
	"e_rsa_fermat_factorization":                      "CheckPublicKey has searched further, before the request was accepted",
	"e_rfc_dnsname_hyphen_in_sld":                     "asks the public suffix list, which says nothing about plant names; checkDNSName refuses such hyphens in every label",
	"e_rfc_dnsname_underscore_in_sld":                 "asks the public suffix list; checkDNSName refuses underscores in every label",
	"e_ext_san_uri_host_not_fqdn_or_ip":               "plants and OPC UA application URIs use single-label hosts; checkURI checks the syntax of the host",
	"e_key_usage_and_extended_key_usage_inconsistent": "admits exact combinations only, while OPC 10000-6 §6.2.2 requires nonRepudiation and dataEncipherment beside TLS; checkUsages checks what RFC 5280 §4.2.1.12 says",
	"e_cert_ext_invalid_der":                          "parses the certificate once more to look at how critical flags are encoded, which crypto/x509 gets right",
	"e_ecdsa_small_private_key":                       "CheckPublicKey has looked the key up, before the request was accepted",
	"e_distribution_point_incomplete":                 "the distribution points are written by BuildTBS alone, each with a fullName; the lint unmarshals them by reflection",
	"e_ext_ian_dns_not_ia5_string":                    ianReason,
	"e_ext_ian_empty_name":                            ianReason,
	"e_ext_ian_no_entries":                            ianReason,
	"e_ext_ian_rfc822_format_invalid":                 ianReason,
	"e_ext_ian_space_dns_name":                        ianReason,
	"e_ext_ian_uri_format_invalid":                    ianReason,
	"e_ext_ian_uri_host_not_fqdn_or_ip":               ianReason,
	"e_ext_ian_uri_not_ia5":                           ianReason,
	"e_ext_ian_uri_relative":                          ianReason,
	"e_ian_bare_wildcard":                             ianReason,
	"e_ian_dns_name_includes_null_char":               ianReason,
	"e_ian_dns_name_starts_with_period":               ianReason,
	"e_ian_wildcard_not_first":                        ianReason,
}

const ianReason = "an issuerAltName is never written: checkExtraExtensions refuses it"

// linter holds the lints that run, chosen once. It is safe for concurrent use:
// only lints that cannot remember anything are shared by the runs.
type linter struct {
	shared []sharedLint
	single []*lint.CertificateLint

	configuration lint.Configuration
}

// sharedLint is a lint that was made once, because its type has no room for a
// state: what zlint does for each of its calls is done for all of them.
type sharedLint struct {
	*lint.CertificateLint
	instance lint.LintInterface
}

// newLinter chooses the lints. Only those named e_ can report an error (zlint
// promises it of the names), and only errors are refusals.
func newLinter() linter {
	l := linter{configuration: lint.NewEmptyConfig()}
	for _, candidate := range lint.GlobalRegistry().CertificateLints().Lints() {
		_, excluded := lintExclusions[candidate.Name]
		if !strings.HasPrefix(candidate.Name, "e_") || !slices.Contains(lintSources, candidate.Source) || excluded {
			continue
		}
		instance := candidate.Lint()
		if t := reflect.TypeOf(instance); t.Kind() == reflect.Pointer && t.Elem().Size() == 0 {
			l.shared = append(l.shared, sharedLint{candidate, instance})
		} else {
			l.single = append(l.single, candidate)
		}
	}
	return l
}

// run lints a certificate and returns KindDenied with the names of the lints
// that report an error. selfSigned says whether the certificate will carry its
// own key's signature, which the signature it has here does not show.
func (l linter) run(certificate []byte, selfSigned bool) error {
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return denied("the certificate would be malformed").Because(err)
	}
	parsed.SelfSigned = selfSigned
	var failed []string
	note := func(name string, result *lint.LintResult) {
		if result.Status < lint.Error {
			return
		}
		if result.Details != "" {
			name = fmt.Sprintf("%s (%s)", name, result.Details)
		}
		failed = append(failed, name)
	}
	for i := range l.shared {
		note(l.shared[i].Name, l.shared[i].run(parsed))
	}
	for _, candidate := range l.single {
		note(candidate.Name, candidate.Execute(parsed, l.configuration))
	}
	if len(failed) > 0 {
		return denied("the certificate would break the rules of RFC 5280: %s", strings.Join(failed, ", "))
	}
	return nil
}

// run is CertificateLint.Execute without making the lint anew.
func (s *sharedLint) run(c *x509.Certificate) (result *lint.LintResult) {
	defer func() {
		if fault := recover(); fault != nil {
			result = &lint.LintResult{Status: lint.Fatal, Details: fmt.Sprint(fault)}
		}
	}()
	if !s.instance.CheckApplies(c) || !s.CheckEffective(c) {
		return &notApplicable
	}
	return s.instance.Execute(c)
}

var notApplicable = lint.LintResult{Status: lint.NA}
