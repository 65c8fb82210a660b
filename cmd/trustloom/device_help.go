// SPDX-License-Identifier: MIT

package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

//go:embed help/device.sh.tmpl
var deviceScript string

//go:embed help/cmp.sh.tmpl
var cmpScript string

// script is what the help for one device depends on.
type script struct {
	Title, Situation string
	Notes            []string
	Over             bool // there is nothing to do on the device
	Under            bool // its onboarding is under way: the request exists
	Password         bool // the method has a one-time secret, otherwise it is est-idevid
	CMP, RA          bool // the method is one of CMP; it is cmp-ra
	REST             bool // the method is rest-password: JSON instead of EST

	Device, Domain string
	Subject        string // of the requests
	EST, CA, Trust string
	Server         string // host:port
	API            string // where REST requests go
	Profile        string // of the application certificate
	Profiles       string // that the device may ask for
	Unnamed        bool   // its name is known once it has its domain credential
	Names          string // alternative names to begin with
	Credential     string // files of the domain credential
	Renewed        string // files of what is renewed

	Onboarding, Application, Renewal *ask
}

// ask is one request to EST: what the files are called, where it goes, how the
// device proves itself, and whether people have to be waited for.
type ask struct {
	Name, Path, Proof, Trust, Domain string
	Waits, REST                      bool
}

func (c *cli) deviceHelp() *cobra.Command {
	var registration string
	var overCMP bool
	cmd := &cobra.Command{
		Use: "help NAME", Short: "Print what has to be typed on a device",
		Long: `Print the commands, for OpenSSL and curl, that the user of a device runs: to get its
first identity, a certificate for its work, and to renew. They fit the device's method and
state and the rules of its domain, and work when they are pasted or run as a script.

With --registration they are those of a device that is not known yet and registers itself
by its manufacturer's certificate, by EST or, with --cmp, by CMP.`,
		Example: `  trustloom devices help press-01
  trustloom devices help press-01 > press-01.sh
  trustloom devices help --registration acme-presses`,
		ValidArgsFunction: c.deviceNames(),
		Args: func(cmd *cobra.Command, args []string) error {
			if registration != "" && len(args) == 0 {
				return models.CheckName("registration", registration)
			}
			if registration != "" {
				return fmt.Errorf("give the name of a device, or --registration, not both")
			}
			return named("device")(cmd, args)
		},
	}
	cmd.Flags().StringVar(&registration, "registration", "", "for a device that registers itself")
	cmd.Flags().BoolVar(&overCMP, "cmp", false, "with --registration: for a device that speaks CMP (cmp-idevid)")
	cmd.RunE = c.on(func(ctx context.Context, client *api.Client, args []string) error {
		method := models.ESTIDevID
		if overCMP {
			method = models.CMPIDevID
		}
		device, err := helped(ctx, client, args, registration, method)
		if err != nil {
			return err
		}
		return c.helpDevice(ctx, client, device)
	})
	return cmd
}

func (c *cli) helpDevice(ctx context.Context, client *api.Client, d *api.Device) error {
	s, err := c.script(ctx, client, d)
	if err != nil {
		return err
	}
	source := deviceScript
	if s.CMP {
		source = cmpScript
	}
	text, err := template.New("device").Parse(source)
	if err != nil {
		return fmt.Errorf("parse the help text: %w", err)
	}
	return text.Execute(c.out, s)
}

// helped returns the device that help is wanted for. One that will register
// itself has no name yet.
func helped(ctx context.Context, client *api.Client, args []string, registration string, method models.OnboardingMethod) (*api.Device, error) {
	if registration == "" {
		device, err := client.FindDevice(ctx, args[0])
		if err == nil && device.State != models.DeviceOnboarded && (device.Onboarding.Method == models.Manual || device.Onboarding.Method == models.OTPDownload) {
			return nil, fmt.Errorf("device %s makes no key of its own: its first certificate comes with 'trustloom devices deliver %s' (manual) or 'trustloom devices otp %s' (otp-download)",
				device.Name, device.Name, device.Name)
		}
		return device, err
	}
	r, err := client.FindRegistration(ctx, registration)
	if err != nil {
		return nil, err
	}
	return &api.Device{Domain: r.Domain, State: models.DeviceRegistered, Registration: r.ID,
		Onboarding: api.DeviceOnboarding{Method: method}}, nil
}

