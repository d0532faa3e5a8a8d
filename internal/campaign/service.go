package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"reflect"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/hashchain"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// Agents tells of agents.
type Agents interface {
	// Ready tells what a campaign must know of an agent, by slug or id: a fault of code NotFound where there is none, or none
	// that is published.
	Ready(ctx context.Context, orgID, name string) (AgentFacts, error)
}

// AgentFacts are what a campaign must know of an agent.
type AgentFacts struct {
	ID        string
	Name      string
	Variables []string // that each lead must bring
}

// Facts tells of numbers what rules ask, and nobody but other parts knows.
type Facts interface {
	// Of gives what is known of numbers, in the transaction of their organisation. ErrFetch says that something has to be brought
	// first, by Fetch and outside of any transaction.
	Of(ctx context.Context, tx *db.Tx, a Asked) (map[string]Known, error)
	// Fetch brings what Of lacked.
	Fetch(ctx context.Context, orgID string) error
}

// ErrFetch says that Facts.Of needs something that is not here yet.
var ErrFetch = errors.New("campaign: facts have to be fetched first")

// Asked is what Facts are asked.
type Asked struct {
	CampaignID string
	Lists      []string // that are asked beside the organisation's own
	Numbers    []string // E.164; few enough for one statement
	Purpose    policy.Purpose
	Automated  bool // an AI agent speaks
	Now        time.Time
}

// Known is what is known of a number.
type Known struct {
	Listed    []string // names of the organisation's do-not-call lists that hold it
	Registers []string // names of the public registers that hold it
	Consent   policy.Consent
	ConsentID string
	Snapshot  string // hash of the lists and registers as they were asked
}

// Config is what New needs.
type Config struct {
	DB      *db.DB
	Bus     *bus.Bus // nil: nothing is dialled here
	Agents  Agents
	Facts   Facts            // nil: no lists, no consents
	Signer  hashchain.Signer // of decisions; nil: they are not signed
	OptOuts OptOuts          // nil: nobody keeps them beside the lead
	Carrier Carrier
	// Preflights find what else is in a campaign's way.
	Preflights []Preflighter
	Book       *policy.Book // nil: the shipped one
	Node       string       // this process, among those that dial
	Clock      quartz.Clock
	Rand       func() float64 // from 0 up to 1; nil: of math/rand
	Log        *slog.Logger
	// Assignable refuses a project that is not the organisation's; "" is none. It may be nil.
	Assignable func(ctx context.Context, orgID, userID, projectID string) error
	// Still gives somebody who was let in before as they are now; an error: they may not go on. nil: they may.
	Still func(ctx context.Context, p identity.Principal) (identity.Principal, error)
	// Standing says why an organisation may do nothing now, as a fault of code Forbidden. nil: all may.
	Standing func(ctx context.Context, orgID string) error
	// Lines gives how many calls at once campaigns may have together in this installation now; what is kept for inbound calls
	// is taken off. nil: as many as they want.
	Lines func() int
	// Quota gives how many calls at once an organisation's campaigns may have now; negative: any number. It may be nil.
	Quota func(ctx context.Context, orgID string) (int, error)
	// Blobs keeps lists until they are read, Sealer the keys that they are encrypted under. nil: no lists are taken.
	Blobs  Blobs
	Sealer envelope.Sealer
	// Enqueue adds a job to a change: ImportJob or WebhookJob, by the id of what it works on. nil: there are no jobs.
	Enqueue func(ctx context.Context, tx *db.Tx, kind, id string) error
	// Outbound is what an organisation's webhooks are posted by: where it may connect, and that redirections are not followed, is
	// its business. nil: nothing is posted.
	Outbound func(ctx context.Context, orgID string) *http.Client
	// PublicURL is where people reach this installation. It may be nil.
	PublicURL func() string
}

// Service manages campaigns.
type Service struct {
	c           Config
	live        *live
	predictions predictions
}

