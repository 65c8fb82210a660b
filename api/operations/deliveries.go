// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"encoding/base64"
	"slices"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Deliverer makes keys for devices and hands them over, once each;
// *enroll.Deliveries is the one there is.
type Deliverer interface {
	Order(ctx context.Context, o models.DeliveryOrder) (row *models.Delivery, code string, err error)
	Look(ctx context.Context, id models.DeliveryID) (*models.Delivery, error)
	Withdraw(ctx context.Context, id models.DeliveryID, actor, address, reason string) (*models.Delivery, error)
	Collect(ctx context.Context, id models.DeliveryID, p models.DeliveryPacking) (*models.DeliveryPackage, error)
	Redeem(ctx context.Context, device, code string, p models.DeliveryPacking) (*models.DeliveryPackage, error)
}

// firstProfile is what a device that is not onboarded gets unless another
// profile is named.
const firstProfile = "domain_credential"

// maxDeliveryNames bounds the alternative names of an order.
const maxDeliveryNames = 64

// CreateDelivery orders a delivery to a device: a key is made and its
// certificate asked for. With the channel download the answer, and no later
// one, has the one-time code.
func (o *Operations) CreateDelivery(ctx context.Context, who Caller, name string, in api.DeliveryCreation) (*api.Delivery, error) {
	if err := auth.Authorize(who.Principal, auth.DeliverKeys); err != nil {
		return nil, err
	}
	if err := checkDelivery(&in); err != nil {
		return nil, err
	}
	device, _, err := deviceNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	domain, err := o.store.FindDomain(ctx, device.DomainID)
	if err != nil {
		return nil, err
	}
	if in.Profile == "" {
		if device.State == models.DeviceOnboarded {
			return nil, models.Errorf(models.KindInvalid, "profile is missing: device %s is onboarded, say which certificate it is to get", name)
		}
		in.Profile = firstProfile
	}
	if !slices.Contains(domain.Profiles, in.Profile) { // before a key is made
		return nil, models.Errorf(models.KindNotFound, "domain %s has no profile %s: it does not exist, or is not allowed there", domain.Name, in.Profile)
	}
	row, code, err := o.deliverer.Order(ctx, models.DeliveryOrder{
		Device: device, Domain: domain, Channel: in.Channel, Profile: in.Profile, Algorithm: in.KeyAlgorithm, CommonName: in.CommonName, SANs: in.SANs,
		Life: in.Life.Std(), Operator: who.Name, Address: who.Address,
	})
	if err != nil {
		return nil, err
	}
	out, err := wireDelivery(ctx, newNames(o.store.Queries), row)
	out.Code = code
	return &out, err
}

// checkDelivery validates an order and fills in what it leaves open.
func checkDelivery(in *api.DeliveryCreation) error {
	if err := oneOf("channel", in.Channel, models.DeliveryChannels); err != nil {
		return err
	}
	if in.KeyAlgorithm == "" {
		in.KeyAlgorithm = models.DeliveryKeys[0]
	}
	if err := oneOf("key_algorithm", in.KeyAlgorithm, models.DeliveryKeys); err != nil {
		return err
	}
	if in.Profile != "" {
		if err := models.CheckName("profile", in.Profile); err != nil {
			return err
		}
	}
	if life := in.Life.Std(); life != 0 && (life < models.MinDeliveryLife || life > models.MaxDeliveryLife) {
		return models.Errorf(models.KindInvalid, "life %s is not between %s and %s", in.Life, models.Duration(models.MinDeliveryLife), models.Duration(models.MaxDeliveryLife))
	}
	if len(in.SANs) > maxDeliveryNames {
		return models.Errorf(models.KindInvalid, "sans has more than %d names", maxDeliveryNames)
	}
	for _, text := range append(slices.Clone(in.SANs), in.CommonName) {
		if err := checkText("a name", text, maxComment); err != nil {
			return err
		}
	}
	return nil
}

// ListDeliveries lists the deliveries that the caller sees, oldest first.
func (o *Operations) ListDeliveries(ctx context.Context, who Caller, f api.DeliveryFilter) (*api.Page[api.Delivery], error) {
	if err := auth.Authorize(who.Principal, auth.ReadDevices); err != nil {
		return nil, err
	}
	if err := checkState("delivery", models.DeliveryTransitions, f.State); err != nil {
		return nil, err
	}
	filter := store.DeliveryFilter{Page: pageOf(f.PageQuery), State: f.State}
	var err error
	if filter.Domains, filter.DomainID, filter.DeviceID, err = o.selected(ctx, who, f.Domain, f.Device); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListDeliveries(ctx, filter)
	if err != nil {
		return nil, err
	}
	names := newNames(o.store.Queries)
	return wirePage(rows, next, func(d *models.Delivery) (api.Delivery, error) { return wireDelivery(ctx, names, d) })
}

