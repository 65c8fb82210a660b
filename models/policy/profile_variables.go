// SPDX-License-Identifier: MIT

package policy

import (
	"regexp"
	"slices"
	"strings"
)

// text is a value of a profile, which may have template variables. What a
// requester sent is a string and never becomes a text: it is not resolved.
type text string

var (
	variable = regexp.MustCompile(`\{\{ *([a-z][a-z0-9_.-]*) *\}\}`)
	metadata = regexp.MustCompile(`^\{\{ *device\.metadata\.[a-z0-9_.-]+ *\}\}$`)
)

// metadataPrefix begins the variables for what operators noted about a device.
const metadataPrefix = "device.metadata."

// variables are what a text may refer to, beside metadata.
var variables = map[string]func(Subject) string{
	"device.id":            func(s Subject) string { return string(s.Device.ID) },
	"device.name":          func(s Subject) string { return s.Device.Name },
	"device.serial_number": func(s Subject) string { return s.Device.SerialNumber },
	"domain.name":          func(s Subject) string { return s.Domain.Name },
	issuerKeyID:            func(s Subject) string { return s.IssuerKeyID },
}

// issuerKeyID is for URLs only: nothing else changes with the issuer.
const issuerKeyID = "issuer.key_id"

func knownVariable(name string) bool {
	key, isMetadata := strings.CutPrefix(name, metadataPrefix)
	return isMetadata && key != "" || variables[name] != nil
}

// checkVariables refuses, at n, unknown variables and stray braces.
func checkVariables(n *node, t text, inURL bool) error {
	for _, match := range variable.FindAllStringSubmatch(string(t), -1) {
		switch name := match[1]; {
		case !knownVariable(name):
			return n.errorf("unknown variable %s; known are %s", name, strings.Join(variableNames(inURL), ", "))
		case name == issuerKeyID && !inURL:
			return n.errorf("%s is for the URLs of the issuer only", name)
		}
	}
	if rest := variable.ReplaceAllString(string(t), ""); strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
		return n.errorf("malformed template; write {{device.name}}")
	}
	return nil
}

func variableNames(inURL bool) []string {
	names := []string{metadataPrefix + "KEY"}
	for name := range variables {
		if name != issuerKeyID || inURL {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (t text) hasVariables() bool { return variable.MatchString(string(t)) }

func (t text) isMetadata() bool { return metadata.MatchString(string(t)) }

// resolve replaces the variables. If one of them is empty, as the serial
// number of a device may be, there is no value at all.
func (t text) resolve(who Subject) (string, bool) {
	complete := true
	resolved := variable.ReplaceAllStringFunc(string(t), func(match string) string {
		value := valueOf(variable.FindStringSubmatch(match)[1], who)
		complete = complete && value != ""
		return value
	})
	return resolved, complete
}

func valueOf(name string, who Subject) string {
	if key, isMetadata := strings.CutPrefix(name, metadataPrefix); isMetadata {
		return who.Device.Metadata[key]
	}
	if value := variables[name]; value != nil {
		return value(who)
	}
	return ""
}
