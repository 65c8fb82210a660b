// SPDX-License-Identifier: MIT

package cmp

import "encoding/asn1"

// The object identifiers of general messages and of generalInfo (RFC 9810
// §5.3.19, §5.1.1).
var (
	OIDCAProtEncCert     = infoType(1)
	OIDSignKeyPairTypes  = infoType(2)
	OIDEncKeyPairTypes   = infoType(3)
	OIDPreferredSymmAlg  = infoType(4)
	OIDCAKeyUpdateInfo   = infoType(5)
	OIDCurrentCRL        = infoType(6)
	OIDUnsupportedOIDs   = infoType(7)
	OIDKeyPairParamReq   = infoType(10)
	OIDKeyPairParamRep   = infoType(11)
	OIDRevPassphrase     = infoType(12)
	OIDImplicitConfirm   = infoType(13)
	OIDConfirmWaitTime   = infoType(14)
	OIDOrigPKIMessage    = infoType(15)
	OIDSuppLangTags      = infoType(16)
	OIDCACerts           = infoType(17)
	OIDRootCAKeyUpdate   = infoType(18)
	OIDCertReqTemplate   = infoType(19)
	OIDRootCACert        = infoType(20)
	OIDCertProfile       = infoType(21)
	OIDCRLStatusList     = infoType(22)
	OIDCRLs              = infoType(23)
	OIDKemCiphertextInfo = infoType(24)
)

func infoType(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 4, n} }

// info reads an InfoTypeAndValue. The values that steer a transaction are
// checked here, others by who asks for them.
func (d *decoder) info() Attribute {
	info := d.attribute("an InfoTypeAndValue", true)
	if !d.ok() {
		return info
	}
	value := &decoder{in: info.Value, err: d.err}
	switch {
	case info.OID.Equal(OIDImplicitConfirm):
		value.null("implicitConfirm")
		value.end("implicitConfirm")
	case info.OID.Equal(OIDConfirmWaitTime):
		value.time("confirmWaitTime")
		value.end("confirmWaitTime")
	case info.OID.Equal(OIDCertProfile):
		value.freeText()
		value.end("certProfile")
	}
	return info
}