// script chooses what to print for a device.
func (c *cli) script(ctx context.Context, client *api.Client, d *api.Device) (*script, error) {
	domain, err := client.FindDomain(ctx, d.Domain)
	if err != nil {
		return nil, err
	}
	s := &script{Device: d.Name, Domain: d.Domain, Password: d.Onboarding.Method.HasSecret(), REST: d.Onboarding.Method == models.RESTPassword,
		CMP: d.Onboarding.Method.Operation() == models.OpCMPInit, RA: d.Onboarding.Method == models.CMPRA, Server: c.serverHost(),
		API: quoted(c.serverURL() + "/api/v1/enroll/" + d.Domain),
		EST: quoted(c.serverURL() + "/.well-known/est/" + d.Domain), Profiles: strings.Join(domain.Profiles, ", ")}
	s.describe(d)
	if err := s.trust(c.caFile()); err != nil {
		return nil, err
	}
	if err := s.chooseProfile(ctx, client, domain); err != nil {
		return nil, err
	}
	if domain.Suspended {
		s.Notes = append(s.Notes, fmt.Sprintf("domain %s is suspended and issues nothing ('trustloom domains set %s --resume').", domain.Name, domain.Name))
	}
	if err := s.checkIDevID(ctx, client); err != nil {
		return nil, err
	}
	s.plan(domain)
	return s, nil
}

// describe says who the device is and how far it is.
func (s *script) describe(d *api.Device) {
	s.Title = fmt.Sprintf("Device %s of domain %s, %s", d.Name, d.Domain, d.Onboarding.Method)
	switch d.State {
	case models.DeviceRegistered:
		s.Situation = "It is registered and has no identity yet."
	case models.DeviceOnboarding:
		s.Under = true
		s.Situation = "Its request for a first identity is under way."
	case models.DeviceOnboarded:
		s.Situation = fmt.Sprintf("It has its domain credential. If that is lost: trustloom devices arm %s", d.Name)
	case models.DeviceSuspended:
		s.Over = true
		s.Situation = fmt.Sprintf("It is suspended: there is nothing to do on the device before 'trustloom devices resume %s'.", d.Name)
	default:
		s.Over = true
		s.Situation = fmt.Sprintf("It is %s: there is nothing to do on the device any more.", d.State)
	}
	s.Subject = "/CN=" + d.Name
	if d.Name == "" {
		s.Device, s.Subject, s.Unnamed = "device", "/", true // the server fills in the name
		s.Title = fmt.Sprintf("A device that registers itself in domain %s, %s", d.Domain, d.Onboarding.Method)
		s.Situation = "It is not known yet. It gets its name with its first request, from its serial number."
	}
	if d.State == models.DeviceRegistered && d.Onboarding.SecretUsedAt != nil {
		s.Notes = append(s.Notes, fmt.Sprintf("its secret was used at %s; a new one comes with 'trustloom devices arm %s'.", when(*d.Onboarding.SecretUsedAt), d.Name))
	}
	s.Credential = s.Device + "-domain"
	s.Onboarding = &ask{Name: s.Credential, Path: "simpleenroll", Proof: fmt.Sprintf(`--user "%s:$SECRET"`, s.Device)}
	if !s.Password {
		s.Onboarding.Proof = `--cert "$IDEVID" --key "$IDEVID_KEY"`
	}
	if d.State == models.DeviceOnboarded {
		s.Onboarding = nil
	}
}

// trust says how the device knows the server.
func (s *script) trust(caFile string) error {
	if caFile == "" {
		return nil // the system's CAs
	}
	file, err := filepath.Abs(caFile)
	if err != nil {
		return err
	}
	s.CA, s.Trust = quoted(file), ` --cacert "$CA"`
	return nil
}

