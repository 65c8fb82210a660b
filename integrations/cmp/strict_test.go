// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/models"
)

// tlv encodes an element of fewer than 64 KiB.
func tlv(tag byte, contents ...[]byte) []byte {
	content := slices.Concat(contents...)
	switch n := len(content); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, content...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
	}
}

func seq(contents ...[]byte) []byte { return tlv(0x30, contents...) }

var (
	someName   = tlv(0xa4, seq())
	someHeader = seq(tlv(2, []byte{2}), someName, someName)
	confirmed  = tlv(0xb3, tlv(5))
	noTemplate = seq()
	someSPKI   = seq(seq(tlv(6, []byte{42, 3})), tlv(3, []byte{0}))
	id         = tlv(2, []byte{0})
)

// headed returns a message with more in its header.
func headed(more ...[]byte) []byte {
	return seq(seq(tlv(2, []byte{2}), someName, someName, slices.Concat(more...)), confirmed)
}

// bodied returns a message with a body.
func bodied(kind BodyType, content ...[]byte) []byte {
	return seq(someHeader, tlv(0xa0|byte(kind), content...))
}

// requested returns a cr with one request.
func requested(request ...[]byte) []byte { return bodied(BodyCR, seq(seq(request...))) }

// templated returns a cr with one template.
func templated(fields ...[]byte) []byte { return requested(seq(id, seq(fields...))) }

func repeated(n int, element []byte) []byte { return bytes.Repeat(element, n) }

func info(n byte, value ...[]byte) []byte {
	return seq(tlv(6, []byte{0x2b, 6, 1, 5, 5, 7, 4, n}), slices.Concat(value...))
}

func nest(times int) []byte {
	m := headed()
	for range times {
		m = bodied(BodyNested, seq(m))
	}
	return m
}

