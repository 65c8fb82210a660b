// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"encoding/asn1"
	"regexp"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// Prefix is where a responder is mounted (RFC 9811 §3.1), without a slash at
// its end: the bare path is one of the forms.
const Prefix = "/.well-known/cmp"

// operation is what a path allows: bodies that begin a transaction, and the
// kind of information that a genm asks for.
type operation struct {
	body BodyType
	info asn1.ObjectIdentifier
}

// operations are the names of RFC 9483 §6.
var operations = map[string]operation{
	"initialization":     {body: BodyIR},
	"certification":      {body: BodyCR},
	"keyupdate":          {body: BodyKUR},
	"pkcs10":             {body: BodyP10CR},
	"revocation":         {body: BodyRR},
	"getcacerts":         {body: BodyGenM, info: OIDCACerts},
	"getrootupdate":      {body: BodyGenM, info: OIDRootCACert},
	"getcertreqtemplate": {body: BodyGenM, info: OIDCertReqTemplate},
	"getcrls":            {body: BodyGenM, info: OIDCRLStatusList},
	"nested":             {body: BodyNested},
}

// allows reports whether a body fits the operation of a path; "" fits all.
// What goes on with a transaction (certConf, pollReq, error) fits where one
// begins.
func allows(name string, m *Message) bool {
	if name == "" {
		return true
	}
	op := operations[name]
	switch m.Body.Type {
	case op.body:
		return op.info == nil || len(m.Body.Infos) == 1 && m.Body.Infos[0].OID.Equal(op.info)
	case BodyNested: // added protection (RFC 9483 §5.2.2.1)
		return !slices.ContainsFunc(m.Body.Nested, func(inner *Message) bool { return inner.Body.Type == BodyNested || !allows(name, inner) })
	case BodyCertConf, BodyPollReq:
		return slices.Contains([]BodyType{BodyIR, BodyCR, BodyKUR, BodyP10CR, BodyNested}, op.body)
	case BodyError:
		return true
	}
	return false
}

// parsePath reads the escaped path of a request:
//
//	/.well-known/cmp[/{operation}]
//	/.well-known/cmp/p/{domain}[/{profile}][/{operation}]
//	/.well-known/cmp/p/{domain}~{profile}[/{operation}]
//
// with or without a slash at the end. A domain that is left out before the
// tilde, or is "_", is the sender's. It is KindNotFound, with the right form,
// for every other path.
func parsePath(path string) (Label, string, error) {
	rest, ok := strings.CutPrefix(path, Prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return Label{}, "", wrongPath()
	}
	rest = strings.TrimSuffix(strings.TrimPrefix(rest, "/"), "/")
	if rest == "" {
		return Label{}, "", nil
	}
	segments := strings.Split(rest, "/")
	if segments[0] != "p" {
		if _, known := operations[rest]; !known {
			return Label{}, "", wrongPath()
		}
		return Label{}, rest, nil
	}
	segments = segments[1:]
	name := ""
	if n := len(segments); n > 1 {
		if _, known := operations[segments[n-1]]; known {
			segments, name = segments[:n-1], segments[n-1]
		}
	}
	label, ok := parseLabel(segments)
	if !ok {
		return Label{}, "", wrongPath()
	}
	return label, name, nil
}

func wrongPath() error {
	return models.Errorf(models.KindNotFound, "there is nothing at this path; CMP is at %s/p/{domain}[/{profile}][/{operation}], "+
		"where the operation is one of RFC 9483 section 6, for example initialization or keyupdate", Prefix)
}

// slug is what a segment of a label may be: 1 to 63 characters that no URL
// escapes, a letter or digit at both ends, and no tilde.
var slug = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

// parseLabel reads one or two segments, or one with a tilde in it.
func parseLabel(segments []string) (Label, bool) {
	if len(segments) == 1 {
		if domain, profile, tilde := strings.Cut(segments[0], "~"); tilde {
			segments = []string{domain, profile}
			if domain == "" {
				segments[0] = "_"
			}
		}
	}
	if len(segments) == 0 || len(segments) > 2 {
		return Label{}, false
	}
	var label Label
	if segments[0] != "_" {
		label.Domain = segments[0]
	}
	if len(segments) == 2 {
		label.Profile = segments[1]
	}
	return label, (segments[0] == "_" || slug.MatchString(label.Domain)) && (len(segments) == 1 || slug.MatchString(label.Profile))
}

// withProfile takes the profile that the header names (RFC 9810 §5.1.1.4).
func (l Label) withProfile(h *Header) (Label, error) {
	names := h.CertProfiles()
	switch {
	case len(names) == 0:
		return l, nil
	case len(names) > 1 || !slug.MatchString(names[0]):
		return l, refuse(FailBadRequest, models.KindInvalid, "certProfile in the header is not the name of one profile")
	case l.Profile != "" && l.Profile != names[0]:
		return l, refuse(FailBadRequest, models.KindInvalid, "the path and certProfile in the header name different profiles")
	}
	l.Profile = names[0]
	return l, nil
}

// sameName reports whether a GeneralName is the directory name.
func sameName(name GeneralName, dn []byte) bool {
	got, ok := name.Directory()
	return ok && bytes.Equal(got, dn)
}
