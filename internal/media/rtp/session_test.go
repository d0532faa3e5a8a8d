package rtp

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
)

func TestSessionSendsEvery20ms(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	e := &scripted{say: []int16{0, 1000, 1000, 0}}
	b.start(e)
	var last header
	for i := range 6 {
		b.tick()
		h, payload := b.sent()
		if len(payload) != 160 || h.payload != 0 {
			t.Fatalf("payload type %d with %d bytes", h.payload, len(payload))
		}
		if i == 0 != h.marker {
			t.Errorf("packet %d has marker %v", i, h.marker)
		}
		if i > 0 && (h.seq != last.seq+1 || h.ts != last.ts+160 || h.ssrc != last.ssrc) {
			t.Errorf("packet %d: %+v after %+v", i, h, last)
		}
		var pcm [1]int16
		audio.MuLawDecode(pcm[:], payload[:1])
		if speech := i == 1 || i == 2; speech != (pcm[0] > 900) {
			t.Errorf("packet %d begins with %d", i, pcm[0])
		}
		last = h
	}
	if e.played != 2 || e.ticks != 6 {
		t.Errorf("%d frames played in %d ticks", e.played, e.ticks)
	}
	if st := b.s.Stats(); st.FramesOut != 2 || st.PacketsOut != 6 || st.Codec != audio.PCMU {
		t.Errorf("stats %+v", st)
	}
}

func TestSessionQuietWhenIdle(t *testing.T) {
	b := newBench(t, Remote{}, func(c *Config) { c.QuietWhenIdle = true })
	b.start(&scripted{say: []int16{0, 0, 500, 0, 500}})
	b.tick()
	b.tick()
	b.none()
	b.tick()
	first, _ := b.sent()
	b.tick()
	b.none()
	b.tick()
	second, _ := b.sent()
	if !first.marker || !second.marker || second.ts != first.ts+320 || second.seq != first.seq+1 {
		t.Errorf("%+v, then %+v", first, second)
	}
}

func TestSessionHears(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	e := &scripted{}
	b.start(e)
	const packets = 40 // over the wrap of both the sequence number and the timestamp
	for i := range packets {
		b.arrive(b.far, b.voice(int16(1000+100*i)))
		b.tick()
	}
	var values []int16
	for i := 0; i < len(e.heard); i += 160 {
		if v := e.heard[i]; v != 0 {
			values = append(values, v)
		}
	}
	if len(values) < packets-2 {
		t.Fatalf("%d of %d frames heard", len(values), packets)
	}
	for i, v := range values {
		if want := 1000 + 100*i; v < int16(want-want/20) || v > int16(want+want/20) {
			t.Errorf("frame %d is %d, want about %d", i, v, want)
		}
	}
	if st := b.s.Stats(); st.Lost+st.Late+st.Malformed+st.Duplicate+st.FramesConcealed != 0 || st.PacketsIn != packets {
		t.Errorf("stats %+v", st)
	}
}

func TestKickSendsAtOnceAndStaysInStep(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	e := &scripted{}
	b.s.Kick() // before Start: nothing
	b.start(e)
	b.tick()
	silence, _ := b.sent()
	b.s.Kick() // nothing to say
	b.none()
	e.say = []int16{700, 800, 900}
	b.s.Kick()
	first, _ := b.sent()
	if first.ts != silence.ts+160 || first.seq != silence.seq+1 || !first.marker {
		t.Errorf("kicked frame %+v after %+v", first, silence)
	}
	b.s.Kick() // speaking already: nothing
	b.none()
	b.tick()
	second, _ := b.sent()
	if e.played != 0 {
		t.Errorf("%d played before the first frame's 20 ms were over", e.played)
	}
	b.tick()
	third, _ := b.sent()
	if second.ts != first.ts+160 || third.ts != first.ts+320 || second.marker || e.played != 1 {
		t.Errorf("%+v, %+v, played %d", second, third, e.played)
	}
	b.tick() // the reply is over: this place was filled by the kick
	b.none()
	b.tick()
	after, _ := b.sent()
	if after.ts != third.ts+160 || after.seq != third.seq+1 || e.played != 3 {
		t.Errorf("%+v after %+v, played %d", after, third, e.played)
	}
	// From silence's tick on, four places have passed and four frames were sent: the clock was kept.
	if after.ts != silence.ts+160*4 {
		t.Errorf("timestamp moved by %d in 4 ticks", after.ts-silence.ts)
	}
}