func TestWhatIsAccepted(t *testing.T) {
	for name, der := range map[string][]byte{
		"the least message":            headed(),
		"a fraction of a second":       headed(tlv(0xa0, tlv(0x18, []byte("20261121190000.5Z")))),
		"an empty transactionID":       headed(tlv(0xa4, tlv(4))),
		"an empty template":            templated(),
		"a key that is to be made":     templated(tlv(0xa6, someSPKI[2:])),
		"a serial number of 20 octets": templated(append([]byte{0x81, 20}, repeated(20, []byte{0x7f})...)),
		"a serial number of 160 bits":  templated(append([]byte{0x81, 21, 0}, repeated(20, []byte{0xff})...)),
		"messages in messages":         nest(maxNested),
		"nobody's certificate":         bodied(BodyCertConf, seq()),
		"128 infos":                    bodied(BodyGenM, tlv(0x30, repeated(maxItems, info(17)))),
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ParseMessage(der)
			if err != nil {
				t.Fatal(err)
			}
			m.forget()
			if again, err := m.Marshal(); err != nil || !bytes.Equal(again, der) {
				t.Errorf("%x, %v", again, err)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	good := headed()
	status := func(more ...[]byte) []byte {
		return bodied(BodyError, seq(seq(tlv(2, []byte{2}), slices.Concat(more...))))
	}
	for name, c := range map[string]struct {
		der  []byte
		fail FailInfo
	}{
		"nothing":                                 {nil, 0},
		"too large":                               {make([]byte, MaxMessage+1), 0},
		"an octet too many":                       {append(bytes.Clone(good), 0), 0},
		"an octet missing":                        {good[:len(good)-1], 0},
		"an indefinite length":                    {slices.Concat([]byte{0x30, 0x80}, good[2:], []byte{0, 0}), 0},
		"a long form of a short length":           {slices.Concat([]byte{0x30, 0x81}, good[1:]), 0},
		"something after the extra certificates":  {seq(someHeader, confirmed, tlv(0xa1, seq(seq())), tlv(5)), 0},
		"an empty list of extra certificates":     {seq(someHeader, confirmed, tlv(0xa1, seq())), 0},
		"129 extra certificates":                  {seq(someHeader, confirmed, tlv(0xa1, seq(repeated(maxItems+1, seq())))), 0},
		"a protection of seven bits":              {seq(someHeader, confirmed, tlv(0xa0, tlv(3, []byte{1, 2}))), 0},
		"protection behind the extra certs":       {seq(someHeader, confirmed, tlv(0xa1, seq(seq())), tlv(0xa0, tlv(3, []byte{0, 2}))), 0},
		"no body":                                 {seq(someHeader), 0},
		"two bodies":                              {seq(someHeader, confirmed, confirmed), 0},
		"an unknown body":                         {bodied(maxBodyType+1, tlv(5)), 0},
		"two contents in a body":                  {bodied(BodyPKIConf, tlv(5), tlv(5)), 0},
		"pvno 1":                                  {seq(seq(tlv(2, []byte{1}), someName, someName), confirmed), FailUnsupportedVersion},
		"pvno 4":                                  {seq(seq(tlv(2, []byte{4}), someName, someName), confirmed), FailUnsupportedVersion},
		"pvno of eight octets":                    {seq(seq(tlv(2, repeated(8, []byte{2})), someName, someName), confirmed), 0},
		"no sender":                               {seq(seq(tlv(2, []byte{2}), someName), confirmed), 0},
		"a sender that is no name":                {seq(seq(tlv(2, []byte{2}), tlv(0xa4, tlv(5)), someName), confirmed), 0},
		"fields of the header in another order":   {headed(tlv(0xa5, tlv(4)), tlv(0xa4, tlv(4))), 0},
		"a field of the header twice":             {headed(tlv(0xa4, tlv(4)), tlv(0xa4, tlv(4))), 0},
		"an unknown field of the header":          {headed(tlv(0xa9, tlv(4))), 0},
		"a time of a zone":                        {headed(tlv(0xa0, tlv(0x18, []byte("20261121190000+0100")))), 0},
		"a time without seconds":                  {headed(tlv(0xa0, tlv(0x18, []byte("202611211900Z")))), 0},
		"a fraction that ends in zero":            {headed(tlv(0xa0, tlv(0x18, []byte("20261121190000.50Z")))), 0},
		"the thirtieth of February":               {headed(tlv(0xa0, tlv(0x18, []byte("20260230190000Z")))), 0},
		"a free text that is not UTF-8":           {headed(tlv(0xa7, seq(tlv(12, []byte{0xff})))), 0},
		"a free text without text":                {headed(tlv(0xa7, seq())), 0},
		"a free text of 17 texts":                 {headed(tlv(0xa7, seq(repeated(maxTexts+1, tlv(12))))), 0},
		"a free text that is long":                {headed(tlv(0xa7, seq(tlv(12, repeated(maxText+1, []byte("a")))))), 0},
		"implicitConfirm with a value":            {headed(tlv(0xa8, seq(info(13, tlv(2, []byte{1}))))), 0},
		"implicitConfirm without NULL":            {headed(tlv(0xa8, seq(info(13)))), 0},
		"confirmWaitTime that is a number":        {headed(tlv(0xa8, seq(info(14, tlv(2, []byte{1}))))), 0},
		"certProfile that is a number":            {headed(tlv(0xa8, seq(info(21, tlv(2, []byte{1}))))), 0},
		"an empty generalInfo":                    {headed(tlv(0xa8, seq())), 0},
		"no request":                              {bodied(BodyCR, seq()), 0},
		"129 requests":                            {bodied(BodyCR, seq(repeated(maxItems+1, seq(seq(id, noTemplate))))), 0},
		"certReqId -2":                            {requested(seq(tlv(2, []byte{0xfe}), noTemplate)), 0},
		"certReqId of five octets":                {requested(seq(tlv(2, []byte{1, 1, 1, 1, 1}), noTemplate)), 0},
		"a template of version 4":                 {templated(tlv(0x80, []byte{3})), 0},
		"a negative version":                      {templated(tlv(0x80, []byte{0xff})), 0},
		"a version in two octets":                 {templated(tlv(0x80, []byte{0, 2})), 0},
		"a negative serial number":                {templated(tlv(0x81, []byte{0x80})), 0},
		"a serial number of 40 octets":            {templated(tlv(0x81, repeated(40, []byte{1}))), 0},
		"a serial number with a zero too many":    {templated(tlv(0x81, []byte{0, 1})), 0},
		"an empty serial number":                  {templated(tlv(0x81)), 0},
		"a validity without times":                {templated(tlv(0xa4)), 0},
		"a UTCTime without seconds":               {templated(tlv(0xa4, tlv(0xa0, tlv(0x17, []byte("2611211900Z"))))), 0},
		"a key that is none":                      {templated(tlv(0xa6, tlv(5))), 0},
		"a key with something behind":             {templated(tlv(0xa6, someSPKI[2:], tlv(5))), 0},
		"fields of a template in another order":   {templated(tlv(0xa5, seq()), tlv(0xa3, seq())), 0},
		"an unknown field of a template":          {templated(tlv(0xaa, seq())), 0},
		"no controls in Controls":                 {requested(seq(id, noTemplate, seq())), 0},
		"a control without value":                 {requested(seq(id, noTemplate, seq(seq(tlv(6, []byte{42}))))), 0},
		"raVerified with contents":                {requested(seq(id, noTemplate), tlv(0x80, []byte{0})), 0},
		"an unknown proof of possession":          {requested(seq(id, noTemplate), tlv(0xa4, seq())), 0},
		"two proofs of possession":                {requested(seq(id, noTemplate), tlv(0x80), tlv(0x80)), 0},
		"a signature of no algorithm":             {requested(seq(id, noTemplate), tlv(0xa1, tlv(3, []byte{0}))), 0},
		"subsequentMessage 2":                     {requested(seq(id, noTemplate), tlv(0xa2, tlv(0x81, []byte{2}))), 0},
		"subsequentMessage in two octets":         {requested(seq(id, noTemplate), tlv(0xa2, tlv(0x81, []byte{0, 1}))), 0},
		"a PKIStatus 7":                           {bodied(BodyError, seq(seq(tlv(2, []byte{7})))), 0},
		"a failInfo with a zero too many":         {status(tlv(3, []byte{0, 0x80})), 0},
		"an empty failInfo":                       {status(tlv(3, []byte{0})), 0},
		"a failInfo of 33 bits":                   {status(tlv(3, []byte{7, 0, 0, 0, 0, 0x80})), 0},
		"an issuer in revCerts that is no DN":     {bodied(BodyRP, seq(seq(seq(id)), tlv(0xa0, seq(seq(tlv(0x82), tlv(2, []byte{1})))))), 0},
		"checkAfter in the past":                  {bodied(BodyPollRep, seq(seq(id, tlv(2, []byte{0xff})))), 0},
		"no pollReq":                              {bodied(BodyPollReq, seq()), 0},
		"messages too deep in messages":           {nest(maxNested + 1), 0},
		"a nested message that is none":           {bodied(BodyNested, seq(seq())), 0},
		"a certificate and an encrypted one":      {bodied(BodyCP, seq(seq(seq(id, seq(id), seq(tlv(0xa0, seq()), tlv(0xa1, seq(), seq())))))), 0},
		"a BOOLEAN of another value":              {bodied(BodyCAnn, tlv(1, []byte{1})), 0},
		"more elements than a message may have":   {bodied(BodyCAnn, seq(repeated(maxElements, tlv(5)))), 0},
		"structures deeper than anything we know": {bodied(BodyCAnn, deep(40)), 0},
	} {
		t.Run(name, func(t *testing.T) {
			want := c.fail
			if want == 0 {
				want = FailBadDataFormat
			}
			_, err := ParseMessage(c.der)
			if models.KindOf(err) != models.KindInvalid || FailInfoOf(err) != want || err == nil {
				t.Fatalf("%v, %v; want %v", err, FailInfoOf(err), want)
			}
			if text := models.PublicText(err); text == "" || strings.ContainsAny(text, "\n\x00") {
				t.Errorf("the text %q", text)
			}
		})
	}
}

func deep(levels int) []byte {
	inner := tlv(5)
	for range levels {
		inner = seq(inner)
	}
	return inner
}

func TestWhatCannotBeEncoded(t *testing.T) {
	header := Header{Version: Version2, Sender: NullDN, Recipient: NullDN}
	for name, m := range map[string]*Message{
		"no sender":                 {Header: Header{Version: Version2, Recipient: NullDN}, Body: Body{Type: BodyPKIConf}},
		"a body without content":    {Header: header, Body: Body{Type: BodyIP}},
		"an error without content":  {Header: header, Body: Body{Type: BodyError}},
		"a body of no type":         {Header: header, Body: Body{Type: 99}},
		"an announcement of none":   {Header: header, Body: Body{Type: BodyCAnn}},
		"a proof of no method":      {Header: header, Body: Body{Type: BodyCR, Requests: []CertReqMsg{{POPO: &POPO{Method: POPOSignature}}}}},
		"a certificate that is not": {Header: header, Body: Body{Type: BodyCP, Replies: &CertReplies{Responses: []CertResponse{{KeyPair: &CertifiedKeyPair{}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			if der, err := m.Marshal(); models.KindOf(err) != models.KindInternal || der != nil {
				t.Errorf("%x, %v", der, err)
			}
		})
	}
}
