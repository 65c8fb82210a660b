// SPDX-License-Identifier: MIT

package pki_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func honestCSR(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	return must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "press-01", SerialNumber: "4711"},
		DNSNames:    []string{"press-01.plant.example", "press-01"},
		IPAddresses: []net.IP{net.IPv4(10, 0, 0, 7), net.ParseIP("fd00::7")},
		URIs:        []*url.URL{must(url.Parse("urn:press-01:UA:controller"))},
	}, key))
}

func TestParseCSRAcceptsEveryPermittedKey(t *testing.T) {
	for _, algorithm := range []models.KeyAlgorithm{models.ECP256, models.ECP384, models.ECP521, models.RSA2048, models.RSA4096, models.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			request := honestCSR(t, newKey(algorithm))
			csr, err := pki.ParseCSR(request)
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256(request)
			spki := sha256.Sum256(csr.Request.RawSubjectPublicKeyInfo)
			got := []string{string(csr.KeyAlgorithm), csr.SHA256, csr.SPKISHA256}
			want := []string{string(algorithm), hex.EncodeToString(digest[:]), hex.EncodeToString(spki[:])}
			if diff := cmp.Diff(want, got); diff != "" || !bytes.Equal(csr.DER, request) {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeCSR(t *testing.T) {
	request := honestCSR(t, newKey(models.ECP256))
	encoded := base64.StdEncoding.EncodeToString(request)
	block := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	accepted := map[string]string{
		"DER":                         string(request),
		"PEM":                         block,
		"PEM with CRLF":               strings.ReplaceAll(block, "\n", "\r\n"),
		"PEM of old tools":            strings.ReplaceAll(block, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
		"PEM below a printed request": "Certificate Request:\n    Data:\n" + block,
		"base64 in one line":          encoded,
		"base64 without padding":      strings.TrimRight(encoded, "="),
		"base64 with any white space": " \t" + encoded[:10] + "\r\n\n " + encoded[10:50] + "\t" + encoded[50:] + "\n",
	}
	for name, body := range accepted {
		t.Run(name+" is accepted", func(t *testing.T) {
			got, err := pki.DecodeCSR([]byte(body))
			if err != nil || !bytes.Equal(got, request) {
				t.Fatalf("%x, %v", got, err)
			}
		})
	}
	refused := map[string]struct{ body, says string }{
		"an empty body":                {"", "empty"},
		"white space":                  {" \r\n", "empty"},
		"text":                         {"hello, world!", "neither"},
		"base64 with a stray sign":     {encoded[:20] + "*" + encoded[20:], "neither"},
		"base64 with too much padding": {strings.TrimRight(encoded, "=") + "===", "neither"},
		"another kind of PEM":          {strings.ReplaceAll(block, "CERTIFICATE REQUEST", "CERTIFICATE"), "not a CERTIFICATE REQUEST"},
		"two requests":                 {block + block, "one request"},
		"a PEM block cut off":          {block[:len(block)/2], "malformed"},
		"more than 64 KiB":             {strings.Repeat("A", pki.MaxCSR+1), "larger"},
		"thousands of PEM blocks":      {strings.Repeat("-----BEGIN X-----\n-----END X-----\n", 1900), "not a CERTIFICATE REQUEST"},
	}
	for name, c := range refused {
		t.Run(name+" is refused", func(t *testing.T) {
			_, err := pki.DecodeCSR([]byte(c.body))
			wantError(t, err, models.KindInvalid, c.says)
		})
	}
}

// rsaSPKI encodes an RSA key that need not be one.
func rsaSPKI(n *big.Int, e int64) []byte {
	key := must(asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)}))
	return spki(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue, key)
}

func ecSPKI(curve asn1.RawValue, point []byte) []byte {
	return spki(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, curve, point)
}

func dsaSPKI() []byte {
	parameters := must(asn1.Marshal(struct{ P, Q, G int }{23, 11, 4}))
	return spki(asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, asn1.RawValue{FullBytes: parameters}, must(asn1.Marshal(8)))
}

func spki(oid asn1.ObjectIdentifier, parameters asn1.RawValue, bits []byte) []byte {
	return must(asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: parameters}, asn1.BitString{Bytes: bits, BitLength: len(bits) * 8}}))
}

