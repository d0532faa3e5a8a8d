package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	usageFor  = time.Minute // how old the count of an organisation's minutes and bytes may be
	usageKept = 10_000
)

// settingsSource gives what an organisation may do; identity.Service is one.
type settingsSource interface {
	SettingsOf(ctx context.Context, orgID string) (identity.Settings, error)
}

// usageSource counts what calls took; conversation.Service is one.
type usageSource interface {
	Usage(ctx context.Context, orgID string, since time.Time) (conversation.Usage, error)
}

// plan asks whether an organisation's plan allows one call more. Minutes and bytes are counted at most once a minute, and
// only where the plan limits them; a call that runs is never cut short by it.
type plan struct {
	settings settingsSource
	usage    usageSource
	clock    quartz.Clock

	mu   sync.Mutex
	used map[string]usedAt
}

type usedAt struct {
	conversation.Usage
	since, at time.Time
}

// allowance is what a plan says of one call.
type allowance struct {
	most     int64 // calls at once; negative is no limit
	noRecord bool  // there is no room for its recording
}

// admit gives the allowance of a call of orgID that wants to begin now, or why it may not.
func (p *plan) admit(ctx context.Context, orgID string) (allowance, error) {
	out := allowance{most: -1}
	s, err := p.settings.SettingsOf(ctx, orgID)
	if err != nil {
		return out, err
	}
	if err := s.Standing(); err != nil {
		return out, err
	}
	if l := s.Limits.Calls; l != nil {
		out.most = *l
	}
	if s.Limits.Minutes == nil && s.Limits.StorageBytes == nil {
		return out, nil
	}
	u, err := p.usageOf(ctx, orgID, s.MonthStart(p.clock.Now()))
	if err != nil {
		return out, err
	}
	if l := s.Limits.Minutes; l != nil && minutes(u.Talked) >= *l {
		return out, fault.New(fault.LimitReached, "the organisation's plan includes %d minutes a month, and they are used up; wait for the next month or ask for a bigger plan", *l)
	}
	out.noRecord = s.Limits.StorageBytes != nil && u.Bytes >= *s.Limits.StorageBytes
	return out, nil
}

// limited reports whether an organisation's plan limits its calls at once. One that cannot be read does.
func (p *plan) limited(ctx context.Context, orgID string) bool {
	s, err := p.settings.SettingsOf(ctx, orgID)
	return err != nil || s.Limits.Calls != nil
}

// minutes is a time in whole minutes: one that began is not used up.
func minutes(d time.Duration) int64 { return int64(d / time.Minute) }

func (p *plan) usageOf(ctx context.Context, orgID string, since time.Time) (conversation.Usage, error) {
	now := p.clock.Now()
	p.mu.Lock()
	u, ok := p.used[orgID]
	p.mu.Unlock()
	if ok && u.since.Equal(since) && now.Sub(u.at) < usageFor {
		return u.Usage, nil
	}
	v, err := p.usage.Usage(ctx, orgID, since)
	if err != nil {
		return v, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.used) >= usageKept || p.used == nil {
		p.used = map[string]usedAt{}
	}
	p.used[orgID] = usedAt{Usage: v, since: since, at: now}
	return v, nil
}

// sharePlaces counts calls at once together with other media processes. Each run has a name of its own: what the one before had
// is over.
func (a *App) sharePlaces(ctx context.Context) (err error) {
	a.calls.places, err = newPlaces(ctx, placesConfig{Node: instance(uuid.NewString()), Bus: a.bus, Limited: a.calls.plan.limited, Clock: a.clock, Log: a.log})
	if err != nil {
		return err
	}
	a.onStop("places", a.calls.places.close)
	return nil
}

// use counts what an organisation has of what plans limit.
func (a *App) use(ctx context.Context, orgID string, monthStart time.Time) (identity.Use, error) {
	var u identity.Use
	var err error
	if u.Agents, err = a.agents.Count(ctx, orgID); err != nil {
		return u, err
	}
	if u.Phones, err = a.phones.Count(ctx, orgID); err != nil {
		return u, err
	}
	if l := a.requests.Load(); l != nil {
		if n, counted := l.Used(ctx, orgID); counted {
			u.RequestsPerMinute = &n
		}
	}
	if a.records == nil { // the command line
		return u, nil
	}
	v, err := a.records.Usage(ctx, orgID, monthStart)
	u.Minutes, u.StorageBytes = minutes(v.Talked), v.Bytes
	if a.calls == nil || a.cfg.split() {
		live, err2 := a.records.CountLive(ctx, orgID)
		for _, n := range live {
			u.Calls += int64(n)
		}
		return u, errors.Join(err, err2)
	}
	u.Calls = a.calls.running(orgID)
	return u, err
}

// agentQuota is how many agents an organisation's plan includes; nil is no limit.
func (a *App) agentQuota(ctx context.Context, orgID string) (*int64, error) {
	l, err := a.identity.Limits(ctx, orgID)
	if fault.Is(err, fault.NotFound) { // it is being made
		return nil, nil
	}
	return l.Agents, err
}

// phoneQuota is how many phones an organisation's plan includes; nil is no limit.
func (a *App) phoneQuota(ctx context.Context, orgID string) (*int64, error) {
	l, err := a.identity.Limits(ctx, orgID)
	return l.Phones, err
}

// standing says why an organisation may do nothing now.
func (a *App) standing(ctx context.Context, orgID string) error {
	s, err := a.identity.SettingsOf(ctx, orgID)
	if err != nil {
		return err
	}
	return s.Standing()
}

// followIdentity forgets what this process remembers of people when another process changed them.
func (a *App) followIdentity(ctx context.Context) error {
	_, err := a.bus.Subscribe(ctx, bus.SubConfig{Live: true, Filter: []string{"identity.changed"}}, func(_ context.Context, m bus.Msg) error {
		var changed event.IdentityChanged
		if err := json.Unmarshal(m.Data, &changed); err != nil {
			return fmt.Errorf("identity.changed: %w", err)
		}
		a.identity.Forget(changed.OrgID, changed.UserID)
		return nil
	})
	return err
}
