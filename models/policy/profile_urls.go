// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"net/url"
	"slices"

	"github.com/trustloom/trustloom/models"
)

// urlRules say which URLs a certificate has instead of the issuer's own.
type urlRules struct {
	crls, issuers, ocsp *urlList // nil: the issuer's own
}

// urlList is what a profile puts in their place; empty: none.
type urlList struct{ texts []text }

const maxURLs = 8

// urlSchemes are what relying parties fetch (RFC 5280 §4.2.1.13, §4.2.2.1).
var urlSchemes = []string{"http", "https", "ldap", "ldaps"}

func (u *urlRules) parseCRLs(n *node) (err error) {
	if n.kind == kindObject {
		u.crls, err = parseMember(n, "uris")
		return err
	}
	u.crls, err = parseURLs(n)
	return err
}

// parseMember reads an object with the one member name.
func parseMember(n *node, name string) (*urlList, error) {
	if len(n.members) != 1 || n.members[0].name != name {
		return nil, n.errorf("must be a list of URLs, null, or an object with the member %s", name)
	}
	return parseURLs(n.members[0])
}

func (u *urlRules) parseAuthorityInfo(n *node) (err error) {
	if n.kind == kindNull {
		u.issuers, u.ocsp = &urlList{}, &urlList{}
		return nil
	}
	if err := n.object(); err != nil {
		return err
	}
	for _, member := range n.members {
		switch member.name {
		case "ca_issuers":
			u.issuers, err = parseURLs(member)
		case "ocsp":
			u.ocsp, err = parseURLs(member)
		default:
			err = member.unknown("ca_issuers", "ocsp")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func parseURLs(n *node) (*urlList, error) {
	if n.kind == kindNull {
		return &urlList{}, nil
	}
	items := n.items
	if n.kind != kindArray {
		items = []*node{n}
	}
	if len(items) == 0 || len(items) > maxURLs {
		return nil, n.errorf("must have 1 to %d URLs; null leaves them out", maxURLs)
	}
	list := &urlList{}
	for _, item := range items {
		s, err := item.str()
		if err != nil {
			return nil, err
		}
		if err := checkVariables(item, text(s), true); err != nil {
			return nil, err
		}
		sample, err := url.Parse(variable.ReplaceAllString(s, "x"))
		if err != nil || !slices.Contains(urlSchemes, sample.Scheme) || sample.User != nil || len(s) > 1024 {
			return nil, item.errorf("%q is not a URL of http, https or ldap without a password", s)
		}
		list.texts = append(list.texts, text(s))
	}
	return list, nil
}

// apply replaces *urls by those of the list, if there is one.
func (l *urlList) apply(urls *[]string, who Subject) error {
	if l == nil {
		return nil
	}
	*urls = nil
	for _, t := range l.texts {
		resolved, complete := t.resolve(who)
		if !complete {
			continue
		}
		if _, err := url.Parse(resolved); err != nil {
			return models.Errorf(models.KindInvalid, "the profile makes %q of %q, which is no URL", resolved, string(t))
		}
		*urls = append(*urls, resolved)
	}
	return nil
}

// Locate writes where relying parties find the CRL, the certificate and the
// OCSP responder of the issuer: under base, the issuer's own address, unless
// the profile says otherwise. A nil profile says nothing.
func (p *Profile) Locate(template *x509.Certificate, base string, who Subject) error {
	template.CRLDistributionPoints = []string{base + "/crl/" + who.IssuerKeyID + ".crl"}
	template.IssuingCertificateURL = []string{base + "/ca/" + who.IssuerKeyID + ".cer"}
	template.OCSPServer = []string{base + "/ocsp/" + who.IssuerKeyID}
	if p == nil {
		return nil
	}
	u := p.extensions.urls
	if err := u.crls.apply(&template.CRLDistributionPoints, who); err != nil {
		return err
	}
	if err := u.issuers.apply(&template.IssuingCertificateURL, who); err != nil {
		return err
	}
	return u.ocsp.apply(&template.OCSPServer, who)
}
