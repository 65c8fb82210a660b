// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// authorityRules are what only certificates of CAs have.
type authorityRules struct {
	pathLength  int // -1: no bound
	constraints *x509.Certificate
}

const maxConstraints = 32

func (x *extensionRules) parseCA(n *node) error {
	ca, err := n.boolean()
	switch {
	case err != nil:
		return err
	case ca && x.authority == nil:
		return n.errorf("must be false: profiles of this credential_type are for end entities; CAs have the credential_type ca")
	case !ca && x.authority != nil:
		return n.errorf("must be true: the credential_type is ca")
	}
	return nil
}

func (x *extensionRules) parsePathLength(n *node) error {
	length, err := strconv.Atoi(n.text)
	switch {
	case x.authority == nil:
		return n.errorf("is for profiles of the credential_type ca")
	case n.kind != kindNumber || err != nil || length < 0 || length > 10:
		return n.errorf("must be a number from 0 to 10")
	}
	x.authority.pathLength = length
	return nil
}

// parseNameConstraints reads what names the certificates below a CA may have
// (RFC 5280 §4.2.1.10).
func (x *extensionRules) parseNameConstraints(n *node) error {
	if n.kind == kindNull {
		return nil
	}
	if x.authority == nil {
		return n.errorf("is for profiles of the credential_type ca")
	}
	if err := n.object(); err != nil {
		return err
	}
	c := &x509.Certificate{PermittedDNSDomainsCritical: true}
	for _, member := range n.members {
		var err error
		switch member.name {
		case "critical":
			c.PermittedDNSDomainsCritical, err = member.boolean()
		case "permitted":
			err = parseSubtrees(member, subtrees{&c.PermittedDNSDomains, &c.PermittedURIDomains, &c.PermittedEmailAddresses, &c.PermittedIPRanges})
		case "excluded":
			err = parseSubtrees(member, subtrees{&c.ExcludedDNSDomains, &c.ExcludedURIDomains, &c.ExcludedEmailAddresses, &c.ExcludedIPRanges})
		default:
			err = member.unknown("permitted", "excluded", "critical")
		}
		if err != nil {
			return err
		}
	}
	x.authority.constraints = c
	return nil
}

type subtrees struct {
	dns, uris, emails *[]string
	ips               *[]*net.IPNet
}

func parseSubtrees(n *node, into subtrees) error {
	if err := n.object(); err != nil {
		return err
	}
	texts := map[string]*[]string{"dns": into.dns, "uri": into.uris, "email": into.emails}
	for _, member := range n.members {
		field, known := alternativeNames.find(member.name)
		if !known || texts[field.oid] == nil && field.oid != "ip" {
			return member.unknown("dns_names", "ip_addresses", "uris", "rfc822_names")
		}
		if member.kind != kindArray || len(member.items) == 0 || len(member.items) > maxConstraints {
			return member.errorf("must be a list of 1 to %d items", maxConstraints)
		}
		for _, item := range member.items {
			if err := parseSubtree(item, field.oid, texts[field.oid], into.ips); err != nil {
				return err
			}
		}
	}
	return nil
}

func parseSubtree(n *node, kind string, texts *[]string, ips *[]*net.IPNet) error {
	s, err := n.str()
	if err != nil {
		return err
	}
	if kind == "ip" {
		prefix, err := netip.ParsePrefix(s)
		if err != nil || prefix != prefix.Masked() {
			return n.errorf("%q is not a range of addresses such as 10.0.0.0/8", s)
		}
		*ips = append(*ips, &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())})
		return nil
	}
	host := strings.TrimPrefix(s, ".")
	if _, mailbox, found := strings.Cut(s, "@"); kind == "email" && found {
		host = mailbox
	}
	if _, err := pki.CanonicalSAN("dns:" + host); err != nil {
		return n.errorf("%s", models.PublicText(err))
	}
	if s = strings.ToLower(s); slices.Contains(*texts, s) {
		return n.errorf("%q is there twice", s)
	}
	*texts = append(*texts, s)
	return nil
}

func (a *authorityRules) apply(template *x509.Certificate) {
	template.BasicConstraintsValid, template.IsCA, template.MaxPathLen = true, true, a.pathLength
	template.MaxPathLenZero = a.pathLength == 0
	c := a.constraints
	if c == nil {
		return
	}
	template.PermittedDNSDomainsCritical = c.PermittedDNSDomainsCritical
	template.PermittedDNSDomains, template.ExcludedDNSDomains = c.PermittedDNSDomains, c.ExcludedDNSDomains
	template.PermittedURIDomains, template.ExcludedURIDomains = c.PermittedURIDomains, c.ExcludedURIDomains
	template.PermittedEmailAddresses, template.ExcludedEmailAddresses = c.PermittedEmailAddresses, c.ExcludedEmailAddresses
	template.PermittedIPRanges, template.ExcludedIPRanges = c.PermittedIPRanges, c.ExcludedIPRanges
}
