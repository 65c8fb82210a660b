// SPDX-License-Identifier: MIT

package operations

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/store"
)

// maxChainFile bounds the certificates that come along with a CA.
const maxChainFile = 32

// ImportCA brings a CA with its key. The row comes first, pending; then the key
// comes into its key store; then the CA is active. A call that was cut off is
// taken up by sending the same again; what a key store refuses for good leaves
// nothing behind.
func (o *Operations) ImportCA(ctx context.Context, who Caller, in api.CAImport) (*api.CA, error) {
	if err := auth.Authorize(who.Principal, auth.WriteCAs); err != nil {
		return nil, err
	}
	row, err := o.newImport(in)
	if err != nil {
		return nil, err
	}
	credential, err := o.readCredential(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := pki.CheckCA(credential.Certificate, true, o.now()); err != nil {
		return nil, err
	}
	row.Key.Algorithm = credential.Algorithm
	fillCA(row, credential.Certificate)
	err = o.write(ctx, func(tx *store.Tx) error { return o.beginImport(ctx, tx, who, row, credential) })
	if err != nil {
		return nil, err
	}
	if err := o.keys.ImportKey(ctx, row, credential.Key, credential.Certificate); err != nil {
		return nil, o.abandonImport(ctx, who, row, err)
	}
	if err := o.activate(ctx, who, row.ID, "ca.imported", credential.Certificate, nil); err != nil {
		return nil, err
	}
	return o.FindCA(ctx, who, row.Name)
}

// newImport validates what can be without the files.
func (o *Operations) newImport(in api.CAImport) (*models.CA, error) {
	if err := models.CheckName("CA", in.Name); err != nil {
		return nil, err
	}
	if o.keys == nil {
		return nil, models.Errorf(models.KindUnavailable, "this server takes no keys from elsewhere")
	}
	if (len(in.PKCS12) > 0) == (len(in.Key) > 0) {
		return nil, models.Errorf(models.KindInvalid, "send either pkcs12, or key and certificate")
	}
	if len(in.PKCS12) > 0 && len(in.Certificate) > 0 {
		return nil, models.Errorf(models.KindInvalid, "the PKCS #12 file has the certificate in it; send further ones as chain")
	}
	row := &models.CA{
		ID: models.NewID[models.CAID](), Name: in.Name, State: models.CAPending, Generation: 1, Origin: models.CAImported, Demo: in.Demo,
	}
	return row, o.chooseKey(row, api.Key{Store: in.Store})
}

// readCredential reads the files. One caller at a time does: a file may ask
// for seconds of work.
func (o *Operations) readCredential(ctx context.Context, in api.CAImport) (*pki.Credential, error) {
	release, err := o.takeTurn(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	chain, err := certificatesIn(in.Chain)
	if err != nil {
		return nil, err
	}
	var credential *pki.Credential
	if len(in.PKCS12) > 0 {
		credential, err = pki.ParsePKCS12(in.PKCS12, in.Password)
	} else {
		credential, err = readKeyPair(in)
	}
	if err != nil {
		return nil, err
	}
	credential.Others = append(credential.Others, chain...)
	return credential, nil
}

// takeTurn waits until nobody else decrypts a file.
func (o *Operations) takeTurn(ctx context.Context) (release func(), err error) {
	select {
	case o.reading <- struct{}{}:
		return func() { <-o.reading }, nil
	case <-ctx.Done():
		return nil, models.Errorf(models.KindUnavailable, "other files are still being read; try again").Because(ctx.Err())
	}
}

func readKeyPair(in api.CAImport) (*pki.Credential, error) {
	key, err := pki.ParsePrivateKey(in.Key, in.Password)
	if err != nil {
		return nil, err
	}
	certificates, err := certificatesIn(in.Certificate)
	if err != nil {
		return nil, err
	}
	return pki.NewCredential(key, certificates)
}

// certificatesIn reads a file of certificates, which may be missing.
func certificatesIn(file []byte) ([]*x509.Certificate, error) {
	if len(file) == 0 {
		return nil, nil
	}
	return pki.ParseCertificates(file, maxChainFile)
}

// fillCA takes over what the certificate of a CA says.
func fillCA(row *models.CA, certificate *x509.Certificate) {
	if row.Type == "" {
		row.Type = models.CAIssuing
		if pki.SelfIssued(certificate) {
			row.Type = models.CARoot
		}
	}
	row.CertificateDER = certificate.Raw
	row.NotBefore, row.NotAfter = certificate.NotBefore.UTC(), certificate.NotAfter.UTC()
	row.Validity = models.Duration(certificate.NotAfter.Sub(certificate.NotBefore))
	row.Subject = nameOf(certificate.Subject)
}

// nameOf returns what of a subject there is room for in a row.
func nameOf(s pkix.Name) models.Name {
	first := func(values []string) string {
		if len(values) == 0 {
			return ""
		}
		return values[0]
	}
	return models.Name{
		CommonName: s.CommonName, SerialNumber: s.SerialNumber, Organization: first(s.Organization), OrganizationalUnit: first(s.OrganizationalUnit),
		Country: first(s.Country), State: first(s.Province), Locality: first(s.Locality),
	}
}

// beginImport stores the CA, pending, with the CAs above it that are not known.
// Where the same import was cut off before, row becomes the one that it left.
func (o *Operations) beginImport(ctx context.Context, tx *store.Tx, who Caller, row *models.CA, credential *pki.Credential) error {
	keyID, err := pki.KeyID(credential.Certificate.PublicKey)
	if err != nil {
		return err
	}
	row.KeyID = keyID
	all, err := tx.AllCAs(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		resumes := other.Name == row.Name && other.State == models.CAPending && other.Origin == models.CAImported && other.Key.Store == row.Key.Store
		if resumes && bytes.Equal(other.CertificateDER, row.CertificateDER) {
			*row = *other
			return nil
		}
	}
	if err := unknownCA(all, row.KeyID, credential.Certificate); err != nil {
		return err
	}
	if row.IssuerID, err = o.placeAbove(ctx, tx, who, all, credential.Certificate, credential.Others); err != nil {
		return err
	}
	if err := tx.InsertCA(row); err != nil {
		return err
	}
	return tx.Audit(who.event("ca.import-begun", "ca", string(row.ID), "name", row.Name, "type", string(row.Type),
		"algorithm", string(row.Key.Algorithm), "key_store", row.Key.Store, "key_id", row.KeyID, "sha256", fingerprintOf(row.CertificateDER)))
}

// unknownCA refuses a certificate and a key that another CA has.
func unknownCA(all []*models.CA, keyID string, certificate *x509.Certificate) error {
	for _, other := range all {
		switch {
		case bytes.Equal(other.CertificateDER, certificate.Raw) && other.Keyless():
			return models.Errorf(models.KindConflict, "the certificate is there already, without its key, as CA %s; remove that one first", other.Name)
		case bytes.Equal(other.CertificateDER, certificate.Raw):
			return models.Errorf(models.KindConflict, "the certificate is there already, as CA %s", other.Name)
		case other.KeyID == keyID:
			return models.Errorf(models.KindConflict, "the key of the certificate is there already, as that of CA %s", other.Name)
		}
	}
	return nil
}

// placeAbove verifies the path from a certificate to a root, adds the CAs on it
// that are not known, without keys, and returns the one right above.
func (o *Operations) placeAbove(ctx context.Context, tx *store.Tx, who Caller, all []*models.CA, certificate *x509.Certificate, given []*x509.Certificate) (models.CAID, error) {
	if err := tx.CheckBlocklists(ctx, keyFingerprint(certificate)); err != nil {
		return "", err
	}
	var known []*x509.Certificate
	for _, ca := range all {
		if len(ca.CertificateDER) == 0 || ca.State == models.CARevoked {
			continue
		}
		parsed, err := x509.ParseCertificate(ca.CertificateDER)
		if err != nil {
			return "", fmt.Errorf("parse certificate of CA %s: %w", ca.Name, err)
		}
		known = append(known, parsed)
	}
	path, err := pki.BuildPath(certificate, known, given, o.now())
	if err != nil {
		return "", err
	}
	var above models.CAID
	for i := len(path) - 1; i > 0; i-- { // from the root down
		if above, err = o.ensureAbove(ctx, tx, who, all, path[i], above); err != nil {
			return "", err
		}
	}
	return above, nil
}

// ensureAbove returns the CA with a certificate, adding it without a key if it
// is not known.
func (o *Operations) ensureAbove(ctx context.Context, tx *store.Tx, who Caller, all []*models.CA, certificate *x509.Certificate, issuer models.CAID) (models.CAID, error) {
	for _, ca := range all {
		if bytes.Equal(ca.CertificateDER, certificate.Raw) {
			return ca.ID, nil
		}
	}
	if err := pki.CheckCA(certificate, false, o.now()); err != nil {
		return "", err
	}
	if err := tx.CheckBlocklists(ctx, keyFingerprint(certificate)); err != nil {
		return "", err
	}
	keyID, err := pki.KeyID(certificate.PublicKey)
	if err != nil {
		return "", err
	}
	for _, ca := range all {
		if ca.KeyID == keyID && ca.Subject.CommonName == certificate.Subject.CommonName {
			return ca.ID, nil // the same CA under another certificate
		}
	}
	name, err := freeName(ctx, tx, certificate.Subject.CommonName)
	if err != nil {
		return "", err
	}
	return o.insertKeyless(tx, who, name, certificate, keyID, issuer)
}

// insertKeyless adds a CA of which we have the certificate only.
func (o *Operations) insertKeyless(tx *store.Tx, who Caller, name string, certificate *x509.Certificate, keyID string, issuer models.CAID) (models.CAID, error) {
	algorithm, err := pki.KeyAlgorithmOf(certificate.PublicKey)
	if err != nil {
		return "", err
	}
	row := &models.CA{
		ID: models.NewID[models.CAID](), Name: name, Type: models.CAExternal, State: models.CAActive, Generation: 1, Origin: models.CAKnown,
		IssuerID: issuer, KeyID: keyID, Key: models.KeyRef{Algorithm: algorithm},
	}
	fillCA(row, certificate)
	if err := tx.InsertCA(row); err != nil {
		return "", err
	}
	return row.ID, tx.Audit(who.event("ca.added", "ca", string(row.ID), "name", row.Name, "type", string(row.Type),
		"key_id", keyID, "sha256", fingerprintOf(certificate.Raw)))
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// freeName makes a name of a common name, with a number where it is taken.
func freeName(ctx context.Context, tx *store.Tx, commonName string) (string, error) {
	slug := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(commonName), "-"), "-")
	slug = strings.TrimRight(slug[:min(len(slug), 40)], "-")
	if slug == "" || models.CheckName("CA", slug) != nil {
		slug = "external-ca"
	}
	for n := 1; ; n++ {
		name := slug
		if n > 1 {
			name = fmt.Sprintf("%s-%d", slug, n)
		}
		_, err := tx.FindCAByName(ctx, name)
		if models.KindOf(err) == models.KindNotFound {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
}

// abandonImport removes the row of an import whose key the key store does not
// take. While the key store is away, the row stays: the same again goes on.
func (o *Operations) abandonImport(ctx context.Context, who Caller, row *models.CA, because error) error {
	switch models.KindOf(because) {
	case models.KindInvalid, models.KindConflict:
	default:
		return because
	}
	err := o.write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		present, err := tx.FindCA(ctx, row.ID)
		if err != nil || present.State != models.CAPending {
			return ifAbsent(err)
		}
		if err := tx.DeleteCA(present); err != nil {
			return err
		}
		return tx.Audit(who.event("ca.import-failed", "ca", string(row.ID), "name", row.Name, "because", models.PublicText(because)))
	})
	if err != nil {
		o.logger.WarnContext(ctx, "the row of a failed import stays", "ca", row.Name, "error", err)
	}
	return because
}

// activate lets a CA issue whose certificate was made elsewhere, notes the
// certificate, and promises its first CRL. place, if given, completes the row.
func (o *Operations) activate(ctx context.Context, who Caller, id models.CAID, action string, certificate *x509.Certificate, place func(*store.Tx, *models.CA) error) error {
	err := o.write(ctx, func(tx *store.Tx) error {
		ca, err := tx.FindCA(ctx, id)
		if err != nil {
			return err
		}
		if ca.State == models.CAActive && bytes.Equal(ca.CertificateDER, certificate.Raw) {
			return nil
		}
		if ca.State != models.CAPending {
			return models.Errorf(models.KindConflict, "CA %s is %s and waits for no certificate", ca.Name, ca.State)
		}
		if place != nil {
			if err := place(tx, ca); err != nil {
				return err
			}
		}
		stored, err := caCertificate(ctx, tx, ca, certificate)
		if err != nil {
			return err
		}
		added, err := tx.InsertImported(stored)
		if err != nil {
			return err
		}
		if !added && !bytes.Equal(stored.DER, certificate.Raw) {
			return models.Errorf(models.KindConflict, "another certificate of the same issuer has the serial number %s", stored.Serial)
		}
		ca.State, ca.CertificateID = models.CAActive, stored.ID
		if err := tx.SaveCA(ca); err != nil {
			return err
		}
		if err := tx.Promise(models.OutboxItem{Action: models.OutboxPublish, SubjectID: string(ca.ID)}); err != nil {
			return err
		}
		return tx.Audit(who.event(action, "ca", string(ca.ID), "name", ca.Name, "key_id", ca.KeyID, "serial", stored.Serial, "sha256", stored.Fingerprint))
	})
	if err == nil {
		o.tell(ctx, who, "publish CRL", func(ctx context.Context) error { return o.stories.Publish(ctx, id) })
	}
	return err
}

// caCertificate describes the certificate of a CA that was signed elsewhere.
func caCertificate(ctx context.Context, tx *store.Tx, ca *models.CA, certificate *x509.Certificate) (*models.Certificate, error) {
	issuerKeyID, issuer := ca.KeyID, ca.ID
	if ca.IssuerID != "" {
		above, err := tx.FindCA(ctx, ca.IssuerID)
		if err != nil {
			return nil, err
		}
		issuerKeyID, issuer = above.KeyID, above.ID
	}
	return &models.Certificate{
		Kind: models.CertificateCA, IssuerCAID: issuer, IssuerKeyID: issuerKeyID, Serial: pki.SerialHex(certificate.SerialNumber),
		DER: certificate.Raw, Fingerprint: fingerprintOf(certificate.Raw), SPKISHA256: keyFingerprint(certificate), Subject: certificate.Subject.String(),
		NotBefore: certificate.NotBefore.UTC(), NotAfter: certificate.NotAfter.UTC(),
	}, nil
}

// keyFingerprint is the hex SHA-256 of a certificate's SubjectPublicKeyInfo.
func keyFingerprint(certificate *x509.Certificate) string {
	return fingerprintOf(certificate.RawSubjectPublicKeyInfo)
}

func fingerprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
