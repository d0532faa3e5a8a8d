package app_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// operation is one of the API's document, as far as the walks need it.
type operation struct {
	id, method, path string
	public           bool
	area             string     // of its permission
	query            []schemaAt // by name
	body             schema     // nil: none
}

type schemaAt struct {
	name string
	of   schema
}

// schema is a JSON Schema of the document.
type schema map[string]any

// document is the API's own description, asked of the server.
type document struct {
	operations []operation
	schemas    map[string]schema
}

func readDocument(t *testing.T, c *client) *document {
	t.Helper()
	var raw struct {
		Paths map[string]map[string]struct {
			OperationID string
			Permission  string `json:"x-permission"`
			Parameters  []struct {
				Name, In string
				Schema   schema
			}
			RequestBody struct {
				Content map[string]struct{ Schema schema }
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	c.want(http.StatusOK, "GET", "/api/openapi.json", nil, &raw)
	d := &document{schemas: raw.Components.Schemas}
	for path, methods := range raw.Paths {
		for method, o := range methods {
			op := operation{id: o.OperationID, method: strings.ToUpper(method), path: path, public: o.Permission == ""}
			op.area, _, _ = strings.Cut(o.Permission, ":")
			for _, p := range o.Parameters {
				if p.In == "query" {
					op.query = append(op.query, schemaAt{p.Name, p.Schema})
				}
			}
			op.body = o.RequestBody.Content["application/json"].Schema
			d.operations = append(d.operations, op)
		}
	}
	slices.SortFunc(d.operations, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return d
}

// resolve follows a reference.
func (d *document) resolve(s schema) schema {
	if ref, ok := s["$ref"].(string); ok {
		return d.schemas[ref[strings.LastIndexByte(ref, '/')+1:]]
	}
	return s
}

// kind is a schema's type other than null.
func kind(s schema) string {
	switch k := s["type"].(type) {
	case string:
		return k
	case []any:
		for _, one := range k {
			if one != "null" {
				return one.(string)
			}
		}
	}
	return ""
}

// fields gives the properties of an object, in order.
func (d *document) fields(s schema) []schemaAt {
	properties, _ := s["properties"].(map[string]any)
	var out []schemaAt
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if p, ok := properties[name].(map[string]any); ok && name != "$schema" {
			out = append(out, schemaAt{name, d.resolve(p)})
		}
	}
	return out
}

// example makes a value that fits a schema as far as the schema tells. Objects have all their fields, so that each is
// reached; at some depth only those they need.
func (d *document) example(s schema, depth int) any {
	s = d.resolve(s)
	if list, ok := s["enum"].([]any); ok && len(list) > 0 {
		return list[0]
	}
	switch kind(s) {
	case "object":
		out := map[string]any{}
		required, _ := s["required"].([]any)
		for _, f := range d.fields(s) {
			if depth < 3 || slices.Contains(required, any(f.name)) {
				out[f.name] = d.example(f.of, depth+1)
			}
		}
		return out
	case "array":
		items, _ := s["items"].(map[string]any)
		return []any{d.example(items, depth+1)}
	case "integer", "number":
		if low, ok := s["minimum"].(float64); ok {
			return low
		}
		return 1
	case "boolean":
		return true
	case "string":
		return text(s)
	}
	return map[string]any{}
}

func text(s schema) string {
	switch s["format"] {
	case "date-time":
		return "2031-01-02T03:04:05Z"
	case "email":
		return "somebody@example.com"
	case "uri":
		return "http://127.0.0.1:1/v1"
	}
	out := "some text"
	if most, ok := s["maxLength"].(float64); ok && int(most) < len(out) {
		out = out[:int(most)]
	}
	if least, ok := s["minLength"].(float64); ok && int(least) > len(out) {
		out += strings.Repeat("x", int(least)-len(out))
	}
	return out
}

var pathParam = regexp.MustCompile(`\{[^}]+\}`)

// at puts one value into every place of a path.
func (o operation) at(value string) string {
	return pathParam.ReplaceAllLiteralString(o.path, url.PathEscape(value))
}

// engines runs a test on both databases; newURL makes a fresh one for a server, which finds its tables made.
func engines(t *testing.T, fn func(t *testing.T, newURL func(*testing.T) string, ports int)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, func(*testing.T) string { return "" }, 0) })
	t.Run("postgres", func(t *testing.T) {
		fn(t, func(t *testing.T) string { return dbtest.PostgresURL(t, app.Migrations()...) }, 1)
	})
}

