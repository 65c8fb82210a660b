// SPDX-License-Identifier: MIT

package operations_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// colons writes a digest as openssl x509 -fingerprint does.
func colons(digest string) string {
	var octets []string
	for octet := range slices.Chunk([]byte(strings.ToUpper(digest)), 2) {
		octets = append(octets, string(octet))
	}
	return strings.Join(octets, ":")
}

func TestListsOfKeys(t *testing.T) {
	plants(t, func(t *testing.T, p *fixture.Plant) {
		ctx := t.Context()
		leaf := leafOf(t, "elsewhere", fixture.NewOutside(t, "Elsewhere", nil))
		imported := ok[*api.CertificateImportResult](t)(p.Ops.ImportCertificates(ctx, p.Boss, api.CertificateImport{File: leaf.Cert.Raw}))
		used := ok[*models.Certificate](t)(p.Store.FindCertificate(ctx, models.CertificateID(imported.Items[0].ID)))
		none := strings.Repeat("ab", 32)
		changed := ok[*api.BlocklistChanged](t)(p.Ops.ChangeBlocklist(ctx, p.Boss, "leaked", api.BlocklistChange{Add: []string{colons(none), none, used.SPKISHA256}}))
		if changed.Added != 2 || changed.Blocklist.Keys != 2 || len(changed.InUse) != 1 || changed.InUse[0].ID != string(used.ID) {
			t.Errorf("%+v", changed)
		}
		if e := lastEvent(t, p, "leaked"); e.Action != "blocklist.changed" || e.Details["added"] != "2" || e.Actor != "operator:boss" {
			t.Errorf("%+v", e)
		}
		before := len(events(t, p))
		if again := ok[*api.BlocklistChanged](t)(p.Ops.ChangeBlocklist(ctx, p.Boss, "leaked", api.BlocklistChange{Add: []string{none}})); again.Added != 0 {
			t.Errorf("%+v", again)
		}
		if after := len(events(t, p)); after != before {
			t.Error("what changes nothing has an event")
		}
		viewer := p.Caller(t, "looks", models.RoleViewer)
		lists := ok[*api.Page[api.Blocklist]](t)(p.Ops.ListBlocklists(ctx, viewer, api.PageQuery{}))
		keys := ok[*api.Page[api.BlockedKey]](t)(p.Ops.ListBlockedKeys(ctx, viewer, "leaked", api.BlockedKeyFilter{Fingerprint: colons(none)}))
		if len(lists.Items) != 1 || lists.Items[0].Keys != 2 || len(keys.Items) != 1 || keys.Items[0].Fingerprint != none {
			t.Errorf("%+v %+v", lists, keys)
		}
		for name, c := range map[string]struct {
			in   api.BlocklistChange
			kind models.Kind
			text string
		}{
			"nothing":                   {api.BlocklistChange{}, models.KindInvalid, "are empty"},
			"a digest that is too long": {api.BlocklistChange{Add: []string{none + "00"}}, models.KindInvalid, "64 hex digits"},
			"a digest of SHA-1":         {api.BlocklistChange{Add: []string{none[:40]}}, models.KindInvalid, "64 hex digits"},
			"no hex":                    {api.BlocklistChange{Add: []string{strings.Repeat("zz", 32)}}, models.KindInvalid, "64 hex digits"},
			"in and out at once":        {api.BlocklistChange{Add: []string{none}, Remove: []string{colons(none)}}, models.KindInvalid, "to be added and to be removed"},
			"too many":                  {api.BlocklistChange{Add: slices.Repeat([]string{none}, 10001)}, models.KindInvalid, "at most 10000"},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := p.Ops.ChangeBlocklist(ctx, p.Boss, "leaked", c.in)
				wantKind(t, err, c.kind, c.text)
			})
		}
		_, err := p.Ops.ChangeBlocklist(ctx, p.Boss, "others", api.BlocklistChange{Remove: []string{none}})
		wantKind(t, err, models.KindNotFound, "others")
		_, err = p.Ops.ChangeBlocklist(ctx, viewer, "leaked", api.BlocklistChange{Remove: []string{none}})
		wantKind(t, err, models.KindDenied, "blocklists.write")
		if err := p.Ops.DeleteBlocklist(ctx, p.Boss, "leaked"); err != nil {
			t.Error(err)
		}
		wantKind(t, p.Ops.DeleteBlocklist(ctx, p.Boss, "leaked"), models.KindNotFound, "leaked")
		if e := lastEvent(t, p, "leaked"); e.Action != "blocklist.deleted" || e.Details["keys"] != "2" {
			t.Errorf("%+v", e)
		}
	})
}

// TestCAsWithBlockedKeysAreRefused is A09 for CAs: whether they come with their
// key, from an external CA, without a key, or as one above another.
func TestCAsWithBlockedKeysAreRefused(t *testing.T) {
	p := small(t)
	ctx := t.Context()
	blocked := fixture.NewOutside(t, "Leaked Root", nil)
	below := fixture.NewOutside(t, "Below", blocked)
	key := fixture.KeyFingerprint(blocked.Cert)
	ok[*api.BlocklistChanged](t)(p.Ops.ChangeBlocklist(ctx, p.Boss, "leaked", api.BlocklistChange{Add: []string{key}}))
	before := len(ok[[]*models.CA](t)(p.Store.AllCAs(ctx)))
	const text = `on the list "leaked"`
	_, err := p.Ops.ImportCA(ctx, p.Boss, api.CAImport{Name: "leaked", Key: blocked.KeyPEM(t), Certificate: blocked.PEM()})
	wantKind(t, err, models.KindDenied, text)
	_, err = p.Ops.ImportCA(ctx, p.Boss, api.CAImport{Name: "below", Key: below.KeyPEM(t), Certificate: below.PEM(), Chain: blocked.PEM()})
	wantKind(t, err, models.KindDenied, text)
	_, err = p.Ops.CreateCA(ctx, p.Boss, api.CACreation{Name: "known", Type: models.CAExternal, Certificate: string(blocked.PEM())})
	wantKind(t, err, models.KindDenied, text)
	if after := len(ok[[]*models.CA](t)(p.Store.AllCAs(ctx))); after != before {
		t.Error("a refusal left a CA behind")
	}
	other := fixture.NewOutside(t, "Good Root", nil, func(*x509.Certificate) {})
	ok[*api.CA](t)(p.Ops.ImportCA(ctx, p.Boss, api.CAImport{Name: "good", Key: other.KeyPEM(t), Certificate: other.PEM()}))
}
