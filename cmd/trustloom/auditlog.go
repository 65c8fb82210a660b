// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
)

// verification is how 'audit verify' was asked.
type verification struct {
	heads       []string
	certificate string
}

func (c *cli) auditVerify() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use: "verify [FILE]", Short: "Check that nobody changed the audit log",
		Long: `Check the audit log from its first event to its last: that no event was edited, deleted,
inserted or moved, that the chain of hashes is whole, and that the signed heads agree with it.

Without FILE the server checks its database, and also the codes of the events, for which it has
the key. With FILE, made by 'trustloom audit export', everything is checked here; no server is
asked. Give --certificate then: without it, any signature is taken for that of the server.

--head brings heads that were kept elsewhere ('trustloom audit head -o json'). They are what
proves a log whose server and key somebody else had in his hands: give them whenever you can.

The exit code is 0 if the log is whole, 1 if it is not. A notice about clocks changes nothing.`,
		Example: `  trustloom audit verify
  trustloom audit verify --head head-2026-11-21.json --certificate audit.pem
  trustloom audit verify audit.ndjson --certificate audit.pem --head head-2026-11-21.json`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringArrayVar(&v.heads, "head", nil, "file with a signed head that was kept elsewhere; may be repeated")
	cmd.Flags().StringVar(&v.certificate, "certificate", "", "PEM file with the certificate of the audit-signing key that you trust")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		heads, trust, err := v.read()
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return c.verifyFile(args[0], heads, trust)
		}
		client, err := c.connect()
		if err != nil {
			return err
		}
		return c.verifyOnline(cmd.Context(), client, heads)
	}
	return cmd
}

// maxSmallFile bounds the files with heads and certificates.
const maxSmallFile = 64 << 10

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSmallFile))
}

// read returns the kept heads, each signed with the trusted key if one is
// given, and that key.
func (v *verification) read() ([]*models.AuditHead, audit.Trust, error) {
	var trust audit.Trust
	if v.certificate != "" {
		text, err := readSmall(v.certificate)
		if err != nil {
			return nil, trust, err
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, trust, usagef("%s holds no certificate in PEM", v.certificate)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, trust, usagef("%s holds no certificate: %s", v.certificate, err)
		}
		trust.Heads = []string{audit.KeyID(cert)}
	}
	var heads []*models.AuditHead
	for _, path := range v.heads {
		text, err := readSmall(path)
		if err != nil {
			return nil, trust, err
		}
		head, err := audit.ParseHead(text)
		if err != nil {
			return nil, trust, fmt.Errorf("%s: %w", path, err)
		}
		if len(trust.Heads) > 0 && trust.Heads[0] != head.KeyID {
			return nil, trust, models.Errorf(models.KindInvalid, "%s was signed with the key %.16s..., not with that of --certificate", path, head.KeyID)
		}
		heads = append(heads, head)
	}
	return heads, trust, nil
}

// verifyOnline lets the server check its database, step by step. Heads beyond
// the first are looked at in a step of their own at the end.
func (c *cli) verifyOnline(ctx context.Context, client *api.Client, heads []*models.AuditHead) error {
	result := api.AuditVerification{Findings: []api.AuditFinding{}}
	var before string // the last step's, to ask about heads with
	for query := (api.AuditVerificationQuery{}); !result.Done; {
		step, err := client.VerifyAudit(ctx, query)
		if err != nil {
			return err
		}
		step.Findings = append(result.Findings, step.Findings...)
		result, before, query.Cursor = *step, query.Cursor, step.Cursor
		if !result.Done && c.output != outputJSON {
			fmt.Fprintf(c.errs, "%d of %d events\n", result.Checked, result.Total)
		}
	}
	for _, h := range heads {
		step, err := client.VerifyAudit(ctx, api.AuditVerificationQuery{Cursor: before, Seq: int(h.Seq), Hash: audit.Hash(h.Hash).String()})
		if err != nil {
			return err
		}
		agrees := true
		for _, f := range step.Findings {
			if f.Seq == int(h.Seq) && f.Kind == audit.FindingHead || f.Kind == audit.FindingTruncated {
				result.Findings, agrees = append(result.Findings, f), false
			}
		}
		if agrees {
			result.Heads++
		}
	}
	return c.verdict(&result)
}

