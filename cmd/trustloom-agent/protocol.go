// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/trustloom/trustloom/integrations/cmp"
	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// The protocols, as the configuration names them.
const (
	protocolEST = "est"
	protocolCMP = "cmp"
)

// answer is how a request stands: there is a certificate, or the server wants
// to be asked again.
type answer struct {
	certificate *x509.Certificate
	retry       time.Duration
}

// protocol asks for one certificate.
type protocol interface {
	// ask sends the pending request, or asks how it stands.
	ask(ctx context.Context) (answer, error)
	// authorities returns the certificates of the domain's CAs, after ask has
	// returned a certificate.
	authorities(ctx context.Context) ([]*x509.Certificate, error)
	// confirm says that the certificate is right, or why it is refused.
	confirm(ctx context.Context, cert *x509.Certificate, refusal string) error
	close()
}

// protocol returns the one of the configuration, for a pending request, with
// the agent authenticated by as.
func (a *agent) protocol(ctx context.Context, h *holding, p *pending, as credential, current *pair) (protocol, error) {
	if a.cfg.Server == "" || a.cfg.Domain == "" {
		return nil, usagef("name the server and the domain: server and domain in the file, or --server and --domain")
	}
	if a.cfg.Protocol == protocolCMP {
		return a.cmpProtocol(ctx, h, p, as, current)
	}
	client, err := est.NewClient(est.ClientConfig{
		URL: a.cfg.Server, Label: est.Label{Domain: a.cfg.Domain, Profile: h.Profile}, Roots: a.roots,
		Certificate: as.pair, Username: as.username, Password: as.password, Timeout: exchangeTimeout,
	})
	return &estProtocol{agent: a, client: client, pending: p}, err
}

// checkProtocol refuses settings that do not go together.
func (d *document) checkProtocol() error {
	d.Protocol = orElse(d.Protocol, protocolEST)
	switch {
	case d.Protocol != protocolEST && d.Protocol != protocolCMP:
		return models.Errorf(models.KindInvalid, "protocol is %q: write est or cmp", d.Protocol)
	case d.Protocol == protocolEST && d.CMPTrust != "":
		return models.Errorf(models.KindInvalid, "cmp_trust is for protocol: cmp")
	case d.plainHTTP() && len(d.Truststores) > 0:
		return models.Errorf(models.KindInvalid, "truststores are fetched over TLS: write an https:// server")
	}
	return nil
}

// plainHTTP reports whether the server is asked without TLS, which messages of
// CMP do not need.
func (d *document) plainHTTP() bool {
	const scheme = "http://"
	return d.Protocol == protocolCMP && len(d.Server) > len(scheme) && d.Server[:len(scheme)] == scheme
}

// estProtocol is EST (RFC 7030).
type estProtocol struct {
	agent   *agent
	client  *est.Client
	pending *pending
}

func (e *estProtocol) authorities(ctx context.Context) ([]*x509.Certificate, error) {
	return e.client.CACerts(ctx)
}

// confirm does nothing: EST has no confirmation.
func (e *estProtocol) confirm(context.Context, *x509.Certificate, string) error { return nil }

func (e *estProtocol) close() { e.client.Close() }

func (e *estProtocol) ask(ctx context.Context) (answer, error) {
	result, err := e.send(ctx)
	if err != nil || result.Pending() {
		return answer{retry: result.RetryAfter}, err
	}
	return answer{certificate: result.Certificates[0]}, nil
}

// send sends a request, bound to its connection if the server says that it
// wants to see that (RFC 7030 §3.5, §4.5.2).
func (e *estProtocol) send(ctx context.Context) (est.Result, error) {
	wanted, err := e.client.CSRAttrs(ctx)
	if err != nil {
		return est.Result{}, err
	}
	p := e.pending
	renews := p.Predecessor != ""
	if !wanted.ChallengePassword {
		if renews {
			return e.client.SimpleReenroll(ctx, p.Request)
		}
		return e.client.SimpleEnroll(ctx, p.Request)
	}
	key, err := e.agent.signer(ctx, p.Key)
	if err != nil {
		return est.Result{}, err
	}
	if renews {
		return e.client.SimpleReenrollBound(ctx, p.Request, key)
	}
	return e.client.SimpleEnrollBound(ctx, p.Request, key)
}

// cmpProtocol is CMP (RFC 9810 in the profile of RFC 9483): ir for the domain
// credential, cr for other certificates, kur for renewals. The transaction is
// kept beside the request before it is sent, so that the same one goes on
// after a power cut.
type cmpProtocol struct {
	client      *cmp.Client
	store       *store
	transaction *cmp.ClientTransaction
	result      *cmp.Result
	secret      bool // answers are protected by the one-time secret
	trust       []*x509.Certificate
}

