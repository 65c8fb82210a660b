// SPDX-License-Identifier: MIT

package enroll

import (
	"bytes"
	"context"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
)

// errTransaction answers whoever uses the identifier of a transaction for
// something else, or that of somebody else.
var errTransaction = cmp.WithFailInfo(
	models.Errorf(models.KindConflict, "the transactionID was used before: choose a new one for each transaction"), cmp.FailTransactionIDInUse)

// findTransaction is find for protocols whose requests have an identifier. Its
// request is found by that alone, and is an answer only to the same request of
// the same sender. No result is void: who wants another certificate begins
// another transaction.
func (d *Door) findTransaction(ctx context.Context, s *Submission) (string, *models.Request, error) {
	key := models.TransactionKey(s.Domain.ID, s.Transaction)
	req, err := d.cfg.Store.FindRequestByKey(ctx, key)
	if models.KindOf(err) == models.KindNotFound {
		return key, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	same := req.AuthMethod == s.Who.Method && req.AuthSubject == s.Who.Subject && req.Kind == s.Kind && req.ProfileName == s.Profile &&
		bytes.Equal(req.CSR, s.CSR.DER) && (s.Predecessor == nil || s.Predecessor.ID == req.PredecessorID)
	if !same {
		return "", nil, errTransaction
	}
	return key, req, nil
}

// flying names what requests at the same moment share: the key, and for
// protocols whose keys hold nothing but an identifier all that has to be the
// same.
func (s *Submission) flying(key string) string {
	if s.Transaction == "" {
		return key
	}
	return key + " " + string(s.Who.Method) + " " + s.Who.Subject + " " + string(s.Kind) + " " + s.Profile + " " + s.CSR.SHA256
}
