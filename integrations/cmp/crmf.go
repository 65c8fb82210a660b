// SPDX-License-Identifier: MIT

package cmp

import (
	"encoding/asn1"
	"math"

	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The object identifiers of controls (RFC 4211 §6, RFC 9810 §5.3.19.16) and of
// registration information (RFC 4211 §7).
var (
	OIDRegToken         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 1}
	OIDAuthenticator    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 2}
	OIDPublicationInfo  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 3}
	OIDArchiveOptions   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 4}
	OIDOldCertID        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 5}
	OIDProtocolEncrKey  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 6}
	OIDAltCertTemplate  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 7}
	OIDControlAlgorithm = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 11} // id-regCtrl-algId
	OIDControlRSAKeyLen = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 12} // id-regCtrl-rsaKeyLen
	OIDUTF8Pairs        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 2, 1}
)

// CertReqMsg is one request of ir, cr, kur (RFC 4211 §3).
type CertReqMsg struct {
	Request CertRequest
	POPO    *POPO
	RegInfo []Attribute
}

// CertRequest is what a proof of possession is about.
type CertRequest struct {
	// Raw is the DER as it was received. Marshal returns it if it is there.
	Raw      []byte
	ID       int // certReqId
	Template Template
	Controls []Attribute // nil: absent
}

// POPOMethod is the choice of a ProofOfPossession (RFC 4211 §4): its tag.
type POPOMethod int

// The proofs of possession.
const (
	POPORAVerified      POPOMethod = 0
	POPOSignature       POPOMethod = 1
	POPOKeyEncipherment POPOMethod = 2
	POPOKeyAgreement    POPOMethod = 3
)

// POPO is a ProofOfPossession.
type POPO struct {
	Method     POPOMethod
	Signature  *SigningKeyProof // of POPOSignature
	PrivateKey *PrivateKeyProof // of the last two methods
}

// SigningKeyProof is a POPOSigningKey (RFC 4211 §4.1). The signature is over
// Input if there is one, else over the DER of the CertRequest.
type SigningKeyProof struct {
	Input     *SigningKeyInput
	Algorithm Algorithm
	Signature []byte
}

// SigningKeyInput is a POPOSigningKeyInput.
type SigningKeyInput struct {
	// Raw is the DER as it was received, as a SEQUENCE: that is what is signed.
	Raw       []byte
	Sender    GeneralName // authInfo, if the sender was authenticated before
	MAC       *PKMAC      // authInfo otherwise
	PublicKey []byte      // DER of the SubjectPublicKeyInfo
}

// PKMAC is a PKMACValue.
type PKMAC struct {
	Algorithm Algorithm
	Value     []byte
}

// PrivateKeyMethod is the choice of a POPOPrivKey (RFC 4211 §4.2): its tag.
type PrivateKeyMethod int

// The ways to prove the possession of a key that cannot sign.
const (
	PrivateKeyThisMessage  PrivateKeyMethod = 0 // deprecated
	PrivateKeySubsequent   PrivateKeyMethod = 1
	PrivateKeyDHMAC        PrivateKeyMethod = 2 // deprecated
	PrivateKeyAgreeMAC     PrivateKeyMethod = 3
	PrivateKeyEncryptedKey PrivateKeyMethod = 4
)

// The values of a SubsequentMessage.
const (
	SubsequentEncrCert  = 0 // the certificate comes encrypted, certConf proves it
	SubsequentChallenge = 1 // popdecc follows
)

// PrivateKeyProof is a POPOPrivKey.
type PrivateKeyProof struct {
	Method       PrivateKeyMethod
	Subsequent   int    // of PrivateKeySubsequent
	Bits         []byte // of PrivateKeyThisMessage and PrivateKeyDHMAC
	AgreeMAC     *PKMAC
	EncryptedKey []byte // DER of the EnvelopedData
}

const whatPOPO = "a ProofOfPossession"

func (d *decoder) certReqMsg() CertReqMsg {
	const what = "a CertReqMsg"
	in := d.sequence(what)
	m := CertReqMsg{Request: in.certRequest()}
	if in.more() && !in.next(der.SEQUENCE) {
		m.POPO = in.popo()
	}
	if in.more() {
		in.each(what, 1, func(d *decoder) { m.RegInfo = append(m.RegInfo, d.attribute("regInfo", false)) })
	}
	in.end(what)
	return m
}

