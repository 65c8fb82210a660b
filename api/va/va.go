// SPDX-License-Identifier: MIT

// Package va is what relying parties read: CRLs (RFC 5280 §5) and CA
// certificates (RFC 5280 §4.2.2.1), straight from the store. No workflow and
// no key is on this path, so it answers while the engine or the token is away.
package va

import (
	"bytes"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
)

// Config is what the handlers need from outside.
type Config struct {
	Store  *store.Store
	Now    func() time.Time
	Logger *slog.Logger
}

type handler struct {
	cfg Config
}

// New returns the handler of /crl/{key-id}.crl and /ca/{key-id}.cer, both DER.
func New(cfg Config) http.Handler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	h := &handler{cfg: cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /crl/{file}", h.crl)
	mux.HandleFunc("GET /ca/{file}", h.certificate)
	return mux
}

// crl serves the latest CRL of a CA key. Caches may keep it until the next
// one is due, but not longer than an hour: a revocation publishes at once.
func (h *handler) crl(w http.ResponseWriter, r *http.Request) {
	keyID, ok := keyID(r.PathValue("file"), ".crl")
	if !ok {
		http.NotFound(w, r)
		return
	}
	crl, err := h.cfg.Store.LatestCRL(r.Context(), keyID)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	age := min(crl.NextUpdate.Sub(h.cfg.Now()), time.Hour)
	w.Header().Set("Content-Type", "application/pkix-crl")
	w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(max(int(age.Seconds()), 0)))
	w.Header().Set("ETag", `"`+keyID[:16]+"-"+strconv.FormatInt(crl.Number, 10)+`"`)
	http.ServeContent(w, r, "", crl.ThisUpdate, bytes.NewReader(crl.DER))
}

// certificate serves the certificate of a CA key.
func (h *handler) certificate(w http.ResponseWriter, r *http.Request) {
	keyID, ok := keyID(r.PathValue("file"), ".cer")
	if !ok {
		http.NotFound(w, r)
		return
	}
	ca, err := h.cfg.Store.FindCAByKeyID(r.Context(), keyID)
	if err != nil || len(ca.CertificateDER) == 0 {
		h.fail(w, r, errors.Join(err, models.Errorf(models.KindNotFound, "the CA has no certificate yet")))
		return
	}
	w.Header().Set("Content-Type", "application/pkix-cert")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	http.ServeContent(w, r, "", ca.NotBefore, bytes.NewReader(ca.CertificateDER))
}

// fail answers in plain text; relying parties read the status only.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch models.KindOf(err) {
	case models.KindNotFound:
		http.Error(w, "there is no CA with this key identifier", http.StatusNotFound)
	default:
		h.cfg.Logger.Error("relying party not answered", "path", r.URL.Path, "error", err)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	}
}

// keyID takes the lower-case hexadecimal key identifier out of a file name.
func keyID(file, suffix string) (string, bool) {
	id, found := strings.CutSuffix(file, suffix)
	raw, err := hex.DecodeString(id)
	return id, found && err == nil && len(raw) == 20 && strings.ToLower(id) == id
}