func (c *cli) verifyFile(path string, heads []*models.AuditHead, trust audit.Trust) error {
	from := c.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		from = f
	}
	report, err := audit.CheckFile(from, trust, heads)
	if err != nil {
		return err
	}
	result := &api.AuditVerification{
		Done: true, Checked: int(report.Seq), Total: int(report.Seq), Hash: report.Hash.String(), Heads: int(report.Heads), Waiting: report.Waiting, Findings: []api.AuditFinding{},
	}
	for _, f := range report.Findings {
		result.Findings = append(result.Findings, api.AuditFinding{Kind: f.Kind, Seq: int(f.Seq), EventID: f.EventID, Text: f.Text})
	}
	if report.LastHead != nil && len(trust.Heads) == 0 && c.output != outputJSON {
		fmt.Fprintf(c.errs, "no --certificate is given: the heads of the file are taken for those of the key %s\n", report.LastHead.KeyID)
	}
	return c.verdict(result)
}

// verdict tells what a check found.
func (c *cli) verdict(v *api.AuditVerification) error {
	sound := true
	for _, f := range v.Findings {
		sound = sound && audit.Finding{Kind: f.Kind}.Notice()
	}
	err := c.print(v, func(w io.Writer) {
		for _, f := range v.Findings {
			word := "WRONG"
			if (audit.Finding{Kind: f.Kind}).Notice() {
				word = "notice"
			}
			fmt.Fprintf(w, "%s (%s, place %d): %s\n", word, f.Kind, f.Seq, printable(f.Text))
		}
		if sound {
			fmt.Fprintf(w, "the audit log is whole: %d events, %d signed heads agree\nhash at place %d: %s\n", v.Checked, v.Heads, v.Checked, v.Hash)
		}
		fmt.Fprint(w, waitingText(v.Waiting))
	})
	if err == nil && !sound {
		err = fmt.Errorf("the audit log is not what Trustloom wrote; the first thing that is wrong is at place %d", v.Findings[0].Seq)
	}
	return err
}

// waitingText says that the newest events were not checked.
func waitingText(events int) string {
	if events == 0 {
		return ""
	}
	return fmt.Sprintf("not checked: %d newer events wait for their places in the chain, which they get within seconds\n", events)
}

func (c *cli) auditExport() *cobra.Command {
	file := "-"
	cmd := &cobra.Command{
		Use: "export", Short: "Save the whole audit log, with its chain and its signed heads",
		Long: `Save the whole audit log as lines of JSON: a start, every event with its place and hash, the
signed heads, an end. 'trustloom audit verify FILE' checks the file on any computer.`,
		Example: "  trustloom audit export -o audit.ndjson\n  trustloom audit export | gzip > audit.ndjson.gz",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.Flags().StringVarP(&file, "output", "o", file, "where to save it; - writes to standard output")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, _ []string) error {
		if file == "-" {
			_, err := export(ctx, client, c.out)
			return err
		}
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		done, err := export(ctx, client, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "%d events and %d signed heads are in %s\nhash at place %d: %s\n", done.Seq, done.heads, file, done.Seq, done.Hash)
		if err == nil && done.waiting > 0 {
			_, err = fmt.Fprintf(c.out, "not in it: %d newer events wait for their places in the chain, which they get within seconds\n", done.waiting)
		}
		return err
	})
	return cmd
}

// exported is what was written.
type exported struct {
	audit.Tip
	heads, waiting int
}

