// SPDX-License-Identifier: MIT

package store_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		ca, domain := plant(t, s)
		operator := &models.Operator{Name: "0"}
		write(t, s, func(tx *store.Tx) error { return tx.InsertOperator(operator) })
		inserted(t, s, 5, func(tx *store.Tx, name string) error {
			r, c := newRequest(name), newCertificate(name)
			_, e1 := tx.InsertRequest(r)
			_, e2 := tx.ReserveCertificate(c)
			_, e3 := tx.OpenApproval(&models.Approval{RequestID: r.ID, WorkflowID: name, State: models.ApprovalPending})
			d := newDomain("d"+name, ca.ID)
			errs := []error{e1, e2, e3, tx.InsertCA(newCA(name)), tx.InsertDomain(d), tx.InsertDevice(newDevice(name, domain.ID)),
				tx.Audit(models.Event{Actor: "system", SubjectID: name}), tx.InsertRegistration(&models.Registration{Name: name, DomainID: domain.ID}),
				tx.InsertToken(&models.Token{Name: name, Hash: name, OperatorID: operator.ID})}
			for range 2 {
				errs = append(errs, tx.InsertProfile(&models.Profile{Name: name}), tx.InsertTruststore(&models.Truststore{Name: name}))
			}
			if name != "0" {
				errs = append(errs, tx.InsertOperator(&models.Operator{Name: name}))
			}
			return errors.Join(errs...)
		})
		ctx := t.Context()
		for noun, got := range map[string]string{
			"devices": pages(t, func(d models.Device) string { return d.Name }, func(p store.Page) ([]models.Device, string, error) {
				return s.ListDevices(ctx, store.DeviceFilter{Page: p})
			}),
			"requests": pages(t, func(r models.Request) string { return r.Key }, func(p store.Page) ([]models.Request, string, error) {
				return s.ListRequests(ctx, store.RequestFilter{Page: p})
			}),
			"certificates": pages(t, func(c models.Certificate) string { return c.RequestKey }, func(p store.Page) ([]models.Certificate, string, error) {
				return s.ListCertificates(ctx, store.CertificateFilter{Page: p})
			}),
			"approvals": pages(t, func(a models.Approval) string { return a.WorkflowID }, func(p store.Page) ([]models.Approval, string, error) {
				return s.ListApprovals(ctx, store.ApprovalFilter{Page: p})
			}),
			"events": pages(t, func(e models.Event) string { return e.SubjectID }, func(p store.Page) ([]models.Event, string, error) {
				return s.ListEvents(ctx, store.EventFilter{Page: p})
			}),
			"CAs": strings.TrimSuffix(pages(t, func(c models.CA) string { return c.Name }, func(p store.Page) ([]models.CA, string, error) { return s.ListCAs(ctx, p) }), " root"),
			"domains": strings.TrimSuffix(pages(t, func(d models.Domain) string { return strings.TrimPrefix(d.Name, "d") }, func(p store.Page) ([]models.Domain, string, error) {
				return s.ListDomains(ctx, p)
			}), " press-shop"),
			"registrations": pages(t, func(r models.Registration) string { return r.Name }, func(p store.Page) ([]models.Registration, string, error) {
				return s.ListRegistrations(ctx, p)
			}),
			"tokens":    pages(t, func(k models.Token) string { return k.Name }, func(p store.Page) ([]models.Token, string, error) { return s.ListTokens(ctx, p) }),
			"operators": pages(t, func(o models.Operator) string { return o.Name }, func(p store.Page) ([]models.Operator, string, error) { return s.ListOperators(ctx, p) }),
		} {
			if got != "0 1 2 3 4" {
				t.Errorf("%s are listed as %q", noun, got)
			}
		}
		versions := pages(t, func(p models.Profile) string { return fmt.Sprint(p.Name, "v", p.Version) }, func(p store.Page) ([]models.Profile, string, error) { return s.ListProfiles(ctx, p) })
		versions += pages(t, func(p models.Truststore) string { return fmt.Sprint(p.Name, "v", p.Version) }, func(p store.Page) ([]models.Truststore, string, error) { return s.ListTruststores(ctx, p) })
		if want := "0v2 1v2 2v2 3v2 4v2"; versions != want+want {
			t.Errorf("current versions are %q", versions)
		}
	})
}