// deliveryWith finds a delivery that the caller sees.
func (o *Operations) deliveryWith(ctx context.Context, who Caller, id string) (*models.Delivery, error) {
	if !models.IsID(id) {
		return nil, absent("delivery", id)
	}
	row, err := o.store.FindDelivery(ctx, models.DeliveryID(id))
	if err != nil {
		return nil, found(err, "delivery", id)
	}
	_, err = inScope(ctx, o.store.Queries, who, row.DomainID, "delivery", id)
	return row, err
}

// FindDelivery returns a delivery as it is now.
func (o *Operations) FindDelivery(ctx context.Context, who Caller, id string) (*api.Delivery, error) {
	if err := auth.Authorize(who.Principal, auth.ReadDevices); err != nil {
		return nil, err
	}
	row, err := o.deliveryWith(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if row, err = o.deliverer.Look(ctx, row.ID); err != nil {
		return nil, err
	}
	out, err := wireDelivery(ctx, newNames(o.store.Queries), row)
	return &out, err
}

// CollectDelivery hands a delivery over to an operator, once. Those by
// download and by EST are their devices' business.
func (o *Operations) CollectDelivery(ctx context.Context, who Caller, id string, in api.DeliveryCollection) (*api.DeliveryFile, error) {
	if err := auth.Authorize(who.Principal, auth.DeliverKeys); err != nil {
		return nil, err
	}
	row, err := o.deliveryWith(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if row.Channel != models.DeliverToOperator {
		return nil, models.Errorf(models.KindDenied, "delivery %s goes to its device by %s, not to an operator", id, row.Channel)
	}
	file, err := o.deliverer.Collect(ctx, row.ID, models.DeliveryPacking{Format: in.Format, Password: in.Password, Actor: "operator:" + who.Name, Address: who.Address})
	if err != nil {
		return nil, err
	}
	wire, err := wireDelivery(ctx, newNames(o.store.Queries), file.Delivery)
	return &api.DeliveryFile{Delivery: wire, FileName: file.FileName, MediaType: file.MediaType, Content: base64.StdEncoding.EncodeToString(file.Content)}, err
}

// WithdrawDelivery ends a delivery before it is fetched.
func (o *Operations) WithdrawDelivery(ctx context.Context, who Caller, id string) (*api.Delivery, error) {
	if err := auth.Authorize(who.Principal, auth.DeliverKeys); err != nil {
		return nil, err
	}
	row, err := o.deliveryWith(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if row, err = o.deliverer.Withdraw(ctx, row.ID, "operator:"+who.Name, who.Address, "withdrawn by an operator"); err != nil {
		return nil, err
	}
	out, err := wireDelivery(ctx, newNames(o.store.Queries), row)
	return &out, err
}

// Download is what a person at a device asks for on the public page.
type Download struct {
	Device, Code string
	Format       models.DeliveryFormat
	Password     string
	Address      string
}

// RedeemDownload hands a delivery by download over to who knows its code. The
// code is all the authentication there is: nobody is logged in.
func (o *Operations) RedeemDownload(ctx context.Context, in Download) (*models.DeliveryPackage, error) {
	return o.deliverer.Redeem(ctx, in.Device, in.Code, models.DeliveryPacking{
		Format: in.Format, Password: in.Password, Actor: "download", Address: in.Address})
}

func wireDelivery(ctx context.Context, names *names, d *models.Delivery) (api.Delivery, error) {
	domain, err := names.domain(ctx, d.DomainID)
	if err != nil {
		return api.Delivery{}, err
	}
	device, err := names.device(ctx, d.DeviceID)
	return api.Delivery{
		ID: string(d.ID), State: d.State, Channel: d.Channel, Domain: domain, Device: device, Profile: d.ProfileName,
		KeyAlgorithm: d.KeyAlgorithm, Request: string(d.RequestID), Certificate: string(d.CertificateID), TriesLeft: d.TriesLeft,
		OrderedBy: d.Actor, Reason: d.Reason, ExpiresAt: d.ExpiresAt, EndedAt: d.EndedAt, CreatedAt: d.CreatedAt,
	}, err
}