func (d *decoder) certRequest() CertRequest {
	const what = "a CertRequest"
	r := CertRequest{Raw: d.whole(what, der.SEQUENCE)}
	if !d.ok() {
		return r
	}
	in := (&decoder{in: r.Raw, err: d.err}).sequence(what)
	r.ID = in.certReqID()
	r.Template = in.template()
	if in.more() {
		in.each("Controls", 1, func(d *decoder) { r.Controls = append(r.Controls, d.attribute("a control", false)) })
	}
	in.end(what)
	return r
}

func (d *decoder) certReqID() int { return d.integer("certReqId", -1, math.MaxInt32) }

func (d *decoder) popo() *POPO {
	switch {
	case d.next(primitive(0)):
		if len(d.content(whatPOPO, primitive(0))) != 0 {
			d.fail(whatPOPO)
		}
		return &POPO{Method: POPORAVerified}
	case d.next(tagged(1)):
		return &POPO{Method: POPOSignature, Signature: d.inside(whatPOPO, tagged(1)).signingKeyProof()}
	}
	for _, method := range []POPOMethod{POPOKeyEncipherment, POPOKeyAgreement} {
		if tag := tagged(uint8(method)); d.next(tag) {
			in := d.inside(whatPOPO, tag)
			p := &POPO{Method: method, PrivateKey: in.privateKeyProof()}
			in.end(whatPOPO)
			return p
		}
	}
	d.fail(whatPOPO)
	return nil
}

func (d *decoder) signingKeyProof() *SigningKeyProof {
	p := &SigningKeyProof{}
	if d.next(tagged(0)) {
		p.Input = d.signingKeyInput()
	}
	p.Algorithm = d.algorithm(whatPOPO)
	p.Signature = d.bits(whatPOPO)
	d.end(whatPOPO)
	return p
}

func (d *decoder) signingKeyInput() *SigningKeyInput {
	const what = "a POPOSigningKeyInput"
	i := &SigningKeyInput{Raw: d.sequenceAs(what, tagged(0))}
	if !d.ok() {
		return i
	}
	in := (&decoder{in: i.Raw, err: d.err}).sequence(what)
	if in.next(tagged(0)) {
		in.optional(what, 0, func(d *decoder) { i.Sender = d.generalName("the sender of a POPOSigningKeyInput") })
	} else {
		i.MAC = in.sequence(what).pkMAC()
	}
	i.PublicKey = in.publicKey(der.SEQUENCE)
	in.end(what)
	return i
}

// pkMAC reads the inside of a PKMACValue.
func (d *decoder) pkMAC() *PKMAC {
	m := &PKMAC{Algorithm: d.algorithm("a PKMACValue"), Value: d.bits("a PKMACValue")}
	d.end("a PKMACValue")
	return m
}

func (d *decoder) privateKeyProof() *PrivateKeyProof {
	p := &PrivateKeyProof{}
	switch {
	case d.next(primitive(0)), d.next(primitive(2)):
		if d.next(primitive(2)) {
			p.Method = PrivateKeyDHMAC
		}
		p.Bits = d.wholeOctets(whatPOPO, d.content(whatPOPO, primitive(uint8(p.Method))))
	case d.next(primitive(1)):
		p.Method = PrivateKeySubsequent
		p.Subsequent = d.smallInteger("a SubsequentMessage", d.content(whatPOPO, primitive(1)), SubsequentEncrCert, SubsequentChallenge)
	case d.next(tagged(3)):
		p.Method = PrivateKeyAgreeMAC
		p.AgreeMAC = d.inside(whatPOPO, tagged(3)).pkMAC()
	case d.next(tagged(4)):
		p.Method = PrivateKeyEncryptedKey
		p.EncryptedKey = d.sequenceAs(whatPOPO, tagged(4))
	default:
		d.fail(whatPOPO)
	}
	return p
}

func (m *CertReqMsg) encode(b *builder) {
	addSequence(b, func(b *builder) {
		m.Request.encode(b)
		if m.POPO != nil {
			m.POPO.encode(b)
		}
		if m.RegInfo != nil {
			addList(b, m.RegInfo, addAttribute)
		}
	})
}

// Marshal returns the DER of the CertRequest: what was received, or the
// fields. A signature that proves possession is over it, unless there is a
// POPOSigningKeyInput.
func (r *CertRequest) Marshal() ([]byte, error) { return encoded(r.encode) }

