// SPDX-License-Identifier: MIT

package rest

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"net/http"
	"reflect"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/trustloom/trustloom/api/auth"
	"github.com/trustloom/trustloom/api/operations"
	"github.com/trustloom/trustloom/models"
)

// operation is the declaration of a route, without its handler.
type operation struct {
	id         string // as in package api's client
	method     string
	path       string // relative to BasePath, parameters as {name}
	permission auth.Permission
	status     int // of success; 204 has no body
	summary    string
	media      []string // of an operations.File
	device     bool     // for devices, which have other proofs than a bearer token
	once       bool     // it has no second time: nothing of it is kept for copies of the request

	request, response reflect.Type
}

// route declares one operation. Everything that is done for every request is
// done here: authenticate, authorise, bind, act, answer.
func route[Req, Resp any](s *surface, op operation, handle func(ctx context.Context, who operations.Caller, req *Req) (*Resp, error)) {
	op.request, op.response = reflect.TypeFor[Req](), reflect.TypeFor[Resp]()
	s.routes = append(s.routes, op)
	pattern := BasePath + strings.NewReplacer("{", ":", "}", "").Replace(op.path)
	s.engine.Handle(op.method, pattern, func(c *gin.Context) {
		who, err := s.caller(c, op.permission)
		if err != nil {
			s.fail(c, err)
			return
		}
		req := new(Req)
		body, err := bind(c, req)
		if err != nil {
			s.fail(c, err)
			return
		}
		act := func() (answer, error) {
			resp, err := handle(c.Request.Context(), who, req)
			if err != nil {
				return answer{}, err
			}
			return render(op, resp)
		}
		repeat := func() (answer, error) { return s.once(c, who, withoutSensitive(req, body), act) }
		if op.once {
			repeat = act
		}
		a, err := repeat()
		if err != nil {
			s.fail(c, err)
			return
		}
		if op.id == "EndSession" {
			forget(c)
		}
		a.write(c)
	})
}

// caller authenticates a request and checks its permission.
func (s *surface) caller(c *gin.Context, permission auth.Permission) (operations.Caller, error) {
	given, err := credentials(c)
	if err != nil {
		return operations.Caller{}, err
	}
	principal, err := s.auth.Authenticate(c.Request.Context(), given)
	if err != nil {
		return operations.Caller{}, err
	}
	c.Set(principalKey, principal.Name+"/"+principal.TokenName)
	who := operations.Caller{Principal: principal, Address: c.RemoteIP(), RequestID: c.GetString(requestIDKey)}
	return who, auth.Authorize(principal, permission)
}

// credentials collects what a request proves its sender with.
func credentials(c *gin.Context) (given auth.Credentials, err error) {
	given = auth.Credentials{Bearer: bearer(c.Request), Address: c.RemoteIP()}
	if given.Cookie, err = session(c.Request); err != nil {
		return given, err
	}
	if c.Request.TLS != nil {
		given.Certificates = c.Request.TLS.PeerCertificates
	}
	return given, nil
}

// bearer returns the token of a request that has exactly one Authorization
// header of the Bearer scheme (RFC 6750 §2.1), and the empty string otherwise.
func bearer(r *http.Request) string {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// bind fills a request type and returns the bytes of the body.
func bind(c *gin.Context, req any) ([]byte, error) {
	v := reflect.ValueOf(req).Elem()
	query, err := checkQuery(v.Type(), c.Request.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	field, err := bindFields(v, c.Param, query)
	if err != nil {
		return nil, err
	}
	data, err := readBody(c.Request)
	if err != nil {
		return nil, err
	}
	if !field.IsValid() {
		if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && string(trimmed) != "{}" {
			return nil, models.Errorf(models.KindInvalid, "this route takes no body")
		}
		return data, nil
	}
	if err := checkMediaType(c.Request); err != nil {
		return nil, err
	}
	return data, decodeBody(data, field.Addr().Interface())
}

// answer is a rendered success. public is body without secrets, for keeping.
type answer struct {
	status int
	media  string
	name   string // of a file
	body   []byte
	public []byte
}

const (
	mediaJSON = "application/json"
	mediaPEM  = "application/x-pem-file"
)

// pending is an answer that may say that the work goes on (202).
type pending interface{ Pending() bool }

func render(op operation, resp any) (answer, error) {
	a := answer{status: op.status, media: mediaJSON}
	if op.status == http.StatusNoContent {
		return a, nil
	}
	if text, ok := resp.(*pemText); ok {
		a.media, a.body = mediaPEM, []byte(*text)
		return a, nil
	}
	if file, ok := resp.(*operations.File); ok {
		a.media, a.body, a.name = file.MediaType, file.Content, file.Name
		return a, nil
	}
	if p, ok := resp.(pending); ok && op.status == http.StatusCreated && p.Pending() {
		a.status = http.StatusAccepted
	}
	var err error
	if a.body, err = json.Marshal(resp, json.Deterministic(true)); err != nil {
		return a, err
	}
	a.public = a.body
	if emptied := withoutSecrets(resp); emptied != nil {
		a.public, err = json.Marshal(emptied, json.Deterministic(true))
	}
	return a, err
}

func (a answer) write(c *gin.Context) {
	if a.status == http.StatusNoContent {
		c.Status(a.status)
		c.Writer.WriteHeaderNow()
		return
	}
	if a.name != "" {
		c.Header("Content-Disposition", `attachment; filename="`+a.name+`"`) // names are slugs
	}
	c.Data(a.status, a.media, a.body)
}
