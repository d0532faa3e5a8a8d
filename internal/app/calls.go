package app

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/mediastream"
	"github.com/parley-voice/parley/internal/telephony/sip"
	"github.com/parley-voice/parley/internal/voice"
)

const (
	answerTimeout = 20 * time.Second
	ringTimeout   = 60 * time.Second
	hangupTimeout = 5 * time.Second
	settleTimeout = 5 * time.Second
	promptCache   = 16 << 20
)

// calls joins legs to agents: it is where a telephone call becomes a conversation with a record.
type calls struct {
	agents  *agent.Service
	phones  *telephony.Service
	records *conversation.Service
	// organisations finds who has an address.
	organisations interface {
		AtAddress(ctx context.Context, address string) (orgID string, err error)
	}
	sip     *sip.Server // nil when SIP is off
	vendors *vendors
	prompts *voice.PromptCache
	metrics *callMetrics
	tracer  trace.Tracer
	plan    *plan
	clock   quartz.Clock
	log     *slog.Logger
	max     int
	shared  bool // other processes are asked about calls that begin here
	// places counts organisations' calls together with other media processes; nil: there are none.
	places *places
	gates  *telephony.Gates // of trunks

	mu       sync.Mutex
	live     map[string]*liveCall
	placing  map[string]bool  // ids of calls that are being placed, until they are among the live ones
	taken    map[string]int64 // lines, by organisation: of running calls and of those that begin
	all      int              // lines taken
	draining bool
	wg       sync.WaitGroup
}

type liveCall struct {
	id, org, agentID string
	leg              media.Leg
	line             line
}

// accept takes an inbound leg of any kind.
func (c *calls) accept(ctx context.Context, leg media.Leg) {
	info := leg.Info()
	snap, err := c.find(ctx, info)
	if fault.Is(err, fault.NotFound) {
		var org string
		if org, err = c.phoneCalled(ctx, info); err == nil {
			c.acceptForPhone(ctx, leg, org)
			return
		}
	}
	if err != nil {
		c.log.Info("call refused", "to", info.To, "from", info.From, "reason", err)
		c.refuse(leg, causeOf(err))
		return
	}
	rec, err := c.begin(ctx, leg, snap, "")
	if err != nil {
		c.log.Warn("call refused", "to", info.To, "reason", err)
		c.refuse(leg, causeOf(err))
		return
	}
	c.hold(ctx, leg, rec, snap, nil, answerTimeout)
}

// find gives the agent that a leg asks for: the one its token names, or the one of its address. AGENT.ADDRESS names
// the organisation too; a registered phone that names none means its own.
func (c *calls) find(ctx context.Context, info media.LegInfo) (*agent.Snapshot, error) {
	if org := info.Params[mediastream.ParamOrg]; org != "" {
		return c.agents.Published(ctx, org, info.Params[mediastream.ParamAgent])
	}
	slug, address, named := strings.Cut(strings.ToLower(info.To), ".")
	if named {
		org, err := c.organisations.AtAddress(ctx, address)
		if err != nil {
			return nil, err
		}
		return c.agents.Published(ctx, org, slug)
	}
	if phone := info.Params["phone"]; phone != "" {
		org, found, err := c.phones.Owner(ctx, phone)
		if err != nil {
			return nil, err
		}
		if found {
			return c.agents.Published(ctx, org, slug)
		}
	}
	return c.agents.ResolveSlug(ctx, slug)
}

// hold answers the leg and holds the conversation until it is over.
func (c *calls) hold(ctx context.Context, leg media.Leg, rec *conversation.Call, snap *agent.Snapshot, o *Outset, answer time.Duration) {
	c.carry(leg, rec, func() conversation.Ending { return c.converse(ctx, leg, rec, snap, o, answer) })
}

// carry runs a call to its end. The record ends in every case, also when something here panics: that ends
// this call and no other.
func (c *calls) carry(leg media.Leg, rec *conversation.Call, call func() conversation.Ending) {
	defer c.done(rec.ID())
	end := conversation.Ending{By: "system", Reason: "error", Text: errorText}
	span := c.span(rec)
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a call panicked", "call", rec.ID(), "panic", p)
			c.metrics.panics.Inc()
			c.refuse(leg, media.Cause{By: "system", Code: "error", Text: end.Text})
		}
		rec.LegEnded("", legCause(leg.End()), conversation.LegStats(leg.Stats()))
		rec.End(end)
		endCallSpan(span, end)
	}()
	end = call()
}

