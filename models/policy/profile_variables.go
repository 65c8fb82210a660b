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

var variable = regexp.MustCompile(`\{\{ *([a-z_.]+) *\}\}`)

// variables are what a text may refer to.
var variables = map[string]func(Subject) string{
	"device.name":          func(s Subject) string { return s.Device.Name },
	"device.serial_number": func(s Subject) string { return s.Device.SerialNumber },
	"domain.name":          func(s Subject) string { return s.Domain.Name },
}

// checkVariables refuses, at n, unknown variables and stray braces.
func checkVariables(n *node, t text) error {
	for _, match := range variable.FindAllStringSubmatch(string(t), -1) {
		if variables[match[1]] == nil {
			return n.errorf("unknown variable %s; known are %s", match[1], strings.Join(variableNames(), ", "))
		}
	}
	if rest := variable.ReplaceAllString(string(t), ""); strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
		return n.errorf("malformed template; write {{device.name}}")
	}
	return nil
}

func variableNames() []string {
	names := make([]string, 0, len(variables))
	for name := range variables {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t text) hasVariables() bool { return variable.MatchString(string(t)) }

// resolve replaces the variables. If one of them is empty, as the serial
// number of a device may be, there is no value at all.
func (t text) resolve(who Subject) (string, bool) {
	complete := true
	resolved := variable.ReplaceAllStringFunc(string(t), func(match string) string {
		value := variables[variable.FindStringSubmatch(match)[1]](who)
		complete = complete && value != ""
		return value
	})
	return resolved, complete
}
