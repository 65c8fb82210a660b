// SPDX-License-Identifier: MIT

package policy

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// Draft is what would be issued, and why.
type Draft struct {
	Template *x509.Certificate
	TBS      *pki.TBS
	Reasons  []string // sentences about what differs from the request
	Limits   Limits   // what the database has to be asked
	// Shortened is the one of Reasons that says that the domain's preset ends
	// the certificate early; empty if it does not.
	Shortened string
}

// Case is everything that a draft rests on.
type Case struct {
	Application
	Profile   *Profile
	CA        *models.CA
	Issuer    *x509.Certificate   // of CA
	Path      []*x509.Certificate // of the CAs above CA, see PathAbove
	PublicURL string              // base of the issuer's URLs, without a slash at the end
}

// NewDraft applies the profile, adds what the issuer decides (a serial number,
// the URLs of its CRL, certificate and OCSP responder, a validity inside its
// own), and builds and lints the bytes that would be signed. It is the one way
// to a certificate of a device: to issue it and to try it out.
//
// It is KindDenied or KindInvalid, with the sentence to show, for what the
// preset of the domain, the profile, the issuer or the lints refuse.
func NewDraft(builder *pki.Builder, c Case) (*Draft, error) {
	c.Who.IssuerKeyID = c.CA.KeyID
	preset, err := PresetOf(&c.Who.Domain)
	if err != nil {
		return nil, err
	}
	if err := preset.permits(&c); err != nil {
		return nil, err
	}
	template, reasons, err := c.Profile.Apply(c.Application)
	if err != nil {
		return nil, err
	}
	template.SerialNumber = pki.NewSerial()
	if err := c.Profile.Locate(template, c.PublicURL, c.Who); err != nil {
		return nil, err
	}
	d := &Draft{Template: template, Reasons: reasons, Limits: c.Profile.Limits(template)}
	d.within(c.Issuer)
	if err := preset.shorten(d, &c); err != nil {
		return nil, err
	}
	if err := c.Profile.CheckValidity(c.Now, template.NotBefore, template.NotAfter); err != nil {
		return nil, err
	}
	d.TBS, err = builder.BuildTBS(template, c.CSR.Request.PublicKey,
		pki.Issuer{Certificate: c.Issuer, Algorithm: c.CA.Key.Algorithm, Hash: c.Profile.Hash(), Above: c.Path})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// PathAbove returns the certificates of the CAs above the first of a chain, the
// nearest first.
func PathAbove(chain []*models.CA) ([]*x509.Certificate, error) {
	path := make([]*x509.Certificate, 0, len(chain))
	for i, ca := range chain {
		if i == 0 || len(ca.CertificateDER) == 0 {
			continue
		}
		cert, err := x509.ParseCertificate(ca.CertificateDER)
		if err != nil {
			return nil, fmt.Errorf("parse certificate of CA %s: %w", ca.Name, err)
		}
		path = append(path, cert)
	}
	return path, nil
}

// within cuts the validity to the issuer's.
func (d *Draft) within(issuer *x509.Certificate) {
	t := d.Template
	t.NotBefore, t.NotAfter = models.UTC(t.NotBefore), models.UTC(t.NotAfter)
	if t.NotBefore.Before(issuer.NotBefore) {
		t.NotBefore = issuer.NotBefore
	}
	if t.NotAfter.After(issuer.NotAfter) {
		t.NotAfter = issuer.NotAfter
		d.Reasons = append(d.Reasons, "the certificate ends with its issuer, at "+t.NotAfter.UTC().Format(time.RFC3339))
	}
}

// Extension is one extension of a draft.
type Extension struct {
	OID      string
	Name     string // as documents call it, where it has a name
	Critical bool
	Value    string // DER, in hex
	Text     string // the value in words, where it has any
}

// writtenHere are the extensions that no document has a rule for.
var writtenHere = map[string]string{oidSubjectKeyID: "subject_key_identifier", "2.5.29.35": "authority_key_identifier"}

// Extensions lists the extensions that would be signed, in their order.
func (d *Draft) Extensions() ([]Extension, error) {
	encoded, err := d.encoded()
	if err != nil {
		return nil, err
	}
	out := make([]Extension, len(encoded))
	for i, e := range encoded {
		oid := e.Id.String()
		name := writtenHere[oid]
		if field, known := extensionNames.find(oid); known {
			name = field.canonical
		}
		out[i] = Extension{OID: oid, Name: name, Critical: e.Critical, Value: hex.EncodeToString(e.Value), Text: d.words(e)}
	}
	return out, nil
}

// encoded returns the extensions as they would be signed.
func (d *Draft) encoded() ([]pkix.Extension, error) {
	var tbs struct {
		Version                                               int `asn1:"explicit,tag:0"`
		Serial, Algorithm, Issuer, Validity, Subject, KeyInfo asn1.RawValue
		Extensions                                            []pkix.Extension `asn1:"explicit,tag:3"`
	}
	if _, err := asn1.Unmarshal(d.TBS.DER, &tbs); err != nil {
		return nil, fmt.Errorf("read the draft back: %w", err)
	}
	return tbs.Extensions, nil
}

// words says what an extension contains.
func (d *Draft) words(e pkix.Extension) string {
	var words []string
	switch e.Id.String() {
	case oidKeyUsage:
		words, _ = readKeyUsage(e)
	case oidExtKeyUsage:
		words, _ = readExtKeyUsage(e)
	case oidSubjectAltName:
		words = pki.SANs(d.Template)
	case oidBasicConstraints:
		words = []string{map[bool]string{true: "CA:TRUE", false: "CA:FALSE"}[d.Template.IsCA]}
	case oidCRLPoints:
		words = d.Template.CRLDistributionPoints
	case oidAuthorityInfo:
		words = slices.Concat(d.Template.OCSPServer, d.Template.IssuingCertificateURL)
	}
	return strings.Join(words, ", ")
}
