// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// secretBytes is the length of a one-time secret before it is written as
// 32 characters of base32: 160 random bits need no slow hash.
const secretBytes = 20

// newSecret returns a one-time secret and the hash that is kept of it.
func newSecret() (secret string, hash []byte) {
	raw := make([]byte, secretBytes)
	rand.Read(raw) //nolint:errcheck // never fails since Go 1.24
	secret = strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
	sum := sha256.Sum256([]byte(secret))
	return secret, sum[:]
}

// ListDevices lists the devices that the caller sees, by name.
func (o *Operations) ListDevices(ctx context.Context, who Caller, f api.DeviceFilter) (*api.Page[api.Device], error) {
	if err := auth.Authorize(who.Principal, auth.ReadDevices); err != nil {
		return nil, err
	}
	filter := store.DeviceFilter{Page: pageOf(f.PageQuery), State: f.State}
	if err := checkState("device", models.DeviceTransitions, f.State); err != nil {
		return nil, err
	}
	var err error
	filter.Group = f.Group
	if filter.Metadata, err = metadataFilter(f.Metadata); err != nil {
		return nil, err
	}
	if filter.Domains, filter.DomainID, _, err = o.selected(ctx, who, f.Domain, ""); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListDevices(ctx, filter)
	if err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	return wirePage(rows, next, func(d *models.Device) (api.Device, error) {
		domain, err := names.domain(ctx, d.DomainID)
		return wireDevice(d, domain), err
	})
}

// checkState refuses a state that the noun does not have; none is any.
func checkState[S ~string](noun string, table models.Transitions[S], state S) error {
	if state == "" {
		return nil
	}
	for from, to := range table {
		for _, s := range append(to, from) {
			if s == state {
				return nil
			}
		}
	}
	return models.Errorf(models.KindInvalid, "%q is not a state of a %s", string(state), noun)
}

// deviceNamed finds a device that the caller sees, and the name of its domain.
func deviceNamed(ctx context.Context, q reader, who Caller, name string) (*models.Device, string, error) {
	row, err := q.FindDeviceByName(ctx, name)
	if err != nil {
		return nil, "", found(err, "device", name)
	}
	domain, err := inScope(ctx, q, who, row.DomainID, "device", name)
	return row, domain, err
}

// FindDevice returns a device.
func (o *Operations) FindDevice(ctx context.Context, who Caller, name string) (*api.Device, error) {
	if err := auth.Authorize(who.Principal, auth.ReadDevices); err != nil {
		return nil, err
	}
	row, domain, err := deviceNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	out := wireDevice(row, domain)
	if out.Quarantined, err = o.quarantined(ctx, who, row.ID); err != nil {
		return nil, err
	}
	return &out, o.relatives(ctx, who, row, &out)
}

// CreateDevice registers a device. With a password method the answer, and no later
// one, has the one-time secret.
func (o *Operations) CreateDevice(ctx context.Context, who Caller, in api.DeviceCreation) (*api.Device, error) {
	if err := auth.Authorize(who.Principal, auth.WriteDevices); err != nil {
		return nil, err
	}
	row, err := newDevice(in)
	if err != nil {
		return nil, err
	}
	secret := arm(row)
	err = o.write(ctx, func(tx *store.Tx) error {
		domain, err := domainNamed(ctx, tx.Queries, who, in.Domain)
		if err != nil {
			return err
		}
		if err := checkDoors(domain, row.Method); err != nil {
			return err
		}
		row.DomainID = domain.ID
		if err := settle(ctx, tx, who, row, in.Home); err != nil {
			return err
		}
		if err := tx.InsertDevice(row); err != nil {
			return err
		}
		if err := tx.IndexGroups(row); err != nil {
			return err
		}
		if row.Method == models.CMPSecret {
			if err := o.keepSecret(tx, row, secret); err != nil {
				return err
			}
		}
		return tx.Audit(deviceEvent(who, "device.registered", row))
	})
	if err != nil {
		return nil, err
	}
	out := wireDevice(row, in.Domain)
	out.Onboarding.Secret = secret
	return &out, nil
}

