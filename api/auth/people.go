// SPDX-License-Identifier: MIT

package auth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// People recognises operators by certificates, as smart cards have them. Who
// issues those is configured; a certificate that Trustloom issued is a
// device's and never a person's. It is safe for concurrent use.
type People struct {
	Store   *store.Store
	Anchors []*x509.Certificate // the CAs of operators
	// CRLs returns the lists that are known; nil knows none. A certificate whose
	// issuer has a list here has to be looked up in it.
	CRLs func() ([]*x509.RevocationList, error)
	Now  func() time.Time
}

// Issued reports whether a certificate comes from a CA of operators. The path
// alone counts: an expired or revoked card is a person's still.
func (p *People) Issued(presented []*x509.Certificate) bool {
	if p == nil || len(presented) == 0 {
		return false
	}
	at := presented[0].NotAfter
	if now := p.Now(); now.Before(at) {
		at = now
	}
	_, err := pki.VerifyClient(presented[0], presented[1:], p.Anchors, at)
	return err == nil
}

// verify returns the path of a certificate that is a person's and good now.
func (p *People) verify(ctx context.Context, presented []*x509.Certificate) ([]*x509.Certificate, error) {
	if row, err := p.Store.FindCertificateByFingerprint(ctx, fingerprint(presented[0])); err == nil {
		return nil, models.Errorf(models.KindUnauthenticated, "the client certificate is one of a device (serial %s), not of a person", row.Serial)
	} else if models.KindOf(err) != models.KindNotFound {
		return nil, err
	}
	chain, err := pki.VerifyClient(presented[0], presented[1:], p.Anchors, p.Now())
	if err != nil {
		return nil, err
	}
	return chain, p.checkRevocation(chain)
}

// checkRevocation looks every certificate of the path up in the list of its
// issuer, where one is known. A list that is not current, any more or yet, lets
// nobody in; what it revokes is revoked all the same.
func (p *People) checkRevocation(chain []*x509.Certificate) error {
	if p.CRLs == nil {
		return nil
	}
	lists, err := p.CRLs()
	if err != nil {
		return models.Errorf(models.KindUnavailable, "the CRLs of operators cannot be read").Because(err)
	}
	for i := range len(chain) - 1 {
		if err := checkListed(chain[i], chain[i+1], lists, p.Now()); err != nil {
			return err
		}
	}
	return nil
}

func checkListed(cert, issuer *x509.Certificate, lists []*x509.RevocationList, now time.Time) error {
	var because error // none of the lists is current
	known, current := false, false
	for _, list := range lists {
		if string(list.RawIssuer) != string(issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		known = true
		for _, entry := range list.RevokedCertificateEntries { // also of an old list: nothing is revoked for a while only, but holds
			if entry.SerialNumber.Cmp(cert.SerialNumber) == 0 {
				return models.Errorf(models.KindUnauthenticated, "the client certificate, or a CA above it, is revoked")
			}
		}
		if err := pki.CurrentCRL(list, now); err != nil {
			because = err
		} else {
			current = true
		}
	}
	if known && !current {
		return models.Errorf(models.KindUnavailable, "nobody with a certificate of %s is let in: %s; put a current one into a file of --operator-crl",
			issuer.Subject, models.PublicText(because))
	}
	return nil
}

// Register reads a person's certificate, with the CAs above it if they are
// needed, and returns what later ones are compared with.
func (p *People) Register(ctx context.Context, text string, match models.CertificateMatch) (*models.OperatorCertificate, error) {
	presented, err := parsePEM(text)
	if err != nil {
		return nil, err
	}
	chain, err := p.verify(ctx, presented)
	if err != nil {
		if models.KindOf(err) == models.KindUnauthenticated {
			err = models.Errorf(models.KindInvalid, "this certificate would not be let in: %s", models.PublicText(err))
		}
		return nil, err
	}
	value, ok := comparisons(chain[0])[match]
	if !ok {
		return nil, models.Errorf(models.KindInvalid, "the certificate has no %s, or several, to be recognised by", match)
	}
	row := &models.OperatorCertificate{Kind: match, Value: value, Label: label(chain[0])}
	if match != models.MatchFingerprint {
		row.IssuerSHA256 = keyDigest(chain[1])
	}
	return row, nil
}

func label(cert *x509.Certificate) string {
	text := cert.Subject.String()
	return strings.ToValidUTF8(text[:min(len(text), 200)], "")
}

func parsePEM(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := []byte(text); len(certs) < 10; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, models.Errorf(models.KindInvalid, "pem holds something else than certificates")
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, models.Errorf(models.KindInvalid, "pem holds no certificate")
	}
	return certs, nil
}

