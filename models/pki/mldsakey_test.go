// SPDX-License-Identifier: MIT

package pki_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// TestMLDSAKeysAreSeeds: the two other forms of RFC 9881 are refused with what
// to do.
func TestMLDSAKeysAreSeeds(t *testing.T) {
	for name, private := range map[string][]byte{"expanded": {0x04, 1, 0}, "both": {0x30, 3, 4, 1, 0}} {
		der := must(asn1.Marshal(struct {
			Version    int
			Algorithm  pkix.AlgorithmIdentifier
			PrivateKey []byte
		}{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}}, private}))
		if _, err := pki.ParsePrivateKey(der, ""); err == nil {
			t.Error(name)
		} else {
			wantError(t, err, models.KindInvalid, "send the seed alone")
		}
	}
}
