// SPDX-License-Identifier: MIT

package rest

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
)

// document is the part of OpenAPI 3.1 that the API needs.
type document struct {
	OpenAPI    string                          `json:"openapi"`
	Info       info                            `json:"info"`
	Servers    []server                        `json:"servers"`
	Security   []security                      `json:"security"`
	Paths      map[string]map[string]*endpoint `json:"paths"` // by path and lower-case method
	Components components                      `json:"components"`
}

// security names one way to authenticate, by its scheme.
type security map[string][]string

type info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type server struct {
	URL string `json:"url"`
}

type components struct {
	Schemas         map[string]*schema        `json:"schemas"`
	Responses       map[string]*response      `json:"responses"`
	SecuritySchemes map[string]securityScheme `json:"securitySchemes"`
}

type securityScheme struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme,omitempty"`
	In          string `json:"in,omitempty"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description"`
}

type endpoint struct {
	OperationID string               `json:"operationId"`
	Summary     string               `json:"summary"`
	Description string               `json:"description"`
	Security    []security           `json:"security,omitempty"` // if it is not that of the document
	Tags        []string             `json:"tags"`
	Parameters  []parameter          `json:"parameters,omitempty"`
	RequestBody *requestBody         `json:"requestBody,omitempty"`
	Responses   map[string]*response `json:"responses"`
}

type parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitzero"`
	Schema      *schema `json:"schema"`
	Example     any     `json:"example,omitempty"`
}

type requestBody struct {
	Required bool             `json:"required"`
	Content  map[string]media `json:"content"`
}

type response struct {
	Ref         string            `json:"$ref,omitempty"`
	Description string            `json:"description,omitempty"`
	Headers     map[string]header `json:"headers,omitempty"`
	Content     map[string]media  `json:"content,omitempty"`
}

type header struct {
	Description string  `json:"description"`
	Schema      *schema `json:"schema"`
}

type media struct {
	Schema  *schema `json:"schema"`
	Example any     `json:"example,omitempty"`
}

const description = "Manages the certificates of industrial devices. Every route needs an operator with the permission that it names, by exactly one of bearer token, session and client certificate. " +
	"JSON is snake_case; unknown, repeated and null members are refused unless said otherwise. Durations are an integer and a unit " +
	"(90s 15m 72h 30d 2y), times RFC 3339 UTC, serial numbers lower-case hex. Lists are pages: give next_cursor as ?cursor= to go on. " +
	"Errors are problem details (RFC 9457) with the request ID under which the log has more. A POST with an Idempotency-Key acts once: " +
	"a copy gets the same answer, with the header Idempotent-Replay and without a secret."

