// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
)

// serialOctets is the most that RFC 5280 §4.1.2.2 lets a serial number have.
const serialOctets = 20

// NewSerial returns a certificate serial number: positive, exactly 20 octets,
// 158 of its bits from crypto/rand (RFC 5280 §4.1.2.2).
func NewSerial() *big.Int {
	var b [serialOctets]byte
	rand.Read(b[:]) // never fails: Go 1.24 and later abort the program instead
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b[:])
}

// SerialHex returns the octets of n in lower-case hex without separators, the
// form in which serial numbers are stored and printed. A nil n gives "".
func SerialHex(n *big.Int) string {
	if n == nil {
		return ""
	}
	return hex.EncodeToString(n.Bytes())
}

// validSerial reports whether n is positive and at most 20 octets long. The
// sign bit counts: 20 octets of ones need a 21st.
func validSerial(n *big.Int) bool {
	return n != nil && n.Sign() > 0 && n.BitLen() < serialOctets*8
}
