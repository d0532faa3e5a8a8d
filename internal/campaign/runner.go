package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Carrier places calls, here or in another process.
type Carrier interface {
	// Place begins a call under the id that p gives it, and returns when it was begun or could not be. An error says that nothing
	// was sent: of code LimitReached, RateLimited or Unavailable it may be tried again soon; NotFound and Invalid are the number's
	// or the settings' fault. Timeout and Conflict say that it is not known, or that the call was placed before: Look tells.
	Place(ctx context.Context, p Placement) error
	// Look finds a call by its id: whether it runs, how it ended, or that nobody knows of it.
	Look(ctx context.Context, orgID, callID string) (Look, error)
}

// Placement is a call to place.
type Placement struct {
	OrgID      string            `json:"orgId"`
	CampaignID string            `json:"campaignId"`
	CallID     string            `json:"callId"`
	LeadID     string            `json:"leadId"`
	Agent      string            `json:"agent"`
	Number     string            `json:"number"`
	Country    string            `json:"country,omitempty"`
	Region     string            `json:"region,omitempty"`
	Name       string            `json:"name,omitempty"`
	Zone       string            `json:"zone"` // the clock that the callee may look at
	Variables  map[string]string `json:"variables,omitempty"`
	Callers    Callers           `json:"callers"`
	Ring       time.Duration     `json:"ring"`
	Voicemail  Voicemail         `json:"voicemail"`
	Disclosure Disclosure        `json:"disclosure"`
	OptOutKey  string            `json:"optOutKey,omitempty"`
	Outcomes   map[string]string `json:"outcomes,omitempty"` // what the agent may call its result
	Until      time.Time         `json:"until"`              // nothing is sent after this
}

// Look is what is known of a call.
type Look struct {
	Found bool
	Live  bool
	Ended Ended // where it is not live
}

const (
	lookEvery  = 10 * time.Second // for campaigns that nobody dials
	sweepEvery = 15 * time.Second
	holdFor    = 12 * time.Second
	holdEvery  = 4 * time.Second
	shareEvery = time.Second
)

// Runner dials this process's part of the running campaigns.
type Runner struct {
	s    *Service
	news chan struct{} // something changed; look at once

	mu    sync.Mutex
	turns map[string]*turn  // by campaign
	calls map[string]*turn  // by call
	peers map[string]asking // by process
	wg    sync.WaitGroup
}

// NewRunner makes a Runner of a service that has a Bus, a Carrier and a Node.
func NewRunner(s *Service) *Runner {
	return &Runner{s: s, news: make(chan struct{}, 1), turns: map[string]*turn{}, calls: map[string]*turn{}, peers: map[string]asking{}}
}

// Run dials until ctx ends, and waits for what it began to be written.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.follow(ctx); err != nil {
		return err
	}
	clock := r.s.c.Clock
	look := clock.NewTicker(lookEvery, "campaign", "look")
	defer look.Stop()
	share := clock.NewTicker(shareEvery, "campaign", "share")
	defer share.Stop()
	sweep := clock.NewTicker(sweepEvery, "campaign", "sweep")
	defer sweep.Stop()
	defer r.wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-share.C:
			r.share()
			continue
		case <-sweep.C:
			if err := r.s.Reconcile(ctx); err != nil && ctx.Err() == nil {
				r.s.c.Log.WarnContext(ctx, "open attempts could not be looked up; trying again", "error", err)
			}
			continue
		case <-look.C:
		case <-r.news:
		}
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.s.c.Log.WarnContext(ctx, "campaigns could not be looked up; trying again", "error", err)
		}
	}
}

// follow hears of campaigns that change and of calls that ring, are answered and end.
func (r *Runner) follow(ctx context.Context) error {
	live := bus.SubConfig{Live: true, Filter: []string{"campaign.changed", "call.status", "lead.settled"}}
	sub, err := r.s.c.Bus.Subscribe(ctx, live, func(_ context.Context, m bus.Msg) error { return r.hear(m) })
	if err != nil {
		return fmt.Errorf("follow calls: %w", err)
	}
	context.AfterFunc(ctx, sub.Stop)
	return r.s.c.Bus.Listen(ctx, noteShares, r.heed)
}

