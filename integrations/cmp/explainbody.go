// SPDX-License-Identifier: MIT

package cmp

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

var bodyMeanings = map[BodyType]string{
	BodyIR: "initialization request", BodyIP: "initialization response", BodyCR: "certification request", BodyCP: "certification response",
	BodyP10CR: "certification request in PKCS #10", BodyPOPDecC: "challenge of a key", BodyPOPDecR: "response to a challenge",
	BodyKUR: "key update request", BodyKUP: "key update response", BodyKRR: "key recovery request", BodyKRP: "key recovery response",
	BodyRR: "revocation request", BodyRP: "revocation response", BodyCCR: "cross-certification request", BodyCCP: "cross-certification response",
	BodyCKUAnn: "CA key update announcement", BodyCAnn: "certificate announcement", BodyRAnn: "revocation announcement", BodyCRLAnn: "CRL announcement",
	BodyPKIConf: "confirmation", BodyNested: "messages in a message", BodyGenM: "general message", BodyGenP: "general response",
	BodyError: "error", BodyCertConf: "certificate confirmation", BodyPollReq: "polling request", BodyPollRep: "polling response",
}

// infoName returns the name of an InfoTypeAndValue as RFC 9810 spells it.
func infoName(oid asn1.ObjectIdentifier) string {
	names := [...]string{1: "caProtEncCert", 2: "signKeyPairTypes", 3: "encKeyPairTypes", 4: "preferredSymmAlg", 5: "caKeyUpdateInfo", 6: "currentCRL",
		7: "unsupportedOIDs", 10: "keyPairParamReq", 11: "keyPairParamRep", 12: "revPassphrase", 13: "implicitConfirm", 14: "confirmWaitTime",
		15: "origPKIMessage", 16: "suppLangTags", 17: "caCerts", 18: "rootCaKeyUpdate", 19: "certReqTemplate", 20: "rootCaCert",
		21: "certProfile", 22: "crlStatusList", 23: "crls", 24: "KemCiphertextInfo"}
	for n, name := range names {
		if name != "" && oid.Equal(infoType(n)) {
			return name
		}
	}
	return oid.String()
}

// algorithmNames are those of RFC 9481 that a message is likely to have.
var algorithmNames = map[string]string{
	"1.2.840.113533.7.66.13": "PasswordBasedMac", "1.2.840.113533.7.66.30": "DHBasedMac", "1.2.840.113549.1.5.14": "PBMAC1",
	"1.2.840.113549.1.1.1": "RSA", "1.2.840.113549.1.1.5": "RSA with SHA-1", "1.2.840.113549.1.1.10": "RSA-PSS",
	"1.2.840.113549.1.1.11": "RSA with SHA-256", "1.2.840.113549.1.1.12": "RSA with SHA-384", "1.2.840.113549.1.1.13": "RSA with SHA-512",
	"1.2.840.10045.2.1": "EC", "1.2.840.10045.4.3.2": "ECDSA with SHA-256", "1.2.840.10045.4.3.3": "ECDSA with SHA-384", "1.2.840.10045.4.3.4": "ECDSA with SHA-512",
	"1.3.101.112": "Ed25519", "1.3.101.113": "Ed448", "1.3.101.110": "X25519",
	"2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
	"2.16.840.1.101.3.4.2.1": "SHA-256", "2.16.840.1.101.3.4.2.2": "SHA-384", "2.16.840.1.101.3.4.2.3": "SHA-512",
	"2.16.840.1.101.3.4.1.2": "AES-128-CBC", "2.16.840.1.101.3.4.1.42": "AES-256-CBC",
}

var curveNames = map[string]string{"1.2.840.10045.3.1.7": "P-256", "1.3.132.0.34": "P-384", "1.3.132.0.35": "P-521"}

func algorithmName(a Algorithm) string {
	name := algorithmNames[a.OID.String()]
	if name == "" {
		return a.OID.String()
	}
	var curve asn1.ObjectIdentifier
	in := cryptobyte.String(a.Parameters)
	if name == "EC" && in.ReadASN1ObjectIdentifier(&curve) {
		if known := curveNames[curve.String()]; known != "" {
			return "EC " + known
		}
		return "EC " + curve.String()
	}
	return name
}

func (x *explainer) body(body *Body) {
	for i := range body.Requests {
		x.under(fmt.Sprintf("request %d:", body.Requests[i].Request.ID), func() { x.request(&body.Requests[i]) })
	}
	if body.Replies != nil {
		x.certificates("certificates of CAs", body.Replies.CAPubs)
		for i := range body.Replies.Responses {
			x.under(fmt.Sprintf("response to request %d:", body.Replies.Responses[i].ID), func() { x.response(&body.Replies.Responses[i]) })
		}
	}
	if body.CSR != nil {
		x.line("request", "%s", csrText(body.CSR))
	}
	for i := range body.RevReqs {
		x.under("certificate to revoke:", func() {
			x.template(&body.RevReqs[i].Template)
			x.octets("entry extensions", body.RevReqs[i].Extensions)
		})
	}
	if body.RevReps != nil {
		x.revReplies(body.RevReps)
	}
	for i := range body.Infos {
		x.info(&body.Infos[i])
	}
	if body.Error != nil {
		x.status(&body.Error.Status)
		if body.Error.HasCode {
			x.line("error code", "%d", body.Error.Code)
		}
		x.texts("details", body.Error.Details)
	}
	x.transaction(body)
	for _, inner := range body.Nested {
		x.message(inner)
	}
	x.octets("content", body.Raw)
}

