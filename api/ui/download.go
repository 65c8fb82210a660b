// SPDX-License-Identifier: MIT

package ui

import (
	"bytes"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
)

// maxForm bounds what a form may send, in octets.
const maxForm = 8 << 10

// view is what the page shows.
type view struct {
	Device  string
	Error   string
	Formats []format
}

type format struct {
	Value, Title, Explanation string
	Chosen                    bool
}

// formats are the choices in words that people at a device understand.
func formats(chosen models.DeliveryFormat) []format {
	list := []format{
		{string(models.FormatPKCS12), "PKCS#12 file (.p12)", "One file for most devices, Windows, browsers and Java", false},
		{string(models.FormatPEMZip), "ZIP archive with PEM files (.zip)", "Key, certificate and chain as separate files", false},
		{string(models.FormatTarGz), "tar.gz archive with PEM files (.tar.gz)", "The same, for Linux devices", false},
	}
	found := false
	for i := range list {
		list[i].Chosen = list[i].Value == string(chosen)
		found = found || list[i].Chosen
	}
	list[0].Chosen = list[0].Chosen || !found
	return list
}

// show shows the empty form. The address may name the device, never the code.
func (s *site) show(w http.ResponseWriter, r *http.Request) {
	device := r.URL.Query().Get("device")
	if models.CheckName("device", device) != nil {
		device = ""
	}
	s.write(w, http.StatusOK, view{Device: device})
}

// download hands the file over, or shows the form again with a sentence that
// says what is the matter.
func (s *site) download(w http.ResponseWriter, r *http.Request) {
	begun := s.cfg.Now()
	in, v, err := s.read(w, r)
	var file *models.DeliveryPackage
	if err == nil {
		attempt := auth.Attempt{Method: auth.MethodCode, Principal: in.Device, Address: in.Address}
		err = s.cfg.Guard.Try(r.Context(), attempt, func() (err error) {
			file, err = s.cfg.Downloads.RedeemDownload(r.Context(), in)
			return err
		})
	}
	if err != nil {
		s.pause(r, begun)
		s.refuse(w, r, v, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.MediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.FileName}))
	h.Set("Content-Length", strconv.Itoa(len(file.Content)))
	_, _ = w.Write(file.Content) // the key is destroyed by now, whether it arrives or not
	clear(file.Content)
}

// read takes the form apart. Only the body counts: what is in the address ends
// up in logs.
func (s *site) read(w http.ResponseWriter, r *http.Request) (operations.Download, view, error) {
	var in operations.Download
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/x-www-form-urlencoded" {
		return in, view{}, models.Errorf(models.KindInvalid, "Please use the form on this page.")
	}
	if err := r.ParseForm(); err != nil {
		return in, view{}, models.Errorf(models.KindInvalid, "The form could not be read. Please try again.").Because(err)
	}
	for _, values := range r.PostForm {
		if len(values) != 1 {
			return in, view{}, models.Errorf(models.KindInvalid, "The form could not be read. Please try again.")
		}
	}
	in = operations.Download{
		Device: strings.ToLower(strings.TrimSpace(r.PostForm.Get("device"))), Code: r.PostForm.Get("code"),
		Format: models.DeliveryFormat(r.PostForm.Get("format")), Password: r.PostForm.Get("password"), Address: addressOf(r),
	}
	v := view{Device: in.Device, Formats: formats(in.Format)}
	switch {
	case models.CheckName("device", in.Device) != nil:
		v.Device = ""
		return in, v, models.Errorf(models.KindInvalid, "Please type the name of the device as it was given to you, such as press-01.")
	case in.Password != r.PostForm.Get("again"):
		return in, v, models.Errorf(models.KindInvalid, "The two passwords are not the same. Please type them again, and the code, too.")
	}
	return in, v, nil
}

// pause fills the answer to a refused code up to a length that says nothing.
func (s *site) pause(r *http.Request, begun time.Time) {
	timer := time.NewTimer(s.cfg.Pause - s.cfg.Now().Sub(begun))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// statuses translates the kinds of error.
var statuses = map[models.Kind]int{
	models.KindInvalid:         http.StatusBadRequest,
	models.KindUnauthenticated: http.StatusForbidden, // 401 would open the browser's own dialogue
	models.KindDenied:          http.StatusForbidden,
	models.KindNotFound:        http.StatusForbidden,
	models.KindConflict:        http.StatusConflict,
	models.KindLimited:         http.StatusTooManyRequests,
	models.KindUnavailable:     http.StatusServiceUnavailable,
	models.KindInternal:        http.StatusInternalServerError,
}

func (s *site) refuse(w http.ResponseWriter, r *http.Request, v view, err error) {
	kind := models.KindOf(err)
	v.Error = models.PublicText(err)
	switch kind {
	case models.KindLimited:
		v.Error = "There were too many tries. Please wait " + strconv.Itoa(int(models.RetryAfter(err).Seconds())+1) + " seconds and try again."
	case models.KindInternal, models.KindUnavailable:
		v.Error = "The server cannot do this at the moment. Your code was not used up. Please try again in a few minutes."
	}
	if wait := models.RetryAfter(err); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
	}
	// The cause goes to the log, what the person typed does not.
	s.cfg.Logger.InfoContext(r.Context(), "download refused", "kind", kind.String(), "address", addressOf(r),
		"request_id", r.Header.Get("X-Request-Id"), "error", err)
	s.write(w, statuses[kind], v)
}

func (s *site) write(w http.ResponseWriter, status int, v view) {
	if v.Formats == nil {
		v.Formats = formats("")
	}
	var page bytes.Buffer
	if err := s.page.Execute(&page, v); err != nil {
		s.cfg.Logger.Error("page not rendered", "error", err)
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // a browser that is gone asks again
}

// addressOf returns the address of the connection, never one of a header.
func addressOf(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
