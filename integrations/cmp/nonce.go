// SPDX-License-Identifier: MIT

package cmp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
)

// course is what the later messages of a transaction do not say: what was
// asked for, and how the possession of the key was proven. Our nonces carry it,
// because the client has to send them back, so nobody has to store it.
type course byte

// noCourse is that of answers to a request that did not come to anything.
const noCourse course = 0xff

// The members of a course.
const (
	courseOperation = 0x03
	courseProof     = 0x0c
	courseGenerated = 0x10
)

func courseOf(in *Enrollment) course {
	c := course(in.Operation) | course(in.Proof)<<2
	if in.Generate {
		c |= courseGenerated
	}
	return c
}

func (c course) operation() Operation { return Operation(c & courseOperation) }
func (c course) proof() Proof         { return Proof(c & courseProof >> 2) }
func (c course) generated() bool      { return c&courseGenerated != 0 }

// certReqID is that of the one request of a transaction (RFC 9483 §4.1.1, §4.1.4).
func (c course) certReqID() int {
	if c.operation() == OpPKCS10 {
		return p10CertReqID
	}
	return 0
}

// Our nonces have 128 bits: seven random octets, the course, and a mark that
// shows that they are ours, and of which transaction in which domain: the same
// transactionID is another transaction in another one.
const (
	nonceSize = 16
	markSize  = 8
)

func (s *responder) newNonce(domain string, transaction []byte, c course) []byte {
	nonce := make([]byte, nonceSize-markSize, nonceSize)
	rand.Read(nonce)
	nonce[len(nonce)-1] = byte(c)
	return append(nonce, s.nonceMark(domain, transaction, nonce)...)
}

func (s *responder) nonceMark(domain string, transaction, marked []byte) []byte {
	h := hmac.New(sha256.New, s.nonceKey)
	h.Write(marked)
	h.Write([]byte(domain + "\x00")) // no domain has that in its name
	h.Write(transaction)
	return h.Sum(nil)[:markSize]
}

// courseIn returns the course of a transaction from one of our nonces in it;
// false if it is not one.
func (s *responder) courseIn(domain string, transaction, nonce []byte) (course, bool) {
	if len(nonce) != nonceSize {
		return noCourse, false
	}
	marked, mark := nonce[:nonceSize-markSize], nonce[nonceSize-markSize:]
	if !hmac.Equal(s.nonceMark(domain, transaction, marked), mark) {
		return noCourse, false
	}
	c := course(marked[len(marked)-1])
	return c, c != noCourse
}
