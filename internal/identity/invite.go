package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/mail"
)

const (
	invitationValid = 7 * 24 * time.Hour
	invitationKept  = 30 * 24 * time.Hour // after it expired, so that it can be sent again
	maxInvitations  = 1000                // of one organisation
	maxInviteTeams  = 50
)

// Invitation asks a person to join the organisation. Its link works once.
type Invitation struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Role      string    `json:"role"`
	Teams     []string  `json:"teams"`
	InvitedBy string    `json:"invitedBy" doc:"User id; \"\" when the installation's administrator did it"`
	CreatedAt time.Time `json:"createdAt"`
	SentAt    time.Time `json:"sentAt" doc:"When the link in use was made"`
	ExpiresAt time.Time `json:"expiresAt"`
	Expired   bool      `json:"expired"`
}

// SentInvitation is an invitation whose link was just made.
type SentInvitation struct {
	Invitation
	Mailed    bool    `json:"mailed" doc:"The link was sent to the address"`
	ShownLink *string `json:"shownLink" doc:"Where no mail server is set: the link to hand over, shown once; null otherwise"`
}

func (s *Service) invitation(r *invitationRow) Invitation {
	return Invitation{ID: r.ID, Email: r.Email, Role: r.Role, Teams: stringList(r.Teams), InvitedBy: r.InvitedBy, CreatedAt: timeOf(r.CreatedAt),
		SentAt: timeOf(r.SentAt), ExpiresAt: timeOf(r.ExpiresAt), Expired: r.ExpiresAt <= s.cfg.Clock.Now().UnixMilli()}
}

// NewInvitation describes an invitation.
type NewInvitation struct {
	Email, Role string
	Teams       []string
}

// Invite asks a person to join p's organisation. An older invitation of the same address ends.
func (s *Service) Invite(ctx context.Context, p Principal, n NewInvitation) (SentInvitation, error) {
	email, err := normalEmail(n.Email)
	if err != nil {
		return SentInvitation{}, err
	}
	if len(n.Teams) > maxInviteTeams {
		return SentInvitation{}, fault.Field("body.teams", "name at most %d teams", maxInviteTeams)
	}
	if err := s.notMember(ctx, p.OrgID, email); err != nil {
		return SentInvitation{}, err
	}
	settings, err := s.SettingsOf(ctx, p.OrgID)
	if err != nil {
		return SentInvitation{}, err
	}
	row, secret, err := s.newInvitation(p, email)
	if err != nil {
		return SentInvitation{}, err
	}
	err = s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		if err := lockOrganisation(ctx, tx, p.OrgID); err != nil {
			return err
		}
		role, err := s.grantable(ctx, tx, p, n.Role)
		if err != nil {
			return err
		}
		row.Role = role.ID
		if row.Teams, err = teamsOf(ctx, tx, p.OrgID, n.Teams); err != nil {
			return err
		}
		return s.storeInvitation(ctx, tx, row, settings.Limits)
	})
	if err != nil {
		return SentInvitation{}, err
	}
	return s.send(row, settings.Name, secret), nil
}

func (s *Service) newInvitation(p Principal, email string) (*invitationRow, string, error) {
	secret, err := s.random()
	now := s.cfg.Clock.Now()
	return &invitationRow{ID: newID(), OrganisationID: p.OrgID, Email: email, Teams: "[]", Hash: hashSecret(secret), InvitedBy: p.UserID,
		CreatedAt: now.UnixMilli(), SentAt: now.UnixMilli(), ExpiresAt: now.Add(invitationValid).UnixMilli()}, secret, err
}

// notMember refuses an address whose person belongs to the organisation already.
func (s *Service) notMember(ctx context.Context, orgID, email string) error {
	return s.cfg.DB.ReadSystem(ctx, "is a person in an organisation", func(ctx context.Context, tx *db.Tx) error {
		list, err := membersWhere(ctx, tx, orgID, 1, "u.email = ?", email)
		if err == nil && len(list) > 0 {
			err = fault.New(fault.Conflict, "%s belongs to the organisation already", email)
		}
		return err
	})
}

