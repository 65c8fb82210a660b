// SPDX-License-Identifier: MIT

package audit_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json/v2"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
)

var at = time.Date(2026, 11, 21, 16, 0, 0, 123456000, time.UTC)

func event(i int) models.Event {
	return models.Event{
		ID: models.EventID(fmt.Sprintf("01a1febe-4613-7e95-a8c8-%012x", i)), At: at.Add(time.Duration(i) * time.Second), Actor: "operator:alice",
		Address: "192.0.2.7", Action: "device.registered", Noun: "device", SubjectID: "01a1febe-0000-7e95-a8c8-000000000000", DomainID: "domain",
		DeviceID: "device", RequestID: "request", WorkflowID: "onboarding/x", RunID: "run", Details: map[string]string{"name": "press-01", "a": "ä"},
	}
}

// The vectors pin format 1 for ever: a log that was sealed today is checked in
// ten years.
func TestVectors(t *testing.T) {
	small := models.Event{ID: "id", At: time.UnixMicro(1).UTC(), Actor: "system", Action: "a.b", Details: map[string]string{"k": "v"}}
	want := "7472757374 6c6f6f6d 20 6175646974 20 6576656e74 20 31 00" + // "trustloom audit event 1", NUL
		"00000002 6964 00000008 0000000000000001 00000006 73797374656d 00000000 00000003 612e62" + // id, at, actor, address, action
		strings.Repeat("00000000", 7) + "00000001 00000001 6b 00000001 76" // noun to run, details
	want = strings.ReplaceAll(want, " ", "")
	if got := hex.EncodeToString(audit.Encode(&small)); got != want {
		t.Errorf("encoding\n%s, want\n%s", got, want)
	}
	entry := audit.NewEntry(&small, audit.Key{})
	tip := audit.Tip{}.Next(entry.Digest)
	code := audit.NewKey(make([]byte, 32)).Code(audit.Encode(&small))
	got := fmt.Sprintf("%s %s %x", entry.Digest, tip.Hash, code)
	if got != vectors {
		t.Errorf("digest, chain, code:\n%s, want\n%s", got, vectors)
	}
}

func TestEveryFieldIsInTheEncoding(t *testing.T) {
	base := event(1)
	for name, change := range map[string]func(*models.Event){
		"id": func(e *models.Event) { e.ID += "x" }, "at": func(e *models.Event) { e.At = e.At.Add(time.Microsecond) },
		"actor": func(e *models.Event) { e.Actor += "x" }, "address": func(e *models.Event) { e.Address += "x" },
		"action": func(e *models.Event) { e.Action += "x" }, "noun": func(e *models.Event) { e.Noun += "x" },
		"subject": func(e *models.Event) { e.SubjectID += "x" }, "domain": func(e *models.Event) { e.DomainID += "x" },
		"device": func(e *models.Event) { e.DeviceID += "x" }, "request": func(e *models.Event) { e.RequestID += "x" },
		"workflow": func(e *models.Event) { e.WorkflowID += "x" }, "run": func(e *models.Event) { e.RunID += "x" },
		"a detail":        func(e *models.Event) { e.Details = map[string]string{"name": "press-02", "a": "ä"} },
		"a moved border":  func(e *models.Event) { e.Actor, e.Address = e.Actor+e.Address[:1], e.Address[1:] },
		"a detail's name": func(e *models.Event) { e.Details = map[string]string{"nam": "epress-01", "a": "ä"} },
	} {
		changed := event(1)
		change(&changed)
		if bytes.Equal(audit.Encode(&base), audit.Encode(&changed)) {
			t.Errorf("%s is not in the encoding", name)
		}
	}
	same := event(1)
	same.At, same.MAC = same.At.In(time.FixedZone("x", 3600)), []byte("code")
	if !bytes.Equal(audit.Encode(&base), audit.Encode(&same)) {
		t.Error("the zone or the code is in the encoding")
	}
}

