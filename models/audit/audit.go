// SPDX-License-Identifier: MIT

// Package audit makes the log of audit events tamper-evident: the encoding of
// an event, the hash chain over all of them, the signed heads of that chain,
// the check of all three, and the file that an auditor takes away.
//
// Everything is pure, so that a database and an exported file are checked by
// the same code, on the server or far from it. There is no standard for such a
// chain; it is the plain one of RFC 9162 §2 without the tree: each place holds
// SHA-256 (FIPS 180-4) over the place before, its own number and the digest of
// its event. Every hash begins with a label that names what it is of, so that
// none can be passed off as another.
//
// The package must not know the store, HTTP or any key store: keys come in as
// crypto.Signer.
package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/trustloom/trustloom/models"
)

// Format is the version of encoding, digest and chain that new blocks have.
const Format = 1

// The labels of the hashes.
const (
	labelEvent = "trustloom audit event 1\x00"
	labelEntry = "trustloom audit entry 1\x00"
	labelChain = "trustloom audit chain 1\x00"
	labelKey   = "trustloom audit authentication key 1\x00"
)

// Hash is a SHA-256 digest; in text it is lower-case hex.
type Hash [sha256.Size]byte

// String returns the hash in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(h) {
		return models.Errorf(models.KindInvalid, "a hash of the audit chain is not %d hexadecimal digits", 2*len(h))
	}
	copy(h[:], raw)
	return nil
}

// Encode returns the canonical encoding of an event, format 1: a label, then
// every field but MAC as a length (four bytes, big endian) and its bytes, in
// the order of the struct. At is the count of microseconds since 1970 in eight
// bytes. Details are their number and then key and value, by key. Two events
// have the same encoding only if all their fields are the same.
func Encode(e *models.Event) []byte {
	b := make([]byte, 0, 512)
	b = append(b, labelEvent...)
	b = text(b, string(e.ID))
	b = binary.BigEndian.AppendUint32(b, 8)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro()))
	for _, field := range []string{
		e.Actor, e.Address, e.Action, e.Noun, e.SubjectID, string(e.DomainID), string(e.DeviceID), string(e.RequestID), e.WorkflowID, e.RunID,
	} {
		b = text(b, field)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Details)))
	for _, key := range slices.Sorted(maps.Keys(e.Details)) {
		b = text(text(b, key), e.Details[key])
	}
	return b
}

func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// Digest is what the chain holds of an event: the hash of its encoding and of
// whether it carried a valid code when it was sealed.
func Digest(encoded []byte, authenticated bool) Hash {
	h := sha256.New()
	h.Write([]byte(labelEntry))
	h.Write([]byte{flag(authenticated)})
	h.Write(encoded)
	return Hash(h.Sum(nil))
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Key authenticates events: whoever can write into the database but does not
// have the key cannot make an event that looks as if Trustloom had written it.
// The zero Key authenticates nothing.
type Key struct{ key []byte }

// NewKey derives the Key from the sealing key of an installation.
func NewKey(sealingKey []byte) Key {
	mac := hmac.New(sha256.New, sealingKey)
	mac.Write([]byte(labelKey))
	return Key{mac.Sum(nil)}
}

// Code is the authentication code of an encoded event, nil without a key.
func (k Key) Code(encoded []byte) []byte {
	if k.key == nil {
		return nil
	}
	mac := hmac.New(sha256.New, k.key)
	mac.Write(encoded)
	return mac.Sum(nil)
}

// Valid reports whether an event carries the code that belongs to it.
func (k Key) Valid(encoded, code []byte) bool {
	return k.key != nil && hmac.Equal(k.Code(encoded), code)
}

// Known reports whether there is a key at all.
func (k Key) Known() bool { return k.key != nil }

// Tip is a place of the chain: how many events there are up to it, and the
// hash over all of them. The zero Tip is the empty chain.
type Tip struct {
	Seq  int64 `json:"seq"`
	Hash Hash  `json:"hash"`
}

// Next returns the place after t, of the event with a digest.
func (t Tip) Next(digest Hash) Tip {
	b := make([]byte, 0, len(labelChain)+2*sha256.Size+8)
	b = append(b, labelChain...)
	b = append(b, t.Hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Seq+1))
	b = append(b, digest[:]...)
	return Tip{Seq: t.Seq + 1, Hash: sha256.Sum256(b)}
}

