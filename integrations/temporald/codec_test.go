// SPDX-License-Identifier: MIT

package temporald_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/trustloom/trustloom/integrations/temporald"
)

func workflowContext(id string) converter.SerializationContext {
	return converter.WorkflowSerializationContext{Namespace: "trustloom", WorkflowID: id}
}

func in(dc converter.DataConverter, workflow string) converter.DataConverter {
	return converter.WithDataConverterSerializationContext(dc, workflowContext(workflow))
}

func TestAPayloadIsReadOnlyWhereItBelongs(t *testing.T) {
	key, other := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	ours := temporald.NewDataConverter(key, "trustloom")
	activity := converter.WithDataConverterSerializationContext(ours, converter.ActivitySerializationContext{
		Namespace: "trustloom", WorkflowID: "w", ActivityType: "a", IsLocal: true})
	standalone := converter.WithDataConverterSerializationContext(ours, converter.ActivitySerializationContext{Namespace: "trustloom"})
	const scheduled = "w-2026-11-21T12:00:00Z"
	cases := map[string]struct {
		from, to converter.DataConverter
		want     string // "" if it is read
	}{
		"in its workflow":                                 {in(ours, "w"), in(ours, "w"), ""},
		"in an activity of its workflow":                  {in(ours, "w"), activity, ""},
		"by the workflow of its activity":                 {activity, in(ours, "w"), ""},
		"in another workflow":                             {in(ours, "w"), in(ours, "v"), "belongs to another workflow"},
		"in a workflow with a longer ID":                  {in(ours, "w"), in(ours, "w-2"), "belongs to another workflow"},
		"without a context":                               {in(ours, "w"), ours, "belongs to another workflow"},
		"in another namespace":                            {in(ours, "w"), in(temporald.NewDataConverter(key, "other"), "w"), "not authentic"},
		"with another key":                                {in(ours, "w"), in(temporald.NewDataConverter(other, "trustloom"), "w"), "is not configured"},
		"after a change of keys":                          {in(ours, "w"), in(temporald.NewDataConverter(other, "trustloom", key), "w"), ""},
		"in a run that its schedule started":              {in(ours, "w"), in(ours, scheduled), ""},
		"from a run of a schedule in the action's own ID": {in(ours, scheduled), in(ours, "w"), "belongs to another workflow"},
		"sealed without a context, in a workflow":         {ours, in(ours, "w"), ""},
		"sealed without a context, in another namespace":  {ours, temporald.NewDataConverter(key, "other"), "not authentic"},
		"sealed without a workflow, without a context":    {standalone, ours, ""},
		"sealed as plain JSON":                            {converter.GetDefaultDataConverter(), in(ours, "w"), "plain and foreign payloads are refused"},
		"with a key of a wrong size":                      {in(ours, "w"), in(temporald.NewDataConverter([]byte("short"), "trustloom"), "w"), "is not configured"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			payload, err := test.from.ToPayload("secret")
			if err != nil {
				t.Fatal(err)
			}
			var got string
			err = test.to.FromPayload(payload, &got)
			switch {
			case test.want == "" && (err != nil || got != "secret"):
				t.Errorf("read %q, %v", got, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || got != ""):
				t.Errorf("read %q, %v: it should say %q", got, err, test.want)
			}
		})
	}
}

func TestNothingOfASealedPayloadCanBeChanged(t *testing.T) {
	dc := in(temporald.NewDataConverter(bytes.Repeat([]byte{1}, 32), "trustloom"), "w")
	sealed, err := dc.ToPayload("secret")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed.GetData(), []byte("secret")) {
		t.Error("it is not sealed")
	}
	changes := map[string]func(p *commonpb.Payload){
		"an empty payload":  func(p *commonpb.Payload) { p.Metadata, p.Data = nil, nil },
		"no data":           func(p *commonpb.Payload) { p.Data = nil },
		"a widened binding": func(p *commonpb.Payload) { p.Metadata["trustloom-binding"] = []byte("namespace-only") },
		"a widened binding without ID": func(p *commonpb.Payload) {
			p.Metadata["trustloom-binding"] = []byte("namespace-only")
			delete(p.Metadata, "trustloom-workflow-id")
		},
		"an unknown binding":           func(p *commonpb.Payload) { p.Metadata["trustloom-binding"] = []byte("none") },
		"an unknown format":            func(p *commonpb.Payload) { p.Metadata["trustloom-format"] = []byte("2") },
		"an encoding that is not ours": func(p *commonpb.Payload) { p.Metadata["encoding"] = []byte("binary/encrypted") },
		"an encoding that is plain":    func(p *commonpb.Payload) { p.Metadata["encoding"] = []byte("json/plain") },
	}
	for i := range sealed.GetData() {
		changes[fmt.Sprintf("bit in byte %d", i)] = func(p *commonpb.Payload) { p.Data[i] ^= 1 }
		changes[fmt.Sprintf("cut at byte %d", i)] = func(p *commonpb.Payload) { p.Data = p.Data[:i] }
	}
	for name, change := range changes {
		changed := proto.Clone(sealed).(*commonpb.Payload)
		change(changed)
		var got string
		if err := dc.FromPayload(changed, &got); err == nil {
			t.Errorf("%s: read %q", name, got)
		}
	}
}

func TestAKeyOfAWrongSizeSealsNothing(t *testing.T) {
	payload, err := temporald.NewDataConverter([]byte("short"), "trustloom").ToPayloads("secret")
	if err == nil || len(payload.GetPayloads()) != 0 {
		t.Errorf("sealed %v, %v", payload, err)
	}
}

func TestAFailureIsSealedAndBelongsToItsWorkflow(t *testing.T) {
	dc := temporald.NewDataConverter(bytes.Repeat([]byte{1}, 32), "trustloom")
	of := func(workflow string) converter.FailureConverter {
		return converter.WithFailureConverterSerializationContext(temporald.NewFailureConverter(dc), workflowContext(workflow))
	}
	failure := of("child").ErrorToFailure(temporal.NewApplicationErrorWithCause("secret", "Kind", errors.New("secret cause"), "secret detail"))
	if text := failure.String(); strings.Contains(text, "secret") {
		t.Errorf("not sealed: %s", text)
	}
	if message, detail := read(of("child").FailureToError(failure)); message != "secret" || detail != "secret detail" {
		t.Errorf("read %q, %q", message, detail)
	}
	stolen := of("thief").FailureToError(failure)
	if message, detail := read(stolen); strings.Contains(message, "secret") || strings.Contains(detail, "secret detail") {
		t.Errorf("another workflow read %q, %q", message, detail)
	}
	laundered := of("thief").ErrorToFailure(stolen)
	if text := of("thief").FailureToError(laundered).Error(); strings.Contains(text, "secret") {
		t.Errorf("passing a stolen failure on opened it: %s", text)
	}
	passed := of("parent").ErrorToFailure(of("child").FailureToError(failure))
	if message, detail := read(of("parent").FailureToError(passed)); message != "secret" || detail != "secret detail" {
		t.Errorf("the parent that passed it on reads %q, %q", message, detail)
	}
	if message, _ := read(of("child").FailureToError(passed)); message == "secret" {
		t.Error("what the parent passed on still belongs to the child")
	}
}
