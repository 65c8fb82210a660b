// SPDX-License-Identifier: MIT

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// wish is a certificate that the device is to have. The domain credential is
// the one without a profile.
type wish struct {
	Name    string
	Profile string
	Key     models.KeyAlgorithm
	InToken bool // where the key is to be; else in a file
	Subject models.Name
	SANs    []string // "dns:a" "ip:192.0.2.1" "uri:…" "email:…"
	Files   files
	Hook    hook
}

// files are paths at which other programs find the pair.
type files struct {
	Key       string `yaml:"key"`
	KeyURI    string `yaml:"key_uri"`
	Cert      string `yaml:"certificate"`
	Chain     string `yaml:"chain"`
	FullChain string `yaml:"fullchain"`
	Bundle    string `yaml:"bundle"`
}

// byContent maps the files of a version to the paths that are wanted.
func (f files) byContent() map[string]string {
	return map[string]string{fileKey: f.Key, fileKeyURI: f.KeyURI, fileCert: f.Cert, fileChain: f.Chain, fileFullChain: f.FullChain, fileBundle: f.Bundle}
}

// digest identifies what is asked for: another digest needs another
// certificate, not a renewal.
func (w *wish) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", w.Profile, w.Key, fmt.Sprint(w.Subject), w.SANs))
	return hex.EncodeToString(sum[:])
}

// request returns the PKCS #10 request in DER for a first certificate.
func (w *wish) request(key crypto.Signer) ([]byte, error) {
	template := &x509.CertificateRequest{}
	if w.Subject != (models.Name{}) {
		subject, err := pki.MarshalName(w.Subject)
		if err != nil {
			return nil, err
		}
		template.RawSubject = subject
	}
	for _, name := range w.SANs {
		kind, value, _ := strings.Cut(name, ":")
		switch kind {
		case "dns":
			template.DNSNames = append(template.DNSNames, value)
		case "ip":
			template.IPAddresses = append(template.IPAddresses, net.ParseIP(value))
		case "email":
			template.EmailAddresses = append(template.EmailAddresses, value)
		case "uri":
			parsed, err := url.Parse(value)
			if err != nil {
				return nil, fmt.Errorf("read the URI %q: %w", value, err)
			}
			template.URIs = append(template.URIs, parsed)
		}
	}
	return x509.CreateCertificateRequest(rand.Reader, template, key)
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// renewalRequest asks for old once more with a new key: the same subject and
// the same alternative names, byte for byte (RFC 7030 §4.2.2).
func renewalRequest(old *x509.Certificate, key crypto.Signer) ([]byte, error) {
	template := &x509.CertificateRequest{RawSubject: old.RawSubject}
	if i := slices.IndexFunc(old.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSubjectAltName) }); i >= 0 {
		template.ExtraExtensions = []pkix.Extension{old.Extensions[i]}
	}
	return x509.CreateCertificateRequest(rand.Reader, template, key)
}
