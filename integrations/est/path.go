// SPDX-License-Identifier: MIT

package est

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// Prefix is where a responder is mounted (RFC 7030 §3.2.2).
const Prefix = "/.well-known/est/"

// The operations (RFC 7030 §3.2.2) that a responder offers.
const (
	opCACerts        = "cacerts"
	opSimpleEnroll   = "simpleenroll"
	opSimpleReenroll = "simplereenroll"
	opCSRAttrs       = "csrattrs"
	opServerKeyGen   = "serverkeygen"
)

// methods are the HTTP methods of each operation, for the Allow header too.
var methods = map[string][]string{
	opCACerts:        {http.MethodGet, http.MethodHead},
	opSimpleEnroll:   {http.MethodPost},
	opSimpleReenroll: {http.MethodPost},
	opCSRAttrs:       {http.MethodGet, http.MethodHead},
	opServerKeyGen:   {http.MethodPost},
}

// absent are the operations that are not offered, and what to do instead.
var absent = map[string]string{
	"fullcmc": "fullcmc is not offered; use simpleenroll or simplereenroll",
}

// parsePath reads the escaped path of a request:
//
//	/.well-known/est/{domain}[/{profile}]/{operation}
//	/.well-known/est/{domain}~{profile}/{operation}
//
// with or without a slash at the end. Names of domains and profiles are
// slugs, so a path that has to be escaped is not one. It is KindNotFound, with
// the right form, for every other path.
func parsePath(path string) (Label, string, error) {
	rest, ok := strings.CutPrefix(path, Prefix)
	segments := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	operation := segments[len(segments)-1]
	if !ok || len(segments) > 3 {
		return Label{}, "", notFound("there is nothing at this path; EST is at %s{domain}[/{profile}]/{operation}", Prefix)
	}
	if why := absent[operation]; why != "" {
		return Label{}, "", notFound("%s", why)
	}
	if methods[operation] == nil {
		return Label{}, "", notFound("the path does not end in an operation of EST: cacerts, csrattrs, simpleenroll, simplereenroll or serverkeygen")
	}
	label, ok := parseLabel(segments[:len(segments)-1])
	switch {
	case len(segments) == 1:
		return Label{}, "", notFound("EST is offered per domain; use %s{domain}/%s", Prefix, operation)
	case !ok:
		return Label{}, "", notFound("the path does not name a domain and a profile; use %s{domain}[/{profile}]/%s", Prefix, operation)
	}
	return label, operation, nil
}

// slug is what a segment of a label may be: 1 to 63 characters that no URL
// escapes, a letter or digit at both ends, and no tilde.
var slug = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// parseLabel reads one or two segments, or one with a tilde in it.
func parseLabel(segments []string) (Label, bool) {
	if len(segments) == 1 {
		if domain, profile, tilde := strings.Cut(segments[0], "~"); tilde {
			segments = []string{domain, profile}
		}
	}
	for _, s := range segments {
		if !slug.MatchString(s) {
			return Label{}, false
		}
	}
	switch len(segments) {
	case 1:
		return Label{Domain: segments[0]}, true
	case 2:
		return Label{Domain: segments[0], Profile: segments[1]}, true
	}
	return Label{}, false
}

func notFound(format string, args ...any) error {
	return models.Errorf(models.KindNotFound, format, args...)
}
