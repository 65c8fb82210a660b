// SPDX-License-Identifier: MIT

package app

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models/pki"
)

// maxPeopleFile bounds the files with CAs and CRLs of operators.
const maxPeopleFile = 16 << 20

// openPeople reads the CAs of operators and their CRLs.
func (a *App) openPeople(context.Context) error {
	if a.cfg.OperatorCA == "" {
		return nil
	}
	data, err := readBounded(a.cfg.OperatorCA)
	if err != nil {
		return fmt.Errorf("--operator-ca: %w", err)
	}
	a.people = &auth.People{Store: a.store, Now: a.now}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !cert.IsCA {
			return fmt.Errorf("--operator-ca %s holds something else than CA certificates", a.cfg.OperatorCA)
		}
		a.people.Anchors = append(a.people.Anchors, cert)
	}
	if len(a.people.Anchors) == 0 {
		return fmt.Errorf("--operator-ca %s holds no PEM certificate", a.cfg.OperatorCA)
	}
	if len(a.cfg.OperatorCRL) == 0 {
		return nil
	}
	lists := &crlFiles{paths: a.cfg.OperatorCRL, seen: map[string]time.Time{}, lists: map[string][]*x509.RevocationList{}}
	a.people.CRLs = lists.read
	_, err = lists.read()
	return err
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPeopleFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxPeopleFile)
	}
	return os.ReadFile(path)
}

// crlFiles are files with CRLs that somebody else renews.
type crlFiles struct {
	paths []string
	mu    sync.Mutex
	seen  map[string]time.Time // when a file had changed
	lists map[string][]*x509.RevocationList
}

// read returns all lists, from memory unless a file has changed. A file that
// cannot be read is an error: what it would have revoked must not get in.
func (c *crlFiles) read() ([]*x509.RevocationList, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*x509.RevocationList
	for _, path := range c.paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("--operator-crl: %w", err)
		}
		if !c.seen[path].Equal(info.ModTime()) {
			lists, err := readCRLs(path)
			if err != nil {
				return nil, err
			}
			c.lists[path], c.seen[path] = lists, info.ModTime()
		}
		all = append(all, c.lists[path]...)
	}
	return all, nil
}

func readCRLs(path string) ([]*x509.RevocationList, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("--operator-crl: %w", err)
	}
	ders := [][]byte{data}
	if bytes.Contains(data, []byte("-----BEGIN")) {
		ders = nil
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			ders = append(ders, block.Bytes)
		}
	}
	lists := make([]*x509.RevocationList, 0, len(ders))
	for _, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("--operator-crl %s holds something else than CRLs: %w", path, err)
		}
		if err := pki.CompleteCRL(list); err != nil {
			return nil, fmt.Errorf("--operator-crl %s: %w", path, err)
		}
		if list.NextUpdate.IsZero() { // it would be good for ever; one that begins later is a matter of the clock
			return nil, fmt.Errorf("--operator-crl %s: a CRL of %s does not say until when it is current (nextUpdate, RFC 5280 §5.1.2.5)", path, list.Issuer)
		}
		lists = append(lists, list)
	}
	if len(lists) == 0 || bytes.Count(data, []byte("-----BEGIN ")) > len(lists) { // half a file would say that nobody is revoked
		return nil, fmt.Errorf("--operator-crl %s holds no CRL, or one that is cut off", path)
	}
	return lists, nil
}
