package app

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/sip"
	"github.com/parley-voice/parley/internal/voice"
	"github.com/parley-voice/parley/internal/voice/provider/local"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

const (
	ours     = "018f0000-0000-7000-8000-00000000000a"
	theirs   = "018f0000-0000-7000-8000-00000000000b"
	patience = 30 * time.Second // a test that waits longer has failed

	callerHz = 600.0
	deskHz   = 1000.0
)

// exchangeRig is a server with everything calls need, and phones made of SIP servers of their own.
type exchangeRig struct {
	*calls
	t     *testing.T
	pacer *media.Pacer
	blobs *blob.Store
}

type unwatched struct{}

func (unwatched) PublishLive(string, event.Fact) bool { return true }

func newExchangeRig(t *testing.T) *exchangeRig {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	log, clock, dir := slog.New(slog.DiscardHandler), quartz.NewReal(), t.TempDir()
	d := dbtest.SQLite(t, migrations()...)
	key := must(secret.ParseKey(strings.Repeat("ab", 32)))(t)
	r := &exchangeRig{t: t, pacer: media.NewPacer(media.PacerConfig{Shards: 4})}
	r.blobs = must(blob.Open(t.Context(), blob.Config{DataDir: dir}))(t)
	agents := agent.New(agent.Config{DB: d, Sealer: key, Clock: clock, Log: log})
	v := newVendors(agents, must(local.New(local.Config{Clock: clock, Log: log}))(t), sim.Config{Clock: clock}, log)
	r.calls = &calls{agents: agents, vendors: v, prompts: voice.NewPromptCache(promptCache), metrics: newMetrics(prometheus.NewRegistry()),
		phones: telephony.New(telephony.Config{DB: d, Sealer: key.Box("phones"), Clock: clock, Log: log}),
		clock:  clock, log: log, max: 10, live: map[string]*liveCall{}}
	r.records = must(conversation.New(conversation.Config{DB: d, Blobs: r.blobs, Key: key, DataDir: dir, Live: unwatched{}, Calls: r.calls, Clock: clock, Log: log}))(t)
	if err := r.records.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.close()
		_ = r.records.Close(context.Background())
		_ = r.blobs.Close()
		r.pacer.Close()
	})
	return r
}

// must ends the test when the other value is an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// listen starts the server's own SIP, with phones registered at the given places.
func (r *exchangeRig) listen(phones map[string]*phone) {
	r.t.Helper()
	for name, p := range phones {
		contact := sip.Contact{URI: "sip:" + name + "@" + p.Addr().String(), Transport: "udp", Source: p.Addr().String(), CallID: name, ExpiresAt: time.Now().Add(time.Hour)}
		if err := r.phones.SaveContacts(r.t.Context(), name, []sip.Contact{contact}); err != nil {
			r.t.Fatal(err)
		}
	}
	r.sip = serveSIP(r.t, sip.Config{Pacer: r.pacer, Accept: r.accept, Phones: r.phones})
}

