package sso_test

import (
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// dns is a zone file.
type dns struct {
	mu  sync.Mutex
	txt map[string][]string
}

// LookupTXT implements sso.Resolver.
func (d *dns) LookupTXT(_ context.Context, name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.txt[strings.TrimSuffix(name, ".")], nil
}

func (d *dns) set(name, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.txt[name] = []string{value}
}

// rig is identity and single sign-on on a database, behind a web server.
type rig struct {
	t     *testing.T
	db    *db.DB
	clock *quartz.Mock
	ident *identity.Service
	sso   *sso.Service
	dns   *dns
	web   *httptest.Server
	owner identity.Principal
}

// quick passwords are as safe as their tests need.
var quick = identity.PasswordCost{Passes: 1, MemoryKiB: 64}

// each runs fn on both engines, with an organisation whose owner is anna@example.com.
func each(t *testing.T, fn func(r *rig)) {
	dbtest.Each(t, []db.Migrations{identity.Migrations()}, func(t *testing.T, d *db.DB) { fn(newRig(t, d)) })
}

func newRig(t *testing.T, d *db.DB) *rig {
	t.Helper()
	r := &rig{t: t, db: d, clock: quartz.NewMock(t), dns: &dns{txt: map[string][]string{}}}
	r.clock.Set(time.Now()) // peers know no other clock
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	if r.ident, err = identity.New(identity.Config{DB: d, Passwords: quick, Clock: r.clock, Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.ident.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "home") })
	r.web = httptest.NewServer(mux)
	t.Cleanup(r.web.Close)
	r.sso = sso.New(sso.Config{
		DB: d, Directory: r.ident, Sealer: envelopetest.New(7), Resolver: r.dns, PublicURL: func() string { return r.web.URL }, PrivateNetworks: true, Clock: r.clock, Log: log,
	})
	t.Cleanup(r.sso.Close)
	r.sso.Mount(mux)
	acc, err := r.ident.CreateOwner(t.Context(), identity.NewOwner{Email: "anna@example.com", Name: "Anna", Password: "quiet green river stones", Organisation: "Clinic"})
	if err != nil {
		t.Fatal(err)
	}
	r.owner = principalOf(acc)
	return r
}

func principalOf(acc identity.Account) identity.Principal {
	return identity.Principal{UserID: acc.User.ID, OrgID: acc.Organisation.ID, Role: acc.Role, Permissions: acc.Permissions, SessionID: "s"}
}

// another makes a second organisation with an owner of its own.
func (r *rig) another(name, email string) identity.Principal {
	r.t.Helper()
	acc, err := r.ident.CreateOrganisation(r.t.Context(), identity.NewOrganisation{Name: name, OwnerEmail: email, Password: "slow yellow mountain road"})
	if err != nil {
		r.t.Fatal(err)
	}
	return principalOf(acc)
}

func (r *rig) as(p identity.Principal) context.Context { return identity.With(r.t.Context(), p) }

// connect makes a connection of the owner's organisation, with verified domains.
func (r *rig) connect(p identity.Principal, in sso.NewSSOConnection, domains ...string) sso.SSOConnection {
	r.t.Helper()
	if in.Name == "" {
		in.Name = "Provider"
	}
	c, err := r.sso.CreateConnection(r.as(p), p.OrgID, in)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range domains {
		d, err := r.sso.AddDomain(r.as(p), p.OrgID, c.ID, name)
		if err != nil {
			r.t.Fatal(err)
		}
		r.dns.set(d.RecordName, d.RecordValue)
		if _, err := r.sso.VerifyDomain(r.as(p), p.OrgID, c.ID, name); err != nil {
			r.t.Fatal(err)
		}
	}
	return c
}

// browser keeps cookies and follows redirections, as a person's does.
type browser struct {
	*http.Client
	r *rig
}

func (r *rig) browser() *browser {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &browser{&http.Client{Jar: jar}, r}
}

func (b *browser) home() *url.URL {
	u, _ := url.Parse(b.r.web.URL)
	return u
}

