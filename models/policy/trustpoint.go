// SPDX-License-Identifier: MIT

package policy

import (
	"encoding/json/v2"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// Conversion is what became of a profile document of Trustpoint.
type Conversion struct {
	Document []byte   // of ours, JSON
	Notes    []string // what is said differently, or holds here in any case
	Lost     []string // what the document says and ours does not
}

// FromTrustpoint converts a certificate profile of the Trustpoint project
// (type cert_profile, as of its version 0.6) into a document of ours. What has
// no counterpart is in Lost and missing in the document: who takes it over
// anyway should have read that. It is KindInvalid for what is no such profile,
// and for what cannot be understood: nothing is guessed.
func FromTrustpoint(document []byte) (*Conversion, error) {
	root, err := readDocument(document)
	if err != nil {
		return nil, err
	}
	c := &converter{}
	out, err := c.root(root)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(out, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode the converted profile: %w", err)
	}
	if _, err := ParseProfile(encoded); err != nil {
		return nil, models.Errorf(models.KindInvalid, "what the profile says cannot be said here: %s", models.PublicText(err)).Because(err)
	}
	c.Document = encoded
	return &c.Conversion, nil
}

type converter struct {
	Conversion
	authority bool
}

func (c *converter) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}
func (c *converter) lose(n *node, format string, args ...any) {
	c.Lost = append(c.Lost, n.path+": "+fmt.Sprintf(format, args...))
}

func (c *converter) root(n *node) (object, error) {
	out := object{"version": 1, "type": documentType, "validity": object{"duration": "10d"}}
	extensions := &node{kind: kindObject, path: "extensions"}
	for _, member := range n.members {
		if member.name == "ext" || member.name == "extensions" {
			extensions = member
		}
	}
	c.authority = signsCertificates(extensions)
	seen := false
	for _, member := range n.members {
		var err error
		switch member.name {
		case "type":
			seen = true
			err = member.mustBe(kindString, documentType)
		case "ver", "version":
			if member.text != "1" && member.text != "1.0" {
				err = member.errorf("version %q of Trustpoint's format is not known here", member.text)
			}
		case "display_name", "credential_type":
			out[member.name], err = member.str()
		case "subj", "subject":
			out["subject"], err = c.subject(member)
		case "ext", "extensions":
		case "validity":
			out["validity"], err = c.validity(member)
		default:
			err = c.keyword(out, member)
		}
		if err != nil {
			return nil, err
		}
	}
	if !seen {
		return nil, n.errorf("type: missing; a profile of Trustpoint has the type %s", documentType)
	}
	converted, err := c.extensions(extensions)
	if err != nil {
		return nil, err
	}
	out["extensions"] = converted
	if c.authority {
		out["credential_type"] = TypeAuthority
		c.note("the profile is for CAs: it is used when a CA is made, and no device gets a certificate under it")
	} else {
		c.note("serial_number of the subject is issued only if it is the device's own, and user_id only if it is the device's name")
		c.note("template variables in what a requester sends are not replaced")
	}
	return out, nil
}

// keyword copies one keyword of a container.
func (c *converter) keyword(out object, n *node) error {
	switch n.name {
	case "allow":
		value, err := c.plain(n)
		out["allow"] = value
		return err
	case "mutable", "reject_mods", "critical", "required":
		value, err := n.boolean()
		out[n.name] = value
		return err
	}
	return n.errorf("unknown member")
}

