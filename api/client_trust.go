// SPDX-License-Identifier: MIT

package api

import (
	"context"
	"encoding/json/jsontext"
	"iter"
	"net/http"
)

// ListCAs returns one page of the CAs, by name.
func (c *Client) ListCAs(ctx context.Context, q PageQuery) (*Page[CA], error) {
	return get[Page[CA]](ctx, c, path("cas"), EncodeQuery(q))
}

// AllCAs follows the pages of ListCAs.
func (c *Client) AllCAs(ctx context.Context) iter.Seq2[CA, error] {
	return Collect(func(cursor string) (*Page[CA], error) {
		return c.ListCAs(ctx, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// CreateCA creates a CA. If its key and certificate are not ready within a
// few seconds, the CA that is returned is pending: ask for it again.
func (c *Client) CreateCA(ctx context.Context, body CACreation) (*CA, error) {
	return post[CA](ctx, c, path("cas"), body)
}

// FindCA returns a CA with its certificate and chain.
func (c *Client) FindCA(ctx context.Context, name string) (*CA, error) {
	return get[CA](ctx, c, path("cas", name), nil)
}

// CAChain returns the PEM of a CA's certificate and of those above it.
func (c *Client) CAChain(ctx context.Context, name string) ([]byte, error) {
	return c.text(ctx, call{method: http.MethodGet, path: path("cas", name, "chain")}, nil)
}

// CARequest returns the PEM of the request that an external CA is to sign.
func (c *Client) CARequest(ctx context.Context, name string) ([]byte, error) {
	return c.text(ctx, call{method: http.MethodGet, path: path("cas", name, "csr")}, nil)
}

// ImportCA brings a CA with its key. Sent again it finds the CA that the first
// call made.
func (c *Client) ImportCA(ctx context.Context, body CAImport) (*CA, error) {
	return post[CA](ctx, c, path("cas", "imports"), body)
}

// InstallCA installs the certificate that an external CA signed.
func (c *Client) InstallCA(ctx context.Context, name string, body CACertificate) (*CA, error) {
	return post[CA](ctx, c, path("cas", name, "certificate"), body)
}

// DeleteCA removes a CA that nothing stands on: one without a key here, or one
// that has no certificate.
func (c *Client) DeleteCA(ctx context.Context, name string) error {
	_, err := c.text(ctx, call{method: http.MethodDelete, path: path("cas", name)}, nil)
	return err
}

// ListDomains returns one page of the domains, by name.
func (c *Client) ListDomains(ctx context.Context, q PageQuery) (*Page[Domain], error) {
	return get[Page[Domain]](ctx, c, path("domains"), EncodeQuery(q))
}

// AllDomains follows the pages of ListDomains.
func (c *Client) AllDomains(ctx context.Context) iter.Seq2[Domain, error] {
	return Collect(func(cursor string) (*Page[Domain], error) {
		return c.ListDomains(ctx, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// CreateDomain creates a domain.
func (c *Client) CreateDomain(ctx context.Context, body DomainCreation) (*Domain, error) {
	return post[Domain](ctx, c, path("domains"), body)
}

// FindDomain returns a domain.
func (c *Client) FindDomain(ctx context.Context, name string) (*Domain, error) {
	return get[Domain](ctx, c, path("domains", name), nil)
}

// ChangeDomain changes what body names and leaves the rest.
func (c *Client) ChangeDomain(ctx context.Context, name string, body DomainChange) (*Domain, error) {
	return change[Domain](ctx, c, http.MethodPatch, path("domains", name), body)
}

// ListPresets returns the presets, the most permissive first.
func (c *Client) ListPresets(ctx context.Context) (*Page[Preset], error) {
	return get[Page[Preset]](ctx, c, path("presets"), nil)
}

// FindPreset returns a preset with its document and what it demands.
func (c *Client) FindPreset(ctx context.Context, name string) (*Preset, error) {
	return get[Preset](ctx, c, path("presets", name), nil)
}

// ListProfiles returns one page of the current versions of the profiles.
func (c *Client) ListProfiles(ctx context.Context, q PageQuery) (*Page[Profile], error) {
	return get[Page[Profile]](ctx, c, path("profiles"), EncodeQuery(q))
}

// AllProfiles follows the pages of ListProfiles.
func (c *Client) AllProfiles(ctx context.Context) iter.Seq2[Profile, error] {
	return Collect(func(cursor string) (*Page[Profile], error) {
		return c.ListProfiles(ctx, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// FindProfile returns a profile with its document; version 0 is the current one.
func (c *Client) FindProfile(ctx context.Context, name string, version int) (*Profile, error) {
	return get[Profile](ctx, c, path("profiles", name), EncodeQuery(ProfileQuery{Version: version}))
}

// TryProfile says what would be issued for a request, and why.
func (c *Client) TryProfile(ctx context.Context, body ProfileTrial) (*ProfileVerdict, error) {
	return post[ProfileVerdict](ctx, c, path("profile-trials"), body)
}

// ConvertProfile converts the profile document of another product.
func (c *Client) ConvertProfile(ctx context.Context, body ProfileConversion) (*ConvertedProfile, error) {
	return post[ConvertedProfile](ctx, c, path("profile-conversions"), body)
}

// ProfileSchema returns the JSON Schema of profile documents.
func (c *Client) ProfileSchema(ctx context.Context) (*jsontext.Value, error) {
	return get[jsontext.Value](ctx, c, path("schemas", "profile.json"), nil)
}

// CreateProfile adds a profile.
func (c *Client) CreateProfile(ctx context.Context, body ProfileCreation) (*Profile, error) {
	return post[Profile](ctx, c, path("profiles"), body)
}

// PutProfile adds a version to a profile.
func (c *Client) PutProfile(ctx context.Context, name string, body ProfileVersion) (*Profile, error) {
	return change[Profile](ctx, c, http.MethodPut, path("profiles", name), body)
}

// ListTruststores returns one page of the current versions of the truststores.
func (c *Client) ListTruststores(ctx context.Context, q PageQuery) (*Page[Truststore], error) {
	return get[Page[Truststore]](ctx, c, path("truststores"), EncodeQuery(q))
}

// AllTruststores follows the pages of ListTruststores.
func (c *Client) AllTruststores(ctx context.Context) iter.Seq2[Truststore, error] {
	return Collect(func(cursor string) (*Page[Truststore], error) {
		return c.ListTruststores(ctx, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// FindTruststore returns a truststore with its certificates; version 0 is the
// current one.
func (c *Client) FindTruststore(ctx context.Context, name string, version int) (*Truststore, error) {
	return get[Truststore](ctx, c, path("truststores", name), EncodeQuery(TruststoreQuery{Version: version}))
}

// ListTruststoreVersions returns one page of the versions of a truststore.
func (c *Client) ListTruststoreVersions(ctx context.Context, name string, q PageQuery) (*Page[Truststore], error) {
	return get[Page[Truststore]](ctx, c, path("truststores", name, "versions"), EncodeQuery(q))
}

// AllTruststoreVersions follows the pages of ListTruststoreVersions.
func (c *Client) AllTruststoreVersions(ctx context.Context, name string) iter.Seq2[Truststore, error] {
	return Collect(func(cursor string) (*Page[Truststore], error) {
		return c.ListTruststoreVersions(ctx, name, PageQuery{Limit: pageLimit, Cursor: cursor})
	})
}

// TruststoreContent returns the certificates of a truststore as a file.
func (c *Client) TruststoreContent(ctx context.Context, name string, q TruststoreContentQuery) ([]byte, error) {
	return c.text(ctx, call{method: http.MethodGet, path: path("truststores", name, "content"), query: EncodeQuery(q)}, nil)
}

// FindTruststoreRevocation returns how IDevIDs below a truststore are checked.
func (c *Client) FindTruststoreRevocation(ctx context.Context, name string) (*TruststoreRevocation, error) {
	return get[TruststoreRevocation](ctx, c, path("truststores", name, "revocation"), nil)
}

// PutTruststoreRevocation says how IDevIDs below a truststore are checked.
func (c *Client) PutTruststoreRevocation(ctx context.Context, name string, body RevocationRules) (*TruststoreRevocation, error) {
	return change[TruststoreRevocation](ctx, c, http.MethodPut, path("truststores", name, "revocation"), body)
}

// PutForeignCRL keeps the CRL of a CA of a truststore.
func (c *Client) PutForeignCRL(ctx context.Context, name string, body CRLUpload) (*TruststoreRevocation, error) {
	return change[TruststoreRevocation](ctx, c, http.MethodPut, path("truststores", name, "crl"), body)
}

// DomainTruststores returns the truststores that a domain's devices should have.
func (c *Client) DomainTruststores(ctx context.Context, domain string) (*Page[Truststore], error) {
	return get[Page[Truststore]](ctx, c, path("domains", domain, "truststores"), nil)
}

// CABundle returns a ZIP file with the chain of a CA and its CRLs.
func (c *Client) CABundle(ctx context.Context, name string) ([]byte, error) {
	return c.text(ctx, call{method: http.MethodGet, path: path("cas", name, "bundle")}, nil)
}

// CreateTruststore adds a truststore.
func (c *Client) CreateTruststore(ctx context.Context, body TruststoreCreation) (*Truststore, error) {
	return post[Truststore](ctx, c, path("truststores"), body)
}

// PutTruststore replaces the certificates of a truststore by a new version.
func (c *Client) PutTruststore(ctx context.Context, name string, body TruststoreVersion) (*Truststore, error) {
	return change[Truststore](ctx, c, http.MethodPut, path("truststores", name), body)
}
