package app

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/egress"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
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
	says  *planned
	reg   *prometheus.Registry
}

type unwatched struct{}

func (unwatched) PublishLive(string, event.Fact) bool { return true }

func newExchangeRig(t *testing.T) *exchangeRig {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	log, clock, dir := slog.New(slog.DiscardHandler), quartz.NewReal(), t.TempDir()
	d := dbtest.SQLite(t, migrations()...)
	r := &exchangeRig{t: t, reg: prometheus.NewRegistry(), pacer: media.NewPacer(media.PacerConfig{Shards: 4})}
	r.blobs = must(blob.Open(t.Context(), blob.Config{DataDir: dir}))(t)
	agents := agent.New(agent.Config{DB: d, Sealer: envelopetest.New(0xab), Clock: clock, Log: log})
	v := newVendors(agents, must(local.New(local.Config{Clock: clock, Log: log}))(t), sim.Config{Clock: clock}, newOutbound(egress.Rules{}, privateAll, nil), log)
	r.calls = &calls{agents: agents, vendors: v, prompts: voice.NewPromptCache(promptCache), metrics: newMetrics(r.reg), tracer: noop.NewTracerProvider().Tracer(""),
		phones: telephony.New(telephony.Config{DB: d, Sealer: envelopetest.New(0xab), Clock: clock, Log: log}),
		gates:  telephony.NewGates(telephony.GatesConfig{Rand: func() float64 { return 0 }, Clock: clock}),
		clock:  clock, log: log, max: 10, live: map[string]*liveCall{}}
	r.says = &planned{}
	r.plan = &plan{settings: r.says, clock: clock}
	r.records = must(conversation.New(conversation.Config{DB: d, Blobs: r.blobs, Keys: envelopetest.New(0xab), DataDir: dir, Live: unwatched{}, Calls: r.calls, Clock: clock, Log: log}))(t)
	r.plan.usage = r.records
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
		if err := r.phones.SaveContacts(r.t.Context(), name, "", []sip.Contact{contact}); err != nil {
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
	if _, _, err := r.phones.Create(r.t.Context(), org, telephony.NewPhone{Username: name, UserID: name + "s-person"}); err != nil {
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
	r.counts() // takes the lock that begin adds under, so that Wait comes after it
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
