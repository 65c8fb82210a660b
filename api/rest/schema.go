// SPDX-License-Identifier: MIT

package rest

import (
	"encoding/json/jsontext"
	"reflect"
	"strconv"
	"strings"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// bytesType is the type of files in bodies, base64 on the wire.
var bytesType = reflect.TypeFor[[]byte]()

// schema is the part of JSON Schema 2020-12 that the document needs.
type schema struct {
	Ref                  string             `json:"$ref,omitempty"`
	Type                 string             `json:"type,omitempty"`
	Format               string             `json:"format,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	ContentEncoding      string             `json:"contentEncoding,omitempty"`
	Description          string             `json:"description,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	Required             []string           `json:"required,omitempty"`
	AdditionalProperties *schema            `json:"additionalProperties,omitempty"`
	AnyOf                []*schema          `json:"anyOf,omitempty"`
}

// enums lists the values of the types that have a closed list of them.
func enums() map[reflect.Type][]string {
	return map[reflect.Type][]string{
		reflect.TypeFor[models.CAType]():            {string(models.CARoot), string(models.CAIssuing), string(models.CAExternal)},
		reflect.TypeFor[models.CAOrigin]():          states(models.CAMade, models.CAImported, models.CARequested, models.CAKnown),
		reflect.TypeFor[models.CertificateOrigin](): states(models.CertificateMade, models.CertificateImported),
		reflect.TypeFor[models.CAState]():           states(models.CAPending, models.CAActive, models.CARetiring, models.CARetired, models.CARevoked, models.CAFailed),
		reflect.TypeFor[models.DeviceState]():       states(models.DeviceRegistered, models.DeviceOnboarding, models.DeviceOnboarded, models.DeviceSuspended, models.DeviceDecommissioned),
		reflect.TypeFor[models.RequestState]():      states(models.RequestReceived, models.RequestWaiting, models.RequestApproved, models.RequestReserved, models.RequestIssued, models.RequestRejected, models.RequestExpired, models.RequestWithdrawn, models.RequestFailed),
		reflect.TypeFor[models.ApprovalState]():     states(models.ApprovalPending, models.ApprovalApproved, models.ApprovalRejected, models.ApprovalExpired, models.ApprovalWithdrawn),
		reflect.TypeFor[models.KeyAlgorithm]():      states(models.KeyAlgorithms...),
		reflect.TypeFor[models.OnboardingMethod]():  states(models.OnboardingMethods...),
		reflect.TypeFor[models.DeviceOperation]():   states(models.DeviceOperations...),
		reflect.TypeFor[models.RegistrationMatch](): states(models.RegistrationMatches...),
		reflect.TypeFor[models.RevocationPolicy]():  states(models.RevocationPolicies...),
		reflect.TypeFor[models.RequestKind]():       states(models.KindOnboarding, models.KindEnrollment, models.KindRenewal),
		reflect.TypeFor[models.AuthMethod]():        states(models.AuthPassword, models.AuthIDevID, models.AuthDomainCredential, models.AuthPredecessor, models.AuthRA, models.AuthOperator),
		reflect.TypeFor[models.Outcome]():           states(models.OutcomeIssue, models.OutcomeWait, models.OutcomeRefuse),
		reflect.TypeFor[models.Verdict]():           states(models.VerdictApprove, models.VerdictReject),
		reflect.TypeFor[models.CertificateKind]():   states(models.CertificateCA, models.CertificateDomainCredential, models.CertificateApplication, models.CertificateProtector),
		reflect.TypeFor[models.RevocationReason]():  reasons(),
		reflect.TypeFor[models.Role]():              states(models.Roles...),
		reflect.TypeFor[models.DeliveryState]():     states(models.DeliveryWaiting, models.DeliveryReady, models.DeliveryDelivered, models.DeliveryExpired, models.DeliveryWithdrawn, models.DeliveryLocked),
		reflect.TypeFor[models.DeliveryChannel]():   states(models.DeliverToOperator, models.DeliverByDownload, models.DeliverByEST, models.DeliverByCMP),
		reflect.TypeFor[models.DeliveryFormat]():    states(models.DeliveryFormats...),
	}
}

func states[S ~string](values ...S) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return texts
}

// reasons lists the revocation reasons in the order of their codes.
func reasons() []string {
	ordered := make([]string, 11)
	for reason, code := range models.RevocationReasons {
		ordered[code] = string(reason)
	}
	listed := ordered[:0]
	for _, reason := range ordered {
		if reason != "" {
			listed = append(listed, reason)
		}
	}
	return listed
}

// schemas derives schemas from Go types; structs become components.
type schemas struct {
	components map[string]*schema
	enums      map[reflect.Type][]string
}

func newSchemas() *schemas { return &schemas{components: map[string]*schema{}, enums: enums()} }

