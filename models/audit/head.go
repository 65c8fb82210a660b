// SPDX-License-Identifier: MIT

package audit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"github.com/trustloom/trustloom/models"
)

// HeadText is what the signature of a head is over, so that it can be written
// by hand and checked with OpenSSL: four lines, each with its newline.
func HeadText(h *models.AuditHead) string {
	return fmt.Sprintf("trustloom audit head 1\nseq %d\nhash %x\nat %s\n", h.Seq, h.Hash, h.At.UTC().Format(time.RFC3339))
}

// SignHead signs what is known of the chain at a time, in whole seconds. The
// key is an ECDSA key; certificate is its own.
func SignHead(tip Tip, at time.Time, signer crypto.Signer, certificate *x509.Certificate) (*models.AuditHead, error) {
	h := &models.AuditHead{Seq: tip.Seq, Hash: tip.Hash[:], At: models.UTC(at), KeyID: KeyID(certificate), Certificate: certificate.Raw}
	sum := sha256.Sum256([]byte(HeadText(h)))
	var err error
	if h.Signature, err = signer.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
		return nil, fmt.Errorf("sign head of the audit chain: %w", err)
	}
	return h, CheckHead(h)
}

// CheckHead is KindInvalid unless the signature of h is that of the key in its
// own certificate. Whether that key is the right one is another question.
func CheckHead(h *models.AuditHead) error {
	cert, err := x509.ParseCertificate(h.Certificate)
	if err != nil {
		return models.Errorf(models.KindInvalid, "the certificate of a signed head is damaged").Because(err)
	}
	if KeyID(cert) != h.KeyID {
		return models.Errorf(models.KindInvalid, "a signed head names another key than its certificate")
	}
	if err := cert.CheckSignature(x509.ECDSAWithSHA256, []byte(HeadText(h)), h.Signature); err != nil {
		return models.Errorf(models.KindInvalid, "the signature of the head is not valid").Because(err)
	}
	return nil
}

// KeyID names the key of a certificate: hex SHA-256 of its SubjectPublicKeyInfo.
func KeyID(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// PublicKeyID is the KeyID of a key without a certificate.
func PublicKeyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("marshal the audit-signing key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// certificateYears is for how long a certificate is valid that nobody renews:
// heads are checked by key, also long after.
const certificateYears = 30

// NewCertificate makes the self-signed certificate of an audit-signing key,
// which must be an ECDSA key (RFC 5280; digitalSignature only, no CA).
func NewCertificate(signer crypto.Signer, now time.Time) (*x509.Certificate, error) {
	if _, ok := signer.Public().(*ecdsa.PublicKey); !ok {
		return nil, models.Errorf(models.KindInternal, "the audit-signing key is not an ECDSA key")
	}
	var serial [16]byte
	rand.Read(serial[:])
	serial[0] &= 0x7f
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:]), Subject: pkix.Name{CommonName: "Trustloom audit log"},
		NotBefore: models.UTC(now), NotAfter: models.UTC(now).AddDate(certificateYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the audit-signing key: %w", err)
	}
	return x509.ParseCertificate(der)
}
