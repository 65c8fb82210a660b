// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

const (
	maxConfig = 256 << 10
	domainDir = "domain" // name of the domain credential
)

// document is the file as it is written.
type document struct {
	Server       string        `yaml:"server"`
	Protocol     string        `yaml:"protocol"`
	CMPTrust     string        `yaml:"cmp_trust"`
	CA           string        `yaml:"ca"`
	Domain       string        `yaml:"domain"`
	Device       string        `yaml:"device"`
	StateDir     string        `yaml:"state_dir"`
	SecretFile   string        `yaml:"secret_file"`
	SecretAfter  string        `yaml:"secret_file_after"`
	IDevID       idevid        `yaml:"idevid"`
	PKCS11       *tokenEntry   `yaml:"pkcs11"`
	Key          string        `yaml:"key"`
	KeyStore     string        `yaml:"key_store"`
	Truststore   string        `yaml:"truststore"`
	Files        files         `yaml:"files"`
	Hook         hookEntry     `yaml:"hook"`
	Certificates []certificate `yaml:"certificates"`
	Truststores  []truststore  `yaml:"truststores"`
	Interval     string        `yaml:"truststores_interval"`
}

// idevid are the files of the manufacturer's certificate. Its key may be in the
// token: pkcs11:…
type idevid struct {
	Cert  string `yaml:"certificate"`
	Chain string `yaml:"chain"`
	Key   string `yaml:"key"`
}

type hookEntry struct {
	Command []string `yaml:"command"`
	Timeout string   `yaml:"timeout"`
}

type certificate struct {
	Name     string    `yaml:"name"`
	Profile  string    `yaml:"profile"`
	Key      string    `yaml:"key"`
	KeyStore string    `yaml:"key_store"`
	Subject  subject   `yaml:"subject"`
	SANs     []string  `yaml:"sans"`
	Files    files     `yaml:"files"`
	Hook     hookEntry `yaml:"hook"`
}

type subject struct {
	CommonName         string `yaml:"common_name"`
	SerialNumber       string `yaml:"serial_number"`
	Organization       string `yaml:"organization"`
	OrganizationalUnit string `yaml:"organizational_unit"`
	Country            string `yaml:"country"`
	State              string `yaml:"state"`
	Locality           string `yaml:"locality"`
}

// config is the document, checked and complete; all paths are absolute.
type config struct {
	document
	Wishes  []*wish // the domain credential first
	Anchors []*anchorWish
	IDevKey *keyURI       // of the manufacturer's certificate, if that is in the token
	Look    time.Duration // how often the truststores are looked at
}