func edSPKI(y string) []byte {
	return append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, must(hex.DecodeString(y))...)
}

func modulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.Add(n, must(rand.Int(rand.Reader, n))).SetBit(n, 0, 1)
}

func oidParameter(oid asn1.ObjectIdentifier) asn1.RawValue {
	return asn1.RawValue{FullBytes: must(asn1.Marshal(oid))}
}

var (
	curveP256 = oidParameter(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	curveP384 = oidParameter(asn1.ObjectIdentifier{1, 3, 132, 0, 34})
	curveP224 = oidParameter(asn1.ObjectIdentifier{1, 3, 132, 0, 33})
	secp256k1 = oidParameter(asn1.ObjectIdentifier{1, 3, 132, 0, 10})
)

// TestParseCSRRefusesKeys is A07, A08, A09 and A11: none of these requests
// carries a valid signature, so the texts show that the key is looked at first.
func TestParseCSRRefusesKeys(t *testing.T) {
	good := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	point := must(good.PublicKey.Bytes())
	offCurve := bytes.Clone(point)
	offCurve[64] ^= 1
	compressed := elliptic.MarshalCompressed(elliptic.P256(), good.X, good.Y)
	n := rsaModulus()
	refused := map[string]struct {
		spki []byte
		says string
	}{
		"A07 RSA with 512 bits":         {rsaSPKI(modulus(512), 65537), "512 bits"},
		"A07 RSA with 1024 bits":        {rsaSPKI(modulus(1024), 65537), "1024 bits"},
		"A07 RSA with 2047 bits":        {rsaSPKI(modulus(2047), 65537), "2047 bits"},
		"A07 RSA with 8200 bits":        {rsaSPKI(modulus(8200), 65537), "8200 bits"},
		"A07 RSA with 16384 bits":       {rsaSPKI(modulus(16384), 65537), "16384 bits"},
		"A07 RSA with 256 kbit":         {rsaSPKI(modulus(256<<10), 65537), "too large"},
		"A08 RSA with exponent 1":       {rsaSPKI(n, 1), "exponent"},
		"A08 RSA with exponent 2":       {rsaSPKI(n, 2), "exponent"},
		"A08 RSA with exponent 3":       {rsaSPKI(n, 3), "exponent"},
		"A08 RSA with an even exponent": {rsaSPKI(n, 65538), "exponent"},
		"A08 RSA with exponent 2^31+1":  {rsaSPKI(n, 1<<31+1), "exponent"},
		"A09 RSA with a small factor":   {rsaSPKI(withSmallFactor(), 65537), "small factor"},
		"A09 RSA with an even modulus":  {rsaSPKI(new(big.Int).Add(n, big.NewInt(1)), 65537), "small factor"},
		"A09 RSA with close primes":     {rsaSPKI(closePrimes(), 65537), "close together"},
		"A09 RSA with a square modulus": {rsaSPKI(squareOfPrime(), 65537), "close together"},
		"A09 RSA of a ROCA chip":        {rsaSPKI(rocaModulus(), 65537), "ROCA"},
		"A11 point not on its curve":    {ecSPKI(curveP256, offCurve), "not supported or not valid"},
		"A11 point at infinity":         {ecSPKI(curveP256, []byte{0}), "not supported or not valid"},
		"A11 compressed point":          {ecSPKI(curveP256, compressed), "not supported or not valid"},
		"A11 point of another curve":    {ecSPKI(curveP384, point), "not supported or not valid"},
		"A11 P-224":                     {must(x509.MarshalPKIXPublicKey(&must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).PublicKey)), "curve is not permitted"},
		"A11 P-224 with a P-256 point":  {ecSPKI(curveP224, point), "not supported or not valid"},
		"A11 secp256k1":                 {ecSPKI(secp256k1, point), "not supported or not valid"},
		"A11 explicit parameters":       {ecSPKI(asn1.RawValue{FullBytes: []byte{0x30, 0x03, 0x02, 0x01, 0x01}}, point), "not supported or not valid"},
		"Ed25519 identity":              {edSPKI("01" + strings.Repeat("00", 31)), "small order"},
		"Ed25519 order 8":               {edSPKI("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"), "small order"},
		"A22 DSA":                       {dsaSPKI(), "not permitted"},
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			h := newHandmade()
			h.spki = c.spki
			began := time.Now()
			_, err := pki.ParseCSR(h.der())
			wantError(t, err, models.KindInvalid, c.says)
			if took := time.Since(began); took > slow {
				t.Errorf("the refusal took %s", took)
			}
		})
	}
}

