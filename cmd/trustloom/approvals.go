// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

func (c *cli) approvals() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "approvals",
		Aliases: []string{"approval"},
		Short:   "What waits for people",
		Long:    "Look at what waits for people, and approve or reject it. One person has one word per approval, whatever the step.",
		Example: `  trustloom approvals list --state pending
  trustloom approvals approve 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a --comment "checked on site"`,
	}, c.approvalList(), c.approvalShow(),
		c.approvalDecide(models.VerdictApprove, "Approve", "When all steps are approved\nthe certificate is issued.", "checked on site"),
		c.approvalDecide(models.VerdictReject, "Reject", "One rejection ends the\nrequest; the device is told the comment.", "wrong plant"))
}

func (c *cli) pendingApprovals() cobra.CompletionFunc {
	return complete(c, func(ctx context.Context, client *api.Client) iter.Seq2[api.Approval, error] {
		return client.AllApprovals(ctx, api.ApprovalFilter{State: models.ApprovalPending})
	}, func(a api.Approval) string { return a.ID })
}

func (c *cli) approvalList() *cobra.Command {
	var filter api.ApprovalFilter
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the approvals", Long: "List the approvals, oldest first.",
		Example: "  trustloom approvals list --state pending\n  trustloom approvals list --domain press-shop",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllApprovals(ctx, filter), table[api.Approval]{
				none:    "No approvals.",
				columns: "ID,DEVICE,DOMAIN,STATE,STEP,DEADLINE",
				row: func(a api.Approval) []string {
					return []string{a.ID, a.Device, a.Domain, string(a.State), currentStep(&a), when(a.Deadline)}
				},
			})
		}),
	}
	cmd.Flags().StringVar(&filter.Domain, "domain", "", "only those of this domain")
	cmd.Flags().StringVar((*string)(&filter.State), "state", "", "only those in this state: pending, approved, rejected, expired, withdrawn")
	limitFlag(cmd, &limit)
	return cmd
}

// currentStep says how far a pending approval is.
func currentStep(a *api.Approval) string {
	if a.State != models.ApprovalPending || a.CurrentStep < 0 || a.CurrentStep >= len(a.Steps) {
		return ""
	}
	step := a.Steps[a.CurrentStep]
	return fmt.Sprintf("%s, %d of %d people (step %d of %d)", step.Name, a.StepApprovals, step.Quorum, a.CurrentStep+1, len(a.Steps))
}

func (c *cli) approvalShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an approval", Long: "Show an approval, with what people said so far.",
		Example: "  trustloom approvals show 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a",
		Args:    identified("an approval", "approvals"),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			approval, err := client.FindApproval(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(approval, func(w io.Writer) { showApproval(w, approval) })
		}),
	}
}

func showApproval(w io.Writer, a *api.Approval) {
	details(w, "ID", a.ID, "Request", a.Request, "Device", a.Device, "Domain", a.Domain, "State", string(a.State), "Reason", a.Reason,
		"Steps", writeSteps(a.Steps), "Now at", currentStep(a), "Deadline", when(a.Deadline),
		"Reminder", happens(when(a.RemindAt), whenever(a.RemindedAt)), "Escalation", happens(when(a.EscalateAt), whenever(a.EscalatedAt)),
		"Decided", whenever(a.DecidedAt), "Subject SHA-256", a.SubjectSHA256)
	for _, d := range a.Decisions {
		fmt.Fprintln(w)
		details(w, "Operator", d.Operator, "Step", d.Step, "Decision", string(d.Decision), "Comment", d.Comment, "At", when(d.CreatedAt))
	}
}

// happens says when something is due, or that it was done.
func happens(due, done string) string {
	if done != "" {
		return "done " + done
	}
	return due
}

func (c *cli) approvalDecide(verdict models.Verdict, title, long, comment string) *cobra.Command {
	in := api.DecisionCreation{Decision: verdict}
	cmd := &cobra.Command{
		Use: string(verdict) + " ID", Short: title + " what waits", Long: title + " what waits, as the person that the token belongs to. " + long,
		Example: fmt.Sprintf("  trustloom approvals %s 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a --comment %q", verdict, comment),
		Args:    identified("an approval", "approvals"), ValidArgsFunction: c.pendingApprovals(),
	}
	cmd.Flags().StringVar(&in.Comment, "comment", "", "why; kept with the decision")
	cmd.Flags().StringVar(&in.SubjectSHA256, "subject-sha256", "", "decide only if the approval is about this digest")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		approval, err := client.DecideApproval(ctx, args[0], in)
		if err != nil {
			return err
		}
		if approval.State == models.ApprovalPending {
			return c.tell(approval, "your word counts; device %s still waits for %s", approval.Device, currentStep(approval))
		}
		return c.tell(approval, "the request of device %s is %s", approval.Device, approval.State)
	})
	return cmd
}