// export writes the chain to a file, each head behind the event of its place.
func export(ctx context.Context, client *api.Client, to io.Writer) (exported, error) {
	out, err := audit.NewExporter(to, time.Now())
	if err != nil {
		return exported{}, err
	}
	heads := &headReader{client: client}
	for query := (api.AuditPartQuery{}); ; {
		part, err := client.ReadAuditChain(ctx, query)
		if err != nil {
			return exported{}, err
		}
		for _, r := range part.Records {
			if err := out.Event(record(r)); err != nil {
				return exported{}, err
			}
			if err := heads.upTo(ctx, r.Seq, out); err != nil {
				return exported{}, err
			}
		}
		if query.After = part.Next; part.Next == 0 {
			out.Waiting(part.Waiting)
			tip, err := out.Close()
			return exported{tip, heads.count, part.Waiting}, err
		}
	}
}

// headReader reads the signed heads by pages, in order.
type headReader struct {
	client *api.Client
	page   []api.AuditHead
	after  int
	ended  bool
	count  int
}

// upTo writes the heads of places up to seq.
func (h *headReader) upTo(ctx context.Context, seq int, out *audit.Exporter) error {
	for {
		if len(h.page) == 0 && !h.ended {
			next, err := h.client.ListAuditHeads(ctx, api.AuditHeadQuery{After: h.after})
			if err != nil {
				return err
			}
			h.page, h.ended = next.Heads, len(next.Heads) == 0
		}
		if len(h.page) == 0 || h.page[0].Seq > seq {
			return nil
		}
		head, err := signedHead(h.page[0])
		if err != nil {
			return err
		}
		if err := out.Head(head); err != nil {
			return err
		}
		h.after, h.page, h.count = h.page[0].Seq, h.page[1:], h.count+1
	}
}

func signedHead(h api.AuditHead) (audit.SignedHead, error) {
	signature, err := base64.StdEncoding.DecodeString(h.Signature)
	return audit.SignedHead{Seq: int64(h.Seq), Hash: h.Hash, At: h.At, KeyID: h.KeyID, Certificate: h.Certificate, Signature: signature}, err
}

func record(r api.AuditRecord) audit.Record {
	return audit.Record{
		Seq: int64(r.Seq), Hash: r.Hash, Authenticated: r.Authenticated, ID: r.ID, At: r.At, Actor: r.Actor, Address: r.Address, Action: r.Action,
		Noun: r.Noun, SubjectID: r.SubjectID, DomainID: r.DomainID, DeviceID: r.DeviceID, RequestID: r.RequestID,
		WorkflowID: r.WorkflowID, RunID: r.RunID, Details: r.Details,
	}
}

func (c *cli) auditHead() *cobra.Command {
	return &cobra.Command{
		Use: "head", Short: "Have the head of the audit log signed now, and print it",
		Long: `Have the head of the audit log signed now: how many events there are, the hash over all of them,
the time. Print it with -o json, keep it where the server cannot reach it (another computer, paper),
and give it to 'trustloom audit verify --head' later. The certificate in it names the audit-signing
key: keep it, too, for --certificate.`,
		Example: `  trustloom audit head
  trustloom audit head -o json > head-2026-11-21.json`,
		Args: cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			head, err := client.SignAuditHead(ctx)
			if err != nil {
				return err
			}
			return c.print(head, func(w io.Writer) {
				details(w, "Place", fmt.Sprint(head.Seq), "Hash", head.Hash, "Signed", when(head.At), "Key (SHA-256)", head.KeyID)
				fmt.Fprint(w, head.Certificate)
			})
		}),
	}
}

func (c *cli) deviceTimeline() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "timeline NAME", Short: "Tell what happened to a device, in order",
		Long:    "Tell the story of a device from its registration on: requests, approvals, certificates, failures;\nwhen, who, what, and why.",
		Example: "  trustloom devices timeline press-01\n  trustloom devices timeline press-01 -o json",
		Args:    named("device"), ValidArgsFunction: c.deviceNames(),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			return list(c, limit, client.WholeTimeline(ctx, args[0]), table[api.TimelineEntry]{
				none:    "Nothing has happened to the device.",
				columns: "AT,WHO,WHAT,WHY",
				row: func(e api.TimelineEntry) []string {
					what := e.What
					if e.Failure {
						what = "! " + what
					}
					return []string{when(e.At), e.Who, what, e.Why}
				},
			})
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}
