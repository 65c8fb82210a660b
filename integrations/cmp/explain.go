// SPDX-License-Identifier: MIT

package cmp

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Explain writes what a message says, line by line, for people. Nothing in it
// is verified: whoever made the message chose the words. They are shown
// without what could move a cursor or hide.
func Explain(w io.Writer, m *Message) error {
	x := &explainer{}
	x.message(m)
	_, err := io.WriteString(w, x.text.String())
	return err
}

const (
	maxShown  = 200 // characters of a text
	maxOctets = 32  // octets of something without a form
)

type explainer struct {
	text  strings.Builder
	depth int
}

// line writes one line; the name is ours, the rest may be anybody's.
func (x *explainer) line(name, format string, args ...any) {
	value := visible(fmt.Sprintf(format, args...))
	fmt.Fprintf(&x.text, "%s%-*s %s\n", strings.Repeat("  ", x.depth), max(0, 18-2*x.depth), name, value)
}

// under writes a title and what is below it.
func (x *explainer) under(title string, below func()) {
	fmt.Fprintf(&x.text, "%s%s\n", strings.Repeat("  ", x.depth), visible(title))
	x.depth++
	below()
	x.depth--
}

func visible(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "…"
	}
	return strings.TrimSpace(s)
}

// octets shows text as text, and anything in hexadecimal.
func octets(b []byte) string {
	if len(b) == 0 {
		return "(empty)"
	}
	short := hex.EncodeToString(b[:min(len(b), maxOctets)])
	if len(b) > maxOctets {
		short += fmt.Sprintf("… (%d octets)", len(b))
	}
	if readable(b) {
		return fmt.Sprintf("%s (%q)", short, b[:min(len(b), maxOctets)])
	}
	return short
}

func readable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

func (x *explainer) octets(name string, b []byte) {
	if b != nil {
		x.line(name, "%s", octets(b))
	}
}

func (x *explainer) message(m *Message) {
	x.under(fmt.Sprintf("%s: %s", m.Body.Type, bodyMeanings[m.Body.Type]), func() {
		x.header(&m.Header)
		switch {
		case m.Protection == nil:
			x.line("protection", "none")
		case m.Header.ProtectionAlg != nil:
			x.line("protection", "%s, %d octets (not verified here)", algorithmName(*m.Header.ProtectionAlg), len(m.Protection))
		default:
			x.line("protection", "%d octets, and the header does not say of which kind", len(m.Protection))
		}
		x.body(&m.Body)
		x.certificates("extra certificates", m.ExtraCerts)
	})
}

func (x *explainer) header(h *Header) {
	x.line("pvno", "%d", h.Version)
	x.line("sender", "%s", h.Sender)
	x.line("recipient", "%s", h.Recipient)
	if !h.MessageTime.IsZero() {
		x.line("message time", "%s", h.MessageTime.Format(time.RFC3339Nano))
	}
	x.octets("sender key ID", h.SenderKID)
	x.octets("recipient key ID", h.RecipKID)
	x.octets("transaction ID", h.TransactionID)
	x.octets("sender nonce", h.SenderNonce)
	x.octets("recipient nonce", h.RecipNonce)
	x.texts("free text", h.FreeText)
	for i := range h.GeneralInfo {
		x.info(&h.GeneralInfo[i])
	}
}

func (x *explainer) texts(name string, texts []string) {
	for _, text := range texts {
		x.line(name, "%q", text)
	}
}

// String returns the name for people.
func (g GeneralName) String() string {
	if name, ok := g.Directory(); ok {
		return nameText(name)
	}
	if uri, ok := g.uri(); ok {
		return uri
	}
	d := newDecoder(g)
	for i, kind := range []string{"e-mail", "DNS"} {
		if tag := primitive(uint8(1 + i)); d.next(tag) {
			return kind + " " + visible(string(d.content(kind, tag)))
		}
	}
	return "name " + octets(g)
}

// nameText returns the DER of a Name as RFC 4514 writes it.
func nameText(name []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(name, &rdns); err != nil || len(rest) > 0 {
		return "a malformed name " + octets(name)
	}
	if len(rdns) == 0 {
		return "(empty name)"
	}
	return visible(rdns.String())
}

func (x *explainer) info(a *Attribute) {
	name := infoName(a.OID)
	if a.Value == nil {
		x.line(name, "(asked for)")
		return
	}
	switch {
	case a.OID.Equal(OIDImplicitConfirm):
		x.line(name, "there is to be no certConf")
	case a.OID.Equal(OIDConfirmWaitTime):
		x.line(name, "until %s", newDecoder(a.Value).time("").Format(time.RFC3339))
	case a.OID.Equal(OIDCertProfile), a.OID.Equal(OIDSuppLangTags):
		texts, _ := a.Texts()
		x.line(name, "%s", strings.Join(texts, ", "))
	case a.OID.Equal(OIDCACerts):
		certs, _ := a.Elements()
		x.certificates(name, certs)
	case a.OID.Equal(OIDRootCACert), a.OID.Equal(OIDCAProtEncCert):
		x.certificates(name, [][]byte{a.Value})
	case a.OID.Equal(OIDSignKeyPairTypes), a.OID.Equal(OIDEncKeyPairTypes):
		algorithms, _ := a.Algorithms()
		for _, alg := range algorithms {
			x.line(name, "%s", algorithmName(alg))
		}
	default:
		x.octets(name, a.Value)
	}
}

func (x *explainer) certificates(title string, certs [][]byte) {
	if len(certs) == 0 {
		return
	}
	x.under(title+":", func() {
		for _, raw := range certs {
			x.line("-", "%s", certificateText(raw))
		}
	})
}

func certificateText(raw []byte) string {
	cert, err := parseCertificate(raw)
	if err != nil {
		return fmt.Sprintf("a certificate that cannot be read, %d octets", len(raw))
	}
	return fmt.Sprintf("%s, issued by %s, serial %x, until %s, %s", nameText(cert.RawSubject), nameText(cert.RawIssuer),
		cert.SerialNumber, cert.NotAfter.Format(time.DateOnly), keyText(cert.RawSubjectPublicKeyInfo))
}

func keyText(spki []byte) string {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err == nil {
		if k, ok := key.(interface{ Size() int }); ok { // RSA
			return fmt.Sprintf("RSA key of %d bits", 8*k.Size())
		}
	}
	d := newDecoder(spki).sequence("")
	alg := d.algorithm("")
	if len(d.bits("")) == 0 {
		return algorithmName(alg) + " key, to be made by the CA"
	}
	return algorithmName(alg) + " key"
}