func TestPagesHaveBounds(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		inserted(t, s, store.DefaultLimit+1, func(tx *store.Tx, name string) error { return tx.InsertCA(newCA(name)) })
		cas, next, err := s.ListCAs(background, store.Page{})
		if len(cas) != store.DefaultLimit || next == "" || err != nil {
			t.Fatalf("%d CAs, next %q, error %v", len(cas), next, err)
		}
		encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
		for name, page := range map[string]store.Page{
			"negative limit":                  {Limit: -1},
			"limit above the bound":           {Limit: store.MaxLimit + 1},
			"cursor that is not base64":       {Cursor: "!"},
			"cursor with padding":             {Cursor: next + "="},
			"cursor of another version":       {Cursor: encode("2\x00CAs\x00a")},
			"cursor without key":              {Cursor: encode("1\x00CAs\x00")},
			"cursor with too few fields":      {Cursor: encode("1\x00CAs")},
			"cursor with NUL in its key":      {Cursor: encode("1\x00CAs\x00a\x00")},
			"cursor that is not UTF-8":        {Cursor: encode("1\x00CAs\x00\xff")},
			"cursor of another list":          {Cursor: encode("1\x00devices\x00a")},
			"cursor longer than any of ours":  {Cursor: encode("1\x00CAs\x00" + strings.Repeat("a", 4000))},
			"cursor with a line break inside": {Cursor: next[:4] + "\n" + next[4:]},
		} {
			if _, _, err := s.ListCAs(background, page); models.KindOf(err) != models.KindInvalid || err == nil {
				t.Errorf("%s: got %v, want Invalid", name, err)
			}
		}
		if _, _, err := s.ListDevices(background, store.DeviceFilter{Page: store.Page{Cursor: next}}); models.KindOf(err) != models.KindInvalid {
			t.Errorf("cursor of CAs opens a page of devices: %v", err)
		}
	})
}

func TestFiltersNeverWiden(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		_, domain := plant(t, s)
		inserted(t, s, 3, func(tx *store.Tx, name string) error {
			r := newRequest(name)
			r.DomainID, r.DeviceID = models.DomainID("domain"+name), models.DeviceID("device"+name)
			if name == "2" {
				r.State = models.RequestRejected
			}
			_, err := tx.InsertRequest(r)
			_, err2 := tx.OpenApproval(&models.Approval{RequestID: r.ID, WorkflowID: name, State: models.ApprovalPending, DomainID: r.DomainID})
			return errors.Join(err, err2, tx.InsertDevice(newDevice(name, domain.ID)))
		})
		requests := func(f store.RequestFilter) string {
			return pages(t, func(r models.Request) string { return r.Key }, func(p store.Page) ([]models.Request, string, error) {
				f.Page = p
				return s.ListRequests(background, f)
			})
		}
		for name, tt := range map[string]struct {
			filter store.RequestFilter
			want   string
		}{
			"empty filter is all":                 {store.RequestFilter{}, "0 1 2"},
			"by domain":                           {store.RequestFilter{DomainID: "domain1"}, "1"},
			"by device":                           {store.RequestFilter{DeviceID: "device2"}, "2"},
			"by state":                            {store.RequestFilter{State: models.RequestRejected}, "2"},
			"by state that none has":              {store.RequestFilter{State: models.RequestIssued}, ""},
			"domains of a token":                  {store.RequestFilter{Domains: []models.DomainID{"domain0", "domain2"}}, "0 2"},
			"token without domains sees none":     {store.RequestFilter{Domains: []models.DomainID{}}, ""},
			"token for the empty domain":          {store.RequestFilter{Domains: []models.DomainID{""}}, ""},
			"filter outside of the token is none": {store.RequestFilter{DomainID: "domain1", Domains: []models.DomainID{"domain0"}}, ""},
		} {
			if got := requests(tt.filter); got != tt.want {
				t.Errorf("%s: got %q, want %q", name, got, tt.want)
			}
		}
		none := []models.DomainID{}
		devices, _, e1 := s.ListDevices(background, store.DeviceFilter{Domains: none})
		approvals, _, e2 := s.ListApprovals(background, store.ApprovalFilter{Domains: none})
		certificates, _, e3 := s.ListCertificates(background, store.CertificateFilter{Domains: none})
		events, _, e4 := s.ListEvents(background, store.EventFilter{Domains: none})
		if n := len(devices) + len(approvals) + len(certificates) + len(events); n != 0 || errors.Join(e1, e2, e3, e4) != nil {
			t.Errorf("a token without domains sees %d rows, errors %v %v %v %v", n, e1, e2, e3, e4)
		}
		byDomain, _, _ := s.ListApprovals(background, store.ApprovalFilter{DomainID: "domain1", State: models.ApprovalPending})
		if len(byDomain) != 1 || byDomain[0].WorkflowID != "1" {
			t.Errorf("approvals of domain1 are %v", byDomain)
		}
		byState, _, _ := s.ListDevices(background, store.DeviceFilter{DomainID: domain.ID, State: models.DeviceOnboarded})
		if len(byState) != 0 {
			t.Errorf("onboarded devices are %v", byState)
		}
	})
}