func (c *calls) converse(ctx context.Context, leg media.Leg, rec *conversation.Call, snap *agent.Snapshot, o *Outset, answer time.Duration) conversation.Ending {
	answering, cancel := context.WithTimeout(ctx, answer)
	err := leg.Answer(answering)
	cancel()
	if err != nil {
		cause := causeOf(err)
		c.refuse(leg, cause)
		if e := leg.End(); e.Code != "" {
			cause = e
		}
		c.judge(rec.ID(), false, cause)
		c.drainSignals(leg, rec)
		return ending(cause)
	}
	c.judge(rec.ID(), true, media.Cause{})
	answered := c.clock.Now()
	codec := leg.Stats().Codec
	rec.Answered(conversation.Answer{At: answered, Rate: leg.Rate(), Codec: codec})
	h := c.handover(leg, rec)
	cfg, err := c.session(ctx, h, rec, snap, o, rand.Uint64(), codec)
	if err != nil {
		rec.Note(event.EntryVendorError, err.Error(), map[string]any{"code": string(fault.CodeOf(err)), "fatal": true})
		return c.misconfigured(leg, err)
	}
	cfg.AnsweredAt, cfg.Journal = answered, journal{h}
	defer func() { // only a panic leaves a bridge open
		if b := h.joined(); b != nil {
			b.close(media.Cause{By: "system", Code: "error", Text: errorText})
		}
	}()
	s, err := voice.New(cfg)
	if err != nil {
		return c.misconfigured(leg, err)
	}
	out := s.Run(ctx)
	if out.Leaked > 0 {
		c.log.Warn("a vendor ignored the end of its call", "call", rec.ID())
	}
	if b := h.joined(); b != nil {
		return ending(b.wait(ctx))
	}
	return ending(out.Cause)
}

const errorText = "The call ended by an error on our side."

// misconfigured ends a call that cannot begin as its agent is set up.
func (c *calls) misconfigured(leg media.Leg, err error) conversation.Ending {
	c.refuse(leg, media.Cause{By: "system", Code: "error", Text: err.Error()})
	return conversation.Ending{By: "system", Reason: "misconfigured", Text: err.Error()}
}

// session maps an agent's definition to the runtime's configuration.
func (c *calls) session(ctx context.Context, leg media.Leg, rec *conversation.Call, snap *agent.Snapshot, o *Outset, seed uint64, codec string) (voice.Config, error) {
	d := snap.Definition
	use, err := c.vendors.of(ctx, snap.OrgID, d, seed)
	if err != nil {
		return voice.Config{}, err
	}
	log := c.log.With("call", rec.ID())
	cfg := voice.Config{
		Leg: leg, STT: use.stt, TTS: use.tts, STTVendor: use.sttName, TTSVendor: use.ttsName,
		Voice:   voice.Voice{Name: use.voiceName, Language: d.Language, Speed: d.Voice.Speed},
		Journal: rec, Recorder: rec, Prompts: c.prompts, Clock: c.clock, Seed: seed, Log: log,
		Limits: voice.Limits{
			MaxDuration: ms(d.Limits.MaxDurationMS), Idle: ms(d.Limits.IdleMS),
			ReplyTimeout: ms(d.Limits.ReplyTimeoutMS), FillerAfter: ms(d.Limits.FillerAfterMS),
		},
		Interruption: voice.Interruption{
			Off: d.Interruption.Off, Endpoint: ms(d.Interruption.EndpointMS),
			MinSpeech: ms(d.Interruption.MinSpeechMS), CutAfter: ms(d.Interruption.CutAfterMS),
		},
		Observer: c.metrics.observer(),
		Describe: map[string]any{"agent": snap.Slug, "version": snap.Version, "codec": codec, "channel": string(leg.Info().Kind)},
	}
	if c.vendors.local.Check().Speech && use.tts != c.vendors.local {
		cfg.FallbackTTS = c.vendors.local
	}
	if o != nil {
		cfg.Outbound = &o.Outbound
	}
	cfg.Brain, err = c.brain(ctx, rec, snap, o, use, leg.Info(), log)
	return cfg, err
}

func (c *calls) brain(ctx context.Context, rec *conversation.Call, snap *agent.Snapshot, o *Outset, use services, info media.LegInfo, log *slog.Logger) (voice.Brain, error) {
	d := snap.Definition
	if d.Kind == agent.KindFlow {
		m, err := snap.Flow.New(flow.Deps{
			Now: func() time.Time { return c.clock.Now() }, Calendar: c.agents.Calendar(snap.OrgID, snap.AgentID, rec.ID()),
			Caller: info.From, Name: info.FromName, Variables: snap.Values(),
		})
		if err != nil {
			return nil, err
		}
		return &flowBrain{machine: m}, nil
	}
	tools, err := c.vendors.tools(ctx, snap.OrgID, d.Tools)
	if err != nil {
		return nil, err
	}
	return voice.NewPromptBrain(voice.PromptConfig{
		LLM: use.llm, Vendor: use.llmName, System: snap.Prompt(), Greeting: snap.Greeting(), Clock: c.clock, Log: log,
		Tools: o.tools(tools, func() time.Time { return c.clock.Now() }),
	})
}