// Entry is what a block holds of one event.
type Entry struct {
	EventID       models.EventID // clipped to 255 bytes
	Authenticated bool           // the event's code was valid when it was sealed
	Digest        Hash
}

// maxEventID bounds the identifiers in entries. Ours have 36 bytes; one that
// was put into the database by force may have any length.
const maxEventID = 255

// NewEntry returns the entry of an event as it is stored.
func NewEntry(e *models.Event, key Key) Entry {
	encoded := Encode(e)
	authenticated := key.Valid(encoded, e.MAC)
	return Entry{EventID: clipID(e.ID), Authenticated: authenticated, Digest: Digest(encoded, authenticated)}
}

func clipID(id models.EventID) models.EventID { return id[:min(len(id), maxEventID)] }

// AppendEntry adds the encoding of an entry to b: a flag, the length of the
// identifier, the identifier (its 16 bytes if it is a UUID), the digest.
func AppendEntry(b []byte, e Entry) []byte {
	if raw, ok := packID(e.EventID); ok {
		b = append(b, flag(e.Authenticated)|packed, byte(len(raw)))
		b = append(b, raw[:]...)
	} else {
		b = append(b, flag(e.Authenticated), byte(len(e.EventID)))
		b = append(b, e.EventID...)
	}
	return append(b, e.Digest[:]...)
}

// packed is the flag of an identifier in 16 bytes.
const packed = 2

// packID returns the bytes of a UUID in its canonical text form.
func packID(id models.EventID) (raw [16]byte, ok bool) {
	if !models.IsID(string(id)) {
		return raw, false
	}
	_, err := hex.Decode(raw[:], []byte(id[0:8]+id[9:13]+id[14:18]+id[19:23]+id[24:36]))
	return raw, err == nil
}

func unpackID(raw []byte) models.EventID {
	return models.EventID(fmt.Sprintf("%x-%x-%x-%x-%x", raw[0:4], raw[4:6], raw[6:8], raw[8:10], raw[10:16]))
}

// MaxEntries bounds the number of entries in a block.
const MaxEntries = 500

// ParseEntries is the inverse of AppendEntry. It is KindInvalid for anything
// that AppendEntry did not write and for more than MaxEntries.
func ParseEntries(b []byte) ([]Entry, error) {
	bad := models.Errorf(models.KindInvalid, "the entries of a block of the audit chain are damaged")
	entries := make([]Entry, 0, min(len(b)/50, MaxEntries)+1)
	for len(b) > 0 {
		if len(b) < 2 || len(entries) == MaxEntries {
			return nil, bad
		}
		flags, n := b[0], int(b[1])
		if len(b) < 2+n+sha256.Size || flags > packed|1 || flags&packed != 0 && n != 16 {
			return nil, bad
		}
		e := Entry{EventID: models.EventID(b[2 : 2+n]), Authenticated: flags&1 != 0, Digest: Hash(b[2+n : 2+n+sha256.Size])}
		if flags&packed != 0 {
			e.EventID = unpackID(b[2 : 2+n])
		}
		entries = append(entries, e)
		b = b[2+n+sha256.Size:]
	}
	return entries, nil
}

// Seal makes the block that follows tip and holds the entries of at least one
// event; position is that of the last of them.
func Seal(tip Tip, entries []Entry, position int64) (*models.AuditBlock, Tip) {
	block := &models.AuditBlock{FirstSeq: tip.Seq + 1, Position: position, Format: Format}
	for _, e := range entries {
		tip = tip.Next(e.Digest)
		block.Entries = AppendEntry(block.Entries, e)
	}
	block.LastSeq, block.Hash = tip.Seq, slices.Clone(tip.Hash[:])
	return block, tip
}
