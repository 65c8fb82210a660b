// SPDX-License-Identifier: MIT

package temporald

import (
	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

// withheld replaces the message of a failure whose contents are not authentic.
const withheld = "the failure was withheld: it is not authentic for this workflow"

// NewFailureConverter seals messages, stack traces and details of errors with payloads, a converter of
// NewDataConverter. Error types stay readable.
//
// The SDK passes the failure of a child workflow, or of any workflow an activity waited for, on unchanged inside the
// failure of its caller. It is opened when it arrives and sealed again for the caller when it leaves, so that each
// history holds only what belongs to it.
func NewFailureConverter(payloads converter.DataConverter) converter.FailureConverter {
	f := &failureConverter{
		payloads: payloads,
		plain: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
			DataConverter: payloads, EncodeCommonAttributes: true}),
	}
	if ours, ok := payloads.(*dataConverter); ok {
		f.codec = ours.codec
	}
	return f
}

type failureConverter struct {
	payloads converter.DataConverter
	plain    converter.FailureConverter
	codec    *codec // nil if payloads is not ours
}

var _ converter.FailureConverterWithSerializationContext = (*failureConverter)(nil)

// WithSerializationContext implements converter.FailureConverterWithSerializationContext.
func (f *failureConverter) WithSerializationContext(context converter.SerializationContext) converter.FailureConverter {
	return NewFailureConverter(converter.WithDataConverterSerializationContext(f.payloads, context))
}

// ErrorToFailure implements converter.FailureConverter.
func (f *failureConverter) ErrorToFailure(err error) *failurepb.Failure {
	failure := f.plain.ErrorToFailure(err)
	if failure == nil || f.codec == nil {
		return failure
	}
	failure = proto.Clone(failure).(*failurepb.Failure) // parts of it belong to the error
	for part := failure; part != nil; part = part.GetCause() {
		f.rebind(part)
	}
	return failure
}

// rebind seals one part of a failure for our workflow. What cannot be opened (its key is gone) is dropped, not passed on.
func (f *failureConverter) rebind(part *failurepb.Failure) {
	if sealed := part.GetEncodedAttributes(); sealed != nil {
		again, err := f.codec.rebind(sealed)
		if err != nil {
			part.Message, again = withheld, nil
		}
		part.EncodedAttributes = again
	}
	details := detailsOf(part).GetPayloads()
	for i, sealed := range details {
		again, err := f.codec.rebind(sealed)
		if err != nil {
			detailsOf(part).Payloads = nil
			return
		}
		details[i] = again
	}
}

// FailureToError implements converter.FailureConverter. The SDK would read what it can and keep the rest as it is;
// here everything must be authentic for our workflow before it becomes part of an error.
func (f *failureConverter) FailureToError(failure *failurepb.Failure) error {
	if failure == nil || f.codec == nil {
		return f.plain.FailureToError(failure)
	}
	failure = proto.Clone(failure).(*failurepb.Failure)
	for part := failure; part != nil; part = part.GetCause() {
		f.authenticate(part)
	}
	return f.plain.FailureToError(failure)
}

func (f *failureConverter) authenticate(part *failurepb.Failure) {
	if sealed := part.GetEncodedAttributes(); sealed != nil {
		if _, err := f.codec.Decode([]*commonpb.Payload{sealed}); err != nil {
			part.Message, part.StackTrace, part.EncodedAttributes = withheld, "", nil
		}
	}
	if details := detailsOf(part); details != nil {
		if _, err := f.codec.Decode(details.GetPayloads()); err != nil {
			details.Payloads = nil
		}
	}
}

// detailsOf returns the payloads a part of a failure carries besides its message.
func detailsOf(part *failurepb.Failure) *commonpb.Payloads {
	switch {
	case part.GetApplicationFailureInfo() != nil:
		return part.GetApplicationFailureInfo().GetDetails()
	case part.GetCanceledFailureInfo() != nil:
		return part.GetCanceledFailureInfo().GetDetails()
	case part.GetTimeoutFailureInfo() != nil:
		return part.GetTimeoutFailureInfo().GetLastHeartbeatDetails()
	case part.GetResetWorkflowFailureInfo() != nil:
		return part.GetResetWorkflowFailureInfo().GetLastHeartbeatDetails()
	default:
		return nil
	}
}
