// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/x509"
	"encoding/json/jsontext"
	"fmt"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
	"github.com/trustloom/trustloom/models/policy"
)

// TryProfile says what would be issued for a request, and why, by the code
// that issues. It changes nothing.
func (o *Operations) TryProfile(ctx context.Context, who Caller, in api.ProfileTrial) (*api.ProfileVerdict, error) {
	if err := auth.Authorize(who.Principal, auth.ReadProfiles); err != nil {
		return nil, err
	}
	t := &trial{o: o, who: who, in: in}
	if err := t.read(ctx); err != nil {
		return nil, err
	}
	body, err := pki.DecodeCSR([]byte(in.CSR))
	if err != nil {
		return nil, err
	}
	if t.csr, err = pki.ParseCSR(body); err != nil {
		return nil, err
	}
	verdict, err := t.verdict(ctx)
	switch models.KindOf(err) {
	case models.KindDenied, models.KindInvalid:
		if err != nil {
			return &api.ProfileVerdict{Refusal: models.PublicText(err), Reasons: t.notes, Door: t.door}, nil
		}
	}
	return verdict, err
}

// trial is one request that is tried out.
type trial struct {
	o       *Operations
	who     Caller
	in      api.ProfileTrial
	csr     *pki.CSR
	device  *models.Device
	domain  *models.Domain
	ca      *models.CA
	profile *policy.Profile
	name    string // of the stored profile
	renewed *models.Certificate
	door    string
	notes   []string
}

// exampleDevice stands for a device where none is named.
func exampleDevice(domain *models.Domain) *models.Device {
	return &models.Device{
		ID: models.NewID[models.DeviceID](), Name: "example-01", SerialNumber: "4711", DomainID: domain.ID, State: models.DeviceOnboarded,
	}
}

// read finds the rows that a trial names.
func (t *trial) read(ctx context.Context) (err error) {
	q := t.o.store.Queries
	if t.in.Device != "" {
		if t.device, _, err = deviceNamed(ctx, q, t.who, t.in.Device); err != nil {
			return err
		}
	}
	switch {
	case t.in.Domain != "":
		t.domain, err = domainNamed(ctx, q, t.who, t.in.Domain)
	case t.device != nil:
		t.domain, err = q.FindDomain(ctx, t.device.DomainID)
	default:
		err = models.Errorf(models.KindInvalid, "name a device, or a domain: its CA would issue the certificate")
	}
	if err != nil {
		return err
	}
	if t.device == nil {
		t.device = exampleDevice(t.domain)
		t.notes = append(t.notes, "tried for an example device, example-01 with the serial number 4711")
	}
	if t.ca, err = q.FindCA(ctx, t.domain.IssuingCAID); err != nil {
		return err
	}
	if t.in.Renews != "" {
		if t.renewed, err = certificateWith(ctx, q, t.who, t.in.Renews); err != nil {
			return err
		}
	}
	return t.readProfile(ctx)
}

func (t *trial) readProfile(ctx context.Context) error {
	document := []byte(t.in.Document)
	switch {
	case (t.in.Profile == "") == (len(document) == 0):
		return models.Errorf(models.KindInvalid, "give either the name of a profile or a document")
	case len(document) > maxProfileDocument:
		return models.Errorf(models.KindInvalid, "the profile document is longer than %d bytes", maxProfileDocument)
	}
	if t.in.Profile != "" {
		row, err := profileNamed(ctx, t.o.store.Queries, t.who, t.domain.ProfileNamed(t.in.Profile), 0)
		if err != nil {
			return err
		}
		document, t.name = row.Document, row.Name
	}
	var err error
	t.profile, err = policy.ParseProfile(document)
	return err
}