// TestParseCSRRefusesSignatures is A12, A13 and A14.
func TestParseCSRRefusesSignatures(t *testing.T) {
	algorithm := func(oid asn1.ObjectIdentifier, parameters asn1.RawValue) []byte {
		return must(asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: parameters}))
	}
	signature := func(r, s *big.Int) []byte { return must(asn1.Marshal(struct{ R, S *big.Int }{r, s})) }
	order := elliptic.P256().Params().N
	refused := map[string]struct {
		spoil func(*handmade)
		says  string
	}{
		"A12 r and s are zero": {func(h *handmade) { h.signature = signature(new(big.Int), new(big.Int)) }, "not made by its key"},
		"A12 r is the order":   {func(h *handmade) { h.signature = signature(order, big.NewInt(1)) }, "not made by its key"},
		"A12 s is negative":    {func(h *handmade) { h.signature = signature(big.NewInt(1), big.NewInt(-1)) }, "not made by its key"},
		"A13 SHA-1": {func(h *handmade) {
			h.algorithm = algorithm(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, asn1.RawValue{})
		}, "weak"},
		"A13 MD5 with RSA": {func(h *handmade) {
			h.algorithm = algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, asn1.NullRawValue)
		}, "weak"},
		"A13 RSA over an EC key": {func(h *handmade) {
			h.algorithm = algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, asn1.NullRawValue)
		}, "not one of its key"},
		"A13 PSS with odd parameters": {func(h *handmade) {
			h.algorithm = algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, asn1.NullRawValue)
		}, "unknown"},
		"A13 an unknown algorithm":  {func(h *handmade) { h.algorithm = algorithm(asn1.ObjectIdentifier{1, 2, 3}, asn1.RawValue{}) }, "unknown"},
		"A14 signed by another key": {func(h *handmade) { h.key = newKey(models.ECP256) }, "not made by its key"},
		"A14 signature of other content": {func(h *handmade) {
			o := *h
			o.subject = commonName("other")
			d := o.der()
			h.signature = lastSignature(d)
		}, "not made by its key"},
		"A14 no signature": {func(h *handmade) { h.signature = []byte{} }, "not made by its key"},
		"version 2":        {func(h *handmade) { h.version = 1 }, "version 1"},
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			h := newHandmade()
			c.spoil(&h)
			_, err := pki.ParseCSR(h.der())
			wantError(t, err, models.KindInvalid, c.says)
		})
	}
}

func lastSignature(request []byte) []byte {
	return must(x509.ParseCertificateRequest(request)).Signature
}