// start types an address on the sign-in page and gives the provider's URL.
func (b *browser) start(email string) string {
	b.r.t.Helper()
	s, set, err := b.r.sso.Start(b.r.t.Context(), email, "/calls", b.named())
	if err != nil {
		b.r.t.Fatal(err)
	}
	if s.Method != "sso" || s.RedirectURL == nil {
		b.r.t.Fatalf("%s signs in by %s", email, s.Method)
	}
	b.keep(set)
	return *s.RedirectURL
}

// named is the cookie that names the browser while it signs in; "" before there is one.
func (b *browser) named() string {
	for _, c := range b.Jar.Cookies(b.home()) {
		if c.Name == "parley_sso" {
			return c.Value
		}
	}
	return ""
}

func (b *browser) keep(setCookie string) {
	b.r.t.Helper()
	c, err := http.ParseSetCookie(setCookie)
	if err != nil {
		b.r.t.Fatal(err)
	}
	b.Jar.SetCookies(b.home(), []*http.Cookie{c})
}

// try does what the page of a trial's link does: it sends the token in a body, and goes where the answer says.
func (b *browser) try(link string) (status int, path, body string) {
	b.r.t.Helper()
	to, set, err := b.r.sso.StartTest(b.r.t.Context(), tokenOf(b.r.t, link), b.named())
	if err != nil {
		b.r.t.Fatal(err)
	}
	b.keep(set)
	return b.open(to)
}

// tokenOf demands that a link's token stands where no server sees it.
func tokenOf(t *testing.T, link string) string {
	t.Helper()
	before, token, found := strings.Cut(link, "#token=")
	u, err := url.Parse(before)
	if !found || err != nil || u.Path != "/try-sign-on" || u.RawQuery != "" || len(token) < 40 {
		t.Fatalf("the link of a trial is %q", link)
	}
	return token
}

// open follows a URL to the page where it ends.
func (b *browser) open(to string) (status int, path, body string) {
	b.r.t.Helper()
	res, err := b.Get(to)
	if err != nil {
		b.r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.r.t.Fatal(err)
	}
	return res.StatusCode, res.Request.URL.Path, string(text)
}

// who is signed in with the browser; false when nobody is.
func (b *browser) who() (identity.Principal, bool) {
	req := &http.Request{Header: http.Header{}}
	for _, c := range b.Jar.Cookies(b.home()) {
		req.AddCookie(c)
	}
	p, err := b.r.ident.Session(b.r.t.Context(), identity.CookieOf(req))
	return p, err == nil
}

// wantIn demands that the browser is signed in, and gives as whom.
func (b *browser) wantIn(status int, path, body string) identity.Principal {
	b.r.t.Helper()
	p, ok := b.who()
	if !ok || status != http.StatusOK || path != "/calls" {
		b.r.t.Fatalf("not signed in: %d at %s: %s", status, path, textOf(body))
	}
	return p
}

// press follows the button of the page that asks before anybody is signed in.
func (b *browser) press(status int, path, body string) (int, string, string) {
	b.r.t.Helper()
	if _, in := b.who(); in {
		b.r.t.Fatal("signed in before anybody was asked")
	}
	m := signInLink.FindStringSubmatch(body)
	if status != http.StatusOK || m == nil {
		b.r.t.Fatalf("%d at %s asks nothing: %s", status, path, textOf(body))
	}
	return b.open(b.r.web.URL + html.UnescapeString(m[1]))
}

var signInLink = regexp.MustCompile(`<a href="([^"]+)">Sign in</a>`)

// wantOut demands that the browser is not signed in, and that the page says why.
func (b *browser) wantOut(why string) func(status int, path, body string) {
	return func(status int, path, body string) {
		b.r.t.Helper()
		if p, ok := b.who(); ok {
			b.r.t.Fatalf("signed in as %+v; want %q", p, why)
		}
		if status < 400 || !strings.Contains(textOf(body), why) {
			b.r.t.Fatalf("%d at %s: %s; want %q", status, path, textOf(body), why)
		}
	}
}

func textOf(body string) string {
	if i := strings.Index(body, "<main>"); i >= 0 {
		body = body[i:]
	}
	return strings.Join(strings.Fields(body), " ")
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != code {
		t.Fatalf("error is %q (%v), want %q", got, err, code)
	}
}

func (r *rig) member(p identity.Principal, userID string) identity.Member {
	r.t.Helper()
	m, err := r.ident.Member(r.t.Context(), p.OrgID, userID)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}
