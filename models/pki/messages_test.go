// SPDX-License-Identifier: MIT

package pki_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestCertificatesRoundTrip(t *testing.T) {
	root := newRoot(t, models.ECP256)
	sub := newSubCA(t, "Plant Issuing", root)
	both := []*x509.Certificate{sub.cert, root.cert}
	message := must(pki.CertsOnly(both...))
	cases := map[string]struct {
		data []byte
		want []*x509.Certificate
	}{
		"PEM":                     {pki.EncodePEM(both...), both},
		"PEM with text around":    {[]byte("subject=x\n" + string(pki.EncodePEM(sub.cert)) + "\nissuer\n" + string(pki.EncodePEM(root.cert)) + "end"), both},
		"DER":                     {root.cert.Raw, both[1:]},
		"PKCS #7 in DER":          {message, both},
		"PKCS #7 in PEM":          {pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message}), both},
		"PKCS #7 named otherwise": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: message}), both},
		"a hundred certificates":  {pki.EncodePEM(bytesTimes(root.cert, 100)...), bytesTimes(root.cert, 100)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := pki.ParseCertificates(c.data, 100)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(raws(c.want), raws(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func bytesTimes(cert *x509.Certificate, n int) (certs []*x509.Certificate) {
	for range n {
		certs = append(certs, cert)
	}
	return certs
}

// TestParseCertificatesRefuses is A23.
func TestParseCertificatesRefuses(t *testing.T) {
	root := newRoot(t, models.ECP256).cert
	block := string(pki.EncodePEM(root))
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte{0x30, 0}})
	cases := map[string]struct {
		data []byte
		says string
	}{
		"nothing":                            {nil, "no certificate"},
		"text":                               {[]byte("hello"), "no certificate"},
		"A23 thousands of blocks":            {[]byte(strings.Repeat("-----BEGIN CERTIFICATE-----\n", 5000)), "5000 PEM blocks"},
		"A23 one more than permitted":        {[]byte(strings.Repeat(block, 4)), "4 PEM blocks"},
		"A23 a boundary that is malformed":   {[]byte(strings.Replace(block, "-----END CERTIFICATE-----", "-----END CERT-----", 1)), "malformed"},
		"A23 a good block and a bad one":     {[]byte(block + "-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n"), "malformed"},
		"a private key beside a certificate": {append([]byte(block), key...), "private key"},
		"a request":                          {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{0x30, 0}}), "not a CERTIFICATE"},
		"an empty block":                     {[]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), "no certificate in it"},
		"a certificate cut off":              {root.Raw[:100], "malformed"},
		"trailing bytes":                     {append(bytes.Clone(root.Raw), 0), "malformed"},
		"a certificate of 64 KiB":            {wrapped(wrapped(make([]byte, 65<<10))), "larger"},
		"5 MiB":                              {make([]byte, 5<<20), "larger"},
		"PKCS #7 with too many":              {must(pki.CertsOnly(bytesTimes(root, 4)...)), "at most 3"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := pki.ParseCertificates(c.data, 3)
			wantError(t, err, models.KindInvalid, c.says)
		})
	}
}

func TestCertsOnlyIsWhatTheLibraryMakes(t *testing.T) {
	root := newRoot(t, models.ECP256)
	sub := newSubCA(t, "Plant Issuing", root)
	for _, certs := range [][]*x509.Certificate{{root.cert}, {sub.cert, root.cert}} {
		var raw []byte
		for _, cert := range certs {
			raw = append(raw, cert.Raw...)
		}
		if ours, theirs := must(pki.CertsOnly(certs...)), must(pkcs7.DegenerateCertificate(raw)); !bytes.Equal(ours, theirs) {
			t.Errorf("%x, not %x", ours, theirs)
		}
	}
}

func TestParseCertsOnlyRefuses(t *testing.T) {
	root := newRoot(t, models.ECP256)
	message := must(pki.CertsOnly(root.cert))
	signed := must(pkcs7.NewSignedData([]byte("x")))
	if err := signed.AddSigner(root.cert, root.key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		der  []byte
		says string
	}{
		"nothing":                        {nil, "not in DER"},
		"A02 more than 64 KiB":           {make([]byte, 65<<10), "larger"},
		"A03 nested BER":                 {bytes.Repeat([]byte{0x30, 0x80}, 32000), "indefinite"},
		"A03 33 levels":                  {nested(33), "deeper"},
		"A04 tiny elements":              {wrapped(bytes.Repeat([]byte{5, 0}, 30000)), "too many elements"},
		"A05 trailing bytes":             {append(bytes.Clone(message), 0), "after the end"},
		"A05 cut off":                    {message[:len(message)-1], "cut off"},
		"a message with signers":         {must(signed.Finish()), "no signers"},
		"a message without certificates": {must(hex.DecodeString("302306092a864886f70d010702a0163014020101310" + "0300b06092a864886f70d0107013100")), "must have certificates"},
		"another content type":           {must(asn1.Marshal(struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}})), "malformed"},
		"a certificate":                  {root.cert.Raw, "malformed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := pki.ParseCertsOnly(c.der)
			wantError(t, err, models.KindInvalid, c.says)
		})
	}
	if _, err := pki.CertsOnly(); models.KindOf(err) != models.KindInternal || err == nil {
		t.Error(err)
	}
}

