// SPDX-License-Identifier: MIT

package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/trustloom/trustloom/models"
)

// EnrollInput names the request that a story is about. The request was
// admitted and stored before the story started (package api/enroll).
//
// Straight lets a story that waits for nobody go through in one step. Stories
// that were started before there was such a step do not have it.
type EnrollInput struct {
	RequestID models.RequestID
	Straight  bool
}

// EnrollResult is how the story ended.
type EnrollResult struct {
	State models.RequestState
}

// Onboarding gives a device its first identity in a domain, the domain
// credential:
//
//  1. carry out the decision of policy            (DecideRequest)
//  2. if the domain asks: await people's approval (Approval, ConcludeApproval)
//  3. reserve serial number and content           (ReserveCertificate)
//  4. sign and record                             (SignCertificate)
//  5. deliver: the device is onboarded            (DeliverCertificate)
//
// Where nobody is to be waited for and the CA's key is at hand, that is one step
// (IssueRequest); what it leaves, the steps take up.
//
// Every step may be repeated; the story may be started anew at any time from
// the request's row. It always ends: issued, rejected, expired, withdrawn or
// failed. Cancelling it before step 3 withdraws the request; from step 3 on it
// goes through, because a signature may exist.
func Onboarding(ctx workflow.Context, in EnrollInput) (EnrollResult, error) {
	return (&enrollment{id: in.RequestID, straight: in.Straight}).run(ctx)
}
