package app

import (
	"context"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// planned is what the identity context would say of every organisation.
type planned struct{ identity.Settings }

// SettingsOf implements settingsSource.
func (p *planned) SettingsOf(context.Context, string) (identity.Settings, error) {
	s := p.Settings
	if s.Location == nil {
		s.Location = time.UTC
	}
	return s, nil
}

func number(n int64) *int64 { return &n }

// refused calls and gives why it was not answered.
func refused(t *testing.T, r *exchangeRig, from *phone, to string) media.Cause {
	t.Helper()
	l := must(from.Dial(t.Context(), sip.DialRequest{To: "sip:" + to + "@" + r.sip.Addr().String(), From: "anna"}))(t)
	if err := l.Answer(t.Context()); err == nil {
		t.Fatal("it was answered")
	}
	return l.End()
}

// refusedCalls is what /metrics says of them.
func (r *exchangeRig) refusedCalls() (n float64) {
	for _, family := range must(r.reg.Gather())(r.t) {
		if family.GetName() == "parley_calls_refused_total" {
			for _, m := range family.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestPlanRefusesCalls(t *testing.T) {
	r := newExchangeRig(t)
	r.frontDesk("nobody")
	anna := ringer(t, r, "pcmu", nil)
	r.listen(nil)
	for name, c := range map[string]struct {
		says   identity.Settings
		status int
	}{
		"no line":   {identity.Settings{Limits: identity.PlanLimits{Calls: number(0)}}, 486},
		"no minute": {identity.Settings{Limits: identity.PlanLimits{Minutes: number(0)}}, 486},
		"suspended": {identity.Settings{Name: "Clinic", Suspended: true, Reason: "the bill is open"}, 603},
	} {
		before := r.refusedCalls()
		r.says.Settings = c.says
		if end := refused(t, r, anna, "front-desk"); end.Status != c.status {
			t.Errorf("%s: the caller was told %+v, want %d", name, end, c.status)
		}
		if n := r.refusedCalls() - before; n != 1 {
			t.Errorf("%s: %v calls counted as refused", name, n)
		}
	}
	if n := r.running(ours); n != 0 {
		t.Errorf("%d refused calls still hold a place", n)
	}
}

func TestPlanCountsCallsAtOnce(t *testing.T) {
	r := newExchangeRig(t)
	r.says.Limits.Calls = number(1)
	r.phone(ours, "desk")
	desk, anna := ringer(t, r, "pcmu", nil), ringer(t, r, "pcmu", nil)
	r.listen(map[string]*phone{"desk": desk})
	caller := anna.call(t, r, "desk")
	other := desk.answered(t)
	if end := refused(t, r, anna, "desk"); end.Status != 486 {
		t.Errorf("the second caller was told %+v", end)
	}
	hangUp(t, caller)
	over(t, other, "the phone's call")
	r.ended() // only the first call has a record
	next := anna.call(t, r, "desk")
	hangUp(t, next)
	over(t, desk.answered(t), "the phone's next call")
	r.wg.Wait()
}

func TestPlanWithoutRoomRecordsNothing(t *testing.T) {
	r := newExchangeRig(t)
	r.says.Limits.StorageBytes = number(0)
	r.phone(ours, "desk")
	desk, anna := ringer(t, r, "pcmu", nil), ringer(t, r, "pcmu", nil)
	r.listen(map[string]*phone{"desk": desk})
	caller := anna.call(t, r, "desk")
	other := desk.answered(t)
	hangUp(t, caller)
	over(t, other, "the phone's call")
	call, entries := r.ended()
	if call.Recording.State != conversation.RecordingNone || call.Recording.Bytes != 0 {
		t.Errorf("recording %+v", call.Recording)
	}
	for _, e := range entries {
		if e.Kind == event.EntryAlert && e.Data["code"] == string(fault.LimitReached) {
			return
		}
	}
	t.Errorf("nobody is told: %+v", entries)
}

type tally struct {
	asked int
	says  conversation.Usage
}

// Usage implements usageSource.
func (c *tally) Usage(context.Context, string, time.Time) (conversation.Usage, error) {
	c.asked++
	return c.says, nil
}

func TestPlanAsksForUsageOnceAMinute(t *testing.T) {
	clock := quartz.NewMock(t)
	clock.Set(time.Date(2026, 1, 31, 23, 59, 30, 0, time.UTC))
	used := &tally{says: conversation.Usage{Talked: 10 * time.Minute}}
	says := &planned{identity.Settings{Limits: identity.PlanLimits{Minutes: number(10)}}}
	p := &plan{settings: says, usage: used, clock: clock}
	for range 3 {
		if _, err := p.admit(t.Context(), ours); !fault.Is(err, fault.LimitReached) {
			t.Fatalf("ten of ten minutes are used: %v", err)
		}
	}
	if used.asked != 1 {
		t.Errorf("asked %d times", used.asked)
	}
	used.says = conversation.Usage{}
	clock.Advance(30 * time.Second) // a new month
	if _, err := p.admit(t.Context(), ours); err != nil || used.asked != 2 {
		t.Errorf("a new month begins with no minute used: %v, asked %d times", err, used.asked)
	}
	says.Limits = identity.PlanLimits{}
	clock.Advance(time.Hour)
	if _, err := p.admit(t.Context(), ours); err != nil || used.asked != 2 {
		t.Errorf("without a limit nothing is counted: %v, asked %d times", err, used.asked)
	}
}