// plain copies a value as it is, templates translated.
func (c *converter) plain(n *node) (any, error) {
	switch n.kind {
	case kindString:
		return c.text(n)
	case kindArray:
		list := []any{}
		for _, item := range n.items {
			value, err := c.plain(item)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	}
	return nil, n.errorf("must be a string or a list, not %s", n.noun())
}

var trustpointVariables = map[string]string{
	"device.common_name": "device.name", "device.serial_number": "device.serial_number", "device.rfc_4122_uuid": "device.id",
	"domain.unique_name": "domain.name",
}

var trustpointVariable = regexp.MustCompile(`\{\{ *([^{}]*?) *\}\}`)

// text translates the template variables of a value.
func (c *converter) text(n *node) (string, error) {
	s, err := n.str()
	if err != nil {
		return "", err
	}
	translated := trustpointVariable.ReplaceAllStringFunc(s, func(match string) string {
		name := trustpointVariable.FindStringSubmatch(match)[1]
		if ours := trustpointVariables[name]; ours != "" {
			return "{{" + ours + "}}"
		}
		err = n.errorf("the template variable %q has no counterpart", name)
		return match
	})
	return translated, err
}

func (c *converter) subject(n *node) (object, error) {
	if err := n.object(); err != nil {
		return nil, err
	}
	out := object{}
	for _, member := range n.members {
		field, known := subjectAttributes.find(member.name)
		if !known {
			if err := c.keyword(out, member); err != nil {
				return nil, err
			}
			continue
		}
		value, err := c.rule(member, nil)
		if err != nil {
			return nil, err
		}
		out[field.canonical] = value
	}
	if _, named := out["serial_number"]; !named && !c.authority {
		out["serial_number"] = object{} // instead of ours, which adds the device's
		if out["allow"] != "*" {
			out["serial_number"] = nil
		}
	}
	return out, nil
}

// rule converts the rule for one field. check refuses single values that
// cannot be issued; they are lost.
func (c *converter) rule(n *node, check func(string) error) (any, error) {
	if n.kind == kindNull {
		return nil, nil
	}
	if n.kind != kindObject {
		value, err := c.values(n, check)
		if err == nil && value == nil {
			return object{}, nil
		}
		return value, err
	}
	out := object{}
	for _, member := range n.members {
		switch member.name {
		case "value", "default":
			value, err := c.values(member, check)
			if err != nil {
				return nil, err
			}
			if value != nil {
				out[member.name] = value
			}
		default:
			if err := c.keyword(out, member); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (c *converter) values(n *node, check func(string) error) (any, error) {
	value, err := c.plain(n)
	if err != nil || check == nil {
		return value, err
	}
	items, isList := value.([]any)
	if !isList {
		items = []any{value}
	}
	items = slices.DeleteFunc(slices.Clone(items), func(item any) bool {
		s, _ := item.(string)
		if strings.Contains(s, "{{") {
			return false
		}
		refusal := check(s)
		if refusal != nil {
			c.lose(n, "%q is left out: %s", s, models.PublicText(refusal))
		}
		return refusal != nil
	})
	switch {
	case len(items) == 0:
		return nil, nil
	case !isList:
		return items[0], nil
	}
	return items, nil
}

func (c *converter) validity(n *node) (object, error) {
	if err := n.object(); err != nil {
		return nil, err
	}
	out, seconds := object{}, int64(0)
	units := map[string]int64{"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
	for _, member := range n.members {
		switch unit := units[member.name]; {
		case unit > 0:
			count, err := strconv.ParseInt(member.text, 10, 32)
			if member.kind != kindNumber || err != nil || count < 0 {
				return nil, member.errorf("must be a whole number of %s", member.name)
			}
			seconds += count * unit
		case member.name == "duration":
			parsed, err := isoSeconds(member)
			if err != nil {
				return nil, err
			}
			seconds += parsed
		case member.name == "not_before" || member.name == "not_after":
			at, err := member.str()
			if err != nil {
				return nil, err
			}
			if member.name == "not_before" && trustpointVariable.ReplaceAllString(at, "$1") == "time.now" {
				out["offset"] = "0s"
				continue
			}
			out[member.name] = at
		case slices.Contains([]string{"offset_s", "validity_min", "validity_max"}, member.name):
			c.note("%s, which Trustpoint reads and does not apply, is left out", member.path)
		default:
			if err := c.keyword(out, member); err != nil {
				return nil, err
			}
		}
	}
	if out["not_after"] == nil {
		if seconds == 0 {
			seconds = 10 * 86400
		}
		out["duration"] = spanOf(seconds)
	}
	return out, nil
}

func spanOf(seconds int64) string {
	if seconds%86400 == 0 {
		return fmt.Sprintf("%dd", seconds/86400)
	}
	return fmt.Sprintf("%ds", seconds)
}

var isoDuration = regexp.MustCompile(`^P(?:(\d{1,5})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,7})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?$`)

// isoSeconds reads a duration of ISO 8601 without months and years, which
// have no length.
func isoSeconds(n *node) (total int64, err error) {
	text, err := n.str()
	if err != nil {
		return 0, err
	}
	parts := isoDuration.FindStringSubmatch(text)
	if parts == nil {
		return 0, n.errorf("%q is not a duration of weeks, days, hours, minutes and seconds, such as P30D", text)
	}
	for i, unit := range []int64{7 * 86400, 86400, 3600, 60, 1} {
		if count, err := strconv.ParseInt(parts[i+1], 10, 64); err == nil {
			total += count * unit
		}
	}
	if total == 0 {
		return 0, n.errorf("%q has no length", text)
	}
	return total, nil
}
