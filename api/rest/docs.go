// SPDX-License-Identifier: MIT

package rest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

const docsStyle = `body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}h3{margin-bottom:.2rem;font-size:1rem}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f4f4f4;padding:.6rem;overflow:auto}.method{display:inline-block;min-width:4.2rem;font-weight:700}
table{border-collapse:collapse}td,th{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top}.quiet{color:#555}nav a{margin-right:.8rem}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}pre{background:#242424}.quiet{color:#aaa}a{color:#8ab4f8}}`

const docsPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Info.Title}} API</title><style>` + docsStyle + `</style></head><body>
<h1>{{.Info.Title}} API</h1>
<p>{{.Info.Description}}</p>
<p class="quiet">Version {{.Info.Version}}; OpenAPI {{.OpenAPI}} at <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>
<nav>{{range .Groups}}<a href="#{{.Name}}">{{.Name}}</a>{{end}}</nav>
{{range .Groups}}<section id="{{.Name}}"><h2>{{.Name}}</h2>
{{range .Endpoints}}<article><h3><code><span class="method">{{.Method}}</span> {{.Path}}</code></h3>
<p>{{.Summary}} <span class="quiet">{{.Description}}</span></p>
{{with .Parameters}}<table>{{range .}}<tr><td><code>{{.Name}}</code></td><td class="quiet">{{.In}}</td><td>{{.Description}}</td></tr>{{end}}</table>{{end}}
{{with .Request}}<p class="quiet">Request</p><pre>{{.}}</pre>{{end}}
{{range .Answers}}<p class="quiet">Answer {{.Status}}</p>{{with .Example}}<pre>{{.}}</pre>{{end}}{{end}}
</article>{{end}}</section>{{end}}
</body></html>
`

// docs is what the page shows of the document.
type docs struct {
	*document
	Groups []docsGroup
}

type docsGroup struct {
	Name      string
	Endpoints []docsEndpoint
}

type docsEndpoint struct {
	*endpoint
	Method, Path string
	Request      string
	Answers      []docsAnswer
}

type docsAnswer struct{ Status, Example string }

// serveDocs renders the document as one page that loads nothing.
func (s *surface) serveDocs(doc *document) {
	var page bytes.Buffer
	parsed, err := template.New("docs").Parse(docsPage)
	if err == nil {
		err = parsed.Execute(&page, docsOf(doc))
	}
	if err != nil {
		s.logger.Error("API page not rendered", "error", err)
	}
	sum := sha256.Sum256([]byte(docsStyle))
	csp := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	s.engine.GET("/api/docs", func(c *gin.Context) {
		c.Header("Content-Security-Policy", csp)
		c.Header("Referrer-Policy", "no-referrer")
		c.Data(http.StatusOK, "text/html; charset=utf-8", page.Bytes())
	})
}

// methods is the order of the methods of a path.
var methods = []string{"get", "post", "put", "patch", "delete"}

func docsOf(doc *document) docs {
	out := docs{document: doc}
	for _, path := range doc.sortedPaths() {
		group := strings.Split(path, "/")[1]
		i := slices.IndexFunc(out.Groups, func(g docsGroup) bool { return g.Name == group })
		if i < 0 {
			i = len(out.Groups)
			out.Groups = append(out.Groups, docsGroup{Name: group})
		}
		for _, method := range methods {
			if e := doc.Paths[path][method]; e != nil {
				out.Groups[i].Endpoints = append(out.Groups[i].Endpoints, docsEndpointOf(doc, path, method, e))
			}
		}
	}
	return out
}

func docsEndpointOf(doc *document, path, method string, e *endpoint) docsEndpoint {
	out := docsEndpoint{endpoint: e, Method: strings.ToUpper(method), Path: doc.Servers[0].URL + path}
	if e.RequestBody != nil {
		out.Request = pretty(e.RequestBody.Content[mediaJSON].Example)
	}
	for _, status := range []string{"200", "201", "202", "204"} {
		if r := e.Responses[status]; r != nil {
			answer := docsAnswer{Status: status}
			for _, m := range r.Content {
				answer.Example = pretty(m.Example)
			}
			out.Answers = append(out.Answers, answer)
		}
	}
	return out
}

// pretty writes an example as a reader expects it: JSON indented, text as it is.
func pretty(example any) string {
	if text, ok := example.(string); ok {
		return text
	}
	if example == nil {
		return ""
	}
	text, err := json.Marshal(example, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return ""
	}
	return string(text)
}