func TestFindByNothingFindsNothing(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		_, domain := plant(t, s)
		write(t, s, func(tx *store.Tx) error {
			_, err := tx.InsertRequest(newRequest("k"))
			_, err2 := tx.ReserveCertificate(newCertificate("k"))
			return errors.Join(err, err2, tx.InsertDevice(newDevice("d", domain.ID)), tx.InsertProfile(&models.Profile{Name: "p"}),
				tx.InsertTruststore(&models.Truststore{Name: "t"}), tx.InsertOperator(&models.Operator{Name: "o"}))
		})
		ctx := background
		finds := []func() error{
			func() error { _, err := s.FindCA(ctx, ""); return err },
			func() error { _, err := s.FindCAByName(ctx, ""); return err },
			func() error { _, err := s.FindCAByKeyID(ctx, ""); return err }, // a pending CA has the key ID ""
			func() error { _, err := s.LatestCRL(ctx, ""); return err },
			func() error { _, err := s.FindDomain(ctx, ""); return err },
			func() error { _, err := s.FindDomainByName(ctx, ""); return err },
			func() error { _, err := s.FindProfile(ctx, ""); return err },
			func() error { _, err := s.FindProfileVersion(ctx, "p", 0); return err },
			func() error { _, err := s.FindTruststore(ctx, ""); return err },
			func() error { _, err := s.FindRegistration(ctx, ""); return err },
			func() error { _, err := s.FindDevice(ctx, ""); return err },
			func() error { _, err := s.FindDeviceByName(ctx, ""); return err },
			func() error { _, err := s.FindDeviceByIDevID(ctx, ""); return err },
			func() error { _, err := s.FindRequest(ctx, ""); return err },
			func() error { _, err := s.FindRequestByKey(ctx, ""); return err },
			func() error { _, err := s.FindCertificate(ctx, ""); return err },
			func() error { _, err := s.FindCertificateByRequestKey(ctx, ""); return err },
			func() error { _, err := s.FindCertificateByFingerprint(ctx, ""); return err },
			func() error { _, err := s.FindCertificateBySerial(ctx, "aa11", ""); return err },
			func() error { _, err := s.FindApproval(ctx, ""); return err },
			func() error { _, err := s.FindApprovalByRequest(ctx, ""); return err },
			func() error { _, err := s.FindOperator(ctx, ""); return err },
			func() error { _, err := s.FindOperatorByName(ctx, ""); return err },
			func() error { _, err := s.FindTokenByHash(ctx, ""); return err },
			func() error { _, err := s.FindTokenByName(ctx, ""); return err },
			func() error { _, err := s.FindAnswer(ctx, "", ""); return err },
		}
		for i, find := range finds {
			if err := find(); models.KindOf(err) != models.KindNotFound {
				t.Errorf("find %d by nothing: got %v, want NotFound", i, err)
			}
		}
	})
}