// verdict makes the draft that would be signed and asks what the database has
// to say about it.
func (t *trial) verdict(ctx context.Context) (*api.ProfileVerdict, error) {
	t.askDoor()
	issuer, err := x509.ParseCertificate(t.ca.CertificateDER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of CA %s: %w", t.ca.Name, err)
	}
	path, err := t.o.pathAbove(ctx, t.ca)
	if err != nil {
		return nil, err
	}
	application := policy.Application{
		CSR: t.csr, Who: policy.Subject{Device: *t.device, Domain: *t.domain}, Now: t.o.now(), NotBefore: t.in.NotBefore, NotAfter: t.in.NotAfter,
	}
	row := &models.Certificate{DomainID: t.domain.ID, DeviceID: t.device.ID, ProfileName: t.name}
	if t.renewed != nil {
		row.PredecessorID = t.renewed.ID
		if application.Predecessor, err = x509.ParseCertificate(t.renewed.DER); err != nil {
			return nil, models.Errorf(models.KindConflict, "certificate %s is not issued yet", t.renewed.ID).Because(err)
		}
	}
	draft, err := policy.NewDraft(t.o.builder, policy.Case{
		Application: application, Profile: t.profile, CA: t.ca, Issuer: issuer, Path: path, PublicURL: t.o.publicURL,
	})
	if err != nil {
		return nil, err
	}
	if err := t.o.store.CheckNames(ctx, row, draft.Limits.Claims); err != nil {
		return nil, err
	}
	if err := t.o.store.CheckActive(ctx, row, draft.Limits.MaximumActive); err != nil {
		return nil, err
	}
	return t.issued(draft)
}

// askDoor notes why the device would not be let in as things are.
func (t *trial) askDoor() {
	if t.in.Device == "" || t.name == "" {
		return
	}
	a := policy.Admission{
		Kind: models.KindEnrollment, Method: models.AuthDomainCredential, Device: t.device, Domain: t.domain, CA: t.ca,
		ProfileName: t.name, ProfileType: t.profile.Type(), Predecessor: t.renewed, Now: t.o.now(),
	}
	switch {
	case t.renewed != nil:
		a.Kind, a.Method = models.KindRenewal, models.AuthPredecessor
	case t.profile.Type() == policy.TypeDomain:
		a.Kind, a.Method = models.KindOnboarding, models.AuthPassword
	}
	if decision := policy.Decide(a); decision.Outcome == models.OutcomeRefuse {
		t.door = decision.Reasons[0]
	}
}

func (t *trial) issued(draft *policy.Draft) (*api.ProfileVerdict, error) {
	out := &api.ProfileVerdict{
		Issued: true, Reasons: append(append([]string{}, t.notes...), draft.Reasons...), Door: t.door, Subject: policy.SubjectText(draft.Template.RawSubject),
		SANs: pki.SANs(draft.Template), NotBefore: models.UTC(draft.Template.NotBefore), NotAfter: models.UTC(draft.Template.NotAfter),
	}
	extensions, err := draft.Extensions()
	for _, e := range extensions {
		out.Extensions = append(out.Extensions, api.ProfileExtension(e))
	}
	return out, err
}

// ProfileSchema returns the JSON Schema of profile documents.
func (o *Operations) ProfileSchema(_ context.Context, who Caller) (*jsontext.Value, error) {
	if err := auth.Authorize(who.Principal, auth.ReadProfiles); err != nil {
		return nil, err
	}
	schema := jsontext.Value(policy.Schema())
	return &schema, nil
}

// ConvertProfile converts the document of another product. It stores nothing.
func (o *Operations) ConvertProfile(_ context.Context, who Caller, in api.ProfileConversion) (*api.ConvertedProfile, error) {
	if err := auth.Authorize(who.Principal, auth.ReadProfiles); err != nil {
		return nil, err
	}
	if in.Format != "trustpoint" {
		return nil, models.Errorf(models.KindInvalid, "format %q is not known; known is trustpoint", in.Format)
	}
	c, err := policy.FromTrustpoint(in.Document)
	if err != nil {
		return nil, err
	}
	return &api.ConvertedProfile{Document: c.Document, Notes: append([]string{}, c.Notes...), Lost: append([]string{}, c.Lost...)}, nil
}
