// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// forget removes the octets that a message remembers, so that Marshal encodes
// its fields.
func (m *Message) forget() {
	m.whole, m.header, m.body = nil, nil, nil
	for i := range m.Body.Requests {
		r := &m.Body.Requests[i]
		r.Request.Raw = nil
		forgetTemplate(&r.Request.Template)
		if r.POPO != nil && r.POPO.Signature != nil && r.POPO.Signature.Input != nil {
			r.POPO.Signature.Input.Raw = nil
		}
	}
	for i := range m.Body.RevReqs {
		forgetTemplate(&m.Body.RevReqs[i].Template)
	}
	for _, inner := range m.Body.Nested {
		inner.forget()
	}
}

// forgetTemplate keeps the octets of a template whose times are in the other
// form than ours would be.
func forgetTemplate(t *Template) {
	raw := t.Raw
	t.Raw = nil
	if again, err := t.Marshal(); err != nil || !bytes.Equal(again, raw) && !(t.NotBefore.IsZero() && t.NotAfter.IsZero()) {
		t.Raw = raw
	}
}

// files returns the contents of the vectors below testdata.
func files(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	all := map[string][]byte{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".der")] = content
	}
	return all
}

func TestMessagesOfOpenSSLStayTheSame(t *testing.T) {
	for name, der := range files(t, "openssl/*.der") {
		t.Run(name, func(t *testing.T) {
			m, err := ParseMessage(der)
			if err != nil {
				t.Fatal(err)
			}
			part, err := m.ProtectedPart()
			if err != nil {
				t.Fatal(err)
			}
			m.forget()
			again, err := m.Marshal()
			if err != nil || !bytes.Equal(again, der) {
				t.Errorf("it is another message when it is encoded from its fields (%v):\n%x\n%x", err, der, again)
			}
			if other, err := m.ProtectedPart(); err != nil || !bytes.Equal(other, part) {
				t.Errorf("its protected part is another: %v", err)
			}
		})
	}
}

