// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	"sync"
)

// maxCached bounds a Cache; it is meant for CAs, of which there are few.
const maxCached = 1000

// Cache parses certificates that are looked at again and again, such as those
// of CAs, once each. The zero value is ready to use, by several goroutines at
// once. What it returns is shared and must not be changed.
type Cache struct {
	mu    sync.RWMutex
	certs map[string]*x509.Certificate
}

// Parse is x509.ParseCertificate.
func (c *Cache) Parse(der []byte) (*x509.Certificate, error) {
	c.mu.RLock()
	cert := c.certs[string(der)]
	c.mu.RUnlock()
	if cert != nil {
		return cert, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certs == nil || len(c.certs) >= maxCached {
		c.certs = map[string]*x509.Certificate{}
	}
	c.certs[string(der)] = cert
	return cert, nil
}
