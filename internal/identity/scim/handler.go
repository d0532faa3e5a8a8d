package scim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	root        = "/scim/v2"
	contentType = "application/scim+json"
	maxBody     = 1 << 20
	maxPage     = 200
	maxScan     = 10_000 // resources that a filter which the database cannot answer looks at
)

func (s *Service) base() string { return strings.TrimRight(s.cfg.PublicURL(), "/") + root }

// problem is an error in SCIM's form (RFC 7644 section 3.12).
type problem struct {
	status int
	kind   string // scimType; "" without
	detail string
}

// Error implements error.
func (p *problem) Error() string { return p.detail }

// problemOf maps a fault of ours.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var f *fault.Error
	if !errors.As(err, &f) || f.Status >= http.StatusInternalServerError {
		return &problem{status: http.StatusInternalServerError, detail: "something went wrong on our side; it was logged, please try again"}
	}
	p = &problem{status: f.Status, detail: f.Message}
	switch f.Code {
	case fault.Invalid: // SCIM knows no 422
		p.status, p.kind = http.StatusBadRequest, "invalidValue"
	case fault.Conflict:
		p.kind = "uniqueness"
	}
	return p
}

// Mount adds the endpoints. They have their own token, errors and media type, so they are no operations of the API.
func (s *Service) Mount(mux *http.ServeMux) {
	type handler = func(r *http.Request, t *tokenRow) (status int, body any, err error)
	handle := func(pattern string, h handler) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+root+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, h) })
	}
	handle("GET /ServiceProviderConfig", func(*http.Request, *tokenRow) (int, any, error) { return http.StatusOK, s.providerConfig(), nil })
	for name, items := range map[string]func() []map[string]any{"Schemas": s.schemas, "ResourceTypes": s.resourceTypes} {
		handle("GET /"+name, func(*http.Request, *tokenRow) (int, any, error) {
			return http.StatusOK, listOf(items(), len(items()), 1), nil
		})
		handle("GET /"+name+"/{id}", func(r *http.Request, _ *tokenRow) (int, any, error) {
			for _, item := range items() {
				if item["id"] == r.PathValue("id") {
					return http.StatusOK, item, nil
				}
			}
			return 0, nil, &problem{status: http.StatusNotFound, detail: "there is no such thing"}
		})
	}
	handle("GET /Users", s.listUsers)
	handle("POST /Users", s.createUser)
	handle("GET /Users/{id}", s.getUser)
	handle("PUT /Users/{id}", by(replacement, s.changeUser))
	handle("PATCH /Users/{id}", by(patch, s.changeUser))
	handle("DELETE /Users/{id}", s.deleteUser)
	handle("GET /Groups", s.listGroups)
	handle("POST /Groups", s.createGroup)
	handle("GET /Groups/{id}", s.getGroup)
	handle("PUT /Groups/{id}", by(replacement, s.changeGroup))
	handle("PATCH /Groups/{id}", by(patch, s.changeGroup))
	handle("DELETE /Groups/{id}", s.deleteGroup)
	// One pattern a method: one for all of them would be at odds with the UI's "GET /".
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		mux.HandleFunc(method+" "+root+"/", func(w http.ResponseWriter, r *http.Request) {
			s.serve(w, r, func(*http.Request, *tokenRow) (int, any, error) {
				return 0, nil, &problem{status: http.StatusNotFound, detail: "there is no such endpoint, or it does not know this method"}
			})
		})
	}
}

// serve checks the token, runs h and writes its answer.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, h func(*http.Request, *tokenRow) (int, any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	token, err := s.bearer(r.Context(), r.Header.Get("Authorization"))
	var status int
	var body any
	if err == nil {
		status, body, err = h(r, token)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		p := problemOf(err)
		if p.status == http.StatusInternalServerError && r.Context().Err() == nil {
			s.cfg.Log.ErrorContext(r.Context(), "SCIM request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		if p.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="scim"`)
		}
		out := map[string]any{"schemas": []any{urnError}, "status": strconv.Itoa(p.status), "detail": p.detail}
		if p.kind != "" {
			out["scimType"] = p.kind
		}
		status, body = p.status, out
	}
	if m, ok := body.(map[string]any); ok && status == http.StatusCreated {
		if meta, ok := m["meta"].(map[string]any); ok {
			w.Header().Set("Location", meta["location"].(string))
		}
	}
	if body == nil {
		w.Header().Del("Content-Type")
		w.WriteHeader(status)
		return
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone
}

// body reads a JSON object.
func bodyOf(r *http.Request) (map[string]any, []byte, error) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if media = strings.ToLower(strings.TrimSpace(media)); media != contentType && media != "application/json" && media != "" {
		return nil, nil, &problem{status: http.StatusUnsupportedMediaType, detail: "send " + contentType}
	}
	raw, err := io.ReadAll(r.Body)
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return nil, nil, &problem{status: http.StatusRequestEntityTooLarge, detail: "the body is longer than 1 MiB"}
	}
	if err != nil {
		return nil, nil, badSyntax("the body could not be read")
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, nil, badSyntax("the body is no JSON object")
	}
	return m, raw, nil
}

// page is which part of a list a request wants (RFC 7644 section 3.4.2.4).
type page struct {
	filter        *expr
	start, count  int
	want, exclude []string
}

func pageOf(r *http.Request) (page, error) {
	q := r.URL.Query()
	p := page{start: 1, count: 100, want: names(q.Get("attributes")), exclude: names(q.Get("excludedAttributes"))}
	for name, to := range map[string]*int{"startIndex": &p.start, "count": &p.count} {
		if v := q.Get(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				return p, badValue("%s is no number", name)
			}
			*to = n
		}
	}
	p.start = max(p.start, 1)
	p.count = min(max(p.count, 0), maxPage)
	var err error
	if f := q.Get("filter"); f != "" {
		p.filter, err = parseFilter(f)
	}
	return p, err
}

func names(list string) []string {
	var out []string
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// cut gives the page of all resources that fit, and how many there are.
func (p *page) cut(all []map[string]any) any {
	if p.filter != nil {
		all = slices.DeleteFunc(all, func(m map[string]any) bool { return !p.filter.fits(m) })
	}
	total := len(all)
	from := min(p.start-1, total)
	all = all[from:min(from+p.count, total)]
	for i := range all {
		all[i] = shown(all[i], p.want, p.exclude)
	}
	return listOf(all, total, p.start)
}

func listOf(items []map[string]any, total, start int) map[string]any {
	if items == nil {
		items = []map[string]any{}
	}
	return map[string]any{"schemas": []any{urnList}, "totalResults": total, "startIndex": start, "itemsPerPage": len(items), "Resources": items}
}
