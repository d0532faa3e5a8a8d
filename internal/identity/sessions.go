package identity

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// SessionView is a signed-in browser, as its person sees it.
type SessionView struct {
	ID           string       `json:"id"`
	Current      bool         `json:"current" doc:"It is the one that asks"`
	Device       string       `json:"device" doc:"Browser and system, as far as they tell"`
	UserAgent    string       `json:"userAgent"`
	IP           string       `json:"ip" doc:"From where it was begun"`
	Organisation Organisation `json:"organisation"`
	Method       string       `json:"method" enum:"password,passkey,oidc,saml,setup,invitation" doc:"How the person signed in"`
	SecondFactor bool         `json:"secondFactor"`
	Impersonated bool         `json:"impersonated" doc:"A super-admin acts as the person"`
	CreatedAt    time.Time    `json:"createdAt"`
	LastUsedAt   time.Time    `json:"lastUsedAt" doc:"To the minute"`
	ExpiresAt    time.Time    `json:"expiresAt" doc:"When it ends without further use"`
}

// Sessions lists where p's person is signed in, the one last used first. There are at most sessionsPerUser.
func (s *Service) Sessions(ctx context.Context, p Principal) ([]SessionView, error) {
	now := s.cfg.Clock.Now()
	out := []SessionView{}
	err := s.cfg.DB.ReadSystem(ctx, "list somebody's sessions", func(ctx context.Context, tx *db.Tx) error {
		var rows []sessionRow
		err := tx.NewSelect().Model(&rows).Where("user_id = ? AND created_at > ?", p.UserID, now.Add(-sessionMax).UnixMilli()).
			Where("ends_at IS NULL OR ends_at > ?", now.UnixMilli()).Order("last_used_at DESC", "id").Scan(ctx)
		if err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i] = r.OrganisationID
		}
		var orgs []organisationRow
		if err := tx.NewSelect().Model(&orgs).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
			return err
		}
		byID := map[string]*organisationRow{}
		for i := range orgs {
			byID[orgs[i].ID] = &orgs[i]
		}
		for i := range rows {
			org := byID[rows[i].OrganisationID]
			if org == nil {
				continue
			}
			v := rows[i].view(org, s.idle(org.IdleMinutes))
			v.Current = v.ID == p.SessionID
			if v.ExpiresAt.After(now) {
				out = append(out, v)
			}
		}
		return nil
	})
	return out, err
}

func (r *sessionRow) view(org *organisationRow, idle time.Duration) SessionView {
	end := timeOf(r.LastUsedAt).Add(idle)
	if last := timeOf(r.CreatedAt).Add(sessionMax); last.Before(end) {
		end = last
	}
	if r.EndsAt != nil && timeOf(*r.EndsAt).Before(end) {
		end = timeOf(*r.EndsAt)
	}
	return SessionView{
		ID: r.ID, Device: deviceOf(r.UserAgent), UserAgent: r.UserAgent, IP: r.IP, Organisation: Organisation{ID: org.ID, Name: org.Name}, Method: r.Method,
		SecondFactor: r.SecondFactorAt != nil, Impersonated: r.ImpersonatorID != nil,
		CreatedAt: timeOf(r.CreatedAt), LastUsedAt: timeOf(r.LastUsedAt), ExpiresAt: end,
	}
}

// mayEnd asks who ends sessions of theirs for a proof that it is them: whoever found a page open must not end what its person
// does elsewhere. It asks nothing of who only signs out of this one.
func (s *Service) mayEnd(ctx context.Context, tx *db.Tx, p Principal) error {
	err := s.fresh(ctx, tx, p)
	if !fault.Is(err, fault.Reauthenticate) {
		return err
	}
	var row sessionRow
	if err2 := one(ctx, tx, &row, "session", "id = ? AND user_id = ?", p.SessionID, p.UserID); err2 != nil {
		return err2
	}
	if row.SSOOrganisationID != "" {
		return fault.New(fault.Forbidden, "sign in through your identity provider once more, then end your other sessions within %d minutes", int(freshFor.Minutes()))
	}
	return err
}

// RevokeSession ends one of p's person's sessions.
func (s *Service) RevokeSession(ctx context.Context, p Principal, id string) error {
	err := s.cfg.DB.InSystem(ctx, "end one of somebody's sessions", func(ctx context.Context, tx *db.Tx) error {
		var row sessionRow
		if err := one(ctx, tx, &row, "session", "id = ? AND user_id = ?", id, p.UserID); err != nil {
			return err
		}
		if row.ID != p.SessionID {
			if err := s.mayEnd(ctx, tx, p); err != nil {
				return err
			}
		}
		return s.endSession(ctx, tx, &row)
	})
	s.forgetUser(p.UserID)
	return err
}

// RevokeOtherSessions ends all of p's person's sessions but this one, and tells how many there were.
func (s *Service) RevokeOtherSessions(ctx context.Context, p Principal) (int, error) {
	var rows []sessionRow
	err := s.cfg.DB.InSystem(ctx, "end somebody's other sessions", func(ctx context.Context, tx *db.Tx) error {
		if err := s.mayEnd(ctx, tx, p); err != nil {
			return err
		}
		if err := tx.NewSelect().Model(&rows).Where("user_id = ? AND id <> ?", p.UserID, p.SessionID).Scan(ctx); err != nil {
			return err
		}
		for i := range rows {
			if err := s.endSession(ctx, tx, &rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
	s.forgetUser(p.UserID)
	return len(rows), err
}

func (s *Service) endSession(ctx context.Context, tx *db.Tx, row *sessionRow) error {
	if _, err := tx.NewDelete().Model(row).WherePK().Exec(ctx); err != nil {
		return err
	}
	return s.changed(ctx, tx, row.OrganisationID, row.UserID, Change{Action: "session.revoke", Kind: "session", ID: row.ID,
		Before: map[string]string{"device": deviceOf(row.UserAgent), "ip": row.IP}})
}
