// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"crypto"
	"crypto/x509"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// badPOP refuses a proof of possession.
func badPOP(format string, args ...any) error {
	return refuse(FailBadPOP, models.KindInvalid, format, args...)
}

// prove checks the proof of possession of a request for the public key (RFC
// 4211 §4, RFC 9810 §5.2.8).
func (e *exchange) prove(request *CertReqMsg, pub crypto.PublicKey) (Proof, error) {
	popo := request.POPO
	switch {
	case popo == nil:
		return 0, badPOP("the request does not prove the possession of its private key; sign it")
	case popo.Method == POPORAVerified:
		if !e.sender.RA {
			return 0, badPOP("raVerified is accepted from registration authorities only; sign the request with its key")
		}
		return ProofByRA, nil
	case popo.Method == POPOSignature:
		return ProofSigned, e.proveSigned(request, pub)
	}
	if p := popo.PrivateKey; p.Method != PrivateKeySubsequent || p.Subsequent != SubsequentEncrCert {
		return 0, badPOP("of the proofs of keys that cannot sign, only the encrypted certificate (encrCert) is supported")
	}
	if !pki.CanEnvelope(&x509.Certificate{PublicKey: pub}) {
		return 0, badPOP("nothing can be encrypted to the key of the request; sign the request instead")
	}
	return ProofEncrypted, checkEnveloped(e.in.Header.Version)
}

// checkEnveloped refuses what can only be answered with an EnvelopedData, in a
// version that has none (RFC 9810 §7).
func checkEnveloped(version int) error {
	if version < Version3 {
		return refuse(FailUnsupportedVersion, models.KindInvalid, "what is asked for is answered encrypted, which needs pvno 3 (cmp2021)")
	}
	return nil
}

// proveSigned verifies a signature over the request, or over the input that
// came with it.
func (e *exchange) proveSigned(request *CertReqMsg, pub crypto.PublicKey) error {
	proof := request.POPO.Signature
	signed, err := request.Request.Marshal()
	if input := proof.Input; input != nil {
		if !bytes.Equal(input.PublicKey, request.Request.Template.PublicKey) {
			return badPOP("the public key of poposkInput is not that of the template")
		}
		// A MAC was checked together with that of the message, see checkKeyMAC;
		// in a signed message it would show nothing.
		if input.MAC != nil && !e.mac {
			return badPOP("poposkInput has a MAC, and the message is signed; name the sender instead")
		}
		if input.MAC == nil && !bytes.Equal(input.Sender, e.in.Header.Sender) {
			return badPOP("the sender of poposkInput is not that of the message")
		}
		signed, err = input.Marshal()
	}
	if err != nil {
		return err
	}
	wrong := badPOP("the signature of the request is not made by its key; sign the request with the private key that belongs to it")
	return verifySignature(proof.Algorithm, pub, signed, proof.Signature, wrong)
}

// keyMAC returns the MAC over the public key in the proof of a request, if
// there is one.
func (e *exchange) keyMAC() (*SigningKeyInput, bool) {
	for _, request := range e.in.Body.Requests {
		if p := request.POPO; p != nil && p.Signature != nil && p.Signature.Input != nil && p.Signature.Input.MAC != nil {
			return p.Signature.Input, true
		}
	}
	return nil, false
}

// checkKeyMAC checks that MAC, if there is one, with the secret that the
// message is protected with (RFC 4211 §4.4).
func (e *exchange) checkKeyMAC(secret []byte) bool {
	input, is := e.keyMAC()
	if !is {
		return true
	}
	check, err := parseMAC(input.MAC.Algorithm)
	return err == nil && !check.pbkdf2 && check.verify(secret, input.PublicKey, input.MAC.Value)
}
