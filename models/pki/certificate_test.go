// SPDX-License-Identifier: MIT

package pki_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestIssuance(t *testing.T) {
	algorithms := map[models.KeyAlgorithm]x509.SignatureAlgorithm{
		models.ECP256: x509.ECDSAWithSHA256, models.ECP384: x509.ECDSAWithSHA384, models.ECP521: x509.ECDSAWithSHA512,
		models.RSA2048: x509.SHA256WithRSA, models.RSA4096: x509.SHA512WithRSA, models.Ed25519: x509.PureEd25519,
	}
	for algorithm, want := range algorithms {
		t.Run(string(algorithm), func(t *testing.T) {
			root := newRoot(t, algorithm)
			leaf := issue(t, leafTemplate(t, "press-01"), newKey(models.ECP256).Public(), root)
			if root.cert.SignatureAlgorithm != want || leaf.SignatureAlgorithm != want {
				t.Errorf("%s, %s", root.cert.SignatureAlgorithm, leaf.SignatureAlgorithm)
			}
			rootKey := must(pki.SubjectKeyID(root.key.Public()))
			if !bytes.Equal(root.cert.SubjectKeyId, rootKey) || !bytes.Equal(leaf.AuthorityKeyId, rootKey) || root.cert.AuthorityKeyId != nil {
				t.Error("key identifiers are wrong")
			}
			if err := leaf.CheckSignatureFrom(root.cert); err != nil {
				t.Error(err)
			}
			if err := root.cert.CheckSignatureFrom(root.cert); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBuildTBSWritesWhatTheTemplateSays(t *testing.T) {
	root := newRoot(t, models.ECP256)
	template := leafTemplate(t, "press-01")
	template.DNSNames = []string{"press-01", "press-01.plant.example"}
	template.EmailAddresses = []string{"shop@plant.example"}
	template.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 7), net.ParseIP("fd00::7")}
	template.URIs = []*url.URL{must(url.Parse("urn:press-01:UA:app")), must(url.Parse("opc.tcp://press-01:4840"))}
	template.IssuingCertificateURL = []string{"http://127.0.0.1:8080/ca/00.cer"}
	template.OCSPServer = []string{"http://127.0.0.1:8080/ocsp/00"}
	template.BasicConstraintsValid = true
	policies := must(asn1.Marshal([]struct{ ID asn1.ObjectIdentifier }{{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1, 2, 3}}}))
	template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Value: policies}}
	template.NotBefore = template.NotBefore.Add(300 * time.Millisecond)
	template.SignatureAlgorithm = x509.SHA1WithRSA // is not taken
	template.AuthorityKeyId = []byte("not taken")
	template.SubjectKeyId = []byte("not taken")

	key := newKey(models.ECP256)
	tbs, err := builder.BuildTBS(template, key.Public(), pki.Issuer{Certificate: root.cert, Algorithm: models.ECP256})
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(tbs.DER)
	if tbs.SHA256 != hex.EncodeToString(digest[:]) {
		t.Error("the digest is not of the bytes")
	}
	cert := must(x509.ParseCertificate(must(pki.SignTBS(tbs.DER, root.cert, root.key))))
	if !bytes.Equal(cert.RawTBSCertificate, tbs.DER) {
		t.Error("not exactly these bytes were signed")
	}
	want := []string{"dns:press-01", "dns:press-01.plant.example", "email:shop@plant.example", "ip:10.0.0.7", "ip:fd00::7", "uri:opc.tcp://press-01:4840", "uri:urn:press-01:UA:app"}
	if diff := cmp.Diff(want, pki.SANs(cert)); diff != "" {
		t.Error(diff)
	}
	if cert.SerialNumber.Cmp(template.SerialNumber) != 0 || !cert.NotBefore.Equal(start) || !cert.NotAfter.Equal(template.NotAfter) ||
		cert.KeyUsage != template.KeyUsage || len(cert.ExtKeyUsage) != 1 || len(cert.Policies) != 1 || cert.IsCA || !cert.BasicConstraintsValid ||
		cert.OCSPServer[0] != template.OCSPServer[0] || cert.IssuingCertificateURL[0] != template.IssuingCertificateURL[0] ||
		pki.SubjectSerialNumber(cert) != "4711" || bytes.Contains(cert.RawTBSCertificate, []byte("not taken")) {
		t.Errorf("%+v", cert)
	}
}