// openHouse starts a server whose rate limits are out of the way, and signs its first owner in.
func openHouse(t *testing.T, databaseURL, rtp string) (*server, *client) {
	t.Helper()
	c := settings(t.TempDir(), rtp)
	c.DatabaseURL = databaseURL
	if databaseURL == "" {
		dbtest.Fill(t, c.DataDir, app.Migrations()...)
	}
	return openWith(t, c)
}

func openWith(t *testing.T, c app.Config) (*server, *client) {
	t.Helper()
	c.RateAddress, c.RateSignIn, c.RateRead, c.RateWrite, c.RateOrganisation = "off", "off", "off", "off", "off"
	s := start(t, c)
	base, token := s.screen.link(t)
	visitor := newClient(t, base)
	res, b := visitor.ask("POST", "/api/v1/setup", map[string]string{"token": token, "email": email, "name": "Olga", "password": password, "organisationName": "Clinic"})
	return s, visitor.signedIn(res, b)
}

// signedIn gives a client with the session that an answer began.
func (c *client) signedIn(res *http.Response, body []byte) *client {
	c.t.Helper()
	for _, cookie := range res.Cookies() {
		if cookie.Value != "" && res.StatusCode < 300 {
			return c.with("Cookie", cookie.Name+"="+cookie.Value)
		}
	}
	c.t.Fatalf("nobody is signed in: %d %s", res.StatusCode, body)
	return nil
}

// visitor is c without its session.
func (c *client) visitor() *client {
	o := *c
	o.header = http.Header{}
	return &o
}

var invitationToken = regexp.MustCompile(`token=([A-Za-z0-9_-]+)`)

// welcome takes an invitation's link and gives the client of the person who accepted.
func (c *client) welcome(link, name string) *client {
	c.t.Helper()
	m := invitationToken.FindStringSubmatch(link)
	if m == nil {
		c.t.Fatalf("no token in %q", link)
	}
	v := c.visitor()
	res, b := v.ask("POST", "/api/v1/invitations/accept", map[string]string{"token": m[1], "name": name, "password": password})
	return v.signedIn(res, b)
}

// invite brings a new person with a role into c's organisation.
func (c *client) invite(address, role string) *client {
	c.t.Helper()
	var sent struct{ ShownLink string }
	c.want(http.StatusCreated, "POST", "/api/v1/invitations", map[string]string{"email": address, "role": role}, &sent)
	return c.welcome(sent.ShownLink, "Somebody "+role)
}

// found makes another organisation, and gives its id and the client of its owner.
func (c *client) found(name, address, placement string) (string, *client) {
	c.t.Helper()
	var made struct {
		Organisation struct{ ID string }
		Invitation   struct{ ShownLink string }
	}
	c.want(http.StatusCreated, "POST", "/api/v1/super/organisations",
		map[string]string{"name": name, "ownerEmail": address, "placement": placement}, &made)
	return made.Organisation.ID, c.welcome(made.Invitation.ShownLink, name+" owner")
}

// stackless fails when an answer tells what only the log may know.
func stackless(t *testing.T, what string, status int, body []byte) {
	t.Helper()
	if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable && status != http.StatusBadGateway && status != http.StatusGatewayTimeout {
		t.Errorf("%s: %d %s", what, status, body)
	}
	for _, leak := range []string{"goroutine ", "SQLITE", "SQL logic", "pq: ", "SQLSTATE", ".go:"} {
		if strings.Contains(string(body), leak) {
			t.Errorf("%s: the answer tells %q: %s", what, leak, body)
		}
	}
}
