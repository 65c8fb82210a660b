// SPDX-License-Identifier: MIT

package pki

import (
	stdasn1 "encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// The bounds of what a server may want.
const (
	MaxCSRAttrs  = 64 << 10 // octets of DER
	maxAttrOrOID = 64
)

// ParseCSRAttrs reads CsrAttrs in DER. Where there is a template of RFC 9908 it
// counts and nothing else (RFC 9908 §4); what is not known is ignored (RFC 8951
// §3.5). It is KindInvalid for what is malformed or breaks a rule of RFC 9908.
func ParseCSRAttrs(data []byte) (CSRAttrs, error) {
	if len(data) > MaxCSRAttrs {
		return CSRAttrs{}, invalid("the CSR attributes are larger than %d KiB", MaxCSRAttrs>>10)
	}
	if err := strictDER(data, maxCSRElements); err != nil {
		return CSRAttrs{}, invalid("the CSR attributes are not in DER: %s", err)
	}
	in := cryptobyte.String(data)
	var list cryptobyte.String
	if !in.ReadASN1(&list, der.SEQUENCE) || !in.Empty() {
		return CSRAttrs{}, invalid("the CSR attributes are not a sequence")
	}
	p := attrsParser{seen: map[string]bool{}}
	for n := 0; !list.Empty(); n++ {
		if n == maxAttrOrOID {
			return CSRAttrs{}, invalid("there are more than %d CSR attributes", maxAttrOrOID)
		}
		if err := p.element(&list); err != nil {
			return CSRAttrs{}, err
		}
	}
	if p.template != nil {
		return *p.template, nil
	}
	return p.listed, nil
}

// attrsParser collects both forms.
type attrsParser struct {
	listed   CSRAttrs
	template *CSRAttrs
	seen     map[string]bool
}

func (p *attrsParser) element(list *cryptobyte.String) error {
	var oid stdasn1.ObjectIdentifier
	if list.PeekASN1Tag(der.OBJECT_IDENTIFIER) {
		if !list.ReadASN1ObjectIdentifier(&oid) {
			return invalid("an object identifier among the CSR attributes is malformed")
		}
		p.listed.ChallengePassword = p.listed.ChallengePassword || oid.Equal(oidChallengePassword)
		return nil
	}
	oid, values, err := readAttribute(list)
	if err != nil {
		return err
	}
	if oid.Equal(oidRequestTemplate) {
		if p.template != nil {
			return invalid("there are two templates among the CSR attributes")
		}
		template, err := parseTemplate(values)
		p.template = &template
		return err
	}
	if p.seen[oid.String()] && oid.Equal(oidExtensionRequest) {
		return invalid("the extensions are among the CSR attributes twice")
	}
	p.seen[oid.String()] = true
	return p.listed.attribute(oid, values)
}

func readAttribute(list *cryptobyte.String) (oid stdasn1.ObjectIdentifier, values cryptobyte.String, err error) {
	var pair cryptobyte.String
	if !list.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) || !pair.ReadASN1(&values, der.SET) || !pair.Empty() {
		return nil, nil, invalid("a CSR attribute is malformed")
	}
	return oid, values, nil
}

// attribute takes what an attribute says that stands alone.
func (c *CSRAttrs) attribute(oid stdasn1.ObjectIdentifier, values cryptobyte.String) error {
	switch {
	case oid.Equal(oidChallengePassword):
		c.ChallengePassword = true
	case oid.Equal(oidExtensionRequest), oid.Equal(oidExtensionTemplate):
		var list cryptobyte.String
		if !values.ReadASN1(&list, der.SEQUENCE) || !values.Empty() || c.Extensions != nil {
			return invalid("the extensions among the CSR attributes are malformed, or there are two lists of them")
		}
		return c.extensions(list)
	case oid.Equal(oidECPublicKey):
		var curve stdasn1.ObjectIdentifier
		if !values.Empty() && values.ReadASN1ObjectIdentifier(&curve) {
			c.Key = curveNamed(curve)
		}
	case oid.Equal(oidRSAEncryption):
		var bits int
		if !values.Empty() && values.ReadASN1Integer(&bits) {
			c.Key = rsaNamed(bits)
		}
	case plainNamed(oid) != "":
		c.Key = plainNamed(oid)
	}
	return nil
}

