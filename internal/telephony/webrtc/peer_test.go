package webrtc

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type bench struct {
	t      testing.TB
	s      *Server
	pacer  *media.Pacer
	mu     sync.Mutex
	counts map[string]int
}

func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, counts: map[string]int{}, pacer: media.NewPacer(media.PacerConfig{})}
	c := Config{UDPAddr: "127.0.0.1:0", Pacer: b.pacer, Count: func(e string) {
		b.mu.Lock()
		b.counts[e]++
		b.mu.Unlock()
	}}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.s = s
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		b.pacer.Close()
	})
	return b
}

func (b *bench) counted(e string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[e]
}

// client is a pion peer with one audio track and the data channel.
type client struct {
	t      testing.TB
	pc     *pion.PeerConnection
	track  *pion.TrackLocalStaticRTP
	dc     *pion.DataChannel
	opened chan struct{}
	texts  chan string
	heard  chan *pion.TrackRemote
}

func mime(codec string) pion.RTPCodecCapability {
	c := pion.RTPCodecCapability{MimeType: "audio/" + codec, ClockRate: uint32(clocks[codec])}
	if codec == audio.Opus {
		c.Channels, c.SDPFmtpLine = 2, "minptime=10;useinbandfec=1"
	}
	return c
}

func newClient(t testing.TB, codec string, tune ...func(*pion.SettingEngine)) *client {
	t.Helper()
	var e pion.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4})
	for _, f := range tune {
		f(&e)
	}
	var m pion.MediaEngine
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := pion.NewAPI(pion.WithSettingEngine(e), pion.WithMediaEngine(&m)).NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, pc: pc, opened: make(chan struct{}), texts: make(chan string, 64), heard: make(chan *pion.TrackRemote, 1)}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	if c.track, err = pion.NewTrackLocalStaticRTP(mime(codec), "mic", "mic"); err != nil {
		t.Fatal(err)
	}
	sender, err := pc.AddTrack(c.track)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, _, err := sender.ReadRTCP(); err != nil {
				return
			}
		}
	}()
	if c.dc, err = pc.CreateDataChannel(ChannelLabel, nil); err != nil {
		t.Fatal(err)
	}
	c.dc.OnOpen(func() { close(c.opened) })
	c.dc.OnMessage(func(m pion.DataChannelMessage) { c.texts <- string(m.Data) })
	pc.OnTrack(func(r *pion.TrackRemote, _ *pion.RTPReceiver) { c.heard <- r })
	return c
}

func (c *client) offer() string {
	c.t.Helper()
	o, err := c.pc.CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(o); err != nil {
		c.t.Fatal(err)
	}
	<-gathered
	return c.pc.LocalDescription().SDP
}

func (c *client) answer(sdp string) {
	c.t.Helper()
	if err := c.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: sdp}); err != nil {
		c.t.Fatalf("%v\n%s", err, sdp)
	}
}

// call connects c to b's server and returns the answered leg.
func (b *bench) call(c *client, codecs ...string) media.Leg {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	answer, l, err := b.s.Offer(ctx, OfferRequest{SDP: c.offer(), AgentSlug: "front-desk", From: "ada@example.com", Remote: "192.0.2.1:5", Codecs: codecs})
	if err != nil {
		b.t.Fatal(err)
	}
	c.answer(answer)
	if err := l.Answer(ctx); err != nil {
		b.t.Fatal(err)
	}
	return l
}

// party is an endpoint that hears, and says a tone while it is asked to.
type party struct {
	mu     sync.Mutex
	rate   int
	heard  []int16
	events []media.LegEvent
	tone   float64
	phase  float64
	played int64
	panics bool
	ended  chan struct{}
}

func newParty(rate int) *party { return &party{rate: rate, ended: make(chan struct{})} }

func (p *party) Tick(in, out []int16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panics {
		panic("boom")
	}
	p.heard = append(p.heard, in...)
	if p.tone == 0 || out == nil {
		return false
	}
	for i := range out {
		out[i] = int16(8000 * math.Sin(p.phase))
		p.phase += 2 * math.Pi * p.tone / float64(p.rate)
	}
	return true
}

func (p *party) Played(n int64) {
	p.mu.Lock()
	p.played = n
	p.mu.Unlock()
}

func (p *party) Event(e media.LegEvent) {
	p.mu.Lock()
	p.events = append(p.events, e)
	p.mu.Unlock()
	if e.Kind == media.LegEnded {
		close(p.ended)
	}
}

func (p *party) find(k media.LegEventKind) (found []media.LegEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.Kind == k {
			found = append(found, e)
		}
	}
	return found
}

// share is how much of the last n samples' energy is at frequency f (Goertzel), and the energy.
func share(pcm []int16, rate int, f float64) (part, rms float64) {
	var s1, s2, sum float64
	w := 2 * math.Cos(2*math.Pi*f/float64(rate))
	for _, v := range pcm {
		x := float64(v)
		s1, s2 = x+w*s1-s2, s1
		sum += x * x
	}
	if sum == 0 {
		return 0, 0
	}
	power := (s1*s1 + s2*s2 - w*s1*s2) * 2 / float64(len(pcm))
	return power / sum, math.Sqrt(sum / float64(len(pcm)))
}

func (p *party) hears(f float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.rate / 5
	if len(p.heard) < n {
		return false
	}
	part, rms := share(p.heard[len(p.heard)-n:], p.rate, f)
	return part > 0.8 && rms > 1000
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
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

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not come", what)
	}
}