// TestLargePKCS7FilesAreRead is what an operator exports from another product:
// hundreds of certificates in one message.
func TestLargePKCS7FilesAreRead(t *testing.T) {
	root := newRoot(t, models.ECP256)
	many := slices.Repeat([]*x509.Certificate{root.cert}, 300)
	message := must(pki.CertsOnly(many...))
	if len(message) < 65<<10 {
		t.Fatalf("the message has %d octets", len(message))
	}
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message})
	for name, file := range map[string][]byte{"DER": message, "PEM": inPEM} {
		certs, err := pki.ParseCertificates(file, 300)
		if err != nil || len(certs) != 300 || !certs[299].Equal(root.cert) {
			t.Errorf("%s: %d certificates, %v", name, len(certs), err)
		}
	}
	signed := must(pkcs7.NewSignedData(make([]byte, 70<<10)))
	if err := signed.AddSigner(root.cert, root.key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	oid := must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}))
	content := func(body []byte) []byte {
		return wrapped(slices.Concat(oid, body, must(asn1.Marshal(make([]byte, 70<<10)))))
	}
	none := &x509.Certificate{Raw: wrapped([]byte{5, 0})}
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"one more than is permitted":         {must(pki.CertsOnly(append(many, root.cert)...)), "more than 300 certificates; send them in several files"},
		"a message with signers":             {must(signed.Finish()), "no signers"},
		"one with bytes behind it":           {append(bytes.Clone(message), 0), "after the end"},
		"one whose last certificate is none": {must(pki.CertsOnly(append(many[:299:299], none)...)), "certificate 300 of the PKCS #7 message is malformed"},
		"tiny elements":                      {content(bytes.Repeat([]byte{5, 0}, 300000)), "too many elements"},
		"33 levels":                          {content(nested(33)), "deeper"},
		"another content type":               {content(nil), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pki.ParseCertificates(c.file, 300)
			wantError(t, err, models.KindInvalid, c.says)
		})
	}
}

func TestBuildCRL(t *testing.T) {
	for _, algorithm := range []models.KeyAlgorithm{models.ECP384, models.RSA2048, models.RSA4096, models.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			root := newRoot(t, algorithm)
			entries := []pki.CRLEntry{{pki.NewSerial(), start, 0}, {pki.NewSerial(), start.Add(90 * time.Minute), 1}, {pki.NewSerial(), start, 6}}
			der, err := pki.BuildCRL(root.cert, root.key, 7, start, start.Add(7*day), entries)
			if err != nil {
				t.Fatal(err)
			}
			crl := must(x509.ParseRevocationList(der))
			if err := crl.CheckSignatureFrom(root.cert); err != nil {
				t.Error(err)
			}
			if crl.Number.Int64() != 7 || !bytes.Equal(crl.AuthorityKeyId, root.cert.SubjectKeyId) || !crl.ThisUpdate.Equal(start) || !crl.NextUpdate.Equal(start.Add(7*day)) {
				t.Errorf("%+v", crl)
			}
			for i, e := range crl.RevokedCertificateEntries {
				want := entries[i]
				if e.SerialNumber.Cmp(want.Serial) != 0 || !e.RevocationTime.Equal(want.RevokedAt) || e.ReasonCode != want.Reason || (want.Reason == 0) != (len(e.Extensions) == 0) {
					t.Errorf("entry %d: %+v", i, e)
				}
			}
		})
	}
}

func TestBuildCRLRefuses(t *testing.T) {
	root, other := newRoot(t, models.ECP256), newRoot(t, models.ECP256)
	away := models.Errorf(models.KindUnavailable, "the token is away")
	one := pki.CRLEntry{Serial: big.NewInt(5), RevokedAt: start}
	cases := map[string]struct {
		signer  crypto.Signer
		number  int64
		next    time.Time
		entries []pki.CRLEntry
		kind    models.Kind
		says    string
	}{
		"a signer with another key":  {other.key, 1, start.Add(day), nil, models.KindInternal, "valid CRL"},
		"a stale handle":             {stale{root.key, other.key}, 1, start.Add(day), nil, models.KindInternal, "sign CRL"},
		"a token that is away":       {corrupt{root.key, func([]byte) ([]byte, error) { return nil, away }}, 1, start.Add(day), nil, models.KindUnavailable, "away"},
		"number zero":                {root.key, 0, start.Add(day), nil, models.KindInternal, "not positive"},
		"an end before its begin":    {root.key, 1, start.Add(-day), nil, models.KindInternal, "sign CRL"},
		"a serial number twice":      {root.key, 1, start.Add(day), []pki.CRLEntry{one, one}, models.KindInternal, "twice"},
		"no serial number":           {root.key, 1, start.Add(day), []pki.CRLEntry{{RevokedAt: start}}, models.KindInternal, "not valid"},
		"a reason of delta CRLs":     {root.key, 1, start.Add(day), []pki.CRLEntry{{big.NewInt(5), start, 8}}, models.KindInternal, "reason 8"},
		"a reason that is not there": {root.key, 1, start.Add(day), []pki.CRLEntry{{big.NewInt(5), start, 11}}, models.KindInternal, "reason 11"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := pki.BuildCRL(root.cert, c.signer, c.number, start, c.next, c.entries)
			wantError(t, err, c.kind, c.says)
		})
	}
}
