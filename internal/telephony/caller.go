package telephony

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/e164"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// CallerNumber is a number that may be shown to whoever is called.
type CallerNumber struct {
	ID          string    `json:"id"`
	Number      string    `json:"number" doc:"E.164"`
	DisplayName string    `json:"displayName" doc:"Shown with the number where the carrier passes it on"`
	TrunkID     string    `json:"trunkId" doc:"The only trunk whose carrier takes it; empty: any"`
	Country     string    `json:"country" doc:"Where the number was given out, as ISO 3166-1; empty: nowhere"`
	Region      string    `json:"region" doc:"State or province, as ISO 3166-2; empty: not known"`
	Area        string    `json:"area" doc:"Area code; empty: it has none"`
	Enabled     bool      `json:"enabled"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

const callersMax = 10_000 // of one organisation

// NewCallerNumber is what a caller number is made from.
type NewCallerNumber struct {
	Number, DisplayName, TrunkID string
	Disabled                     bool
}

// CallerNumberChange is what can be changed of a caller number; nil leaves it.
type CallerNumberChange struct {
	DisplayName, TrunkID *string
	Enabled              *bool
}

func (r *callerRow) show() CallerNumber {
	return CallerNumber{ID: r.ID, Number: r.Number, DisplayName: r.DisplayName, TrunkID: r.TrunkID, Country: r.Country, Region: r.Region, Area: r.Area,
		Enabled: r.Enabled, CreatedAt: time.UnixMilli(r.CreatedAt).UTC(), UpdatedAt: time.UnixMilli(r.UpdatedAt).UTC()}
}

func auditCaller(ctx context.Context, tx *db.Tx, action string, before, after *callerRow) error {
	c := identity.Change{Action: action, Kind: callerKind}
	if before != nil {
		c.ID, c.Before = before.ID, before.show()
	}
	if after != nil {
		c.ID, c.After = after.ID, after.show()
	}
	return identity.Audit(ctx, tx, tx.OrgID(), c)
}

const callerKind = "callerNumber"

// checkTrunkOf refuses a trunk that the organisation does not have; "" is any.
func checkTrunkOf(ctx context.Context, tx *db.Tx, id string) error {
	if id == "" {
		return nil
	}
	_, err := trunkByID(ctx, tx, id)
	if fault.Is(err, fault.NotFound) {
		return fault.Field("body.trunkId", "there is no trunk %q", clip(id))
	}
	return err
}

// CreateCallerNumber adds a number that calls may show.
func (s *Service) CreateCallerNumber(ctx context.Context, orgID string, n NewCallerNumber) (CallerNumber, error) {
	number, err := e164.Parse(n.Number)
	if err != nil {
		return CallerNumber{}, fault.Field("body.number", "%q cannot be shown: %v", clip(n.Number), err)
	}
	if err := checkDisplayName(n.DisplayName); err != nil {
		return CallerNumber{}, err
	}
	now := s.c.Clock.Now().UnixMilli()
	row := &callerRow{ID: uuid.Must(uuid.NewV7()).String(), OrganisationID: orgID, Number: number.E164, DisplayName: n.DisplayName, TrunkID: n.TrunkID,
		Country: number.Country, Region: number.Region, Area: number.Area, Enabled: !n.Disabled, CreatedAt: now, UpdatedAt: now}
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := checkTrunkOf(ctx, tx, n.TrunkID); err != nil {
			return err
		}
		if err := tx.Lock(ctx, "caller number "+number.E164); err != nil {
			return err
		}
		there, err := callersWith(ctx, tx, number.E164)
		if err != nil {
			return err
		}
		if len(there) > 0 {
			e := fault.New(fault.Conflict, "the number %s is there already", number.E164)
			e.Details = []fault.Detail{{Location: "body.number", Message: e.Message, Value: number.E164}}
			return e
		}
		if err := insert(ctx, tx, row, "caller numbers", callersMax); err != nil {
			return err
		}
		return auditCaller(ctx, tx, "callerNumber.create", nil, row)
	})
	return row.show(), err
}

// CallerNumbers gives a page of the numbers that calls may show, and the cursor of the next one ("" at the end). trunkID "" is
// those of all trunks.
func (s *Service) CallerNumbers(ctx context.Context, orgID, trunkID, cursor string, limit int) ([]CallerNumber, string, error) {
	var rows []callerRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = listCallers(ctx, tx, trunkID, cursor, limit+1)
		return err
	})
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	return showCallers(rows), next, err
}

func showCallers(rows []callerRow) []CallerNumber {
	out := make([]CallerNumber, 0, len(rows))
	for i := range rows {
		out = append(out, rows[i].show())
	}
	return out
}

// CallerNumber gives one.
func (s *Service) CallerNumber(ctx context.Context, orgID, id string) (CallerNumber, error) {
	var row *callerRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		row, err = callerByID(ctx, tx, id)
		return err
	})
	if err != nil {
		return CallerNumber{}, err
	}
	return row.show(), nil
}

// UpdateCallerNumber changes one.
func (s *Service) UpdateCallerNumber(ctx context.Context, orgID, id string, c CallerNumberChange) (CallerNumber, error) {
	if c.DisplayName != nil {
		if err := checkDisplayName(*c.DisplayName); err != nil {
			return CallerNumber{}, err
		}
	}
	var row *callerRow
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		if row, err = callerByID(ctx, tx, id); err != nil {
			return err
		}
		was := *row
		if err := etag.Check(ctx, callerKind, was.show()); err != nil {
			return err
		}
		if c.TrunkID != nil {
			if err := checkTrunkOf(ctx, tx, *c.TrunkID); err != nil {
				return err
			}
		}
		set(&row.DisplayName, c.DisplayName)
		set(&row.TrunkID, c.TrunkID)
		set(&row.Enabled, c.Enabled)
		row.UpdatedAt = s.c.Clock.Now().UnixMilli()
		if err := update(ctx, tx, row, "caller number", id); err != nil {
			return err
		}
		return auditCaller(ctx, tx, "callerNumber.update", &was, row)
	})
	if err != nil {
		return CallerNumber{}, err
	}
	return row.show(), nil
}

// DeleteCallerNumber removes one.
func (s *Service) DeleteCallerNumber(ctx context.Context, orgID, id string) error {
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := callerByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := remove[callerRow](ctx, tx, "caller number", id); err != nil {
			return err
		}
		return auditCaller(ctx, tx, "callerNumber.delete", row, nil)
	})
}

// UsableCallers gives the numbers that calls through a trunk may show.
func (s *Service) UsableCallers(ctx context.Context, orgID, trunkID string) ([]CallerNumber, error) {
	var rows []callerRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = usableCallers(ctx, tx, trunkID)
		return err
	})
	return showCallers(rows), err
}

// Identity gives the number that a call through a trunk shows: the one that is asked for, which has to be the organisation's
// own, or the one nearest to whom is called. Without any numbers the carrier decides what is shown; the zero value says so.
func (s *Service) Identity(ctx context.Context, orgID, trunkID, number, callee string) (CallerNumber, error) {
	all, err := s.UsableCallers(ctx, orgID, trunkID)
	if err != nil {
		return CallerNumber{}, err
	}
	if number == "" {
		n, _ := ChooseCaller(all, CallerChoice{Callee: callee, LocalPresence: true, Rotation: RotateHash})
		return n, nil
	}
	for _, n := range all {
		if n.Number == strings.TrimSpace(number) || n.ID == number {
			return n, nil
		}
	}
	return CallerNumber{}, fault.Field("body.callerNumber", "%q is none of the numbers that calls through this trunk may show; they are under Trunks", clip(number))
}