// of returns the schema of a type, a reference for structs.
func (s *schemas) of(t reflect.Type) *schema {
	if t.Kind() == reflect.Pointer {
		return s.of(t.Elem())
	}
	if values, ok := s.enums[t]; ok {
		return &schema{Type: "string", Enum: values}
	}
	switch t {
	case timeType:
		return &schema{Type: "string", Format: "date-time"}
	case reflect.TypeFor[models.Duration]():
		return &schema{Type: "string", Pattern: "^[0-9]+[smhdy]$"}
	case reflect.TypeFor[jsontext.Value]():
		return &schema{Type: "object"}
	case reflect.TypeFor[api.TextChange]():
		return &schema{AnyOf: []*schema{{Type: "string"}, {Type: "null"}}}
	case reflect.TypeFor[api.RuleChange]():
		return &schema{AnyOf: []*schema{s.of(reflect.TypeFor[api.ApprovalRule]()), {Type: "null"}}}
	}
	if t == bytesType {
		return &schema{Type: "string", ContentEncoding: "base64"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int:
		return &schema{Type: "integer"}
	case reflect.Slice:
		return &schema{Type: "array", Items: s.of(t.Elem())}
	case reflect.Map:
		return &schema{Type: "object", AdditionalProperties: s.of(t.Elem())}
	case reflect.Struct:
		return s.component(t)
	default:
		return &schema{Type: "string"}
	}
}

func (s *schemas) component(t reflect.Type) *schema {
	name := typeName(t)
	ref := &schema{Ref: "#/components/schemas/" + name}
	if s.components[name] != nil {
		return ref
	}
	c := &schema{Type: "object", Properties: map[string]*schema{}}
	s.components[name] = c
	for f := range t.Fields() {
		member, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		property := s.of(f.Type)
		property.Description = f.Tag.Get("doc")
		c.Properties[member] = property
		if options == "" {
			c.Required = append(c.Required, member)
		}
	}
	return ref
}

// typeName returns the name of a type, for a page of CAs CAPage.
func typeName(t reflect.Type) string {
	outer, inner, generic := strings.Cut(strings.TrimSuffix(t.Name(), "]"), "[")
	if !generic {
		return outer
	}
	return inner[strings.LastIndex(inner, ".")+1:] + outer
}

// exampleID and exampleTime stand for the identifiers and times of examples.
const (
	exampleID     = "01999999-0000-7000-8000-000000000001"
	exampleTime   = "2027-01-31T08:00:00Z"
	examplePEM    = "-----BEGIN CERTIFICATE-----\nMII...\n-----END CERTIFICATE-----\n"
	exampleDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// example builds an example of a type: members that are always there, and
// those whose tag gives one.
func (s *schemas) example(t reflect.Type, tag reflect.StructTag) any {
	if t.Kind() == reflect.Pointer {
		return s.example(t.Elem(), tag)
	}
	given := tag.Get("example")
	if values, ok := s.enums[t]; ok {
		if given == "" {
			return values[0]
		}
		return given
	}
	switch t {
	case timeType:
		return exampleTime
	case reflect.TypeFor[models.Duration]():
		return orElse(given, "30d")
	case reflect.TypeFor[jsontext.Value]():
		return map[string]any{"type": "application"}
	case reflect.TypeFor[api.RuleChange]():
		return s.example(reflect.TypeFor[api.ApprovalRule](), "")
	}
	if t == bytesType {
		return "MII="
	}
	switch t.Kind() {
	case reflect.Bool:
		return false
	case reflect.Int:
		n, _ := strconv.Atoi(given) // 0 without an example
		return n
	case reflect.Slice:
		return s.exampleList(t.Elem(), given)
	case reflect.Map:
		return map[string]any{"line": "3"}
	case reflect.Struct:
		return s.exampleObject(t)
	}
	return exampleText(tag)
}

func (s *schemas) exampleList(item reflect.Type, given string) []any {
	if item.Kind() == reflect.Struct {
		return []any{s.example(item, "")}
	}
	list := []any{}
	for part := range strings.SplitSeq(given, ",") {
		if part != "" {
			list = append(list, part)
		}
	}
	return list
}

func (s *schemas) exampleObject(t reflect.Type) map[string]any {
	object := map[string]any{}
	for f := range t.Fields() {
		member, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type.Kind() == reflect.Struct && f.Type != timeType && f.Type != reflect.TypeFor[api.RuleChange]()
		if options == "" || f.Tag.Get("example") != "" || inner {
			object[member] = s.example(f.Type, f.Tag)
		}
	}
	return object
}

// exampleText chooses a text by the member's name where the tag has none.
func exampleText(tag reflect.StructTag) string {
	member, _, _ := strings.Cut(tag.Get("json"), ",")
	switch {
	case tag.Get("example") != "":
		return tag.Get("example")
	case member == "next_cursor":
		return ""
	case member == "pem", member == "csr", member == "certificate", member == "chain":
		return examplePEM
	case strings.HasSuffix(member, "sha256"), member == "fingerprint":
		return exampleDigest
	case member == "issuer_key_id":
		return exampleDigest[:40]
	case member == "id", member == "request":
		return exampleID
	}
	return member
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