// serveDocument derives the document from the declared routes and serves it,
// and its readable form. Both need no token: they say what the sources say.
func (s *surface) serveDocument(version string) {
	doc := s.document(version)
	text, err := json.Marshal(doc, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		s.logger.Error("OpenAPI document not written", "error", err)
	}
	s.engine.GET(BasePath+"/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, mediaJSON, text) })
	s.serveDocs(doc)
}

func (s *surface) document(version string) *document {
	kinds := newSchemas()
	doc := &document{
		OpenAPI: "3.1.0", Info: info{Title: "Trustloom", Version: orElse(version, "development"), Description: description},
		Servers: []server{{URL: BasePath}}, Security: []security{{"bearer": {}}, {"session": {}}, {"certificate": {}}},
		Paths: map[string]map[string]*endpoint{},
	}
	for _, op := range s.routes {
		if doc.Paths[op.path] == nil {
			doc.Paths[op.path] = map[string]*endpoint{}
		}
		doc.Paths[op.path][strings.ToLower(op.method)] = op.endpoint(kinds)
	}
	doc.Components = components{
		Responses: problems(kinds),
		SecuritySchemes: map[string]securityScheme{"bearer": {Type: "http", Scheme: "bearer",
			Description: "a token of POST /tokens, or the one in the file admin-token of the data directory"},
			"session":     {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "a login of a browser at /api/v1/login; changes need Origin or Sec-Fetch-Site of this server"},
			"certificate": {Type: "mutualTLS", Description: "a certificate that is registered with an operator; not together with another way"},
			"device":      {Type: "http", Scheme: "basic", Description: "a device's name and its one-time secret"},
			"credential":  {Type: "mutualTLS", Description: "a certificate that was issued to the device"}},
	}
	doc.Components.Schemas = kinds.components
	return doc
}

// endpoint describes an operation.
func (op operation) endpoint(kinds *schemas) *endpoint {
	e := &endpoint{
		OperationID: op.id, Summary: op.summary, Description: "Needs the permission " + string(op.permission) + ".",
		Tags: []string{strings.Split(op.path, "/")[1]}, Responses: map[string]*response{},
	}
	e.Parameters = parametersOf(kinds, op.request)
	if op.device {
		e.Description, e.Security = "Needs no token: the device proves itself.", []security{{"device": {}}, {"credential": {}}}
		e.Responses[strconv.Itoa(http.StatusAccepted)] = &response{Description: "Accepted; send the same request again",
			Headers: map[string]header{"Retry-After": {Description: "seconds", Schema: &schema{Type: "integer"}}},
			Content: map[string]media{mediaJSON: {Schema: kinds.of(reflect.TypeFor[api.EnrollmentWait]()), Example: kinds.example(reflect.TypeFor[api.EnrollmentWait](), "")}}}
	} else if op.method == http.MethodPost {
		e.Parameters = append(e.Parameters, parameter{Name: idempotencyHeader, In: "header", Schema: &schema{Type: "string"},
			Description: "1 to 128 printable ASCII characters; copies with the same key act once"})
	}
	if body, ok := op.request.FieldByName("Body"); ok {
		e.RequestBody = &requestBody{Required: true, Content: map[string]media{
			mediaJSON: {Schema: kinds.of(body.Type), Example: kinds.example(body.Type, "")}}}
	}
	op.describeSuccess(kinds, e)
	for _, kind := range models.Kinds {
		e.Responses[strconv.Itoa(translations[kind].status)] = &response{Ref: "#/components/responses/" + kind.String()}
	}
	return e
}

func (op operation) describeSuccess(kinds *schemas, e *endpoint) {
	success := &response{Description: http.StatusText(op.status)}
	switch {
	case op.status == http.StatusNoContent:
	case op.response == reflect.TypeFor[pemText]():
		success.Content = map[string]media{mediaPEM: {Schema: &schema{Type: "string"}, Example: examplePEM}}
	case len(op.media) > 0:
		success.Content = map[string]media{}
		for _, m := range op.media {
			success.Content[m] = media{Schema: &schema{Type: "string", Format: "binary"}}
		}
	default:
		success.Content = map[string]media{mediaJSON: {Schema: kinds.of(op.response), Example: kinds.example(op.response, "")}}
	}
	e.Responses[strconv.Itoa(op.status)] = success
	if reflect.PointerTo(op.response).Implements(reflect.TypeFor[pending]()) && op.status == http.StatusCreated {
		e.Responses[strconv.Itoa(http.StatusAccepted)] = &response{
			Description: "Accepted; the work goes on, ask again", Content: map[string]media{mediaJSON: {Schema: kinds.of(op.response)}}}
	}
}

// parametersOf describes the path and query fields of a request type.
func parametersOf(kinds *schemas, t reflect.Type) (list []parameter) {
	for f := range t.Fields() {
		p := parameter{Description: f.Tag.Get("doc")}
		switch {
		case f.Tag.Get("path") != "":
			p.Name, p.In, p.Required = f.Tag.Get("path"), "path", true
		case f.Tag.Get("query") != "":
			p.Name, p.In = f.Tag.Get("query"), "query"
		case f.Anonymous:
			list = append(list, parametersOf(kinds, f.Type)...)
			continue
		default:
			continue
		}
		p.Schema = kinds.of(f.Type)
		if f.Tag.Get("example") != "" {
			p.Example = kinds.example(f.Type, f.Tag)
		}
		list = append(list, p)
	}
	return list
}

// problems describes the answer of each kind of error.
func problems(kinds *schemas) map[string]*response {
	all := map[string]*response{}
	ref := kinds.of(reflect.TypeFor[api.Problem]())
	for kind, t := range translations {
		example := problemOf(models.Errorf(kind, "%s", t.title))
		example.RequestID = exampleID
		r := &response{Description: t.title, Content: map[string]media{problemType: {Schema: ref, Example: example}}}
		if t.retry {
			r.Headers = map[string]header{"Retry-After": {Description: "seconds", Schema: &schema{Type: "integer"}}}
		}
		all[kind.String()] = r
	}
	return all
}

// sortedPaths returns the paths of a document in order.
func (d *document) sortedPaths() []string { return slices.Sorted(maps.Keys(d.Paths)) }