func TestEntriesAreReadAsTheyWereWritten(t *testing.T) {
	var b []byte
	want := []audit.Entry{
		{EventID: "01a1febe-4613-7e95-a8c8-000000000001", Authenticated: true, Digest: audit.Hash{1}}, {EventID: "forged", Digest: audit.Hash{2}}, {Digest: audit.Hash{3}},
	}
	for _, e := range want {
		b = audit.AppendEntry(b, e)
	}
	got, err := audit.ParseEntries(b)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	for n := range len(b) {
		if entries, err := audit.ParseEntries(b[:n]); err == nil && len(entries) == len(want) {
			t.Errorf("%d bytes are enough", n)
		}
	}
}

// exported makes a file of nine events with heads at places 4 and 9, and
// returns the heads as well.
func exported(t testing.TB) (string, []*models.AuditHead) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := audit.NewCertificate(key, at)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	var heads []*models.AuditHead
	out, err := audit.NewExporter(&file, at)
	tip := audit.Tip{}
	for i := 1; i <= 9 && err == nil; i++ {
		e := event(i)
		tip = tip.Next(audit.Digest(audit.Encode(&e), true))
		err = out.Event(audit.Record{
			Seq: tip.Seq, Hash: tip.Hash.String(), Authenticated: true, ID: string(e.ID), At: e.At, Actor: e.Actor, Address: e.Address, Action: e.Action,
			Noun: e.Noun, SubjectID: e.SubjectID, DomainID: string(e.DomainID), DeviceID: string(e.DeviceID), RequestID: string(e.RequestID),
			WorkflowID: e.WorkflowID, RunID: e.RunID, Details: e.Details,
		})
		if i == 4 || i == 9 {
			head, failed := audit.SignHead(tip, at, key, cert)
			if failed != nil {
				t.Fatal(failed)
			}
			heads = append(heads, head)
			err = out.Head(wire(head))
		}
	}
	out.Waiting(3)
	if _, closed := out.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
	return file.String(), heads
}

func wire(h *models.AuditHead) audit.SignedHead {
	return audit.SignedHead{Seq: h.Seq, Hash: hex.EncodeToString(h.Hash), At: h.At, KeyID: h.KeyID, Signature: h.Signature,
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate}))}
}

func TestAFileIsCheckedWithoutItsServer(t *testing.T) {
	file, heads := exported(t)
	lines := strings.SplitAfter(strings.TrimSuffix(file, "\n"), "\n") // start, 4 events, head, 5 events, head, end
	lines[len(lines)-1] += "\n"
	other, _ := exported(t)
	cases := map[string]struct {
		change func(l []string) []string
		kind   string
	}{
		"as it was":             {func(l []string) []string { return l }, ""},
		"an edited field":       {func(l []string) []string { l[3] = strings.Replace(l[3], "alice", "bob", 1); return l }, audit.FindingEdited},
		"an edited hash":        {func(l []string) []string { l[3] = strings.Replace(l[3], `"hash":"`, `"hash":"0`, 1); return l }, audit.FindingChain},
		"a deleted row":         {func(l []string) []string { return append(l[:3], l[4:]...) }, audit.FindingDeleted},
		"the first row deleted": {func(l []string) []string { return append(l[:1], l[2:]...) }, audit.FindingDeleted},
		"swapped rows":          {func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }, audit.FindingDeleted},
		"a row twice":           {func(l []string) []string { l[3] += l[3]; return l }, audit.FindingReordered},
		"a forged row":          {func(l []string) []string { l[3] += strings.Replace(l[3], `"seq":3`, `"seq":4`, 1); return l }, audit.FindingEdited},
		"a row without a valid code": {func(l []string) []string {
			l[3] = strings.Replace(l[3], `"authenticated":true`, `"authenticated":false`, 1)
			return l
		}, audit.FindingEdited},
		"a damaged line":                {func(l []string) []string { l[3] = "{}\n"; return l }, audit.FindingChain},
		"cut off":                       {func(l []string) []string { return l[:7] }, audit.FindingTruncated},
		"cut off, with the end":         {func(l []string) []string { return append(l[:7], l[len(l)-1]) }, audit.FindingTruncated},
		"something after the end":       {func(l []string) []string { return append(l, l[3]) }, audit.FindingInserted},
		"a head of another log":         {func(l []string) []string { l[5] = strings.Split(other, "\n")[5] + "\n"; return l }, audit.FindingHead},
		"a head for another place":      {func(l []string) []string { l[5] = strings.Replace(l[5], `"seq":4`, `"seq":3`, 1); return l }, audit.FindingHead},
		"the tail cut and the end made": {func(l []string) []string { return append(l[:6], endOf(t, l[4], 1)) }, audit.FindingTruncated},
	}
	trust := audit.Trust{Heads: []string{heads[0].KeyID}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			report, err := audit.CheckFile(strings.NewReader(strings.Join(c.change(append([]string{}, lines...)), "")), trust, heads[1:])
			if err != nil {
				t.Fatal(err)
			}
			if c.kind == "" {
				if len(report.Findings) > 0 || report.Seq != 9 || report.Heads != 3 || report.Waiting != 3 {
					t.Errorf("got %+v", report)
				}
				return
			}
			if report.Sound() || report.Findings[0].Kind != c.kind {
				t.Errorf("want %s first, got %+v", c.kind, report.Findings)
			}
		})
	}
	t.Run("what is no file", func(t *testing.T) {
		for _, text := range []string{"", "x", "{}\n", lines[1], strings.Repeat("x", 2<<20)} {
			if _, err := audit.CheckFile(strings.NewReader(text), trust, nil); models.KindOf(err) != models.KindInvalid {
				t.Errorf("%.20q: %v", text, err)
			}
		}
	})
}

