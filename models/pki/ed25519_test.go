// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/ed25519"
	"encoding/hex"
	"testing"
)

// TestSmallOrderTable proves each entry: for a key A of small order the
// signature (identity, 0) is valid for every message whose digest k gives
// [k]A = 0, one in eight at least. No other key has such a message.
func TestSmallOrderTable(t *testing.T) {
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1
	for _, y := range smallOrderY {
		key, err := hex.DecodeString(y)
		if err != nil {
			t.Fatal(err)
		}
		accepted := false
		for m := 0; m < 256 && !accepted; m++ {
			accepted = ed25519.Verify(key, []byte{byte(m)}, forged)
		}
		if !accepted {
			t.Errorf("%s is not of small order", y)
		}
		key[31] |= 0x80
		if !smallOrder(key) {
			t.Errorf("%s with the other sign passes", y)
		}
	}
}
