// SPDX-License-Identifier: MIT

package est

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// The media types of a key in the answer to serverkeygen (RFC 7030 §4.4.2).
const (
	typePKCS8     = "application/pkcs8"
	typeKeyInCMS  = typePKCS7 + "; smime-type=server-generated-key"
	typeMultipart = "multipart/mixed"
)

// KeyResult is the outcome of serverkeygen (RFC 7030 §4.4): a private key and
// its certificate, or, if RetryAfter is positive, "pending".
type KeyResult struct {
	Result
	// Key is the private key in PKCS #8, DER, or if Enveloped a CMS message in
	// DER that holds it encrypted (RFC 5958 §4).
	Key       []byte
	Enveloped bool
}

// serverKeyGen answers with key and certificate, once (RFC 7030 §4.4).
func (s *responder) serverKeyGen(w http.ResponseWriter, r *http.Request, label Label) error {
	request, peer, err := s.readRequest(w, r)
	if err != nil {
		return err
	}
	result, err := s.backend.ServerKeyGen(r.Context(), label, request, peer)
	switch {
	case err != nil:
		return err
	case result.Pending():
		s.writePending(w, result.RetryAfter, peer.RequestID)
		return nil
	case len(result.Certificates) == 0 || len(result.Key) == 0:
		return models.Errorf(models.KindInternal, "the backend gave neither a key nor a time to wait")
	}
	defer clear(result.Key)
	body, boundary, err := encodeKeyAnswer(result)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, http.StatusOK, mime.FormatMediaType(typeMultipart, map[string]string{"boundary": boundary}), body)
	clear(body)
	return nil
}

// encodeKeyAnswer returns the two parts: the key, then the certificate.
func encodeKeyAnswer(result KeyResult) (body []byte, boundary string, err error) {
	certificate, err := encodeCertsOnly(result.Certificates[:1])
	if err != nil {
		return nil, "", err
	}
	keyType := typePKCS8
	if result.Enveloped {
		keyType = typeKeyInCMS
	}
	var out bytes.Buffer
	parts := multipart.NewWriter(&out)
	for _, part := range []struct {
		media string
		body  []byte
	}{{keyType, encodeBase64(result.Key)}, {typeCertsOnly, certificate}} {
		to, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part.media}, "Content-Transfer-Encoding": {"base64"}})
		if err == nil {
			_, err = to.Write(part.body)
		}
		if err != nil {
			return nil, "", models.Errorf(models.KindInternal, "encode the answer").Because(err)
		}
	}
	if err := parts.Close(); err != nil {
		return nil, "", models.Errorf(models.KindInternal, "encode the answer").Because(err)
	}
	return out.Bytes(), parts.Boundary(), nil
}

// ServerKeyGen asks the server for a key and a certificate (RFC 7030 §4.4).
// The request is signed with any key; it says which subject, names and kind of
// key are wanted, and by its attributes how the key is to be encrypted. The
// result is pending, or has the key once: the same request again is refused.
// The key of a plain answer is checked to be the certificate's; one in a CMS
// message is the caller's to open.
func (c *Client) ServerKeyGen(ctx context.Context, csr []byte) (KeyResult, error) {
	request, err := c.post(ctx, opServerKeyGen, csr)
	if err != nil {
		return KeyResult{}, err
	}
	answer, body, err := c.send(request)
	if err != nil {
		return KeyResult{}, err
	}
	switch answer.StatusCode {
	case http.StatusAccepted:
		return KeyResult{Result: Result{RetryAfter: pendingFor(answer)}}, nil
	case http.StatusOK:
		return decodeKeyAnswer(answer.Header.Get("Content-Type"), body)
	}
	return KeyResult{}, statusError(answer, body)
}

// decodeKeyAnswer reads an answer of two parts, in whatever order.
func decodeKeyAnswer(contentType string, body []byte) (KeyResult, error) {
	media, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || media != typeMultipart || parameters["boundary"] == "" {
		return KeyResult{}, badAnswer("the answer of the EST server is not %s", typeMultipart)
	}
	var result KeyResult
	parts := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for range 2 {
		part, err := parts.NextRawPart()
		if err != nil {
			return KeyResult{}, badAnswer("the answer of the EST server does not have two parts").Because(err)
		}
		if err := result.read(part); err != nil {
			return KeyResult{}, err
		}
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		return KeyResult{}, badAnswer("the answer of the EST server has more than two parts")
	}
	if len(result.Certificates) == 0 || len(result.Key) == 0 {
		return KeyResult{}, badAnswer("the answer of the EST server has not both a key and a certificate")
	}
	return result, result.check()
}

func (r *KeyResult) read(part *multipart.Part) error {
	text, err := io.ReadAll(part)
	if err != nil {
		return badAnswer("the answer of the EST server broke off").Because(err)
	}
	media, parameters, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
	data, err := decodeAnswer(text)
	switch {
	case err != nil:
		return badAnswer("a part of the EST server's answer is not base64").Because(err)
	case media == typePKCS8:
		r.Key = data
	case media == typePKCS7 && parameters["smime-type"] == "server-generated-key":
		r.Key, r.Enveloped = data, true
	case media == typePKCS7:
		if r.Certificates, err = pki.ParseCertsOnly(data); err != nil {
			return badAnswer("the EST server's certificate cannot be read: %s", models.PublicText(err)).Because(err)
		}
	default:
		return badAnswer("a part of the EST server's answer is of an unknown type")
	}
	return nil
}

// check makes sure that a key in clear belongs to the certificate.
func (r *KeyResult) check() error {
	if r.Enveloped {
		return nil
	}
	key, err := x509.ParsePKCS8PrivateKey(r.Key)
	if err != nil {
		return badAnswer("the EST server's key cannot be read").Because(err)
	}
	if !pki.KeyBelongs(key, r.Certificates[0]) {
		return badAnswer("the EST server sent a key and a certificate that do not belong together")
	}
	return nil
}

// pendingText is what a 202 says.
func pendingText(delay time.Duration) string {
	return "the request waits; send the same request again after " + retryAfter(delay) + " seconds"
}
