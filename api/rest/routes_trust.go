// SPDX-License-Identifier: MIT

package rest

import (
	"context"
	"encoding/json/jsontext"
	"net/http"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
)

// declareTrust declares the routes of CAs, domains, profiles, truststores and
// registrations.
func declareTrust(s *surface) {
	declareCAs(s)
	declareDomains(s)
	declarePresets(s)
	declareProfiles(s)
	declareProfileTools(s)
	declareTruststores(s)
	declareFiles(s)
	declareRegistrations(s)
	declareBlocklists(s)
}

func declareCAs(s *surface) {
	route(s, operation{id: "ListCAs", method: http.MethodGet, path: "/cas", permission: auth.ReadCAs, status: 200, summary: "List the CAs, by name."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.CA], error) {
			return s.ops.ListCAs(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "CreateCA", method: http.MethodPost, path: "/cas", permission: auth.WriteCAs, status: 201,
		summary: "Create a root or issuing CA. The answer is 202 with the state pending if its key and certificate take longer than a few seconds."},
		func(ctx context.Context, who operations.Caller, r *sent[api.CACreation]) (*api.CA, error) {
			return s.ops.CreateCA(ctx, who, r.Body)
		})
	route(s, operation{id: "FindCA", method: http.MethodGet, path: "/cas/{name}", permission: auth.ReadCAs, status: 200,
		summary: "Return a CA with its certificate, chain and URLs."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.CA, error) {
			return s.ops.FindCA(ctx, who, r.Name)
		})
	route(s, operation{id: "ImportCA", method: http.MethodPost, path: "/cas/imports", permission: auth.WriteCAs, status: 201,
		summary: "Bring a CA with its key, from PKCS #12 or from key, certificate and chain. The same again is the same as once."},
		func(ctx context.Context, who operations.Caller, r *sent[api.CAImport]) (*api.CA, error) {
			return s.ops.ImportCA(ctx, who, r.Body)
		})
	route(s, operation{id: "CARequest", method: http.MethodGet, path: "/cas/{name}/csr", permission: auth.ReadCAs, status: 200,
		summary: "Return the request that an external CA is to sign, as PEM."},
		func(ctx context.Context, who operations.Caller, r *byName) (*pemText, error) {
			request, err := s.ops.CARequest(ctx, who, r.Name)
			return (*pemText)(&request), err
		})
	route(s, operation{id: "InstallCA", method: http.MethodPost, path: "/cas/{name}/certificate", permission: auth.WriteCAs, status: 200,
		summary: "Install the certificate that an external CA signed; it is verified first."},
		func(ctx context.Context, who operations.Caller, r *named[api.CACertificate]) (*api.CA, error) {
			return s.ops.InstallCA(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "DeleteCA", method: http.MethodDelete, path: "/cas/{name}", permission: auth.WriteCAs, status: 204,
		summary: "Remove a CA that nothing stands on: one without a key here, or one that has no certificate. The wait for an external CA ends; its key is destroyed."},
		func(ctx context.Context, who operations.Caller, r *byName) (*none, error) {
			return nil, s.ops.DeleteCA(ctx, who, r.Name)
		})
	route(s, operation{id: "CAChain", method: http.MethodGet, path: "/cas/{name}/chain", permission: auth.ReadCAs, status: 200,
		summary: "Return the certificate of a CA and those above it, up to the root, as PEM."},
		func(ctx context.Context, who operations.Caller, r *byName) (*pemText, error) {
			chain, err := s.ops.CAChain(ctx, who, r.Name)
			return (*pemText)(&chain), err
		})
}

// archives and certificateFiles are what files of these kinds are called.
var (
	archives         = []string{"application/zip"}
	certificateFiles = []string{mediaPEM, "application/pkix-cert", "application/pkcs7-mime"}
)

func declareRevocation(s *surface) {
	route(s, operation{id: "FindTruststoreRevocation", method: http.MethodGet, path: "/truststores/{name}/revocation", permission: auth.ReadTruststores, status: 200,
		summary: "Return how IDevIDs below a truststore are checked for revocation, and the CRLs that are known."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.TruststoreRevocation, error) {
			return s.ops.FindTruststoreRevocation(ctx, who, r.Name)
		})
	route(s, operation{id: "PutTruststoreRevocation", method: http.MethodPut, path: "/truststores/{name}/revocation", permission: auth.WriteTruststores, status: 200,
		summary: "Say how IDevIDs below a truststore are checked for revocation."},
		func(ctx context.Context, who operations.Caller, r *named[api.RevocationRules]) (*api.TruststoreRevocation, error) {
			return s.ops.PutTruststoreRevocation(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "PutForeignCRL", method: http.MethodPut, path: "/truststores/{name}/crl", permission: auth.WriteTruststores, status: 200,
		summary: "Keep the CRL of a CA of a truststore: signed by that CA, current, complete, and with a higher number than the one before."},
		func(ctx context.Context, who operations.Caller, r *named[api.CRLUpload]) (*api.TruststoreRevocation, error) {
			return s.ops.PutForeignCRL(ctx, who, r.Name, r.Body)
		})
}

func declareFiles(s *surface) {
	declareRevocation(s)
	route(s, operation{id: "AnnotateCA", method: http.MethodPatch, path: "/cas/{name}", permission: auth.WriteCAs, status: 200,
		summary: "Change what is noted about a CA; null removes a key."},
		func(ctx context.Context, who operations.Caller, r *named[api.Annotating]) (*api.CA, error) {
			return s.ops.AnnotateCA(ctx, who, r.Name, r.Body)
		})
	route(s, operation{id: "CABundle", method: http.MethodGet, path: "/cas/{name}/bundle", permission: auth.ReadCAs, status: 200, media: archives,
		summary: "Return a ZIP file with the certificates from the root to the CA, as PEM and DER, and the current CRL of each."},
		func(ctx context.Context, who operations.Caller, r *byName) (*operations.File, error) {
			return s.ops.CABundle(ctx, who, r.Name)
		})
	route(s, operation{id: "TruststoreContent", method: http.MethodGet, path: "/truststores/{name}/content", permission: auth.ReadTruststores, status: 200, media: certificateFiles,
		summary: "Return the certificates of a truststore as a file."},
		func(ctx context.Context, who operations.Caller, r *truststoreContent) (*operations.File, error) {
			return s.ops.TruststoreContent(ctx, who, r.Name, r.TruststoreContentQuery)
		})
	route(s, operation{id: "ListTruststoreVersions", method: http.MethodGet, path: "/truststores/{name}/versions", permission: auth.ReadTruststores, status: 200,
		summary: "List the versions of a truststore, oldest first, each with what changed."},
		func(ctx context.Context, who operations.Caller, r *namedPage) (*api.Page[api.Truststore], error) {
			return s.ops.ListTruststoreVersions(ctx, who, r.Name, r.PageQuery)
		})
	route(s, operation{id: "DomainTruststores", method: http.MethodGet, path: "/domains/{name}/truststores", permission: auth.ReadTruststores, status: 200,
		summary: "Return the truststores that the devices of a domain should have. Devices fetch them at /api/v1/enroll/{domain}/truststores."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Page[api.Truststore], error) {
			return s.ops.DomainTruststores(ctx, who, r.Name)
		})
}

func declareDomains(s *surface) {
	route(s, operation{id: "ListDomains", method: http.MethodGet, path: "/domains", permission: auth.ReadDomains, status: 200, summary: "List the domains, by name."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.Domain], error) {
			return s.ops.ListDomains(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "CreateDomain", method: http.MethodPost, path: "/domains", permission: auth.CreateDomains, status: 201, summary: "Create a domain."},
		func(ctx context.Context, who operations.Caller, r *sent[api.DomainCreation]) (*api.Domain, error) {
			return s.ops.CreateDomain(ctx, who, r.Body)
		})
	route(s, operation{id: "FindDomain", method: http.MethodGet, path: "/domains/{name}", permission: auth.ReadDomains, status: 200, summary: "Return a domain."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Domain, error) {
			return s.ops.FindDomain(ctx, who, r.Name)
		})
	route(s, operation{id: "ChangeDomain", method: http.MethodPatch, path: "/domains/{name}", permission: auth.ChangeDomains, status: 200,
		summary: "Change what the body names and leave the rest; null removes an approval rule. With a preset, or dry_run, the answer says what the preset does not permit."},
		func(ctx context.Context, who operations.Caller, r *named[api.DomainChange]) (*api.Domain, error) {
			return s.ops.ChangeDomain(ctx, who, r.Name, r.Body)
		})
	declarePurge(s)
}

// purgeOf is a domain with what is asked about its purge.
type purgeOf struct {
	byName
	api.PurgeQuery
}

func declarePurge(s *surface) {
	route(s, operation{id: "PreviewPurge", method: http.MethodGet, path: "/domains/{name}/purge", permission: auth.ReadCertificates, status: 200,
		summary: "Say which expired certificates a purge would remove now: how many, and which."},
		func(ctx context.Context, who operations.Caller, r *purgeOf) (*api.PurgePreview, error) {
			return s.ops.PreviewPurge(ctx, who, r.Name, r.PurgeQuery)
		})
	route(s, operation{id: "PurgeDomain", method: http.MethodPost, path: "/domains/{name}/purge", permission: auth.PurgeCertificates, status: 200,
		summary: "Remove now what the domain's retention rule does not keep, up to 2000 certificates; more says that there may be more. The server does the same every hour."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Purge, error) {
			return s.ops.PurgeDomain(ctx, who, r.Name)
		})
}

func declarePresets(s *surface) {
	route(s, operation{id: "ListPresets", method: http.MethodGet, path: "/presets", permission: auth.ReadPresets, status: 200,
		summary: "List the presets, the most permissive first."},
		func(ctx context.Context, who operations.Caller, _ *none) (*api.Page[api.Preset], error) {
			return s.ops.ListPresets(ctx, who)
		})
	route(s, operation{id: "FindPreset", method: http.MethodGet, path: "/presets/{name}", permission: auth.ReadPresets, status: 200,
		summary: "Return a preset with its document and what it demands, in sentences."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Preset, error) {
			return s.ops.FindPreset(ctx, who, r.Name)
		})
}

// versioned is a name with a version to choose.
type versioned struct {
	byName
	api.ProfileQuery
}

func declareProfiles(s *surface) {
	route(s, operation{id: "ListProfiles", method: http.MethodGet, path: "/profiles", permission: auth.ReadProfiles, status: 200,
		summary: "List the current versions of the profiles, by name."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.Profile], error) {
			return s.ops.ListProfiles(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "CreateProfile", method: http.MethodPost, path: "/profiles", permission: auth.WriteProfiles, status: 201, summary: "Add a profile."},
		func(ctx context.Context, who operations.Caller, r *sent[api.ProfileCreation]) (*api.Profile, error) {
			return s.ops.CreateProfile(ctx, who, r.Body)
		})
	route(s, operation{id: "FindProfile", method: http.MethodGet, path: "/profiles/{name}", permission: auth.ReadProfiles, status: 200,
		summary: "Return a profile with its document."},
		func(ctx context.Context, who operations.Caller, r *versioned) (*api.Profile, error) {
			return s.ops.FindProfile(ctx, who, r.Name, r.ProfileQuery)
		})
	route(s, operation{id: "PutProfile", method: http.MethodPut, path: "/profiles/{name}", permission: auth.WriteProfiles, status: 200,
		summary: "Add a version to a profile. Certificates keep the version that they were issued under."},
		func(ctx context.Context, who operations.Caller, r *named[api.ProfileVersion]) (*api.Profile, error) {
			return s.ops.PutProfile(ctx, who, r.Name, r.Body)
		})
}

// truststoreVersion and truststoreContent are a name with what to choose.
type truststoreVersion struct {
	byName
	api.TruststoreQuery
}

type truststoreContent struct {
	byName
	api.TruststoreContentQuery
}

// namedPage is a name with a page of what belongs to it.
type namedPage struct {
	byName
	api.PageQuery
}

// declareProfileTools declares what reads profiles and stores nothing.
func declareProfileTools(s *surface) {
	route(s, operation{id: "TryProfile", method: http.MethodPost, path: "/profile-trials", permission: auth.ReadProfiles, status: 200,
		summary: "Say what would be issued for a request, and why. Nothing is issued or stored."},
		func(ctx context.Context, who operations.Caller, r *sent[api.ProfileTrial]) (*api.ProfileVerdict, error) {
			return s.ops.TryProfile(ctx, who, r.Body)
		})
	route(s, operation{id: "ConvertProfile", method: http.MethodPost, path: "/profile-conversions", permission: auth.ReadProfiles, status: 200,
		summary: "Convert the profile document of another product, Trustpoint, and say what is lost. Nothing is stored."},
		func(ctx context.Context, who operations.Caller, r *sent[api.ProfileConversion]) (*api.ConvertedProfile, error) {
			return s.ops.ConvertProfile(ctx, who, r.Body)
		})
	route(s, operation{id: "ProfileSchema", method: http.MethodGet, path: "/schemas/profile.json", permission: auth.ReadProfiles, status: 200,
		summary: "Return the JSON Schema of profile documents."},
		func(ctx context.Context, who operations.Caller, _ *struct{}) (*jsontext.Value, error) {
			return s.ops.ProfileSchema(ctx, who)
		})
}

func declareTruststores(s *surface) {
	route(s, operation{id: "ListTruststores", method: http.MethodGet, path: "/truststores", permission: auth.ReadTruststores, status: 200,
		summary: "List the current versions of the truststores, by name."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.Truststore], error) {
			return s.ops.ListTruststores(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "CreateTruststore", method: http.MethodPost, path: "/truststores", permission: auth.WriteTruststores, status: 201, summary: "Add a truststore."},
		func(ctx context.Context, who operations.Caller, r *sent[api.TruststoreCreation]) (*api.Truststore, error) {
			return s.ops.CreateTruststore(ctx, who, r.Body)
		})
	route(s, operation{id: "FindTruststore", method: http.MethodGet, path: "/truststores/{name}", permission: auth.ReadTruststores, status: 200,
		summary: "Return a version of a truststore with its certificates and what changed."},
		func(ctx context.Context, who operations.Caller, r *truststoreVersion) (*api.Truststore, error) {
			return s.ops.FindTruststore(ctx, who, r.Name, r.TruststoreQuery)
		})
	route(s, operation{id: "PutTruststore", method: http.MethodPut, path: "/truststores/{name}", permission: auth.WriteTruststores, status: 200,
		summary: "Replace the certificates of a truststore by a new version."},
		func(ctx context.Context, who operations.Caller, r *named[api.TruststoreVersion]) (*api.Truststore, error) {
			return s.ops.PutTruststore(ctx, who, r.Name, r.Body)
		})
}

func declareRegistrations(s *surface) {
	route(s, operation{id: "ListRegistrations", method: http.MethodGet, path: "/registrations", permission: auth.ReadRegistrations, status: 200,
		summary: "List the registrations, by name."},
		func(ctx context.Context, who operations.Caller, r *api.NoQuery) (*api.Page[api.Registration], error) {
			return s.ops.ListRegistrations(ctx, who, r.PageQuery)
		})
	route(s, operation{id: "CreateRegistration", method: http.MethodPost, path: "/registrations", permission: auth.WriteRegistrations, status: 201,
		summary: "Let devices with a matching IDevID become devices of a domain."},
		func(ctx context.Context, who operations.Caller, r *sent[api.RegistrationCreation]) (*api.Registration, error) {
			return s.ops.CreateRegistration(ctx, who, r.Body)
		})
	route(s, operation{id: "FindRegistration", method: http.MethodGet, path: "/registrations/{name}", permission: auth.ReadRegistrations, status: 200, summary: "Return a registration."},
		func(ctx context.Context, who operations.Caller, r *byName) (*api.Registration, error) {
			return s.ops.FindRegistration(ctx, who, r.Name)
		})
	route(s, operation{id: "DeleteRegistration", method: http.MethodDelete, path: "/registrations/{name}", permission: auth.WriteRegistrations, status: 204,
		summary: "Remove a registration; the devices that it created stay."},
		func(ctx context.Context, who operations.Caller, r *byName) (*none, error) {
			return nil, s.ops.DeleteRegistration(ctx, who, r.Name)
		})
}
