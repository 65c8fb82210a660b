// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/pki"
)

// truststore is a file that is to hold one of the domain's truststores.
type truststore struct {
	Name string    `yaml:"name"`
	File string    `yaml:"file"`
	Hook hookEntry `yaml:"hook"`
}

// anchorWish is a truststore, checked; File is absolute.
type anchorWish struct {
	Name string
	File string
	Hook hook
}

const (
	dirTrusts       = "_truststores" // no name of a certificate begins so
	defaultInterval = 15 * time.Minute
	shortestLook    = time.Second
	maxAnchorList   = 64 << 10
	maxAnchors      = 4 << 20 // octets of one truststore
	maxAnchorCount  = 1000
	truststorePerm  = 0o644
)

func (c *config) completeTruststores(base string) error {
	c.Look = defaultInterval
	if c.Interval != "" {
		var err error
		if c.Look, err = time.ParseDuration(c.Interval); err != nil || c.Look < shortestLook {
			return models.Errorf(models.KindInvalid, "truststores_interval is %q: write a time such as 15m", c.Interval)
		}
	}
	seen := map[string]bool{}
	for _, entry := range c.Truststores {
		switch {
		case models.CheckName("truststore", entry.Name) != nil:
			return models.Errorf(models.KindInvalid, "the truststore name %q: write it as the domain names it", entry.Name)
		case seen[entry.Name]:
			return models.Errorf(models.KindInvalid, "two truststores have the name %q", entry.Name)
		case entry.File == "":
			return models.Errorf(models.KindInvalid, "truststore %s: name the file that is to hold it", entry.Name)
		}
		seen[entry.Name] = true
		absolute(&entry.File, base)
		run, err := entry.Hook.hook(entry.Name)
		if err != nil {
			return err
		}
		c.Anchors = append(c.Anchors, &anchorWish{Name: entry.Name, File: entry.File, Hook: run})
	}
	return nil
}

// trusts keeps the truststores of the domain on the device.
type trusts struct {
	agent *agent
	held  []*anchors
	due   time.Time
	tag   string // of the list that was seen last
}

// listed is what the server says of one truststore.
type listed struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	SHA256  string `json:"sha256"`
}

// openTrusts finishes what was interrupted.
func (a *agent) openTrusts(ctx context.Context) (*trusts, error) {
	t := &trusts{agent: a}
	for _, w := range a.cfg.Anchors {
		held := &anchors{anchorWish: w, dir: filepath.Join(a.cfg.StateDir, dirTrusts, w.Name), now: a.now, disk: a.disk}
		if err := held.open(ctx); errors.Is(err, errRefused) {
			t.note(held, err)
		} else if err != nil {
			return nil, fmt.Errorf("recover truststore %s: %w", w.Name, err)
		}
		t.held = append(t.held, held)
	}
	return t, nil
}

// next is when to look again; never, if there is nothing to look for.
func (t *trusts) next() time.Time {
	if len(t.held) == 0 {
		return t.agent.now().Add(longestSleep)
	}
	return t.due
}

// look asks for the list and installs what has changed.
func (t *trusts) look(ctx context.Context) error {
	if len(t.held) == 0 {
		return nil
	}
	list, err := t.list(ctx)
	if err != nil {
		err = fmt.Errorf("truststores: %w", err)
	}
	pending := time.Time{}
	for _, held := range t.held {
		problem := err
		if problem == nil && list != nil {
			problem = t.one(ctx, held, list)
		}
		if ctx.Err() != nil && !errors.Is(problem, errRefused) {
			return ctx.Err()
		}
		if problem != nil {
			t.note(held, problem)
			if pending.IsZero() || held.state.NextAttempt.Before(pending) {
				pending = held.state.NextAttempt
			}
			if problem != err {
				err = errors.Join(err, fmt.Errorf("truststore %s: %w", held.Name, problem))
			}
		}
	}
	t.due = t.agent.now().Add(t.agent.cfg.Look)
	if !pending.IsZero() && pending.Before(t.due) {
		t.due = pending
	}
	if err != nil {
		t.tag = "" // look at all of them again
	}
	return err
}

// note keeps a failure for 'status' and for the pause after it.
func (t *trusts) note(held *anchors, cause error) {
	now := t.agent.now()
	held.state.Failures++
	held.state.LastError, held.state.LastErrorAt = plain(cause), now.UTC().Truncate(time.Second)
	held.state.NextAttempt = now.Add(pause(held.state.Failures, models.RetryAfter(cause), 0, rand.Float64()))
	t.agent.log.Error("it did not work", "truststore", held.Name, "error", held.state.LastError, "next_attempt", when(held.state.NextAttempt))
	if err := held.save(); err != nil {
		t.agent.log.Error("the state of a truststore is not kept", "truststore", held.Name, "error", err)
	}
}

