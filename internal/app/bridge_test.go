package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// transfers gives the states of the transfers of an event log.
func transfers(entries []conversation.CallEntry) (states []string) {
	for _, e := range entries {
		if e.Kind == event.EntryTransfer {
			states = append(states, fmt.Sprint(e.Text, " ", e.Data["state"]))
		}
	}
	return states
}

func said(entries []conversation.CallEntry) (words []string) {
	for _, e := range entries {
		if e.Kind == event.EntryAgentSaid {
			words = append(words, e.Text)
		}
	}
	return words
}

func TestTransferJoinsTheCallerToAPhone(t *testing.T) {
	for _, c := range []struct {
		name, callerCodec, deskCodec string
		deskHangsUp                  bool
		by                           string
	}{
		{"the caller hangs up", "pcmu", "pcmu", false, "caller"},
		{"the phone hangs up", "pcmu", "g722", true, "operator"},
		{"another rate", "g722", "pcma", true, "operator"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newExchangeRig(t)
			r.phone(ours, "desk")
			desk, anna := ringer(t, r, c.deskCodec, nil), ringer(t, r, c.callerCodec, nil)
			r.frontDesk("desk")
			r.listen(map[string]*phone{"desk": desk})
			caller := anna.call(t, r, "front-desk")
			hers := joinTalker(t, caller, callerHz, deskHz)
			other := desk.answered(t)
			his := joinTalker(t, other, deskHz, callerHz)
			his.talks.Store(true)
			hers.hears(t, "the phone")
			hers.talks.Store(true)
			his.hears(t, "the caller")
			if err := caller.SendDTMF(t.Context(), "7"); err != nil {
				t.Fatal(err)
			}
			select {
			case d := <-his.digits:
				if d != '7' {
					t.Errorf("digit %q", d)
				}
			case <-time.After(patience):
				t.Error("the caller's digit did not come through")
			}
			if c.deskHangsUp {
				hangUp(t, other)
			} else {
				hangUp(t, caller)
			}
			over(t, other, "the phone's call")
			over(t, caller, "the caller's call")

			call, entries := r.ended()
			if call.EndedBy != c.by || call.EndReason != "normal" {
				t.Errorf("ended by %s: %s (%s)", call.EndedBy, call.EndReason, call.EndText)
			}
			if got := transfers(entries); fmt.Sprint(got) != "[desk dialling desk answered]" {
				t.Errorf("transfers: %q", got)
			}
			if last := entries[len(entries)-1]; last.Kind != event.EntryEnded || last.Data["by"] != c.by {
				t.Errorf("the last entry is %+v", last)
			}
			if len(call.Legs) != 2 || call.Legs[1].To != "desk" || call.Legs[1].EndedAt == nil || call.Legs[1].Stats.PacketsIn == 0 {
				t.Errorf("legs: %+v", call.Legs)
			}
			peaks := must(r.records.RecordingPeaks(context.Background(), ours, call.ID, 20))(t)
			if peaks.Agent[19] < 0.1 && peaks.Agent[18] < 0.1 || peaks.Caller[19] < 0.1 && peaks.Caller[18] < 0.1 {
				t.Errorf("the recording does not hold both at the end: %+v", peaks)
			}
		})
	}
}

func TestTransferThatFailsGivesTheCallerBack(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, r *exchangeRig) (target string, phones map[string]*phone){
		"busy": func(t *testing.T, r *exchangeRig) (string, map[string]*phone) {
			r.phone(ours, "desk")
			return "desk", map[string]*phone{"desk": ringer(t, r, "pcmu", func(l media.Leg) {
				_ = l.Hangup(context.Background(), media.Cause{By: "agent", Code: "busy"})
			})}
		},
		"not registered": func(*testing.T, *exchangeRig) (string, map[string]*phone) { return "desk", nil },
		"another organisation's": func(t *testing.T, r *exchangeRig) (string, map[string]*phone) {
			r.phone(theirs, "desk")
			return "desk", map[string]*phone{"desk": ringer(t, r, "pcmu", nil)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newExchangeRig(t)
			target, phones := set(t, r)
			anna := ringer(t, r, "pcmu", nil)
			r.frontDesk(target)
			r.listen(phones)
			caller := anna.call(t, r, "front-desk")
			joinTalker(t, caller, callerHz, deskHz)
			over(t, caller, "the call")
			call, entries := r.ended()
			if got := transfers(entries); fmt.Sprint(got) != "[desk dialling desk failed]" {
				t.Errorf("transfers: %q", got)
			}
			if got := strings.Join(said(entries), " "); !strings.HasSuffix(got, "The desk is closed. Goodbye.") {
				t.Errorf("the agent said %q", got)
			}
			refused := slices.ContainsFunc(entries, func(e conversation.CallEntry) bool {
				return e.Kind == event.EntrySignal && strings.HasPrefix(e.Text, "486")
			})
			if refused != (name == "busy") || refused && (len(call.Legs) != 2 || !strings.Contains(fmt.Sprint(*call.Legs[1].Cause), "busy")) {
				t.Errorf("refused: %v, legs %+v", refused, call.Legs)
			}
			if call.EndedBy != "agent" || call.EndReason == "transferred" {
				t.Errorf("ended by %s: %s", call.EndedBy, call.EndReason)
			}
		})
	}
}