// TestBuildTBSRefuses is A10, A15 and A21 as far as they concern the builder,
// and the lints.
func TestBuildTBSRefuses(t *testing.T) {
	root := newRoot(t, models.ECP256)
	sub := newSubCA(t, "Plant Issuing", root)
	noCAsBelow := caTemplate(t, "Plant Leaf CA", 10)
	noCAsBelow.MaxPathLenZero = true
	lowKey := newKey(models.ECP256)
	low := authority{issue(t, noCAsBelow, lowKey.Public(), root), lowKey}
	leaf := issue(t, leafTemplate(t, "press-01"), newKey(models.ECP256).Public(), root)
	ed, rsaKey, ec := newKey(models.Ed25519).Public(), newKey(models.RSA2048).Public(), newKey(models.ECP256).Public()
	extra := func(oid asn1.ObjectIdentifier, value ...byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Value: value})
		}
	}
	dns := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = names }
	}
	cases := map[string]struct {
		spoil func(*x509.Certificate)
		pub   crypto.PublicKey
		by    authority
		kind  models.Kind
		says  string
	}{
		"A21 a certificate that outlives its issuer":   {func(c *x509.Certificate) { c.NotAfter = root.cert.NotAfter.Add(time.Second) }, ec, root, models.KindDenied, "after its issuer"},
		"A21 a certificate that ends before it begins": {func(c *x509.Certificate) { c.NotAfter = c.NotBefore }, ec, root, models.KindDenied, "not after it begins"},
		"A10 the issuer's own key":                     {nil, root.key.Public(), root, models.KindDenied, "issuer's own"},
		"A15 keyCertSign for a device":                 {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }, ec, root, models.KindDenied, "only CAs"},
		"A15 anyExtendedKeyUsage":                      {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, ec, root, models.KindDenied, "anyExtendedKeyUsage"},
		"a serial number of zero":                      {func(c *x509.Certificate) { c.SerialNumber = new(big.Int) }, ec, root, models.KindDenied, "serial number"},
		"a negative serial number":                     {func(c *x509.Certificate) { c.SerialNumber = big.NewInt(-5) }, ec, root, models.KindDenied, "serial number"},
		"no serial number":                             {func(c *x509.Certificate) { c.SerialNumber = nil }, ec, root, models.KindDenied, "serial number"},
		"a serial number of 21 octets":                 {func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 159) }, ec, root, models.KindDenied, "serial number"},
		"a CA below a leaf":                            {nil, ec, authority{cert: leaf}, models.KindDenied, "not a CA"},
		"a CA below a CA with path length 0":           {func(c *x509.Certificate) { *c = *caTemplate(t, "Too Deep", 1) }, ec, low, models.KindDenied, "may not have CAs below"},
		"a CA without keyCertSign":                     {func(c *x509.Certificate) { *c = *caTemplate(t, "x", 1); c.KeyUsage = x509.KeyUsageCRLSign }, ec, root, models.KindDenied, "keyCertSign"},
		"a CA without a subject":                       {func(c *x509.Certificate) { *c = *caTemplate(t, "x", 1); c.RawSubject = []byte{0x30, 0} }, ec, root, models.KindDenied, "e_ca_subject_field_empty"},
		"a device without any name":                    {func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0} }, ec, root, models.KindDenied, "e_subject_empty_without_san"},
		"encipherment with an EC key":                  {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }, ec, root, models.KindDenied, "e_ecdsa_allowed_ku"},
		"encipherment with an Ed25519 key":             {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }, ed, root, models.KindDenied, "Ed25519"},
		"key agreement with an RSA key":                {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyAgreement }, rsaKey, root, models.KindDenied, "e_rsa_allowed_ku_ee"},
		"a key usage that does not fit":                {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }, ec, root, models.KindDenied, "do not fit"},
		"a serialNumber that is not printable": {func(c *x509.Certificate) {
			c.RawSubject = subject(asn1.ObjectIdentifier{2, 5, 4, 5}, asn1.TagUTF8String, "4711")
		}, ec, root, models.KindDenied, "e_subject_dn_serial_number_not_printable_string"},
		"a control character in the subject":     {func(c *x509.Certificate) { c.RawSubject = commonName("a\x00b") }, ec, root, models.KindInvalid, "control"},
		"a malformed subject":                    {func(c *x509.Certificate) { c.RawSubject = []byte{0x31, 0} }, ec, root, models.KindInvalid, "malformed"},
		"a wildcard":                             {dns("*.example"), ec, root, models.KindInvalid, "wildcards"},
		"the same name twice":                    {dns("a.example", "A.EXAMPLE"), ec, root, models.KindDenied, "twice"},
		"101 names":                              {dns(strings.Split(strings.Repeat("a.b ", 101), " ")...), ec, root, models.KindDenied, "more than 100"},
		"a relative URI":                         {func(c *x509.Certificate) { c.URIs = []*url.URL{{Path: "x"}} }, ec, root, models.KindInvalid, "absolute"},
		"an unspecified address":                 {func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4zero} }, ec, root, models.KindInvalid, "no single device"},
		"a malformed e-mail address":             {func(c *x509.Certificate) { c.EmailAddresses = []string{"x"} }, ec, root, models.KindInvalid, "name@domain"},
		"basicConstraints as an extra extension": {extra(asn1.ObjectIdentifier{2, 5, 29, 19}, 0x30, 3, 1, 1, 0xff), ec, root, models.KindDenied, "extra"},
		"an extra extension twice": {func(c *x509.Certificate) {
			extra(asn1.ObjectIdentifier{1, 2, 3}, 5, 0)(c)
			extra(asn1.ObjectIdentifier{1, 2, 3}, 5, 0)(c)
		}, ec, root, models.KindDenied, "twice"},
		"an extra extension that is not DER": {extra(asn1.ObjectIdentifier{1, 2, 3}, 0x30, 0x80, 0, 0), ec, root, models.KindDenied, "not in DER"},
		"a key that is not permitted":        {nil, &struct{}{}, root, models.KindInvalid, "use RSA"},
	}
	for name, c := range cases {
		t.Run(name+" is refused", func(t *testing.T) {
			template := leafTemplate(t, "press-01")
			if c.spoil != nil {
				c.spoil(template)
			}
			_, err := builder.BuildTBS(template, c.pub, c.by.issuer())
			wantError(t, err, c.kind, c.says)
		})
	}
	t.Run("an issuer that is said to have another key is a fault", func(t *testing.T) {
		_, err := builder.BuildTBS(leafTemplate(t, "press-01"), ec, pki.Issuer{Certificate: sub.cert, Algorithm: models.RSA2048})
		wantError(t, err, models.KindInternal, "not RSA-2048")
	})
}

