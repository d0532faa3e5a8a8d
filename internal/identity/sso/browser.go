package sso

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/crewjam/saml"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	startPath  = "/auth/sso/"
	finishPath = "/auth/saml/finish"
)

// Mount adds what browsers and identity providers call. These paths answer with redirections and pages, so they are
// no operations of the API.
func (s *Service) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET "+startPath+"{connection}", s.getStart)
	mux.HandleFunc("GET "+callbackPath, s.getCallback)
	mux.HandleFunc("GET "+samlPath+"{connection}/metadata", s.getMetadata)
	mux.HandleFunc("POST "+samlPath+"{connection}/acs", s.postACS)
	mux.HandleFunc("GET "+finishPath, s.getFinish)
}

func (s *Service) browserOf(r *http.Request) string {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// redirect sends the browser on; nothing of it may be kept.
func redirect(w http.ResponseWriter, r *http.Request, to string, cookies ...string) {
	for _, c := range cookies {
		w.Header().Add("Set-Cookie", c)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// getStart begins a sign-in through a connection that is named: a provider's start page links here (OpenID Connect
// Core section 4, which may also give a hint of who it is).
func (s *Service) getStart(w http.ResponseWriter, r *http.Request) {
	c, err := s.connectionAnywhere(r.Context(), r.PathValue("connection"))
	if err == nil && !c.row.Enabled {
		err = errDisabled()
	}
	if iss := r.URL.Query().Get("iss"); err == nil && iss != "" && c.row.Protocol == OIDC && iss != c.OIDC.Issuer {
		err = fault.New(fault.Forbidden, "this address belongs to another identity provider; an administrator should check the initiate login URI there")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if !s.pressed(w, r, c) {
		return
	}
	browser, set, err := s.browserCookie(s.browserOf(r))
	hint := r.URL.Query().Get("login_hint")
	if len(hint) > 254 {
		hint = ""
	}
	var to string
	if err == nil {
		to, err = s.begin(r.Context(), c, beginning{browser: browser, hint: hint, returnTo: r.URL.Query().Get("returnTo")})
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	redirect(w, r, to, set)
}

// pressed reports whether somebody pressed the button of our own page; else it shows the page. A link of another site
// must not sign anybody in where the provider asks nothing.
func (s *Service) pressed(w http.ResponseWriter, r *http.Request, c *connection) bool {
	browser, set, err := s.browserCookie(s.browserOf(r))
	if err != nil {
		s.fail(w, r, err)
		return false
	}
	q := r.URL.Query()
	want := goToken(c.row.ID, browser)
	if subtle.ConstantTimeCompare([]byte(q.Get("go")), []byte(want)) == 1 {
		return true
	}
	q.Set("go", want)
	s.ask(w, set, c, "Sign in to Parley?", startPath+c.row.ID+"?"+q.Encode())
	return false
}

// ask shows a page on which a session is agreed to.
func (s *Service) ask(w http.ResponseWriter, set string, c *connection, title, to string) {
	w.Header().Add("Set-Cookie", set)
	w.Header().Set("Referrer-Policy", "no-referrer")
	show(w, http.StatusOK, pageData{Title: title, Text: "You come from a link to " + c.row.Name + ", the identity provider of your organisation.", Link: to, LinkText: "Sign in"})
}

// getCallback takes the authorization response (OpenID Connect Core section 3.1.2.5).
func (s *Service) getCallback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := s.takeFlow(r.Context(), q.Get("state"), s.browserOf(r))
	if err == nil && f.conn.row.Protocol != OIDC {
		err = errFlow()
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var who *said
	if code := q.Get("error"); code != "" {
		err = s.providerRefused(r.Context(), f, code, q.Get("iss"))
	} else {
		who, err = s.redeem(r.Context(), f, q.Get("code"), q.Get("iss"))
	}
	s.finish(w, r, f, who, err)
}

// providerRefused puts a provider's error (RFC 6749 section 4.1.2.1) into words. Its description is not shown: anybody
// could have written it.
func (s *Service) providerRefused(ctx context.Context, f *flow, code, iss string) error {
	if d, err := s.discover(ctx, f.conn, false); err == nil {
		if err := checkIssuer(f.conn, d, iss); err != nil {
			return err
		}
	}
	switch code {
	case "access_denied":
		return fault.New(fault.Forbidden, "the identity provider did not let you in; ask an administrator of your organisation for access to this application")
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		return fault.New(fault.Forbidden, "the identity provider wants you to do something first; sign in there, then begin again")
	case "temporarily_unavailable", "server_error":
		return fault.New(fault.Upstream, "the identity provider cannot answer at this moment; try again in a minute")
	}
	return fault.New(fault.Upstream, "the identity provider refused the request; an administrator should check the client there")
}

// finish lets somebody in, or tells why not, or what a trial showed.
func (s *Service) finish(w http.ResponseWriter, r *http.Request, f *flow, who *said, err error) {
	if f.test() {
		result, terr := s.tryPerson(r.Context(), f, who, err)
		if terr != nil {
			s.fail(w, r, terr)
			return
		}
		showTrial(w, result)
		return
	}
	if err != nil {
		s.refused(r.Context(), f.conn, who, err)
		s.fail(w, r, err)
		return
	}
	session, err := s.signIn(r.Context(), f.conn, who)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	redirect(w, r, f.row.ReturnTo, session)
}

func (s *Service) getMetadata(w http.ResponseWriter, r *http.Request) {
	c, err := s.connectionAnywhere(r.Context(), r.PathValue("connection"))
	if err == nil && c.row.Protocol != SAML {
		err = errNoConnection()
	}
	var out []byte
	if err == nil {
		out, err = s.metadataOf(c)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/samlmetadata+xml")
	_, _ = w.Write(out) // the caller has gone
}

// postACS takes a SAML response (SAML Bindings section 3.5). It comes from the provider's page, so the browser sends
// no Lax cookie with it. What was said waits, sealed, until the browser comes back by a redirection with its cookie.
func (s *Service) postACS(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAssertions)
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, fault.New(fault.Invalid, "the identity provider's answer is no form, or too long; begin again from the sign-in page"))
		return
	}
	ctx, id, relay := r.Context(), r.PathValue("connection"), r.PostForm.Get("RelayState")
	var f *flow
	err := s.cfg.DB.ReadSystem(ctx, "find a sign-in under way", func(ctx context.Context, tx *db.Tx) (err error) {
		f, err = s.findFlow(ctx, tx, relay)
		return err
	})
	if fault.Is(err, fault.Forbidden) {
		s.unasked(w, r, id)
		return
	}
	if err == nil {
		err = s.openFlow(ctx, f)
	}
	if err == nil && (f.conn.row.ID != id || f.conn.row.Protocol != SAML || f.Said != nil) {
		err = errFlow()
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	a, err := s.readResponse(f.conn, r.PostForm.Get("SAMLResponse"), f.RequestID)
	if err == nil {
		err = s.takeAssertion(ctx, f.conn, a)
	}
	if err != nil {
		s.refuseResponse(w, r, f, err)
		return
	}
	code, err := s.keepSaid(ctx, f, personIn(f.conn, a))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	redirect(w, r, finishPath+"?code="+code)
}

// samlFault tells a person that the answer is not good, and the log why.
func samlFault(err error) error {
	if fault.CodeOf(err) != fault.Internal {
		return err
	}
	return fault.Wrap(fault.Forbidden, err, "the identity provider's answer is not valid; begin again from the sign-in page, or ask an administrator to try the connection")
}

func (s *Service) refuseResponse(w http.ResponseWriter, r *http.Request, f *flow, err error) {
	err = samlFault(err)
	s.cfg.Log.WarnContext(r.Context(), "a SAML response was refused", "connection", f.conn.row.ID, "error", err)
	if f.test() { // nothing of the person is shown, only what is wrong with the answer
		s.finish(w, r, f, nil, err)
		return
	}
	s.refused(r.Context(), f.conn, nil, err)
	s.fail(w, r, err)
}

// unasked takes a response that answers no request of ours, where the connection allows that.
func (s *Service) unasked(w http.ResponseWriter, r *http.Request, id string) {
	c, err := s.connectionAnywhere(r.Context(), id)
	if err != nil || !c.row.Enabled || c.row.Protocol != SAML || !c.SAML.IDPInitiated {
		s.fail(w, r, errFlow())
		return
	}
	a, err := s.readResponse(c, r.PostForm.Get("SAMLResponse"), "")
	if err == nil {
		err = s.takeAssertion(r.Context(), c, a)
	}
	if err != nil {
		err = samlFault(err)
		s.refused(r.Context(), c, nil, err)
		s.fail(w, r, err)
		return
	}
	// No session without an action: the browser is asked, and what was said waits until it answers.
	browser, set, err := s.browserCookie(s.browserOf(r))
	var code string
	if err == nil {
		code, err = s.keepUnasked(r.Context(), c, personIn(c, a), browser, ownPath(r.PostForm.Get("RelayState")))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.ask(w, set, c, "Sign in to Parley?", finishPath+"?code="+code)
}

// keepUnasked stores what a provider said without being asked, for the browser that brought it.
func (s *Service) keepUnasked(ctx context.Context, c *connection, who *said, browser, returnTo string) (string, error) {
	code, err := s.random()
	if err != nil {
		return "", err
	}
	now := s.cfg.Clock.Now()
	row := &flowRow{Hash: hashOf(code), OrganisationID: c.row.OrganisationID, ConnectionID: c.row.ID, Browser: hashOf(browser), ReturnTo: returnTo,
		CreatedAt: now.UnixMilli(), ExpiresAt: now.Add(flowValid).UnixMilli()}
	who.Claims = nil
	if row.Sealed, err = s.sealFlow(ctx, row, flowSecret{Said: who}); err != nil {
		return "", err
	}
	return code, s.insertFlow(ctx, c, row)
}

// takeAssertion notes that an assertion was used. None is taken twice (SAML Profiles section 4.1.4.5).
func (s *Service) takeAssertion(ctx context.Context, c *connection, a *saml.Assertion) error {
	until := a.Conditions.NotOnOrAfter
	for _, sc := range a.Subject.SubjectConfirmations {
		if d := sc.SubjectConfirmationData; d != nil && d.NotOnOrAfter.After(until) {
			until = d.NotOnOrAfter
		}
	}
	row := &replayRow{Hash: hashOf(c.row.ID + "\x00" + a.ID), ExpiresAt: until.Add(2 * clockSkew).UnixMilli()}
	return s.cfg.DB.InSystem(ctx, "use an assertion up", func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.NewInsert().Model(row).On("CONFLICT (hash) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.New(fault.Forbidden, "this answer of the identity provider was used before; begin again from the sign-in page")
		}
		return nil
	})
}

// keepSaid puts what was said into the flow, under a new secret that the browser brings back.
func (s *Service) keepSaid(ctx context.Context, f *flow, who *said) (string, error) {
	code, err := s.random()
	if err != nil {
		return "", err
	}
	row := *f.row
	row.Hash, row.ExpiresAt = hashOf(code), s.cfg.Clock.Now().Add(time.Minute).UnixMilli()
	if !f.test() {
		who.Claims = nil
	}
	if row.Sealed, err = s.sealFlow(ctx, &row, flowSecret{Said: who}); err != nil {
		return "", err
	}
	return code, s.cfg.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.NewDelete().Model(f.row).WherePK().Where("organisation_id = ?", row.OrganisationID).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errFlow()
		}
		_, err = tx.NewInsert().Model(&row).Exec(ctx)
		return err
	})
}

func (s *Service) getFinish(w http.ResponseWriter, r *http.Request) {
	f, err := s.takeFlow(r.Context(), strings.TrimSpace(r.URL.Query().Get("code")), s.browserOf(r))
	if err == nil && f.Said == nil {
		err = errFlow()
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.finish(w, r, f, f.Said, nil)
}
