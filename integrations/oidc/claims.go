// SPDX-License-Identifier: MIT

package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/trustloom/trustloom/models"
)

// The bounds of what is taken over.
const (
	maxName   = 256
	maxGroups = 1000
	maxGroup  = 256
)

// claims reads name and groups: from the ID token, and from the user info
// endpoint what is not in it.
func (p *Provider) claims(ctx context.Context, d *discovered, token *oidc.IDToken, tokens *oauth2.Token) (*Claims, error) {
	said := map[string]json.RawMessage{}
	if err := token.Claims(&said); err != nil {
		return nil, refused(err)
	}
	if (said[p.cfg.NameClaim] == nil || said[p.cfg.GroupsClaim] == nil) && d.provider.UserInfoEndpoint() != "" {
		info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
		if err != nil {
			return nil, models.Errorf(models.KindUnavailable, "the OpenID provider does not say who you are; begin again later").Because(err).After(retryDiscovery)
		}
		more := map[string]json.RawMessage{}
		if err := info.Claims(&more); err != nil || info.Subject != token.Subject { // OpenID Connect Core §5.3.2
			return nil, refused(errors.Join(err, errors.New("the user info is not about the subject of the token")))
		}
		for _, name := range []string{p.cfg.NameClaim, p.cfg.GroupsClaim} {
			if said[name] == nil {
				said[name] = more[name]
			}
		}
	}
	out := &Claims{Issuer: p.cfg.Issuer, Subject: token.Subject, Groups: texts(said[p.cfg.GroupsClaim])}
	if names := texts(said[p.cfg.NameClaim]); len(names) == 1 && len(names[0]) <= maxName {
		out.Name = names[0]
	}
	return out, nil
}

// texts reads a claim that is a text or a list of texts; anything else is
// nothing.
func texts(claim json.RawMessage) []string {
	var one string
	if json.Unmarshal(claim, &one) == nil && one != "" {
		return []string{one}
	}
	var all, kept []string
	if json.Unmarshal(claim, &all) != nil || len(all) > maxGroups {
		return nil
	}
	for _, text := range all {
		if text != "" && len(text) <= maxGroup {
			kept = append(kept, text)
		}
	}
	return kept
}

// bounded limits what a provider can make us read.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = limited{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

type limited struct {
	io.Reader
	io.Closer
}