func (c *CSRAttrs) extensions(list cryptobyte.String) error {
	seen := map[string]bool{}
	for !list.Empty() {
		var item, value cryptobyte.String
		var oid stdasn1.ObjectIdentifier
		e := ExtensionTemplate{}
		ok := list.ReadASN1(&item, der.SEQUENCE) && item.ReadASN1ObjectIdentifier(&oid)
		if ok && item.PeekASN1Tag(der.BOOLEAN) {
			ok = item.ReadASN1Boolean(&e.Critical)
		}
		if ok && !item.Empty() {
			ok = item.ReadASN1(&value, der.OCTET_STRING)
			e.Value = append([]byte{}, value...)
		}
		if !ok || !item.Empty() || len(seen) == maxExtensions || seen[oid.String()] {
			return invalid("an extension among the CSR attributes is malformed, twice there, or one too many")
		}
		e.OID = oid.String()
		seen[e.OID] = true
		c.Extensions = append(c.Extensions, e)
	}
	return nil
}

// parseTemplate reads the one value of the template attribute.
func parseTemplate(values cryptobyte.String) (c CSRAttrs, err error) {
	malformed := invalid("the template among the CSR attributes is malformed")
	var template, key, attributes cryptobyte.String
	var version int
	var hasKey bool
	if !values.ReadASN1(&template, der.SEQUENCE) || !values.Empty() || !template.ReadASN1Integer(&version) || version != 0 {
		return CSRAttrs{}, malformed
	}
	if template.PeekASN1Tag(der.SEQUENCE) {
		var rdns cryptobyte.String
		if !template.ReadASN1(&rdns, der.SEQUENCE) || !c.subject(rdns) {
			return CSRAttrs{}, malformed
		}
	}
	if !template.ReadOptionalASN1(&key, &hasKey, der.Tag(0).ContextSpecific().Constructed()) ||
		!template.ReadASN1(&attributes, der.Tag(1).ContextSpecific().Constructed()) || !template.Empty() || hasKey && !c.key(key) {
		return CSRAttrs{}, malformed
	}
	for n := 0; !attributes.Empty(); n++ {
		oid, values, err := readAttribute(&attributes)
		if err != nil || n == maxAttrOrOID {
			return CSRAttrs{}, malformed
		}
		switch {
		case oid.Equal(oidECPublicKey), oid.Equal(oidRSAEncryption), plainNamed(oid) != "": // the key has its own place
		default:
			if err := c.attribute(oid, values); err != nil {
				return CSRAttrs{}, err
			}
		}
	}
	return c, nil
}

// subject reads the attributes of a NameTemplate, one after the other.
func (c *CSRAttrs) subject(rdns cryptobyte.String) bool {
	for !rdns.Empty() {
		var rdn cryptobyte.String
		if !rdns.ReadASN1(&rdn, der.SET) || rdn.Empty() {
			return false
		}
		for !rdn.Empty() {
			var pair, value cryptobyte.String
			var oid stdasn1.ObjectIdentifier
			var tag der.Tag
			if len(c.Subject) == maxNameAttributes || !rdn.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) {
				return false
			}
			a := Attribute{OID: oid.String()}
			if !pair.Empty() {
				if !pair.ReadAnyASN1Element(&value, &tag) || !pair.Empty() {
					return false
				}
				var text string
				if rest, err := stdasn1.Unmarshal(value, &text); err == nil && len(rest) == 0 {
					a.Value = text
				}
			}
			c.Subject = append(c.Subject, a)
		}
	}
	return true
}

// key reads a SubjectPublicKeyInfoTemplate.
func (c *CSRAttrs) key(spki cryptobyte.String) bool {
	var algorithm cryptobyte.String
	var oid, curve stdasn1.ObjectIdentifier
	if !spki.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) {
		return false
	}
	switch {
	case oid.Equal(oidECPublicKey):
		if !algorithm.ReadASN1ObjectIdentifier(&curve) {
			return false
		}
		c.Key = curveNamed(curve)
	case plainNamed(oid) != "":
		c.Key = plainNamed(oid)
	case oid.Equal(oidRSAEncryption) && !spki.Empty():
		var bits []byte
		var key cryptobyte.String
		modulus := new(big.Int)
		if !spki.ReadASN1BitStringAsBytes(&bits) {
			return false
		}
		sequence := cryptobyte.String(bits)
		if !sequence.ReadASN1(&key, der.SEQUENCE) || !key.ReadASN1Integer(modulus) {
			return false
		}
		c.Key = rsaNamed(modulus.BitLen())
		return spki.Empty()
	}
	return true
}

func curveNamed(oid stdasn1.ObjectIdentifier) models.KeyAlgorithm {
	for name, curve := range wantedCurves {
		if curve.Equal(oid) {
			return name
		}
	}
	return ""
}

func rsaNamed(bits int) models.KeyAlgorithm {
	for name, size := range wantedRSA {
		if size == bits {
			return name
		}
	}
	return ""
}
