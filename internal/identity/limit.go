package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// PlanLimits is how much of each thing an organisation may have. nil is no limit.
type PlanLimits struct {
	Calls             *int64 `json:"calls,omitempty" minimum:"0" doc:"Calls at once"`
	Minutes           *int64 `json:"minutes,omitempty" minimum:"0" doc:"Minutes of calls a calendar month, in the organisation's time zone"`
	Agents            *int64 `json:"agents,omitempty" minimum:"0"`
	Phones            *int64 `json:"phones,omitempty" minimum:"0" doc:"Phones and numbers"`
	Seats             *int64 `json:"seats,omitempty" minimum:"0" doc:"People and open invitations"`
	StorageBytes      *int64 `json:"storageBytes,omitempty" minimum:"0" doc:"Bytes of recordings"`
	RequestsPerMinute *int64 `json:"requestsPerMinute,omitempty" minimum:"0" doc:"Requests to the API a minute"`
}

// over gives l with what it leaves out taken from plan.
func (l PlanLimits) over(plan PlanLimits) PlanLimits {
	pick := func(own, plan *int64) *int64 {
		if own != nil {
			return own
		}
		return plan
	}
	return PlanLimits{
		Calls: pick(l.Calls, plan.Calls), Minutes: pick(l.Minutes, plan.Minutes), Agents: pick(l.Agents, plan.Agents),
		Phones: pick(l.Phones, plan.Phones), Seats: pick(l.Seats, plan.Seats), StorageBytes: pick(l.StorageBytes, plan.StorageBytes),
		RequestsPerMinute: pick(l.RequestsPerMinute, plan.RequestsPerMinute),
	}
}

func limitsOf(raw string) (l PlanLimits) {
	_ = json.Unmarshal([]byte(raw), &l) // this package wrote it
	return l
}

func (l PlanLimits) raw() (string, error) {
	b, err := json.Marshal(l)
	return string(b), err
}

// Use is how much of each thing an organisation has now. The app knows the other contexts and gives it.
type Use struct {
	Calls             int64  `json:"calls"`
	Minutes           int64  `json:"minutes"`
	Agents            int64  `json:"agents"`
	Phones            int64  `json:"phones"`
	Seats             int64  `json:"seats"`
	StorageBytes      int64  `json:"storageBytes"`
	RequestsPerMinute *int64 `json:"requestsPerMinute" doc:"Used up now; they are given back evenly over a minute. null where nothing limits requests by the minute"`
}

// LimitReached is the error of taking one more of what is used up.
func LimitReached(limit int64, what string) error {
	return fault.New(fault.LimitReached, "the organisation's plan includes %d %s, and they are used up; free one or ask for a bigger plan", limit, what)
}

// UnderLimit refuses one more of what a plan includes, such as "agents": most is how many, nil is no limit, and count
// tells how many there are. Transactions that add one wait for each other.
func UnderLimit(ctx context.Context, tx *db.Tx, orgID, what string, most *int64, count func(context.Context, *db.Tx, string) (int64, error)) error {
	if most == nil {
		return nil
	}
	if err := tx.Lock(ctx, what+" "+orgID); err != nil {
		return err
	}
	n, err := count(ctx, tx, orgID)
	if err == nil && n >= *most {
		err = LimitReached(*most, what)
	}
	return err
}

// Settings is what other parts need to know of an organisation, often. It is at most a minute old.
type Settings struct {
	Name      string
	Placement db.Placement
	Limits    PlanLimits
	Location  *time.Location
	Suspended bool
	Reason    string // of the suspension
}

// Standing says why the organisation may do nothing now; nil when it may.
func (s Settings) Standing() error {
	if !s.Suspended {
		return nil
	}
	return fault.New(fault.Forbidden, "the organisation %q is suspended: %s; ask whoever runs this installation", s.Name, s.Reason)
}

// MonthStart is when the month of now began where the organisation is.
func (s Settings) MonthStart(now time.Time) time.Time {
	now = now.In(s.Location)
	return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, s.Location)
}

