// SPDX-License-Identifier: MIT

package rest

import (
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"github.com/trustloom/trustloom/models"
)

const (
	requestIDHeader = "X-Request-Id"
	requestIDKey    = "request_id" // in the gin context
	principalKey    = "principal"
	faultKey        = "fault"
	challengeKey    = "challenge" // of 401, if it is not for a bearer token
)

var requestIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identify gives the request an ID: the caller's, if it is a plain word, or a
// fresh one.
func (s *surface) identify(c *gin.Context) {
	id := c.GetHeader(requestIDHeader)
	if !requestIDs.MatchString(id) {
		id = models.NewID[string]()
	}
	c.Set(requestIDKey, id)
	c.Header(requestIDHeader, id)
	c.Next()
}

// log writes one line per request, with the route's pattern instead of the
// URL: nothing that the caller chose, and no secret, gets into it.
func (s *surface) log(c *gin.Context) {
	start := s.now()
	c.Next()
	route := c.FullPath()
	if route == "" {
		route = "(none)"
	}
	attributes := []slog.Attr{
		slog.String("method", knownMethod(c.Request.Method)), slog.String("route", route), slog.Int("status", c.Writer.Status()),
		slog.Duration("duration", s.now().Sub(start)), slog.String("request_id", c.GetString(requestIDKey)),
		slog.String("principal", c.GetString(principalKey)), slog.String("address", c.RemoteIP()),
	}
	level := slog.LevelInfo
	if fault, ok := c.Get(faultKey); ok {
		attributes = append(attributes, slog.Any("error", fault))
		if c.Writer.Status() >= http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	s.logger.LogAttrs(c.Request.Context(), level, "rest request", attributes...)
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions:
		return method
	}
	return "(other)"
}

// recover turns a panic into a problem. The log gets the stack, not the
// request: gin's own recovery would print its headers.
func (s *surface) recover(c *gin.Context) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		s.logger.ErrorContext(c.Request.Context(), "panic in a REST route", "request_id", c.GetString(requestIDKey),
			"route", c.FullPath(), "panic", value, "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			s.fail(c, models.Errorf(models.KindInternal, "panic"))
		}
		c.Abort()
	}()
	c.Next()
}

// harden sets what every answer of the API carries.
func harden(c *gin.Context) {
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "no-store")
	c.Header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	c.Next()
}
