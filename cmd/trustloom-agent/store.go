// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What is in the folder of a credential:
//
//	v000001/  a version: key and certificate belong together and never change
//	current   which version is in use; replaced in one step
//	pending/  a key whose request is under way, and the request
//	made/     the URIs of keys that were made in a token, and not destroyed yet
//	change    the journal of a switch that is not confirmed
//	refused   the version that the hook refused, and nothing newer
//	status    what happened last, for 'status' and the pause after failures
const (
	linkCurrent   = "current"
	dirPending    = "pending"
	dirMade       = "made"
	fileChange    = "change.json"
	fileRefused   = "refused"
	fileStatus    = "status.json"
	fileKey       = "key.pem"
	fileKeyURI    = "key.uri"
	fileCert      = "cert.pem"
	fileChain     = "chain.pem"
	fileFullChain = "fullchain.pem"
	fileBundle    = "bundle.pem"
	fileMeta      = "meta.json"
	fileRequest   = "request.der"

	fileTransaction = "transaction.json" // of a pending request, if the protocol has one
)

// The points of a change, in order, at which tests end the process.
const (
	faultPending   = "pending"   // key and request are kept, nothing is sent
	faultAnswered  = "answered"  // the certificate is here, in memory only
	faultVersion   = "version"   // the new version is complete
	faultJournal   = "journal"   // the switch is announced
	faultSwitched  = "switched"  // the new version is current
	faultPublished = "published" // before the hook
	faultHooked    = "hooked"    // the hook has ended well
	faultRefused   = "refused"   // the hook refused: the way back is announced
	faultReturned  = "returned"  // the old version is current again
	faultConfirmed = "confirmed" // all but the sweeping
)

// errLocked is what a second agent is told.
var errLocked = errors.New("another trustloom-agent works on this state folder")

// meta is what is known about a version, or about a pending request.
type meta struct {
	Wish        string    `json:"wish"`                  // digest of what was asked for
	Predecessor string    `json:"predecessor,omitempty"` // version that is renewed; empty for a first certificate
	Obtained    time.Time `json:"obtained,omitzero"`
}

// pending is a request that was made, and perhaps sent.
type pending struct {
	meta
	Key     keptKey
	Request []byte
}

// pair is a version: a key and the certificate for it. For a key in a token
// the Pair has no key; present gets it.
type pair struct {
	meta
	Name string
	Key  keptKey
	Pair *tls.Certificate
}

// leaf is the certificate of the pair.
func (v *pair) leaf() *x509.Certificate { return v.Pair.Leaf }

// due is when the version is to be renewed.
func (v *pair) due() time.Time { return renewalDue(v.leaf(), v.Obtained) }

// store keeps one credential. Its methods are used by one process at a time.
type store struct {
	disk
	dir   string
	now   func() time.Time
	token *token // where keys are made that are not in files; nil: nowhere
}

func openStore(dir string, now func() time.Time, fault func(string)) (*store, error) {
	if err := os.MkdirAll(dir, dirPerm); err != nil {
		return nil, fmt.Errorf("make the folder of a credential: %w", err)
	}
	return &store{disk: disk{fault}, dir: dir, now: now}, nil
}

func (s *store) path(names ...string) string {
	return filepath.Join(append([]string{s.dir}, names...)...)
}

// current returns the pair that is in use, nil if there is none yet.
func (s *store) current() (*pair, error) {
	name, err := pointed(s.path(linkCurrent))
	if err != nil || name == "" {
		return nil, err
	}
	return s.version(name)
}

// version reads one version.
func (s *store) version(name string) (*pair, error) {
	v := &pair{Name: name}
	var err error
	if v.Key, err = readKey(s.path(name)); err != nil {
		return nil, err
	}
	if v.Key.URI != "" {
		v.Pair, err = loadKeyless(s.path(name, fileFullChain), "")
	} else {
		v.Pair, err = loadPair(s.path(name, fileFullChain), "", s.path(name, fileKey))
	}
	if err != nil {
		return nil, err
	}
	return v, readJSON(s.path(name, fileMeta), &v.meta)
}

