package sso

import (
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// page is what a person sees when a provider's answer does not lead into Parley. It has no script, so that the
// server's content security policy lets it be.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{{.Title}} · Parley</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:10vh auto;padding:0 1.5rem}
h1{font-size:1.4rem}dt{font-weight:600;margin-top:.6rem}dd{margin:0;overflow-wrap:anywhere}pre{overflow:auto;padding:.8rem;border:1px solid #8886;border-radius:.4rem}</style></head>
<body><main><h1>{{.Title}}</h1><p>{{.Text}}</p>
{{with .Trial}}<dl><dt>E-mail</dt><dd>{{or .Email "none"}}</dd><dt>Name</dt><dd>{{or .Name "none"}}</dd>
<dt>Groups</dt><dd>{{range $i, $g := .Groups}}{{if $i}}, {{end}}{{$g}}{{else}}none{{end}}</dd>
<dt>Role</dt><dd>{{or .Role "none"}}{{if .Created}} (as a new member){{end}}</dd></dl>
<h2>What the identity provider said</h2><pre>{{$.Claims}}</pre>{{end}}
<p><a href="{{.Link}}">{{.LinkText}}</a></p></main></body></html>
`))

type pageData struct {
	Title, Text    string
	Link, LinkText string
	Trial          *SSOTestResult
	Claims         string
}

func show(w http.ResponseWriter, status int, d pageData) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = page.Execute(w, d) // the browser has gone
}

// faultText is the sentence of a fault; of any other error only that there was one.
func faultText(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Code != fault.Internal {
		return f.Message
	}
	return "something went wrong on our side; it was logged, please try again"
}

// fail shows why somebody could not sign in. The cause goes to the log.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	var f *fault.Error
	if errors.As(err, &f) {
		status = f.Status
	}
	if status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.cfg.Log.WarnContext(r.Context(), "sign-in through an identity provider failed", "path", r.URL.Path, "error", err)
	}
	show(w, status, pageData{Title: "You are not signed in", Text: sentence(faultText(err)), Link: "/sign-in", LinkText: "Back to sign-in"})
}

func showTrial(w http.ResponseWriter, r SSOTestResult) {
	d := pageData{Title: "This person would be signed in", Text: "Nobody was signed in and nothing was changed: this was a trial.", Trial: &r, Link: "/", LinkText: "Back to Parley"}
	if !r.OK {
		d.Title, d.Text = "This person would not be signed in", sentence(r.Problem)
	}
	b, err := json.MarshalIndent(r.Claims, "", "  ")
	if err == nil {
		d.Claims = string(b)
	}
	show(w, http.StatusOK, d)
}

// sentence begins with a capital and ends with a full stop, as a page's text does.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if first, _, _ := strings.Cut(s, " "); !strings.Contains(first, "@") && s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	if s[len(s)-1] != '.' {
		s += "."
	}
	return s
}