// firstNames are the alternative names that the help begins with.
var firstNames = map[string]string{
	"tls_server": "DNS:%s.example,IP:192.0.2.10",
	"opc_ua":     "URI:urn:%[1]s.example:application,DNS:%[1]s.example",
}

// chooseProfile takes a profile for the application certificate: tls_server if
// the domain has it, or else its first application profile.
func (s *script) chooseProfile(ctx context.Context, client *api.Client, domain *api.Domain) error {
	for profile, err := range client.AllProfiles(ctx) {
		if err != nil {
			return err
		}
		if profile.Type != "application" || !slices.Contains(domain.Profiles, profile.Name) {
			continue
		}
		if s.Profile == "" || profile.Name == "tls_server" {
			s.Profile = profile.Name
		}
	}
	if s.Profile == "" {
		s.Notes = append(s.Notes, fmt.Sprintf("domain %s has no profile for application certificates.", domain.Name))
		return nil
	}
	if names, known := firstNames[s.Profile]; known {
		name := s.Device
		if s.Unnamed {
			name = "$NAME"
		}
		s.Names = fmt.Sprintf(names, name)
	}
	return nil
}

// checkIDevID warns if no registration of the domain could admit the device.
func (s *script) checkIDevID(ctx context.Context, client *api.Client) error {
	if s.Password || s.RA || s.Onboarding == nil || s.Over {
		return nil
	}
	for r, err := range client.AllRegistrations(ctx) {
		if err != nil {
			return err
		}
		if r.Domain == s.Domain {
			return nil
		}
	}
	s.Notes = append(s.Notes, fmt.Sprintf("no registration admits IDevIDs to domain %s yet; see 'trustloom registrations create --help'.", s.Domain))
	return nil
}

// plan fills in the requests.
func (s *script) plan(domain *api.Domain) {
	s.Renewed = s.Credential
	if s.Profile != "" {
		s.Renewed = s.Device + "-" + strings.ReplaceAll(s.Profile, "_", "-")
		s.Application = &ask{Name: s.Renewed, Path: s.Profile + "/simpleenroll",
			Proof: fmt.Sprintf("--cert %s.pem --key %s.key", s.Credential, s.Credential), Waits: domain.Approval.Enrollment != nil}
	}
	s.Renewal = &ask{Name: "$OLD-next", Path: "simplereenroll", Proof: `--cert "$OLD.pem" --key "$OLD.key"`, Waits: domain.Approval.Renewal != nil}
	if s.Onboarding != nil {
		s.Onboarding.Waits = s.Under || domain.Approval.Onboarding != nil
	}
	for _, a := range []*ask{s.Onboarding, s.Application, s.Renewal} {
		if a != nil {
			a.Domain, a.Trust, a.REST = s.Domain, s.Trust, s.REST
		}
	}
	if s.REST {
		s.planREST()
	}
}

// planREST replaces the operations of EST by the profile of each certificate.
func (s *script) planREST() {
	if s.Onboarding != nil {
		s.Onboarding.Path = "domain_credential"
	}
	if s.Application != nil {
		s.Application.Path = s.Profile
	}
	s.Renewal.Path = "$PROFILE"
}

// RenewedProfile is the profile that the renewal begins with.
func (s *script) RenewedProfile() string {
	if s.Profile == "" {
		return "domain_credential"
	}
	return s.Profile
}

// PlainNames are the alternative names as OpenSSL's client for CMP wants them.
func (s *script) PlainNames() string {
	return strings.NewReplacer("DNS:", "", "IP:", "", "URI:", "", ",", " ").Replace(s.Names)
}

// serverHost is the host and port of the server.
func (c *cli) serverHost() string {
	if u, err := url.Parse(c.serverURL()); err == nil && u.Host != "" {
		return quoted(u.Host)
	}
	return quoted(c.serverURL())
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)

// quoted writes a word for the shell.
func quoted(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
