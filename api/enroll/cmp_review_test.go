// SPDX-License-Identifier: MIT

package enroll_test

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/models"
)

// What is tried where there is no secret must be unknown, too: who knew it
// would have the responder go on, and learn from the time that takes which
// names there are.
func TestWhatStandsForTheSecretOfNobodyIsKnownToNobody(t *testing.T) {
	w := newCMPWorld(t)
	var tried [][]byte
	for range 2 {
		_, err := w.cmp.Secret(context.Background(), w.label, transaction().ID, "nobody", cmp.Peer{Address: "192.0.2.7"}, func(secret []byte) bool {
			tried = append(tried, bytes.Clone(secret))
			return true
		})
		if models.KindOf(err) != models.KindUnauthenticated {
			t.Errorf("nobody is answered with %v", err)
		}
	}
	if len(tried) != 2 || bytes.Equal(tried[0], tried[1]) || len(tried[0]) != 32 {
		t.Errorf("nobody's secret is %x", tried)
	}
}

// Only one of the requests that come at the same moment under one transactionID
// may be told to wait: what the others are told could be used to poll for its
// certificate as if they had proven the possession of its key.
func TestOneRequestOfATransactionWaits(t *testing.T) {
	w := newCMPWorld(t)
	credential, tx := w.onboardedByCMP("press-01"), transaction()
	w.askPeople()
	var waiting atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		who, err := w.bySignature(tx, credential)
		check(t, err)
		in := cmp.Enrollment{Label: cmp.Label{Domain: "press-shop", Profile: "tls_client"}, Operation: cmp.OpCert, Transaction: tx, Sender: who,
			Request: w.template(nil, nil), Implicit: true}
		all.Go(func() {
			out, err := w.ask(in)
			switch {
			case err == nil && out.RetryAfter > 0:
				waiting.Add(1)
			case cmp.FailInfoOf(err) != cmp.FailTransactionIDInUse:
				t.Errorf("a request is answered with %+v, %v", out, err)
			}
		})
	}
	all.Wait()
	if waiting.Load() != 1 {
		t.Errorf("%d requests wait under one transactionID", waiting.Load())
	}
}
