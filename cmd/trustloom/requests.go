// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

func (c *cli) requests() *cobra.Command {
	return noun(&cobra.Command{
		Use:     "requests",
		Aliases: []string{"request"},
		Short:   "What devices asked for, and what became of it",
		Long:    "Look at the enrollment requests of devices and at what was decided about them, and why.",
		Example: `  trustloom requests list --device press-01
  trustloom requests list --state waiting
  trustloom requests withdraw 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a --reason "ordered twice"`,
	}, c.requestList(), c.requestShow(), c.requestWithdraw())
}

func (c *cli) requestList() *cobra.Command {
	var filter api.RequestFilter
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the requests", Long: "List the requests, oldest first.",
		Example: "  trustloom requests list\n  trustloom requests list --domain press-shop --state waiting",
		Args:    cobra.NoArgs,
		RunE: c.on(func(ctx context.Context, client *api.Client, _ []string) error {
			return list(c, limit, client.AllRequests(ctx, filter), table[api.Request]{
				none:    "No requests.",
				columns: "ID,DEVICE,DOMAIN,KIND,PROFILE,STATE,RECEIVED",
				row: func(r api.Request) []string {
					return []string{r.ID, r.Device, r.Domain, string(r.Kind), r.Profile, string(r.State), when(r.CreatedAt)}
				},
			})
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.Domain, "domain", "", "only those of this domain")
	flags.StringVar(&filter.Device, "device", "", "only those of this device")
	flags.StringVar((*string)(&filter.State), "state", "", "only those in this state: received, waiting, approved, reserved, issued, rejected, expired, withdrawn, failed")
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) requestShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a request", Long: "Show a request, what was decided about it, and why.",
		Example: "  trustloom requests show 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a",
		Args:    identified("a request", "requests"),
		RunE: c.on(func(ctx context.Context, client *api.Client, args []string) error {
			request, err := client.FindRequest(ctx, args[0])
			if err != nil {
				return err
			}
			return c.print(request, func(w io.Writer) { showRequest(w, request) })
		}),
	}
}

func showRequest(w io.Writer, r *api.Request) {
	profile := r.Profile
	if r.ProfileVersion > 0 {
		profile += " version " + strconv.Itoa(r.ProfileVersion)
	}
	failure := ""
	if r.Failure != nil {
		failure = fmt.Sprintf("%s (%s)", r.Failure.Text, r.Failure.Kind)
	}
	details(w, "ID", r.ID, "Device", r.Device, "Domain", r.Domain, "Kind", string(r.Kind), "State", string(r.State), "Failure", failure,
		"Protocol", r.Protocol, "Profile", profile, "Proven by", strings.TrimSpace(string(r.AuthMethod)+" "+r.AuthSubject),
		"Decision", string(r.Decision.Outcome), "Because", strings.Join(r.Decision.Reasons, "; "), "Approval", r.Approval,
		"Certificate", r.Certificate, "Renews", r.Predecessor, "CSR SHA-256", r.CSRSHA256, "Workflow", r.WorkflowID,
		"Deadline", whenever(r.Deadline), "Received", when(r.CreatedAt), "Changed", when(r.UpdatedAt))
}

func (c *cli) requestWithdraw() *cobra.Command {
	var in api.Withdrawal
	cmd := &cobra.Command{
		Use: "withdraw ID --reason TEXT", Short: "Withdraw a request that is not finished",
		Long:    "Withdraw a request that is not finished. The device is told; its state follows within a moment.",
		Example: `  trustloom requests withdraw 0190a5c2-6d3e-7c4f-9b1a-2f8e7d6c5b4a --reason "ordered twice"`,
		Args:    identified("a request", "requests"),
	}
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why (required)")
	_ = cmd.MarkFlagRequired("reason")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		request, err := client.WithdrawRequest(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.tell(request, "request %s of device %s is being withdrawn", request.ID, request.Device)
	})
	return cmd
}