// New makes a Service.
func New(c Config) (*Service, error) {
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Book == nil {
		book, err := policy.Shipped()
		if err != nil {
			return nil, fmt.Errorf("rules on calling: %w", err)
		}
		c.Book = book
	}
	return &Service{c: c, live: newLive()}, nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (s *Service) now() time.Time { return s.c.Clock.Now() }

// NewCampaign is what a campaign is made from.
type NewCampaign struct {
	Name      string
	Settings  *Settings // nil: Usual
	ProjectID string
}

// Create makes a draft.
func (s *Service) Create(ctx context.Context, orgID string, n NewCampaign) (Campaign, error) {
	if err := checkCampaignName(n.Name); err != nil {
		return Campaign{}, err
	}
	if n.Settings == nil {
		usual := Usual()
		n.Settings = &usual
	}
	if err := n.Settings.check(); err != nil {
		return Campaign{}, err
	}
	if err := s.assignable(ctx, orgID, n.ProjectID); err != nil {
		return Campaign{}, err
	}
	text, err := json.Marshal(n.Settings)
	if err != nil {
		return Campaign{}, fmt.Errorf("write settings: %w", err)
	}
	now := s.now().UnixMilli()
	row := &campaignRow{ID: newID(), OrganisationID: orgID, Name: n.Name, State: Draft, Settings: string(text), ProjectID: n.ProjectID,
		CreatedBy: identity.UserOf(ctx), CreatedAt: now, UpdatedAt: now}
	var out Campaign
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := insertCampaign(ctx, tx, row); err != nil {
			return err
		}
		if out, err = row.campaign(); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "campaign.create", Kind: "campaign", ID: row.ID, After: out})
	})
	return out, err
}

func (s *Service) assignable(ctx context.Context, orgID, projectID string) error {
	if s.c.Assignable == nil || projectID == "" {
		return nil
	}
	return s.c.Assignable(ctx, orgID, "", projectID)
}

// Get finds a campaign.
func (s *Service) Get(ctx context.Context, orgID, id string) (Campaign, error) {
	var out Campaign
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := campaignByID(ctx, tx, id)
		if err != nil {
			return err
		}
		out, err = row.campaign()
		return err
	})
	return out, err
}

// list gives a page of campaigns, the newest first, and the cursor of the next ("" at the end).
func (s *Service) list(ctx context.Context, orgID string, l listing) ([]Campaign, string, error) {
	limit := l.Limit
	l.Limit++
	var out []Campaign
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		rows, err := listCampaigns(ctx, tx, l)
		if err != nil {
			return err
		}
		out = make([]Campaign, len(rows))
		for i := range rows {
			if out[i], err = rows[i].campaign(); err != nil {
				return err
			}
		}
		return nil
	})
	next := ""
	if len(out) > limit {
		out = out[:limit]
		next = out[limit-1].ID
	}
	return out, next, err
}

// Change is what can be changed of a campaign; nil leaves it.
type Change struct {
	Name      *string
	Settings  func(was Settings) (*Settings, error) // nil, or a nil result: they stay
	ProjectID *string
}

// Update changes a campaign. One that runs goes on by the new settings at its next step; its agent's purpose stays.
func (s *Service) Update(ctx context.Context, orgID, id string, c Change) (Campaign, error) {
	if c.Name != nil {
		if err := checkCampaignName(*c.Name); err != nil {
			return Campaign{}, err
		}
	}
	if c.ProjectID != nil {
		if err := s.assignable(ctx, orgID, *c.ProjectID); err != nil {
			return Campaign{}, err
		}
	}
	return s.change(ctx, orgID, id, "change", "campaign.update", func(_ context.Context, _ *db.Tx, row *campaignRow, was Campaign) error {
		if c.Name != nil {
			row.Name = *c.Name
		}
		if c.ProjectID != nil {
			row.ProjectID = *c.ProjectID
		}
		if c.Settings == nil {
			return nil
		}
		to, err := c.Settings(was.Settings)
		if err != nil || to == nil {
			return err
		}
		if err := to.check(); err != nil {
			return err
		}
		if err := safe(was, *to); err != nil {
			return err
		}
		if was.State == Checked { // other settings than these were looked at
			row.State = Draft
		}
		text, err := json.Marshal(to)
		row.Settings = string(text)
		return err
	})
}

// safe refuses to change under a campaign that began what its decisions were made for.
func safe(was Campaign, to Settings) error {
	switch {
	case !was.State.begun():
		return nil
	case to.Purpose != was.Settings.Purpose:
		return fault.Field("body.settings.purpose", "the purpose of a campaign that began stays; duplicate it")
	case to.Country != was.Settings.Country:
		return fault.Field("body.settings.country", "the country of a campaign that began stays: its list was read with it")
	case to.Dialler.Mode != was.Settings.Dialler.Mode:
		return fault.Field("body.settings.dialler.mode", "the mode of a campaign that began stays; duplicate it")
	case to.Dialler.Dropped > was.Settings.Dialler.Dropped:
		return fault.Field("body.settings.dialler.mostDropped", "of a campaign that began fewer calls may be dropped, and not more: its start was judged by that")
	case to.Budget.Currency != was.Settings.Budget.Currency:
		return fault.Field("body.settings.budget.currency", "the currency of a campaign that began stays")
	}
	return nil
}

