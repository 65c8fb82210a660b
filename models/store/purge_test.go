// SPDX-License-Identifier: MIT

package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

const day = 24 * time.Hour

// purging is a domain whose certificates are kept for 30 days.
type purging struct {
	*store.Store
	t      *testing.T
	ca     *models.CA
	domain *models.Domain
	now    time.Time
}

func newPurging(t *testing.T, s *store.Store) *purging {
	p := &purging{Store: s, t: t, now: time.Now()}
	p.ca, p.domain = plant(t, s)
	p.domain.Retention = models.MinRetention
	write(t, s, func(tx *store.Tx) error { return tx.SaveDomain(p.domain) })
	return p
}

// expired adds a certificate that expired 31 days ago, of a request that was
// issued.
func (p *purging) expired(key string) *models.Certificate {
	p.t.Helper()
	cert := newCertificate(key)
	cert.DomainID, cert.NotBefore, cert.NotAfter = p.domain.ID, p.now.Add(-100*day), p.now.Add(-31*day)
	return p.issued(cert)
}

func (p *purging) issued(cert *models.Certificate) *models.Certificate {
	p.t.Helper()
	req := newRequest(cert.RequestKey)
	req.DomainID, req.State = cert.DomainID, models.RequestReserved
	write(p.t, p.Store, func(tx *store.Tx) error {
		if _, err := tx.InsertRequest(req); err != nil {
			return err
		}
		cert.RequestID = req.ID
		if _, err := tx.ReserveCertificate(cert); err != nil {
			return err
		}
		if _, err := tx.RecordCertificate(cert.ID, []byte("der "+cert.RequestKey), "fp "+cert.RequestKey); err != nil {
			return err
		}
		req.State, req.CertificateID = models.RequestIssued, cert.ID
		return tx.SaveRequest(req)
	})
	return must[*models.Certificate](p.t)(p.FindCertificate(background, cert.ID))
}

// exec changes rows behind the store's back.
func (p *purging) exec(format string, args ...any) {
	p.t.Helper()
	write(p.t, p.Store, func(tx *store.Tx) error { return tx.Exec(fmt.Sprintf(format, args...)) })
}

// crl publishes a CRL of the key.
func (p *purging) crl(at time.Time) {
	p.t.Helper()
	write(p.t, p.Store, func(tx *store.Tx) error {
		crl := &models.CRL{CAID: p.ca.ID, KeyID: "aa11"}
		if err := tx.InsertCRL(crl); err != nil {
			return err
		}
		crl.DER, crl.ThisUpdate, crl.NextUpdate = []byte("crl"), at, at.Add(7*day)
		return tx.SaveCRL(crl)
	})
}

func (p *purging) revoke(c *models.Certificate, reason models.RevocationReason, at time.Time) {
	p.t.Helper()
	write(p.t, p.Store, func(tx *store.Tx) error { return tx.RevokeCertificate(c.ID, reason, at) })
}

func (p *purging) order() store.PurgeOrder {
	return store.PurgeOrder{DomainID: p.domain.ID, Event: models.Event{Actor: "system"}}
}

func (p *purging) purge() int {
	p.t.Helper()
	return must[store.Purged](p.t)(p.Purge(background, p.order())).Count
}

// unfinished adds a request that waits.
func (p *purging) unfinished(change func(*models.Request)) {
	p.t.Helper()
	req := newRequest("waits")
	change(req)
	write(p.t, p.Store, func(tx *store.Tx) error { _, err := tx.InsertRequest(req); return err })
}

