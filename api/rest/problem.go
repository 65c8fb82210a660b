// SPDX-License-Identifier: MIT

package rest

import (
	"encoding/json/v2"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

const (
	problemType  = "application/problem+json"
	problemSpace = "urn:trustloom:problem:"

	// defaultRetryAfter is told where the error knows no better.
	defaultRetryAfter = 5 * time.Second
)

// translation is what a kind of error is in HTTP.
type translation struct {
	status int
	slug   string
	title  string
	retry  bool // carries Retry-After
}

// translations has every kind (RFC 9457; design.md §6).
var translations = map[models.Kind]translation{
	models.KindInvalid:         {http.StatusBadRequest, "invalid", "the request is malformed or inconsistent", false},
	models.KindUnauthenticated: {http.StatusUnauthorized, "unauthenticated", "valid credentials are needed", false},
	models.KindDenied:          {http.StatusForbidden, "denied", "policy or role forbids it", false},
	models.KindNotFound:        {http.StatusNotFound, "not-found", "there is no such thing", false},
	models.KindConflict:        {http.StatusConflict, "conflict", "the present state does not allow it", false},
	models.KindLimited:         {http.StatusTooManyRequests, "limited", "too many requests", true},
	models.KindUnavailable:     {http.StatusServiceUnavailable, "unavailable", "something that is needed is down", true},
	models.KindInternal:        {http.StatusInternalServerError, "internal", "internal error", false},
}

// problemOf translates an error. Unknown kinds are internal, whose detail
// never says more than that.
func problemOf(err error) api.Problem {
	kind := models.KindOf(err)
	t, known := translations[kind]
	if !known {
		kind, t = models.KindInternal, translations[models.KindInternal]
	}
	p := api.Problem{
		Type: problemSpace + t.slug, Title: t.title, Status: t.status, Detail: models.PublicText(err), Kind: kind.String(),
	}
	if t.retry {
		delay := models.RetryAfter(err)
		if delay <= 0 {
			delay = defaultRetryAfter
		}
		p.RetryAfter = int(math.Ceil(delay.Seconds()))
	}
	return p
}

// fail answers with the problem of err, and leaves err to the log.
func (s *surface) fail(c *gin.Context, err error) {
	c.Set(faultKey, err)
	s.problem(c, problemOf(err))
}

// absent answers for a path or a method that does not exist.
func (s *surface) absent(c *gin.Context, status int) {
	p := api.Problem{Type: problemSpace + "not-found", Title: "there is no such route", Status: status,
		Kind: models.KindNotFound.String(), Detail: "there is no such route; /api/docs lists those that exist"}
	if status == http.StatusMethodNotAllowed {
		p.Type, p.Title, p.Kind = problemSpace+"method-not-allowed", "the route does not have this method", models.KindInvalid.String()
		p.Detail = "the route does not have this method; /api/docs lists those that exist"
	}
	s.problem(c, p)
}

func (s *surface) problem(c *gin.Context, p api.Problem) {
	p.RequestID = c.GetString(requestIDKey)
	p.Instance = strings.ToValidUTF8(c.Request.URL.EscapedPath(), "")
	if p.Status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", orElse(c.GetString(challengeKey), `Bearer realm="trustloom"`))
	}
	if p.RetryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	body, err := json.Marshal(p)
	if err != nil {
		s.logger.ErrorContext(c.Request.Context(), "problem not written", "request_id", p.RequestID, "error", err)
	}
	c.Abort()
	c.Data(p.Status, problemType, body)
}