// ask keeps a new key and its request before anything is sent, so that the
// very same request can be sent again.
func (s *store) ask(p *pending) error {
	if err := s.forget(); err != nil {
		return err
	}
	encoded, err := json.Marshal(p.meta)
	if err != nil {
		return err
	}
	content := p.Key.files()
	content[fileRequest], content[fileMeta] = p.Request, encoded
	if err := s.writeFolder(s.path(dirPending), content); err != nil {
		return fmt.Errorf("keep the request: %w", err)
	}
	s.fault(faultPending)
	return nil
}

// asked returns the pending request, nil if there is none.
func (s *store) asked() (*pending, error) {
	if !exists(s.path(dirPending)) {
		return nil, nil
	}
	p := &pending{}
	var errKey, errRequest error
	p.Key, errKey = readKey(s.path(dirPending))
	p.Request, errRequest = os.ReadFile(s.path(dirPending, fileRequest))
	return p, errors.Join(errKey, errRequest, readJSON(s.path(dirPending, fileMeta), &p.meta))
}

// forget removes the pending request: by its name first, so that half of one
// is never found.
func (s *store) forget() error {
	if !exists(s.path(dirPending)) {
		return nil
	}
	gone, err := os.MkdirTemp(s.dir, tempPrefix+"*")
	if err != nil {
		return err
	}
	if err := os.Rename(s.path(dirPending), filepath.Join(gone, dirPending)); err != nil {
		return err
	}
	s.fault("rename " + dirPending + " away")
	err = errors.Join(syncDir(s.dir), os.RemoveAll(gone))
	s.fault("remove " + dirPending)
	return err
}

// add writes a complete version next to the others and returns its name.
func (s *store) add(content map[string][]byte) (string, error) {
	names, err := s.versions()
	if err != nil {
		return "", err
	}
	last := 0
	if len(names) > 0 {
		if _, err := fmt.Sscanf(names[len(names)-1], "v%d", &last); err != nil {
			return "", fmt.Errorf("read the version %s: %w", names[len(names)-1], err)
		}
	}
	name := fmt.Sprintf("v%06d", last+1)
	if err := s.writeFolder(s.path(name), content); err != nil {
		return "", fmt.Errorf("keep the certificate: %w", err)
	}
	s.fault(faultVersion)
	return name, nil
}

// versions returns the names of all versions, oldest first.
func (s *store) versions() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && len(e.Name()) >= 7 && strings.HasPrefix(e.Name(), "v") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// tidy removes versions that nothing refers to, except the one before keep:
// programs may have its files open. A key in a token is nobody's file, and
// whoever moves a key wants it nowhere else: with a token, keep is alone.
func (s *store) tidy(ctx context.Context) error {
	names, err := s.versions()
	if err != nil {
		return err
	}
	now, err := pointed(s.path(linkCurrent))
	if err != nil {
		return err
	}
	keep := []string{now, s.refused()}
	if i := slices.Index(names, now); i > 0 && !exists(s.path(now, fileKeyURI)) && !exists(s.path(names[i-1], fileKeyURI)) {
		keep = append(keep, names[i-1])
	}
	for _, name := range names {
		if !slices.Contains(keep, name) {
			err = errors.Join(err, os.RemoveAll(s.path(name)))
			s.fault("remove " + name)
		}
	}
	err = errors.Join(err, sweep(s.dir))
	s.reap(ctx)
	return err
}

// refused returns the version that the hook refused, "" if there is none.
func (s *store) refused() string {
	name, err := os.ReadFile(s.path(fileRefused))
	if err != nil || !exists(s.path(string(name))) {
		return ""
	}
	return string(name)
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func (d disk) writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return d.replaceFile(path, append(data, '\n'), filePerm)
}

func (d disk) removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	d.fault("remove " + filepath.Base(path))
	return syncDir(filepath.Dir(path))
}
