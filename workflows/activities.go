// SPDX-License-Identifier: MIT

package workflows

import "github.com/trustloom/trustloom/activities"

// The typed references through which stories name activities. They are nil:
// only their method names are used, the worker supplies the real structs.
// This is the only file that may import package activities.
var (
	requests      *activities.Requests
	issuance      *activities.Issuance
	approvals     *activities.Approvals
	authorities   *activities.Authorities
	publication   *activities.Publication
	external      *activities.External
	confirmations *activities.Confirmations
)

// The inputs and results that cross the seam.
type (
	requestInput       = activities.RequestInput
	decideResult       = activities.DecideResult
	abandonInput       = activities.AbandonInput
	reserveResult      = activities.ReserveResult
	certificateInput   = activities.CertificateInput
	openApprovalInput  = activities.OpenApprovalInput
	approvalInput      = activities.ApprovalInput
	approvalResult     = activities.ApprovalResult
	authorityInput     = activities.AuthorityInput
	authorityResult    = activities.AuthorityResult
	failAuthorityInput = activities.FailAuthorityInput
	externalResult     = activities.ExternalResult
	confirmationInput  = activities.ConfirmationInput
	confirmationResult = activities.ConfirmationResult
	publishInput       = activities.PublishInput
	publishResult      = activities.PublishResult
)

// kindOf gives back the kind and public text of an activity's error.
var kindOf = activities.KindOf
