// SPDX-License-Identifier: MIT

package operations

import (
	"context"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

// ListRegistrations lists the registrations that the caller sees, by name.
func (o *Operations) ListRegistrations(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.Registration], error) {
	if err := auth.Authorize(who.Principal, auth.ReadRegistrations); err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	convert := func(r *models.Registration) (api.Registration, error) { return wireRegistration(ctx, names, r) }
	if !who.Limited() {
		rows, next, err := o.store.ListRegistrations(ctx, pageOf(q))
		if err != nil {
			return nil, err
		}
		return wirePage(rows, next, convert)
	}
	domains, err := scope(ctx, o.store.Queries, who)
	if err != nil {
		return nil, err
	}
	visible := map[string]models.Registration{}
	var all []string
	for _, id := range domains {
		rows, err := o.store.RegistrationsOfDomain(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			visible[r.Name], all = r, append(all, r.Name)
		}
	}
	some, next, err := sliceNames(all, q)
	if err != nil {
		return nil, err
	}
	return wirePage(some, next, func(name *string) (api.Registration, error) {
		row := visible[*name]
		return convert(&row)
	})
}

// registrationNamed finds a registration that the caller sees.
func registrationNamed(ctx context.Context, q reader, who Caller, name string) (*models.Registration, error) {
	row, err := q.FindRegistration(ctx, name)
	if err != nil {
		return nil, found(err, "registration", name)
	}
	_, err = inScope(ctx, q, who, row.DomainID, "registration", name)
	return row, err
}

// FindRegistration returns a registration.
func (o *Operations) FindRegistration(ctx context.Context, who Caller, name string) (*api.Registration, error) {
	if err := auth.Authorize(who.Principal, auth.ReadRegistrations); err != nil {
		return nil, err
	}
	row, err := registrationNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	out, err := wireRegistration(ctx, newNames(o.store.Queries), row)
	return &out, err
}

// CreateRegistration adds a registration.
func (o *Operations) CreateRegistration(ctx context.Context, who Caller, in api.RegistrationCreation) (*api.Registration, error) {
	if err := auth.Authorize(who.Principal, auth.WriteRegistrations); err != nil {
		return nil, err
	}
	if err := models.CheckName("registration", in.Name); err != nil {
		return nil, err
	}
	if in.SerialPattern == "" {
		return nil, models.Errorf(models.KindInvalid, "serial_pattern is missing; .+ matches every serial number")
	}
	if _, err := policy.MatchRegistration(in.SerialPattern, ""); err != nil {
		return nil, err
	}
	if in.Match == "" {
		in.Match = models.MatchSerialNumber
	}
	if err := oneOf("match", in.Match, models.RegistrationMatches); err != nil {
		return nil, err
	}
	row := &models.Registration{
		ID: models.NewID[models.RegistrationID](), Name: in.Name, TruststoreName: in.Truststore, Match: in.Match, SerialPattern: in.SerialPattern,
	}
	err := o.write(ctx, func(tx *store.Tx) error {
		domain, err := domainNamed(ctx, tx.Queries, who, in.Domain)
		if err != nil {
			return err
		}
		row.DomainID = domain.ID
		if _, err := truststoreNamed(ctx, tx.Queries, who, in.Truststore); err != nil {
			return err
		}
		if err := tx.InsertRegistration(row); err != nil {
			return err
		}
		return tx.Audit(registrationEvent(who, "registration.created", row))
	})
	if err != nil {
		return nil, err
	}
	out, err := wireRegistration(ctx, newNames(o.store.Queries), row)
	return &out, err
}

// DeleteRegistration removes a registration; devices that it created stay.
func (o *Operations) DeleteRegistration(ctx context.Context, who Caller, name string) error {
	if err := auth.Authorize(who.Principal, auth.WriteRegistrations); err != nil {
		return err
	}
	return o.write(ctx, func(tx *store.Tx) error {
		row, err := registrationNamed(ctx, tx.Queries, who, name)
		if err != nil {
			return err
		}
		if err := tx.DeleteRegistration(name); err != nil {
			return err
		}
		return tx.Audit(registrationEvent(who, "registration.deleted", row))
	})
}

func registrationEvent(who Caller, action string, row *models.Registration) models.Event {
	event := who.event(action, "registration", string(row.ID), "name", row.Name, "truststore", row.TruststoreName,
		"match", string(row.Match), "serial_pattern", row.SerialPattern)
	event.DomainID = row.DomainID
	return event
}

func wireRegistration(ctx context.Context, names *names, r *models.Registration) (api.Registration, error) {
	domain, err := names.domain(ctx, r.DomainID)
	return api.Registration{
		ID: string(r.ID), Name: r.Name, Truststore: r.TruststoreName, Domain: domain, Match: r.Match, SerialPattern: r.SerialPattern, CreatedAt: r.CreatedAt,
	}, err
}
