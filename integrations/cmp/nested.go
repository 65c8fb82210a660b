// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"context"

	"github.com/trustloom/trustloom/models"
)

// maxBatch bounds the messages that an RA may send at once.
const maxBatch = 16

// nested takes messages that an RA sent inside one of its own: one that it
// adds its protection to (RFC 9483 §5.2.2.1), or a batch (§5.2.2.2). Each is
// protected by its sender, who is answered as if the message had come alone.
func (s *responder) nested(ctx context.Context, e *exchange) error {
	inner := e.in.Body.Nested
	switch {
	case !e.sender.RA:
		return refuse(FailNotAuthorized, models.KindDenied, "nested messages are accepted from registration authorities only")
	case e.inner:
		return refuse(FailBadRequest, models.KindInvalid, "a message inside a nested message is nested again")
	case len(inner) > maxBatch:
		return refuse(FailBadRequest, models.KindInvalid, "a batch has at most %d messages", maxBatch)
	case len(inner) == 1:
		if !bytes.Equal(inner[0].Header.TransactionID, e.in.Header.TransactionID) {
			return refuse(FailBadRequest, models.KindInvalid, "the transactionID of a nested message is not that of the message inside")
		}
		e.answer.whole = s.respond(ctx, e.within(inner[0]))
		return nil
	}
	seen := map[string]bool{}
	for _, message := range inner {
		if id := string(message.Header.TransactionID); !seen[id] {
			seen[id] = true
			continue
		}
		return refuse(FailTransactionIDInUse, models.KindInvalid, "two messages of the batch have the same transactionID")
	}
	answers := make([]*Message, len(inner))
	for i, message := range inner {
		answers[i] = s.respond(ctx, e.within(message))
	}
	e.answer.body = Body{Type: BodyNested, Nested: answers}
	return nil
}

// within is the exchange of a message inside another one.
func (e *exchange) within(message *Message) *exchange {
	operation := e.operation
	if operation == "nested" {
		operation = ""
	}
	return &exchange{label: e.label, operation: operation, peer: e.peer, in: message, inner: true}
}