// endOf makes the end of a file that was cut off behind an event.
func endOf(t *testing.T, line string, heads int) string {
	var l struct{ Event audit.Record }
	if err := json.Unmarshal([]byte(line), &l, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"end":{"seq":%d,"hash":"%s","heads":%d}}`+"\n", l.Event.Seq, l.Event.Hash, heads)
}

func TestHeadsAreBoundToTheirKey(t *testing.T) {
	_, heads := exported(t)
	_, others := exported(t)
	for name, change := range map[string]func(*models.AuditHead){
		"place": func(h *models.AuditHead) { h.Seq++ }, "hash": func(h *models.AuditHead) { h.Hash = make([]byte, 32) },
		"time": func(h *models.AuditHead) { h.At = h.At.Add(time.Second) }, "key": func(h *models.AuditHead) { h.KeyID = others[0].KeyID },
		"certificate": func(h *models.AuditHead) { h.KeyID, h.Certificate = others[0].KeyID, others[0].Certificate },
		"signature":   func(h *models.AuditHead) { h.Signature = others[0].Signature },
	} {
		h := *heads[0]
		change(&h)
		if audit.CheckHead(&h) == nil {
			t.Errorf("another %s is taken", name)
		}
	}
	text, err := json.Marshal(wire(heads[0]))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := audit.ParseHead(text); err != nil || got.Seq != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	if strings.Contains(string(text), base64.StdEncoding.EncodeToString(heads[0].Signature)) == false {
		t.Error("the signature is not in base64")
	}
}

func FuzzCheckFile(f *testing.F) {
	file, heads := exported(f)
	f.Add([]byte(file))
	f.Add([]byte(file[:200]))
	f.Fuzz(func(t *testing.T, text []byte) {
		report, err := audit.CheckFile(bytes.NewReader(text), audit.Trust{Heads: []string{heads[0].KeyID}}, heads)
		if err == nil && report.Sound() && report.Seq < 9 {
			t.Errorf("a shorter file is sound: %+v", report)
		}
	})
}

func FuzzParseEntries(f *testing.F) {
	f.Add(audit.AppendEntry(nil, audit.Entry{EventID: "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := audit.ParseEntries(b)
		var again []byte
		for _, e := range entries {
			again = audit.AppendEntry(again, e)
		}
		if back, bad := audit.ParseEntries(again); err == nil && (bad != nil || !cmp.Equal(back, entries)) {
			t.Errorf("%x is read as %+v and then as %+v", b, entries, back)
		}
	})
}

// vectors were computed by another program, from the comments of this package.
const vectors = "f16b18cf2ac833aa9a538618a2eecfc7b495357accc1f77a4c648b752b4a6d53 " +
	"7484768506566556e7c2c03878bd3fe76884250ab33337d7900f27708ecb370c " +
	"1175e9f3ec1c4ec6e14e18d9f8c5cadbb1445f23f6e86dce7bd4d32c5554d6e2"
