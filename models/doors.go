// SPDX-License-Identifier: MIT

package models

import "slices"

// DeviceOperation is something that devices may ask of a domain, and that an
// operator may switch on and off. The CA certificates (EST cacerts) are no
// such thing: they are public and always there.
type DeviceOperation string

// The operations that have a switch.
const (
	OpSimpleEnroll   DeviceOperation = "simpleenroll"   // EST, RFC 7030 §4.2.1
	OpSimpleReenroll DeviceOperation = "simplereenroll" // EST, RFC 7030 §4.2.2
	OpCSRAttrs       DeviceOperation = "csrattrs"       // EST, RFC 7030 §4.5
	OpServerKeyGen   DeviceOperation = "serverkeygen"   // EST, RFC 7030 §4.4
	OpRESTEnroll     DeviceOperation = "rest-enroll"    // POST /api/v1/enroll/{domain}/{profile}
	OpCMPInit        DeviceOperation = "ir"             // CMP, RFC 9483 §4.1.1
	OpCMPCert        DeviceOperation = "cr"             // CMP, RFC 9483 §4.1.2
	OpCMPKeyUpdate   DeviceOperation = "kur"            // CMP, RFC 9483 §4.1.3
	OpCMPPKCS10      DeviceOperation = "p10cr"          // CMP, RFC 9483 §4.1.4
	OpCMPRevoke      DeviceOperation = "rr"             // CMP, RFC 9483 §4.2
	OpCMPSupport     DeviceOperation = "genm"           // CMP, RFC 9483 §4.3
)

// DeviceOperations lists the operations, in the order of the help texts.
var DeviceOperations = []DeviceOperation{OpSimpleEnroll, OpSimpleReenroll, OpCSRAttrs, OpServerKeyGen, OpRESTEnroll,
	OpCMPInit, OpCMPCert, OpCMPKeyUpdate, OpCMPPKCS10, OpCMPRevoke, OpCMPSupport}

// DomainDoors says which ways lead into a domain.
type DomainDoors struct {
	Open []DeviceOperation // what devices may ask
	// Methods are the onboarding methods that are admitted; nil admits all.
	Methods []OnboardingMethod
	// ChannelBinding demands that each request is bound to its TLS connection
	// (RFC 7030 §3.5, RFC 9266).
	ChannelBinding bool
	CMP            *CMPRules // nil: what CMPRules are unless set
}

// NewDomainDoors returns what a new domain offers: everything but keys that
// are made on the server.
func NewDomainDoors() *DomainDoors {
	return &DomainDoors{Open: []DeviceOperation{OpSimpleEnroll, OpSimpleReenroll, OpCSRAttrs, OpRESTEnroll,
		OpCMPInit, OpCMPCert, OpCMPKeyUpdate, OpCMPPKCS10, OpCMPRevoke, OpCMPSupport}}
}

// olderDoors is what a domain offers that was made before there were switches:
// what there was then.
var olderDoors = DomainDoors{Open: []DeviceOperation{OpSimpleEnroll, OpSimpleReenroll}}

// Doors returns the switches of a domain. The caller does not change them.
func (d *Domain) Doors() DomainDoors {
	if d.Operations == nil {
		return olderDoors
	}
	return *d.Operations
}

// Offers returns KindNotFound, saying how an operator changes it, unless
// devices may ask for op in the domain.
func (d *Domain) Offers(op DeviceOperation) error {
	if slices.Contains(d.Doors().Open, op) {
		return nil
	}
	return Errorf(KindNotFound, "%s is switched off in domain %s; an operator switches it on with 'trustloom domains set %s --operations ...'", op, d.Name, d.Name)
}

// Admits returns KindDenied, saying how an operator changes it, unless devices
// may be onboarded by method in the domain.
func (d *Domain) Admits(method OnboardingMethod) error {
	methods := d.Doors().Methods
	if methods == nil || slices.Contains(methods, method) {
		return nil
	}
	return Errorf(KindDenied, "domain %s does not admit onboarding by %s; an operator admits it with 'trustloom domains set %s --onboarding-methods ...'", d.Name, method, d.Name)
}
