// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

const maxGroups = 32 // of one device

// checkGroups returns the names of groups in order, each once.
func checkGroups(names []string) ([]string, error) {
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	if len(sorted) > maxGroups {
		return nil, models.Errorf(models.KindInvalid, "a device is in at most %d groups", maxGroups)
	}
	for _, name := range sorted {
		if err := models.CheckName("group", name); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}

// metadataFilter reads KEY=VALUE.
func metadataFilter(s string) (filter [2]string, err error) {
	if s == "" {
		return filter, nil
	}
	key, value, found := strings.Cut(s, "=")
	if !found || models.CheckName("metadata", key) != nil {
		return filter, models.Errorf(models.KindInvalid, "metadata %q is not of the form KEY=VALUE, the key being a name", s)
	}
	return [2]string{key, value}, nil
}

// merge returns metadata with a change applied, and whether it differs.
func merge(present map[string]string, change api.MetadataChange) (map[string]string, bool, error) {
	merged := maps.Clone(present)
	if merged == nil {
		merged = map[string]string{}
	}
	for key, text := range change {
		if text.Text == nil {
			delete(merged, key)
		} else {
			merged[key] = *text.Text
		}
	}
	return merged, !maps.Equal(present, merged), checkMetadata(merged)
}

// ChangeDevice changes the groups and the metadata of a device.
func (o *Operations) ChangeDevice(ctx context.Context, who Caller, name string, in api.DeviceChange) (*api.Device, error) {
	if in.Groups != nil && len(in.AddGroups)+len(in.RemoveGroups) > 0 {
		return nil, models.Errorf(models.KindInvalid, "groups replaces all of them; give it, or add_groups and remove_groups")
	}
	return o.changeDevice(ctx, who, name, "device.changed", func(tx *store.Tx, row *models.Device) (err error) {
		groups := slices.Concat(row.Groups, in.AddGroups)
		if in.Groups != nil {
			groups = slices.Clone(*in.Groups)
		}
		groups = slices.DeleteFunc(groups, func(g string) bool { return slices.Contains(in.RemoveGroups, g) })
		if row.Groups, err = checkGroups(groups); err != nil {
			return err
		}
		if row.Metadata, _, err = merge(row.Metadata, in.Metadata); err != nil {
			return err
		}
		return tx.IndexGroups(row)
	})
}

// AnnotateCertificate changes what is noted about a certificate.
func (o *Operations) AnnotateCertificate(ctx context.Context, who Caller, id string, in api.Annotating) (*api.Certificate, error) {
	if err := auth.Authorize(who.Principal, auth.WriteDevices); err != nil {
		return nil, err
	}
	var row *models.Certificate
	err := o.write(ctx, func(tx *store.Tx) (err error) {
		if row, err = certificateWith(ctx, tx.Queries, who, id); err != nil {
			return err
		}
		event := who.event("certificate.annotated", "certificate", id)
		event.DomainID, event.DeviceID, event.RequestID = row.DomainID, row.DeviceID, row.RequestID
		return annotate(ctx, tx, event, in)
	})
	if err != nil {
		return nil, err
	}
	return o.fullCertificate(ctx, row)
}

// AnnotateCA changes what is noted about a CA.
func (o *Operations) AnnotateCA(ctx context.Context, who Caller, name string, in api.Annotating) (*api.CA, error) {
	if err := auth.Authorize(who.Principal, auth.WriteCAs); err != nil {
		return nil, err
	}
	var row *models.CA
	err := o.write(ctx, func(tx *store.Tx) (err error) {
		if row, err = caNamed(ctx, tx.Queries, who, name); err != nil {
			return err
		}
		return annotate(ctx, tx, who.event("ca.annotated", "ca", string(row.ID), "name", name), in)
	})
	if err != nil {
		return nil, err
	}
	return o.fullCA(ctx, row)
}

// annotate changes the annotation of the subject of an event.
func annotate(ctx context.Context, tx *store.Tx, event models.Event, in api.Annotating) error {
	row, err := tx.FindAnnotation(ctx, event.Noun, event.SubjectID)
	if err != nil {
		return err
	}
	merged, differs, err := merge(row.Metadata, in.Metadata)
	if err != nil || !differs {
		return err
	}
	row.Metadata = merged
	if err := tx.SaveAnnotation(row); err != nil {
		return err
	}
	event.Details["keys"] = strings.Join(slices.Sorted(maps.Keys(in.Metadata)), " ")
	return tx.Audit(event)
}

// notes returns what is noted about a row.
func (o *Operations) notes(ctx context.Context, noun, id string) (map[string]string, error) {
	row, err := o.store.FindAnnotation(ctx, noun, id)
	if err != nil {
		return nil, err
	}
	return row.Metadata, nil
}
