// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"

	"github.com/trustloom/trustloom/models"
)

// pbmParameters are those of PasswordBasedMac, to be made wrong.
type pbmParameters struct {
	Salt       []byte
	OWF        pkix.AlgorithmIdentifier
	Iterations *big.Int
	MAC        pkix.AlgorithmIdentifier
}

type kdfParameters struct {
	Salt       []byte
	Iterations *big.Int
	KeyLength  int `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier
}

var (
	oidMD5     = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	oidSHA1    = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidHMACMD5 = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 8, 1, 1}
	oidScrypt  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

func badMACs() map[string]bad {
	ir := func() *Message { return request(certRequest(BodyIR, newECKey(), "press-01")) }
	under := func(a Algorithm) func(b *bench) *Message {
		return func(b *bench) *Message {
			m := b.mac.protect(ir())
			m.Header.ProtectionAlg = &a
			return m
		}
	}
	pbm := func(change func(*pbmParameters)) func(b *bench) *Message {
		p := pbmParameters{random(16), pkix.AlgorithmIdentifier{Algorithm: oidSHA256}, big.NewInt(500), pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA256}}
		change(&p)
		return under(Algorithm{OID: oidPasswordBasedMAC, Parameters: sure(asn1.Marshal(p))})
	}
	pbmac1 := func(kdf asn1.ObjectIdentifier, mac asn1.ObjectIdentifier, change func(*kdfParameters)) func(b *bench) *Message {
		p := kdfParameters{random(16), big.NewInt(1000), 32, pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA256}}
		change(&p)
		type derivation struct {
			OID        asn1.ObjectIdentifier
			Parameters kdfParameters
		}
		return under(Algorithm{OID: oidPBMAC1, Parameters: sure(asn1.Marshal(struct {
			KDF derivation
			MAC pkix.AlgorithmIdentifier
		}{derivation{kdf, p}, pkix.AlgorithmIdentifier{Algorithm: mac}}))})
	}
	same := func(*kdfParameters) {}
	kid := func(value []byte) func(b *bench) *Message {
		return func(b *bench) *Message {
			m := b.mac.protect(ir())
			m.Header.SenderKID = value
			return m
		}
	}
	huge := new(big.Int).Lsh(big.NewInt(1), 2000)
	table := map[string]bad{
		"PBM with 2^31 iterations":         {message: pbm(func(p *pbmParameters) { p.Iterations.Lsh(big.NewInt(1), 31) })},
		"PBM with 2^2000 iterations":       {message: pbm(func(p *pbmParameters) { p.Iterations = huge })},
		"PBM with 100,001 iterations":      {message: pbm(func(p *pbmParameters) { p.Iterations.SetInt64(100_001) })},
		"PBM with no iteration":            {message: pbm(func(p *pbmParameters) { p.Iterations.SetInt64(0) })},
		"PBM with one iteration":           {message: pbm(func(p *pbmParameters) { p.Iterations.SetInt64(1) })},
		"PBM with -500 iterations":         {message: pbm(func(p *pbmParameters) { p.Iterations.SetInt64(-500) })},
		"PBM without salt":                 {message: pbm(func(p *pbmParameters) { p.Salt = nil })},
		"PBM with 6 octets of salt":        {message: pbm(func(p *pbmParameters) { p.Salt = random(6) })},
		"PBM with 100 KiB of salt":         {message: pbm(func(p *pbmParameters) { p.Salt = random(100 << 10) })},
		"PBM with MD5":                     {message: pbm(func(p *pbmParameters) { p.OWF.Algorithm = oidMD5 })},
		"PBM with SHA-1":                   {message: pbm(func(p *pbmParameters) { p.OWF.Algorithm = oidSHA1 })},
		"PBM with HMAC-MD5":                {message: pbm(func(p *pbmParameters) { p.MAC.Algorithm = oidHMACMD5 })},
		"PBM with parameters of the MAC":   {message: pbm(func(p *pbmParameters) { p.MAC.Parameters = asn1.RawValue{FullBytes: []byte{2, 1, 1}} })},
		"PBMAC1 with 2^31 iterations":      {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) { p.Iterations.Lsh(big.NewInt(1), 31) })},
		"PBMAC1 with 1,000,001 iterations": {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) { p.Iterations.SetInt64(1_000_001) })},
		"PBMAC1 with 500,001 iterations for each of two blocks": {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) {
			p.KeyLength, p.Iterations = 64, big.NewInt(500_001)
		})},
		"PBMAC1 with one iteration":      {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) { p.Iterations.SetInt64(1) })},
		"PBMAC1 without keyLength":       {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) { p.KeyLength = 0 })},
		"PBMAC1 with a key of 1 GiB":     {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) { p.KeyLength = 1 << 30 })},
		"PBMAC1 with a key of one octet": {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) { p.KeyLength = 1 })},
		"PBMAC1 with 6 octets of salt":   {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) { p.Salt = random(6) })},
		"PBMAC1 with another PRF":        {message: pbmac1(oidPBKDF2, oidHMACWithSHA256, func(p *kdfParameters) { p.PRF.Algorithm = oidHMACMD5 })},
		"PBMAC1 with scrypt":             {message: pbmac1(oidScrypt, oidHMACWithSHA256, same)},
		"PBMAC1 with HMAC-MD5":           {message: pbmac1(oidPBKDF2, oidHMACMD5, same)},
		"DHBasedMac":                     {message: under(Algorithm{OID: asn1.ObjectIdentifier{1, 2, 840, 113533, 7, 66, 30}, Parameters: derNull})},
		"HMAC alone":                     {message: under(Algorithm{OID: oidHMACWithSHA256, Parameters: derNull})},
	}
	for name, c := range table {
		c.want = FailBadAlg
		table[name] = c
	}
	table["PBM without parameters"] = bad{message: under(Algorithm{OID: oidPasswordBasedMAC}), want: FailBadDataFormat}
	table["PBMAC1 with other parameters"] = bad{message: under(Algorithm{OID: oidPBMAC1, Parameters: derNull}), want: FailBadDataFormat}
	check := map[string]func(b *bench) *Message{
		"an unprotected ir":       func(*bench) *Message { return ir() },
		"an unprotected certConf": func(b *bench) *Message { return next(b.open, certConf(b.cert)) },
		"an unprotected pollReq":  func(b *bench) *Message { return next(b.waiting, Body{Type: BodyPollReq, PollReqs: []int{0}}) },
		"an unprotected rr":       func(b *bench) *Message { return request(revocation(b.device.id.cert)) },
		"an unprotected error": func(b *bench) *Message {
			return next(b.open, errorBody(Peer{}, models.Errorf(models.KindInvalid, "no")))
		},
		"an unprotected genm":         func(*bench) *Message { return request(Body{Type: BodyGenM}) },
		"a protectionAlg alone":       func(b *bench) *Message { m := b.mac.protect(ir()); m.Protection = nil; return m },
		"a protection alone":          func(b *bench) *Message { m := b.mac.protect(ir()); m.Header.ProtectionAlg = nil; return m },
		"an empty protection":         func(b *bench) *Message { m := b.mac.protect(ir()); m.Protection = []byte{}; return m },
		"half a MAC":                  func(b *bench) *Message { m := b.mac.protect(ir()); m.Protection = m.Protection[:16]; return m },
		"a wrong secret":              func(b *bench) *Message { return b.wrong.protect(ir()) },
		"a wrong secret for certConf": func(b *bench) *Message { return b.wrong.protect(next(b.open, certConf(b.cert))) },
		"an unknown reference":        func(b *bench) *Message { return b.nobody.protect(ir()) },
		"another body under a MAC": func(b *bench) *Message {
			m := b.mac.protect(ir())
			m.Body = certRequest(BodyIR, newECKey(), "press-01")
			return m
		},
		"another header under a MAC": func(b *bench) *Message { m := b.mac.protect(ir()); m.Header.TransactionID = random(16); return m },
		"no senderKID":               kid(nil),
		"an empty senderKID":         kid([]byte{}),
		"a senderKID with a NUL":     kid([]byte("press-01\x00")),
		"a senderKID of 1 KiB":       kid(bytes.Repeat([]byte("a"), 1024)),
		"a senderKID in Latin-1":     kid([]byte("pr\xe8ss")),
	}
	for name, message := range check {
		table[name] = bad{message: message, want: FailBadMessageCheck}
	}
	return table
}

func badSignatures() map[string]bad {
	cr := func() *Message { return request(certRequest(BodyCR, newECKey(), "press-01")) }
	changed := func(by func(b *bench) *party, change func(*bench, *Message)) func(b *bench) *Message {
		return func(b *bench) *Message {
			m := by(b).protect(cr())
			change(b, m)
			return m
		}
	}
	device := func(b *bench) *party { return b.device }
	from := func(by func(b *bench) *party) func(b *bench) *Message {
		return changed(by, func(*bench, *Message) {})
	}
	named := func(oid asn1.ObjectIdentifier, parameters []byte) func(b *bench) *Message {
		return changed(device, func(_ *bench, m *Message) { m.Header.ProtectionAlg = &Algorithm{OID: oid, Parameters: parameters} })
	}
	resigned := func(change func(*bench, *Message)) func(b *bench) *Message {
		return changed(device, func(b *bench, m *Message) {
			change(b, m)
			protectBy(m, sure(newSigning(b.device.id.key)))
		})
	}
	return map[string]bad{
		"no extraCerts": {message: changed(device, func(_ *bench, m *Message) { m.ExtraCerts = nil }), want: FailBadMessageCheck},
		"11 extraCerts": {message: changed(device, func(b *bench, m *Message) {
			for range 10 {
				m.ExtraCerts = append(m.ExtraCerts, b.root.cert.Raw)
			}
		}), want: FailBadMessageCheck},
		"no certificate in extraCerts":     {message: changed(device, func(_ *bench, m *Message) { m.ExtraCerts[0] = []byte{0x30, 0} }), want: FailSignerNotTrusted},
		"the issuer first in extraCerts":   {message: changed(device, func(b *bench, m *Message) { m.ExtraCerts = [][]byte{b.issuing.cert.Raw, m.ExtraCerts[0]} }), want: FailBadMessageCheck},
		"a changed signature":              {message: changed(device, func(_ *bench, m *Message) { m.Protection[len(m.Protection)-1] ^= 1 }), want: FailBadMessageCheck},
		"an empty signature":               {message: changed(device, func(_ *bench, m *Message) { m.Protection = []byte{} }), want: FailBadMessageCheck},
		"a signature of r and s zero":      {message: changed(device, func(_ *bench, m *Message) { m.Protection = []byte{0x30, 6, 2, 1, 0, 2, 1, 0} }), want: FailBadMessageCheck},
		"a changed body":                   {message: changed(device, func(_ *bench, m *Message) { m.Body = cr().Body }), want: FailBadMessageCheck},
		"a signature of another key":       {message: changed(device, func(b *bench, m *Message) { protectBy(m, sure(newSigning(b.device2.id.key))) }), want: FailBadMessageCheck},
		"another sender":                   {message: resigned(func(b *bench, m *Message) { m.Header.Sender = DirectoryName(b.device2.id.cert.RawSubject) }), want: FailBadMessageCheck},
		"a sender that is no DN":           {message: resigned(func(_ *bench, m *Message) { m.Header.Sender = GeneralName("\x82\x08press-01") }), want: FailBadMessageCheck},
		"another key's senderKID":          {message: resigned(func(b *bench, m *Message) { m.Header.SenderKID = b.device2.id.cert.SubjectKeyId }), want: FailBadMessageCheck},
		"a foreign CA":                     {message: from(func(b *bench) *party { return b.foreign }), want: FailSignerNotTrusted},
		"a foreign CA that came along":     {message: from(func(b *bench) *party { return &party{id: b.foreign.id, extra: []*x509.Certificate{b.other.cert}} }), want: FailSignerNotTrusted},
		"the CA's name on a foreign key":   {message: from(func(b *bench) *party { return &party{id: impostor(b)} }), want: FailSignerNotTrusted},
		"a revoked certificate":            {message: from(func(b *bench) *party { return b.revokedOne }), want: FailCertRevoked},
		"an expired certificate":           {message: from(func(b *bench) *party { return b.expired }), want: FailSignerNotTrusted},
		"a certificate of tomorrow":        {message: from(func(b *bench) *party { return b.notYet }), want: FailSignerNotTrusted},
		"a certificate not for signatures": {message: from(func(b *bench) *party { return b.encrypting }), want: FailSignerNotTrusted},
		"an RSA key of 1024 bits":          {message: from(func(b *bench) *party { return b.weak }), want: FailSignerNotTrusted},
		"a signer of another domain":       {path: "//.well-known/cmp/p/paint-shop", message: from(device), want: FailWrongAuthority},
		"ECDSA with SHA-1":                 {message: named(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}, nil), want: FailBadAlg},
		"RSA with SHA-1":                   {message: named(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, derNull), want: FailBadAlg},
		"RSA with MD5":                     {message: named(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}, derNull), want: FailBadAlg},
		"an algorithm of another key":      {message: named(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, derNull), want: FailBadMessageCheck},
		"parameters of ECDSA":              {message: named(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, derNull), want: FailBadAlg},
		"PSS without parameters":           {message: named(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, nil), want: FailBadAlg},
		"PSS with default parameters":      {message: named(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}, []byte{0x30, 0}), want: FailBadAlg},
	}
}

// impostor is a certificate that says it is of the issuing CA.
func impostor(b *bench) *identity {
	fake := &identity{key: newECKey()}
	fake.cert = fake.issue(&x509.Certificate{Subject: b.issuing.cert.Subject, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, fake.key.Public())
	return fake.member("press-01")
}