// change does something to a campaign that its state allows, and tells everybody.
func (s *Service) change(ctx context.Context, orgID, id, do, action string, fn func(ctx context.Context, tx *db.Tx, row *campaignRow, was Campaign) error) (Campaign, error) {
	var out Campaign
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := lockCampaign(ctx, tx, id)
		if err != nil {
			return err
		}
		was, err := row.campaign()
		if err != nil {
			return err
		}
		if err := row.State.may(do); err != nil {
			return err
		}
		if err := fn(ctx, tx, row, was); err != nil {
			return err
		}
		row.UpdatedAt = s.now().UnixMilli()
		if err := updateCampaign(ctx, tx, row); err != nil {
			return err
		}
		if out, err = row.campaign(); err != nil {
			return err
		}
		if err := tx.Publish(ctx, event.CampaignChanged{CampaignID: id, OrgID: orgID, Name: row.Name, State: string(row.State), Was: string(was.State), Why: row.Why, At: row.UpdatedAt}); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: action, Kind: "campaign", ID: id, Before: was, After: out})
	})
	return out, err
}

// to brings a campaign into another state.
func (s *Service) to(ctx context.Context, orgID, id, do string, state State, why string) (Campaign, error) {
	return s.change(ctx, orgID, id, do, "campaign."+do, func(ctx context.Context, tx *db.Tx, row *campaignRow, was Campaign) error {
		row.State, row.Why = state, why
		switch now := s.now().UnixMilli(); {
		case state == Running && row.StartedAt == 0:
			row.StartedAt = now
		case state.over():
			row.EndedAt = now
			return s.announce(ctx, tx, was, row)
		}
		return nil
	})
}

// errMoreToCome says that a campaign is not finished: somebody is to be called, a list is being read, or it is not
// known yet what became of a call.
var errMoreToCome = errors.New("campaign: there are leads to call")

// complete ends a campaign all of whose leads are done.
func (s *Service) complete(ctx context.Context, orgID, id string) error {
	_, err := s.change(ctx, orgID, id, "finish", "campaign.finish", func(ctx context.Context, tx *db.Tx, row *campaignRow, was Campaign) error {
		var n int
		err := tx.NewRaw(`SELECT (SELECT count(*) FROM campaign_imports WHERE organisation_id = ? AND campaign_id = ? AND state IN (?, ?))
			+ CASE WHEN EXISTS (SELECT 1 FROM campaign_leads WHERE organisation_id = ? AND campaign_id = ? AND due_at IS NOT NULL) THEN 1 ELSE 0 END
			+ (SELECT count(*) FROM campaign_attempts WHERE organisation_id = ? AND campaign_id = ? AND ended_at IS NULL)`, // a line is free before it is known what became of the call
			orgID, id, ImportWaiting, ImportRunning, orgID, id, orgID, id).Scan(ctx, &n)
		if err != nil {
			return fmt.Errorf("look who is to be called: %w", err)
		}
		if n > 0 {
			return errMoreToCome
		}
		row.State, row.Why, row.EndedAt = Finished, "Every lead is done.", s.now().UnixMilli()
		return s.announce(ctx, tx, was, row)
	})
	return err
}

// Check looks whether anything is in a draft's way, as Start does, and says so to whoever may start it: its state is Checked until
// its settings are changed. What Preflight finds is the error.
func (s *Service) Check(ctx context.Context, orgID, id string) (Campaign, error) {
	c, err := s.Get(ctx, orgID, id)
	if err != nil {
		return Campaign{}, err
	}
	if err := c.State.may("check"); err != nil {
		return Campaign{}, err
	}
	if err := s.clear(ctx, orgID, id); err != nil {
		return Campaign{}, err
	}
	return s.change(ctx, orgID, id, "check", "campaign.check", func(_ context.Context, _ *db.Tx, row *campaignRow, was Campaign) error {
		if !reflect.DeepEqual(was.Settings, c.Settings) {
			return fault.New(fault.Conflict, "the campaign was changed while it was checked; check it again")
		}
		row.State = Checked
		return nil
	})
}