// one brings a truststore to the version of the list.
func (t *trusts) one(ctx context.Context, held *anchors, list []listed) error {
	for _, item := range list {
		if item.Name != held.Name {
			continue
		}
		if item.Version == held.state.Version && item.SHA256 == held.state.SHA256 && held.shown() {
			return held.well()
		}
		content, err := t.get(ctx, "/"+url.PathEscape(item.Name), maxAnchors, "")
		if err != nil {
			return err
		}
		if digestOf(content) != item.SHA256 {
			return models.Errorf(models.KindUnavailable, "the server's truststore has changed meanwhile")
		}
		if _, err := pki.ParseCertificates(content, maxAnchorCount); err != nil {
			return models.Errorf(models.KindUnavailable, "the server's truststore cannot be read: %s", models.PublicText(err))
		}
		if err := held.install(ctx, item, content); err != nil {
			return err
		}
		t.agent.log.Info("truststore installed", "truststore", held.Name, "version", item.Version, "file", held.File)
		return held.well()
	}
	return models.Errorf(models.KindNotFound, "domain %s has no truststore %s for its devices; its operators name them ('trustloom domains set')", t.agent.cfg.Domain, held.Name)
}

// list asks which truststores the domain has for its devices; nil: the same as
// last time.
func (t *trusts) list(ctx context.Context) ([]listed, error) {
	tag := t.tag
	for _, held := range t.held {
		if !held.shown() {
			tag = ""
		}
	}
	body, err := t.get(ctx, "", maxAnchorList, tag)
	if err != nil || body == nil {
		return nil, err
	}
	var list struct {
		Items []listed `json:"items"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, models.Errorf(models.KindUnavailable, "the server's list of truststores cannot be read").Because(err)
	}
	if list.Items == nil {
		list.Items = []listed{}
	}
	return list.Items, nil
}

// get fetches below the domain's truststores, as the device. The answer is nil
// if it still has the tag.
func (t *trusts) get(ctx context.Context, path string, limit int64, tag string) ([]byte, error) {
	a := t.agent
	domain, err := a.domain().store.current()
	if err != nil || domain == nil {
		return nil, models.Errorf(models.KindUnavailable, "there is no domain credential yet: see its error").Because(err)
	}
	pair, err := a.present(ctx, domain)
	if err != nil {
		return nil, err
	}
	target := strings.TrimSuffix(a.cfg.Server, "/") + "/api/v1/enroll/" + url.PathEscape(a.cfg.Domain) + "/truststores" + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	if request.URL.Scheme != "https" {
		return nil, models.Errorf(models.KindInvalid, "server %q: write https://host:port", a.cfg.Server)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return pair, nil
	}}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Timeout: exchangeTimeout, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return nil, models.Errorf(models.KindUnavailable, "the server %s cannot be reached", request.URL.Host).Because(err)
	}
	defer answer.Body.Close() //nolint:errcheck // what was read is read
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return nil, models.Errorf(models.KindUnavailable, "the server's answer broke off").Because(err)
	case int64(len(body)) > limit:
		return nil, models.Errorf(models.KindUnavailable, "the server's answer is larger than %d KiB", limit>>10)
	case answer.StatusCode == http.StatusNotModified:
		return nil, nil
	case answer.StatusCode != http.StatusOK:
		return nil, models.Errorf(models.KindUnavailable, "the server answered %d: %s", answer.StatusCode, detailOf(body))
	}
	if path == "" {
		t.tag = answer.Header.Get("ETag")
	}
	return body, nil
}

// detailOf is the sentence of a problem document.
func detailOf(body []byte) string {
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		return "without saying why"
	}
	return printable(problem.Detail[:min(len(problem.Detail), 300)])
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// trustReport is what 'status' says about one truststore.
type trustReport struct {
	Name        string    `json:"name"`
	State       string    `json:"state"` // ok missing failing
	Version     int       `json:"version,omitempty"`
	File        string    `json:"file"`
	InstalledAt time.Time `json:"installed_at,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

func reportOnTrust(w *anchorWish, stateDir string) (trustReport, error) {
	r := trustReport{Name: w.Name, State: "missing", File: w.File}
	held := &anchors{anchorWish: w, dir: filepath.Join(stateDir, dirTrusts, w.Name)}
	if err := readJSON(held.path(fileAnchorState), &held.state); err != nil && !errors.Is(err, os.ErrNotExist) {
		return r, err
	}
	s := held.state
	r.Version, r.InstalledAt, r.LastError, r.LastErrorAt = s.Version, s.InstalledAt, s.LastError, s.LastErrorAt
	switch {
	case s.LastError != "":
		r.State = "failing"
	case s.Version > 0 && held.shown():
		r.State = "ok"
	}
	return r, nil
}