// TestShippedShapesPassTheLints keeps the certificates that profiles make
// from being refused: TLS servers, OPC UA applications, CAs of every kind.
func TestShippedShapesPassTheLints(t *testing.T) {
	root := newRoot(t, models.RSA4096)
	opcua := x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	shapes := map[string]struct {
		algorithm models.KeyAlgorithm
		shape     func(*x509.Certificate)
	}{
		"domain credential": {models.ECP256, func(*x509.Certificate) {}},
		"Ed25519 client":    {models.Ed25519, func(*x509.Certificate) {}},
		"RSA TLS server": {models.RSA2048, func(c *x509.Certificate) {
			c.KeyUsage |= x509.KeyUsageKeyEncipherment
			c.ExtKeyUsage = both
			c.DNSNames = []string{"press-01"}
		}},
		"RSA OPC UA": {models.RSA2048, func(c *x509.Certificate) {
			c.KeyUsage = opcua
			c.ExtKeyUsage = both
			c.DNSNames = []string{"press-01"}
			c.URIs = []*url.URL{must(url.Parse("urn:press-01:UA:app"))}
		}},
		"EC OPC UA": {models.ECP384, func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyAgreement
			c.ExtKeyUsage = both
		}},
		"no key usage":          {models.ECP521, func(c *x509.Certificate) { c.KeyUsage = 0; c.ExtKeyUsage = nil }},
		"no subject but a name": {models.ECP256, func(c *x509.Certificate) { c.RawSubject = []byte{0x30, 0}; c.DNSNames = []string{"press-01"} }},
		"OCSP signer":           {models.ECP256, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }},
		"umlauts":               {models.ECP256, func(c *x509.Certificate) { c.RawSubject = commonName("Prüfstand Süd") }},
		"without end":           {models.ECP256, func(c *x509.Certificate) { c.NotAfter = start.AddDate(20, 0, 0) }},
		"issuing CA":            {models.ECP384, func(c *x509.Certificate) { *c = *caTemplate(t, "Plant Issuing", 10); c.MaxPathLenZero = true }},
	}
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) {
			template := leafTemplate(t, "press-01")
			s.shape(template)
			issue(t, template, newKey(s.algorithm).Public(), root)
		})
	}
}