func TestWhichCertificatesArePurged(t *testing.T) {
	t.Parallel()
	type made = *models.Certificate
	var cases []func(*testing.T, *store.Store)
	for name, c := range map[string]struct {
		prepare func(p *purging, c made)
		kept    bool
	}{
		"one that expired before the retention": {func(*purging, made) {}, false},
		"one that was imported":                 {func(p *purging, c made) { p.exec("UPDATE certificates SET origin = 'imported', request_id = ''") }, false},
		"one that expired within the retention": {func(p *purging, _ made) { p.retain(models.Duration(32 * day)) }, true},
		"one of a domain without a rule":        {func(p *purging, _ made) { p.retain(0) }, true},
		"one of another domain":                 {func(p *purging, _ made) { p.exec("UPDATE certificates SET domain_id = 'another'") }, true},
		"one of no domain":                      {func(p *purging, _ made) { p.exec("UPDATE certificates SET domain_id = ''") }, true},
		"that of a CA":                          {func(p *purging, _ made) { p.exec("UPDATE certificates SET kind = 'ca'") }, true},
		"one that was only reserved":            {func(p *purging, _ made) { p.exec("UPDATE certificates SET state = 'reserved'") }, true},
		"one without its bytes":                 {func(p *purging, _ made) { p.exec("UPDATE certificates SET der = NULL") }, true},
		"a revoked one that no CRL has listed":  {func(p *purging, c made) { p.revoke(c, "superseded", p.now.Add(-40*day)) }, true},
		"a revoked one whose latest CRL was made while it was valid": {func(p *purging, c made) {
			p.revoke(c, "superseded", p.now.Add(-40*day))
			p.crl(p.now.Add(-32 * day))
		}, true},
		"a revoked one that a CRL listed after its end": {func(p *purging, c made) {
			p.revoke(c, "superseded", p.now.Add(-40*day))
			p.crl(p.now.Add(-32 * day))
			p.crl(p.now.Add(-30 * day))
		}, false},
		"one revoked after its end, and no CRL since": {func(p *purging, c made) {
			p.crl(p.now.Add(-30 * day))
			p.revoke(c, "superseded", p.now.Add(-10*day))
		}, true},
		"one revoked while the CRL was made": {func(p *purging, c made) {
			p.revoke(c, "superseded", p.now.Add(-10*day))
			p.crl(p.now.Add(-10 * day).Add(30 * time.Second))
		}, true},
		"one revoked after its end, and a CRL since": {func(p *purging, c made) {
			p.revoke(c, "superseded", p.now.Add(-10*day))
			p.crl(p.now.Add(-9 * day))
		}, false},
		"one whose CRL is only intended": {func(p *purging, c made) {
			p.revoke(c, "superseded", p.now.Add(-40*day))
			write(p.t, p.Store, func(tx *store.Tx) error {
				return tx.InsertCRL(&models.CRL{CAID: p.ca.ID, KeyID: "aa11", ThisUpdate: p.now, NextUpdate: p.now})
			})
		}, true},
		"one whose key was compromised": {func(p *purging, c made) { p.revoke(c, "keyCompromise", p.now.Add(-40*day)); p.crl(p.now) }, true},
		"one on hold":                   {func(p *purging, c made) { p.revoke(c, "certificateHold", p.now.Add(-40*day)); p.crl(p.now) }, true},
		"one that a waiting request replaces": {func(p *purging, c made) {
			p.unfinished(func(r *models.Request) { r.PredecessorID = c.ID })
		}, true},
		"one that proved who asks": {func(p *purging, c made) {
			p.unfinished(func(r *models.Request) { r.AuthSubject = c.Fingerprint })
		}, true},
		"one whose own request has not ended": {func(p *purging, _ made) {
			p.exec("UPDATE requests SET state = 'reserved', certificate_id = ''")
		}, true},
		"one that a request replaced, which has ended": {func(p *purging, c made) {
			p.unfinished(func(r *models.Request) { r.PredecessorID, r.State = c.ID, models.RequestRejected })
		}, false},
		"one whose key waits for its delivery": {func(p *purging, c made) { p.delivery(c, false) }, true},
		"one that waits for its confirmation": {func(p *purging, c made) {
			write(p.t, p.Store, func(tx *store.Tx) error {
				return tx.InsertCMPTransaction(&models.CMPTransaction{ID: "t", State: models.CMPOpen, RequestID: c.RequestID})
			})
		}, true},
		"one whose key was delivered": {func(p *purging, c made) { p.delivery(c, true) }, false},
		"one that replaced a certificate in force": {func(p *purging, c made) {
			old := newCertificate("old")
			old.NotBefore, old.NotAfter = p.now.Add(-100*day), p.now.Add(100*day)
			p.exec("UPDATE certificates SET predecessor_id = '%s'", p.issued(old).ID)
		}, true},
		"one that replaced a certificate which has expired": {func(p *purging, c made) {
			old := newCertificate("old")
			old.NotBefore, old.NotAfter = p.now.Add(-100*day), p.now.Add(-day)
			p.exec("UPDATE certificates SET predecessor_id = '%[1]s' WHERE id <> '%[1]s'", p.issued(old).ID)
		}, false},
	} {
		cases = append(cases, func(t *testing.T, s *store.Store) {
			t.Run(name, func(t *testing.T) {
				p := emptied(t, s)
				cert := p.expired("k1")
				c.prepare(p, cert)
				p.domain = must[*models.Domain](t)(s.FindDomain(background, p.domain.ID))
				rule := store.PurgeRule{DomainID: p.domain.ID, Retention: p.domain.Retention, Now: time.Now()}
				if rule.Retention > 0 { // the preview says the same
					rows, _ := must2[[]models.Certificate, string](t)(s.ListPurgeable(background, rule, store.Page{}))
					if n := must[int](t)(s.CountPurgeable(background, rule)); (n == 0) != c.kept || len(rows) != n {
						t.Errorf("the preview has %d, and lists %d; kept is %v", n, len(rows), c.kept)
					}
				}
				n := p.purge()
				_, err := s.FindCertificate(background, cert.ID)
				_, buried := s.FindTombstone(background, cert.ID)
				if c.kept && (n != 0 || err != nil || models.KindOf(buried) != models.KindNotFound) {
					t.Errorf("it was purged: %d, %v, %v", n, err, buried)
				}
				if !c.kept && (n != 1 || models.KindOf(err) != models.KindNotFound || buried != nil) {
					t.Errorf("it was kept: %d, %v, %v", n, err, buried)
				}
			})
		})
	}
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		for _, run := range cases {
			run(t, s)
		}
	})
}

