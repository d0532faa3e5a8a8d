package compliance

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Consent is a person's permission for something.
type Consent struct {
	ID        string     `json:"id"`
	Subject   string     `json:"subject" doc:"The person's number or address"`
	Scope     string     `json:"scope" doc:"For what: recording, marketing_calls, ..."`
	Source    string     `json:"source" doc:"Where it was given: call, form, letter, ..."`
	Proof     string     `json:"proof" doc:"What shows it: a call's id, a document's name, the words"`
	Channels  []string   `json:"channels" nullable:"false" doc:"call: a person may call; ai_call: an AI's voice may. Empty: it allows no calls of campaigns"`
	Purposes  []string   `json:"purposes" nullable:"false" doc:"Of calls that it allows: sales, service, survey; empty: any"`
	GivenAt   time.Time  `json:"givenAt"`
	ExpiresAt *time.Time `json:"expiresAt"`
	RevokedAt *time.Time `json:"revokedAt"`
	Valid     bool       `json:"valid" doc:"Neither expired nor revoked"`
	CreatedBy string     `json:"createdBy"`
	CreatedAt time.Time  `json:"createdAt"`
}

// NewConsent is what a consent record is made from.
type NewConsent struct {
	Subject, Scope, Source, Proof string
	Channels, Purposes            []string
	GivenAt                       time.Time
	ExpiresAt                     *time.Time
}

type consentRow struct {
	bun.BaseModel `bun:"table:consents,alias:c"`

	OrganisationID string `bun:"organisation_id,pk"`
	ID             string `bun:"id,pk"`
	Subject        string `bun:"subject"`
	Scope          string `bun:"scope"`
	Source         string `bun:"source"`
	Proof          string `bun:"proof"`
	Channels       string `bun:"channels"` // words with spaces between them
	Purposes       string `bun:"purposes"`
	GivenAt        int64  `bun:"given_at"`
	ExpiresAt      *int64 `bun:"expires_at"`
	RevokedAt      *int64 `bun:"revoked_at"`
	CreatedBy      string `bun:"created_by"`
	CreatedAt      int64  `bun:"created_at"`
}

func (r *consentRow) view(now time.Time) Consent {
	return Consent{ID: r.ID, Subject: r.Subject, Scope: r.Scope, Source: r.Source, Proof: r.Proof, Channels: wordsOf(r.Channels), Purposes: wordsOf(r.Purposes), GivenAt: fromMillis(r.GivenAt),
		ExpiresAt: optional(r.ExpiresAt), RevokedAt: optional(r.RevokedAt), CreatedBy: r.CreatedBy, CreatedAt: fromMillis(r.CreatedAt),
		Valid: r.RevokedAt == nil && (r.ExpiresAt == nil || *r.ExpiresAt > now.UnixMilli())}
}

// consentAudit is a consent in the audit trail, which outlives an erasure: without the person and what they said.
type consentAudit struct {
	Scope     string     `json:"scope"`
	Source    string     `json:"source"`
	Channels  string     `json:"channels,omitempty"`
	Purposes  string     `json:"purposes,omitempty"`
	GivenAt   time.Time  `json:"givenAt"`
	ExpiresAt *time.Time `json:"expiresAt"`
	RevokedAt *time.Time `json:"revokedAt"`
}

func (r *consentRow) audit() consentAudit {
	return consentAudit{r.Scope, r.Source, r.Channels, r.Purposes, fromMillis(r.GivenAt), optional(r.ExpiresAt), optional(r.RevokedAt)}
}

