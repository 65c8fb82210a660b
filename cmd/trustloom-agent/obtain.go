// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// credential is how the agent proves who it is: by a certificate, or by the
// device's name and one-time secret.
type credential struct {
	pair     *tls.Certificate
	username string
	password string
}

// obtain brings a credential one step further. A positive duration says that
// the server wants to be asked again, with the same request.
func (a *agent) obtain(ctx context.Context, h *holding, force bool) (time.Duration, error) {
	current, err := h.store.current()
	if err != nil {
		return 0, fmt.Errorf("read the present pair: %w", err)
	}
	if name := h.store.refused(); name != "" {
		if v, err := h.store.version(name); err == nil && v.Wish == h.digest() && a.placed(h, v.Key) && a.now().Before(v.due()) {
			return 0, h.store.install(ctx, h.wish, name)
		}
	}
	usable := current != nil && current.Wish == h.digest() && a.now().Before(current.leaf().NotAfter) && a.reachable(current.Key)
	p, err := h.store.asked()
	if err != nil {
		return 0, err
	}
	if p == nil && usable && !force && a.placed(h, current.Key) && a.now().Before(current.due()) {
		return 0, nil
	}
	if usable, err = a.renewable(ctx, h, current, usable); err != nil {
		return 0, err
	}
	if p, err = a.resumable(ctx, h, p, current, usable); err != nil {
		return 0, err
	}
	if p == nil {
		if p, err = a.begin(ctx, h, current, usable); err != nil {
			return 0, err
		}
	}
	return a.send(ctx, h, p, current)
}

// renewable reports whether a pair that is usable has its key, and tells
// why a pair that is not is of no help.
func (a *agent) renewable(ctx context.Context, h *holding, current *pair, usable bool) (bool, error) {
	if current != nil && !a.reachable(current.Key) {
		a.log.Warn("the key of the certificate in use is in a token that the file does not name: a first certificate is asked for", "certificate", h.Name, "key", current.Key.URI)
	}
	if !usable {
		return false, nil
	}
	lost, err := a.lost(ctx, current.Key)
	if lost {
		a.log.Warn("the key of the certificate in use is not in the token any more: a first certificate is asked for", "certificate", h.Name, "key", current.Key.URI)
	}
	return !lost, err
}

// resumable returns the pending request if it still makes sense.
func (a *agent) resumable(ctx context.Context, h *holding, p *pending, current *pair, usable bool) (*pending, error) {
	if p == nil {
		return nil, nil
	}
	fits := !usable && p.Predecessor == "" || usable && p.Predecessor == current.Name
	if fits && p.Wish == h.digest() && a.placed(h, p.Key) {
		lost, err := a.lost(ctx, p.Key)
		if err != nil || !lost {
			return p, err
		}
	}
	return nil, h.store.forget()
}

// begin makes a key and a request, and keeps both. The request renews the
// current pair, if that is usable.
func (a *agent) begin(ctx context.Context, h *holding, current *pair, usable bool) (*pending, error) {
	key, kept, err := a.newKey(ctx, h)
	if err != nil {
		return nil, err
	}
	p := &pending{meta: meta{Wish: h.digest()}, Key: kept}
	if !usable {
		p.Request, err = h.request(key)
	} else {
		p.Predecessor = current.Name
		p.Request, err = renewalRequest(current.leaf(), key)
	}
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	return p, h.store.ask(p)
}

// newKey makes a key where the wish wants it.
func (a *agent) newKey(ctx context.Context, h *holding) (crypto.Signer, keptKey, error) {
	if h.InToken {
		return h.store.newTokenKey(ctx, h.wish)
	}
	return newKey(h.Key)
}

// send asks the server and, if there is a certificate, installs it.
func (a *agent) send(ctx context.Context, h *holding, p *pending, current *pair) (time.Duration, error) {
	as, err := a.identity(ctx, h, p, current)
	if err != nil {
		return 0, err
	}
	server, err := a.protocol(ctx, h, p, as, current)
	if err != nil {
		return 0, err
	}
	defer server.close()
	result, err := server.ask(ctx)
	switch models.KindOf(err) {
	case models.KindInvalid, models.KindDenied, models.KindConflict: // this request will not be answered otherwise
		if forgotten := h.store.forget(); forgotten != nil {
			return 0, forgotten
		}
		h.store.reap(ctx)
	}
	if err != nil {
		return 0, err
	}
	if result.certificate == nil {
		a.log.Info("the server wants to be asked again", "certificate", h.Name, "after", result.retry.String())
		return result.retry, a.keepServerCA()
	}
	a.fault(faultAnswered)
	return 0, a.accept(ctx, h, p, server, result.certificate)
}