func TestCallerWhoHangsUpWhileItRings(t *testing.T) {
	r := newExchangeRig(t)
	r.phone(ours, "desk")
	rings, gone := make(chan media.Leg, 1), make(chan struct{})
	desk := ringer(t, r, "pcmu", func(l media.Leg) {
		rings <- l
		<-l.Done()
		close(gone)
	})
	anna := ringer(t, r, "pcmu", nil)
	r.frontDesk("desk")
	r.listen(map[string]*phone{"desk": desk})
	caller := anna.call(t, r, "front-desk")
	joinTalker(t, caller, callerHz, deskHz)
	<-rings
	hangUp(t, caller)
	<-gone
	call, entries := r.ended()
	if call.EndedBy != "caller" || fmt.Sprint(transfers(entries)) != "[desk dialling desk failed]" {
		t.Errorf("ended by %s, transfers %q", call.EndedBy, transfers(entries))
	}
}

func TestPhoneCallsPhone(t *testing.T) {
	r := newExchangeRig(t)
	r.phone(ours, "desk")
	desk, anna := ringer(t, r, "g722", nil), ringer(t, r, "pcmu", nil)
	r.listen(map[string]*phone{"desk": desk})
	caller := anna.call(t, r, "desk")
	hers := joinTalker(t, caller, callerHz, deskHz)
	other := desk.answered(t)
	his := joinTalker(t, other, deskHz, callerHz)
	his.talks.Store(true)
	hers.talks.Store(true)
	hers.hears(t, "the phone")
	his.hears(t, "the caller")
	hangUp(t, other)
	over(t, caller, "the caller's call")
	call, _ := r.ended()
	if call.AgentID != "" || call.To != "desk" || call.TakenBy != "desks-person" || call.EndedBy != "operator" || len(call.Legs) != 2 || call.Codec == "" {
		t.Errorf("record: %+v", call)
	}
}

func TestPhoneIsBusyForAPhone(t *testing.T) {
	r := newExchangeRig(t)
	r.phone(ours, "desk")
	desk := ringer(t, r, "g722", func(l media.Leg) {
		_ = l.Hangup(context.Background(), media.Cause{By: "agent", Code: "busy"})
	})
	anna := ringer(t, r, "pcmu", nil)
	r.listen(map[string]*phone{"desk": desk})
	l := must(anna.Dial(t.Context(), sip.DialRequest{To: "sip:desk@" + r.sip.Addr().String(), From: "anna"}))(t)
	if err := l.Answer(t.Context()); err == nil {
		t.Fatal("it was answered")
	}
	if c := l.End(); c.Code != "busy" {
		t.Errorf("the caller was told %+v", c)
	}
	if call, _ := r.ended(); call.EndReason != "busy" || call.AnsweredAt != nil {
		t.Errorf("record: %s, answered %v", call.EndReason, call.AnsweredAt)
	}
}

// carried is a leg whose carrier transfers by itself, and nothing else.
type carried struct {
	media.Leg
	to string
}

func (l *carried) Transfer(_ context.Context, to string) error { l.to = to; return nil }
func (l *carried) Done() <-chan struct{}                       { return nil }
func (l *carried) Rate() int                                   { return 8000 }
func (l *carried) Info() media.LegInfo                         { return media.LegInfo{Kind: media.KindTwilio} }

func TestNumbersAreLeftToTheCarrier(t *testing.T) {
	r := newExchangeRig(t)
	rec := must(r.records.Begin(t.Context(), conversation.NewCall{OrgID: ours, Channel: "twilio", Direction: "inbound"}))(t)
	l := &carried{}
	h := r.handover(l, rec)
	if err := h.Transfer(t.Context(), "+1 415 555-0123"); err != nil || l.to != "+1 415 555-0123" {
		t.Errorf("to %q: %v", l.to, err)
	}
	if err := r.handover(l, rec).Transfer(t.Context(), "sip:desk@example.org"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("with SIP off: %v", err)
	}
	rec.End(conversation.Ending{})
}

func TestNumber(t *testing.T) {
	for s, want := range map[string]bool{"+14155550123": true, "(030) 12-34": true, "200": true, "desk": false, "desk2": false,
		"sip:1@2": false, "+": false, "": false, "--": false} {
		if isNumber(s) != want {
			t.Errorf("isNumber(%q) = %v", s, !want)
		}
	}
}

// counter is an endpoint that never speaks.
type counter struct{ played int64 }

func (*counter) Tick(_, _ []int16) bool { return false }
func (c *counter) Played(n int64)       { c.played = n }
func (*counter) Event(_ media.LegEvent) {}

func TestRingbackIsNotTheConversations(t *testing.T) {
	x, c, out := &exchange{}, &counter{}, make([]int16, 160)
	x.join(c)
	x.Played(5)
	x.ring(newRingback(8000))
	n := int64(0)
	for range 2 * ringFrames {
		if x.Tick(nil, out) {
			n++
		}
	}
	if n != 2*toneFrames {
		t.Errorf("%d frames of tone", n)
	}
	if share(out, 1000, 8000) > 0.1 {
		t.Error("the tone is not what it should be")
	}
	for i := range n {
		x.Played(5 + i + 1)
		if c.played != 5 {
			t.Fatalf("the conversation was told that %d of its frames were heard", c.played)
		}
	}
	x.ring(nil)
	x.Played(5 + n + 3)
	if c.played != 8 {
		t.Errorf("%d frames were heard, want 8", c.played)
	}
}

func BenchmarkExchange(b *testing.B) {
	x, in, out := &exchange{}, make([]int16, 160), make([]int16, 160)
	x.join(&counter{})
	x.ring(newRingback(8000))
	b.ReportAllocs()
	for b.Loop() {
		x.Tick(in, out)
	}
}
