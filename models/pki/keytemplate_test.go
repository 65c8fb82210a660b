// SPDX-License-Identifier: MIT

package pki

import (
	"testing"

	"github.com/trustloom/trustloom/models"
)

func TestKeysOfTemplatesComeBack(t *testing.T) {
	for _, key := range models.KeyAlgorithms {
		algorithm, bits := KeyTemplate(key)
		if got := TemplateKey(algorithm, bits); got != key || (algorithm == nil) == (bits == 0) {
			t.Errorf("%s is %x, %d bits, and comes back as %q", key, algorithm, bits, got)
		}
	}
	if algorithm, bits := KeyTemplate(""); algorithm != nil || bits != 0 || TemplateKey(nil, 0) != "" || TemplateKey([]byte{5, 0}, 0) != "" || TemplateKey(nil, 1024) != "" {
		t.Error("what has no name has one")
	}
}
