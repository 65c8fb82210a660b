// SPDX-License-Identifier: MIT

package policy

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// AuthorityCase is everything that the certificate of a CA rests on, which an
// operator makes under a profile.
type AuthorityCase struct {
	Profile   *Profile
	CA        *models.CA          // its subject and validity are what is asked for, within the profile
	Public    crypto.PublicKey    // of CA
	Above     *models.CA          // whose certificate Issuer is
	Issuer    *x509.Certificate   // nil: of a root, or not known yet
	Path      []*x509.Certificate // of the CAs above Above, see PathAbove
	PublicURL string
	Now       time.Time
}

// NewAuthorityDraft is NewDraft for a CA. A root has no URLs. Without an issuer
// it is also what an issuer elsewhere is asked for, see Asked.
func NewAuthorityDraft(builder *pki.Builder, c AuthorityCase) (*Draft, error) {
	if err := c.Profile.CheckAuthority(c.CA.Key.Algorithm); err != nil {
		return nil, err
	}
	application, err := c.application()
	if err != nil {
		return nil, err
	}
	template, reasons, err := c.Profile.compose(application)
	if err != nil {
		return nil, err
	}
	if len(template.Subject.Names) == 0 {
		return nil, models.Errorf(models.KindInvalid, "the CA would have no subject (RFC 5280 §4.1.2.6): ask for attributes that %s allows", c.Profile.title())
	}
	template.SerialNumber = pki.NewSerial()
	d := &Draft{Template: template, Reasons: reasons}
	issuer := pki.Issuer{Certificate: c.Issuer, Above: c.Path}
	if c.Issuer != nil || c.CA.Type == models.CARoot { // a CA elsewhere chooses for itself
		issuer.Hash = c.Profile.Hash()
	}
	if c.Issuer != nil {
		issuer.Algorithm = c.Above.Key.Algorithm
		if err := d.below(c); err != nil {
			return nil, err
		}
	}
	if err := c.Profile.CheckValidity(c.Now, template.NotBefore, template.NotAfter); err != nil {
		return nil, err
	}
	d.TBS, err = builder.BuildTBS(template, c.Public, issuer)
	return d, err
}

// application puts an operator's wish into the form of a device's.
func (c AuthorityCase) application() (Application, error) {
	subject, err := pki.MarshalName(c.CA.Subject)
	if err != nil {
		return Application{}, err
	}
	request := &x509.CertificateRequest{RawSubject: subject, PublicKey: c.Public}
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(subject, &rdns); err != nil {
		return Application{}, fmt.Errorf("read the subject back: %w", err)
	}
	request.Subject.FillFromRDNSequence(&rdns)
	a := Application{CSR: &pki.CSR{Request: request, KeyAlgorithm: c.CA.Key.Algorithm}, Now: c.Now}
	if c.CA.Validity > 0 {
		a.NotAfter = c.Now.Add(c.CA.Validity.Std())
	}
	return a, nil
}

// below adds what the issuer decides.
func (d *Draft) below(c AuthorityCase) error {
	if err := c.Profile.Locate(d.Template, c.PublicURL, Subject{IssuerKeyID: c.Above.KeyID}); err != nil {
		return err
	}
	d.within(c.Issuer)
	reasons, err := pki.Inherit(d.Template, c.Issuer)
	d.Reasons = append(d.Reasons, reasons...)
	return err
}

// Asked returns the extensions that a CA elsewhere is asked for: all that are
// not its own work.
func (d *Draft) Asked() ([]pkix.Extension, error) {
	extensions, err := d.encoded()
	own := []string{oidSubjectKeyID, "2.5.29.35", oidCRLPoints, oidAuthorityInfo}
	return slices.DeleteFunc(extensions, func(e pkix.Extension) bool { return slices.Contains(own, e.Id.String()) }), err
}

// CheckAuthority is KindInvalid unless the profile is for CAs, and KindDenied
// unless it permits a CA with a key of the algorithm.
func (p *Profile) CheckAuthority(algorithm models.KeyAlgorithm) error {
	if p.credentialType != TypeAuthority {
		return models.Errorf(models.KindInvalid, "%s is for devices; a CA needs a profile of the credential_type %s", p.title(), TypeAuthority)
	}
	k := p.keys
	if k.minRSA == 0 && k.maxRSA == 0 && k.algorithms == nil && k.families == nil || slices.Contains(k.algorithms, algorithm) {
		return nil
	}
	fits := k.algorithms == nil && k.families == nil || slices.Contains(k.families, familyOf(algorithm))
	if size, isRSA := strings.CutPrefix(string(algorithm), "RSA-"); isRSA {
		bits, err := strconv.Atoi(size)
		fits = fits && err == nil && bits >= k.minRSA && (k.maxRSA == 0 || bits <= k.maxRSA)
	}
	if !fits {
		return models.Errorf(models.KindDenied, "the key is %s; %s permits %s", algorithm, p.title(), k)
	}
	return nil
}

// StandIn returns a public key that a CA's can be tried out with before there
// is one: of the same kind, as far as profiles tell keys apart.
func StandIn(algorithm models.KeyAlgorithm) (crypto.PublicKey, error) {
	family := familyOf(algorithm)
	if family == "EC" || family == "RSA" {
		key, err := pki.GenerateKey(map[string]models.KeyAlgorithm{"EC": models.ECP256, "RSA": models.RSA2048}[family])
		if err != nil {
			return nil, err
		}
		return key.Public(), nil
	}
	public, _, err := ed25519.GenerateKey(rand.Reader) // ML-DSA, too, only signs
	return public, err
}