// clear refuses what is in a campaign's way, but for the problems of these codes.
func (s *Service) clear(ctx context.Context, orgID, id string, but ...string) error {
	p, err := s.Preflight(ctx, orgID, id)
	if err != nil {
		return err
	}
	return p.refuse(but...)
}

// Start has a campaign call: now, or when its time begins. What Preflight finds in its way is the error.
func (s *Service) Start(ctx context.Context, orgID, id string) (Campaign, error) {
	if s.c.Standing != nil {
		if err := s.c.Standing(ctx, orgID); err != nil {
			return Campaign{}, err
		}
	}
	c, err := s.Get(ctx, orgID, id)
	if err != nil {
		return Campaign{}, err
	}
	if err := c.State.may("start"); err != nil {
		return Campaign{}, err
	}
	if err := s.clear(ctx, orgID, id); err != nil {
		return Campaign{}, err
	}
	if starts := c.Settings.Schedule.Starts; starts != nil && starts.After(s.now()) {
		return s.to(ctx, orgID, id, "start", Scheduled, "")
	}
	return s.to(ctx, orgID, id, "start", Running, "")
}

// Pause has a campaign call nobody more; calls that are running end by themselves.
func (s *Service) Pause(ctx context.Context, orgID, id, why string) (Campaign, error) {
	return s.to(ctx, orgID, id, "pause", Paused, why)
}

// Resume has a paused campaign go on, unless something is in its way by now. One that has nobody left to call then finishes.
func (s *Service) Resume(ctx context.Context, orgID, id string) (Campaign, error) {
	c, err := s.Get(ctx, orgID, id)
	if err != nil {
		return Campaign{}, err
	}
	if err := c.State.may("resume"); err != nil {
		return Campaign{}, err
	}
	if err := s.clear(ctx, orgID, id, "leads"); err != nil {
		return Campaign{}, err
	}
	if starts := c.Settings.Schedule.Starts; c.StartedAt == nil && starts != nil && starts.After(s.now()) {
		return s.to(ctx, orgID, id, "resume", Scheduled, "")
	}
	return s.to(ctx, orgID, id, "resume", Running, "")
}

// Stop ends a campaign for good; calls that are running end by themselves.
func (s *Service) Stop(ctx context.Context, orgID, id string) (Campaign, error) {
	return s.to(ctx, orgID, id, "stop", Stopped, "")
}

// Archive puts a campaign out of sight, or back.
func (s *Service) Archive(ctx context.Context, orgID, id string, away bool) (Campaign, error) {
	return s.change(ctx, orgID, id, "archive", "campaign.archive", func(_ context.Context, _ *db.Tx, row *campaignRow, _ Campaign) error {
		row.ArchivedAt = 0
		if away {
			row.ArchivedAt = s.now().UnixMilli()
		}
		return nil
	})
}

// Duplicate makes a draft with a campaign's settings and without its leads.
func (s *Service) Duplicate(ctx context.Context, orgID, id, name string) (Campaign, error) {
	c, err := s.Get(ctx, orgID, id)
	if err != nil {
		return Campaign{}, err
	}
	c.Settings.Schedule.Starts, c.Settings.Schedule.Ends = nil, nil // they are over, or will be
	return s.Create(ctx, orgID, NewCampaign{Name: name, Settings: &c.Settings, ProjectID: c.ProjectID})
}

// Delete removes a campaign that does not run, with its leads. The calls' records and the decisions stay.
func (s *Service) Delete(ctx context.Context, orgID, id string) error {
	var lists []string
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := lockCampaign(ctx, tx, id)
		if err != nil {
			return err
		}
		was, err := row.campaign()
		if err != nil {
			return err
		}
		if err := row.State.may("delete"); err != nil {
			return err
		}
		err = tx.NewRaw("SELECT id FROM campaign_imports WHERE organisation_id = ? AND campaign_id = ? AND file_key IS NOT NULL", orgID, id).Scan(ctx, &lists)
		if err != nil {
			return fmt.Errorf("select lists: %w", err)
		}
		if err := deleteCampaign(ctx, tx, id); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "campaign.delete", Kind: "campaign", ID: id, Before: was})
	})
	if err != nil {
		return err
	}
	for _, list := range lists { // without its row nothing opens a list: that it is there for a while longer tells nobody anything
		if err := s.removeList(ctx, orgID, list); err != nil {
			s.c.Log.WarnContext(ctx, "the list of a deleted campaign could not be removed", "campaign", id, "error", err)
		}
	}
	return nil
}