// SettingsOf gives an organisation's settings, from memory where it was asked for lately.
func (s *Service) SettingsOf(ctx context.Context, orgID string) (Settings, error) {
	if v, ok := s.settings.GetIfPresent(orgID); ok {
		return v, nil
	}
	epoch := s.epoch.Load()
	at, err := s.cfg.DB.Placement(ctx, orgID)
	if err != nil {
		return Settings{}, err
	}
	var v Settings
	err = s.cfg.DB.ReadSystem(ctx, "an organisation's settings", func(ctx context.Context, tx *db.Tx) error {
		row, err := organisationByID(ctx, tx, orgID)
		if err != nil {
			return err
		}
		v, err = settingsOf(ctx, tx, row)
		v.Placement = at
		return err
	})
	if err != nil {
		return Settings{}, err
	}
	s.settings.Set(orgID, v)
	if s.epoch.Load() != epoch {
		s.settings.Invalidate(orgID)
	}
	return v, nil
}

func settingsOf(ctx context.Context, tx *db.Tx, row *organisationRow) (Settings, error) {
	v := Settings{Name: row.Name, Limits: limitsOf(row.Limits),
		Suspended: row.SuspendedAt != nil, Reason: row.SuspendedReason, Location: time.UTC}
	if loc, err := time.LoadLocation(row.TimeZone); err == nil {
		v.Location = loc
	}
	if row.PlanID != nil {
		var plan planRow
		if err := one(ctx, tx, &plan, "plan", "id = ?", *row.PlanID); err != nil {
			return v, err
		}
		v.Limits = v.Limits.over(limitsOf(plan.Limits))
	}
	return v, nil
}

// Limits gives an organisation's limits, at most a minute old.
func (s *Service) Limits(ctx context.Context, orgID string) (PlanLimits, error) {
	v, err := s.SettingsOf(ctx, orgID)
	return v.Limits, err
}

// UseOf counts what an organisation has now.
func (s *Service) UseOf(ctx context.Context, orgID string) (Use, error) {
	var u Use
	v, err := s.SettingsOf(ctx, orgID)
	if err != nil {
		return u, err
	}
	if s.cfg.Use != nil {
		if u, err = s.cfg.Use(ctx, orgID, v.MonthStart(s.cfg.Clock.Now())); err != nil {
			return u, fmt.Errorf("count what an organisation uses: %w", err)
		}
	}
	err = s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		members, open, err := s.seats(ctx, tx, orgID)
		u.Seats = members + open
		return err
	})
	return u, err
}

// seats counts an organisation's people, and the invitations that somebody may still accept.
func (s *Service) seats(ctx context.Context, tx *db.Tx, orgID string) (members, open int64, err error) {
	n, err := tx.NewSelect().Model((*membershipRow)(nil)).Where("organisation_id = ?", orgID).Count(ctx)
	if err != nil {
		return 0, 0, err
	}
	o, err := tx.NewSelect().Model((*invitationRow)(nil)).
		Where("organisation_id = ? AND expires_at > ?", orgID, s.cfg.Clock.Now().UnixMilli()).Count(ctx)
	return int64(n), int64(o), err
}

// LimitsView is an organisation's plan: what it may have and what it has.
type LimitsView struct {
	Plan       *PlanRef   `json:"plan" doc:"null: no plan"`
	Limits     PlanLimits `json:"limits" doc:"What is left out has no limit"`
	Use        Use        `json:"use"`
	MonthStart time.Time  `json:"monthStart" doc:"Since when minutes are counted"`
}

// PlanRef names a plan.
type PlanRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// LimitsAndUse shows the plan of p's organisation.
func (s *Service) LimitsAndUse(ctx context.Context, orgID string) (LimitsView, error) {
	var out LimitsView
	err := s.cfg.DB.ReadSystem(ctx, "an organisation's plan", func(ctx context.Context, tx *db.Tx) error {
		row, err := organisationByID(ctx, tx, orgID)
		if err != nil {
			return err
		}
		v, err := settingsOf(ctx, tx, row)
		if err != nil {
			return err
		}
		out.Limits, out.MonthStart = v.Limits, v.MonthStart(s.cfg.Clock.Now()).UTC()
		out.Plan, err = planRefOf(ctx, tx, row.PlanID)
		return err
	})
	if err != nil {
		return out, err
	}
	out.Use, err = s.UseOf(ctx, orgID)
	return out, err
}

func planRefOf(ctx context.Context, tx *db.Tx, id *string) (*PlanRef, error) {
	if id == nil {
		return nil, nil
	}
	var plan planRow
	if err := one(ctx, tx, &plan, "plan", "id = ?", *id); err != nil {
		return nil, err
	}
	return &PlanRef{ID: plan.ID, Name: plan.Name}, nil
}
