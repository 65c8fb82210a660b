// SPDX-License-Identifier: MIT

package cmp

import (
	"fmt"
	"math/bits"
	"strings"

	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Status is a PKIStatus (RFC 9810 §5.2.3).
type Status int

// The statuses.
const (
	StatusAccepted               Status = 0
	StatusGrantedWithMods        Status = 1
	StatusRejection              Status = 2
	StatusWaiting                Status = 3
	StatusRevocationWarning      Status = 4
	StatusRevocationNotification Status = 5
	StatusKeyUpdateWarning       Status = 6
	maxStatus                           = StatusKeyUpdateWarning
)

var statusNames = [...]string{"accepted", "grantedWithMods", "rejection", "waiting", "revocationWarning", "revocationNotification", "keyUpdateWarning"}

// String returns the name of the status as RFC 9810 spells it.
func (s Status) String() string {
	if s >= 0 && s <= maxStatus {
		return statusNames[s]
	}
	return fmt.Sprintf("status %d", int(s))
}

// FailInfo is a PKIFailureInfo (RFC 9810 §5.2.3): several of its bits may be
// set, the bit 1<<i is the named bit i.
type FailInfo uint32

// The failures.
const (
	FailBadAlg FailInfo = 1 << iota
	FailBadMessageCheck
	FailBadRequest
	FailBadTime
	FailBadCertID
	FailBadDataFormat
	FailWrongAuthority
	FailIncorrectData
	FailMissingTimeStamp
	FailBadPOP
	FailCertRevoked
	FailCertConfirmed
	FailWrongIntegrity
	FailBadRecipientNonce
	FailTimeNotAvailable
	FailUnacceptedPolicy
	FailUnacceptedExtension
	FailAddInfoNotAvailable
	FailBadSenderNonce
	FailBadCertTemplate
	FailSignerNotTrusted
	FailTransactionIDInUse
	FailUnsupportedVersion
	FailNotAuthorized
	FailSystemUnavail
	FailSystemFailure
	FailDuplicateCertReq
)

var failNames = [...]string{"badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId", "badDataFormat", "wrongAuthority", "incorrectData",
	"missingTimeStamp", "badPOP", "certRevoked", "certConfirmed", "wrongIntegrity", "badRecipientNonce", "timeNotAvailable", "unacceptedPolicy",
	"unacceptedExtension", "addInfoNotAvailable", "badSenderNonce", "badCertTemplate", "signerNotTrusted", "transactionIdInUse",
	"unsupportedVersion", "notAuthorized", "systemUnavail", "systemFailure", "duplicateCertReq"}

// String returns the names of the bits as RFC 9810 spells them, separated by
// commas; "" if there are none.
func (f FailInfo) String() string {
	var names []string
	for i := range 32 {
		switch {
		case f&(1<<i) == 0:
		case i < len(failNames):
			names = append(names, failNames[i])
		default:
			names = append(names, fmt.Sprintf("failure %d", i))
		}
	}
	return strings.Join(names, ",")
}

// StatusInfo is a PKIStatusInfo.
type StatusInfo struct {
	Status Status
	Text   []string // statusString
	Fail   FailInfo // 0: none
}

func (d *decoder) statusInfo() StatusInfo {
	in := d.sequence("a PKIStatusInfo")
	info := StatusInfo{Status: Status(in.integer("a PKIStatus", 0, int(maxStatus)))}
	if in.next(der.SEQUENCE) {
		info.Text = in.freeText()
	}
	if in.next(der.BIT_STRING) {
		info.Fail = in.failInfo()
	}
	in.end("a PKIStatusInfo")
	return info
}

// failInfo reads a named bit list, which ends with a bit that is set (X.690
// §11.2.2).
func (d *decoder) failInfo() FailInfo {
	content := d.content("a PKIFailureInfo", der.BIT_STRING)
	if len(content) < 2 || len(content) > 5 || content[len(content)-1] == 0 ||
		bits.TrailingZeros8(content[len(content)-1]) != int(content[0]) {
		d.fail("a PKIFailureInfo")
		return 0
	}
	var f FailInfo
	for i, b := range content[1:] {
		f |= FailInfo(bits.Reverse8(b)) << (8 * i)
	}
	return f
}

func (s *StatusInfo) encode(b *builder) {
	b.AddASN1(der.SEQUENCE, func(b *builder) {
		b.AddASN1Int64(int64(s.Status))
		if s.Text != nil {
			addTexts(b, s.Text)
		}
		if s.Fail != 0 {
			addFailInfo(b, s.Fail)
		}
	})
}

func addFailInfo(b *builder, f FailInfo) {
	content := []byte{0}
	for ; f != 0; f >>= 8 {
		content = append(content, bits.Reverse8(uint8(f)))
	}
	content[0] = byte(bits.TrailingZeros8(content[len(content)-1]))
	b.AddASN1(der.BIT_STRING, func(b *builder) { b.AddBytes(content) })
}