// emptied is newPurging on a store that had another one: to make a database
// takes longer than a case.
func emptied(t *testing.T, s *store.Store) *purging {
	for _, table := range []string{"tombstones", "cmp_transactions", "sealed_keys", "deliveries", "crls", "certificates", "requests", "domains", "cas"} {
		write(t, s, func(tx *store.Tx) error { return tx.Exec("DELETE FROM " + table) })
	}
	return newPurging(t, s)
}

func must2[A, B any](t testing.TB) func(A, B, error) (A, B) {
	return func(a A, b B, err error) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

func (p *purging) retain(d models.Duration) {
	p.t.Helper()
	p.domain.Retention = d
	write(p.t, p.Store, func(tx *store.Tx) error { return tx.SaveDomain(p.domain) })
}

func (p *purging) delivery(c *models.Certificate, settled bool) {
	p.t.Helper()
	write(p.t, p.Store, func(tx *store.Tx) error {
		return tx.InsertDelivery(&models.Delivery{State: models.DeliveryWaiting, Channel: models.DeliverToOperator, DeviceID: c.DeviceID, RequestID: c.RequestID, Settled: settled}, []byte("sealed"))
	})
}

func TestWhatIsLeftOfAPurgedCertificate(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		p := newPurging(t, s)
		cert := p.expired("k1")
		write(t, s, func(tx *store.Tx) error {
			if err := tx.ClaimNames(cert, []string{"press-01.example"}); err != nil {
				return err
			}
			return tx.SaveAnnotation(&models.Annotation{Noun: "certificate", SubjectID: string(cert.ID), Metadata: map[string]string{"a": "b"}})
		})
		order := p.order()
		order.Event = models.Event{Actor: "operator:alice", Address: "192.0.2.7", Details: map[string]string{"token": "t"}}
		if got := must[store.Purged](t)(s.Purge(background, order)); got != (store.Purged{Count: 1}) {
			t.Fatalf("%+v", got)
		}
		if n := p.purge(); n != 0 {
			t.Errorf("a second call purged %d", n)
		}
		stone := must[*models.Tombstone](t)(s.FindTombstone(background, cert.ID))
		same(t, must[*models.Tombstone](t)(s.FindTombstoneByRequestKey(background, "k1")), stone)
		same(t, must[*models.Tombstone](t)(s.FindTombstoneBySerial(background, cert.IssuerKeyID, cert.Serial)), stone)
		same(t, must[*models.Tombstone](t)(s.FindTombstoneByFingerprint(background, cert.Fingerprint)), stone)
		purgedAt := stone.PurgedAt
		stone.PurgedAt = time.Time{}
		same(t, stone, &models.Tombstone{ID: cert.ID, RequestKey: "k1", RequestID: cert.RequestID, Kind: cert.Kind, IssuerCAID: cert.IssuerCAID, IssuerKeyID: cert.IssuerKeyID,
			Serial: cert.Serial, TBSSHA256: "d1", Fingerprint: cert.Fingerprint, SPKISHA256: "d2", DomainID: cert.DomainID, DeviceID: cert.DeviceID, Subject: cert.Subject,
			NotAfter: cert.NotAfter, Origin: models.CertificateMade})
		if time.Since(purgedAt) > time.Hour {
			t.Errorf("purged at %s", purgedAt)
		}
		for table, condition := range map[string]string{"claims": "1 = 1", "annotations": "1 = 1", "certificates": "1 = 1"} {
			if n := lines(t, s, "SELECT CAST(COUNT(*) AS TEXT) FROM "+table+" WHERE "+condition); n[0] != "0" {
				t.Errorf("%s rows are left in %s", n[0], table)
			}
		}
		events, _ := must2[[]models.Event, string](t)(s.ListEvents(background, store.EventFilter{Action: "certificate.purged"}))
		if len(events) != 1 || events[0].SubjectID != string(cert.ID) || events[0].DeviceID != cert.DeviceID || events[0].DomainID != p.domain.ID || events[0].RequestID != cert.RequestID ||
			events[0].Actor != "operator:alice" || events[0].Address != "192.0.2.7" || events[0].Details["serial"] != cert.Serial || events[0].Details["retention"] != "30d" || events[0].Details["token"] != "t" {
			t.Errorf("events %+v", events)
		}
	})
}

