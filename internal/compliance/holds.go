package compliance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const maxHolds = 10_000 // in force at once, of an organisation

// What a legal hold keeps.
const (
	ScopeOrganisation = "organisation"
	ScopeCall         = "call"
	ScopePerson       = "person"
)

// LegalHold keeps data from being deleted, by retention and by erasure, until it is released.
type LegalHold struct {
	ID            string     `json:"id"`
	Scope         string     `json:"scope" enum:"organisation,call,person"`
	Subject       string     `json:"subject" doc:"The call's id, or the person's number or address; empty for the organisation"`
	Reason        string     `json:"reason"`
	CreatedBy     string     `json:"createdBy"`
	CreatedAt     time.Time  `json:"createdAt"`
	ReleasedAt    *time.Time `json:"releasedAt"`
	ReleasedBy    string     `json:"releasedBy"`
	ReleaseReason string     `json:"releaseReason"`
}

type holdRow struct {
	bun.BaseModel `bun:"table:legal_holds,alias:h"`

	OrganisationID string `bun:"organisation_id,pk"`
	ID             string `bun:"id,pk"`
	Scope          string `bun:"scope"`
	Subject        string `bun:"subject"`
	Reason         string `bun:"reason"`
	CreatedBy      string `bun:"created_by"`
	CreatedAt      int64  `bun:"created_at"`
	ReleasedAt     *int64 `bun:"released_at"`
	ReleasedBy     string `bun:"released_by"`
	ReleaseReason  string `bun:"release_reason"`
}

func (r *holdRow) view() LegalHold {
	return LegalHold{ID: r.ID, Scope: r.Scope, Subject: r.Subject, Reason: r.Reason, CreatedBy: r.CreatedBy, CreatedAt: fromMillis(r.CreatedAt),
		ReleasedAt: optional(r.ReleasedAt), ReleasedBy: r.ReleasedBy, ReleaseReason: r.ReleaseReason}
}

// audit is the hold in the audit trail, which outlives an erasure: without the person.
func (r *holdRow) audit() LegalHold {
	v := r.view()
	if v.Scope == ScopePerson {
		v.Subject = ""
	}
	return v
}

func optional(ms *int64) *time.Time {
	if ms == nil {
		return nil
	}
	t := fromMillis(*ms)
	return &t
}

// Hold puts a legal hold in force.
func (s *Service) Hold(ctx context.Context, org, scope, what, reason string) (LegalHold, error) {
	p, _ := identity.From(ctx)
	row := &holdRow{OrganisationID: org, ID: newID(), Scope: scope, Reason: clean(strings.TrimSpace(reason), maxText), CreatedBy: p.UserID,
		CreatedAt: s.clock.Now().UnixMilli()}
	if row.Reason == "" {
		return LegalHold{}, fault.Field("body.reason", "say why, such as the number of the case")
	}
	switch what = strings.TrimSpace(what); scope {
	case ScopeOrganisation:
	case ScopeCall:
		if row.Subject = clean(what, maxWord); row.Subject == "" {
			return LegalHold{}, fault.Field("body.subject", "give the call's id")
		}
	case ScopePerson:
		sub, err := newSubject("body.subject", what)
		if err != nil {
			return LegalHold{}, err
		}
		row.Subject = string(sub)
	default:
		return LegalHold{}, fault.Field("body.scope", "a hold is on the organisation, a call or a person")
	}
	err := s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*holdRow)(nil)).Where("h.organisation_id = ? AND h.released_at IS NULL", org).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxHolds {
			return fault.New(fault.Conflict, "there are %d legal holds in force; release one first, or hold the whole organisation", n)
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, org, identity.Change{Action: "hold.create", Kind: "hold", ID: row.ID, After: row.audit()})
	})
	return row.view(), err
}

// Release ends a legal hold. It stays in the list, released.
func (s *Service) Release(ctx context.Context, org, id, reason string) (LegalHold, error) {
	if reason = clean(strings.TrimSpace(reason), maxText); reason == "" {
		return LegalHold{}, fault.Field("body.reason", "say why it ends")
	}
	p, _ := identity.From(ctx)
	var row holdRow
	err := s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		err := tx.NewSelect().Model(&row).Where("h.organisation_id = ? AND h.id = ?", org, id).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "there is no legal hold %q", clean(id, 64))
		}
		if err != nil {
			return err
		}
		if row.ReleasedAt != nil {
			return fault.New(fault.NotPossible, "the hold was released already")
		}
		before, now := row.audit(), tx.Now().UnixMilli()
		row.ReleasedAt, row.ReleasedBy, row.ReleaseReason = &now, p.UserID, reason
		_, err = tx.NewUpdate().Model(&row).Column("released_at", "released_by", "release_reason").WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		return identity.Audit(ctx, tx, org, identity.Change{Action: "hold.release", Kind: "hold", ID: id, Before: before, After: row.audit(), Reason: reason})
	})
	return row.view(), err
}

// Holds gives a page of legal holds, newest first, and the cursor of the next.
func (s *Service) Holds(ctx context.Context, org string, all bool, cursor string, limit int) ([]LegalHold, string, error) {
	var rows []holdRow
	err := s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Model(&rows).Where("h.organisation_id = ?", org).OrderExpr("h.id DESC").Limit(int64(limit) + 1)
		if !all {
			q = q.Where("h.released_at IS NULL")
		}
		if cursor != "" {
			q = q.Where("h.id < ?", cursor)
		}
		return q.Scan(ctx)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list legal holds: %w", err)
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out := make([]LegalHold, len(rows))
	for i := range rows {
		out[i] = rows[i].view()
	}
	return out, next, nil
}

// held are the holds of an organisation that are in force.
type held struct {
	all     bool
	calls   map[string]bool
	persons map[string]bool
}

func (s *Service) held(ctx context.Context, org string) (*held, error) {
	var rows []holdRow
	err := s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("h.organisation_id = ? AND h.released_at IS NULL", org).Limit(maxHolds + 1).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("read legal holds: %w", err)
	}
	h := &held{calls: map[string]bool{}, persons: map[string]bool{}}
	for _, r := range rows {
		switch r.Scope {
		case ScopeCall:
			h.calls[r.Subject] = true
		case ScopePerson:
			h.persons[r.Subject] = true
		default:
			h.all = true
		}
	}
	return h, nil
}

// keeps reports whether a call, or one of its parties, is under a hold.
func (h *held) keeps(id string, parties ...string) bool {
	if h.all || h.calls[id] {
		return true
	}
	if len(h.persons) == 0 {
		return false
	}
	for _, p := range parties {
		if h.persons[normal(p)] {
			return true
		}
	}
	return false
}
