package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	impersonationMax = time.Hour
	maxReason        = 500
)

// SuperOrganisation is an organisation as whoever runs the installation sees it.
type SuperOrganisation struct {
	OrganisationView
	Plan            *PlanRef   `json:"plan" doc:"null: none"`
	OwnLimits       PlanLimits `json:"ownLimits" doc:"Go before the plan's"`
	Limits          PlanLimits `json:"limits" doc:"What counts: the organisation's own, else the plan's"`
	SuspendedAt     *time.Time `json:"suspendedAt"`
	SuspendedReason string     `json:"suspendedReason"`
	Use             Use        `json:"use"`
}

// superKind is what If-Match compares of an organisation: not the "organisation" of the audit trail, whose entries have what it uses.
const superKind = "super organisation"

// superDecided is what whoever runs the installation decided about an organisation.
type superDecided struct {
	Name            string
	Plan            *PlanRef
	OwnLimits       PlanLimits
	SuspendedAt     *time.Time
	SuspendedReason string
}

func (o SuperOrganisation) decided() superDecided {
	return superDecided{o.Name, o.Plan, o.OwnLimits, o.SuspendedAt, o.SuspendedReason}
}

func superView(ctx context.Context, tx *db.Tx, row *organisationRow, at db.Placement) (SuperOrganisation, error) {
	out := SuperOrganisation{OrganisationView: row.view(at), OwnLimits: limitsOf(row.Limits), SuspendedAt: optionalTime(row.SuspendedAt),
		SuspendedReason: row.SuspendedReason}
	v, err := settingsOf(ctx, tx, row)
	if err != nil {
		return out, err
	}
	out.Limits = v.Limits
	out.Plan, err = planRefOf(ctx, tx, row.PlanID)
	return out, err
}

