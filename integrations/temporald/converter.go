// SPDX-License-Identifier: MIT

package temporald

import (
	"go.temporal.io/sdk/converter"
)

// NewDataConverter turns values into JSON (protobuf messages into their JSON) and seals the result with AES-256-GCM
// under key, bound to the namespace and, wherever the SDK knows it, to the workflow ID. Payloads under one of the old
// keys are still read. A key of a wrong size makes every conversion fail.
//
// The memo and the summary of a child workflow are sealed by the SDK for the parent, so they can be read there only:
// give a child what it needs as input.
func NewDataConverter(key []byte, namespace string, old ...[]byte) converter.DataConverter {
	return &dataConverter{
		DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), newCodec(namespace, key, old)),
		codec:         newCodec(namespace, key, old),
	}
}

// dataConverter is the SDK's codec converter that still tells its codec, which the failure converter needs.
type dataConverter struct {
	converter.DataConverter
	codec *codec
}

var _ converter.DataConverterWithSerializationContext = (*dataConverter)(nil)

// WithSerializationContext implements converter.DataConverterWithSerializationContext.
func (d *dataConverter) WithSerializationContext(context converter.SerializationContext) converter.DataConverter {
	bound, ok := d.codec.WithSerializationContext(context).(*codec)
	if !ok {
		return d
	}
	return &dataConverter{
		DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), bound),
		codec:         bound,
	}
}
