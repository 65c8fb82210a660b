// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"encoding/json/jsontext"
	"fmt"
	"slices"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/policy"
	"github.com/trustloom/trustloom/models/store"
)

const maxProfileDocument = 64 << 10 // bytes

// ListProfiles lists the current versions of the profiles; a limited caller
// sees the shipped ones and those of its domains.
func (o *Operations) ListProfiles(ctx context.Context, who Caller, q api.PageQuery) (*api.Page[api.Profile], error) {
	if err := auth.Authorize(who.Principal, auth.ReadProfiles); err != nil {
		return nil, err
	}
	if !who.Limited() {
		rows, next, err := o.store.ListProfiles(ctx, pageOf(q))
		if err != nil {
			return nil, err
		}
		return wirePage(rows, next, wireProfile)
	}
	visible, err := profilesOf(ctx, o.store.Queries, who)
	if err != nil {
		return nil, err
	}
	some, next, err := sliceNames(visible, q)
	if err != nil {
		return nil, err
	}
	return wirePage(some, next, func(name *string) (api.Profile, error) {
		row, err := o.store.FindProfile(ctx, *name)
		if err != nil {
			return api.Profile{}, err
		}
		return wireProfile(row)
	})
}

// profilesOf returns the names of the profiles that a limited caller sees.
func profilesOf(ctx context.Context, q reader, who Caller) ([]string, error) {
	visible := shippedProfiles()
	for _, name := range who.Domains {
		domain, err := q.FindDomainByName(ctx, name)
		if err == nil {
			visible = append(visible, domain.Profiles...)
		} else if models.KindOf(err) != models.KindNotFound {
			return nil, err
		}
	}
	return visible, nil
}

// profileNamed finds a version of a profile that the caller sees; version 0 is
// the current one.
func profileNamed(ctx context.Context, q reader, who Caller, name string, version int) (*models.Profile, error) {
	if who.Limited() {
		visible, err := profilesOf(ctx, q, who)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(visible, name) {
			return nil, absent("profile", name)
		}
	}
	if version < 0 {
		return nil, models.Errorf(models.KindInvalid, "version %d is not a positive number", version)
	}
	if version > 0 {
		row, err := q.FindProfileVersion(ctx, name, version)
		return row, found(err, "profile", fmt.Sprintf("%s of version %d", name, version))
	}
	row, err := q.FindProfile(ctx, name)
	return row, found(err, "profile", name)
}

// FindProfile returns a version of a profile with its document.
func (o *Operations) FindProfile(ctx context.Context, who Caller, name string, q api.ProfileQuery) (*api.Profile, error) {
	if err := auth.Authorize(who.Principal, auth.ReadProfiles); err != nil {
		return nil, err
	}
	row, err := profileNamed(ctx, o.store.Queries, who, name, q.Version)
	if err != nil {
		return nil, err
	}
	return fullProfile(row)
}

// CreateProfile adds a profile.
func (o *Operations) CreateProfile(ctx context.Context, who Caller, in api.ProfileCreation) (*api.Profile, error) {
	if err := models.CheckName("profile", in.Name); err != nil {
		return nil, err
	}
	return o.addProfile(ctx, who, in.Name, in.Document, func(tx *store.Tx) error {
		_, err := tx.FindProfile(ctx, in.Name)
		if err == nil {
			return models.Errorf(models.KindConflict, "profile %s exists; PUT adds a version", in.Name)
		}
		return ifAbsent(err)
	})
}

// PutProfile adds a version to a profile. Certificates that exist keep naming
// the version they were issued under.
func (o *Operations) PutProfile(ctx context.Context, who Caller, name string, in api.ProfileVersion) (*api.Profile, error) {
	return o.addProfile(ctx, who, name, in.Document, func(tx *store.Tx) error {
		_, err := profileNamed(ctx, tx.Queries, who, name, 0)
		return err
	})
}

// ifAbsent turns a KindNotFound, which is what was hoped for, into nil.
func ifAbsent(err error) error {
	if models.KindOf(err) == models.KindNotFound {
		return nil
	}
	return err
}

func (o *Operations) addProfile(ctx context.Context, who Caller, name string, document jsontext.Value, check func(*store.Tx) error) (*api.Profile, error) {
	if err := auth.Authorize(who.Principal, auth.WriteProfiles); err != nil {
		return nil, err
	}
	if len(document) > maxProfileDocument {
		return nil, models.Errorf(models.KindInvalid, "the profile document is longer than %d bytes", maxProfileDocument)
	}
	if _, err := policy.ParseProfile(document); err != nil {
		return nil, err
	}
	row := &models.Profile{ID: models.NewID[models.ProfileID](), Name: name, Document: document}
	err := o.write(ctx, func(tx *store.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		if err := tx.InsertProfile(row); err != nil {
			return err
		}
		return tx.Audit(who.event("profile.saved", "profile", string(row.ID), "name", name, "version", fmt.Sprint(row.Version)))
	})
	if err != nil {
		return nil, err
	}
	return fullProfile(row)
}

func wireProfile(row *models.Profile) (api.Profile, error) {
	profile, err := policy.ParseProfile(row.Document)
	if err != nil {
		return api.Profile{}, fmt.Errorf("parse stored profile %s version %d: %w", row.Name, row.Version, models.Errorf(models.KindInternal, "stored profile").Because(err))
	}
	return api.Profile{
		Name: row.Name, Version: row.Version, Type: profile.Type(), DisplayName: profile.DisplayName(),
		Shipped: row.Shipped, CreatedAt: row.CreatedAt,
	}, nil
}

func fullProfile(row *models.Profile) (*api.Profile, error) {
	out, err := wireProfile(row)
	out.Document = jsontext.Value(row.Document)
	return &out, err
}