// TestRolloverCertificates makes new-with-old and old-with-new for one name
// (RFC 4210 §4.4): only the key identifiers tell the two keys apart.
func TestRolloverCertificates(t *testing.T) {
	old, fresh := newRoot(t, models.ECP256), newRoot(t, models.RSA2048)
	for name, pair := range map[string][2]authority{"new with old": {fresh, old}, "old with new": {old, fresh}} {
		t.Run(name, func(t *testing.T) {
			cert := issue(t, caTemplate(t, "Plant Root", 10), pair[0].key.Public(), pair[1])
			if !bytes.Equal(cert.SubjectKeyId, pair[0].cert.SubjectKeyId) || !bytes.Equal(cert.AuthorityKeyId, pair[1].cert.SubjectKeyId) {
				t.Error("key identifiers are wrong")
			}
			leaf := issue(t, leafTemplate(t, "press-01"), newKey(models.ECP256).Public(), pair[0])
			if _, err := pki.VerifyClient(leaf, []*x509.Certificate{cert}, []*x509.Certificate{pair[1].cert}, start.Add(day)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBuilderIsSafeForConcurrentUse(t *testing.T) {
	root := newRoot(t, models.ECP256)
	fresh := pki.NewBuilder()
	pub := newKey(models.ECP256).Public()
	var wg sync.WaitGroup
	for i := range 8 {
		template := leafTemplate(t, fmt.Sprintf("press-%d", i))
		wg.Go(func() {
			if _, err := fresh.BuildTBS(template, pub, root.issuer()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// corrupt is a token that went wrong.
type corrupt struct {
	crypto.Signer
	spoil func([]byte) ([]byte, error)
}

func (c corrupt) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := c.Signer.Sign(r, digest, opts)
	if err != nil {
		return nil, err
	}
	return c.spoil(signature)
}

// stale presents one public key and signs with another, as a token does whose
// handle points to another object after it came back.
type stale struct{ shown, used crypto.Signer }

func (s stale) Public() crypto.PublicKey { return s.shown.Public() }

func (s stale) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.used.Sign(r, digest, opts)
}

func TestSignTBSFindsFaults(t *testing.T) {
	root, other := newRoot(t, models.ECP256), newRoot(t, models.ECP256)
	edRoot := newRoot(t, models.Ed25519)
	key := newKey(models.ECP256)
	tbs := must(builder.BuildTBS(leafTemplate(t, "press-01"), key.Public(), root.issuer())).DER
	selfTBS := must(builder.BuildTBS(caTemplate(t, "Root", 5), key.Public(), pki.Issuer{})).DER
	away := models.Errorf(models.KindUnavailable, "the token is away")
	flip := func(s []byte) ([]byte, error) { s[len(s)-1] ^= 1; return s, nil }
	cases := map[string]struct {
		tbs    []byte
		issuer *x509.Certificate
		signer crypto.Signer
		kind   models.Kind
		says   string
	}{
		"a signer that corrupts":                      {tbs, root.cert, corrupt{root.key, flip}, models.KindInternal, "valid signature"},
		"a signer that returns nothing":               {tbs, root.cert, corrupt{root.key, func([]byte) ([]byte, error) { return nil, nil }}, models.KindInternal, "valid signature"},
		"a signer with another key":                   {tbs, root.cert, other.key, models.KindInternal, "valid signature"},
		"a stale handle":                              {tbs, root.cert, stale{root.key, other.key}, models.KindInternal, "valid signature"},
		"a stale handle that makes a root":            {selfTBS, nil, stale{key, other.key}, models.KindInternal, "valid signature"},
		"a root signed by another key":                {selfTBS, nil, other.key, models.KindInternal, "valid signature"},
		"another issuer of the same name":             {tbs, other.cert, root.key, models.KindInternal, "valid signature"},
		"an issuer with another algorithm":            {tbs, edRoot.cert, edRoot.key, models.KindInternal, "not built for this issuer"},
		"bytes that are no certificate":               {[]byte{0x30, 0}, root.cert, root.key, models.KindInternal, "not built for this issuer"},
		"bytes that were cut off":                     {tbs[:len(tbs)-1], root.cert, root.key, models.KindInternal, "not built for this issuer"},
		"a token that is away (its kind is kept)":     {tbs, root.cert, corrupt{root.key, func([]byte) ([]byte, error) { return nil, away }}, models.KindUnavailable, "away"},
		"a token with an error that nobody has named": {tbs, root.cert, corrupt{root.key, func([]byte) ([]byte, error) { return nil, errors.New("CKR_GENERAL_ERROR") }}, models.KindInternal, "CKR_GENERAL_ERROR"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			signed, err := pki.SignTBS(c.tbs, c.issuer, c.signer)
			if signed != nil {
				t.Error("a certificate came out")
			}
			wantError(t, err, c.kind, c.says)
		})
	}
	t.Run("signing twice gives the same to-be-signed bytes", func(t *testing.T) {
		first := must(x509.ParseCertificate(must(pki.SignTBS(tbs, root.cert, root.key))))
		again := must(x509.ParseCertificate(must(pki.SignTBS(tbs, root.cert, root.key))))
		if !bytes.Equal(first.RawTBSCertificate, again.RawTBSCertificate) || !bytes.Equal(first.RawTBSCertificate, tbs) {
			t.Error("the bytes differ")
		}
	})
}