func TestCertificateFilters(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		reserved, valid, expired, revoked := newCertificate("reserved"), newCertificate("valid"), newCertificate("expired"), newCertificate("revoked")
		expired.NotAfter = later(-time.Hour)
		valid.Kind, valid.DeviceID, valid.DomainID = models.CertificateDomainCredential, "device2", "domain2"
		expired.Kind = models.CertificateCA
		write(t, s, func(tx *store.Tx) error { _, err := tx.ReserveCertificate(reserved); return err })
		for _, c := range []*models.Certificate{valid, expired, revoked} {
			issued(t, s, c)
		}
		write(t, s, func(tx *store.Tx) error { return tx.RevokeCertificate(revoked.ID, "superseded", later(0)) })
		for name, tt := range map[string]struct {
			filter store.CertificateFilter
			want   string
		}{
			"all":                  {store.CertificateFilter{}, "expired reserved valid revoked"},
			"status reserved":      {store.CertificateFilter{Status: store.StatusReserved}, "reserved"},
			"status valid":         {store.CertificateFilter{Status: store.StatusValid, Now: later(0)}, "valid"},
			"status expired":       {store.CertificateFilter{Status: store.StatusExpired, Now: later(0)}, "expired"},
			"status revoked":       {store.CertificateFilter{Status: store.StatusRevoked}, "revoked"},
			"valid years before":   {store.CertificateFilter{Status: store.StatusValid, Now: later(-9999 * time.Hour)}, "expired valid"},
			"expires before":       {store.CertificateFilter{ExpiresBefore: later(0)}, "expired"},
			"kind of a device":     {store.CertificateFilter{Kind: models.CertificateDomainCredential}, "valid"},
			"kind CA":              {store.CertificateFilter{Kind: models.CertificateCA}, "expired"},
			"serial of any issuer": {store.CertificateFilter{Serial: revoked.Serial}, "revoked"},
			"device and domain":    {store.CertificateFilter{DeviceID: "device2", DomainID: "domain2"}, "valid"},
			"device elsewhere":     {store.CertificateFilter{DeviceID: "device2", DomainID: "domain"}, ""},
		} {
			got := pages(t, func(c models.Certificate) string { return c.RequestKey }, func(p store.Page) ([]models.Certificate, string, error) {
				tt.filter.Page = p
				return s.ListCertificates(background, tt.filter)
			})
			if got != tt.want {
				t.Errorf("%s: got %q, want %q", name, got, tt.want)
			}
		}
		_, _, err := s.ListCertificates(background, store.CertificateFilter{Status: "good"})
		wantKind(t, err, models.KindInvalid)
	})
}

func TestUnfinishedRequests(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		for i, state := range []models.RequestState{models.RequestReceived, models.RequestIssued, models.RequestWaiting, models.RequestFailed,
			models.RequestApproved, models.RequestReserved, models.RequestWithdrawn} {
			r := newRequest(fmt.Sprint(i))
			r.State = state
			write(t, s, func(tx *store.Tx) error { _, err := tx.InsertRequest(r); return err })
		}
		var keys string
		for after := models.RequestID(""); ; {
			rows := must[[]models.Request](t)(s.UnfinishedRequests(background, after, 3))
			for _, r := range rows {
				keys += r.Key
				after = r.ID
			}
			if len(rows) < 3 {
				break
			}
		}
		if keys != "0245" {
			t.Errorf("unfinished are %s, want 0245", keys)
		}
	})
}