// Hangup implements conversation.Live.
func (c *calls) Hangup(ctx context.Context, callID, by string) error {
	return c.callOff(ctx, callID, media.Cause{By: by, Code: "normal", Text: "Hung up."})
}

// endOf hangs up an organisation's calls that this process carries.
func (c *calls) endOf(ctx context.Context, orgID string) {
	c.mu.Lock()
	var legs []media.Leg
	for _, l := range c.live {
		if l.org == orgID {
			legs = append(legs, l.leg)
		}
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, hangupTimeout)
	defer cancel()
	for _, leg := range legs {
		if err := leg.Hangup(ctx, media.Cause{By: "system", Code: "normal", Text: "The organisation is closed."}); err != nil {
			c.log.WarnContext(ctx, "a call of a closed organisation does not end", "organisation", orgID, "error", err)
		}
	}
}

// settled waits until other processes find a call that began just now: whoever asked for it asks them next.
func (c *calls) settled(ctx context.Context) {
	if !c.shared {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := c.records.Flush(ctx); err != nil {
		c.log.Warn("a new call is not in the database yet", "error", err)
	}
}

// counts gives the running calls of an organisation by agent.
func (c *calls) counts() (total int, byAgent map[[2]string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	byAgent = map[[2]string]int{}
	for _, l := range c.live {
		byAgent[[2]string{l.org, l.agentID}]++
	}
	return len(c.live), byAgent
}

func errStopping() error {
	return fault.New(fault.Unavailable, "the server is stopping; try again in a moment")
}

// stopping reports whether new calls are refused.
func (c *calls) stopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// refuseNew has new calls refused from now on.
func (c *calls) refuseNew() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
}

// drain refuses new calls and waits for the running ones, or for ctx; then it hangs up what is left.
func (c *calls) drain(ctx context.Context) {
	c.refuseNew()
	idle := make(chan struct{})
	go func() { c.wg.Wait(); close(idle) }()
	select {
	case <-idle:
		return
	case <-ctx.Done():
	}
	c.mu.Lock()
	left := make([]*liveCall, 0, len(c.live))
	for _, l := range c.live {
		left = append(left, l)
	}
	c.mu.Unlock()
	for _, l := range left {
		c.refuse(l.leg, media.Cause{By: "system", Code: "shutdown", Text: "The server is stopping."})
	}
	timer := c.clock.NewTimer(hangupTimeout, "calls", "drain")
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

func (c *calls) refuse(leg media.Leg, cause media.Cause) {
	ctx, cancel := context.WithTimeout(context.Background(), hangupTimeout)
	defer cancel()
	_ = leg.Hangup(ctx, cause)
}

// drainSignals puts the ladder of a call that was never answered into its record.
func (c *calls) drainSignals(leg media.Leg, rec *conversation.Call) {
	_ = leg.Start(signalNotes{rec})
}

// signalNotes is the endpoint of a leg that only has its signalling to tell.
type signalNotes struct{ rec *conversation.Call }

// Tick implements media.Endpoint.
func (signalNotes) Tick(_, _ []int16) bool { return false }

// Played implements media.Endpoint.
func (signalNotes) Played(int64) {}

// Event implements media.Endpoint.
func (n signalNotes) Event(e media.LegEvent) {
	if e.Kind == media.LegSignal {
		n.rec.Note(event.EntrySignal, e.Signal.Summary, map[string]any{"sent": e.Signal.Sent, "peer": e.Signal.Peer, "raw": e.Signal.Raw})
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func legCause(c media.Cause) conversation.LegCause {
	return conversation.LegCause{By: c.By, Code: c.Code, Status: c.Status, Text: c.Text}
}

func ending(c media.Cause) conversation.Ending {
	return conversation.Ending{By: c.By, Reason: c.Code, Text: c.Text, Status: c.Status}
}

// causeOf maps an error of ours to the cause a leg is refused with; signalling maps that to its own codes.
func causeOf(err error) media.Cause {
	cause := media.Cause{By: "system", Code: "error", Text: "something went wrong on our side"}
	var f *fault.Error
	if errors.As(err, &f) {
		cause.Text = f.Message
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		cause.Code, cause.Text = "no_answer", "nobody answered in time"
	case fault.Is(err, fault.NotFound):
		cause.Code = "not_found"
	case fault.Is(err, fault.Unavailable), fault.Is(err, fault.RateLimited):
		cause.Code = "overloaded"
	case fault.Is(err, fault.LimitReached): // a caller has no business with the plan
		cause.Code, cause.Text = "busy", "all lines are busy"
	case fault.Is(err, fault.Forbidden), fault.Is(err, fault.Unauthorized):
		cause.Code, cause.Text = "declined", "calls are not taken here"
	}
	return cause
}
