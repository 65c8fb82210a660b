// SPDX-License-Identifier: MIT

// Package cmp implements the Certificate Management Protocol, RFC 9810 in the
// profile of RFC 9483: the codec of its messages and of the certificate
// requests inside (CRMF, RFC 4211), their protection (RFC 9481), a client, and
// a responder over the small Backend interface (HTTP transfer: RFC 9811). It
// must not know the store, Temporal, or who may have which certificate: it
// hands verified requests to its Backend.
//
// What strangers send is bounded in size, depth and number of elements before
// any work is done with it, and accepted in the distinguished encoding rules
// only: a message that was decoded encodes to the same octets again.
package cmp

import "fmt"

// MaxMessage bounds a message in octets.
const MaxMessage = 128 << 10

// The protocol versions (RFC 9810 §7): pvno of a header.
const (
	Version2 = 2 // cmp2000
	Version3 = 3 // cmp2021: EnvelopedData, hashAlg
)

// BodyType is the choice of a PKIBody: its context tag (RFC 9810 §5.1.2).
type BodyType int

// The bodies.
const (
	BodyIR       BodyType = 0
	BodyIP       BodyType = 1
	BodyCR       BodyType = 2
	BodyCP       BodyType = 3
	BodyP10CR    BodyType = 4
	BodyPOPDecC  BodyType = 5
	BodyPOPDecR  BodyType = 6
	BodyKUR      BodyType = 7
	BodyKUP      BodyType = 8
	BodyKRR      BodyType = 9
	BodyKRP      BodyType = 10
	BodyRR       BodyType = 11
	BodyRP       BodyType = 12
	BodyCCR      BodyType = 13
	BodyCCP      BodyType = 14
	BodyCKUAnn   BodyType = 15
	BodyCAnn     BodyType = 16
	BodyRAnn     BodyType = 17
	BodyCRLAnn   BodyType = 18
	BodyPKIConf  BodyType = 19
	BodyNested   BodyType = 20
	BodyGenM     BodyType = 21
	BodyGenP     BodyType = 22
	BodyError    BodyType = 23
	BodyCertConf BodyType = 24
	BodyPollReq  BodyType = 25
	BodyPollRep  BodyType = 26
	maxBodyType           = BodyPollRep
)

var bodyNames = [...]string{"ir", "ip", "cr", "cp", "p10cr", "popdecc", "popdecr", "kur", "kup", "krr", "krp", "rr", "rp",
	"ccr", "ccp", "ckuann", "cann", "rann", "crlann", "pkiconf", "nested", "genm", "genp", "error", "certConf", "pollReq", "pollRep"}

// String returns the name of the body as RFC 9810 spells it, such as "p10cr".
func (t BodyType) String() string {
	if t >= 0 && t <= maxBodyType {
		return bodyNames[t]
	}
	return fmt.Sprintf("body %d", int(t))
}

// BodyTypes lists all of them, in the order of their tags.
func BodyTypes() []BodyType {
	all := make([]BodyType, 0, maxBodyType+1)
	for t := BodyIR; t <= maxBodyType; t++ {
		all = append(all, t)
	}
	return all
}
