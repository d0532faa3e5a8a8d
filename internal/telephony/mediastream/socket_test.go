package mediastream

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/coder/websocket"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestStreamBothWays(t *testing.T) {
	b := newBench(t, nil)
	p := b.dial()
	p.begin(b.token("front-desk"))
	l := b.leg()
	info := l.Info()
	if info.Kind != media.KindTwilio || info.From != "+14158675309" || info.To != "+18005551212" || info.External != "CA1" ||
		info.Params[ParamAgent] != "front-desk" || info.Params[ParamOrg] != "org-1" || info.Params["colour"] != "blue" || info.Params["token"] != "" {
		t.Errorf("info %+v", info)
	}
	if err := l.Answer(p.ctx); err != nil || l.Rate() != 8000 {
		t.Fatalf("answer: %v", err)
	}
	e := newParty()
	for i := range 7 {
		frame := make([]int16, 160)
		for k := range frame {
			frame[k] = muLaw(byte(i + 1))
		}
		e.say = append(e.say, frame)
	}
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(e); !fault.Is(err, fault.NotPossible) {
		t.Errorf("second start: %v", err)
	}
	var frames, marks int
	for marks < 2 {
		switch m := p.next(); m.Event {
		case "media":
			frames++
			if !bytes.Equal(m.Media.Payload, bytes.Repeat([]byte{byte(frames)}, 160)) {
				t.Errorf("frame %d is %v", frames, m.Media.Payload[:3])
			}
		case "mark":
			marks++
			p.send(`{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":%q}}`, m.Mark.Name)
		default:
			t.Errorf("unexpected %+v", m)
		}
	}
	p.send(`{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"#"}}`)
	p.media(bytes.Repeat([]byte{0x20}, 160))
	waitFor(t, "playout and audio", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		heard := false
		for _, v := range e.heard {
			heard = heard || v == muLaw(0x20)
		}
		return heard && len(e.played) > 0 && e.played[len(e.played)-1] == 7
	})
	p.send(`{"event":"stop","sequenceNumber":"9","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}`)
	wait(t, "the end", e.ended)
	wait(t, "done", l.Done())
	if c := l.End(); c.By != "caller" || c.Code != "normal" {
		t.Errorf("cause %+v", c)
	}
	if got := e.kinds(); got != "signal start signal dtmf dtmf signal stop ended " {
		t.Errorf("events %s", got)
	}
	for _, ev := range e.events {
		if strings.Contains(ev.Signal.Raw, tokenPrefix) {
			t.Error("the token is in the ladder")
		}
	}
	if st := l.Stats(); frames != 7 || st.FramesOut != 7 || st.PacketsIn != 1 || st.FramesIn != 1 {
		t.Errorf("%d frames, stats %+v", frames, st)
	}
	for i := 1; i < len(e.played); i++ {
		if e.played[i] <= e.played[i-1] {
			t.Errorf("played went back: %v", e.played)
		}
	}
	if err := l.Start(newParty()); !fault.Is(err, fault.NotPossible) {
		t.Errorf("start after the end: %v", err)
	}
	if err := l.Answer(p.ctx); !fault.Is(err, fault.NotPossible) {
		t.Errorf("answer after the end: %v", err)
	}
}

// waitFor polls: the pacer runs on the real clock.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s did not come", what)
		}
	}
}

func TestStreamRefusals(t *testing.T) {
	start := func(inner string) string {
		return `{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1"` + inner + `}}`
	}
	b := newBench(t, nil)
	for name, tc := range map[string]struct {
		send   []string
		code   websocket.StatusCode
		reason string
		count  string
	}{
		"rubbish":         {[]string{`hello`}, websocket.StatusInvalidFramePayloadData, "malformed", "malformed"},
		"media first":     {[]string{carrierMessages[2]}, websocket.StatusPolicyViolation, "expected connected", "no_start"},
		"only connected":  {[]string{carrierMessages[0], carrierMessages[0], carrierMessages[0]}, websocket.StatusPolicyViolation, "no start", "no_start"},
		"no token":        {[]string{start("")}, websocket.StatusPolicyViolation, "parameter token is missing", "bad_token"},
		"bad token":       {[]string{start(`,"customParameters":{"token":"pmt1.x.y"}`)}, websocket.StatusPolicyViolation, "not valid", "bad_token"},
		"bad format":      {[]string{start(`,"mediaFormat":{"encoding":"audio/l16"}`)}, websocket.StatusUnsupportedData, "mediaFormat", "bad_format"},
		"bad stream sid":  {[]string{`{"event":"start","start":{"streamSid":"M\"Z"}}`}, websocket.StatusPolicyViolation, "streamSid", "malformed"},
		"bad call sid":    {[]string{`{"event":"start","start":{"streamSid":"MZ1","callSid":"../x"}}`}, websocket.StatusPolicyViolation, "callSid", "malformed"},
		"too many params": {[]string{start(`,"customParameters":` + manyParams())}, websocket.StatusPolicyViolation, "too many", "malformed"},
		"too big":         {[]string{`{"event":"` + strings.Repeat("x", maxMessage) + `"}`}, websocket.StatusMessageTooBig, "", "no_start"},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.counted(tc.count)
			p := b.dial()
			for _, m := range tc.send {
				p.send("%s", m)
			}
			code, reason := p.closed()
			if code != tc.code || !strings.Contains(reason, tc.reason) {
				t.Errorf("closed with %d %q", code, reason)
			}
			waitFor(t, "the count", func() bool { return b.counted(tc.count) > before })
		})
	}
	select {
	case <-b.legs:
		t.Error("a leg came of it")
	default:
	}
}