func (r *CertRequest) encode(b *builder) {
	if r.Raw != nil {
		b.AddBytes(r.Raw)
		return
	}
	addSequence(b, func(b *builder) {
		b.AddASN1Int64(int64(r.ID))
		r.Template.encode(b)
		if r.Controls != nil {
			addList(b, r.Controls, addAttribute)
		}
	})
}

func (p *POPO) encode(b *builder) {
	switch {
	case p.Method == POPORAVerified:
		addContent(b, primitive(0), nil)
	case p.Method == POPOSignature && p.Signature != nil:
		b.AddASN1(tagged(1), p.Signature.encode)
	case p.PrivateKey != nil:
		addTagged(b, uint8(p.Method), p.PrivateKey.encode)
	default:
		addWhole(b, nil)
	}
}

func (p *SigningKeyProof) encode(b *builder) {
	if p.Input != nil {
		input, err := p.Input.Marshal()
		if err != nil {
			b.SetError(err)
			return
		}
		addAs(b, tagged(0), input)
	}
	p.Algorithm.encode(b)
	b.AddASN1BitString(p.Signature)
}

// Marshal returns the DER of the POPOSigningKeyInput as a SEQUENCE: what was
// received, or the fields. That is what the signature is over.
func (i *SigningKeyInput) Marshal() ([]byte, error) {
	if i.Raw != nil {
		return i.Raw, nil
	}
	return encoded(func(b *builder) {
		addSequence(b, func(b *builder) {
			if i.MAC != nil {
				addSequence(b, i.MAC.encode)
			} else {
				addTagged(b, 0, func(b *builder) { addWhole(b, i.Sender) })
			}
			addWhole(b, i.PublicKey)
		})
	})
}

func (m *PKMAC) encode(b *builder) {
	m.Algorithm.encode(b)
	b.AddASN1BitString(m.Value)
}

func (p *PrivateKeyProof) encode(b *builder) {
	switch p.Method {
	case PrivateKeyThisMessage, PrivateKeyDHMAC:
		addContent(b, primitive(uint8(p.Method)), append([]byte{0}, p.Bits...))
	case PrivateKeySubsequent:
		addContent(b, primitive(1), []byte{byte(p.Subsequent)})
	case PrivateKeyAgreeMAC:
		if p.AgreeMAC == nil {
			addWhole(b, nil)
			return
		}
		b.AddASN1(tagged(3), p.AgreeMAC.encode)
	case PrivateKeyEncryptedKey:
		addAs(b, tagged(4), p.EncryptedKey)
	default:
		addWhole(b, nil)
	}
}

// Control returns the value of a control, nil if the request has none of that
// kind, or more than one.
func (r *CertRequest) Control(oid asn1.ObjectIdentifier) []byte {
	var found []byte
	for _, c := range r.Controls {
		if !c.OID.Equal(oid) {
			continue
		}
		if found != nil {
			return nil
		}
		found = c.Value
	}
	return found
}

// OldCertID returns the certificate that a kur names in its control oldCertId;
// nil if there is none.
func (r *CertRequest) OldCertID() (*CertID, error) {
	count := 0
	for _, c := range r.Controls {
		if c.OID.Equal(OIDOldCertID) {
			count++
		}
	}
	if count == 0 {
		return nil, nil
	}
	if count > 1 {
		return nil, malformed("the request has more than one control oldCertId")
	}
	return parseCertID(r.Control(OIDOldCertID))
}

// parseCertID parses a CertId whose issuer is a directory name.
func parseCertID(element []byte) (*CertID, error) {
	d := newDecoder(element)
	id := d.certID()
	d.end("a CertId")
	return &id, *d.err
}

func (d *decoder) certID() CertID {
	const what = "a CertId"
	in := d.sequence(what)
	issuer, named := in.generalName(what).Directory()
	if !named {
		in.fail("the issuer of a CertId")
	}
	id := CertID{Issuer: issuer, Serial: in.serial("the serial number of a CertId", der.INTEGER)}
	in.end(what)
	return id
}

// Marshal returns the DER of the CertId.
func (id *CertID) Marshal() ([]byte, error) { return encoded(id.encode) }

func (id *CertID) encode(b *builder) {
	addSequence(b, func(b *builder) {
		addTagged(b, 4, func(b *builder) { addWhole(b, id.Issuer) })
		addContent(b, der.INTEGER, id.Serial)
	})
}
