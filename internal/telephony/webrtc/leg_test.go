package webrtc

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/pion/dtls/v3"
	pionrtp "github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// hum sends a tone from c every 20 ms until stop is closed.
func hum(t *testing.T, c *client, codec string, f float64, stop <-chan struct{}) {
	t.Helper()
	k, err := audio.NewCodec(codec)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		tick := time.NewTicker(media.FrameDuration)
		defer tick.Stop()
		pcm := make([]int16, media.FrameSamples(k.Rate()))
		var payload []byte
		var phase float64
		p := pionrtp.Packet{Header: pionrtp.Header{Version: 2}}
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for i := range pcm {
				pcm[i] = int16(8000 * math.Sin(phase))
				phase += 2 * math.Pi * f / float64(k.Rate())
			}
			if payload, err = k.Encode(payload, pcm); err != nil {
				t.Error(err)
				return
			}
			p.SequenceNumber++
			p.Timestamp += uint32(k.ClockRate() / 50)
			p.Payload = payload
			_ = c.track.WriteRTP(&p)
		}
	}()
}

// listen decodes what c receives until it finds the tone.
func listen(c *client, codec string, f float64) <-chan struct{} {
	found := make(chan struct{})
	go func() {
		r := <-c.heard
		k, err := audio.NewCodec(codec)
		if err != nil {
			return
		}
		var all []int16
		done := false
		pcm := make([]int16, audio.MaxPacketSamples)
		for {
			p, _, err := r.ReadRTP()
			if err != nil {
				return
			}
			n, err := k.Decode(pcm, p.Payload)
			if err != nil {
				continue
			}
			all = append(all, pcm[:n]...)
			if want := k.Rate() / 5; !done && len(all) >= want {
				if part, rms := share(all[len(all)-want:], k.Rate(), f); part > 0.8 && rms > 1000 {
					close(found)
					done = true
				}
			}
		}
	}()
	return found
}

func TestCallWithEachCodec(t *testing.T) {
	for _, codec := range allCodecs {
		t.Run(codec, func(t *testing.T) {
			b := newBench(t, nil)
			c := newClient(t, codec)
			l := b.call(c, codec)
			info := l.Info()
			if info.Kind != media.KindWebRTC || info.To != "front-desk" || info.From != "ada@example.com" || info.Direction != media.Inbound {
				t.Errorf("info %+v", info)
			}
			e := newParty(l.Rate())
			e.tone = 700
			if err := l.Start(e); err != nil {
				t.Fatal(err)
			}
			if err := l.Start(e); !fault.Is(err, fault.NotPossible) {
				t.Errorf("second start: %v", err)
			}
			stop := make(chan struct{})
			defer close(stop)
			hum(t, c, codec, 500, stop)
			wait(t, "our tone", listen(c, codec, 700))
			waitFor(t, "their tone", func() bool { return e.hears(500) })
			if st := l.Stats(); st.Codec != codec || st.PacketsIn == 0 || st.FramesOut == 0 {
				t.Errorf("stats %+v", st)
			}
			l.(media.Kicker).Kick()
			l.Clear()
			if err := l.Hangup(context.Background(), media.Cause{By: "agent", Code: "normal"}); err != nil {
				t.Error(err)
			}
			wait(t, "the end", e.ended)
			wait(t, "done", l.Done())
			if err := l.Start(newParty(8000)); !fault.Is(err, fault.NotPossible) {
				t.Errorf("start after the end: %v", err)
			}
			if err := l.Answer(context.Background()); !fault.Is(err, fault.NotPossible) {
				t.Errorf("answer after the end: %v", err)
			}
			if b.s.Peers() != 0 || l.End().By != "agent" {
				t.Errorf("%d peers, %+v", b.s.Peers(), l.End())
			}
			if e.played == 0 {
				t.Error("nothing counts as played")
			}
		})
	}
}