// SuperOrganisations lists a page of all organisations, and the cursor of the next. search is a part of the name.
func (s *Service) SuperOrganisations(ctx context.Context, cursor, search string, limit int) ([]SuperOrganisation, *string, error) {
	out := []SuperOrganisation{}
	var next *string
	err := s.cfg.DB.ReadSystem(ctx, "list organisations", func(ctx context.Context, tx *db.Tx) error {
		var rows []organisationRow
		q := tx.NewSelect().Model(&rows).Where("id > ?", cursor)
		if search != "" {
			q = q.Where(`lower(name) LIKE ? ESCAPE '\'`, "%"+likeEscape(strings.ToLower(search))+"%")
		}
		if err := q.Order("id").Limit(int64(limit + 1)).Scan(ctx); err != nil {
			return fmt.Errorf("list organisations: %w", err)
		}
		rows, next = pageCut(rows, limit, func(r organisationRow) string { return r.ID })
		for i := range rows {
			v, err := superView(ctx, tx, &rows[i], db.Placement{})
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for i := range out {
		if err := s.complete(ctx, &out[i]); err != nil {
			return nil, nil, err
		}
	}
	return out, next, nil
}

func likeEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s)
}

// SuperOrganisation gives one organisation.
func (s *Service) SuperOrganisation(ctx context.Context, id string) (SuperOrganisation, error) {
	var out SuperOrganisation
	err := s.cfg.DB.ReadSystem(ctx, "show an organisation", func(ctx context.Context, tx *db.Tx) error {
		row, err := organisationByID(ctx, tx, id)
		if err != nil {
			return err
		}
		out, err = superView(ctx, tx, row, db.Placement{})
		return err
	})
	if err != nil {
		return out, err
	}
	return out, s.complete(ctx, &out)
}

// complete adds what is counted, and where the organisation's data is.
func (s *Service) complete(ctx context.Context, o *SuperOrganisation) error {
	at, err := s.cfg.DB.Placement(ctx, o.ID)
	if err != nil {
		return err
	}
	o.Placement, o.Region = at.Placement, at.Region
	if s.cfg.Residency != nil {
		r := s.cfg.Residency(at)
		o.Residency = &r
	}
	o.Use, err = s.UseOf(ctx, o.ID)
	return err
}

// SuperNewOrganisation describes an organisation whose owner is invited.
type SuperNewOrganisation struct {
	Name, Region, Placement, OwnerEmail string
	PlanID                              *string
}

// SuperCreateOrganisation makes an organisation and invites its owner.
func (s *Service) SuperCreateOrganisation(ctx context.Context, n SuperNewOrganisation) (SuperOrganisation, SentInvitation, error) {
	fail := func(err error) (SuperOrganisation, SentInvitation, error) {
		return SuperOrganisation{}, SentInvitation{}, err
	}
	name, err := requiredName("body.name", n.Name)
	if err != nil {
		return fail(err)
	}
	email, err := normalEmail(n.OwnerEmail)
	if err != nil {
		return fail(err)
	}
	org := newOrganisationRow(name, s.cfg.Clock.Now().UnixMilli())
	org.PlanID = n.PlanID
	p, _ := From(ctx)
	p.OrgID = org.ID
	invitation, secret, err := s.newInvitation(p, email)
	if err != nil {
		return fail(err)
	}
	invitation.Role = RoleOwner
	at, err := s.place(ctx, org.ID, n.Placement, n.Region)
	if err != nil {
		return fail(err)
	}
	err = s.cfg.DB.InSystem(ctx, "create an organisation", func(ctx context.Context, tx *db.Tx) error {
		if err := planExists(ctx, tx, n.PlanID); err != nil {
			return err
		}
		if err := insertOrganisation(ctx, tx, org); err != nil {
			return err
		}
		if err := Audit(ctx, tx, org.ID, Change{Action: "organisation.create", Kind: "organisation", ID: org.ID, After: org.view(at)}); err != nil {
			return err
		}
		return s.storeInvitation(ctx, tx, invitation, PlanLimits{})
	})
	if err != nil {
		return fail(err)
	}
	if s.cfg.NewOrganisation != nil {
		if err := s.cfg.NewOrganisation(ctx, org.ID); err != nil {
			return fail(err)
		}
	}
	view, err := s.SuperOrganisation(ctx, org.ID)
	return view, s.send(invitation, name, secret), err
}

func planExists(ctx context.Context, tx *db.Tx, id *string) error {
	if id == nil {
		return nil
	}
	ok, err := tx.NewSelect().Model((*planRow)(nil)).Where("id = ?", *id).Exists(ctx)
	if err == nil && !ok {
		err = fault.Field("body.planId", "there is no plan %q", *id)
	}
	return err
}

// SuperChange is what whoever runs the installation may change of an organisation; nil leaves a part as it is.
type SuperChange struct {
	Name   *string
	PlanID *string // "" is no plan
	Limits *PlanLimits
}

// SuperUpdateOrganisation changes an organisation's name, plan and limits. See [Service.MoveOrganisation] for its
// placement and region.
func (s *Service) SuperUpdateOrganisation(ctx context.Context, id string, c SuperChange) (SuperOrganisation, error) {
	if c.Name != nil {
		name, err := requiredName("body.name", *c.Name)
		if err != nil {
			return SuperOrganisation{}, err
		}
		c.Name = &name
	}
	return s.superChange(ctx, id, "organisation.update", "", func(ctx context.Context, tx *db.Tx, row *organisationRow) (err error) {
		if c.Name != nil {
			row.Name = *c.Name
		}
		if c.Limits != nil {
			if row.Limits, err = c.Limits.raw(); err != nil {
				return err
			}
		}
		if c.PlanID == nil {
			return nil
		}
		row.PlanID = c.PlanID
		if *c.PlanID == "" {
			row.PlanID = nil
		}
		return planExists(ctx, tx, row.PlanID)
	})
}

// superChange lets fn change an organisation, and audits what came of it.
func (s *Service) superChange(ctx context.Context, id, action, reason string, fn func(context.Context, *db.Tx, *organisationRow) error) (SuperOrganisation, error) {
	at, err := s.cfg.DB.Placement(ctx, id)
	if err != nil {
		return SuperOrganisation{}, err
	}
	err = s.cfg.DB.InSystem(ctx, "administer an organisation", func(ctx context.Context, tx *db.Tx) error {
		row, err := organisationByID(ctx, tx, id)
		if err != nil {
			return err
		}
		before, err := superView(ctx, tx, row, at)
		if err != nil {
			return err
		}
		if err := etag.Check(ctx, superKind, before.decided()); err != nil {
			return err
		}
		if err := fn(ctx, tx, row); err != nil {
			return err
		}
		after, err := superView(ctx, tx, row, at)
		if err != nil {
			return err
		}
		return s.saveOrganisation(ctx, tx, row, Change{Action: action, Before: before, After: after, Reason: reason})
	})
	s.Forget(id, "")
	if err != nil {
		return SuperOrganisation{}, err
	}
	return s.SuperOrganisation(ctx, id)
}

// Suspend keeps an organisation's people, tokens, phones and calls out until it is resumed. Nothing is deleted but its
// sessions.
func (s *Service) Suspend(ctx context.Context, p Principal, id, reason string) (SuperOrganisation, error) {
	reason, err := checkReason(reason)
	if err != nil {
		return SuperOrganisation{}, err
	}
	if id == p.OrgID {
		return SuperOrganisation{}, fault.New(fault.NotPossible, "you are signed in to this organisation; switch to another one first")
	}
	return s.superChange(ctx, id, "organisation.suspend", reason, func(ctx context.Context, tx *db.Tx, row *organisationRow) error {
		if row.SuspendedAt != nil {
			return fault.New(fault.NotPossible, "the organisation is suspended already")
		}
		now := s.cfg.Clock.Now().UnixMilli()
		row.SuspendedAt, row.SuspendedReason = &now, reason
		_, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("organisation_id = ?", id).Exec(ctx)
		return err
	})
}

// Resume ends a suspension.
func (s *Service) Resume(ctx context.Context, id string) (SuperOrganisation, error) {
	return s.superChange(ctx, id, "organisation.resume", "", func(_ context.Context, _ *db.Tx, row *organisationRow) error {
		if row.SuspendedAt == nil {
			return fault.New(fault.NotPossible, "the organisation is not suspended")
		}
		row.SuspendedAt, row.SuspendedReason = nil, ""
		return nil
	})
}

func checkReason(reason string) (string, error) {
	reason = strings.Join(strings.Fields(reason), " ")
	if reason == "" || len(reason) > maxReason || strings.ContainsRune(reason, 0) {
		return "", fault.Field("body.reason", "say why, in at most %d characters; it is kept in the audit trail", maxReason)
	}
	return reason, nil
}
