package donotcall

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Scope is before which calls a list is asked.
type Scope string

// The scopes.
const (
	ScopeOrganisation Scope = "organisation" // before every call
	ScopeCampaign     Scope = "campaign"     // before calls of campaigns that name it
)

const (
	ownName         = "Opt-outs"
	mostLists       = 1000
	nameMost        = 100
	descriptionMost = 1000
	kind            = "do-not-call-list"
)

// List is a list of numbers that are not called.
type List struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Scope       Scope     `json:"scope" enum:"organisation,campaign" doc:"organisation: asked before every call; campaign: by campaigns that name it in settings.lists"`
	Own         bool      `json:"own" doc:"The organisation's own, where opt-outs go: each has one"`
	Version     int64     `json:"version" doc:"Grows with each change of its numbers"`
	Numbers     int64     `json:"numbers" doc:"How many"`
	CreatedBy   string    `json:"createdBy"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

func (r *listRow) list() List {
	return List{ID: r.ID, Name: r.Name, Description: r.Description, Scope: r.Scope, Own: r.Own, Version: r.Version, Numbers: r.Numbers, CreatedBy: r.CreatedBy,
		CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt)}
}

// listAudit is a list in the audit trail.
type listAudit struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Scope       Scope  `json:"scope"`
	Numbers     int64  `json:"numbers"`
}

func (r *listRow) audit() listAudit { return listAudit{r.Name, r.Description, r.Scope, r.Numbers} }

func checkList(name, description string, scope Scope) error {
	switch {
	case strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > nameMost || strings.ContainsAny(name, "\r\n\x00"):
		return fault.Field("body.name", "a list's name has 1 to %d characters and no line ends", nameMost)
	case utf8.RuneCountInString(description) > descriptionMost || strings.Contains(description, "\x00"):
		return fault.Field("body.description", "a description has at most %d characters", descriptionMost)
	case scope != ScopeOrganisation && scope != ScopeCampaign:
		return fault.Field("body.scope", "use organisation or campaign")
	}
	return nil
}

// Own gives the organisation's own list.
func (s *Service) Own(ctx context.Context, orgID string) (out List, err error) {
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := ownList(ctx, tx, s.now().UnixMilli())
		if err == nil {
			out = row.list()
		}
		return err
	})
	return out, err
}

// Lists gives a page of lists by id, the organisation's own among them, and the cursor of the next ("" at the end).
func (s *Service) Lists(ctx context.Context, orgID, cursor string, limit int) (out []List, next string, err error) {
	var rows []listRow
	page := func(ctx context.Context, tx *db.Tx) error {
		rows = nil
		return tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("id > ?", cursor).OrderExpr("id").Limit(int64(limit) + 1).Scan(ctx)
	}
	if err = s.c.DB.ReadTenant(ctx, orgID, page); err == nil && cursor == "" && !slices.ContainsFunc(rows, func(r listRow) bool { return r.Own }) && len(rows) <= limit {
		if _, err = s.Own(ctx, orgID); err == nil { // it is made when somebody first looks
			err = s.c.DB.ReadTenant(ctx, orgID, page)
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("list lists: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out = make([]List, len(rows))
	for i := range rows {
		out[i] = rows[i].list()
	}
	return out, next, nil
}

// Get finds a list.
func (s *Service) Get(ctx context.Context, orgID, id string) (out List, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := listByID(ctx, tx, id)
		if err == nil {
			out = row.list()
		}
		return err
	})
	return out, err
}

// Create makes an empty list.
func (s *Service) Create(ctx context.Context, orgID, name, description string, scope Scope) (out List, err error) {
	if err := checkList(name, description, scope); err != nil {
		return out, err
	}
	now := s.now().UnixMilli()
	row := &listRow{ID: newID(), OrganisationID: orgID, Name: name, Description: description, Scope: scope, Version: 1, CreatedBy: identity.UserOf(ctx), CreatedAt: now, UpdatedAt: now}
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := tx.Lock(ctx, "do-not-call lists of "+orgID); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*listRow)(nil)).Where("organisation_id = ?", orgID).Count(ctx)
		if err != nil {
			return err
		}
		if n >= mostLists {
			return fault.New(fault.LimitReached, "an organisation has at most %d do-not-call lists; put numbers on fewer", mostLists)
		}
		if err := freeName(ctx, tx, row); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return fmt.Errorf("insert list: %w", err)
		}
		out = row.list()
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "do_not_call.list.create", Kind: kind, ID: row.ID, After: row.audit()})
	})
	return out, err
}

func freeName(ctx context.Context, tx *db.Tx, row *listRow) error {
	n, err := tx.NewSelect().Model((*listRow)(nil)).Where("organisation_id = ?", tx.OrgID()).Where("name = ?", row.Name).Where("id <> ?", row.ID).Count(ctx)
	if err == nil && n > 0 {
		err = fault.New(fault.Conflict, "there is a list %q; choose another name", row.Name)
	}
	return err
}

// ListChange is what can be changed of a list; nil leaves it.
type ListChange struct {
	Name, Description *string
	Scope             *Scope
}

// Update changes a list. The organisation's own is asked before every call, always.
func (s *Service) Update(ctx context.Context, orgID, id string, c ListChange) (out List, err error) {
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := tx.Lock(ctx, "do-not-call lists of "+orgID); err != nil {
			return err
		}
		row, err := lockList(ctx, tx, id)
		if err != nil {
			return err
		}
		before := row.audit()
		if c.Name != nil {
			row.Name = *c.Name
		}
		if c.Description != nil {
			row.Description = *c.Description
		}
		if c.Scope != nil && *c.Scope != row.Scope {
			if row.Own {
				return fault.Field("body.scope", "the organisation's own list is asked before every call")
			}
			row.Scope = *c.Scope
		}
		if err := checkList(row.Name, row.Description, row.Scope); err != nil {
			return err
		}
		if err := freeName(ctx, tx, row); err != nil {
			return err
		}
		row.UpdatedAt = s.now().UnixMilli()
		_, err = tx.NewUpdate().Model(row).Column("name", "description", "scope", "updated_at").Where("organisation_id = ?", orgID).Where("id = ?", id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("update list: %w", err)
		}
		out = row.list()
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "do_not_call.list.update", Kind: kind, ID: id, Before: before, After: row.audit()})
	})
	return out, err
}

// Delete removes a list with its numbers: they can be called again.
func (s *Service) Delete(ctx context.Context, orgID, id, reason string) error {
	if err := checkReason(reason); err != nil {
		return err
	}
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := lockList(ctx, tx, id)
		if err != nil {
			return err
		}
		if row.Own {
			return fault.New(fault.NotPossible, "the organisation's own list cannot be deleted: opt-outs go there. Take numbers off it one by one")
		}
		if _, err := tx.NewDelete().Model((*numberRow)(nil)).Where("organisation_id = ?", orgID).Where("list_id = ?", id).Exec(ctx); err != nil {
			return fmt.Errorf("delete a list's numbers: %w", err)
		}
		if _, err := tx.NewDelete().Model((*listRow)(nil)).Where("organisation_id = ?", orgID).Where("id = ?", id).Exec(ctx); err != nil {
			return fmt.Errorf("delete list: %w", err)
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "do_not_call.list.delete", Kind: kind, ID: id, Before: row.audit(), Reason: reason})
	})
}

const reasonMost = 1000

// checkReason asks why something is done that lets people be called.
func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" || utf8.RuneCountInString(reason) > reasonMost || strings.Contains(reason, "\x00") {
		return fault.Field("body.reason", "say why, in 1 to %d characters, such as the person's wish and its date", reasonMost)
	}
	return nil
}