// find returns the operator to whom a verified certificate belongs.
func (p *People) find(ctx context.Context, chain []*x509.Certificate) (*models.Operator, error) {
	values, issuer := comparisons(chain[0]), keyDigest(chain[1])
	for _, match := range models.CertificateMatches {
		value, has := values[match]
		if !has {
			continue
		}
		by := issuer
		if match == models.MatchFingerprint {
			by = ""
		}
		row, err := p.Store.FindOperatorCertificate(ctx, match, by, value)
		if models.KindOf(err) == models.KindNotFound && err != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		return p.Store.FindOperator(ctx, row.OperatorID)
	}
	return nil, errUnknownPerson()
}

func errUnknownPerson() error {
	return models.Errorf(models.KindUnauthenticated, "the client certificate belongs to no operator, or to one who may not use it; an administrator can register it")
}

// authenticate returns the principal of a client certificate.
func (p *People) authenticate(ctx context.Context, presented []*x509.Certificate) (Principal, error) {
	chain, err := p.verify(ctx, presented)
	if err != nil {
		return Principal{}, err
	}
	operator, err := p.find(ctx, chain)
	if err != nil {
		return Principal{}, err
	}
	if operator.Disabled || operator.Role == "" {
		return Principal{}, errUnknownPerson()
	}
	until := chain[0].NotAfter.UTC()
	return Principal{
		OperatorID: operator.ID, Name: operator.Name, TokenName: "certificate " + fingerprint(chain[0])[:16],
		Role: operator.Role, Domains: operator.Domains, ExpiresAt: &until,
	}, nil
}

// comparisons returns what a certificate can be recognised by. A name of
// which there are several is none.
func comparisons(cert *x509.Certificate) map[models.CertificateMatch]string {
	subject := sha256.Sum256(cert.RawSubject)
	values := map[models.CertificateMatch]string{models.MatchFingerprint: fingerprint(cert)}
	if len(cert.Subject.Names) > 0 {
		values[models.MatchSubject] = hex.EncodeToString(subject[:])
	}
	if len(cert.EmailAddresses) == 1 && cert.EmailAddresses[0] != "" {
		values[models.MatchEmail] = strings.ToLower(cert.EmailAddresses[0])
	}
	if names := principalNames(cert); len(names) == 1 && names[0] != "" {
		values[models.MatchUPN] = strings.ToLower(names[0])
	}
	return values
}

var (
	oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// principalNames returns the userPrincipalNames of a certificate.
func principalNames(cert *x509.Certificate) (names []string) {
	for _, extension := range cert.Extensions {
		if !extension.Id.Equal(oidSAN) {
			continue
		}
		var general []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &general); err != nil || len(rest) > 0 {
			return nil
		}
		for _, name := range general {
			if name.Class != asn1.ClassContextSpecific || name.Tag != 0 {
				continue
			}
			var other struct {
				ID    asn1.ObjectIdentifier
				Value string `asn1:"tag:0,explicit,utf8"`
			}
			if rest, err := asn1.UnmarshalWithParams(name.FullBytes, &other, "tag:0"); err == nil && len(rest) == 0 && other.ID.Equal(oidUPN) {
				names = append(names, other.Value)
			}
		}
	}
	return names
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

func keyDigest(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
