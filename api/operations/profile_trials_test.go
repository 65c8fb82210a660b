// SPDX-License-Identifier: MIT

package operations_test

import (
	"encoding/json/jsontext"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestTryProfile(t *testing.T) {
	const document = `{"type":"cert_profile","version":1,"subject":{"CN":"{{device.name}}"},"extensions":{"SAN":{"dns":{"allow":["{{device.name}}.*"]}}},
		"validity":{"duration":"30d","min":"1d"},"uniqueness":["CN"],"maximum_active":1}`
	plants(t, func(t *testing.T, p *fixture.Plant) {
		csr := string(fixture.CSR(t, "x", "dns:alpha-device.example", "dns:other.example"))
		before := len(events(t, p))
		try := func(in api.ProfileTrial) *api.ProfileVerdict {
			t.Helper()
			in.CSR = csr
			return ok[*api.ProfileVerdict](t)(p.Ops.TryProfile(t.Context(), p.Boss, in))
		}
		v := try(api.ProfileTrial{Document: jsontext.Value(document), Device: p.Alpha.Device, NotAfter: time.Now().Add(10 * 24 * time.Hour)})
		if !v.Issued || v.Subject != "SERIALNUMBER=4711,CN="+p.Alpha.Device || len(v.SANs) != 1 || v.NotAfter.After(time.Now().Add(11*24*time.Hour)) {
			t.Errorf("%+v", v)
		}
		all := strings.Join(v.Reasons, "\n")
		if !strings.Contains(all, `subject common_name "x" replaced by "`+p.Alpha.Device) || !strings.Contains(all, `dns_names "other.example" left out`) {
			t.Error(all)
		}
		for _, e := range v.Extensions {
			if e.Name == "key_usage" && (e.Text != "digital_signature" || !e.Critical) || e.OID == "" || e.Value == "" {
				t.Errorf("%+v", e)
			}
		}
		stored := try(api.ProfileTrial{Profile: "tls_server", Device: p.Alpha.Device})
		if stored.Issued || !strings.Contains(stored.Refusal, `"other.example" is refused`) || stored.Door == "" {
			t.Errorf("%+v", stored)
		}
		if v := try(api.ProfileTrial{Profile: "tls_client", Domain: "alpha", Renews: string(p.Alpha.Certificate)}); !v.Issued || v.Reasons[0] != "tried for an example device, example-01 with the serial number 4711" {
			t.Errorf("%+v", v)
		}
		for in, want := range map[*api.ProfileTrial]models.Kind{
			{CSR: csr, Profile: "tls_server"}:                                                              models.KindInvalid,
			{CSR: csr, Domain: "alpha"}:                                                                    models.KindInvalid,
			{CSR: "x", Domain: "alpha", Profile: "generic"}:                                                models.KindInvalid,
			{CSR: csr, Domain: "none", Profile: "generic"}:                                                 models.KindNotFound,
			{CSR: csr, Domain: "alpha", Profile: "none"}:                                                   models.KindNotFound,
			{CSR: csr, Domain: "alpha", Document: jsontext.Value(`{}`)}:                                    models.KindInvalid,
			{CSR: csr, Domain: "alpha", Document: jsontext.Value(`"` + strings.Repeat("x", 64<<10) + `"`)}: models.KindInvalid,
		} {
			if _, err := p.Ops.TryProfile(t.Context(), p.Boss, *in); models.KindOf(err) != want {
				t.Errorf("%+v: %v, want %s", in, err, want)
			}
		}
		if after := len(events(t, p)); after != before {
			t.Errorf("%d events were written", after-before)
		}
	})
}

func events(t *testing.T, p *fixture.Plant) []models.Event {
	t.Helper()
	rows, _, err := p.Store.ListEvents(t.Context(), store.EventFilter{Page: store.Page{Limit: store.MaxLimit}})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