// newDevice validates what can be without the store.
func newDevice(in api.DeviceCreation) (*models.Device, error) {
	if err := models.CheckName("device", in.Name); err != nil {
		return nil, err
	}
	if err := checkSerialNumber(in.SerialNumber); err != nil {
		return nil, err
	}
	if err := oneOf("onboarding method", in.Onboarding.Method, models.OnboardingMethods); err != nil {
		return nil, err
	}
	if err := checkMetadata(in.Metadata); err != nil {
		return nil, err
	}
	groups, err := checkGroups(in.Groups)
	if err != nil {
		return nil, err
	}
	row := &models.Device{
		ID: models.NewID[models.DeviceID](), Name: in.Name, SerialNumber: in.SerialNumber, State: models.DeviceRegistered,
		Method: in.Onboarding.Method, Metadata: in.Metadata, Groups: groups,
	}
	if in.IDevIDSHA256 == "" {
		return row, nil
	}
	if !row.Method.HasIDevID() {
		return nil, models.Errorf(models.KindInvalid, "idevid_sha256 goes with the onboarding methods %s and %s only", models.ESTIDevID, models.CMPIDevID)
	}
	row.IDevIDSHA256, err = parseDigest("idevid_sha256", in.IDevIDSHA256)
	return row, err
}

// arm lets a device be onboarded by its method and returns the secret for
// that, if the method has one. What was armed before is void. Of a secret that
// is kept sealed (keepSecret) the row has no hash.
func arm(row *models.Device) (secret string) {
	row.Epoch++
	row.SecretHash, row.SecretUsedBy, row.SecretUsedAt, row.OnboardedAt = nil, "", nil, nil
	if row.Method.HasSecret() {
		secret, row.SecretHash = newSecret()
	}
	if row.Method == models.CMPSecret {
		row.SecretHash = nil
	}
	return secret
}

// keepSecret keeps the new secret of a device sealed if its method needs it in
// the clear, and destroys the one before.
func (o *Operations) keepSecret(tx *store.Tx, row *models.Device, secret string) error {
	if row.Method != models.CMPSecret {
		return tx.PutDeviceSecret(row.ID, nil)
	}
	if o.sealer == nil {
		return models.Errorf(models.KindInvalid, "secrets for %s are not kept here", row.Method)
	}
	return tx.PutDeviceSecret(row.ID, o.sealer.Seal(models.SecretSeal(row.ID), []byte(secret)))
}

// ArmDevice lets a device be onboarded again, with a new secret and possibly
// by another method. Its certificates stay valid.
func (o *Operations) ArmDevice(ctx context.Context, who Caller, name string, in api.OnboardingArming) (*api.Device, error) {
	if in.Method != "" {
		if err := oneOf("onboarding method", in.Method, models.OnboardingMethods); err != nil {
			return nil, err
		}
	}
	var secret string
	out, err := o.changeDevice(ctx, who, name, "device.armed", func(tx *store.Tx, row *models.Device) error {
		if row.State == models.DeviceSuspended {
			return models.Errorf(models.KindConflict, "device %s is suspended; end that first", row.Name)
		}
		if row.State == models.DeviceOnboarding {
			return models.Errorf(models.KindConflict, "an onboarding of device %s is under way; withdraw its request first", row.Name)
		}
		if err := models.DeviceTransitions.Check("device "+row.Name, row.State, models.DeviceRegistered); err != nil {
			return err
		}
		if in.Method != "" {
			row.Method = in.Method
		}
		domain, err := tx.FindDomain(ctx, row.DomainID)
		if err != nil {
			return err
		}
		if err := checkDoors(domain, row.Method); err != nil {
			return err
		}
		row.State = models.DeviceRegistered
		secret = arm(row)
		return o.keepSecret(tx, row, secret)
	})
	if err != nil {
		return nil, err
	}
	out.Onboarding.Secret = secret
	return out, nil
}

