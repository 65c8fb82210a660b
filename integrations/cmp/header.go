// SPDX-License-Identifier: MIT

package cmp

import (
	"encoding/asn1"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// Header is a PKIHeader (RFC 9810 §5.1.1). What is nil or zero is absent.
type Header struct {
	Version       int // pvno: Version2 or Version3
	Sender        GeneralName
	Recipient     GeneralName
	MessageTime   time.Time
	ProtectionAlg *Algorithm
	SenderKID     []byte
	RecipKID      []byte
	TransactionID []byte
	SenderNonce   []byte
	RecipNonce    []byte
	FreeText      []string
	GeneralInfo   []Attribute
}

// GeneralName is the DER of a GeneralName.
type GeneralName []byte

// NullDN is the directory name of nobody in particular: the empty one.
var NullDN = DirectoryName([]byte{byte(der.SEQUENCE), 0})

// DirectoryName returns the GeneralName for the DER of a Name.
func DirectoryName(name []byte) GeneralName {
	out, err := encoded(func(b *builder) {
		addTagged(b, 4, func(b *builder) { addWhole(b, name) })
	})
	if err != nil {
		return nil
	}
	return out
}

// Directory returns the DER of the Name; false if it is another kind of name.
func (g GeneralName) Directory() ([]byte, bool) {
	d := newDecoder(g)
	if !d.next(tagged(4)) {
		return nil, false
	}
	in := d.inside("a name", tagged(4))
	name := in.whole("a name", der.SEQUENCE)
	in.end("a name")
	d.end("a name")
	return name, d.ok()
}

// generalName reads a GeneralName of any kind.
func (d *decoder) generalName(what string) GeneralName {
	for n := uint8(0); n <= 8; n++ {
		switch {
		case d.next(tagged(n)) && (n == 0 || n == 3 || n == 4 || n == 5):
			name := GeneralName(d.whole(what, tagged(n)))
			if _, ok := name.Directory(); n == 4 && !ok {
				d.fail(what)
			}
			return name
		case d.next(primitive(n)) && (n == 1 || n == 2 || n >= 6):
			return d.whole(what, primitive(n))
		}
	}
	d.fail(what)
	return nil
}

const whatHeader = "the header"

func (d *decoder) header() Header {
	in := d.sequence(whatHeader)
	h := Header{Version: in.version()}
	h.Sender = in.generalName("the sender")
	h.Recipient = in.generalName("the recipient")
	in.optional("messageTime", 0, func(d *decoder) { h.MessageTime = d.time("messageTime") })
	in.optional("protectionAlg", 1, func(d *decoder) {
		alg := d.algorithm("protectionAlg")
		h.ProtectionAlg = &alg
	})
	for n, octets := range []struct {
		what string
		to   *[]byte
	}{{"senderKID", &h.SenderKID}, {"recipKID", &h.RecipKID}, {"transactionID", &h.TransactionID}, {"senderNonce", &h.SenderNonce}, {"recipNonce", &h.RecipNonce}} {
		in.optional(octets.what, uint8(2+n), func(d *decoder) { *octets.to = d.octets(octets.what) })
	}
	in.optional("freeText", 7, func(d *decoder) { h.FreeText = d.freeText() })
	in.optional("generalInfo", 8, func(d *decoder) {
		d.each("generalInfo", 1, func(d *decoder) { h.GeneralInfo = append(h.GeneralInfo, d.info()) })
	})
	in.end(whatHeader)
	return h
}

func (d *decoder) version() int {
	v := d.integer("pvno", 0, 99)
	if d.ok() && v != Version2 && v != Version3 {
		*d.err = refuse(FailUnsupportedVersion, models.KindInvalid, "pvno is %d; 2 (cmp2000) and 3 (cmp2021) are supported", v)
	}
	return v
}

func (h *Header) encode(b *builder) {
	addSequence(b, func(b *builder) {
		b.AddASN1Int64(int64(h.Version))
		addWhole(b, h.Sender)
		addWhole(b, h.Recipient)
		if !h.MessageTime.IsZero() {
			addTagged(b, 0, func(b *builder) { addTime(b, h.MessageTime) })
		}
		if h.ProtectionAlg != nil {
			addTagged(b, 1, h.ProtectionAlg.encode)
		}
		for n, octets := range [][]byte{h.SenderKID, h.RecipKID, h.TransactionID, h.SenderNonce, h.RecipNonce} {
			addOptionalOctets(b, uint8(2+n), octets)
		}
		if h.FreeText != nil {
			addTagged(b, 7, func(b *builder) { addTexts(b, h.FreeText) })
		}
		if h.GeneralInfo != nil {
			addTagged(b, 8, func(b *builder) { addList(b, h.GeneralInfo, addAttribute) })
		}
	})
}

// Info returns the value of the first generalInfo of a kind, and whether there
// is one.
func (h *Header) Info(oid asn1.ObjectIdentifier) ([]byte, bool) {
	for _, info := range h.GeneralInfo {
		if info.OID.Equal(oid) {
			return info.Value, true
		}
	}
	return nil, false
}

// ImplicitConfirm reports whether the header asks for, or grants, that there is
// no certConf (RFC 9810 §5.1.1.1).
func (h *Header) ImplicitConfirm() bool {
	_, is := h.Info(OIDImplicitConfirm)
	return is
}

// ConfirmWaitTime returns until when the CA waits for certConf (RFC 9810
// §5.1.1.2); zero: the header does not say.
func (h *Header) ConfirmWaitTime() time.Time {
	value, _ := h.Info(OIDConfirmWaitTime)
	if value == nil {
		return time.Time{}
	}
	return newDecoder(value).time("confirmWaitTime")
}

// CertProfiles returns the names of the profiles that are asked for, one for
// each request (RFC 9810 §5.1.1.4); nil: the header does not say.
func (h *Header) CertProfiles() []string {
	value, _ := h.Info(OIDCertProfile)
	if value == nil {
		return nil
	}
	return newDecoder(value).freeText()
}
