package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	sessionMax      = 7 * 24 * time.Hour // whatever the use
	sessionsPerUser = 100
	renewEvery      = 15 * time.Minute // how long one secret is used
	renewGrace      = time.Minute      // how long the one before is taken, for requests under way
	// renewLost is how long the secret before is taken while nobody has used the new one: its answer got lost.
	renewLost = renewEvery
	freshFor  = 15 * time.Minute // how long a proof of identity is enough to change how one signs in
)

// Methods of signing in.
const (
	MethodPassword   = "password"
	MethodPasskey    = "passkey"
	MethodOIDC       = "oidc"
	MethodSAML       = "saml"
	MethodSetup      = "setup"
	MethodInvitation = "invitation"
)

// SignOn says who signs in, to which organisation, and how they proved who they are.
type SignOn struct {
	UserID, OrgID string
	Method        string
	SecondFactor  bool          // proved by two factors
	SSO           bool          // OrgID's identity provider answered for the person, by its own rules
	Longest       time.Duration // the session ends then, whatever the use; 0 is sessionMax
}

// Begin starts a session for somebody who has proved who they are. The cookie's value is the session's secret: give it
// to SetCookie.
func (s *Service) Begin(ctx context.Context, how SignOn) (Account, string, error) {
	var started *started
	err := s.cfg.DB.InSystem(ctx, "begin a session", func(ctx context.Context, tx *db.Tx) (err error) {
		started, err = s.start(ctx, tx, how)
		return err
	})
	if err != nil {
		return Account{}, "", err
	}
	return s.welcome(ctx, started)
}

// started is a session that was just made.
type started struct {
	cookie     string
	row        *sessionRow
	surprising bool   // from a place that the person has not used before
	ended      string // whose session the browser held until now
}

// start stores a session.
func (s *Service) start(ctx context.Context, tx *db.Tx, how SignOn) (*started, error) {
	cookie, err := s.random()
	if err != nil {
		return nil, err
	}
	o, now := OriginOf(ctx), s.cfg.Clock.Now().UnixMilli()
	row := &sessionRow{
		ID: newID(), Hash: hashSecret(cookie), UserID: how.UserID, OrganisationID: how.OrgID, CreatedAt: now, LastUsedAt: now, RotatedAt: now, VerifiedAt: now,
		IP: o.IP, UserAgent: clip(o.UserAgent, maxAgent), Method: how.Method,
	}
	if how.SecondFactor {
		row.SecondFactorAt = &now
	}
	if how.SSO {
		row.SSOOrganisationID = how.OrgID
	}
	if how.Longest > 0 {
		ends := now + how.Longest.Milliseconds()
		row.EndsAt = &ends
	}
	if err := mayEnter(ctx, tx, how.UserID, how.OrgID, row.SSOOrganisationID); err != nil {
		return nil, err
	}
	ended, err := s.endHeld(ctx, tx, o.Held)
	if err != nil {
		return nil, err
	}
	if err := s.dropSessions(ctx, tx, how.UserID); err != nil {
		return nil, err
	}
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return nil, fmt.Errorf("insert a session: %w", err)
	}
	surprising, err := s.noteDevice(ctx, tx, how.UserID, placeOf(how.UserID, o.IP, o.UserAgent))
	if err != nil {
		return nil, err
	}
	ctx = With(ctx, Principal{UserID: how.UserID, OrgID: how.OrgID})
	err = Audit(ctx, tx, how.OrgID, Change{Action: "auth.sign_in", Kind: "user", ID: how.UserID, After: map[string]any{
		"sessionId": row.ID, "method": row.Method, "secondFactor": how.SecondFactor, "device": deviceOf(o.UserAgent),
	}})
	return &started{cookie: cookie, row: row, surprising: surprising, ended: ended}, err
}