// SuspendDevice refuses a device everything until it is resumed.
func (o *Operations) SuspendDevice(ctx context.Context, who Caller, name string) (*api.Device, error) {
	return o.changeDevice(ctx, who, name, "device.suspended", func(_ *store.Tx, row *models.Device) error {
		if row.State == models.DeviceSuspended {
			return models.Errorf(models.KindConflict, "device %s is suspended already", row.Name)
		}
		err := models.DeviceTransitions.Check("device "+row.Name, row.State, models.DeviceSuspended)
		row.State = models.DeviceSuspended
		return err
	})
}

// ResumeDevice ends the suspension of a device: it is again what it was, or
// what became of it meanwhile. An onboarding that still waits goes on, so that
// no other can be armed beside it.
func (o *Operations) ResumeDevice(ctx context.Context, who Caller, name string) (*api.Device, error) {
	return o.changeDevice(ctx, who, name, "device.resumed", func(tx *store.Tx, row *models.Device) error {
		if row.State != models.DeviceSuspended {
			return models.Errorf(models.KindConflict, "device %s is %s, not suspended", row.Name, row.State)
		}
		under, err := onboardingUnderWay(ctx, tx, row.ID)
		switch {
		case row.OnboardedAt != nil:
			row.State = models.DeviceOnboarded
		case under:
			row.State = models.DeviceOnboarding
		default:
			row.State = models.DeviceRegistered
		}
		return err
	})
}

// onboardingUnderWay reports whether a device has an onboarding request that
// has not ended.
func onboardingUnderWay(ctx context.Context, tx *store.Tx, id models.DeviceID) (bool, error) {
	for state := range models.RequestTransitions {
		filter := store.RequestFilter{Page: store.Page{Limit: store.MaxLimit}, DeviceID: id, State: state}
		rows, _, err := tx.ListRequests(ctx, filter)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(rows, func(r models.Request) bool { return r.Kind == models.KindOnboarding }) {
			return true, nil
		}
	}
	return false, nil
}

// changeDevice changes a device that the caller sees, with its audit event.
func (o *Operations) changeDevice(ctx context.Context, who Caller, name, action string, do func(*store.Tx, *models.Device) error) (*api.Device, error) {
	if err := auth.Authorize(who.Principal, auth.WriteDevices); err != nil {
		return nil, err
	}
	var out api.Device
	err := o.write(ctx, func(tx *store.Tx) error {
		row, domain, err := deviceNamed(ctx, tx.Queries, who, name)
		if err != nil {
			return err
		}
		if err := do(tx, row); err != nil {
			return err
		}
		if err := tx.SaveDevice(row); err != nil {
			return err
		}
		out = wireDevice(row, domain)
		return tx.Audit(deviceEvent(who, action, row))
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func deviceEvent(who Caller, action string, row *models.Device) models.Event {
	event := who.event(action, "device", string(row.ID), "name", row.Name, "serial_number", row.SerialNumber,
		"method", string(row.Method), "epoch", fmt.Sprint(row.Epoch), "idevid_sha256", row.IDevIDSHA256)
	event.DomainID, event.DeviceID = row.DomainID, row.ID
	return event
}

func wireDevice(d *models.Device, domain string) api.Device {
	out := api.Device{
		ID: string(d.ID), Name: d.Name, Domain: domain, SerialNumber: d.SerialNumber, State: d.State,
		Onboarding:   api.DeviceOnboarding{Method: d.Method, Epoch: d.Epoch, SecretUsedAt: d.SecretUsedAt},
		IDevIDSHA256: d.IDevIDSHA256, IDevIDBound: d.IDevIDIdentity != nil, Registration: string(d.RegistrationID), OnboardedAt: d.OnboardedAt,
		Metadata: d.Metadata, Groups: d.Groups, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
	}
	if d.Method.HasSecret() {
		out.Onboarding.Username = d.Name
	}
	return out
}