// TestParseCSRRefusesNames is A16, A17, A18, A19 and A20.
func TestParseCSRRefusesNames(t *testing.T) {
	names := func(names ...asn1.RawValue) func(*handmade) {
		return func(h *handmade) { h.attributes = extensionRequest(sanExtension(names...)) }
	}
	dns := func(name string) func(*handmade) { return names(dnsName(name)) }
	cn := func(value string) func(*handmade) { return func(h *handmade) { h.subject = commonName(value) } }
	sub := func(oid asn1.ObjectIdentifier, tag int, values ...string) func(*handmade) {
		return func(h *handmade) { h.subject = subject(oid, tag, values...) }
	}
	attributes := func(attributes ...[]byte) func(*handmade) {
		return func(h *handmade) { h.attributes = bytes.Join(attributes, nil) }
	}
	var hundredOne []asn1.RawValue
	for i := range 101 {
		hundredOne = append(hundredOne, dnsName(fmt.Sprintf("h%d.example", i)))
	}
	password := must(asn1.MarshalWithParams("secret", "utf8"))
	san := sanExtension(dnsName("a.example"))
	refused := map[string]struct {
		spoil func(*handmade)
		says  string
	}{
		"A16 otherName":                      {names(asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{6, 1, 42}}), "otherName"},
		"A16 directoryName":                  {names(asn1.RawValue{Class: 2, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}}), "directoryName"},
		"A16 registeredID":                   {names(generalName(8, "\x2a\x03")), "registeredID"},
		"A16 no alternative names at all":    {names(), "empty"},
		"A17 101 alternative names":          {names(hundredOne...), "more than 100"},
		"A17 common name of 65 characters":   {cn(strings.Repeat("ä", 65)), "at most 64"},
		"A17 common name of 60 KiB":          {cn(strings.Repeat("a", 60<<10)), "at most 64"},
		"A17 200 RDNs":                       {sub(asn1.ObjectIdentifier{2, 5, 4, 11}, asn1.TagUTF8String, strings.Split(strings.Repeat("x ", 199)+"x", " ")...), "more than 30"},
		"A17 serialNumber of 65 characters":  {sub(asn1.ObjectIdentifier{2, 5, 4, 5}, asn1.TagPrintableString, strings.Repeat("1", 65)), "at most 64"},
		"A17 country of three letters":       {sub(asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.TagPrintableString, "DEU"), "at most 2"},
		"A17 country in small letters":       {sub(asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.TagPrintableString, "de"), "capitals"},
		"A17 two common names":               {sub(oidCN, asn1.TagUTF8String, "a", "b"), "more than one"},
		"A18 NUL":                            {cn("press\x00.evil"), "control"},
		"A18 newline":                        {cn("press\n01"), "control"},
		"A18 right-to-left override":         {cn("press\u202e10"), "direction"},
		"A18 zero-width space":               {cn("press\u200b01"), "invisible"},
		"A18 no-break space":                 {cn("press\u00a001"), "invisible"},
		"A18 replacement character":          {cn("press\ufffd"), "control"},
		"A18 leading space":                  {cn(" press"), "begins or ends"},
		"A18 trailing space":                 {cn("press "), "begins or ends"},
		"A18 decomposed umlaut":              {cn("pru\u0308fer"), "normalization"},
		"A18 empty value":                    {cn(""), "empty"},
		"A18 invalid UTF-8":                  {cn("\xff\xfe"), "UTF-8"},
		"A18 TeletexString":                  {sub(oidCN, asn1.TagT61String, "press"), "UTF8String"},
		"A18 NUL in a BMPString":             {sub(oidCN, asn1.TagBMPString, "\x00p\x00\x00"), "control"},
		"A18 surrogate in a BMPString":       {sub(oidCN, asn1.TagBMPString, "\xd8\x00"), "BMPString"},
		"A18 umlaut in a PrintableString":    {sub(oidCN, asn1.TagPrintableString, "pr\xfcfer"), "PrintableString"},
		"A18 NUL in a DNS name":              {dns("a.example\x00.evil"), "not a letter"},
		"A18 space in a DNS name":            {dns(" a.example"), "not a letter"},
		"A18 newline in a URI":               {names(generalName(6, "urn:a\nb")), "percent-encoded"},
		"A19 wildcard in the middle":         {dns("a.*.example"), "wildcards"},
		"A19 lone wildcard":                  {dns("*"), "wildcards"},
		"A19 leading wildcard":               {dns("*.plant.example"), "wildcards"},
		"A19 trailing dot":                   {dns("a.example."), "trailing dot"},
		"A19 empty label":                    {dns("a..example"), "empty"},
		"A19 empty DNS name":                 {dns(""), "1 to 253"},
		"A19 label of 64 letters":            {dns(strings.Repeat("a", 64) + ".example"), "too long"},
		"A19 underscore":                     {dns("press_01"), "not a letter"},
		"A19 hyphen at the end":              {dns("press-.example"), "hyphen"},
		"A19 address as a DNS name":          {dns("10.0.0.7"), "IP address"},
		"A19 umlaut in a DNS name":           {dns("m\u00fcller.example"), "A-labels"},
		"A19 invalid punycode":               {dns("xn--zzzzzzzz99999999.example"), "internationalized"},
		"A19 A-label that is ASCII":          {dns("xn--example-.com"), "hyphen"},
		"A19 A-label of a plain label":       {dns("xn--example-9.com"), "internationalized"},
		"A19 A-label with hidden characters": {dns("xn--a-ecp.ru"), "internationalized"},
		"A19 IPv4 inside IPv6":               {names(generalName(7, string(net.ParseIP("10.0.0.7").To16()))), "inside IPv6"},
		"A19 address of five octets":         {names(generalName(7, "12345")), "neither"},
		"A19 unspecified address":            {names(generalName(7, "\x00\x00\x00\x00")), "no single device"},
		"A19 IPv6 zone in a URI":             {names(generalName(6, "https://[fe80::1%25eth0]/")), "zone"},
		"A19 relative URI":                   {names(generalName(6, "press-01")), "not absolute"},
		"A19 URI with a wildcard host":       {names(generalName(6, "https://*.example/")), "host of the URI"},
		"A19 e-mail address without domain":  {names(generalName(1, "operator")), "name@domain"},
		"A19 e-mail address with a space":    {names(generalName(1, "a b@example.org")), "before the @"},
		"A20 the same extension twice":       {func(h *handmade) { h.attributes = extensionRequest(san, san) }, "twice"},
		"A20 the same DNS name twice":        {names(dnsName("a.example"), dnsName("A.example")), "twice"},
		"A20 two extension requests":         {attributes(extensionRequest(san), extensionRequest(san)), "twice"},
		"A20 two values in one":              {attributes(attribute(oidExtensionRequest, must(asn1.Marshal([]pkix.Extension{san})), must(asn1.Marshal([]pkix.Extension{san})))), "exactly one value"},
		"A20 two challenge passwords":        {attributes(attribute(oidChallengePassword, password), attribute(oidChallengePassword, password)), "twice"},
		"A20 an attribute without a value":   {attributes(attribute(oidChallengePassword)), "exactly one value"},
		"A05 trailing bytes in an extension": {func(h *handmade) {
			s := san
			s.Value = append(bytes.Clone(s.Value), 5, 0)
			h.attributes = extensionRequest(s)
		}, "not in DER"},
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			h := newHandmade()
			c.spoil(&h)
			_, err := pki.ParseCSR(h.der())
			wantError(t, err, models.KindInvalid, c.says)
		})
	}
}