// AddConsent records a consent.
func (s *Service) AddConsent(ctx context.Context, org string, n NewConsent) (Consent, error) {
	sub, err := newSubject("body.subject", n.Subject)
	if err != nil {
		return Consent{}, err
	}
	now := s.clock.Now()
	p, _ := identity.From(ctx)
	row := &consentRow{OrganisationID: org, ID: newID(), Subject: string(sub), Scope: clean(strings.TrimSpace(n.Scope), maxWord),
		Source: clean(strings.TrimSpace(n.Source), maxWord), Proof: clean(strings.TrimSpace(n.Proof), maxText), GivenAt: n.GivenAt.UnixMilli(),
		CreatedBy: p.UserID, CreatedAt: now.UnixMilli()}
	if row.Channels, err = words("body.channels", n.Channels, channels); err != nil {
		return Consent{}, err
	}
	if row.Purposes, err = words("body.purposes", n.Purposes, purposes); err != nil {
		return Consent{}, err
	}
	switch {
	case row.Channels == "" && row.Purposes != "":
		return Consent{}, fault.Field("body.channels", "say who may call for these purposes: call, ai_call or both")
	case row.Channels != "" && !strings.HasPrefix(row.Subject, "+"):
		return Consent{}, fault.Field("body.subject", "who allows calls has a number with its country code, such as +49 30 123456")
	case row.Scope == "":
		return Consent{}, fault.Field("body.scope", "say for what consent was given, such as recording")
	case row.Source == "":
		return Consent{}, fault.Field("body.source", "say where it was given, such as call or form")
	case n.GivenAt.After(now.Add(time.Minute)):
		return Consent{}, fault.Field("body.givenAt", "consent cannot be given in the future")
	case n.ExpiresAt != nil && !n.ExpiresAt.After(n.GivenAt):
		return Consent{}, fault.Field("body.expiresAt", "it must end after it was given")
	}
	if n.ExpiresAt != nil {
		ms := n.ExpiresAt.UnixMilli()
		row.ExpiresAt = &ms
	}
	err = s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, org, identity.Change{Action: "consent.create", Kind: "consent", ID: row.ID, After: row.audit()})
	})
	return row.view(now), err
}

// RevokeConsent ends a consent from now on. Revoking it again changes nothing.
func (s *Service) RevokeConsent(ctx context.Context, org, id string) (Consent, error) {
	var row consentRow
	err := s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		err := tx.NewSelect().Model(&row).Where("c.organisation_id = ? AND c.id = ?", org, id).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "there is no consent %q", clean(id, 64))
		}
		if err != nil || row.RevokedAt != nil {
			return err
		}
		before, now := row.audit(), tx.Now().UnixMilli()
		row.RevokedAt = &now
		if _, err := tx.NewUpdate().Model(&row).Column("revoked_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, org, identity.Change{Action: "consent.revoke", Kind: "consent", ID: id, Before: before, After: row.audit()})
	})
	return row.view(s.clock.Now()), err
}

// Consents gives a page of consents, newest first, of everybody or one person, and the cursor of the next.
func (s *Service) Consents(ctx context.Context, org, who, scope, cursor string, limit int) ([]Consent, string, error) {
	var sub subject
	if who != "" {
		var err error
		if sub, err = newSubject("query.subject", who); err != nil {
			return nil, "", err
		}
	}
	var rows []consentRow
	err := s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Model(&rows).Where("c.organisation_id = ?", org).OrderExpr("c.id DESC").Limit(int64(limit) + 1)
		if sub != "" {
			q = q.Where("c.subject = ?", string(sub))
		}
		if scope != "" {
			q = q.Where("c.scope = ?", scope)
		}
		if cursor != "" {
			q = q.Where("c.id < ?", cursor)
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list consents: %w", err)
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out, now := make([]Consent, len(rows)), s.clock.Now()
	for i := range rows {
		out[i] = rows[i].view(now)
	}
	return out, next, nil
}

func (s *Service) exportConsents(ctx context.Context, org string, sub subject, put func(string, func(io.Writer) error) error) error {
	return put("consents.ndjson", func(w io.Writer) error {
		enc := json.NewEncoder(w)
		for cursor := ""; ; {
			items, next, err := s.Consents(ctx, org, string(sub), "", cursor, pageSize)
			if err != nil {
				return err
			}
			for i := range items {
				if err := enc.Encode(items[i]); err != nil {
					return err
				}
			}
			if next == "" {
				return nil
			}
			cursor = next
		}
	})
}

func eraseConsents(ctx context.Context, tx *db.Tx, org string, sub subject) (int64, error) {
	res, err := tx.NewDelete().Model((*consentRow)(nil)).Where("organisation_id = ? AND subject = ?", org, string(sub)).Exec(ctx)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
