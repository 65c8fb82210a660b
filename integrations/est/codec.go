// SPDX-License-Identifier: MIT

package est

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"mime"
	"strconv"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// The media types of RFC 7030 §4.1.3 and §4.2.
const (
	typePKCS10    = "application/pkcs10"
	typePKCS7     = "application/pkcs7-mime"
	typeCSRAttrs  = "application/csrattrs"
	typeCertsOnly = typePKCS7 + "; smime-type=certs-only"
)

// lineLength is what RFC 2045 §6.8 permits; lines end in LF alone, because
// base64(1) of a device's user stumbles over CR.
const lineLength = 76

// encodeBase64 returns data as base64 in lines, each with its end.
func encodeBase64(data []byte) []byte {
	encoded := base64.StdEncoding.EncodeToString(data)
	var out bytes.Buffer
	for len(encoded) > 0 {
		n := min(lineLength, len(encoded))
		out.WriteString(encoded[:n])
		out.WriteByte('\n')
		encoded = encoded[n:]
	}
	return out.Bytes()
}

// encodeCertsOnly returns the body of an answer.
func encodeCertsOnly(certs []*x509.Certificate) ([]byte, error) {
	message, err := pki.CertsOnly(certs...)
	if err != nil {
		return nil, err
	}
	return encodeBase64(message), nil
}

// decodeCertsOnly reads the body of an answer: base64 with any white space
// (RFC 8951 §3.1), or DER, as some servers send it.
func decodeCertsOnly(body []byte) ([]*x509.Certificate, error) {
	message, err := decodeAnswer(body)
	if err != nil {
		return nil, err
	}
	return pki.ParseCertsOnly(message)
}

// decodeCSRAttrs reads the body of the answer to csrattrs.
func decodeCSRAttrs(body []byte) (pki.CSRAttrs, error) {
	message, err := decodeAnswer(body)
	if err != nil {
		return pki.CSRAttrs{}, err
	}
	return pki.ParseCSRAttrs(message)
}

// decodeAnswer returns the DER of a body. The first octet of a sequence is a
// digit in base64, but its length is not: it has its high bit, or is followed
// by an element.
func decodeAnswer(body []byte) ([]byte, error) {
	const sequence = 0x30
	if len(body) > 1 && body[0] == sequence && (body[1] >= 0x80 || len(body) == int(body[1])+2) {
		return body, nil
	}
	packed := bytes.Join(bytes.Fields(body), nil)
	message := make([]byte, base64.StdEncoding.DecodedLen(len(packed)))
	n, err := base64.StdEncoding.Decode(message, packed)
	if err != nil {
		return nil, models.Errorf(models.KindInvalid, "the answer is neither base64 nor DER").Because(err)
	}
	return message[:n], nil
}

// decodeEnrollBody reads the body of simpleenroll and simplereenroll, whatever
// its Content-Transfer-Encoding says (RFC 8951 §3): PEM, base64 or DER. The
// proof of possession is verified.
func decodeEnrollBody(body []byte) (*pki.CSR, error) {
	der, err := pki.DecodeCSR(body)
	if err != nil {
		return nil, err
	}
	return pki.ParseCSR(der)
}

// isType reports whether values, those of a Content-Type header, are this one
// media type, with or without parameters.
func isType(values []string, want string) bool {
	if len(values) != 1 {
		return false
	}
	mediaType, _, _ := mime.ParseMediaType(values[0]) // the type is returned even if a parameter is malformed
	return mediaType == want
}

// retryAfter prints a delay for the Retry-After header: whole seconds, at
// least one (RFC 9110 §10.2.3).
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}
