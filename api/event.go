// SPDX-License-Identifier: MIT

package api

import "time"

// Event is one audit event.
type Event struct {
	ID         string            `json:"id"`
	At         time.Time         `json:"at"`
	Actor      string            `json:"actor" example:"operator:alice"`
	Address    string            `json:"address,omitempty" example:"192.0.2.7"`
	Action     string            `json:"action" example:"device.registered"`
	Noun       string            `json:"noun,omitempty" example:"device"`
	Subject    string            `json:"subject,omitempty" doc:"ID of what it is about"`
	Domain     string            `json:"domain,omitempty" example:"press-shop"`
	Device     string            `json:"device,omitempty" example:"press-01"`
	Request    string            `json:"request,omitempty" doc:"ID of the enrollment request"`
	WorkflowID string            `json:"workflow_id,omitempty"`
	RunID      string            `json:"run_id,omitempty" doc:"of the workflow"`
	Details    map[string]string `json:"details,omitempty"`
}

// EventFilter selects audit events.
type EventFilter struct {
	Action  string `query:"action" doc:"for example certificate.issued" example:"certificate.issued"`
	Noun    string `query:"noun" example:"device"`
	Subject string `query:"subject" doc:"ID of what the event is about"`
	Device  string `query:"device" doc:"name of a device" example:"press-01"`
	Request string `query:"request" doc:"ID of an enrollment request"`
	Actor   string `query:"actor" doc:"who did it" example:"operator:alice"`

	Since time.Time `query:"since" doc:"only those from this time on"`
	Until time.Time `query:"until" doc:"only those before this time"`
	PageQuery
}
