// SPDX-License-Identifier: MIT

package pki

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
)

// HardwareModules returns the hardwareModuleNames (RFC 4108 §5) among the
// alternative names of cert, each as the hardware type in dots, a slash and
// the serial number: text if it is printable ASCII, or 0x and lower-case hex.
// Malformed ones are left out.
func HardwareModules(cert *x509.Certificate) []string {
	var modules []string
	for _, name := range otherNamesIn(cert.Extensions) {
		rest, ok := strings.CutPrefix(name, kindHardware+":")
		if !ok || len(modules) == maxSANs {
			continue
		}
		oid, serial, _ := strings.Cut(rest, ":")
		modules = append(modules, oid+"/"+hardwareSerial(unhex(serial)))
	}
	return modules
}

// hardwareSerial writes a serial number so that different ones differ.
func hardwareSerial(serial []byte) string {
	text := string(serial)
	printable := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
	if printable && !strings.HasPrefix(text, "0x") {
		return text
	}
	return "0x" + hex.EncodeToString(serial)
}

// understood returns cert without the subjectAltName among the critical
// extensions that are not understood, if hardwareModuleNames are why the
// standard library does not know it: IDevIDs may have an empty subject and
// such names only.
func understood(cert *x509.Certificate) *x509.Certificate {
	unhandled := func(oid asn1.ObjectIdentifier) bool { return oid.Equal(oidSubjectAltName) }
	if !slices.ContainsFunc(cert.UnhandledCriticalExtensions, unhandled) || len(HardwareModules(cert)) == 0 {
		return cert
	}
	known := *cert
	known.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(cert.UnhandledCriticalExtensions), unhandled)
	return &known
}
