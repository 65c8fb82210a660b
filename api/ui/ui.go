// SPDX-License-Identifier: MIT

// Package ui is what people see in a browser: pages rendered by the server
// (html/template, HTML5), without scripts and without cookies. Today that is
// one page, on which a person at a device fetches the key and the certificate
// that were made for it, with a one-time code.
//
// Every page has a strict Content-Security-Policy (CSP Level 3) and is never
// kept. The package calls package operations, and must not know the store, the
// workflows or the REST API.
package ui

import (
	"context"
	"embed"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
)

//go:embed pages
var pages embed.FS

// Path is where the page is; the files beside it are below.
const Path = "/download"

// Downloads hands keys over; *operations.Operations is the one there is.
type Downloads interface {
	RedeemDownload(ctx context.Context, in operations.Download) (*models.DeliveryPackage, error)
}

// Config is what the pages are made of. Downloads is required.
type Config struct {
	Downloads Downloads
	Guard     *auth.Guard      // slows down whoever guesses; nil lets everything through
	Now       func() time.Time // time.Now unless set
	Logger    *slog.Logger     // slog.Default() unless set
	// Pause is how long the answer to a code that was refused takes at least,
	// so that it tells nothing by its time; 400 ms unless set.
	Pause time.Duration
}

// site serves the pages.
type site struct {
	cfg  Config
	page *template.Template
}

// New returns the handler of Path and what is below it.
func New(cfg Config) http.Handler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Pause == 0 {
		cfg.Pause = 400 * time.Millisecond
	}
	s := &site{cfg: cfg, page: template.Must(template.ParseFS(pages, "pages/download.html"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, s.show)
	mux.HandleFunc("POST "+Path, s.download)
	mux.HandleFunc("GET "+Path+"/style.css", style)
	mux.HandleFunc(Path+"/", s.absent)
	mux.HandleFunc(Path, s.wrongMethod)
	// There is no session that another site could abuse, but it could spend a
	// device's tries from the browser of somebody in the plant.
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(s.foreign))
	return harden(guard.Handler(mux))
}

// policy lets the page load its own style sheet and send its form to itself,
// and nothing else.
const policy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// harden sets what every answer carries.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		next.ServeHTTP(w, r)
	})
}

func style(w http.ResponseWriter, _ *http.Request) {
	sheet, err := fs.ReadFile(pages, "pages/style.css")
	if err != nil { // it is part of the program
		http.Error(w, "there is no style sheet", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(sheet) // a browser that is gone asks again
}

func (s *site) absent(w http.ResponseWriter, _ *http.Request) {
	s.write(w, http.StatusNotFound, view{Error: "There is nothing at this address. The download is at " + Path + "."})
}

func (s *site) wrongMethod(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", "GET, HEAD, POST")
	s.write(w, http.StatusMethodNotAllowed, view{Error: "Please use the form on this page."})
}

func (s *site) foreign(w http.ResponseWriter, _ *http.Request) {
	s.write(w, http.StatusForbidden, view{Error: "Another web site sent this form. Nothing was done. Please use the form on this page."})
}