func serveSIP(t *testing.T, c sip.Config) *sip.Server {
	t.Helper()
	c.Addr = "127.0.0.1:0"
	s := must(sip.New(c))(t)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

func (r *exchangeRig) phone(org, name string) {
	r.t.Helper()
	if _, _, err := r.phones.Create(r.t.Context(), org, telephony.NewPhone{Username: name}); err != nil {
		r.t.Fatal(err)
	}
}

// frontDesk is an agent that puts every caller through to target, and takes leave when that fails.
func (r *exchangeRig) frontDesk(target string) {
	r.t.Helper()
	simulated := agent.ModelRef{Vendor: agent.VendorSim}
	_, err := r.agents.Create(r.t.Context(), ours, agent.NewAgent{Name: "Front desk", Slug: "front-desk", Publish: true, Definition: &agent.Definition{
		Kind: agent.KindFlow, Voice: agent.Voice{Speed: 2}, Models: agent.Models{STT: simulated, TTS: simulated},
		Flow: &flow.Graph{
			Data: flow.Data{Departments: []flow.Department{{ID: "desk", Name: "the desk", Target: target, Message: "The desk is closed."}}},
			Nodes: []flow.Node{{ID: "s", Type: flow.TypeStart, Data: flow.NodeData{Text: "Hello."}},
				{ID: "r", Type: flow.TypeRoute, Data: flow.NodeData{Department: "desk"}}, {ID: "h", Type: flow.TypeHangup, Data: flow.NodeData{Text: "Goodbye."}}},
			Edges: []flow.Edge{{Source: "s", Target: "r"}, {Source: "r", Target: "h"}},
		},
	}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// ended waits until every call is over and gives the record of the only one.
func (r *exchangeRig) ended() (conversation.CallDetail, []conversation.CallEntry) {
	r.t.Helper()
	r.wg.Wait()
	ctx := context.Background()
	if err := r.records.Flush(ctx); err != nil {
		r.t.Fatal(err)
	}
	list, _, err := r.records.List(ctx, ours, conversation.ListQuery{Limit: 10})
	if err != nil || len(list) != 1 {
		r.t.Fatalf("%d calls, %v", len(list), err)
	}
	detail := must(r.records.Get(ctx, ours, list[0].ID))(r.t)
	entries, _, err := r.records.Events(ctx, ours, list[0].ID, conversation.EventQuery{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	return detail, entries
}

// phone is somebody's telephone: a SIP server of its own.
type phone struct {
	*sip.Server
	legs chan media.Leg
}

// ringer starts a phone that answers with a tone, or does something else with a call.
func ringer(t *testing.T, r *exchangeRig, codec string, instead func(media.Leg)) *phone {
	p := &phone{legs: make(chan media.Leg, 4)}
	p.Server = serveSIP(t, sip.Config{Pacer: r.pacer, Codecs: []string{codec}, Accept: func(ctx context.Context, l media.Leg) {
		if instead != nil {
			instead(l)
			return
		}
		if l.Answer(ctx) == nil {
			p.legs <- l
		}
	}})
	return p
}

func (p *phone) answered(t *testing.T) media.Leg {
	t.Helper()
	select {
	case l := <-p.legs:
		return l
	case <-time.After(patience):
		t.Fatal("the phone did not ring")
		return nil
	}
}

// call places a call from p to the server.
func (p *phone) call(t *testing.T, r *exchangeRig, to string) media.Leg {
	t.Helper()
	l := must(p.Dial(t.Context(), sip.DialRequest{To: fmt.Sprintf("sip:%s@%s", to, r.sip.Addr()), From: "anna"}))(t)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// talker says a tone, once told to, and listens for the other side's.
type talker struct {
	rate         int
	says, awaits float64
	talks        atomic.Bool
	at           int
	heard        chan struct{} // closed when the other's tone was clear for 200 ms
	frames       int
	digits       chan byte
}

func joinTalker(t *testing.T, l media.Leg, says, awaits float64) *talker {
	t.Helper()
	e := &talker{rate: l.Rate(), says: says, awaits: awaits, heard: make(chan struct{}), digits: make(chan byte, 8)}
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *talker) Tick(in, out []int16) bool {
	if in != nil && e.frames < 10 {
		if clear := share(in, e.awaits, e.rate) > 0.8; clear {
			e.frames++
		} else {
			e.frames = 0
		}
		if e.frames == 10 {
			close(e.heard)
		}
	}
	if out == nil || !e.talks.Load() {
		return false
	}
	for i := range out {
		out[i] = int16(8000 * math.Sin(2*math.Pi*e.says*float64(e.at)/float64(e.rate)))
		e.at++
	}
	return true
}

func (e *talker) Played(int64) {}

func (e *talker) Event(ev media.LegEvent) {
	if ev.Kind == media.LegDTMF {
		e.digits <- ev.Digit
	}
}

// share is how much of a frame's power lies at hz (Goertzel's algorithm).
func share(frame []int16, hz float64, rate int) float64 {
	var a, b, power float64
	k := 2 * math.Cos(2*math.Pi*hz/float64(rate))
	for _, s := range frame {
		x := float64(s)
		power += x * x
		a, b = x+k*a-b, a
	}
	if power < float64(len(frame))*1e4 {
		return 0
	}
	return 2 * (a*a + b*b - k*a*b) / (float64(len(frame)) * power)
}

func (e *talker) hears(t *testing.T, what string) {
	t.Helper()
	select {
	case <-e.heard:
	case <-time.After(patience):
		t.Fatalf("%s was not heard", what)
	}
}

func over(t *testing.T, l media.Leg, what string) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(patience):
		t.Fatalf("%s did not end", what)
	}
}

func hangUp(t *testing.T, l media.Leg) {
	t.Helper()
	if err := l.Hangup(context.Background(), media.Cause{By: "caller", Code: "normal"}); err != nil {
		t.Fatal(err)
	}
}

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
	if call.AgentID != "" || call.To != "desk" || call.EndedBy != "operator" || len(call.Legs) != 2 || call.Codec == "" {
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
