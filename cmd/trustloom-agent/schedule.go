// SPDX-License-Identifier: MIT

package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"time"
)

// The bounds of waiting after a failure.
const (
	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// renewalDue is when a certificate is to be renewed: at two thirds of its
// lifetime, up to a tenth of it earlier, so that a fleet does not come at
// once. The lifetime begins when the device got the certificate, because CAs
// date certificates back. The spread depends on the certificate alone: it is
// the same after a restart.
func renewalDue(cert *x509.Certificate, obtained time.Time) time.Time {
	begin := cert.NotBefore
	if obtained.After(begin) && obtained.Before(cert.NotAfter) {
		begin = obtained
	}
	lifetime := cert.NotAfter.Sub(begin)
	sum := sha256.Sum256(cert.Raw)
	spread := float64(binary.BigEndian.Uint32(sum[:4])) / (1 << 32) // [0,1)
	early := time.Duration(spread * float64(lifetime) / 10)
	return begin.Add(lifetime/3*2 - early)
}

// pause is how long to wait after the given number of failures in a row, at
// least as long as the server asked for, but never so long that less than
// three more attempts fit into what remains of the present certificate.
// spread in [0,1) moves it by up to a fifth.
func pause(failures int, asked, remaining time.Duration, spread float64) time.Duration {
	delay := longestPause
	if failures < 10 {
		delay = min(longestPause, firstPause<<max(failures-1, 0))
	}
	delay = max(delay, asked)
	if remaining > 0 {
		delay = min(delay, remaining/4)
	}
	delay = max(delay, firstPause)
	return delay + time.Duration(spread*float64(delay)/5)
}