func manyParams() string {
	var s []string
	for i := range maxParams + 1 {
		s = append(s, fmt.Sprintf(`"p%d":"x"`, i))
	}
	return "{" + strings.Join(s, ",") + "}"
}

func TestStartTimeout(t *testing.T) {
	clock := quartz.NewMock(t)
	b := newBench(t, func(c *Config) { c.Clock = clock })
	trap := clock.Trap().AfterFunc("start")
	defer trap.Close()
	p := b.dial()
	trap.MustWait(p.ctx).MustRelease(p.ctx)
	clock.Advance(10 * time.Second).MustWait(p.ctx)
	if _, _, err := p.conn.Read(p.ctx); err == nil {
		t.Error("the stream went on")
	}
	waitFor(t, "the count", func() bool { return b.counted("start_timeout") == 1 })
}

func TestRubbishDuringTheCall(t *testing.T) {
	b := newBench(t, nil)
	p := b.dial()
	p.begin(b.token("a"))
	l := b.leg()
	e := newParty()
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{`nonsense`, `{"event":"media","media":{"payload":"!!"}}`, `{"event":"dtmf","dtmf":{"digit":"xx"}}`,
		`{"event":"mark","mark":{"name":"somebody's"}}`, `{"event":"future"}`, carrierMessages[0]} {
		p.send("%s", m)
	}
	p.media(bytes.Repeat([]byte{0x21}, 160))
	p.n-- // the same chunk again
	p.media(bytes.Repeat([]byte{0x22}, 160))
	p.n += 4
	p.media(bytes.Repeat([]byte{0x23}, 160))
	p.n = 1
	p.media(bytes.Repeat([]byte{0x24}, 160)) // too late
	waitFor(t, "audio", func() bool { st := l.Stats(); return st.PacketsIn == 5 && st.FramesIn == 2 })
	if st := l.Stats(); st.Malformed != 3 || st.Duplicate != 1 || st.Late != 1 || st.Lost != 4 {
		t.Errorf("stats %+v", st)
	}
	for range maxMalformed {
		p.send("nonsense")
	}
	if code, _ := p.closed(); code != websocket.StatusInvalidFramePayloadData {
		t.Errorf("closed with %d", code)
	}
	wait(t, "the end", e.ended)
	if c := l.End(); c.Code != "error" || c.By != "carrier" {
		t.Errorf("cause %+v", c)
	}
}

func TestClearDTMFAndHangup(t *testing.T) {
	b := newBench(t, nil)
	p := b.dial()
	p.begin(b.token("a"))
	l := b.leg()
	e := newParty()
	e.say = make([][]int16, 1000)
	for i := range e.say {
		e.say[i] = make([]int16, 160)
	}
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	if m := p.next(); m.Event != "media" {
		t.Errorf("first %+v", m)
	}
	e.mu.Lock()
	e.say = nil
	e.inTick = func() { l.Clear() } // from within Tick
	e.mu.Unlock()
	for p.next().Event != "clear" {
	}
	e.mu.Lock()
	e.inTick = nil
	e.mu.Unlock()
	if err := l.SendDTMF(p.ctx, "1x"); !fault.Is(err, fault.Invalid) {
		t.Errorf("bad digits: %v", err)
	}
	if err := l.SendDTMF(p.ctx, strings.Repeat("1", maxDigits+1)); !fault.Is(err, fault.RateLimited) {
		t.Errorf("too many digits: %v", err)
	}
	if err := l.SendDTMF(p.ctx, "5"); err != nil {
		t.Fatal(err)
	}
	for loud := 0; loud < toneFrames; {
		if m := p.next(); m.Event == "media" && !bytes.Equal(m.Media.Payload, bytes.Repeat([]byte{silence}, 160)) {
			loud++
		}
	}
	if err := l.Hold(p.ctx, true); !fault.Is(err, fault.NotPossible) {
		t.Errorf("hold: %v", err)
	}
	if err := l.Transfer(p.ctx, "+14155550123"); !fault.Is(err, fault.NotPossible) {
		t.Errorf("transfer without credentials: %v", err)
	}
	if err := l.Transfer(p.ctx, "javascript:x"); !fault.Is(err, fault.Invalid) {
		t.Errorf("transfer to nonsense: %v", err)
	}
	l.SendText([]byte(`{}`))
	e.mu.Lock()
	e.inTick = func() { _ = l.Hangup(p.ctx, media.Cause{By: "agent", Code: "normal", Text: "Goodbye."}) }
	e.mu.Unlock()
	if code, reason := p.closed(); code != websocket.StatusNormalClosure || reason != "hang-up" {
		t.Errorf("closed with %d %q", code, reason)
	}
	wait(t, "the end", e.ended)
	wait(t, "done", l.Done())
	if c := l.End(); c.By != "agent" || c.Text != "Goodbye." {
		t.Errorf("cause %+v", c)
	}
	if err := l.Hangup(p.ctx, media.Cause{}); err != nil {
		t.Errorf("second hang-up: %v", err)
	}
	if err := l.SendDTMF(p.ctx, "1"); !fault.Is(err, fault.NotPossible) {
		t.Errorf("digits after the end: %v", err)
	}
	l.(media.Kicker).Kick()
}

