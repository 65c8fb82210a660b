// SPDX-License-Identifier: MIT

package operations

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// DeviceTimeline tells what happened to a device, in order and in words.
func (o *Operations) DeviceTimeline(ctx context.Context, who Caller, name string, q api.PageQuery) (*api.Page[api.TimelineEntry], error) {
	if err := auth.Authorize(who.Principal, auth.ReadDevices); err != nil {
		return nil, err
	}
	device, _, err := deviceNamed(ctx, o.store.Queries, who, name)
	if err != nil {
		return nil, err
	}
	filter := store.EventFilter{Page: pageOf(q), DeviceID: device.ID}
	if filter.Domains, err = scope(ctx, o.store.Queries, who); err != nil {
		return nil, err
	}
	rows, next, err := o.store.ListEvents(ctx, filter)
	if err != nil {
		return nil, err
	}
	return wirePage(rows, next, func(e *models.Event) (api.TimelineEntry, error) { return tell(e), nil })
}

// A tale is how the timeline tells an action. {x} in what stands for the
// detail x; a sentence with a detail that is not there is told without the
// part in brackets around it.
type tale struct {
	what    string
	failure bool
}

// tales has what this version knows; anything else is told by its name.
var tales = map[string]tale{
	"device.registered":          {what: "The device was registered[, to be onboarded by {method}]."},
	"device.armed":               {what: "The device may be onboarded again[, by {method}]; an older secret is void."},
	"device.suspended":           {what: "The device was suspended: it gets no certificates."},
	"device.resumed":             {what: "The suspension was ended."},
	"device.home-decommissioned": {what: "The machine was decommissioned in its home domain; this record stays until somebody ends it."},
	"device.decommissioned":      {what: "The device was decommissioned, for good."},
	"device.onboarded":           {what: "Onboarded: the device has its domain credential[, serial number {serial}]."},
	"request.received":           {what: "The device asked for {kind}[ by the profile {profile}][ over {protocol}][, authenticated by {method}]."},
	"request.waiting":            {what: "The request has to wait for people."},
	"request.approved":           {what: "The request was allowed."},
	"request.rejected":           {what: "The request was refused.", failure: true},
	"request.expired":            {what: "The request expired: nobody approved it in time.", failure: true},
	"request.withdrawn":          {what: "The request was withdrawn.", failure: true},
	"request.failed":             {what: "The request failed.", failure: true},
	"request.issued":             {what: "The certificate was handed out[, serial number {serial}]."},
	"request.withdrawal-asked":   {what: "An operator asked to withdraw the request."},
	"approval.opened":            {what: "People were asked to approve[ until {deadline}]."},
	"approval.reminded":          {what: "The approvers were reminded[; the deadline is {deadline}]."},
	"approval.escalated":         {what: "The approval was escalated[; the deadline is {deadline}]."},
	"approval.decided":           {what: "A person decided: {decision}[, step {step}][; the approval is {state}]."},
	"approval.expired":           {what: "The approval expired.", failure: true},
	"approval.withdrawn":         {what: "The approval was withdrawn: nobody is asked any more."},
	"authentication.locked":      {what: "Authentication failed too often: further attempts are refused for a while.", failure: true},
	"certificate.reserved":       {what: "A certificate was prepared[, serial number {serial}]."},
	"certificate.issued":         {what: "A certificate was issued[, serial number {serial}]."},
	"certificate.revoked":        {what: "A certificate was revoked[, serial number {serial}]."},
	"certificate.released":       {what: "A certificate on hold was released[, serial number {serial}]."},
	"certificate.purged":         {what: "A certificate that expired at {not_after} was removed, after {retention}[, serial number {serial}]."},
}

// spoken replaces names of the program by words.
var spoken = map[string]string{
	"onboarding": "onboarding", "enrollment": "an application certificate", "renewal": "the renewal of a certificate",
	"password": "its one-time password", "idevid": "its manufacturer's certificate (IDevID)",
	"domain-credential": "its domain credential", "predecessor": "the certificate to be renewed", "est": "EST",
}

// failing are the verbs of actions that are not in tales and went wrong.
var failing = regexp.MustCompile(`(refused|rejected|failed|denied|locked|expired)$`)

func tell(e *models.Event) api.TimelineEntry {
	known, ok := tales[e.Action]
	if !ok {
		noun, verb, _ := strings.Cut(e.Action, ".")
		known = tale{what: title(strings.ReplaceAll(noun+" "+verb, "-", " ")) + ".", failure: failing.MatchString(e.Action)}
	}
	return api.TimelineEntry{
		ID: string(e.ID), At: e.At, Who: whoDid(e.Actor), Address: e.Address, What: fill(known.what, e.Details), Why: why(e.Details),
		Action: e.Action, Request: string(e.RequestID), Failure: known.failure,
	}
}

// title begins a sentence.
func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func whoDid(actor string) string {
	if actor == "system" {
		return "Trustloom"
	}
	if _, name, ok := strings.Cut(actor, ":"); ok {
		return name
	}
	return actor
}

var (
	optional = regexp.MustCompile(`\[[^\[\]]*\]`)
	variable = regexp.MustCompile(`\{[a-z_]+\}`)
)

// fill puts details into a sentence. What the details say is not looked at
// again: they may hold brackets of their own.
func fill(what string, details map[string]string) string {
	what = optional.ReplaceAllStringFunc(what, func(part string) string {
		for _, v := range variable.FindAllString(part, -1) {
			if details[v[1:len(v)-1]] == "" {
				return ""
			}
		}
		return part[1 : len(part)-1]
	})
	return variable.ReplaceAllStringFunc(what, func(v string) string {
		value := details[v[1:len(v)-1]]
		if words := spoken[value]; words != "" {
			return words
		}
		return value
	})
}

// why joins the reasons and the comment of an event.
func why(details map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(details)) {
		if details[key] != "" && (key == "reason" || key == "comment" || key == "failure" || strings.HasPrefix(key, "reason_")) {
			parts = append(parts, details[key])
		}
	}
	return strings.Join(parts, "; ")
}