// teamsOf checks that teams are the organisation's, and gives them as they are stored.
func teamsOf(ctx context.Context, tx *db.Tx, orgID string, ids []string) (string, error) {
	list := []string{}
	for i, id := range ids {
		if _, err := teamByID(ctx, tx, orgID, id); err != nil {
			if fault.Is(err, fault.NotFound) {
				err = fault.Field(fmt.Sprintf("body.teams[%d]", i), "there is no team %q", id)
			}
			return "", err
		}
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	b, err := json.Marshal(list)
	return string(b), err
}

func (s *Service) storeInvitation(ctx context.Context, tx *db.Tx, row *invitationRow, limits PlanLimits) error {
	var older invitationRow
	switch err := one(ctx, tx, &older, "invitation", "organisation_id = ? AND email = ?", row.OrganisationID, row.Email); {
	case fault.Is(err, fault.NotFound):
	case err != nil:
		return err
	case !ScopeOf(ctx).Has(older.InvitedBy):
		return fault.New(fault.Conflict, "somebody else has invited %s already", row.Email)
	}
	if _, err := tx.NewDelete().Model((*invitationRow)(nil)).Where("organisation_id = ? AND email = ?", row.OrganisationID, row.Email).Exec(ctx); err != nil {
		return err
	}
	members, open, err := s.seats(ctx, tx, row.OrganisationID)
	if err != nil {
		return err
	}
	if limits.Seats != nil && members+open >= *limits.Seats {
		return LimitReached(*limits.Seats, "people and open invitations")
	}
	if open >= maxInvitations {
		return fault.New(fault.Conflict, "%d invitations are open, the most there may be; revoke some first", open)
	}
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return fmt.Errorf("store an invitation: %w", err)
	}
	return Audit(ctx, tx, row.OrganisationID, Change{Action: "invitation.create", Kind: "invitation", ID: row.ID, After: s.invitation(row)})
}

// send posts the link, or shows it where no letters can be sent.
func (s *Service) send(row *invitationRow, organisation, secret string) SentInvitation {
	out := SentInvitation{Invitation: s.invitation(row)}
	link := ""
	if s.cfg.PublicURL != nil {
		link = s.cfg.PublicURL()
	}
	// The token is in the fragment, which browsers send to no server and which no access log holds.
	link += "/invitation#token=" + url.QueryEscape(secret)
	if s.cfg.Outbox == nil || !s.cfg.Outbox.Enabled() {
		out.ShownLink = &link
		return out
	}
	m := &mail.Message{To: row.Email, Subject: "You are invited to " + organisation,
		Text: fmt.Sprintf("Hello,\n\nyou are invited to join %q on Parley. Open this link to accept; it works once, until %s:\n\n%s\n\n"+
			"If you do not know what this is about, ignore this letter.\n", organisation, timeOf(row.ExpiresAt).Format("2 January 2006, 15:04 MST"), link)}
	s.cfg.Outbox.Post(func(context.Context) (*mail.Message, error) { return m, nil })
	out.Mailed = true
	return out
}

// Invitations lists a page of the organisation's invitations that nobody accepted, and the cursor of the next.
func (s *Service) Invitations(ctx context.Context, p Principal, cursor string, limit int) ([]Invitation, *string, error) {
	var rows []invitationRow
	err := s.cfg.DB.ReadTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND id > ?", p.OrgID, cursor)
		return ScopeOf(ctx).Where(q, "invited_by").Order("id").Limit(int64(limit + 1)).Scan(ctx)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list invitations: %w", err)
	}
	rows, next := pageCut(rows, limit, func(r invitationRow) string { return r.ID })
	out := make([]Invitation, len(rows))
	for i := range rows {
		out[i] = s.invitation(&rows[i])
	}
	return out, next, nil
}

func invitationByID(ctx context.Context, tx *db.Tx, orgID, id string) (*invitationRow, error) {
	var row invitationRow
	return &row, inScope(ctx, tx, &row, "invitation", "invited_by", orgID, id)
}

// ResendInvitation makes a new link; the one before ends.
func (s *Service) ResendInvitation(ctx context.Context, p Principal, id string) (SentInvitation, error) {
	settings, err := s.SettingsOf(ctx, p.OrgID)
	if err != nil {
		return SentInvitation{}, err
	}
	fresh, secret, err := s.newInvitation(p, "")
	if err != nil {
		return SentInvitation{}, err
	}
	var row *invitationRow
	err = s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		if row, err = invitationByID(ctx, tx, p.OrgID, id); err != nil {
			return err
		}
		if _, err := s.grantable(ctx, tx, p, row.Role); err != nil {
			return err
		}
		before := s.invitation(row)
		row.Hash, row.SentAt, row.ExpiresAt = fresh.Hash, fresh.SentAt, fresh.ExpiresAt
		if _, err := tx.NewUpdate().Model(row).WherePK().Where("organisation_id = ?", p.OrgID).Exec(ctx); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "invitation.resend", Kind: "invitation", ID: id, Before: before, After: s.invitation(row)})
	})
	if err != nil {
		return SentInvitation{}, err
	}
	return s.send(row, settings.Name, secret), nil
}

// RevokeInvitation ends an invitation.
func (s *Service) RevokeInvitation(ctx context.Context, p Principal, id string) error {
	return s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := invitationByID(ctx, tx, p.OrgID, id)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(row).WherePK().Where("organisation_id = ?", p.OrgID).Exec(ctx); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "invitation.revoke", Kind: "invitation", ID: id, Before: s.invitation(row)})
	})
}
