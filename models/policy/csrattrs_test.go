// SPDX-License-Identifier: MIT

package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

func TestWhatAProfileWantsToSee(t *testing.T) {
	clientAuth := []byte{0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2}
	device := policy.Subject{Device: models.Device{Name: "press-01", SerialNumber: "4711"}, Domain: models.Domain{Name: "press-shop"}}
	tests := map[string]struct {
		document string
		who      policy.Subject
		want     pki.CSRAttrs
	}{
		"nothing":                 {`"subject":{"allow":"*"}`, policy.Subject{}, pki.CSRAttrs{}},
		"the first permitted key": {`"key":{"algorithms":["EC-P384","RSA-3072"]},"subject":{"allow":"*"}`, policy.Subject{}, pki.CSRAttrs{Key: models.ECP384}},
		"a value of the profile": {`"subject":{"organization_name":"Plant","allow":"*"}`, policy.Subject{},
			pki.CSRAttrs{Subject: []pki.Attribute{{OID: "2.5.4.10", Value: "Plant"}}}},
		"a value that the device has to bring": {`"subject":{"common_name":{"required":true}}`, policy.Subject{},
			pki.CSRAttrs{Subject: []pki.Attribute{{OID: "2.5.4.3"}}}},
		"a value of a device that is not known": {`"subject":{"common_name":"{{device.name}}"}`, policy.Subject{Domain: device.Domain}, pki.CSRAttrs{}},
		"values of a device": {`"subject":{"common_name":"{{device.name}}"}`, device,
			pki.CSRAttrs{Subject: []pki.Attribute{{OID: "2.5.4.3", Value: "press-01"}, {OID: "2.5.4.5", Value: "4711"}}}},
		"a purpose": {`"subject":{"allow":"*"},"extensions":{"extended_key_usage":{"value":["client_auth"]}}`, policy.Subject{},
			pki.CSRAttrs{Extensions: []pki.ExtensionTemplate{{OID: "2.5.29.37", Value: clientAuth}}}},
		"a place for names": {`"subject":{"allow":"*"},"extensions":{"subject_alternative_name":{"required":true,"allow":"*"}}`, policy.Subject{},
			pki.CSRAttrs{Extensions: []pki.ExtensionTemplate{{OID: "2.5.29.17"}}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			profile, err := policy.ParseProfile([]byte(`{"type":"cert_profile","version":1,"validity":{"duration":"90d"},` + tt.document + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, profile.Wanted(tt.who)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestShippedProfilesWantWhatCanBeWritten(t *testing.T) {
	for name, document := range policy.Shipped() {
		profile, err := policy.ParseProfile(document)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pki.MarshalCSRAttrs(profile.Wanted(policy.Subject{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
