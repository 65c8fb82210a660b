// SPDX-License-Identifier: MIT

package auth

import (
	"slices"

	"github.com/trustloom/trustloom/models"
)

// Permission is one thing that a role may do: noun and verb.
type Permission string

// The permissions.
const (
	ReadCAs            Permission = "cas.read"
	WriteCAs           Permission = "cas.write"
	ReadDomains        Permission = "domains.read"
	CreateDomains      Permission = "domains.create"
	ChangeDomains      Permission = "domains.change"
	ReadPresets        Permission = "presets.read"
	ReadProfiles       Permission = "profiles.read"
	WriteProfiles      Permission = "profiles.write"
	ReadTruststores    Permission = "truststores.read"
	WriteTruststores   Permission = "truststores.write"
	ReadBlocklists     Permission = "blocklists.read"
	WriteBlocklists    Permission = "blocklists.write"
	ReadRegistrations  Permission = "registrations.read"
	WriteRegistrations Permission = "registrations.write"
	ReadDevices        Permission = "devices.read"
	WriteDevices       Permission = "devices.write"
	DeliverKeys        Permission = "devices.deliver"
	ReadRequests       Permission = "requests.read"
	WithdrawRequests   Permission = "requests.withdraw"
	ReadApprovals      Permission = "approvals.read"
	DecideApprovals    Permission = "approvals.decide"
	ReadCertificates   Permission = "certificates.read"
	RevokeCertificates Permission = "certificates.revoke"
	ImportCertificates Permission = "certificates.import"
	PurgeCertificates  Permission = "certificates.purge"
	ReadOperators      Permission = "operators.read"
	WriteOperators     Permission = "operators.write"
	ReadTokens         Permission = "tokens.read"
	WriteTokens        Permission = "tokens.write"
	ReadAudit          Permission = "audit.read"
	OwnSession         Permission = "session.own" // to know who one is, and to leave
	VerifyAudit        Permission = "audit.verify"
)

// reading is what everybody with a token may do.
var reading = []Permission{ReadCAs, ReadDomains, ReadPresets, ReadProfiles, ReadTruststores, ReadRegistrations, ReadDevices,
	ReadRequests, ReadApprovals, ReadCertificates, ReadBlocklists, OwnSession}

// roles says what each role may do besides reading. What is not listed is
// refused.
var roles = map[models.Role][]Permission{
	models.RoleViewer:   {},
	models.RoleOperator: {WriteRegistrations, WriteDevices, DeliverKeys, WithdrawRequests, RevokeCertificates},
	models.RoleApprover: {DecideApprovals},
	models.RoleAuditor:  {ReadOperators, ReadTokens, ReadAudit, VerifyAudit},
	models.RoleAdmin: {WriteCAs, ImportCertificates, PurgeCertificates, CreateDomains, ChangeDomains, WriteProfiles, WriteTruststores, WriteBlocklists, WriteRegistrations,
		WriteDevices, DeliverKeys, WithdrawRequests, DecideApprovals, RevokeCertificates, ReadOperators, WriteOperators, ReadTokens, WriteTokens, ReadAudit, VerifyAudit},
}

// serverWide lists what reaches beyond any domain. Tokens limited to domains
// are refused it whatever their role: otherwise one of them could make itself
// an unlimited one.
var serverWide = []Permission{WriteCAs, ImportCertificates, CreateDomains, WriteProfiles, WriteTruststores, ReadBlocklists, WriteBlocklists, ReadOperators, WriteOperators, ReadTokens, WriteTokens, VerifyAudit}

// Allowed reports whether a role includes a permission.
func Allowed(role models.Role, p Permission) bool {
	granted, known := roles[role]
	return known && (slices.Contains(reading, p) || slices.Contains(granted, p))
}

// Authorize returns KindDenied, with the role and the permission that is
// missing, unless the principal has it.
func Authorize(who Principal, p Permission) error {
	if !Allowed(who.Role, p) {
		return models.Errorf(models.KindDenied, "role %s lacks the permission %s", who.Role, p)
	}
	if who.Limited() && slices.Contains(serverWide, p) {
		return models.Errorf(models.KindDenied, "permission %s reaches beyond the domains that this token is limited to", p)
	}
	return nil
}