func (a *agent) cmpProtocol(ctx context.Context, h *holding, p *pending, as credential, current *pair) (protocol, error) {
	trust, err := a.cmpTrust()
	if err != nil {
		return nil, err
	}
	cfg := cmp.ClientConfig{URL: a.cfg.Server, Label: cmp.Label{Domain: a.cfg.Domain, Profile: h.Profile}, Roots: a.roots, Trust: trust, Timeout: exchangeTimeout}
	if as.pair == nil {
		cfg.Reference, cfg.Secret = as.username, []byte(as.password)
	} else {
		if len(trust) == 0 {
			return nil, usagef("name the CA certificates whose server's answers are believed: cmp_trust (the domain's root CA)")
		}
		if cfg.Signer, cfg.Chain, err = signerChain(as.pair); err != nil {
			return nil, err
		}
	}
	transaction, err := a.transaction(ctx, h, p, current)
	if err != nil {
		return nil, err
	}
	client, err := cmp.NewClient(cfg)
	return &cmpProtocol{client: client, store: h.store, transaction: transaction, secret: as.pair == nil, trust: trust}, err
}

func signerChain(pair *tls.Certificate) (crypto.Signer, []*x509.Certificate, error) {
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, models.Errorf(models.KindInternal, "the key of the credential does not sign")
	}
	var chain []*x509.Certificate
	for _, raw := range pair.Certificate {
		cert, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("read the chain of the credential: %w", err)
		}
		chain = append(chain, cert)
	}
	return signer, chain, nil
}

// cmpTrust returns whom signed answers are believed: the certificates of
// cmp_trust, and those of the domain's CAs that an earlier answer brought.
func (a *agent) cmpTrust() ([]*x509.Certificate, error) {
	var trust []*x509.Certificate
	for _, path := range []string{a.cfg.CMPTrust, filepath.Join(a.cfg.StateDir, fileTruststore)} {
		if path == "" {
			continue
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && path != a.cfg.CMPTrust {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the CA certificates of the CMP server: %w", err)
		}
		certs, err := pki.ParseCertificates(content, maxAnchorCount)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		trust = append(trust, certs...)
	}
	return trust, nil
}

// transaction returns the one that is kept with the request, or begins one.
func (a *agent) transaction(ctx context.Context, h *holding, p *pending, current *pair) (*cmp.ClientTransaction, error) {
	t := &cmp.ClientTransaction{}
	err := readJSON(h.store.path(dirPending, fileTransaction), t)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return t, err
	}
	csr, err := x509.ParseCertificateRequest(p.Request)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	r := &cmp.Request{Type: cmp.BodyCR}
	if r.Template, err = cmp.TemplateOf(csr); err != nil {
		return nil, err
	}
	if r.Key, err = a.signer(ctx, p.Key); err != nil {
		return nil, err
	}
	switch {
	case p.Predecessor != "":
		r.Type, r.OldCert = cmp.BodyKUR, current.leaf()
	case h == a.domain():
		r.Type = cmp.BodyIR
	}
	if t, err = cmp.NewClientTransaction(r); err != nil {
		return nil, err
	}
	return t, h.store.keepTransaction(t)
}

// keepTransaction keeps a transaction with its request.
func (s *store) keepTransaction(t *cmp.ClientTransaction) error {
	content, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return s.replaceFile(s.path(dirPending, fileTransaction), content, filePerm)
}

func (c *cmpProtocol) ask(ctx context.Context) (answer, error) {
	result, err := c.client.Ask(ctx, c.transaction)
	if err != nil {
		return answer{}, err
	}
	c.result = result
	return answer{result.Certificate, result.RetryAfter}, c.store.keepTransaction(c.transaction)
}

// authorities asks a server that signs for its CAs. The secret is used up by
// now: what came with the certificate under its protection has to do then, and
// whatever comes from the anchors in it.
func (c *cmpProtocol) authorities(ctx context.Context) ([]*x509.Certificate, error) {
	if !c.secret {
		certs, err := c.client.CACerts(ctx)
		if err != nil || len(certs) > 0 {
			return certs, err
		}
	}
	anchors := c.trust
	if c.secret {
		anchors = append(slices.Clone(anchors), c.result.CAPubs...)
	}
	return withIntermediates(anchors, c.result.Extra), nil
}

// withIntermediates returns the CA certificates among others that come from
// anchors, and the anchors.
func withIntermediates(anchors, others []*x509.Certificate) []*x509.Certificate {
	roots, help := x509.NewCertPool(), x509.NewCertPool()
	for _, cert := range anchors {
		roots.AddCert(cert)
	}
	for _, cert := range others {
		help.AddCert(cert)
	}
	var out []*x509.Certificate
	for _, cert := range others {
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: help, CurrentTime: cert.NotAfter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err == nil && cert.IsCA && !slices.ContainsFunc(anchors, cert.Equal) {
			out = append(out, cert)
		}
	}
	for _, cert := range anchors {
		if !slices.ContainsFunc(out, cert.Equal) {
			out = append(out, cert)
		}
	}
	return out
}

// confirm sends certConf, unless the server does not wait for it. One that was
// received although its answer was not is no failure.
func (c *cmpProtocol) confirm(ctx context.Context, cert *x509.Certificate, refusal string) error {
	if c.result.Confirmed && refusal == "" {
		return nil
	}
	err := c.client.Confirm(ctx, c.transaction, cert, refusal)
	if cmp.FailInfoOf(err)&cmp.FailCertConfirmed != 0 {
		return nil
	}
	return err
}

func (c *cmpProtocol) close() { c.client.Close() }