// transaction explains the bodies that go on with one.
func (x *explainer) transaction(body *Body) {
	for i := range body.Confirms {
		c := &body.Confirms[i]
		x.under(fmt.Sprintf("certificate of request %d:", c.ID), func() {
			x.octets("hash", c.CertHash)
			if c.HashAlg != nil {
				x.line("hash algorithm", "%s", algorithmName(*c.HashAlg))
			}
			if c.Status != nil {
				x.status(c.Status)
			}
		})
	}
	for _, id := range body.PollReqs {
		x.line("asks about", "request %d", id)
	}
	for _, r := range body.PollReps {
		x.line("ask again", "about request %d in %s", r.ID, time.Duration(r.CheckAfter)*time.Second)
		x.texts("reason", r.Reason)
	}
}

func csrText(raw []byte) string {
	csr, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		return fmt.Sprintf("a request that cannot be read, %d octets", len(raw))
	}
	return nameText(csr.RawSubject) + ", " + keyText(csr.RawSubjectPublicKeyInfo)
}

func (x *explainer) request(r *CertReqMsg) {
	x.template(&r.Request.Template)
	for _, c := range r.Request.Controls {
		x.octets("control "+c.OID.String(), c.Value)
	}
	switch {
	case r.POPO == nil:
		x.line("possession", "no proof")
	case r.POPO.Method == POPORAVerified:
		x.line("possession", "raVerified: the RA vouches for it")
	case r.POPO.Signature != nil:
		over := "over the request"
		if r.POPO.Signature.Input != nil {
			over = "over a POPOSigningKeyInput"
		}
		x.line("possession", "signature %s, %s (not verified here)", over, algorithmName(r.POPO.Signature.Algorithm))
	case r.POPO.PrivateKey != nil && r.POPO.PrivateKey.Method == PrivateKeySubsequent && r.POPO.PrivateKey.Subsequent == SubsequentEncrCert:
		x.line("possession", "to be proven by decrypting the certificate")
	default:
		x.line("possession", "method %d of a key that cannot sign", r.POPO.Method)
	}
	for _, c := range r.RegInfo {
		x.octets("information "+c.OID.String(), c.Value)
	}
}

func (x *explainer) template(t *Template) {
	if t.Version != 0 {
		x.line("version", "%d", t.Version)
	}
	if t.Serial != nil {
		x.line("serial", "%x", t.Serial)
	}
	if t.Issuer != nil {
		x.line("issuer", "%s", nameText(t.Issuer))
	}
	if t.Subject != nil {
		x.line("subject", "%s", nameText(t.Subject))
	}
	if !t.NotBefore.IsZero() {
		x.line("not before", "%s", t.NotBefore.Format(time.RFC3339))
	}
	if !t.NotAfter.IsZero() {
		x.line("not after", "%s", t.NotAfter.Format(time.RFC3339))
	}
	if t.PublicKey != nil {
		x.line("key", "%s", keyText(t.PublicKey))
	}
	if t.Extensions != nil {
		newDecoder(t.Extensions).each("extensions", 0, func(d *decoder) {
			if e := d.extensionTemplate(); d.ok() {
				x.line("extension", "%s%s %s", e.OID, map[bool]string{true: " (critical)"}[e.Critical], octets(e.Value))
			}
		})
	}
}

func (x *explainer) response(r *CertResponse) {
	x.status(&r.Status)
	if r.KeyPair == nil {
		return
	}
	if r.KeyPair.Certificate != nil {
		x.line("certificate", "%s", certificateText(r.KeyPair.Certificate))
	}
	if r.KeyPair.EncryptedCert != nil {
		x.line("certificate", "encrypted for the requester's key")
	}
	if r.KeyPair.PrivateKey != nil {
		x.line("private key", "made by the CA, encrypted")
	}
}

func (x *explainer) revReplies(r *RevReplies) {
	for i := range r.Status {
		x.status(&r.Status[i])
	}
	for _, id := range r.RevCerts {
		x.line("certificate", "serial %x of %s", id.Serial, nameText(id.Issuer))
	}
	if len(r.CRLs) > 0 {
		x.line("CRLs", "%d", len(r.CRLs))
	}
}

func (x *explainer) status(s *StatusInfo) {
	x.line("status", "%s", s.Status)
	if s.Fail != 0 {
		x.line("failure", "%s", s.Fail)
	}
	x.texts("text", s.Text)
}