func TestPanicEndsThatStreamOnly(t *testing.T) {
	b := newBench(t, nil)
	bad, good := b.dial(), b.dial()
	bad.begin(b.token("a"))
	lb := b.leg()
	good.begin(b.token("a"))
	lg := b.leg()
	eb, eg := newParty(), newParty()
	eb.panics, eg.echo = true, true
	if err := lb.Start(eb); err != nil {
		t.Fatal(err)
	}
	if err := lg.Start(eg); err != nil {
		t.Fatal(err)
	}
	if code, _ := bad.closed(); code != websocket.StatusInternalError {
		t.Errorf("closed with %d", code)
	}
	wait(t, "done", lb.Done())
	good.media(bytes.Repeat([]byte{0x33}, 160))
	for !bytes.Equal(good.next().Media.Payload, bytes.Repeat([]byte{0x33}, 160)) {
	}
}

// A panic anywhere in the owner's code leaves nothing locked and nothing waiting.
func TestPanicsOutsideTheTick(t *testing.T) {
	b := newBench(t, nil)
	p := b.dial()
	p.begin(b.token("a"))
	l := b.leg()
	if err := l.Start(bomb{}); err != nil {
		t.Fatal(err)
	}
	l.(media.Kicker).Kick()
	p.closed()
	wait(t, "done", l.Done()) // although the last event panics too
	q := b.dial()
	q.begin(b.token("a"))
	l = b.leg()
	if err := l.Start(bomb{}); err != nil {
		t.Fatal(err)
	}
	q.send(`{"event":"dtmf","dtmf":{"digit":"1"}}`)
	wait(t, "done", l.Done())
}

// bomb goes off whenever it is asked out of turn.
type bomb struct{}

func (bomb) Tick(in, _ []int16) bool {
	if in == nil {
		panic("boom")
	}
	return false
}
func (bomb) Played(int64) {}
func (bomb) Event(e media.LegEvent) {
	if e.Kind != media.LegSignal {
		panic("boom")
	}
}

func TestOwnerPanics(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Accept = func(context.Context, media.Leg) { panic("boom") } })
	p := b.dial()
	p.begin(b.token("a"))
	if code, _ := p.closed(); code != websocket.StatusInternalError {
		t.Errorf("closed with %d", code)
	}
}

func TestLimitsAndShutdown(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxStreams = 1 })
	p := b.dial()
	p.begin(b.token("a"))
	l := b.leg()
	resp, err := http.Get(b.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("second stream: %s", resp.Status)
	}
	go func() { _ = b.s.Close(p.ctx) }()
	if code, _ := p.closed(); code != websocket.StatusGoingAway {
		t.Errorf("closed with %d", code)
	}
	wait(t, "done", l.Done())
	if l.End().Code != "shutdown" {
		t.Errorf("cause %+v", l.End())
	}
	resp, err = http.Get(b.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after shutdown: %s", resp.Status)
	}
}

func TestWatches(t *testing.T) {
	clock := quartz.NewMock(t)
	b := newBench(t, func(c *Config) {
		c.Clock = clock
		c.LostAfter, c.MediaTimeout, c.WriteTimeout = 3*time.Second, 6*time.Second, 5*time.Second
	})
	p := b.dial()
	p.begin(b.token("a"))
	l := b.leg().(*leg)
	e := newParty()
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	l.tickMu.Lock()
	l.watch(clock.Now().Add(4 * time.Second))
	l.watch(clock.Now().Add(5 * time.Second))
	l.unlock()
	if got := e.kinds(); got != "signal start lost " {
		t.Errorf("events %s", got)
	}
	l.tickMu.Lock()
	l.watch(clock.Now())
	l.writeSince.Store(clock.Now().UnixNano() - int64(5*time.Second))
	l.watch(clock.Now())
	l.unlock()
	if got := l.End(); got.Code != "unreachable" {
		t.Errorf("cause %+v", got)
	}
	if b.counted("write_timeout") != 1 {
		t.Error("no count")
	}
	p.closed()
	q := b.dial()
	q.begin(b.token("a"))
	l = b.leg().(*leg)
	l.tickMu.Lock()
	l.watch(clock.Now().Add(time.Minute))
	l.unlock()
	if got := l.End(); got.Code != "media_timeout" {
		t.Errorf("cause %+v", got)
	}
	q.closed()
	wait(t, "done", l.Done())
}
