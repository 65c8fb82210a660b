// SPDX-License-Identifier: MIT

package enroll

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// parcel is what is handed over.
type parcel struct {
	key   crypto.Signer
	cert  *x509.Certificate
	chain []*x509.Certificate // above it, the root last
	name  string              // of the files, without an ending
	now   time.Time
}

// packings are the formats: how a file is made, called and declared.
var packings = map[models.DeliveryFormat]struct {
	ending, media string
	pack          func(p *parcel, password string) ([]byte, error)
}{
	models.FormatPKCS12: {".p12", "application/x-pkcs12", (*parcel).pkcs12},
	models.FormatPEMZip: {".zip", "application/zip", (*parcel).zip},
	models.FormatTarGz:  {".tar.gz", "application/gzip", (*parcel).tarball},
}

// checkPacking refuses a format that does not exist and a password that is
// too short, before anything is looked up.
func checkPacking(p models.DeliveryPacking) error {
	if _, known := packings[p.Format]; !known {
		return models.Errorf(models.KindInvalid, "The format %q is not one of %s, %s and %s.", string(p.Format), models.FormatPKCS12, models.FormatPEMZip, models.FormatTarGz)
	}
	n := utf8.RuneCountInString(p.Password)
	if n < models.MinDeliveryPassword || n > models.MaxDeliveryPassword {
		return models.Errorf(models.KindInvalid, "The password has to have %d to %d characters. It protects the key in the file; a few words that do not belong together are easy to remember.",
			models.MinDeliveryPassword, models.MaxDeliveryPassword)
	}
	for _, r := range p.Password {
		// What terminals, PKCS #12 and people's keyboards agree on.
		if r == utf8.RuneError || r < ' ' || r == 0x7f || r > 0xffff {
			return models.Errorf(models.KindInvalid, "The password has a character that not every program can type, such as a line break or an emoji. Please take another one.")
		}
	}
	return nil
}

func (p *parcel) pkcs12(password string) ([]byte, error) {
	return pki.EncodePKCS12(p.key, p.cert, p.chain, password)
}

// file is one file of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

// files are those of the archives: the encrypted key, the certificate, the
// certificates above it, and certificate and chain in one as servers want it.
func (p *parcel) files(password string) ([]file, error) {
	key, err := pki.EncryptPKCS8(p.key, password)
	if err != nil {
		return nil, err
	}
	return []file{
		{p.name + "-key.pem", 0o600, key},
		{p.name + "-cert.pem", 0o644, pki.EncodePEM(p.cert)},
		{p.name + "-chain.pem", 0o644, pki.EncodePEM(p.chain...)},
		{p.name + "-fullchain.pem", 0o644, pki.EncodePEM(append([]*x509.Certificate{p.cert}, p.chain...)...)},
	}, nil
}

func (p *parcel) zip(password string) ([]byte, error) {
	files, err := p.files(password)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: p.now}
		part, err := w.CreateHeader(header)
		if err == nil {
			_, err = part.Write(f.data)
		}
		if err != nil {
			return nil, fmt.Errorf("write the ZIP file: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write the ZIP file: %w", err)
	}
	return out.Bytes(), nil
}

func (p *parcel) tarball(password string) ([]byte, error) {
	files, err := p.files(password)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: p.now})
		if err == nil {
			_, err = w.Write(f.data)
		}
		if err != nil {
			return nil, fmt.Errorf("write the tar file: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write the tar file: %w", err)
	}
	if err := packed.Close(); err != nil {
		return nil, fmt.Errorf("write the tar file: %w", err)
	}
	return out.Bytes(), nil
}

// fileName makes a plain word of the names of a device and a profile, whatever
// is in them: letters, digits, hyphens, dots and underscores, not beginning
// with a dot, of at most 100 characters.
func fileName(parts ...string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.', r == '_':
			return r
		}
		return '-'
	}, strings.Join(parts, "-"))
	for strings.Contains(name, "..") {
		name = strings.ReplaceAll(name, "..", ".")
	}
	name = strings.Trim(name[:min(len(name), 100)], "-.")
	if name == "" {
		return "certificate"
	}
	return name
}
