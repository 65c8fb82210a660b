// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// TestNamesStayInsideTheConstraintsOfTheirIssuer: relying parties would refuse
// the certificate later.
func TestNamesStayInsideTheConstraintsOfTheirIssuer(t *testing.T) {
	root := newRoot(t, models.ECP256)
	template := caTemplate(t, "Hall 3", 10)
	_, net10, _ := net.ParseCIDR("10.0.0.0/8")
	template.PermittedDNSDomainsCritical, template.PermittedDNSDomains = true, []string{"plant.example"}
	template.ExcludedDNSDomains, template.PermittedIPRanges = []string{"vault.plant.example"}, []*net.IPNet{net10}
	template.PermittedEmailAddresses, template.PermittedURIDomains = []string{"plant.example"}, []string{".plant.example"}
	key := newKey(models.ECP256)
	hall := authority{issue(t, template, key.Public(), root), key}
	// A CA that was made elsewhere need not repeat what those above it say.
	line := newSubCA(t, "Line 7", hall)
	below := line.issuer()
	below.Above = []*x509.Certificate{hall.cert, root.cert}
	for name, permitted := range map[string]bool{
		"dns:plant.example": true, "dns:a.plant.example": true, "dns:aplant.example": false, "dns:a.example": false, "dns:x.vault.plant.example": false,
		"ip:10.1.2.3": true, "ip:192.0.2.1": false, "email:a@plant.example": true, "email:a@b.example": false,
		"uri:https://a.plant.example/x": true, "uri:https://plant.example/x": false, "uri:urn:a:b": true, "upn:a@b.example": true,
	} {
		leaf := leafTemplate(t, "press-01")
		kind, value, _ := strings.Cut(name, ":")
		switch kind {
		case "dns":
			leaf.DNSNames = []string{value}
		case "ip":
			leaf.IPAddresses = []net.IP{net.ParseIP(value)}
		case "email":
			leaf.EmailAddresses = []string{value}
		case "uri":
			leaf.URIs = append(leaf.URIs, must(url.Parse(value)))
		default:
			leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: must(pki.MarshalSANs([]string{name}))}}
		}
		_, err := builder.BuildTBS(leaf, newKey(models.ECP256).Public(), hall.issuer())
		if (err == nil) != permitted {
			t.Errorf("%s: %v", name, err)
		}
		_, err = builder.BuildTBS(leaf, newKey(models.ECP256).Public(), below)
		if (err == nil) != permitted || err != nil && !strings.Contains(models.PublicText(err), `outside the name constraints of the CA "CN=Hall 3`) {
			t.Errorf("%s, two CAs below: %v", name, err)
		}
	}
	leaf := leafTemplate(t, "press-01")
	leaf.PermittedDNSDomains = []string{"plant.example"}
	if _, err := builder.BuildTBS(leaf, newKey(models.ECP256).Public(), root.issuer()); models.KindOf(err) != models.KindDenied {
		t.Errorf("constraints in the certificate of a device: %v", err)
	}
}

// TestAnEncodedSubjectAltNameSaysWhatTheFieldsSay, or nothing is built.
func TestAnEncodedSubjectAltNameSaysWhatTheFieldsSay(t *testing.T) {
	root := newRoot(t, models.ECP256)
	for names, permitted := range map[string]bool{"dns:a.example upn:a@b.example": true, "dns:b.example upn:a@b.example": false, "upn:a@b.example": false} {
		leaf := leafTemplate(t, "press-01")
		leaf.DNSNames = []string{"a.example"}
		leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: must(pki.MarshalSANs(strings.Fields(names)))}}
		if _, err := builder.BuildTBS(leaf, newKey(models.ECP256).Public(), root.issuer()); (err == nil) != permitted {
			t.Errorf("%s: %v", names, err)
		}
	}
	for _, name := range []string{"upn:nobody", "upn:a b@c", "hwmodule:1.2.3:", "hwmodule:1.2.3:0", "hwmodule:x:00", "other:1.2.3:", "other:1.2.3", "other:1.3.6.1.4.1.311.20.2.3:a@b", "other:9.1:x", "rid:1.2.3"} {
		if _, err := pki.CanonicalSAN(name); models.KindOf(err) != models.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSigningWithAnotherDigest signs, and verifies, with the digest that was
// asked for, where the issuer's key leaves a choice.
func TestSigningWithAnotherDigest(t *testing.T) {
	for algorithm, want := range map[models.KeyAlgorithm]x509.SignatureAlgorithm{
		models.ECP256: x509.ECDSAWithSHA384, models.RSA2048: x509.SHA384WithRSA, models.Ed25519: x509.UnknownSignatureAlgorithm,
	} {
		root := newRoot(t, algorithm)
		issuer := root.issuer()
		issuer.Hash = crypto.SHA384
		tbs, err := builder.BuildTBS(leafTemplate(t, "press-01"), newKey(models.ECP256).Public(), issuer)
		if want == x509.UnknownSignatureAlgorithm {
			if models.KindOf(err) != models.KindDenied {
				t.Errorf("%s: %v", algorithm, err)
			}
			continue
		}
		leaf := must(x509.ParseCertificate(must(pki.SignTBS(must(tbs, err).DER, root.cert, root.key))))
		if err := leaf.CheckSignatureFrom(root.cert); err != nil || leaf.SignatureAlgorithm != want {
			t.Errorf("%s: %s, %v", algorithm, leaf.SignatureAlgorithm, err)
		}
	}
}

// TestAPathStaysAsShortAsThoseAboveSay: a CA below one that did not repeat the
// pathLenConstraint of those above it would issue for nobody.
func TestAPathStaysAsShortAsThoseAboveSay(t *testing.T) {
	root := newRoot(t, models.ECP256)
	for name, c := range map[string]struct {
		above     func(*x509.Certificate)
		permitted bool
	}{
		"no limit":          {func(*x509.Certificate) {}, true},
		"room for two":      {func(c *x509.Certificate) { c.MaxPathLen = 2 }, true},
		"room for one":      {func(c *x509.Certificate) { c.MaxPathLen = 1 }, false},
		"room for no other": {func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			above := caTemplate(t, "Hall 3", 5)
			c.above(above)
			issuer := newSubCA(t, "Line 7", root).issuer()
			issuer.Above = []*x509.Certificate{above, root.cert}
			_, err := builder.BuildTBS(caTemplate(t, "Cell 1", 1), newKey(models.ECP256).Public(), issuer)
			if (err == nil) != c.permitted || err != nil && models.KindOf(err) != models.KindDenied {
				t.Error(err)
			}
			if _, err := builder.BuildTBS(leafTemplate(t, "press-01"), newKey(models.ECP256).Public(), issuer); err != nil {
				t.Errorf("a device: %v", err)
			}
		})
	}
}