// endHeld ends the session that a browser signs in over, and tells whose it was: its cookie is about to be replaced, and
// nobody could end it any more.
func (s *Service) endHeld(ctx context.Context, tx *db.Tx, hash string) (userID string, err error) {
	if hash == "" {
		return "", nil
	}
	var row sessionRow
	err = tx.NewSelect().Model(&row).Where("hash = ? OR previous_hash = ?", hash, hash).Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if _, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
		return "", err
	}
	ctx = With(ctx, Principal{UserID: row.UserID, OrgID: row.OrganisationID})
	return row.UserID, s.changed(ctx, tx, row.OrganisationID, row.UserID, Change{Action: "auth.sign_out", Kind: "user", ID: row.UserID, Reason: "signed in anew"})
}

// dropSessions makes room for one more session of a person.
func (s *Service) dropSessions(ctx context.Context, tx *db.Tx, userID string) error {
	oldest := s.cfg.Clock.Now().Add(-sessionMax).UnixMilli()
	if _, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("created_at < ?", oldest).Exec(ctx); err != nil {
		return err
	}
	keep := tx.NewSelect().Model((*sessionRow)(nil)).Column("id").Where("user_id = ?", userID).Order("last_used_at DESC", "id").Limit(sessionsPerUser - 1)
	_, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("user_id = ? AND id NOT IN (?)", userID, keep).Exec(ctx)
	return err
}

// welcome gives the account of a session that was just made, and tells its person when it surprises.
func (s *Service) welcome(ctx context.Context, st *started) (Account, string, error) {
	if st.ended != "" {
		s.forgetUser(st.ended)
	}
	p, err := s.Session(ctx, st.cookie)
	if err != nil {
		return Account{}, "", err
	}
	acc, err := s.Account(ctx, p)
	if err == nil && st.surprising {
		s.post(newPlaceLetter(acc.User, deviceOf(st.row.UserAgent), st.row.IP, s.cfg.Clock.Now()))
	}
	return acc, st.cookie, err
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// SignOut ends the session of a cookie. Ending one that is over is no error.
func (s *Service) SignOut(ctx context.Context, cookie string) error {
	hash := hashSecret(cookie)
	var row sessionRow
	err := s.cfg.DB.InSystem(ctx, "end a session", func(ctx context.Context, tx *db.Tx) error {
		err := tx.NewSelect().Model(&row).Where("hash = ? OR previous_hash = ?", hash, hash).Limit(1).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
			return err
		}
		return s.changed(ctx, tx, row.OrganisationID, row.UserID, Change{Action: "auth.sign_out", Kind: "user", ID: row.UserID})
	})
	s.cache.Invalidate(hash)
	s.forgetUser(row.UserID)
	return err
}

// Session tells who a cookie belongs to, and notes that it was used.
func (s *Service) Session(ctx context.Context, cookie string) (Principal, error) {
	expired := fault.New(fault.Unauthorized, "your session has ended; sign in again")
	if cookie == "" || len(cookie) > 100 {
		return Principal{}, expired
	}
	hash := hashSecret(cookie)
	if p, ok := s.cache.GetIfPresent(hash); ok {
		return p, s.touch(ctx, (*sessionRow)(nil), p.SessionID)
	}
	now := s.cfg.Clock.Now()
	epoch := s.epoch.Load()
	var m *membership
	var row *sessionRow
	err := s.cfg.DB.ReadSystem(ctx, "whose session is it", func(ctx context.Context, tx *db.Tx) (err error) {
		row, m, err = s.sessionWhere(ctx, tx, "s.hash = ? OR (s.previous_hash = ? AND s.previous_until > ?)", hash, hash, now.UnixMilli())
		return err
	})
	if err != nil {
		return Principal{}, err
	}
	if m == nil {
		return Principal{}, expired
	}
	if err := m.standing(); err != nil {
		return Principal{}, err
	}
	p := row.principal(m)
	if err := s.scheduleRenewal(ctx, &p, row, hash); err != nil {
		return Principal{}, err
	}
	// A session about to end, or a secret that was replaced, is asked for each time: the cache lengthens no life.
	if row.Hash == hash && (row.EndsAt == nil || time.UnixMilli(*row.EndsAt).Sub(now) > cacheFor) {
		s.remember(hash, p, epoch)
	}
	if row.ParentID != nil {
		if err := s.touch(ctx, (*sessionRow)(nil), *row.ParentID); err != nil {
			return Principal{}, err
		}
	}
	return p, s.touch(ctx, (*sessionRow)(nil), row.ID)
}

