// SPDX-License-Identifier: MIT

// Package oidc is the relying party of OpenID Connect Core 1.0: it sends a
// browser to a provider and learns from the provider who came back, by the
// authorization code flow with PKCE (RFC 7636, S256).
//
// The provider is found by its discovery document. ID tokens are taken from the
// token endpoint only, never from the browser, and checked for issuer,
// audience, authorized party, times, nonce and an asymmetric signature by a
// key of the provider's key set. The package must not know operators, the
// store or our own HTTP routes.
package oidc

import (
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/trustloom/trustloom/models"
)

// Config says which provider is asked, and as which client.
type Config struct {
	Issuer       string // URL, https unless it is on the loopback interface
	ClientID     string
	ClientSecret string // empty for a public client
	RedirectURL  string // exactly as registered at the provider
	Scopes       []string
	NameClaim    string         // what an operator is called by
	GroupsClaim  string         // a list of texts, or one text
	Roots        *x509.CertPool // of the provider's TLS certificate; nil: the system's
	Now          func() time.Time
}

// Claims are what the provider says of a person.
type Claims struct {
	Issuer  string
	Subject string // never reassigned, and the only one that identifies
	Name    string // may be empty, and may change
	Groups  []string
}

// Answer is what came back with the browser, and what it is compared with.
type Answer struct {
	Code     string
	Issuer   string // the parameter iss (RFC 9207); empty if there was none
	Nonce    string // as it was sent
	Verifier string // of the challenge that was sent
}

// Provider is an OpenID provider. It is safe for concurrent use.
type Provider struct {
	cfg    Config
	client *http.Client

	mu    sync.Mutex
	found *discovered
	tried time.Time
	err   error
}

// discovered is what the discovery document says.
type discovered struct {
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	oauth    oauth2.Config
	tellsIss bool // authorization_response_iss_parameter_supported
}

// algorithms are those of ID tokens that are accepted. None is symmetric: a
// provider's public key must never be good for making tokens.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

const (
	exchangeTimeout = 10 * time.Second
	retryDiscovery  = 5 * time.Second
	maxAnswer       = 1 << 20 // of discovery, keys, tokens and user info
	maxToken        = 64 << 10
	leeway          = time.Minute
	maxAge          = 10 * time.Minute // of a token when it arrives
)

// New returns a Provider, which is asked for nothing yet: the server starts
// without it. It is KindInvalid for URLs that are not https.
func New(cfg Config) (*Provider, error) {
	for what, address := range map[string]string{"issuer": cfg.Issuer, "redirect URL": cfg.RedirectURL} {
		if !secure(address) {
			return nil, models.Errorf(models.KindInvalid, "the %s %q is not an https URL", what, address)
		}
	}
	if cfg.ClientID == "" {
		return nil, models.Errorf(models.KindInvalid, "the client has no ID")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: exchangeTimeout, MaxIdleConns: 4, IdleConnTimeout: time.Minute,
		DialContext: (&net.Dialer{Timeout: exchangeTimeout}).DialContext, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
	}
	return &Provider{cfg: cfg, client: &http.Client{
		Transport: bounded{transport}, Timeout: exchangeTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// secure reports whether a URL is https, or on this machine.
func secure(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || (u.Scheme == "http" && (u.Hostname() == "localhost" || ip.IsLoopback()))
}

// Issuer returns the URL of the provider.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// AuthURL returns where the browser has to go. It is KindUnavailable while the
// provider cannot be reached.
func (p *Provider) AuthURL(ctx context.Context, state, nonce, verifier string) (string, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return d.oauth.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), nil
}

// discover reads the discovery document once; a failure is kept for some
// seconds, so that nobody makes us ask without end.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if now := p.cfg.Now(); p.err == nil || now.Sub(p.tried) > retryDiscovery {
		p.found, p.err = p.ask(context.WithoutCancel(ctx))
		p.tried = p.cfg.Now()
	}
	if p.err != nil {
		return nil, models.Errorf(models.KindUnavailable, "the OpenID provider cannot be asked; try again later").Because(p.err).After(retryDiscovery)
	}
	return p.found, nil
}

func (p *Provider) ask(ctx context.Context) (*discovered, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	provider, err := oidc.NewProvider(ctx, p.cfg.Issuer) // compares the issuer
	if err != nil {
		return nil, err
	}
	var document struct {
		Keys    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		Iss     bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, err
	}
	endpoint := provider.Endpoint()
	for _, address := range []string{endpoint.AuthURL, endpoint.TokenURL, document.Keys, cmp.Or(provider.UserInfoEndpoint(), p.cfg.Issuer)} {
		if !secure(address) {
			return nil, errors.New("an endpoint of the provider is not https: " + address)
		}
	}
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.cfg.ClientSecret == "" || (slices.Contains(document.Methods, "client_secret_post") && !slices.Contains(document.Methods, "client_secret_basic")) {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &discovered{
		provider: provider, tellsIss: document.Iss,
		verifier: provider.VerifierContext(ctx, &oidc.Config{ClientID: p.cfg.ClientID, SupportedSigningAlgs: algorithms, Now: p.cfg.Now}),
		oauth: oauth2.Config{
			ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: endpoint, RedirectURL: p.cfg.RedirectURL, Scopes: p.cfg.Scopes,
		},
	}, nil
}

// Exchange redeems a code and returns who came back. It is
// KindUnauthenticated if anything does not fit.
func (p *Provider) Exchange(ctx context.Context, a Answer) (*Claims, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	if (a.Issuer != "" || d.tellsIss) && a.Issuer != p.cfg.Issuer { // RFC 9207 §2.4: before the code is sent anywhere
		return nil, refused(errors.New("iss is not the provider's"))
	}
	ctx = oidc.ClientContext(ctx, p.client)
	tokens, err := d.oauth.Exchange(ctx, a.Code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, exchangeError(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" || len(raw) > maxToken {
		return nil, refused(errors.New("there is no ID token, or it is too long"))
	}
	token, err := d.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, refused(err)
	}
	if err := p.check(token, a.Nonce); err != nil {
		return nil, refused(err)
	}
	return p.claims(ctx, d, token, tokens)
}

// check is what the library leaves to its caller (OpenID Connect Core
// §3.1.3.7).
func (p *Provider) check(token *oidc.IDToken, nonce string) error {
	var claims struct {
		Party *string `json:"azp"`
	}
	if err := token.Claims(&claims); err != nil {
		return err
	}
	now := p.cfg.Now()
	switch {
	case nonce == "" || subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return errors.New("the nonce is not the one that was sent")
	case len(token.Audience) > 1 && claims.Party == nil, claims.Party != nil && *claims.Party != p.cfg.ClientID:
		return errors.New("azp is not this client")
	case token.IssuedAt.After(now.Add(leeway)), token.IssuedAt.Before(now.Add(-maxAge)):
		return errors.New("iat is not now")
	case token.Subject == "" || len(token.Subject) > 255:
		return errors.New("sub is empty or too long")
	}
	return nil
}

func refused(cause error) error {
	return models.Errorf(models.KindUnauthenticated, "the login failed; begin again").Because(cause)
}

// exchangeError tells a refusal of the provider from its absence.
func exchangeError(err error) error {
	var said *oauth2.RetrieveError
	if errors.As(err, &said) && said.Response != nil && said.Response.StatusCode < http.StatusInternalServerError {
		return refused(err)
	}
	return models.Errorf(models.KindUnavailable, "the OpenID provider does not answer; begin again later").Because(err).After(retryDiscovery)
}
