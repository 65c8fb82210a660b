// SPDX-License-Identifier: MIT

package rest

import (
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"

	"github.com/trustloom/trustloom/models"
)

const (
	maxBody  = 1 << 20
	maxDepth = 32
)

// readBody reads a request's body, bounded.
func readBody(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, models.Errorf(models.KindInvalid, "the body could not be read").Because(err)
	}
	if len(data) > maxBody {
		return nil, models.Errorf(models.KindInvalid, "the body is longer than %d bytes", maxBody)
	}
	return data, nil
}

// checkMediaType refuses a body that does not say that it is JSON: a browser
// cannot be made to send that from another site without asking first.
func checkMediaType(r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return models.Errorf(models.KindInvalid, "the body has to come with Content-Type: application/json")
	}
	return nil
}

// decodeBody reads JSON into a request type. Unknown and repeated members,
// null where it has no meaning, other letter case, invalid UTF-8, more than
// one value and deep nesting are refused.
func decodeBody(data []byte, into any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return models.Errorf(models.KindInvalid, "the body is missing; a JSON object is expected")
	}
	if err := checkDepth(data); err != nil {
		return err
	}
	err := json.Unmarshal(data, into, json.RejectUnknownMembers(true), json.WithUnmarshalers(refuseNull))
	if err != nil {
		return bodyError(err)
	}
	return nil
}

// checkDepth walks through the tokens before any of them is given a meaning.
func checkDepth(data []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		_, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return bodyError(err)
		}
		if d.StackDepth() > maxDepth {
			return models.Errorf(models.KindInvalid, "the body is nested deeper than %d levels", maxDepth)
		}
	}
}

var errNull = errors.New("null has no meaning here; leave the member out")

// acceptsNull marks types for which null has a meaning.
type acceptsNull interface{ AcceptsNull() }

// refuseNull looks at every value before its type does.
var refuseNull = json.UnmarshalFromFunc(func(d *jsontext.Decoder, into any) error {
	if _, fine := into.(acceptsNull); !fine && d.PeekKind() == 'n' {
		return errNull
	}
	return errors.ErrUnsupported // go on as usual
})

// bodyError makes a sentence of what is wrong with a body, and where.
func bodyError(err error) error {
	text := "does not fit"
	var where jsontext.Pointer
	var semantic *json.SemanticError
	var syntactic *jsontext.SyntacticError
	var known *models.Error
	switch {
	case errors.As(err, &semantic):
		where = semantic.JSONPointer
		if semantic.GoType != nil && semantic.JSONKind != 0 {
			text = "is not of the expected type"
		}
	case errors.As(err, &syntactic):
		where, text = syntactic.JSONPointer, "is not valid JSON"
	}
	switch {
	case errors.As(err, &known):
		text = known.Public
	case errors.Is(err, json.ErrUnknownName):
		text = "is not a known member"
	case errors.Is(err, jsontext.ErrDuplicateName):
		text = "is given twice"
	case errors.Is(err, errNull):
		text = errNull.Error()
	}
	return models.Errorf(models.KindInvalid, "body%s: %s", printable(string(where)), text).Because(err)
}

// printable shortens and cleans a piece of the caller's own text that goes
// back to it.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
