// SPDX-License-Identifier: MIT

package bench

import (
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// choice is one value of one filter: its name, and how to set it. No name is
// no filter.
type choice struct {
	name string
	set  func(f *store.CertificateFilter, now time.Time)
}

// listFilter is a combination of choices.
type listFilter []choice

func (l listFilter) String() string {
	var names []string
	for _, c := range l {
		if c.name != "" {
			names = append(names, c.name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (l listFilter) filter(now time.Time) (f store.CertificateFilter) {
	for _, c := range l {
		if c.name != "" {
			c.set(&f, now)
		}
	}
	return f
}

// The choices of `GET /api/v1/certificates`. Whoever adds a filter to
// store.CertificateFilter adds it to one of them; a test compares the names.
var (
	ofWhom = []choice{
		{},
		{"domain", func(f *store.CertificateFilter, _ time.Time) { f.DomainID = fillDomain(3) }},
		{"domain with revoked ones only", func(f *store.CertificateFilter, _ time.Time) { f.DomainID = fillDomain(store.FillDomains - 1) }},
		{"domain without any", func(f *store.CertificateFilter, _ time.Time) { f.DomainID = "none" }},
		{"3 domains of a token", func(f *store.CertificateFilter, _ time.Time) {
			f.Domains = []models.DomainID{fillDomain(3), fillDomain(store.FillDomains - 1), "none"}
		}},
		{"device", func(f *store.CertificateFilter, _ time.Time) { f.DeviceID = fillDevice }},
		{"device and domain", func(f *store.CertificateFilter, _ time.Time) { f.DeviceID, f.DomainID = fillDevice, fillDomain(1) }},
	}
	inState = []choice{
		{},
		statusIs(store.StatusReserved), statusIs(store.StatusValid), statusIs(store.StatusExpired), statusIs(store.StatusRevoked),
	}
	ofWhatKind = []choice{
		{},
		{"origin=issued", func(f *store.CertificateFilter, _ time.Time) { f.Origin = models.CertificateMade }},
		{"origin=imported", func(f *store.CertificateFilter, _ time.Time) { f.Origin = models.CertificateImported }},
		{"kind=application", func(f *store.CertificateFilter, _ time.Time) { f.Kind = models.CertificateApplication }},
		{"kind=ca", func(f *store.CertificateFilter, _ time.Time) { f.Kind = models.CertificateCA }},
		{"serial", func(f *store.CertificateFilter, _ time.Time) { f.Serial = "00" }},
	}
	untilWhen = []choice{
		{},
		{"expires_before=past", func(f *store.CertificateFilter, now time.Time) { f.ExpiresBefore = now.AddDate(-1, 0, 0) }},
		{"expires_before=now", func(f *store.CertificateFilter, now time.Time) { f.ExpiresBefore = now }},
		{"expires_before=later", func(f *store.CertificateFilter, now time.Time) { f.ExpiresBefore = now.AddDate(2, 0, 0) }},
	}
)

// fillDevice is one whose certificates are in the second domain.
var fillDevice = models.DeviceID(store.FillID("device", 4711))

func fillDomain(n int) models.DomainID { return models.DomainID(store.FillID("domain", n)) }

func statusIs(status string) choice {
	return choice{"status=" + status, func(f *store.CertificateFilter, _ time.Time) { f.Status = status }}
}

// listFilters are all combinations of the choices.
func listFilters() (list []listFilter) {
	for _, a := range ofWhom {
		for _, b := range inState {
			for _, c := range ofWhatKind {
				for _, d := range untilWhen {
					list = append(list, listFilter{a, b, c, d})
				}
			}
		}
	}
	return list
}
