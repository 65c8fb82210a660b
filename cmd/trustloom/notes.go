// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
)

// noteFlags are what changes metadata.
type noteFlags struct {
	set    map[string]string
	remove []string
}

func (f *noteFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringToStringVar(&f.set, "metadata", nil, "what is known, KEY=VALUE; several with commas")
	cmd.Flags().StringSliceVar(&f.remove, "remove-metadata", nil, "keys to be forgotten")
}

func (f *noteFlags) change() api.MetadataChange {
	if len(f.set)+len(f.remove) == 0 {
		return nil
	}
	change := api.MetadataChange{}
	for _, key := range f.remove {
		change[key] = api.TextChange{}
	}
	for key, value := range f.set {
		change[key] = api.SetText(value)
	}
	return change
}

func (c *cli) deviceChangeNotes() *cobra.Command {
	var in api.DeviceChange
	var notes noteFlags
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Change the groups and the metadata of a device",
		Long: `Change what is named and leave the rest. A group exists while a device is in it.`,
		Example: `  trustloom devices set press-01 --add-groups line-3,night-shift --metadata hall=3
  trustloom devices set press-01 --remove-groups line-3 --remove-metadata hall
  trustloom devices list --group night-shift`,
		Args: named("device"), ValidArgsFunction: c.deviceNames(),
	}
	cmd.Flags().StringSliceVar(&in.AddGroups, "add-groups", nil, "groups to join")
	cmd.Flags().StringSliceVar(&in.RemoveGroups, "remove-groups", nil, "groups to leave")
	notes.bind(cmd)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		if in.Metadata = notes.change(); in.Metadata == nil && len(in.AddGroups)+len(in.RemoveGroups) == 0 {
			return usagef("nothing to change is given")
		}
		device, err := client.ChangeDevice(ctx, args[0], in)
		if err != nil {
			return err
		}
		return c.print(device, func(w io.Writer) { showDevice(w, device) })
	})
	return cmd
}

func (c *cli) certificateNote() *cobra.Command {
	var notes noteFlags
	cmd := &cobra.Command{
		Use: "set ID", Short: "Change what is noted about a certificate",
		Long:    "Change the metadata of a certificate: what is named, the rest stays.",
		Example: "  trustloom certificates set 01999999-0000-7000-8000-000000000001 --metadata ticket=4711",
		Args:    identified("a certificate", "certificates"),
	}
	notes.bind(cmd)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		change := notes.change()
		if change == nil {
			return usagef("nothing to change is given")
		}
		certificate, err := client.AnnotateCertificate(ctx, args[0], api.Annotating{Metadata: change})
		if err != nil {
			return err
		}
		return c.tell(certificate, "certificate %s has %d notes", certificate.ID, len(certificate.Metadata))
	})
	return cmd
}

func (c *cli) caNote() *cobra.Command {
	var notes noteFlags
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Change what is noted about a CA",
		Long:    "Change the metadata of a CA: what is named, the rest stays.",
		Example: "  trustloom cas set plant-issuing --metadata owner=ot-security",
		Args:    named("CA"), ValidArgsFunction: c.caNames(),
	}
	notes.bind(cmd)
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		change := notes.change()
		if change == nil {
			return usagef("nothing to change is given")
		}
		ca, err := client.AnnotateCA(ctx, args[0], api.Annotating{Metadata: change})
		if err != nil {
			return err
		}
		return c.tell(ca, "CA %s has %d notes", ca.Name, len(ca.Metadata))
	})
	return cmd
}
