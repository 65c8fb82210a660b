// SPDX-License-Identifier: MIT

package temporald

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// The metadata of an encrypted payload. It is readable, and all of it is authenticated.
const (
	metaFormat     = "trustloom-format"
	metaKeyID      = "trustloom-key-id"
	metaBinding    = "trustloom-binding"
	metaWorkflowID = "trustloom-workflow-id"

	encodingSealed = "binary/trustloom-sealed"
	formatVersion  = "1"

	// bindingWorkflow: the payload belongs to one workflow ID of one namespace and is refused everywhere else.
	bindingWorkflow = "workflow"
	// bindingNamespace: the payload belongs to one namespace. It is used where the SDK does not say for which workflow
	// it encodes: the details of a workflow that ends cancelled, the memo of a schedule itself, and the reason of a
	// failed workflow task.
	bindingNamespace = "namespace-only"
)

const (
	keySize   = 32
	saltSize  = 16
	nonceSize = 12
	keyLabel  = "trustloom temporal payload v1"
)

var errKeySize = fmt.Errorf("a payload key must have %d bytes", keySize)

// codec seals payloads with AES-256-GCM under a key derived for each payload (HMAC-SHA-256 over a random salt), so that
// the number of payloads one key may seal is no concern. The additional data binds format version, key, namespace and
// workflow ID: whoever can write to Temporal's database can delete payloads, but not move them to another workflow.
type codec struct {
	keys      map[string][]byte // by key ID
	current   string            // key ID that seals
	namespace string
	workflow  string // "" where the SDK gave no context
}

var _ converter.PayloadCodecWithSerializationContext = (*codec)(nil)

func newCodec(namespace string, key []byte, old [][]byte) *codec {
	c := &codec{keys: make(map[string][]byte, 1+len(old)), current: keyID(key), namespace: namespace}
	for _, k := range append([][]byte{key}, old...) {
		c.keys[keyID(k)] = k
	}
	return c
}

// keyID names a key without telling anything about it.
func keyID(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// WithSerializationContext implements converter.PayloadCodecWithSerializationContext.
func (c *codec) WithSerializationContext(context converter.SerializationContext) converter.PayloadCodec {
	bound := *c
	switch context := context.(type) {
	case converter.WorkflowSerializationContext:
		bound.workflow = context.WorkflowID
	case converter.ActivitySerializationContext:
		bound.workflow = context.WorkflowID
	default:
		bound.workflow = ""
	}
	return &bound
}

// Encode implements converter.PayloadCodec.
func (c *codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	sealed := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		var err error
		if sealed[i], err = c.seal(payload); err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
	}
	return sealed, nil
}

// Decode implements converter.PayloadCodec. What is not sealed, or sealed for something else, is refused.
func (c *codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	opened := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		if err := c.permit(payload); err != nil {
			return nil, fmt.Errorf("decrypt a payload: %w", err)
		}
		var err error
		if opened[i], err = c.open(payload); err != nil {
			return nil, fmt.Errorf("decrypt a payload: %w", err)
		}
	}
	return opened, nil
}

func (c *codec) seal(payload *commonpb.Payload) (*commonpb.Payload, error) {
	plain, err := proto.Marshal(payload)
	if err != nil {
		return nil, err
	}
	meta := map[string][]byte{
		converter.MetadataEncoding: []byte(encodingSealed),
		metaFormat:                 []byte(formatVersion),
		metaKeyID:                  []byte(c.current),
		metaBinding:                []byte(bindingNamespace),
	}
	if c.workflow != "" {
		meta[metaBinding], meta[metaWorkflowID] = []byte(bindingWorkflow), []byte(c.workflow)
	}
	data := make([]byte, saltSize+nonceSize, saltSize+nonceSize+len(plain)+16)
	if _, err := rand.Read(data); err != nil {
		return nil, err
	}
	aead, err := payloadCipher(c.keys[c.current], data[:saltSize])
	if err != nil {
		return nil, err
	}
	nonce := data[saltSize:]
	return &commonpb.Payload{Metadata: meta, Data: aead.Seal(data, nonce, plain, c.additionalData(meta))}, nil
}

// permit checks what the metadata says before any decryption; open proves that it is true.
func (c *codec) permit(payload *commonpb.Payload) error {
	meta := payload.GetMetadata()
	if encoding := string(meta[converter.MetadataEncoding]); encoding != encodingSealed {
		return fmt.Errorf("encoding %q is not ours: plain and foreign payloads are refused", encoding)
	}
	if format := string(meta[metaFormat]); format != formatVersion {
		return fmt.Errorf("format %q is unknown", format)
	}
	switch binding := string(meta[metaBinding]); binding {
	case bindingNamespace:
		return nil
	case bindingWorkflow:
		if bound := string(meta[metaWorkflowID]); c.workflow != bound && scheduledBy(c.workflow) != bound {
			return errors.New("it belongs to another workflow")
		}
		return nil
	default:
		return fmt.Errorf("binding %q is unknown", binding)
	}
}

func (c *codec) open(payload *commonpb.Payload) (*commonpb.Payload, error) {
	meta, data := payload.GetMetadata(), payload.GetData()
	key, ok := c.keys[string(meta[metaKeyID])]
	if !ok {
		return nil, fmt.Errorf("key %q is not configured", meta[metaKeyID])
	}
	if len(data) < saltSize+nonceSize {
		return nil, errors.New("it is too short")
	}
	aead, err := payloadCipher(key, data[:saltSize])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, data[saltSize:saltSize+nonceSize], data[saltSize+nonceSize:], c.additionalData(meta))
	if err != nil {
		return nil, errors.New("it is not authentic")
	}
	opened := &commonpb.Payload{}
	if err := proto.Unmarshal(plain, opened); err != nil {
		return nil, errors.New("it holds no payload")
	}
	return opened, nil
}

func payloadCipher(key, salt []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, errKeySize
	}
	derive := hmac.New(sha256.New, key)
	derive.Write([]byte(keyLabel))
	derive.Write(salt)
	block, err := aes.NewCipher(derive.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// additionalData is each field with its length, so that no two sets of fields give the same bytes.
func (c *codec) additionalData(meta map[string][]byte) []byte {
	var data []byte
	for _, field := range [][]byte{meta[metaFormat], meta[metaKeyID], []byte(c.namespace), meta[metaBinding], meta[metaWorkflowID]} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(field)))
		data = append(data, field...)
	}
	return data
}

// scheduledBy returns the workflow ID that a schedule's action was defined with, for a run that the schedule started:
// Temporal appends the nominal time to it, after the payloads of the action were sealed. "" for any other ID.
func scheduledBy(workflow string) string {
	const suffix = "-2006-01-02T15:04:05Z"
	cut := len(workflow) - len(suffix)
	if cut <= 0 {
		return ""
	}
	if _, err := time.Parse(suffix, workflow[cut:]); err != nil {
		return ""
	}
	return workflow[:cut]
}

// rebind seals a payload of ours, which was opened before for the workflow it names, for the workflow of this codec.
// Payloads that need no change are returned as they are.
func (c *codec) rebind(payload *commonpb.Payload) (*commonpb.Payload, error) {
	meta := payload.GetMetadata()
	bound := string(meta[metaWorkflowID])
	if string(meta[metaBinding]) != bindingWorkflow || bound == c.workflow || c.workflow == "" {
		return payload, nil
	}
	opened, err := c.open(payload)
	if err != nil {
		return nil, err
	}
	return c.seal(opened)
}
