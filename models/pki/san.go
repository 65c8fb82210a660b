// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/net/idna"
)

// The bounds of alternative names.
const (
	maxSANs  = 100
	maxURI   = 1024
	maxEmail = 254
	maxDNS   = 253
)

// The choices of GeneralName that are accepted (RFC 5280 §4.2.1.6).
const (
	choiceEmail = 1
	choiceDNS   = 2
	choiceURI   = 6
	choiceIP    = 7
)

// choiceNames are the ones that are not: no profile issues them, and leaving
// them out in silence would give the device another identity than it thinks.
var choiceNames = map[der.Tag]string{3: "x400Address", 4: "directoryName", 5: "ediPartyName", 8: "registeredID"}

// SANs returns the alternative names of cert, or of a template, as "dns:…",
// "email:…", "ip:…", "uri:…", "upn:…", "hwmodule:OID:hex" and
// "other:OID:text", sorted, DNS names in lower case.
func SANs(cert *x509.Certificate) []string {
	names := sanStrings(cert.DNSNames, cert.EmailAddresses, cert.IPAddresses, cert.URIs)
	others := otherNamesIn(cert.Extensions)
	if len(others) == 0 { // of a template
		others = otherNamesIn(cert.ExtraExtensions)
	}
	if len(others) > 0 {
		names = append(names, others...)
		slices.Sort(names)
	}
	return names
}

func sanStrings(dns, emails []string, ips []net.IP, uris []*url.URL) []string {
	names := make([]string, 0, len(dns)+len(emails)+len(ips)+len(uris))
	for _, n := range dns {
		names = append(names, "dns:"+strings.ToLower(n))
	}
	for _, n := range emails {
		names = append(names, "email:"+n)
	}
	for _, n := range ips {
		names = append(names, "ip:"+n.String())
	}
	for _, n := range uris {
		names = append(names, "uri:"+n.String())
	}
	slices.Sort(names)
	return names
}

// checkSANExtension checks the GeneralNames that a stranger asks for, before
// the standard library builds objects from them.
func checkSANExtension(value []byte) error {
	in := cryptobyte.String(value)
	var names cryptobyte.String
	if !in.ReadASN1(&names, der.SEQUENCE) || !in.Empty() || names.Empty() {
		return invalid("the subjectAltName extension is malformed or empty")
	}
	seen := map[string]bool{}
	for !names.Empty() {
		var name cryptobyte.String
		var tag der.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return invalid("the subjectAltName extension is malformed")
		}
		if len(seen) == maxSANs {
			return invalid("the request asks for more than %d alternative names", maxSANs)
		}
		printed, err := checkGeneralName(tag, name)
		if err != nil {
			return err
		}
		if seen[printed] {
			return invalid("the alternative name %q is asked for twice", printed)
		}
		seen[printed] = true
	}
	return nil
}

func checkGeneralName(tag der.Tag, name []byte) (printed string, err error) {
	text := string(name)
	switch tag {
	case der.Tag(choiceDNS).ContextSpecific():
		return "dns:" + strings.ToLower(text), checkDNSName(text)
	case der.Tag(choiceEmail).ContextSpecific():
		return "email:" + text, checkEmail(text)
	case der.Tag(choiceURI).ContextSpecific():
		return "uri:" + text, checkURI(text)
	case der.Tag(choiceIP).ContextSpecific():
		return "ip:" + net.IP(name).String(), checkIP(name)
	case tagOtherName:
		printed, err = readOtherName(name)
		return printed, err
	}
	kind := choiceNames[tag&0x1f]
	if kind == "" {
		kind = "unknown"
	}
	return "", invalid("alternative names of the kind %s are not issued; ask for DNS names, IP addresses, URIs, e-mail addresses or otherNames of a known type", kind)
}