// sessionWhere finds a session that goes on now, and whose it is; nil when there is none.
func (s *Service) sessionWhere(ctx context.Context, tx *db.Tx, where string, args ...any) (*sessionRow, *membership, error) {
	now := s.cfg.Clock.Now()
	var row sessionRow
	err := tx.NewSelect().Model(&row).ModelTableExpr("sessions AS s").ColumnExpr("s.*").Where(where, args...).
		Where("s.created_at > ?", now.Add(-sessionMax).UnixMilli()).Where("s.ends_at IS NULL OR s.ends_at > ?", now.UnixMilli()).Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find a session: %w", err)
	}
	m, err := membershipWhere(ctx, tx, "m.user_id = ? AND m.organisation_id = ?", row.UserID, row.OrganisationID)
	if err != nil || m == nil {
		return nil, nil, err
	}
	m.MFARequired = m.MFARequired || s.cfg.MFARequired
	if now.Sub(time.UnixMilli(row.LastUsedAt)) >= s.idle(m.IdleMinutes) {
		return nil, nil, nil
	}
	return &row, m, nil
}

// idle is how long a session lasts without use.
func (s *Service) idle(organisation *int64) time.Duration {
	if organisation != nil {
		return time.Duration(*organisation) * time.Minute
	}
	return s.cfg.SessionIdle
}

func (r *sessionRow) principal(m *membership) Principal {
	p := principalOf(m)
	p.SessionID = r.ID
	if r.ImpersonatorID != nil {
		p.Impersonator, p.Super = *r.ImpersonatorID, false
	}
	if r.SSOOrganisationID != "" {
		p.Super = false // an organisation's provider makes nobody administrator of the installation
	}
	if m.MFARequired && r.SecondFactorAt == nil && r.ImpersonatorID == nil && r.SSOOrganisationID != m.OrganisationID {
		p.restrict()
	}
	return p
}

// scheduleRenewal says when the session's secret is to be replaced. The first use of a new secret ends the one before.
func (s *Service) scheduleRenewal(ctx context.Context, p *Principal, row *sessionRow, hash string) error {
	now := s.cfg.Clock.Now()
	rotated := time.UnixMilli(row.RotatedAt)
	p.secret = row.Hash
	if row.Hash != hash {
		p.renewAt = rotated.Add(renewGrace) // nobody has used the new one by then: it got lost
		return nil
	}
	p.renewAt = rotated.Add(renewEvery)
	end := now.Add(renewGrace).UnixMilli()
	if row.PreviousUntil <= end {
		return nil
	}
	return s.cfg.DB.InSystem(ctx, "end a session's former secret", func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*sessionRow)(nil)).Set("previous_until = ?", end).Where("id = ? AND hash = ?", row.ID, hash).Exec(ctx)
		return err
	})
}

// Renew replaces the secret of p's session when it is time, and gives the new one; "" when it is not. The one before
// is taken a little longer, for requests that are under way.
func (s *Service) Renew(ctx context.Context, p Principal, cookie string) (string, error) {
	now := s.cfg.Clock.Now()
	if p.SessionID == "" || p.renewAt.IsZero() || now.Before(p.renewAt) {
		return "", nil
	}
	next, err := s.random()
	if err != nil {
		return "", err
	}
	hash := hashSecret(cookie)
	var ok bool
	err = s.cfg.DB.InSystem(ctx, "renew a session's secret", func(ctx context.Context, tx *db.Tx) error {
		// Of several requests at once the first one renews.
		ok, err = affected(tx.NewUpdate().Model((*sessionRow)(nil)).Set("hash = ?", hashSecret(next)).Set("previous_hash = ?", hash).
			Set("previous_until = ?", now.Add(renewLost).UnixMilli()).Set("rotated_at = ?", now.UnixMilli()).
			Where("id = ? AND hash = ?", p.SessionID, p.secret).Exec(ctx))
		return err
	})
	s.cache.Invalidate(hash)
	if err != nil || !ok {
		return "", err
	}
	return next, nil
}

