// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/binary"
	"sync"
)

// smallestKey is the first private key that is not looked for. The eight CA
// keys of Mozilla bug 2083449 were all below it.
const smallestKey = 1 << 8

// smallPoints are the x coordinates of the public keys whose private key d, or
// its negation, is below smallestKey, for each curve. They are computed on
// first use.
var smallPoints = map[elliptic.Curve]func() map[string]bool{
	elliptic.P256(): sync.OnceValue(func() map[string]bool { return pointsOf(ecdh.P256(), 32) }),
	elliptic.P384(): sync.OnceValue(func() map[string]bool { return pointsOf(ecdh.P384(), 48) }),
	elliptic.P521(): sync.OnceValue(func() map[string]bool { return pointsOf(ecdh.P521(), 66) }),
}

// pointsOf multiplies the base point. A point and its negation have the same x.
func pointsOf(curve ecdh.Curve, size int) map[string]bool {
	points := make(map[string]bool, smallestKey)
	for d := uint64(1); d < smallestKey; d++ {
		scalar := make([]byte, size)
		binary.BigEndian.PutUint64(scalar[size-8:], d)
		key, _ := curve.NewPrivateKey(scalar) // valid: between 1 and the order of the curve
		points[string(key.PublicKey().Bytes()[1:1+size])] = true
	}
	return points
}

// checkSmallKey refuses EC keys whose private key anybody can guess. It
// replaces zlint's e_ecdsa_small_private_key, which costs a hundred times as
// much because it searches where this looks up.
func checkSmallKey(k *ecdsa.PublicKey) error {
	point, err := k.Bytes()
	if err != nil {
		return invalid("the public key is not a point of its curve").Because(err)
	}
	if points, known := smallPoints[k.Curve]; known && points()[string(point[1:1+len(point)/2])] {
		return invalid("the private key of this EC key is a number below %d, which anybody can guess; make a new key", smallestKey)
	}
	return nil
}
