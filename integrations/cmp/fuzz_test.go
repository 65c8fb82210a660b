// SPDX-License-Identifier: MIT

package cmp

import (
	"bytes"
	"maps"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// mostMemory is what one message may cost.
const mostMemory = 16 << 20

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func addVectors(f *testing.F) {
	for _, der := range files(f, "openssl/*.der") {
		f.Add(der)
	}
}

// FuzzMessage checks that every message is refused as KindInvalid with a
// failInfo, or encodes from its fields to the same octets, within bounds.
func FuzzMessage(f *testing.F) {
	addVectors(f)
	f.Fuzz(checkMessage)
}

func checkMessage(t *testing.T, der []byte) {
	before := allocated()
	m, err := ParseMessage(der)
	if cost := allocated() - before; cost > mostMemory {
		t.Errorf("%d octets cost %d octets of memory", len(der), cost)
	}
	if err != nil {
		if models.KindOf(err) != models.KindInvalid || FailInfoOf(err) == 0 {
			t.Errorf("%v is not KindInvalid with a failInfo", err)
		}
		return
	}
	if same, err := m.Marshal(); err != nil || !bytes.Equal(same, der) {
		t.Errorf("it is not what it was: %v", err)
	}
	m.forget()
	again, err := m.Marshal()
	if err != nil || !bytes.Equal(again, der) {
		t.Errorf("its fields encode to something else (%v):\n%x\n%x", err, der, again)
	}
}

// A node is an element of DER.
type node struct {
	tag     byte
	content []byte  // of a primitive one
	inside  []*node // of a constructed one
}

// nodes takes DER apart; nil if it is none.
func nodes(der []byte) []*node {
	var all []*node
	for in := cryptobyte.String(der); !in.Empty(); {
		var content cryptobyte.String
		var tag asn1.Tag
		if !in.ReadAnyASN1(&content, &tag) {
			return nil
		}
		n := &node{tag: byte(tag), content: content}
		if n.tag&0x20 != 0 {
			n.inside = nodes(content)
		}
		all = append(all, n)
	}
	return all
}

func (n *node) all() []*node {
	list := []*node{n}
	for _, inner := range n.inside {
		list = append(list, inner.all()...)
	}
	return list
}

func (n *node) der() []byte {
	content := n.content
	if n.inside != nil {
		content = nil
		for _, inner := range n.inside {
			content = append(content, inner.der()...)
		}
	}
	return tlv(n.tag, content)
}

// FuzzGraft puts something else in the place of one element of a message that
// is good, with the lengths around it right again, which chance seldom finds.
func FuzzGraft(f *testing.F) {
	vectors := files(f, "openssl/*.der")
	names := slices.Sorted(maps.Keys(vectors))
	for i := range names {
		f.Add(uint8(i), uint16(i), uint8(0x30), []byte{5, 0})
		f.Add(uint8(i), uint16(5*i), uint8(0x81), []byte{1})
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint16, tag uint8, content []byte) {
		if len(content) > 1<<14 {
			return
		}
		root := nodes(vectors[names[int(which)%len(names)]])[0]
		all := root.all()
		chosen := all[int(at)%len(all)]
		chosen.tag, chosen.content, chosen.inside = tag, content, nil
		checkMessage(t, root.der())
	})
}

// FuzzInfo checks that the values of general messages are refused or of their
// kind, and that what is made of them comes back.
func FuzzInfo(f *testing.F) {
	f.Add(uint8(17), []byte{0x30, 0})
	f.Add(uint8(19), []byte{0x30, 2, 0x30, 0})
	f.Add(uint8(22), []byte{0x30, 6, 0x30, 4, 0xa1, 2, 0x30, 0})
	f.Fuzz(func(t *testing.T, kind uint8, value []byte) {
		before := allocated()
		info := &Attribute{OID: infoType(int(kind)), Value: value}
		_, _ = info.Certificates()
		_, _ = info.Algorithms()
		_, _ = info.Texts()
		_, _ = info.RootUpdate()
		if advice, err := info.Template(); err == nil && advice != nil {
			if _, err := TemplateInfo(advice); err != nil && models.KindOf(err) == models.KindInternal && len(advice.Attrs.Subject) == 0 {
				t.Errorf("advice that was read cannot be written: %v", err)
			}
		}
		if known, err := info.CRLStatuses(); err == nil && known != nil {
			if _, err := CRLStatusInfo(known); err != nil {
				t.Errorf("a list that was read cannot be written: %v", err)
			}
		}
		if cost := allocated() - before; cost > mostMemory {
			t.Errorf("%d octets cost %d octets of memory", len(value), cost)
		}
	})
}

// FuzzExplain checks that whatever is accepted can be explained, and that
// nothing of it moves a cursor.
func FuzzExplain(f *testing.F) {
	addVectors(f)
	f.Fuzz(func(t *testing.T, der []byte) {
		m, err := ParseMessage(der)
		if err != nil {
			return
		}
		var out strings.Builder
		if err := Explain(&out, m); err != nil {
			t.Fatal(err)
		}
		for _, c := range out.String() {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Fatalf("the explanation has the character %q", c)
			}
		}
	})
}
