// SPDX-License-Identifier: MIT

package api

import "encoding/json/v2"

// MetadataChange changes the keys that it names and leaves the rest (RFC 7396).
type MetadataChange map[string]TextChange

// TextChange sets a text, or removes it: nil is null on the wire.
type TextChange struct{ Text *string }

// SetText returns the change that sets a text.
func SetText(text string) TextChange { return TextChange{Text: &text} }

// AcceptsNull marks the type as one for which null has a meaning.
func (TextChange) AcceptsNull() {}

// MarshalJSON writes the text, or null.
func (c TextChange) MarshalJSON() ([]byte, error) { return json.Marshal(c.Text) }

// UnmarshalJSON reads a text, or null.
func (c *TextChange) UnmarshalJSON(data []byte) error {
	c.Text = nil
	return json.Unmarshal(data, &c.Text)
}

// Annotating changes what is noted about a certificate or a CA.
type Annotating struct {
	Metadata MetadataChange `json:"metadata" doc:"what it names; null removes a key"`
}
