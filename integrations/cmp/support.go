// SPDX-License-Identifier: MIT

package cmp

import (
	"crypto/x509"
	"slices"
)

// RootUpdateInfo makes the value of rootCaKeyUpdate (RFC 9810 §5.3.19.15); nil
// makes none: there is no update.
func RootUpdateInfo(u *RootUpdate) (Attribute, error) {
	if u == nil {
		return Attribute{OID: OIDRootCAKeyUpdate}, nil
	}
	return newInfo(OIDRootCAKeyUpdate, func(b *builder) {
		addSequence(b, func(b *builder) {
			b.AddBytes(u.NewWithNew.Raw)
			for i, cert := range []*x509.Certificate{u.NewWithOld, u.OldWithNew} {
				if cert != nil {
					addTagged(b, uint8(i), func(b *builder) { b.AddBytes(cert.Raw) })
				}
			}
		})
	})
}

// RootUpdate returns the value of rootCaKeyUpdate; nil if there is none.
func (a *Attribute) RootUpdate() (*RootUpdate, error) {
	if a.Value == nil {
		return nil, nil
	}
	u := &RootUpdate{}
	err := a.parse(func(d *decoder) {
		const what = "a RootCaKeyUpdateContent"
		in := d.sequence(what)
		in.certificateTo(&u.NewWithNew)
		in.optional(what, 0, func(d *decoder) { d.certificateTo(&u.NewWithOld) })
		in.optional(what, 1, func(d *decoder) { d.certificateTo(&u.OldWithNew) })
		in.end(what)
	})
	return u, err
}

func (d *decoder) certificateTo(to **x509.Certificate) {
	raw := d.certificate()
	if !d.ok() {
		return
	}
	cert, err := parseCertificate(raw)
	if err != nil {
		*d.err = err
	}
	*to = cert
}

// CRLStatusInfo makes the value of crlStatusList (RFC 9810 §5.3.19.17).
func CRLStatusInfo(known []CRLStatus) (Attribute, error) {
	return newInfo(OIDCRLStatusList, func(b *builder) {
		addList(b, known, func(b *builder, s *CRLStatus) {
			addSequence(b, func(b *builder) {
				s.encodeSource(b)
				if !s.ThisUpdate.IsZero() {
					addX509Time(b, s.ThisUpdate)
				}
			})
		})
	})
}

// encodeSource adds a CRLSource: the distribution point if there is one.
func (s *CRLStatus) encodeSource(b *builder) {
	if len(s.Points) == 0 {
		addTagged(b, 1, func(b *builder) {
			addSequence(b, func(b *builder) { b.AddBytes(DirectoryName(s.Issuer)) })
		})
		return
	}
	addTagged(b, 0, func(b *builder) { // DistributionPointName, and its fullName
		b.AddASN1(tagged(0), func(b *builder) {
			for _, point := range s.Points {
				addContent(b, primitive(6), []byte(point))
			}
		})
	})
}

// CRLStatuses returns the value of crlStatusList. Distribution points are URIs
// here; one that is named otherwise has neither Points nor Issuer.
func (a *Attribute) CRLStatuses() ([]CRLStatus, error) {
	var all []CRLStatus
	err := a.parse(func(d *decoder) {
		d.each("crlStatusList", 1, func(d *decoder) { all = append(all, d.crlStatus()) })
	})
	return all, err
}

func (d *decoder) crlStatus() CRLStatus {
	const what = "a CRLStatus"
	in := d.sequence(what)
	var s CRLStatus
	switch {
	case in.next(tagged(0)):
		in.optional(what, 0, func(d *decoder) {
			if !d.next(tagged(0)) {
				d.any(what) // nameRelativeToCRLIssuer
				return
			}
			d.inside(what, tagged(0)).names(what, func(name GeneralName) {
				if uri, is := name.uri(); is {
					s.Points = append(s.Points, uri)
				}
			})
		})
	case in.next(tagged(1)):
		in.optional(what, 1, func(d *decoder) {
			d.sequence(what).names(what, func(name GeneralName) {
				if issuer, is := name.Directory(); is {
					s.Issuer = issuer
				}
			})
		})
	default:
		in.fail(what)
	}
	if in.more() {
		s.ThisUpdate = in.eitherTime(what)
	}
	in.end(what)
	return s
}

// names reads GeneralNames.
func (d *decoder) names(what string, each func(GeneralName)) {
	d.items(what, 1, func(d *decoder) { each(d.generalName(what)) })
}

// uri returns the uniformResourceIdentifier, if that is the kind of name.
func (g GeneralName) uri() (string, bool) {
	d := newDecoder(g)
	if !d.next(primitive(6)) {
		return "", false
	}
	uri := string(d.content("a URI", primitive(6)))
	return uri, d.ok() && isVisible(uri)
}

func isVisible(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c <= ' ' || c >= 0x7f })
}
