// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Request is one enrollment attempt of a device.
type Request struct {
	ID             string              `json:"id"`
	Kind           models.RequestKind  `json:"kind"`
	State          models.RequestState `json:"state"`
	Protocol       string              `json:"protocol" example:"est"`
	Domain         string              `json:"domain" example:"press-shop"`
	Device         string              `json:"device" example:"press-01"`
	Profile        string              `json:"profile,omitempty" example:"tls_server"`
	ProfileVersion int                 `json:"profile_version,omitzero" example:"1"`
	AuthMethod     models.AuthMethod   `json:"auth_method"`
	AuthSubject    string              `json:"auth_subject,omitempty" doc:"user name, or SHA-256 fingerprint of the certificate"`
	Predecessor    string              `json:"predecessor,omitempty" doc:"ID of the certificate that is renewed"`
	Decision       Decision            `json:"decision"`
	Approval       string              `json:"approval,omitempty" doc:"ID of its approval, if people are asked; not in lists"`
	Certificate    string              `json:"certificate,omitempty" doc:"ID of the certificate"`
	Failure        *Failure            `json:"failure,omitzero" doc:"why it was refused or failed"`
	WorkflowID     string              `json:"workflow_id,omitempty" doc:"empty where no workflow was needed"`
	CSR            string              `json:"csr,omitempty" doc:"the certification request, PEM; not in lists"`
	CSRSHA256      string              `json:"csr_sha256,omitempty" doc:"SHA-256 of the certification request, hex"`
	Deadline       *time.Time          `json:"deadline,omitzero"`
	CreatedAt      time.Time           `json:"created_at"`
	UpdatedAt      time.Time           `json:"updated_at"`
}

// Decision is what policy said about a request.
type Decision struct {
	Outcome models.Outcome `json:"outcome,omitempty"`
	Reasons []string       `json:"reasons,omitempty" doc:"sentences, in the order they were found"`
}

// Failure says why a request has no certificate.
type Failure struct {
	Kind string `json:"kind" example:"Denied"`
	Text string `json:"text" example:"the approval was rejected: wrong plant"`
}

// RequestFilter selects requests.
type RequestFilter struct {
	Domain string              `query:"domain" doc:"name of a domain" example:"press-shop"`
	Device string              `query:"device" doc:"name of a device" example:"press-01"`
	State  models.RequestState `query:"state" doc:"state of the request"`
	PageQuery
}

// Withdrawal cancels a request that is not finished.
type Withdrawal struct {
	Reason string `json:"reason" doc:"1 to 500 characters" example:"ordered twice"`
}