func TestEveryBodyComesBack(t *testing.T) {
	seq := []byte{0x30, 0}
	alg := Algorithm{OID: []int{1, 2, 3, 4}, Parameters: []byte{5, 0}}
	spki, _ := encoded(func(b *builder) {
		addSequence(b, func(b *builder) { alg.encode(b); b.AddASN1BitString([]byte{1, 2}) })
	})
	template := Template{Version: 3, Serial: []byte{1}, SigningAlg: &alg, Issuer: seq, Subject: seq, PublicKey: spki,
		NotBefore: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2126, 11, 21, 0, 0, 0, 0, time.UTC),
		IssuerUID: []byte{0, 1}, SubjectUID: []byte{0, 2}, Extensions: seq}
	request := func(popo *POPO) CertReqMsg {
		return CertReqMsg{Request: CertRequest{ID: 0, Template: template, Controls: []Attribute{{OIDOldCertID, seq}}}, POPO: popo, RegInfo: []Attribute{{OIDUTF8Pairs, seq}}}
	}
	mac := &PKMAC{alg, []byte{7}}
	proofs := []*POPO{nil, {Method: POPORAVerified}, {Method: POPOSignature, Signature: &SigningKeyProof{Algorithm: alg, Signature: []byte{1}}},
		{Method: POPOSignature, Signature: &SigningKeyProof{Input: &SigningKeyInput{Sender: NullDN, PublicKey: spki}, Algorithm: alg, Signature: []byte{1}}},
		{Method: POPOSignature, Signature: &SigningKeyProof{Input: &SigningKeyInput{MAC: mac, PublicKey: spki}, Algorithm: alg, Signature: []byte{1}}},
		{Method: POPOKeyEncipherment, PrivateKey: &PrivateKeyProof{Bits: []byte{1}}},
		{Method: POPOKeyEncipherment, PrivateKey: &PrivateKeyProof{Method: PrivateKeySubsequent, Subsequent: SubsequentChallenge}},
		{Method: POPOKeyAgreement, PrivateKey: &PrivateKeyProof{Method: PrivateKeyDHMAC, Bits: []byte{1}}},
		{Method: POPOKeyAgreement, PrivateKey: &PrivateKeyProof{Method: PrivateKeyAgreeMAC, AgreeMAC: mac}},
		{Method: POPOKeyEncipherment, PrivateKey: &PrivateKeyProof{Method: PrivateKeyEncryptedKey, EncryptedKey: seq}}}
	var requests []CertReqMsg
	for _, p := range proofs {
		requests = append(requests, request(p))
	}
	status := StatusInfo{Status: StatusRejection, Text: []string{"no", "nein"}, Fail: FailBadAlg | FailDuplicateCertReq}
	replies := &CertReplies{CAPubs: [][]byte{seq}, Responses: []CertResponse{
		{ID: -1, Status: status}, {Status: StatusInfo{}, RspInfo: []byte{}, KeyPair: &CertifiedKeyPair{Certificate: seq, PrivateKey: &EncryptedKey{EnvelopedData: seq}, PublicationInfo: seq}},
		{Status: StatusInfo{Status: StatusGrantedWithMods}, KeyPair: &CertifiedKeyPair{EncryptedCert: &EncryptedKey{EncryptedValue: seq}}},
	}}
	bodies := []Body{
		{Type: BodyP10CR, CSR: seq}, {Type: BodyPKIConf}, {Type: BodyRR, RevReqs: []RevDetails{{Template: template, Extensions: seq}, {Template: Template{}}}},
		{Type: BodyRP, RevReps: &RevReplies{Status: []StatusInfo{status}, RevCerts: []CertID{{seq, []byte{0, 0x80}}}, CRLs: [][]byte{seq}}},
		{Type: BodyGenM}, {Type: BodyGenP, Infos: []Attribute{{OIDCACerts, nil}, {OIDCACerts, seq}}},
		{Type: BodyError, Error: &ErrorContent{Status: status, HasCode: true, Code: -70000, Details: []string{""}}},
		{Type: BodyCertConf}, {Type: BodyCertConf, Confirms: []CertStatus{{CertHash: []byte{1}, ID: 0, Status: &status, HashAlg: &alg}, {CertHash: []byte{}}}},
		{Type: BodyPollReq, PollReqs: []int{0, -1}}, {Type: BodyPollRep, PollReps: []PollReply{{ID: 0, CheckAfter: 1 << 30, Reason: []string{"people sleep"}}, {}}},
	}
	for _, kind := range BodyTypes() {
		switch kind {
		case BodyIR, BodyCR, BodyKUR, BodyKRR, BodyCCR:
			bodies = append(bodies, Body{Type: kind, Requests: requests})
		case BodyIP, BodyCP, BodyKUP, BodyCCP:
			bodies = append(bodies, Body{Type: kind, Replies: replies})
		case BodyPOPDecC, BodyPOPDecR, BodyKRP, BodyCKUAnn, BodyCAnn, BodyRAnn, BodyCRLAnn:
			bodies = append(bodies, Body{Type: kind, Raw: seq})
		}
	}
	inner := &Message{Header: Header{Version: Version2, Sender: NullDN, Recipient: NullDN}, Body: Body{Type: BodyPKIConf}}
	bodies = append(bodies, Body{Type: BodyNested, Nested: []*Message{inner, inner}})
	header := Header{Version: Version3, Sender: NullDN, Recipient: GeneralName{0x82, 1, 'x'}, MessageTime: time.Date(2026, 11, 21, 19, 0, 0, 5e8, time.UTC),
		ProtectionAlg: &alg, SenderKID: []byte("press-01"), RecipKID: []byte{}, TransactionID: []byte{1}, SenderNonce: []byte{2}, RecipNonce: []byte{3},
		FreeText: []string{"grüezi"}, GeneralInfo: []Attribute{{OIDImplicitConfirm, []byte{5, 0}}}}
	for _, body := range bodies {
		t.Run(body.Type.String(), func(t *testing.T) {
			want := &Message{Header: header, Body: body, Protection: []byte{9}, ExtraCerts: [][]byte{seq, seq}}
			der, err := want.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseMessage(der)
			if err != nil {
				t.Fatal(err)
			}
			got.forget()
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Message{}), cmpopts.IgnoreFields(Template{}, "Raw")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