// replaceSecret gives a session a new secret; the one before ends at once. It is for when its privileges change.
func (s *Service) replaceSecret(ctx context.Context, tx *db.Tx, id, next, orgID string) (bool, error) {
	now := s.cfg.Clock.Now().UnixMilli()
	return affected(tx.NewUpdate().Model((*sessionRow)(nil)).Set("hash = ?", hashSecret(next)).Set("previous_hash = ''").Set("previous_until = 0").
		Set("rotated_at = ?", now).Set("last_used_at = ?", now).Set("organisation_id = ?", orgID).Where("id = ?", id).Exec(ctx))
}

// touch writes that a session or token was used, at most once a minute.
func (s *Service) touch(ctx context.Context, model any, id string) error {
	now := s.cfg.Clock.Now()
	if !s.due(id) {
		return nil
	}
	return s.cfg.DB.InSystem(ctx, "note a use", func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model(model).Set("last_used_at = ?", now.UnixMilli()).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// due reports whether something that is noted at most once a minute should be noted now.
func (s *Service) due(key string) bool {
	now := s.cfg.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.touched[key]) < touchEvery {
		return false
	}
	if len(s.touched) > cacheSize {
		clear(s.touched)
	}
	s.touched[key] = now
	return true
}

// Still gives somebody whose session or token was let in before as they are now, with the role and teams they have by now, or
// an error when they may not go on. It is no use of the session, so that a page left open does not keep it alive.
func (s *Service) Still(ctx context.Context, p Principal) (Principal, error) {
	var m *membership
	var now Principal
	err := s.cfg.DB.ReadSystem(ctx, "may it go on", func(ctx context.Context, tx *db.Tx) error {
		if p.TokenID != "" {
			row, of, err := s.tokenWhere(ctx, tx, "id = ? AND organisation_id = ?", p.TokenID, p.OrgID)
			if m = of; m != nil {
				now = row.principal(m)
			}
			return err
		}
		row, of, err := s.sessionWhere(ctx, tx, "s.id = ?", p.SessionID)
		if m = of; m != nil {
			now = row.principal(m)
		}
		return err
	})
	if err != nil {
		return Principal{}, err
	}
	if m == nil || m.OrganisationID != p.OrgID {
		return Principal{}, fault.New(fault.Unauthorized, "your session has ended; sign in again")
	}
	return now, m.standing()
}

// hostCookie is the cookie's name where it is sent by https only: a browser then takes it from this host alone, for
// every path (RFC 6265bis section 4.1.3.2).
const hostCookie = "__Host-" + SessionCookie

// CookieOf gives the session's secret that a request carries; "" without one.
func CookieOf(r *http.Request) string {
	for _, name := range []string{hostCookie, SessionCookie} {
		if c, err := r.Cookie(name); err == nil {
			return c.Value
		}
	}
	return ""
}

// HeldBy names the session whose secret a request carries, by its hash; "" without one.
func HeldBy(r *http.Request) string {
	secret := CookieOf(r)
	if secret == "" || len(secret) > 100 {
		return ""
	}
	return hashSecret(secret)
}

// SetCookie gives the header that hands a session's secret to the browser; with "" it takes it away.
func (s *Service) SetCookie(secret string) string {
	// Our pages are loaded without the cookie and ask for everything from our own site, so Strict costs nothing.
	c := http.Cookie{Name: SessionCookie, Value: secret, Path: "/", HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteStrictMode,
		MaxAge: int(sessionMax.Seconds())}
	if s.cfg.Secure {
		c.Name = hostCookie
	}
	if secret == "" {
		c.MaxAge = -1
	}
	return c.String()
}
