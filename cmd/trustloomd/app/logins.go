// SPDX-License-Identifier: MIT

package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/api/rest"
	"github.com/trustloom/trustloom/integrations/oidc"
	"github.com/trustloom/trustloom/models"
)

// bindLogins adds the flags about logins at an OpenID provider.
func (c *Config) bindLogins(fs *pflag.FlagSet) {
	fs.StringVar(&c.OIDCIssuer, "oidc-issuer", "", "URL of the OpenID provider at which operators log in")
	fs.StringVar(&c.OIDCClientID, "oidc-client-id", "trustloom", "our client ID there")
	fs.StringVar(&c.OIDCClientSecret, "oidc-client-secret-file", "", "file with our client secret there (none: a public client)")
	fs.StringVar(&c.OIDCRedirectURL, "oidc-redirect-url", "", "our redirect URL there (default https://, --https-addr and "+rest.CallbackPath+")")
	fs.StringSliceVar(&c.OIDCScopes, "oidc-scopes", []string{"openid", "profile", "email", "groups"}, "what is asked for there")
	fs.StringVar(&c.OIDCNameClaim, "oidc-name-claim", "preferred_username", "the claim that names new operators")
	fs.StringVar(&c.OIDCGroupsClaim, "oidc-groups-claim", "groups", "the claim that --oidc-roles is about")
	fs.StringSliceVar(&c.OIDCRoles, "oidc-roles", nil, "GROUP=ROLE or GROUP=ROLE:DOMAIN+DOMAIN; the first that fits counts")
	fs.BoolVar(&c.OIDCCreate, "oidc-create", false, "make operators of unknown people whose group has a role")
	fs.StringVar(&c.OIDCCA, "oidc-ca", "", "PEM file with the CA of the provider's TLS certificate (default the system's)")
	fs.DurationVar(&c.SessionLifetime, "session-lifetime", 8*time.Hour, "how long a login lasts")
}

func (c *Config) checkLogins() error {
	if _, err := parseRules(c.OIDCRoles); err != nil {
		return fmt.Errorf("--oidc-roles: %w", err)
	}
	if c.SessionLifetime < time.Minute || c.SessionLifetime > 30*24*time.Hour {
		return fmt.Errorf("--session-lifetime is a minute at least and 30 days at most")
	}
	if c.OIDCIssuer == "" {
		return nil
	}
	if c.OIDCRedirectURL == "" {
		c.OIDCRedirectURL = "https://" + c.HTTPSAddr + rest.CallbackPath
	}
	if !strings.HasSuffix(c.OIDCRedirectURL, rest.CallbackPath) {
		return fmt.Errorf("--oidc-redirect-url %q does not end in %s", c.OIDCRedirectURL, rest.CallbackPath)
	}
	if c.OIDCCreate && len(c.OIDCRoles) == 0 {
		return fmt.Errorf("--oidc-create needs --oidc-roles: whoever has no role is not let in")
	}
	if !slices.Contains(c.OIDCScopes, "openid") {
		return fmt.Errorf("--oidc-scopes needs openid")
	}
	return nil
}

// parseRules reads GROUP=ROLE and GROUP=ROLE:DOMAIN+DOMAIN.
func parseRules(texts []string) ([]operations.LoginRule, error) {
	rules := make([]operations.LoginRule, 0, len(texts))
	for _, text := range texts {
		at := strings.LastIndex(text, "=")
		if at < 1 {
			return nil, fmt.Errorf("%q is not GROUP=ROLE or GROUP=ROLE:DOMAIN+DOMAIN", text)
		}
		role, domains, limited := strings.Cut(text[at+1:], ":")
		rule := operations.LoginRule{Group: text[:at], Role: models.Role(role)}
		if !slices.Contains(models.Roles, rule.Role) {
			return nil, fmt.Errorf("%q: there is no role %q; roles are %v", text, role, models.Roles)
		}
		if limited {
			rule.Domains = strings.Split(domains, "+")
			slices.Sort(rule.Domains)
			for _, name := range rule.Domains {
				if err := models.CheckName("domain", name); err != nil {
					return nil, fmt.Errorf("%q: %s", text, models.PublicText(err))
				}
			}
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// openLogins prepares logins; the provider is asked when the first one begins.
func (a *App) openLogins(context.Context) error {
	if a.cfg.OIDCIssuer == "" {
		return nil
	}
	cfg := oidc.Config{
		Issuer: a.cfg.OIDCIssuer, ClientID: a.cfg.OIDCClientID, RedirectURL: a.cfg.OIDCRedirectURL, Scopes: a.cfg.OIDCScopes,
		NameClaim: a.cfg.OIDCNameClaim, GroupsClaim: a.cfg.OIDCGroupsClaim, Now: a.now,
	}
	if a.cfg.OIDCClientSecret != "" {
		secret, err := readBounded(a.cfg.OIDCClientSecret)
		if err != nil {
			return fmt.Errorf("--oidc-client-secret-file: %w", err)
		}
		cfg.ClientSecret = strings.TrimSpace(string(secret))
	}
	if a.cfg.OIDCCA != "" {
		data, err := readBounded(a.cfg.OIDCCA)
		if err != nil {
			return fmt.Errorf("--oidc-ca: %w", err)
		}
		cfg.Roots = x509.NewCertPool()
		if !cfg.Roots.AppendCertsFromPEM(data) {
			return fmt.Errorf("--oidc-ca %s holds no PEM certificate", a.cfg.OIDCCA)
		}
	}
	provider, err := oidc.New(cfg)
	if err != nil {
		return fmt.Errorf("--oidc-issuer: %s", models.PublicText(err))
	}
	rules, err := parseRules(a.cfg.OIDCRoles)
	if err != nil {
		return err
	}
	a.logins = operations.Logins{
		OpenID: openID{provider}, Issuer: a.cfg.OIDCIssuer, Rules: rules, Create: a.cfg.OIDCCreate, Lifetime: a.cfg.SessionLifetime,
	}
	return nil
}

// openID is a provider as operations want it.
type openID struct{ *oidc.Provider }

// Exchange implements operations.OpenID.
func (p openID) Exchange(ctx context.Context, code, issuer, nonce, verifier string) (*operations.Identity, error) {
	claims, err := p.Provider.Exchange(ctx, oidc.Answer{Code: code, Issuer: issuer, Nonce: nonce, Verifier: verifier})
	if err != nil {
		return nil, err
	}
	return &operations.Identity{Issuer: claims.Issuer, Subject: claims.Subject, Name: claims.Name, Groups: claims.Groups}, nil
}
