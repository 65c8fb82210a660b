// SPDX-License-Identifier: MIT

package pki_test

import (
	"encoding/hex"
	"testing"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

func TestATemplateMayLeaveTheKeyToTheCA(t *testing.T) {
	// subject CN=a
	const subject = "a50e300c310a300806035504030c0161"
	for name, c := range map[string]struct {
		fields string
		want   models.KeyAlgorithm
		kind   models.Kind
	}{
		"no public key":                  {subject, "", 0},
		"nothing":                        {"", "", 0},
		"P-256":                          {subject + "a618" + "301306072a8648ce3d020106082a8648ce3d030107" + "030100", models.ECP256, 0},
		"Ed25519":                        {"a60a" + "300506032b6570" + "030100", models.Ed25519, 0},
		"RSA":                            {"a612" + "300d06092a864886f70d0101010500" + "030100", models.RSA3072, 0},
		"a curve that is not made":       {"a615" + "301006072a8648ce3d020106052b8104000a" + "030100", "", models.KindInvalid},
		"a key that is there":            {"a60b" + "300506032b6570" + "03020041", "", models.KindInvalid},
		"a serial number":                {"810101" + subject, "", models.KindInvalid},
		"an algorithm that is not known": {"a608" + "300306012a" + "030100", "", models.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			fields := must(hex.DecodeString(c.fields))
			csr, err := pki.ParseKeylessTemplate(append([]byte{0x30, byte(len(fields))}, fields...))
			if c.kind != 0 {
				if models.KindOf(err) != c.kind {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if csr.KeyAlgorithm != c.want || csr.Request.PublicKey != nil || csr.SPKISHA256 != "" {
				t.Errorf("the request is %+v", csr)
			}
		})
	}
}
