// SPDX-License-Identifier: MIT

package pki_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestOpenSSLOpensTheEnvelopesThatWeMake(t *testing.T) {
	dir := needOpenSSL(t)
	root := newRoot(t, models.ECP256)
	for _, c := range []struct{ recipient, signer models.KeyAlgorithm }{
		{models.RSA2048, models.ECP256}, {models.ECP256, models.RSA2048}, {models.ECP384, models.ECP256}, {models.ECP521, models.ECP256},
	} {
		t.Run(string(c.recipient)+" signed with "+string(c.signer), func(t *testing.T) {
			recipientKey, signerKey := newKey(c.recipient), newKey(c.signer)
			recipient := issue(t, leafTemplate(t, "press-01"), recipientKey.Public(), root)
			signer := issue(t, leafTemplate(t, "pki.example"), signerKey.Public(), root)
			key, err := pki.GenerateKey(models.ECP256)
			if err != nil {
				t.Fatal(err)
			}
			message, err := pki.EnvelopeKey(key, recipient, signer, signerKey)
			if err != nil {
				t.Fatal(err)
			}
			plain := must(x509.MarshalPKCS8PrivateKey(key))
			if bytes.Contains(message, plain[len(plain)-32:]) {
				t.Error("the key is in the message in clear")
			}
			write(t, dir, "message.der", message)
			write(t, dir, "recipient.pem", pki.EncodePEM(recipient))
			write(t, dir, "root.pem", pki.EncodePEM(root.cert))
			write(t, dir, "recipient.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(recipientKey))}))
			openssl(t, dir, "cms", "-decrypt", "-inform", "DER", "-in", "message.der", "-inkey", "recipient.key", "-recip", "recipient.pem", "-out", "signed.der")
			signed := readFile(t, dir, "signed.der")
			// A ContentInfo around the SignedData, for the next tool.
			write(t, dir, "signed.cms", contentInfo(signed))
			openssl(t, dir, "cms", "-verify", "-inform", "DER", "-in", "signed.cms", "-CAfile", "root.pem", "-purpose", "any", "-no_check_time", "-out", "package.der")
			if content := readFile(t, dir, "package.der"); !bytes.HasSuffix(content, plain) || len(content)-len(plain) > 4 {
				t.Error("the package does not hold the key")
			}
		})
	}
}

// contentInfo wraps a SignedData.
func contentInfo(signed []byte) []byte {
	inner := header(0xa0, len(signed), signed)
	oid := []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2}
	return header(0x30, len(oid)+len(inner), append(oid, inner...))
}

func header(tag byte, n int, contents []byte) []byte {
	return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, contents...)
}

func TestNothingIsEnvelopedForKeysThatOnlySign(t *testing.T) {
	root := newRoot(t, models.ECP256)
	recipient := issue(t, leafTemplate(t, "press-01"), newKey(models.Ed25519).Public(), root)
	if _, err := pki.EnvelopeKey(newKey(models.ECP256), recipient, root.cert, root.key); models.KindOf(err) != models.KindInvalid {
		t.Errorf("an envelope for Ed25519: %v", err)
	}
}