func TestKickFromWithinTick(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	e := &scripted{}
	e.onTick = func() { b.s.Kick(); _ = b.s.Stats() }
	b.start(e)
	done := make(chan struct{})
	go func() { b.tick(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Kick from Tick blocks")
	}
	b.sent()
}

func TestTimeoutOncePerSilence(t *testing.T) {
	var calls atomic.Int64
	b := newBench(t, Remote{}, func(c *Config) {
		c.Timeout = time.Second
		c.OnTimeout = func(d time.Duration) {
			if d < time.Second {
				t.Errorf("timed out after %v", d)
			}
			calls.Add(1)
		}
	})
	b.start(&scripted{})
	for range 120 {
		b.tick()
	}
	if calls.Load() != 1 {
		t.Fatalf("%d time-outs", calls.Load())
	}
	b.arrive(b.far, b.voice(1))
	for range 60 {
		b.tick()
	}
	if calls.Load() != 2 {
		t.Fatalf("%d time-outs after a second silence", calls.Load())
	}
}

// TestSessionsTalkOverPacer drives two sessions with a real clock, end to end.
func TestSessionsTalkOverPacer(t *testing.T) {
	pacer := media.NewPacer(media.PacerConfig{})
	defer pacer.Close()
	ports, err := NewPorts(PortsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParseAddr("127.0.0.1")
	var pair [2]*Session
	for i := range pair {
		if pair[i], err = New(Config{Local: local, Ports: ports, Pacer: pacer}); err != nil {
			t.Fatal(err)
		}
		defer pair[i].Close()
	}
	heard := make(chan struct{})
	talk := func(mine, other *Session, done func()) {
		err := mine.SetRemote(Remote{RTP: netip.AddrPortFrom(local, uint16(other.LocalPort())), Format: Format{Codec: audio.Opus, SendPT: 111, RecvPT: 111}})
		if err != nil {
			t.Fatal(err)
		}
		if err := mine.Start(&loud{done: done}); err != nil {
			t.Fatal(err)
		}
	}
	talk(pair[0], pair[1], func() {})
	talk(pair[1], pair[0], func() { close(heard) })
	select {
	case <-heard:
	case <-time.After(20 * time.Second):
		t.Fatalf("nothing was heard: %+v", pair[1].Stats())
	}
}

func TestCloseFromTick(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	e := &scripted{}
	e.onTick = func() { _ = b.s.Close() }
	b.start(e)
	b.tick()
	b.tick()
	if e.ticks != 1 {
		t.Errorf("%d ticks", e.ticks)
	}
	if err := b.s.Start(e); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
	if err := b.s.SetRemote(Remote{}); !errors.Is(err, ErrClosed) {
		t.Errorf("SetRemote after Close: %v", err)
	}
}

// TestPanicEndsTheSessionOnly: the pacer reports a panic of an endpoint, and the session can still be closed.
func TestPanicEndsTheSessionOnly(t *testing.T) {
	pacer := media.NewPacer(media.PacerConfig{})
	defer pacer.Close()
	ports, err := NewPorts(PortsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	s, err := New(Config{Local: netip.MustParseAddr("127.0.0.1"), Ports: ports, Pacer: pacer, OnEnd: func(err error) { ended <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetRemote(Remote{Format: Format{Codec: audio.PCMA, SendPT: 8, RecvPT: 8}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(&scripted{onTick: func() { panic("boom") }}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the end has no reason")
	}
	_ = s.Stats()
	s.Kick() // does not reach the endpoint again
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestPanicWhenKicked(t *testing.T) {
	ended := make(chan error, 1)
	b := newBench(t, Remote{}, func(c *Config) { c.OnEnd = func(err error) { ended <- err } })
	e := &scripted{}
	b.start(e)
	e.onTick = func() { panic("boom") }
	b.s.Kick()
	if err := <-ended; err == nil {
		t.Error("the end has no reason")
	}
	b.s.Kick()
}

// TestUseFromEverywhere does all that other goroutines may do while the session ticks; the race detector
// watches.
func TestUseFromEverywhere(t *testing.T) {
	b := newBench(t, Remote{Events: &Events{SendPT: 101, RecvPT: 101}}, nil)
	e := &loud{done: func() {}}
	b.start(e)
	r := b.s.peer.Load().remote
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, do := range []func(){
		b.s.Kick,
		func() { _ = b.s.Stats() },
		func() { r := r; r.Muted = !r.Muted; _ = b.s.SetRemote(r) },
		func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			_ = b.s.SendDTMF(ctx, "1")
			cancel()
		},
	} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	for range 200 {
		b.arrive(b.far, b.voice(1000))
		b.tick()
	}
	if err := b.s.Close(); err != nil {
		t.Error(err)
	}
	b.tick()
	close(stop)
	wg.Wait()
}
