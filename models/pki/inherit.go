// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	"net"
	"slices"
	"strings"
)

// Inherit writes into the template of a CA what its issuer's certificate says
// about everything below it: the path length that is left, and the name
// constraints (RFC 5280 §4.2.1.9, §4.2.1.10). Relying parties add them up along
// the path; with all of them in its own certificate, a CA is checked by what it
// is, without those above. It returns a sentence for a path length that became
// shorter, and is KindDenied for permitted names that the issuer's certificate
// does not permit. What the issuer excludes is excluded, too.
func Inherit(t, issuer *x509.Certificate) (reasons []string, err error) {
	if issuer.MaxPathLen > 0 {
		unbounded := t.MaxPathLen < 0 || t.MaxPathLen == 0 && !t.MaxPathLenZero
		if left := issuer.MaxPathLen - 1; unbounded || t.MaxPathLen > left {
			if !unbounded {
				reasons = append(reasons, "the path length is shortened to what the issuer leaves")
			}
			t.MaxPathLen, t.MaxPathLenZero = left, left == 0
		}
	}
	for _, names := range []struct {
		kind                   string
		permitted, excluded    *[]string
		mayPermit, mustExclude []string
		inside                 func(name string, of []string) bool
	}{
		{"DNS name", &t.PermittedDNSDomains, &t.ExcludedDNSDomains, issuer.PermittedDNSDomains, issuer.ExcludedDNSDomains, subdomains},
		{"URI", &t.PermittedURIDomains, &t.ExcludedURIDomains, issuer.PermittedURIDomains, issuer.ExcludedURIDomains, inURIs},
		{"e-mail address", &t.PermittedEmailAddresses, &t.ExcludedEmailAddresses, issuer.PermittedEmailAddresses, issuer.ExcludedEmailAddresses, inMailboxesOf},
	} {
		inside := func(name string) bool { return names.inside(name, names.mayPermit) }
		if err := inherit(names.kind, names.permitted, names.mayPermit, func(s string) string { return s }, inside, issuer); err != nil {
			return nil, err
		}
		*names.excluded = union(*names.excluded, names.mustExclude, func(a, b string) bool { return a == b })
	}
	inside := func(r *net.IPNet) bool {
		return slices.ContainsFunc(issuer.PermittedIPRanges, func(of *net.IPNet) bool { return within(r, of) })
	}
	if err := inherit("range of addresses", &t.PermittedIPRanges, issuer.PermittedIPRanges, (*net.IPNet).String, inside, issuer); err != nil {
		return nil, err
	}
	t.ExcludedIPRanges = union(t.ExcludedIPRanges, issuer.ExcludedIPRanges, func(a, b *net.IPNet) bool { return within(a, b) && within(b, a) })
	t.PermittedDNSDomainsCritical = t.PermittedDNSDomainsCritical || issuer.PermittedDNSDomainsCritical
	return reasons, nil
}

// inherit gives a template the permitted names of its issuer if it has none of
// the kind, and refuses its own where they reach further.
func inherit[T any](kind string, own *[]T, above []T, text func(T) string, inside func(T) bool, issuer *x509.Certificate) error {
	if len(above) == 0 {
		return nil
	}
	if len(*own) == 0 {
		*own = slices.Clone(above)
		return nil
	}
	for _, name := range *own {
		if !inside(name) {
			return denied("the CA would be permitted the %s %q, which the name constraints of its issuer %q do not permit", kind, text(name), issuer.Subject.String())
		}
	}
	return nil
}

// union returns own and what of more is not among it.
func union[T any](own, more []T, same func(a, b T) bool) []T {
	out := slices.Clone(own)
	for _, m := range more {
		if !slices.ContainsFunc(out, func(o T) bool { return same(o, m) }) {
			out = append(out, m)
		}
	}
	return out
}

// within reports whether every address of r is one of another range.
func within(r, of *net.IPNet) bool {
	mine, bits := r.Mask.Size()
	theirs, theirBits := of.Mask.Size()
	return bits == theirBits && mine >= theirs && of.Contains(r.IP) && r.IP.Mask(of.Mask).Equal(of.IP.Mask(of.Mask))
}

// subdomains reports whether all that a constraint permits is permitted by one
// of others: for DNS names, the domain itself and whatever is below it.
func subdomains(name string, others []string) bool {
	bare := strings.ToLower(strings.TrimPrefix(name, "."))
	return slices.ContainsFunc(others, func(other string) bool {
		other = strings.ToLower(other)
		if strings.HasPrefix(other, ".") {
			return strings.HasPrefix(name, ".") && "."+bare == other || strings.HasSuffix(bare, other)
		}
		return bare == other || strings.HasSuffix(bare, "."+other)
	})
}

// inURIs is subdomains for hosts, which a constraint without a leading period
// may be compared with exactly: an issuer's "a" does not permit ".a".
func inURIs(name string, others []string) bool {
	if !strings.HasPrefix(name, ".") {
		return inHosts(name, others)
	}
	return slices.ContainsFunc(others, func(other string) bool {
		return strings.HasPrefix(other, ".") && strings.HasSuffix(strings.ToLower(name), strings.ToLower(other))
	})
}

// inHosts reports whether a host is one of others, or below one that begins
// with a period.
func inHosts(host string, others []string) bool {
	host = strings.ToLower(host)
	return slices.ContainsFunc(others, func(other string) bool {
		other = strings.ToLower(other)
		return host == other || strings.HasPrefix(other, ".") && strings.HasSuffix(host, other)
	})
}

// inMailboxesOf is inURIs for constraints on e-mail addresses, of which one
// with an @ permits a single mailbox.
func inMailboxesOf(name string, others []string) bool {
	if slices.Contains(others, name) {
		return true
	}
	if _, host, mailbox := strings.Cut(name, "@"); mailbox {
		return inHosts(host, others)
	}
	return inURIs(name, others)
}