func TestParseCSRAcceptsOrdinaryNames(t *testing.T) {
	accepted := map[string]func(*handmade){
		"no subject":    func(h *handmade) { h.subject = []byte{0x30, 0} },
		"no attributes": func(*handmade) {},
		"a challenge password": func(h *handmade) {
			h.attributes = attribute(oidChallengePassword, must(asn1.MarshalWithParams("s", "utf8")))
		},
		"umlauts":     func(h *handmade) { h.subject = commonName("Prüfstand 7") },
		"a BMPString": func(h *handmade) { h.subject = subject(oidCN, asn1.TagBMPString, "\x00P\x00r\x00\xfc") },
		"a requested CA": func(h *handmade) {
			h.attributes = extensionRequest(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}})
		},
		"an A-label": func(h *handmade) { h.attributes = extensionRequest(sanExtension(dnsName("xn--mller-kva.example"))) },
		"every kind of SAN": func(h *handmade) {
			h.attributes = extensionRequest(sanExtension(dnsName("press-01"), generalName(1, "a@example.org"), generalName(6, "urn:press-01:UA:app"), generalName(6, "opc.tcp://press-01:4840/x"), generalName(7, "\x0a\x00\x00\x07")))
		},
		"a hundred names": func(h *handmade) {
			var names []asn1.RawValue
			for i := range 100 {
				names = append(names, dnsName(fmt.Sprintf("h%d.example", i)))
			}
			h.attributes = extensionRequest(sanExtension(names...))
		},
	}
	for name, shape := range accepted {
		t.Run(name, func(t *testing.T) {
			h := newHandmade()
			shape(&h)
			if _, err := pki.ParseCSR(h.der()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestParseCSRSurvivesGarbage is A01, A03, A04, A05 and A06.
func TestParseCSRSurvivesGarbage(t *testing.T) {
	honest := honestCSR(t, newKey(models.ECP256))
	for n := range honest {
		if _, err := pki.ParseCSR(honest[:n]); models.KindOf(err) != models.KindInvalid {
			t.Fatalf("truncated at %d: %v", n, err)
		}
	}
	random := make([]byte, 4096)
	rand.Read(random)
	refused := map[string]struct {
		body []byte
		says string
	}{
		"A01 one byte":             {[]byte{0x30}, "cut off"},
		"A01 random bytes":         {append([]byte{0}, random...), "not a PKCS #10"},
		"A02 more than 64 KiB":     {make([]byte, pki.MaxCSR+1), "larger"},
		"A03 indefinite lengths":   {bytes.Repeat([]byte{0x30, 0x80}, 30000), "indefinite"},
		"A03 33 levels":            {nested(33), "deeper"},
		"A04 tiny elements":        {wrapped(bytes.Repeat([]byte{5, 0}, 30000)), "too many elements"},
		"A05 length not minimal":   {append([]byte{0x30, 0x83, 0, 0, 1}, 5), "shortest"},
		"A05 trailing bytes":       {append(bytes.Clone(honest), 0), "after the end"},
		"A05 integer not minimal":  {wrapped([]byte{2, 2, 0, 1}), "shortest"},
		"A05 negative not minimal": {wrapped([]byte{2, 2, 0xff, 0x80}), "shortest"},
		"A05 boolean 01":           {wrapped([]byte{1, 1, 1}), "boolean"},
		"A05 constructed string":   {wrapped([]byte{0x24, 3, 4, 1, 0}), "BER"},
		"A05 unused bits set":      {wrapped([]byte{3, 2, 1, 1}), "unused bits"},
		"A06 arc of 20 octets":     {wrapped(append([]byte{6, 21, 42}, append(bytes.Repeat([]byte{0x81}, 19), 1)...)), "too large"},
		"A06 identifier of 60 KiB": {wrapped(append([]byte{6, 0x82, 0xea, 0x60}, bytes.Repeat([]byte{0x81}, 60000)...)), "object identifier"},
		"A06 padded arc":           {wrapped([]byte{6, 3, 42, 0x80, 1}), "shortest"},
		"a certificate":            {newRoot(t, models.ECP256).cert.Raw, "version 1"},
		"a private key":            {must(x509.MarshalPKCS8PrivateKey(newKey(models.ECP256))), "version 1"},
	}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := pki.ParseCSR(c.body)
			wantError(t, err, models.KindInvalid, c.says)
			if took := time.Since(began); took > slow {
				t.Errorf("the refusal took %s", took)
			}
		})
	}
}

func wrapped(body []byte) []byte {
	return must(asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body}))
}

func nested(levels int) []byte {
	data := []byte{5, 0}
	for range levels - 1 {
		data = wrapped(data)
	}
	return data
}
