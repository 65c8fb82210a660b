// SPDX-License-Identifier: MIT

package api

import "time"

// AuditRecord is an audit event at its place in the hash chain, with all that
// the chain covers.
type AuditRecord struct {
	Seq           int               `json:"seq" doc:"place in the chain, from 1, without gaps" example:"1"`
	Hash          string            `json:"hash" doc:"of the chain up to this place, hex SHA-256"`
	Authenticated bool              `json:"authenticated" doc:"carried the code of a Trustloom server when it was sealed"`
	ID            string            `json:"id"`
	At            time.Time         `json:"at"`
	Actor         string            `json:"actor" example:"operator:alice"`
	Address       string            `json:"address"`
	Action        string            `json:"action" example:"device.registered"`
	Noun          string            `json:"noun" example:"device"`
	SubjectID     string            `json:"subject_id"`
	DomainID      string            `json:"domain_id"`
	DeviceID      string            `json:"device_id"`
	RequestID     string            `json:"request_id"`
	WorkflowID    string            `json:"workflow_id"`
	RunID         string            `json:"run_id"`
	Details       map[string]string `json:"details"`
}

// AuditPart is some of the chain, in order.
type AuditPart struct {
	Records []AuditRecord `json:"records"`
	Next    int           `json:"next" doc:"give it as ?after= for the next part; 0 at the end of the chain"`
	Waiting int           `json:"waiting" doc:"at the end: events that have no place in the chain yet; counted up to 10000"`
}

// AuditPartQuery says where in the chain to begin.
type AuditPartQuery struct {
	After int `query:"after" doc:"next of the part before; 0 is the beginning"`
}

// AuditHead is a signed statement of how long the chain was at a time, and of
// its hash.
type AuditHead struct {
	Seq         int       `json:"seq" doc:"place of the last event" example:"4711"`
	Hash        string    `json:"hash" doc:"of the chain up to there, hex SHA-256"`
	At          time.Time `json:"at"`
	KeyID       string    `json:"key_id" doc:"hex SHA-256 of the SubjectPublicKeyInfo of the audit-signing key"`
	Certificate string    `json:"certificate" doc:"of that key, self-signed, PEM"`
	Signature   string    `json:"signature" doc:"base64; ECDSA with SHA-256 over the four lines that docs/operations/audit.md shows"`
}

// AuditHeadQuery says from where on to list heads.
type AuditHeadQuery struct {
	After int `query:"after" doc:"only heads of places behind this one"`
}

// AuditHeads are signed heads, by place; at most 500.
type AuditHeads struct {
	Heads []AuditHead `json:"heads"`
}

// AuditFinding is something that is wrong with the audit log.
type AuditFinding struct {
	Kind    string `json:"kind" doc:"edited, deleted, inserted, reordered, forged, chain, truncated or head; or unsealed or clock, which are notices only" example:"edited"`
	Seq     int    `json:"seq" doc:"place in the chain; of the place before for what has none"`
	EventID string `json:"event_id,omitempty"`
	Text    string `json:"text"`
}

// AuditVerification is the state of a check of the audit log. While it is not
// done, the next request goes on with it.
type AuditVerification struct {
	Done     bool           `json:"done"`
	Checked  int            `json:"checked" doc:"events so far"`
	Total    int            `json:"total" doc:"events in the chain"`
	Hash     string         `json:"hash" doc:"of the chain up to there"`
	Waiting  int            `json:"waiting" doc:"events that have no place in the chain yet and were not checked: they get it within seconds; counted up to 10000"`
	Heads    int            `json:"heads" doc:"signed heads that are valid and agree, so far"`
	Findings []AuditFinding `json:"findings" doc:"of this step; the check ends after 20"`
	Cursor   string         `json:"cursor" doc:"give it as ?cursor= to go on; empty when it is done"`
}

// AuditVerificationQuery goes on with a check, and may bring a head that was
// kept elsewhere.
type AuditVerificationQuery struct {
	Cursor string `query:"cursor" doc:"cursor of the step before"`
	Seq    int    `query:"seq" doc:"place of a head that was kept elsewhere: looked at when the check is done" example:"4711"`
	Hash   string `query:"hash" doc:"hash of that head"`
}

// TimelineEntry is one thing that happened to a device, in words.
type TimelineEntry struct {
	ID      string    `json:"id" doc:"of the audit event"`
	At      time.Time `json:"at"`
	Who     string    `json:"who" doc:"a person, the device, or Trustloom" example:"alice"`
	Address string    `json:"address,omitempty"`
	What    string    `json:"what" doc:"a sentence" example:"The request was approved."`
	Why     string    `json:"why,omitempty" doc:"reasons and comments"`
	Action  string    `json:"action" example:"approval.decided"`
	Request string    `json:"request,omitempty" doc:"ID of the enrollment request"`
	Failure bool      `json:"failure" doc:"something was refused or failed"`
}

// Timeline asks for a page of a device's timeline.
type Timeline struct {
	Name string `path:"name" doc:"unique name" example:"press-01"`
	PageQuery
}