// TestAPurgeGoesOnWhereItWasStopped ends a purge between two batches, and
// within one.
func TestAPurgeGoesOnWhereItWasStopped(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		p := newPurging(t, s)
		const all = 2*store.PurgeBatch + 50
		write(t, s, func(tx *store.Tx) error {
			for i := range all {
				cert := newCertificate(fmt.Sprint(i))
				cert.DomainID, cert.RequestID, cert.NotAfter = p.domain.ID, "", p.now.Add(-31*day-time.Duration(i/3)*time.Second)
				if _, err := tx.ReserveCertificate(cert); err != nil {
					return err
				}
				if _, err := tx.RecordCertificate(cert.ID, []byte("der"), "fp "+cert.RequestKey); err != nil {
					return err
				}
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		order := p.order()
		order.Done = func(int) { cancel() }
		got, err := s.Purge(ctx, order)
		if err == nil || got.Count != store.PurgeBatch {
			t.Fatalf("stopped after the first batch: %+v, %v", got, err)
		}
		p.counted(all-store.PurgeBatch, store.PurgeBatch)

		// The process dies in the middle of a batch.
		order.Done = nil
		died := func() (err error) {
			defer func() { err = errors.Join(err, fmt.Errorf("%v", recover())) }()
			return s.Write(background, func(tx *store.Tx) error {
				if err := tx.Exec("DELETE FROM certificates WHERE request_key < '3'"); err != nil {
					return err
				}
				panic("killed")
			})
		}
		if died() == nil {
			t.Error("it lived")
		}
		p.counted(all-store.PurgeBatch, store.PurgeBatch)

		order.Limit = store.PurgeBatch + 10
		if got := must[store.Purged](t)(s.Purge(background, order)); got != (store.Purged{Count: store.PurgeBatch + 10, More: true}) {
			t.Errorf("with a limit: %+v", got)
		}
		if n := p.purge(); n != 40 {
			t.Errorf("the rest were %d", n)
		}
		p.counted(0, all)
	})
}

// counted checks how many certificates and tombstones there are, and that each
// tombstone has one event.
func (p *purging) counted(certificates, stones int) {
	p.t.Helper()
	want := fmt.Sprint([]string{fmt.Sprint(certificates), fmt.Sprint(stones), fmt.Sprint(stones)})
	got := fmt.Sprint(slices.Concat(lines(p.t, p.Store, "SELECT CAST(COUNT(*) AS TEXT) FROM certificates"), lines(p.t, p.Store, "SELECT CAST(COUNT(*) AS TEXT) FROM tombstones"),
		lines(p.t, p.Store, "SELECT CAST(COUNT(DISTINCT subject_id) AS TEXT) FROM events WHERE action = 'certificate.purged'")))
	if got != want {
		p.t.Errorf("certificates, tombstones, events: %s, want %s", got, want)
	}
}

// TestPurgesAtTheSameMoment runs several beside requests that replace one of
// the certificates: each is either purged or the predecessor of a request
// that was there first, and nothing is purged twice.
func TestPurgesAtTheSameMoment(t *testing.T) {
	t.Parallel()
	fixture.Stores(t, func(t *testing.T, s *store.Store) {
		p := newPurging(t, s)
		const all = 60
		certs := make([]*models.Certificate, all)
		for i := range certs {
			certs[i] = p.expired(fmt.Sprint(i))
		}
		var mu sync.Mutex
		count := 0
		together(8, func(i int) {
			if i < 3 {
				got, err := s.Purge(background, p.order())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				count += got.Count
				mu.Unlock()
				return
			}
			for n := i; n < all; n += 8 {
				err := s.Write(background, func(tx *store.Tx) error {
					if _, err := tx.FindCertificate(background, certs[n].ID); err != nil {
						return err
					}
					req := newRequest("renews " + certs[n].RequestKey)
					req.PredecessorID = certs[n].ID
					_, err := tx.InsertRequest(req)
					return err
				})
				if err != nil && models.KindOf(err) != models.KindNotFound {
					t.Error(err)
				}
			}
		})
		left, _ := must2[[]models.Certificate, string](t)(s.ListCertificates(background, store.CertificateFilter{Page: store.Page{Limit: all}}))
		p.counted(all-count, count)
		for _, c := range left {
			if _, err := s.FindRequestByKey(background, "renews "+c.RequestKey); err != nil {
				t.Errorf("certificate %s is neither purged nor needed: %v", c.ID, err)
			}
		}
	})
}
