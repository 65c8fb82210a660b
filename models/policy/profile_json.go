// SPDX-License-Identifier: MIT

package policy

import (
	"bytes"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/trustloom/trustloom/models"
)

// The bounds of a profile document.
const (
	MaxProfile   = 64 << 10 // octets
	maxNesting   = 8
	maxListItems = 100
)

// The kinds of JSON values, as jsontext names them.
const (
	kindNull   = jsontext.Kind('n')
	kindTrue   = jsontext.Kind('t')
	kindFalse  = jsontext.Kind('f')
	kindString = jsontext.Kind('"')
	kindNumber = jsontext.Kind('0')
	kindObject = jsontext.Kind('{')
	kindArray  = jsontext.Kind('[')
)

// node is a JSON value that knows where in the document it stands.
type node struct {
	path    string // "subject.common_name"; empty for the document
	name    string // as a member of an object
	kind    jsontext.Kind
	text    string // of a string, or the literal of a number
	members []*node
	items   []*node
}

// readDocument reads one JSON object (RFC 8259) within the bounds. Names that
// occur twice in an object and invalid UTF-8 are refused.
func readDocument(document []byte) (*node, error) {
	if len(document) > MaxProfile {
		return nil, models.Errorf(models.KindInvalid, "the profile document is larger than %d KiB", MaxProfile>>10)
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(document))
	root := &node{}
	if err := root.read(decoder, 1); err != nil {
		return nil, err
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, models.Errorf(models.KindInvalid, "there is something after the profile document; send one JSON object")
	}
	if root.kind != kindObject {
		return nil, models.Errorf(models.KindInvalid, "the profile document must be a JSON object, not %s", root.noun())
	}
	return root, nil
}

func (n *node) read(d *jsontext.Decoder, depth int) error {
	if depth > maxNesting {
		return models.Errorf(models.KindInvalid, "the profile document is nested deeper than %d levels", maxNesting)
	}
	token, err := d.ReadToken()
	if err != nil {
		return syntaxError(err)
	}
	switch n.kind = token.Kind(); n.kind {
	case kindString, kindNumber:
		n.text = token.String()
	case kindObject:
		return n.readMembers(d, depth)
	case kindArray:
		return n.readItems(d, depth)
	}
	return nil
}

func (n *node) readMembers(d *jsontext.Decoder, depth int) error {
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return syntaxError(err)
		}
		member := &node{name: name.String()}
		member.path = joinPath(n.path, member.name)
		if err := member.read(d, depth+1); err != nil {
			return err
		}
		n.members = append(n.members, member)
	}
	_, err := d.ReadToken()
	return syntaxError(err)
}

func (n *node) readItems(d *jsontext.Decoder, depth int) error {
	for d.PeekKind() != ']' {
		item := &node{path: fmt.Sprintf("%s[%d]", n.path, len(n.items))}
		if len(n.items) == maxListItems {
			return n.errorf("a list has at most %d items", maxListItems)
		}
		if err := item.read(d, depth+1); err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := d.ReadToken()
	return syntaxError(err)
}

func syntaxError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jsontext.ErrDuplicateName):
		return models.Errorf(models.KindInvalid, "a member occurs twice in an object of the profile document").Because(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return models.Errorf(models.KindInvalid, "the profile document ends too early or is empty").Because(err)
	}
	text := strings.TrimPrefix(err.Error(), "jsontext: ")
	return models.Errorf(models.KindInvalid, "the profile document is not valid JSON: %s", text).Because(err)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_.~-]{1,64}$`)

// joinPath appends a member's name; odd names are quoted and cut, so that an
// error stays one readable line.
func joinPath(path, name string) string {
	if !plainName.MatchString(name) {
		name = fmt.Sprintf("%.64q", name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// errorf returns a KindInvalid error that begins with the node's path.
func (n *node) errorf(format string, args ...any) error {
	sentence := fmt.Sprintf(format, args...)
	if n.path != "" {
		sentence = n.path + ": " + sentence
	}
	return models.Errorf(models.KindInvalid, "%s", sentence)
}

func (n *node) noun() string {
	switch n.kind {
	case kindNull:
		return "null"
	case kindTrue, kindFalse:
		return "a boolean"
	case kindString:
		return "a string"
	case kindNumber:
		return "a number"
	case kindArray:
		return "a list"
	}
	return "an object"
}

// unknown refuses a member and names the ones there are.
func (n *node) unknown(known ...string) error {
	return n.errorf("unknown member; known are %s", strings.Join(known, ", "))
}

func (n *node) object() error {
	if n.kind != kindObject {
		return n.errorf("must be an object, not %s", n.noun())
	}
	return nil
}

func (n *node) boolean() (bool, error) {
	if n.kind != kindTrue && n.kind != kindFalse {
		return false, n.errorf("must be true or false, not %s", n.noun())
	}
	return n.kind == kindTrue, nil
}

func (n *node) str() (string, error) {
	if n.kind != kindString {
		return "", n.errorf("must be a string, not %s", n.noun())
	}
	if n.text == "" {
		return "", n.errorf("must not be empty; leave the member out, or forbid the field with null")
	}
	return n.text, nil
}

// duration reads a span of time such as "30d".
func (n *node) duration() (models.Duration, error) {
	text, err := n.str()
	if err != nil {
		return 0, err
	}
	parsed, err := models.ParseDuration(text)
	if err != nil {
		return 0, n.errorf("%s", models.PublicText(err))
	}
	return parsed, nil
}
