// SPDX-License-Identifier: MIT

package policy

import (
	"encoding/json/v2"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// object is one JSON object of the schema.
type object = map[string]any

// SchemaID names the schema of profile documents.
const SchemaID = "urn:trustloom:schema:profile:" + FormatVersion

// Schema returns the JSON Schema (draft 2020-12) of profile documents. What it
// refuses is refused by ParseProfile; ParseProfile refuses more: what hangs
// together across members, and values that cannot be issued. Of the spellings
// of a name it knows snake_case, camelCase, the abbreviations and the object
// identifier.
func Schema() []byte {
	// Marshalling maps of strings, numbers and booleans does not fail.
	schema, _ := json.Marshal(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SchemaID, "title": "Trustloom certificate profile",
		"type": "object", "required": []string{"type", "version", "validity"}, "additionalProperties": false,
		"properties": rootSchema(), "$defs": definitions(),
	}, json.Deterministic(true))
	return schema
}

func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

func anyOf(of ...object) object              { return object{"anyOf": of} }
func described(o object, text string) object { o["description"] = text; return o }
func listOf(items object) object {
	return object{"type": "array", "items": items, "minItems": 1, "maxItems": maxListItems}
}
func oneOf(values ...string) object { return object{"enum": values} }
func closed(properties object) object {
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

var (
	textSchema    = object{"type": "string", "minLength": 1}
	booleanSchema = object{"type": "boolean"}
	nullSchema    = object{"type": "null"}
	spanSchema    = object{"type": "string", "pattern": "^[0-9]+[smhdy]$"}
	timeSchema    = object{"type": "string", "format": "date-time"}
)

func rootSchema() object {
	return object{
		"type": object{"const": documentType}, "version": object{"const": 1},
		"name": object{"type": "string", "pattern": "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"}, "display_name": object{"type": "string", "minLength": 1, "maxLength": maxDisplayName},
		"credential_type": described(oneOf(TypeApplication, TypeDomain, TypeAuthority), "what the certificates are"),
		"allow":           described(object{"const": "*"}, "requesters may bring every known field"), "mutable": booleanSchema, "reject_mods": booleanSchema,
		"subject": ref("subject"), "extensions": ref("extensions"), "validity": ref("validity"),
		"key": closed(object{
			"algorithms": listOf(object{"type": "string", "pattern": "^(?i:" + strings.Join(algorithmNames(), "|") + ")$"}),
			"rsa_bits":   closed(object{"min": bitsSchema(), "max": bitsSchema()}),
		}),
		"signature":      closed(object{"hash": object{"type": "string", "pattern": "^(?i:SHA-256|SHA-384|SHA-512)$"}}),
		"binding":        bindingSchema(),
		"uniqueness":     listOf(textSchema),
		"maximum_active": object{"type": "integer", "minimum": 1, "maximum": maxMaximumActive},
		"renewal":        object{"type": "object", "required": []string{"window"}, "additionalProperties": false, "properties": object{"window": object{"type": "string", "pattern": "^([0-9]+[smhdy]|[0-9]{1,3}%)$"}}},
	}
}

func bitsSchema() object { return object{"type": "integer", "minimum": 2048, "maximum": 8192} }

func algorithmNames() []string {
	names := []string{"RSA", "EC"}
	for _, a := range models.KeyAlgorithms {
		names = append(names, string(a))
	}
	return names
}

// spellings adds a property for each spelling of the names of a vocabulary.
func spellings(into object, v vocabulary, schema func(entry) object, oids bool) object {
	for _, e := range v {
		names := append([]string{e.canonical, camel(e.canonical)}, e.others...)
		for _, other := range e.others {
			names = append(names, camel(other), strings.ToLower(other))
		}
		if oids && e.oid != "" {
			names = append(names, e.oid)
		}
		for _, name := range names {
			into[name] = schema(e)
		}
	}
	return into
}

// camel returns the camelCase of RFC 5280.
func camel(snake string) string {
	words := strings.Split(snake, "_")
	for i := 1; i < len(words); i++ {
		if words[i] != "" {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
	}
	return strings.Join(words, "")
}

// container has the keywords of a container beside its properties.
func container(properties object, allowNames bool) object {
	allow := object{"const": "*"}
	if allowNames {
		allow = anyOf(allow, object{"type": "array", "items": textSchema, "maxItems": maxListItems})
	}
	properties["allow"], properties["mutable"], properties["reject_mods"] = allow, booleanSchema, booleanSchema
	return closed(properties)
}

// ruleSchema is the schema of a rule whose values are like value.
func ruleSchema(value object, more ...string) object {
	values := anyOf(value, listOf(value))
	properties := object{
		"value": values, "default": values, "required": booleanSchema, "mutable": booleanSchema, "reject_mods": booleanSchema,
		"allow": anyOf(object{"const": "*"}, object{"type": "array", "items": value, "maxItems": maxListItems}), "allow_unknown": booleanSchema,
	}
	for _, name := range more {
		properties[name] = booleanSchema
	}
	return anyOf(nullSchema, value, listOf(value), closed(properties))
}

func definitions() object {
	urls := anyOf(nullSchema, textSchema, listOf(textSchema))
	subtrees := ref("subtrees")
	names := spellings(object{"critical": booleanSchema, "required": booleanSchema}, alternativeNames, func(entry) object { return ref("rule") }, false)
	policy := anyOf(textSchema, object{"type": "object", "required": []string{"oid"}, "additionalProperties": false, "properties": object{"oid": textSchema, "cps": textSchema, "user_notice": textSchema}})
	extensions := map[string]object{
		oidKeyUsage: ref("critical_rule"), oidExtKeyUsage: ref("critical_rule"), oidMicrosoftTemplate: ref("critical_rule"), oidSubjectAltName: anyOf(nullSchema, ref("names")),
		oidBasicConstraints:    anyOf(nullSchema, closed(object{"ca": booleanSchema, "critical": booleanSchema, "path_length": object{"type": "integer", "minimum": 0, "maximum": 10}})),
		oidCertificatePolicies: ref("policies_rule"), oidCRLPoints: anyOf(urls, closed(object{"uris": urls})),
		oidAuthorityInfo:   anyOf(nullSchema, closed(object{"ca_issuers": urls, "ocsp": urls})),
		oidNameConstraints: anyOf(nullSchema, closed(object{"critical": booleanSchema, "permitted": subtrees, "excluded": subtrees})),
		"":                 object{"type": "object", "maxProperties": maxCustom, "patternProperties": object{`^[0-2](\.[0-9]+)+$`: ref("critical_rule")}, "additionalProperties": false},
	}
	return object{
		"rule": described(ruleSchema(textSchema), "null: never; a text or list: always this; an object: keywords"), "critical_rule": ruleSchema(textSchema, "critical"), "policies_rule": ruleSchema(policy, "critical"),
		"subject":    container(spellings(object{}, subjectAttributes, func(entry) object { return ref("rule") }, true), true),
		"extensions": container(spellings(object{}, extensionNames, func(e entry) object { return extensions[e.oid] }, true), true),
		"names":      container(names, true),
		"subtrees": closed(spellings(object{}, slices.DeleteFunc(slices.Clone(alternativeNames), func(e entry) bool {
			return !slices.Contains([]string{"dns", "ip", "uri", "email"}, e.oid)
		}), func(entry) object { return listOf(textSchema) }, false)),
		"validity": closed(object{
			"duration": spanSchema, "backdate": spanSchema, "offset": spanSchema, "min": spanSchema, "max": spanSchema,
			"not_before": timeSchema, "not_after": timeSchema, "mutable": booleanSchema, "reject_mods": booleanSchema,
		}),
	}
}

func bindingSchema() object {
	bound := anyOf(textSchema, listOf(textSchema), object{
		"type": "object", "required": []string{"allow"}, "additionalProperties": false,
		"properties": object{"allow": anyOf(textSchema, listOf(textSchema)), "allow_unknown": booleanSchema},
	})
	all := spellings(spellings(object{}, subjectAttributes, func(entry) object { return bound }, true), alternativeNames, func(entry) object { return bound }, false)
	schema := closed(all)
	schema["minProperties"] = 1
	return schema
}