// checkDNSName accepts fully qualified and single-label host names in the
// preferred syntax (RFC 1034 §3.5, RFC 5280 §4.2.1.6) and IDNA A-labels
// (RFC 5891). Wildcards are not issued: a device is one host.
func checkDNSName(name string) error {
	if name == "" || len(name) > maxDNS {
		return invalid("a DNS name must have 1 to %d characters", maxDNS)
	}
	if !isASCII(name) {
		return invalid("the DNS name %q has characters outside ASCII; write internationalized names as A-labels (xn--…)", name)
	}
	if strings.Contains(name, "*") {
		return invalid("wildcards such as the DNS name %q are not issued; ask for each host by its name", name)
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if err := checkLabel(name, label); err != nil {
			return err
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return invalid("the DNS name %q looks like an IP address; ask for it as an IP address", name)
	}
	return nil
}

func checkLabel(name, label string) error {
	if label == "" || len(label) > 63 {
		return invalid("the DNS name %q has an empty or too long label; a trailing dot is not permitted", name)
	}
	for i := range len(label) {
		c := label[i] | 0x20
		if !('a' <= c && c <= 'z' || '0' <= label[i] && label[i] <= '9' || label[i] == '-') {
			return invalid("the DNS name %q has a character that is not a letter, digit or hyphen", name)
		}
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return invalid("a label of the DNS name %q begins or ends with a hyphen", name)
	}
	if len(label) > 3 && label[2:4] == "--" {
		return checkALabel(name, strings.ToLower(label))
	}
	return nil
}

// checkALabel accepts what decodes to a label that needs the encoding and
// encodes to itself again; "xn--abc-" for "abc" is a disguise.
func checkALabel(name, label string) error {
	strict := idna.New(idna.ValidateLabels(true), idna.StrictDomainName(true), idna.BidiRule())
	decoded, err := strict.ToUnicode(label)
	if err != nil || isASCII(decoded) {
		return invalid("the DNS name %q has a label that is not a valid internationalized name", name)
	}
	if encoded, err := strict.ToASCII(decoded); err != nil || encoded != label {
		return invalid("the DNS name %q has a label that is not a valid internationalized name", name)
	}
	return nil
}

func checkIP(ip []byte) error {
	addr, ok := netip.AddrFromSlice(ip)
	switch {
	case !ok:
		return invalid("an IP address of %d octets is neither IPv4 nor IPv6", len(ip))
	case addr.Is4In6():
		return invalid("the IP address %s is IPv4 inside IPv6; ask for the IPv4 address", addr.Unmap())
	case addr.IsUnspecified() || addr.IsMulticast():
		return invalid("the IP address %s belongs to no single device", addr)
	}
	return nil
}

func checkEmail(address string) error {
	local, domain, found := strings.Cut(address, "@")
	if !found || len(address) > maxEmail || local == "" || len(local) > 64 || strings.Contains(domain, "@") {
		return invalid("the e-mail address %q is not of the form name@domain", address)
	}
	for i := range len(local) {
		if c := local[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),:;<>[\]`, c) >= 0 {
			return invalid("the e-mail address %q has a character that is not permitted before the @", address)
		}
	}
	return checkDNSName(domain)
}

// checkURI accepts absolute URIs (RFC 5280 §4.2.1.6). Their host may be a
// single label, as in plants; it may not carry an IPv6 zone.
func checkURI(text string) error {
	if text == "" || len(text) > maxURI {
		return invalid("a URI must have 1 to %d characters", maxURI)
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return invalid("the URI %q has a character that must be percent-encoded", text)
		}
	}
	uri, err := url.Parse(text)
	if err != nil || !uri.IsAbs() || uri.Opaque == "" && uri.Host == "" && uri.Path == "" {
		return invalid("the URI %q is not absolute, such as urn:example:press-01", text)
	}
	return checkURIHost(text, uri)
}

func checkURIHost(text string, uri *url.URL) error {
	host := uri.Hostname()
	if uri.Host == "" {
		return nil
	}
	if strings.HasPrefix(uri.Host, "[") {
		if addr, err := netip.ParseAddr(host); err != nil || addr.Zone() != "" {
			return invalid("the URI %q has an IPv6 address that is malformed or has a zone", text)
		}
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if err := checkDNSName(host); err != nil {
		return invalid("the host of the URI %q is not a valid name", text).Because(err)
	}
	return nil
}
