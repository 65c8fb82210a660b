// SPDX-License-Identifier: MIT

package policy

import (
	"maps"
	"strconv"

	"github.com/trustloom/trustloom/models/pki"
)

// extensions converts the extensions and adds those that Trustpoint adds.
func (c *converter) extensions(n *node) (object, error) {
	out := object{}
	if err := n.object(); err != nil {
		return nil, err
	}
	for _, member := range n.members {
		field, known := extensionNames.find(member.name)
		var value any
		var err error
		switch {
		case !known:
			err = c.keyword(out, member)
		case member.kind == kindNull:
			out[field.canonical] = nil
		case field.oid == oidBasicConstraints:
			value, err = c.basicConstraints(member)
		case field.oid == oidKeyUsage:
			value, err = c.keyUsage(member)
		case field.oid == oidExtKeyUsage:
			value, err = c.extKeyUsage(member)
		case field.oid == oidSubjectAltName:
			value, err = c.names(member)
		case field.oid == oidCRLPoints:
			value, err = c.points(member)
		default:
			err = member.errorf("Trustpoint has no such extension")
		}
		if err != nil {
			return nil, err
		}
		if known && member.kind != kindNull {
			out[field.canonical] = value
		}
	}
	if _, said := out["key_usage"]; !said && !c.authority {
		out["key_usage"] = object{"value": []string{"digital_signature", "key_agreement"}, "critical": true} // Trustpoint adds it
	}
	c.note("the certificates name the CRL, the certificate and the OCSP responder of their issuer here, unless the profile says otherwise")
	return out, nil
}

// signsCertificates reports whether the profile is for CAs.
func signsCertificates(extensions *node) bool {
	ca, sign := false, false
	for _, extension := range extensions.members {
		field, _ := extensionNames.find(extension.name)
		for _, member := range extension.members {
			bit, _ := keyUsages.find(member.name)
			ca = ca || field.oid == oidBasicConstraints && member.name == "ca" && truth(member)
			sign = sign || field.oid == oidKeyUsage && bit.canonical == "key_cert_sign" && truth(member)
		}
	}
	return ca && sign
}

// truth reads a boolean, or a rule whose value or default is one.
func truth(n *node) bool {
	for _, member := range n.members {
		if (member.name == "value" || member.name == "default") && member.kind == kindTrue {
			return true
		}
	}
	return n.kind == kindTrue
}

func (c *converter) basicConstraints(n *node) (any, error) {
	out := object{"ca": c.authority}
	if err := n.object(); err != nil {
		return nil, err
	}
	for _, member := range n.members {
		switch member.name {
		case "ca":
			if truth(member) && !c.authority {
				c.lose(member, "devices get no certificates of CAs, and this one does not even sign certificates (no key_cert_sign); it is issued with CA:FALSE")
			}
		case "path_length":
			if member.kind != kindNull && c.authority {
				length, err := strconv.Atoi(member.text)
				if err != nil {
					return nil, member.errorf("must be a number")
				}
				out["path_length"] = length
			}
		case "critical":
			critical, err := member.boolean()
			if err != nil {
				return nil, err
			}
			out["critical"] = critical
		case "mutable", "reject_mods", "required", "allow":
			c.note("%s is left out: what a request says about basic_constraints never counts here", member.path)
		default:
			return nil, member.errorf("unknown member")
		}
	}
	return out, nil
}

func (c *converter) keyUsage(n *node) (any, error) {
	if err := n.object(); err != nil {
		return nil, err
	}
	out, usages := object{}, []string{}
	for _, member := range n.members {
		usage, known := keyUsages.find(member.name)
		switch {
		case !known:
			if err := c.keyword(out, member); err != nil {
				return nil, err
			}
		case truth(member):
			usages = append(usages, usage.canonical)
		}
	}
	if out["allow"] != nil || out["mutable"] == true {
		c.note("%s: key usages that a request has replace those of the profile; Trustpoint adds the profile's to them", n.path)
	}
	if len(usages) == 0 {
		return out, nil
	}
	out["value"] = usages
	if allow, said := out["allow"]; said { // the requester's count beside a value only if that can be replaced
		delete(out, "value")
		out["default"], out["allow"] = usages, allow
	}
	return out, nil
}

func (c *converter) extKeyUsage(n *node) (any, error) {
	if n.kind != kindObject {
		return c.plain(n)
	}
	out := object{}
	for _, member := range n.members {
		if member.name != "usages" {
			if err := c.keyword(out, member); err != nil {
				return nil, err
			}
			continue
		}
		value, err := c.rule(member, nil)
		if err != nil {
			return nil, err
		}
		if inner, isRule := value.(object); isRule {
			maps.Copy(out, inner)
		} else if value != nil {
			out["value"] = value
		}
	}
	return out, nil
}

func (c *converter) names(n *node) (any, error) {
	if err := n.object(); err != nil {
		return nil, err
	}
	out := object{}
	for _, member := range n.members {
		field, known := alternativeNames.find(member.name)
		switch {
		case !known:
			if err := c.keyword(out, member); err != nil {
				return nil, err
			}
		case field.oid == "other":
			c.note("%s is left out: Trustpoint reads it and never issues it", member.path)
		default:
			value, err := c.rule(member, func(s string) error { _, err := pki.CanonicalSAN(field.oid + ":" + s); return err })
			if err != nil {
				return nil, err
			}
			out[field.canonical] = value
		}
	}
	return out, nil
}

func (c *converter) points(n *node) (any, error) {
	if n.kind != kindObject {
		return c.plain(n)
	}
	for _, member := range n.members {
		switch member.name {
		case "uris":
			value, err := c.rule(member, nil)
			if inner, isRule := value.(object); isRule {
				if value = inner["value"]; value == nil {
					value = inner["default"]
				}
			}
			return value, err
		case "critical":
			if truth(member) {
				c.lose(member, "the extension is never critical here")
			}
		}
	}
	return nil, n.errorf("has no uris")
}
