package sip

import (
	"context"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
)

func TestTooManyCalls(t *testing.T) {
	b := serve(t, func(c *Config) { c.MaxCalls = 1 })
	d, l := established(t, b, "udp")
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("INVITE", b.uri("agent"), plainOffer))
	if res := p.expect(503, "INVITE"); header(res, "Retry-After") == "" {
		t.Error("503 does not say when to come back")
	}
	d.send(d.within("BYE", ""))
	over(t, l)
	b.Drain()
	p.send(p.request("OPTIONS", b.uri("agent"), ""))
	p.expect(503, "OPTIONS")
}

func TestAPanicEndsOneCall(t *testing.T) {
	refused := make(chan struct{})
	b := serve(t, func(c *Config) {
		c.Accept = func(_ context.Context, l media.Leg) {
			if l.Info().To == "bomb" {
				panic("boom")
			}
			_ = l.Hangup(context.Background(), media.Cause{Code: "busy"})
			close(refused)
		}
	})
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("INVITE", b.uri("bomb"), plainOffer))
	p.expect(500, "INVITE")
	p.send(p.request("INVITE", b.uri("agent"), plainOffer))
	p.expect(486, "INVITE")
	<-refused
	if b.Calls() != 0 || b.counts.get("panic:call") != 1 {
		t.Errorf("%d calls are left, %d panics counted", b.Calls(), b.counts.get("panic:call"))
	}
	b.counts.mu.Lock()
	b.counts.n["panic:call"] = 0 // it was meant
	b.counts.mu.Unlock()
}

func TestNobodyAnswers(t *testing.T) {
	clock, with := mockClock(t)
	b := serve(t, with)
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("INVITE", b.uri("agent"), plainOffer))
	l := b.call(t)
	p.expect(100, "INVITE")
	pass(t, clock, ringAfter)
	p.expect(180, "INVITE")
	pass(t, clock, ringLimit)
	p.expect(480, "INVITE")
	if c := over(t, l); c.Code != "no_answer" {
		t.Errorf("cause: %+v", c)
	}
}

func TestCSeqGoesUp(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	d.send(d.within("INFO", "", "CSeq: 50 INFO"))
	d.expect(200, "INFO")
	d.send(d.within("INFO", "", "CSeq: 49 INFO"))
	d.expect(500, "INFO")
	d.send(d.within("BYE", "", "CSeq: 51 BYE"))
	d.expect(200, "BYE")
	over(t, l)
}

func TestStop(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	stopped := make(chan struct{})
	go func() { b.Stop(context.Background()); close(stopped) }()
	d.respond(d.asked("BYE"), 200, "", "To-Tag: peer")
	if c := over(t, l); c.Code != "shutdown" {
		t.Errorf("cause: %+v", c)
	}
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("Stop did not return")
	}
	b.Stop(context.Background())
	if _, err := b.Dial(t.Context(), DialRequest{To: "sip:x@127.0.0.1:9"}); err == nil {
		t.Error("a stopped server places calls")
	}
}

func TestConfigIsChecked(t *testing.T) {
	pacer := media.NewPacer(media.PacerConfig{Shards: 1})
	defer pacer.Close()
	accept := func(context.Context, media.Leg) {}
	for name, c := range map[string]Config{
		"no accept": {Pacer: pacer}, "no pacer": {Accept: accept}, "codec": {Pacer: pacer, Accept: accept, Codecs: []string{"g729"}},
		"address": {Pacer: pacer, Accept: accept, Addr: "nowhere"},
	} {
		if s, err := New(c); err == nil {
			s.Stop(context.Background())
			t.Errorf("%s: taken", name)
		}
	}
	s, err := New(Config{Pacer: pacer, Accept: accept, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop(context.Background()) // before Start
	s.Stop(context.Background())
}