// identity chooses how to authenticate: a renewal by what is renewed, an
// application certificate by the domain credential, onboarding by the IDevID
// or the secret.
func (a *agent) identity(ctx context.Context, h *holding, p *pending, current *pair) (credential, error) {
	if p.Predecessor != "" {
		pair, err := a.present(ctx, current)
		return credential{pair: pair}, err
	}
	if h != a.domain() {
		domain, err := a.domain().store.current()
		if err != nil {
			return credential{}, fmt.Errorf("read the domain credential: %w", err)
		}
		if domain == nil {
			return credential{}, models.Errorf(models.KindUnavailable, "there is no domain credential yet: see its error")
		}
		pair, err := a.present(ctx, domain)
		return credential{pair: pair}, err
	}
	if a.cfg.IDevID.Cert != "" {
		pair, err := a.idevid(ctx)
		return credential{pair: pair}, err
	}
	secret, err := a.secret()
	if err != nil {
		return credential{}, err
	}
	if secret == "" || a.cfg.Device == "" {
		return credential{}, models.Errorf(models.KindInvalid, "onboarding needs the device's name and its one-time secret (secret_file, or %s), or an IDevID", secretVariable)
	}
	return credential{username: a.cfg.Device, password: secret}, nil
}

// idevid returns the manufacturer's certificate with its key.
func (a *agent) idevid(ctx context.Context) (*tls.Certificate, error) {
	files := a.cfg.IDevID
	if a.cfg.IDevKey == nil {
		return loadPair(files.Cert, files.Chain, files.Key)
	}
	pair, err := loadKeyless(files.Cert, files.Chain)
	if err != nil {
		return nil, err
	}
	key, err := a.token.existing(ctx, *a.cfg.IDevKey)
	if models.KindOf(err) == models.KindNotFound {
		return nil, models.Errorf(models.KindNotFound, "the token %s has no key %s; 'pkcs11-tool --module %s --login --list-objects' shows what it has", a.token.entry.name(), a.cfg.IDevKey, a.token.entry.Module)
	}
	if err != nil {
		return nil, err
	}
	return withKey(pair, key)
}

// accept checks what was issued, keeps it with its key, and switches to it.
func (a *agent) accept(ctx context.Context, h *holding, p *pending, server protocol, cert *x509.Certificate) error {
	authorities, err := server.authorities(ctx)
	if err != nil {
		return fmt.Errorf("get the CA certificates: %w", err)
	}
	chain, err := chainOf(cert, authorities)
	if err != nil {
		return errors.Join(err, server.confirm(ctx, cert, models.PublicText(err)))
	}
	if err := server.confirm(ctx, cert, ""); err != nil {
		return fmt.Errorf("confirm the certificate: %w", err)
	}
	if err := a.trust(authorities); err != nil {
		return fmt.Errorf("write the truststore: %w", err)
	}
	m := meta{Wish: p.Wish, Predecessor: p.Predecessor, Obtained: a.now().UTC()}
	content, err := versionFiles(m, p.Key, chain)
	if err != nil {
		return err
	}
	name, err := h.store.add(content)
	if err != nil {
		return err
	}
	err = h.store.install(ctx, h.wish, name)
	if h == a.domain() && p.Predecessor == "" {
		a.forgetSecret()
	}
	if err == nil {
		a.log.Info("certificate installed", "certificate", h.Name, "serial", pki.SerialHex(cert.SerialNumber), "not_after", when(cert.NotAfter))
	}
	return err
}

// versionFiles are the files of a version.
func versionFiles(m meta, key keptKey, chain []*x509.Certificate) (map[string][]byte, error) {
	encoded, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	full := pki.EncodePEM(chain...)
	content := key.files()
	content[fileCert], content[fileChain], content[fileFullChain] = pki.EncodePEM(chain[0]), pki.EncodePEM(chain[1:]...), full
	content[fileMeta] = encoded
	if key.URI == "" {
		content[fileBundle] = append(bytes.Clone(key.PEM), full...)
	}
	return content, nil
}

// chainOf verifies that cert comes from the domain's CAs and returns it with
// its intermediates, without the root. The check is made at the end of the
// certificate's lifetime: the device's clock may be wrong.
func chainOf(cert *x509.Certificate, authorities []*x509.Certificate) ([]*x509.Certificate, error) {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range authorities {
		if bytes.Equal(ca.RawSubject, ca.RawIssuer) {
			roots.AddCert(ca)
		} else {
			intermediates.AddCert(ca)
		}
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: cert.NotAfter.Add(-time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, models.Errorf(models.KindUnavailable, "the certificate is not from the domain's CAs").Because(err)
	}
	return chains[0][:len(chains[0])-1], nil
}

// trust writes the domain's CA certificates for programs that verify others.
func (a *agent) trust(authorities []*x509.Certificate) error {
	if err := a.keepServerCA(); err != nil {
		return err
	}
	content := pki.EncodePEM(authorities...)
	for path, perm := range map[string]os.FileMode{filepath.Join(a.cfg.StateDir, fileTruststore): filePerm, a.cfg.Truststore: 0o644} {
		if path == "" {
			continue
		}
		if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, content) {
			continue
		}
		if err := a.replaceFile(path, content, perm); err != nil {
			return err
		}
	}
	return nil
}

// forgetSecret does with the file of the used secret what the configuration
// says. The device has its credential: a failure is told, and no more.
func (a *agent) forgetSecret() {
	var err error
	switch {
	case a.cfg.SecretFile == "":
	case a.cfg.SecretAfter == "remove":
		err = a.removeFile(a.cfg.SecretFile)
	case a.cfg.SecretAfter == "truncate":
		err = os.Truncate(a.cfg.SecretFile, 0)
	}
	if err != nil && !os.IsNotExist(err) {
		a.log.Warn("the file of the used secret stays as it is", "error", err)
	}
}