func (r *Runner) hear(m bus.Msg) error {
	switch m.Type {
	case "call.status":
		var e event.CallStatus
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return err
		}
		if t := r.turnOfCall(e.CallID, e.Status == "ended"); t != nil {
			t.tell(news{call: e.CallID, status: e.Status, at: at(e.At)})
		}
	case "lead.settled":
		var e event.LeadSettled
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return err
		}
		if t := r.turnOf(e.CampaignID); t != nil {
			t.tell(news{call: e.AttemptID, settled: &e})
		}
	case "campaign.changed":
		var e event.CampaignChanged
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return err
		}
		if t := r.turnOf(e.CampaignID); t != nil {
			t.tell(news{changed: true})
			return nil
		}
		r.wake()
	}
	return nil
}

func (r *Runner) wake() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *Runner) turnOf(campaignID string) *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turns[campaignID]
}

func (r *Runner) turnOfCall(id string, last bool) *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.calls[id]
	if last {
		delete(r.calls, id)
	}
	return t
}

// due is a campaign that wants to be dialled.
type dueCampaign struct {
	ID             string
	OrganisationID string
	State          State
	HeldUntil      int64
	Holder         string
}

// look finds campaigns that nobody dials, and begins.
func (r *Runner) look(ctx context.Context) error {
	found, err := readEach[dueCampaign](ctx, r.s.c.DB, "find campaigns to dial",
		"SELECT id, organisation_id, state, held_until, holder FROM campaigns WHERE state IN (?, ?)", Running, Scheduled)
	if err != nil && len(found) == 0 {
		return err
	}
	now := r.s.now().UnixMilli()
	for _, d := range found {
		switch {
		case r.turnOf(d.ID) != nil:
		case d.State == Scheduled:
			if err := r.s.begin(ctx, d.OrganisationID, d.ID); err != nil {
				r.s.c.Log.WarnContext(ctx, "a scheduled campaign could not begin", "campaign", d.ID, "error", err)
			}
		case d.HeldUntil <= now || d.Holder == r.s.c.Node:
			r.begin(ctx, d)
		}
	}
	return err
}

// readEach reads rows of all organisations, wherever they are.
func readEach[T any](ctx context.Context, d *db.DB, why, query string, args ...any) (out []T, err error) {
	err = d.EachPlacement(ctx, why, func(ctx context.Context, in *db.DB) error {
		var some []T
		err := in.ReadSystem(ctx, why, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewRaw(query, args...).Scan(ctx, &some)
		})
		out = append(out, some...)
		return err
	})
	return out, err
}

// begin starts a scheduled campaign whose time has come.
func (s *Service) begin(ctx context.Context, orgID, id string) error {
	c, err := s.Get(ctx, orgID, id)
	if err != nil {
		return err
	}
	if starts := c.Settings.Schedule.Starts; starts != nil && starts.After(s.now()) {
		return nil
	}
	p, err := s.Preflight(ctx, orgID, id)
	if err != nil {
		return err
	}
	if err := p.refuse(); err != nil { // what was right when it was scheduled is not any more
		_, err = s.Pause(ctx, orgID, id, err.Error())
		return err
	}
	_, err = s.to(ctx, orgID, id, "start", Running, "")
	if fault.Is(err, fault.Conflict) { // another worker was first
		return nil
	}
	return err
}

// begin takes a campaign and dials it.
func (r *Runner) begin(ctx context.Context, d dueCampaign) {
	t, err := r.s.takeTurn(ctx, r, d.OrganisationID, d.ID)
	if err != nil {
		r.s.c.Log.WarnContext(ctx, "a campaign could not be taken", "campaign", d.ID, "error", err)
		return
	}
	if t == nil {
		return
	}
	r.mu.Lock()
	r.turns[d.ID] = t
	r.mu.Unlock()
	r.wg.Go(func() {
		t.run(ctx)
		r.mu.Lock()
		delete(r.turns, d.ID)
		for id, of := range r.calls {
			if of == t {
				delete(r.calls, id)
			}
		}
		r.mu.Unlock()
		r.wake()
	})
}