func TestDataChannel(t *testing.T) {
	b := newBench(t, nil)
	c := newClient(t, audio.PCMU)
	l := b.call(c, audio.PCMU)
	l.SendText([]byte(`{"type":"entry","entry":{"seq":1}}`)) // before the channel is open
	wait(t, "the channel", c.opened)
	for _, m := range []string{`{"type":"text","text":"hello"}`, `{"type":"dtmf","digit":"5"}`, `nonsense`, `{"type":"text"}`, `{"type":"dtmf","digit":"55"}`,
		`{"type":"future"}`, `{"type":"text","text":"` + strings.Repeat("x", maxText+1) + `"}`, `{"type":"dtmf","digit":"a"}`} {
		if err := c.dc.SendText(m); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-c.texts; got != `{"type":"entry","entry":{"seq":1}}` {
		t.Errorf("got %s", got)
	}
	e := newParty(l.Rate())
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "text and digits", func() bool { return len(e.find(media.LegText)) == 1 && len(e.find(media.LegDTMF)) == 2 })
	if got := e.find(media.LegText)[0].Text; got != "hello" {
		t.Errorf("text %q", got)
	}
	if d := e.find(media.LegDTMF); d[0].Digit != '5' || d[1].Digit != 'A' {
		t.Errorf("digits %+v", d)
	}
	waitFor(t, "the counter", func() bool { return l.Stats().Malformed == 5 })
	if s := e.find(media.LegSignal); len(s) != 3 || s[0].Signal.Summary != "offer" || s[1].Signal.Summary != "answer" || s[2].Signal.Summary != "connected" {
		t.Errorf("signals %+v", s)
	}
	for range 3 * messageBurst {
		if err := c.dc.SendText(`{"type":"dtmf","digit":"1"}`); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the limit", func() bool { return b.counted("rate_limited") > 0 })
	if err := l.SendDTMF(context.Background(), "xyz"); err == nil {
		t.Error("bad digits accepted")
	}
	if err := l.Transfer(context.Background(), "sip:x"); !fault.Is(err, fault.NotPossible) {
		t.Errorf("transfer: %v", err)
	}
	if err := l.Hold(context.Background(), true); !fault.Is(err, fault.NotPossible) {
		t.Errorf("hold: %v", err)
	}
	other, err := c.pc.CreateDataChannel("something", nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	other.OnClose(func() { close(closed) })
	wait(t, "the other channel's end", closed)
	// The browser goes: the leg ends without waiting for ICE.
	if err := c.pc.Close(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end", e.ended)
	if cause := l.End(); cause.By != "caller" || cause.Code != "normal" {
		t.Errorf("cause %+v", cause)
	}
	wait(t, "done", l.Done())
}

func TestSendTextIsBounded(t *testing.T) {
	ch := newChannel()
	for range sendQueue {
		if !ch.send([]byte("x")) {
			t.Fatal("refused with room")
		}
	}
	if ch.send([]byte("x")) || ch.send(make([]byte, maxSendMessage+1)) || ch.dropped.Load() != 2 {
		t.Errorf("%d dropped", ch.dropped.Load())
	}
}

func TestNobodyConnects(t *testing.T) {
	clock := quartz.NewMock(t)
	legs := make(chan media.Leg, 1)
	b := newBench(t, func(c *Config) {
		c.Clock = clock
		c.Accept = func(_ context.Context, l media.Leg) { legs <- l }
	})
	c := newClient(t, audio.PCMU)
	if _, _, err := b.s.Offer(context.Background(), OfferRequest{SDP: c.offer()}); err != nil {
		t.Fatal(err)
	}
	l := <-legs
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Answer(gone); !fault.Is(err, fault.Timeout) {
		t.Errorf("answer: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	clock.Advance(15 * time.Second).MustWait(ctx)
	wait(t, "done", l.Done())
	if cause := l.End(); cause.Code != "unreachable" || b.s.Peers() != 0 || b.counted("connect_timeout") != 1 {
		t.Errorf("cause %+v", cause)
	}
}

// A browser that has no suite with authenticated encryption gets no call.
func TestWeakSuitesAreRefused(t *testing.T) {
	b := newBench(t, nil)
	c := newClient(t, audio.PCMU, func(e *pion.SettingEngine) { e.SetDTLSCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA) })
	states := make(chan pion.DTLSTransportState, 16)
	c.pc.SCTP().Transport().OnStateChange(func(s pion.DTLSTransportState) { states <- s })
	answer, _, err := b.s.Offer(t.Context(), OfferRequest{SDP: c.offer(), Codecs: []string{audio.PCMU}})
	if err != nil {
		t.Fatal(err)
	}
	c.answer(answer)
	for {
		select {
		case s := <-states:
			if s == pion.DTLSTransportStateConnected {
				t.Fatal("a suite without authenticated encryption was taken")
			}
			if s == pion.DTLSTransportStateFailed || s == pion.DTLSTransportStateClosed {
				return
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the handshake neither failed nor succeeded")
		}
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxPeers = 1 })
	c := newClient(t, audio.PCMU)
	offer := c.offer()
	if _, _, err := b.s.Offer(context.Background(), OfferRequest{SDP: offer}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.s.Offer(context.Background(), OfferRequest{SDP: offer}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("second peer: %v", err)
	}
	b.s.Drain()
	if _, _, err := b.s.Offer(context.Background(), OfferRequest{SDP: offer}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("draining: %v", err)
	}
}

func TestPanicEndsThatCallOnly(t *testing.T) {
	b := newBench(t, nil)
	c1, c2 := newClient(t, audio.PCMU), newClient(t, audio.PCMU)
	bad, good := b.call(c1, audio.PCMU), b.call(c2, audio.PCMU)
	eb, eg := newParty(bad.Rate()), newParty(good.Rate())
	eb.panics, eg.tone = true, 700
	if err := good.Start(eg); err != nil {
		t.Fatal(err)
	}
	if err := bad.Start(eb); err != nil {
		t.Fatal(err)
	}
	wait(t, "the end", bad.Done())
	if bad.End().Code != "error" {
		t.Errorf("cause %+v", bad.End())
	}
	wait(t, "the other's tone", listen(c2, audio.PCMU, 700))
}

// bomb goes off at every event but those of signalling.
type bomb struct{}

func (bomb) Tick(_, _ []int16) bool { return false }
func (bomb) Played(int64)           {}
func (bomb) Event(e media.LegEvent) {
	if e.Kind != media.LegSignal {
		panic("boom")
	}
}

func TestPanicInAnEvent(t *testing.T) {
	b := newBench(t, nil)
	c := newClient(t, audio.PCMU)
	l := b.call(c, audio.PCMU)
	if err := l.Start(bomb{}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the channel", c.opened)
	if err := c.dc.SendText(`{"type":"text","text":"x"}`); err != nil {
		t.Fatal(err)
	}
	wait(t, "done", l.Done()) // although the last event panics too
	if l.End().Code != "error" {
		t.Errorf("cause %+v", l.End())
	}
}

func TestOwnerPanics(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Accept = func(context.Context, media.Leg) { panic("boom") } })
	c := newClient(t, audio.PCMU)
	_, l, err := b.s.Offer(context.Background(), OfferRequest{SDP: c.offer()})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "done", l.Done())
}

func TestAnswerHasEveryAddress(t *testing.T) {
	b := newBench(t, func(c *Config) { c.UDPAddr = ":0"; c.PublicIPs = []string{"203.0.113.7"} })
	c := newClient(t, audio.PCMU)
	answer, _, err := b.s.Offer(context.Background(), OfferRequest{SDP: c.offer()})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a=ice-lite", " 127.0.0.1 ", " 203.0.113.7 ", "a=setup:passive", "G722"} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer lacks %q:\n%s", want, answer)
		}
	}
	if strings.Contains(answer, "opus") || strings.Contains(answer, "PCMU") {
		t.Errorf("more than one codec:\n%s", answer)
	}
}

func TestVideoIsRefusedAndAudioTaken(t *testing.T) {
	b := newBench(t, nil)
	c := newClient(t, audio.PCMU)
	if _, err := c.pc.AddTransceiverFromKind(pion.RTPCodecTypeVideo, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	b.call(c, audio.PCMU)
}

func TestBadConfig(t *testing.T) {
	p := media.NewPacer(media.PacerConfig{Shards: 1})
	defer p.Close()
	for name, tc := range map[string]struct {
		c    Config
		code fault.Code
	}{
		"no pacer":   {Config{}, fault.Internal},
		"bad addr":   {Config{Pacer: p, UDPAddr: "nonsense"}, fault.Invalid},
		"not ours":   {Config{Pacer: p, UDPAddr: "203.0.113.1:0"}, fault.Unavailable},
		"bad ip":     {Config{Pacer: p, PublicIPs: []string{"example.com"}}, fault.Invalid},
		"bad codecs": {Config{Pacer: p, Codecs: []string{"G729"}}, fault.Invalid},
	} {
		if _, err := New(tc.c); !fault.Is(err, tc.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