// parseDocument reads the file; what it does not know it refuses.
func parseDocument(data []byte) (*document, error) {
	d := &document{}
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(d)
	if err != nil && !errors.Is(err, io.EOF) { // an empty file: flags say it all
		return nil, models.Errorf(models.KindInvalid, "%s", strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return d, nil
}

// complete checks the document and fills in what it leaves out. Paths are
// relative to base.
func (d *document) complete(base string) (*config, error) {
	if d.StateDir == "" {
		return nil, models.Errorf(models.KindInvalid, "name the folder for keys and certificates: state_dir, or --state-dir")
	}
	if err := d.checkProtocol(); err != nil {
		return nil, err
	}
	d.SecretAfter = orElse(d.SecretAfter, "keep")
	if !slices.Contains([]string{"keep", "truncate", "remove"}, d.SecretAfter) {
		return nil, models.Errorf(models.KindInvalid, "secret_file_after is %q: write keep, truncate or remove", d.SecretAfter)
	}
	if (d.IDevID.Cert == "") != (d.IDevID.Key == "") {
		return nil, models.Errorf(models.KindInvalid, "idevid needs both a certificate and a key")
	}
	for _, path := range []*string{&d.CA, &d.CMPTrust, &d.StateDir, &d.SecretFile, &d.IDevID.Cert, &d.IDevID.Chain, &d.Truststore} {
		absolute(path, base)
	}
	if err := d.PKCS11.complete(base); err != nil {
		return nil, err
	}
	idevKey, err := d.idevKey(base)
	if err != nil {
		return nil, err
	}
	c := &config{document: *d, IDevKey: idevKey}
	entries := append([]certificate{{Name: domainDir, Key: d.Key, KeyStore: d.KeyStore, Files: d.Files, Hook: d.Hook}}, d.Certificates...)
	for i, entry := range entries {
		w, err := entry.wish(base, i == 0)
		if err != nil {
			return nil, err
		}
		if err := w.place(entry.KeyStore, d.PKCS11 != nil); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(c.Wishes, func(other *wish) bool { return other.Name == w.Name }) {
			return nil, models.Errorf(models.KindInvalid, "two certificates have the name %q", w.Name)
		}
		c.Wishes = append(c.Wishes, w)
	}
	if err := c.completeTruststores(base); err != nil {
		return nil, err
	}
	return c, c.checkPaths()
}

// checkPaths refuses two contents for one path.
func (c *config) checkPaths() error {
	owner := map[string]string{}
	if c.Truststore != "" {
		owner[c.Truststore] = "the truststore"
	}
	for _, t := range c.Anchors {
		if other := owner[t.File]; other != "" {
			return models.Errorf(models.KindInvalid, "%s is to be %s and truststore %s", t.File, other, t.Name)
		}
		owner[t.File] = "truststore " + t.Name
	}
	for _, w := range c.Wishes {
		for file, path := range w.Files.byContent() {
			if path == "" {
				continue
			}
			if other := owner[path]; other != "" {
				return models.Errorf(models.KindInvalid, "%s is to be %s and %s of %s", path, other, file, w.Name)
			}
			owner[path] = file + " of " + w.Name
		}
	}
	return nil
}

// The values of key_store.
const (
	inFile   = "file"
	inPKCS11 = "pkcs11"
)

// place decides where the key is to be: in the token, if the file names one and
// the entry does not say otherwise.
func (w *wish) place(chosen string, token bool) error {
	w.InToken = chosen == inPKCS11 || chosen == "" && token
	switch {
	case chosen != "" && chosen != inFile && chosen != inPKCS11:
		return models.Errorf(models.KindInvalid, "certificate %s: key_store is %q: write file or pkcs11", w.Name, chosen)
	case w.InToken && !token:
		return models.Errorf(models.KindInvalid, "certificate %s: key_store: pkcs11 needs the section pkcs11, which names the token: module, token, pin_file", w.Name)
	case w.InToken && !slices.Contains(tokenAlgorithms, w.Key):
		return models.Errorf(models.KindInvalid, "certificate %s: a token makes keys of the kinds %s; for %s write key_store: file", w.Name, tokenAlgorithms, w.Key)
	case w.InToken && (w.Files.Key != "" || w.Files.Bundle != ""):
		return models.Errorf(models.KindInvalid, "certificate %s: files.key and files.bundle have the private key, which does not leave the token: leave them out (files.key_uri tells programs where the key is), or write key_store: file", w.Name)
	case !w.InToken && w.Files.KeyURI != "":
		return models.Errorf(models.KindInvalid, "certificate %s: files.key_uri is for a key in a token; this one is in a file: write files.key", w.Name)
	}
	return nil
}

// idevKey reads where the key of the manufacturer's certificate is, if that is
// in the token. The path of one in a file becomes absolute.
func (d *document) idevKey(base string) (*keyURI, error) {
	if !strings.HasPrefix(d.IDevID.Key, keyScheme) {
		absolute(&d.IDevID.Key, base)
		return nil, nil
	}
	u, err := parseKeyURI(d.IDevID.Key)
	switch {
	case err != nil:
		return nil, models.Errorf(models.KindInvalid, "idevid: %s", models.PublicText(err))
	case d.PKCS11 == nil:
		return nil, models.Errorf(models.KindInvalid, "idevid: a key in a token needs the section pkcs11, which names the token: module, token, pin_file")
	case u.Module != "" && u.Module != d.PKCS11.Module || !(&token{entry: d.PKCS11}).holds(u):
		return nil, models.Errorf(models.KindInvalid, "idevid: the key is to be in the token of the section pkcs11, and its URI names another one")
	}
	return &u, nil
}

var goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// wish checks one entry.
func (e *certificate) wish(base string, domain bool) (*wish, error) {
	if !goodName.MatchString(e.Name) {
		return nil, models.Errorf(models.KindInvalid, "the certificate name %q: write lower-case letters, digits, - and _", e.Name)
	}
	if !domain && e.Profile == "" {
		return nil, models.Errorf(models.KindInvalid, "certificate %s: name its profile, such as tls_server", e.Name)
	}
	w := &wish{Name: e.Name, Profile: e.Profile, Key: models.KeyAlgorithm(orElse(e.Key, string(models.ECP256))), Subject: models.Name(e.Subject), Files: e.Files}
	if keyMakers[w.Key] == nil {
		return nil, models.Errorf(models.KindInvalid, "certificate %s: the key %q is not one of %s", e.Name, e.Key, strings.Join(keyAlgorithms(), ", "))
	}
	if _, err := pki.MarshalName(w.Subject); err != nil && w.Subject != (models.Name{}) {
		return nil, models.Errorf(models.KindInvalid, "certificate %s: %s", e.Name, models.PublicText(err))
	}
	for _, name := range e.SANs {
		canonical, err := pki.CanonicalSAN(name)
		if err != nil {
			return nil, models.Errorf(models.KindInvalid, "certificate %s: %s; write dns:NAME, ip:ADDRESS, uri:URI or email:ADDRESS", e.Name, models.PublicText(err))
		}
		w.SANs = append(w.SANs, canonical)
	}
	for _, path := range []*string{&w.Files.Key, &w.Files.KeyURI, &w.Files.Cert, &w.Files.Chain, &w.Files.FullChain, &w.Files.Bundle} {
		absolute(path, base)
	}
	var err error
	w.Hook, err = e.Hook.hook(e.Name)
	return w, err
}

func (h *hookEntry) hook(name string) (hook, error) {
	timeout := defaultHookTimeout
	if h.Timeout != "" {
		var err error
		if timeout, err = time.ParseDuration(h.Timeout); err != nil || timeout <= 0 || timeout > time.Hour {
			return hook{}, models.Errorf(models.KindInvalid, "certificate %s: the hook's timeout %q: write a time such as 30s, up to 1h", name, h.Timeout)
		}
	}
	if len(h.Command) > 0 && h.Command[0] == "" {
		return hook{}, models.Errorf(models.KindInvalid, "certificate %s: the hook's command is empty", name)
	}
	return hook{Command: h.Command, Timeout: timeout}, nil
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func absolute(path *string, base string) {
	if *path != "" && !filepath.IsAbs(*path) {
		*path = filepath.Join(base, *path)
	}
}

// readConfig reads the file at path; that it is not there is no mistake if
// nobody named it.
func readConfig(path string, named bool) (*document, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) && !named {
		return &document{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(data) > maxConfig {
		return nil, models.Errorf(models.KindInvalid, "the configuration %s is larger than %d KiB", path, maxConfig>>10)
	}
	return parseDocument(data)
}
