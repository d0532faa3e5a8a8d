package rtp

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/quartz"
	pionrtcp "github.com/pion/rtcp"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is an endpoint that plays what it is told and keeps what it hears.
type scripted struct {
	say    []int16 // one value for each frame to play, all samples the same; 0 is silence
	heard  []int16
	ticks  int
	kicks  int
	inOnly int
	played int64
	onTick func()
}

func (e *scripted) Tick(in, out []int16) bool {
	if e.onTick != nil {
		e.onTick()
	}
	if in == nil {
		e.kicks++
	} else {
		e.ticks++
		e.heard = append(e.heard, in...)
	}
	if out == nil {
		e.inOnly++
		return false
	}
	if len(e.say) == 0 {
		return false
	}
	v := e.say[0]
	e.say = e.say[1:]
	for i := range out {
		out[i] = v
	}
	return v != 0
}

func (e *scripted) Played(n int64) {
	if n < e.played {
		panic("Played went back")
	}
	e.played = n
}
func (e *scripted) Event(media.LegEvent) {}

// bench is a session whose ticks the test makes itself, and the far end's socket.
type bench struct {
	t     testing.TB
	s     *Session
	clock *quartz.Mock
	far   *net.UDPConn
	due   time.Time
	seq   uint16
	ts    uint32
	ssrc  uint32
}

func newBench(t testing.TB, r Remote, change func(*Config)) *bench {
	t.Helper()
	clock := quartz.NewMock(t).WithLogger(noLog{})
	pacer := media.NewPacer(media.PacerConfig{})
	pacer.Close() // the test ticks
	ports, err := NewPorts(PortsConfig{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Local: netip.MustParseAddr("127.0.0.1"), Ports: ports, Pacer: pacer, Clock: clock, Rand: rand.New(rand.NewPCG(1, 2))}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, s: s, clock: clock, far: socket(t), due: clock.Now(), seq: 65530, ts: 0xfffffe00, ssrc: 77}
	if r.Format.Codec == "" {
		r.Format = Format{Codec: audio.PCMU}
	}
	if !r.RTP.IsValid() {
		r.RTP = b.far.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	if err := s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// noLog keeps the mock clock quiet, which logs every call.
type noLog struct{}

func (noLog) Log(...any)          {}
func (noLog) Logf(string, ...any) {}

func socket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *bench) start(e media.Endpoint) {
	b.t.Helper()
	if err := b.s.Start(e); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) tick() {
	b.clock.Advance(media.FrameDuration)
	b.due = b.due.Add(media.FrameDuration)
	b.s.Tick(media.Beat{Now: b.due, Due: b.due})
}

// arrive hands a datagram to the session as its reader does.
func (b *bench) arrive(from *net.UDPConn, wire []byte) {
	b.s.datagram(bytes.Clone(wire), make([]byte, 0, maxPacket), from.LocalAddr().(*net.UDPAddr).AddrPort(), b.clock.Now())
}

func (b *bench) packet(pt uint8, payload []byte, units uint32) []byte {
	wire := make([]byte, headerSize, headerSize+len(payload))
	header{payload: pt, seq: b.seq, ts: b.ts, ssrc: b.ssrc}.put(wire)
	b.seq++
	b.ts += units
	return append(wire, payload...)
}

// voice is a PCMU packet of 20 ms whose samples all have the same value.
func (b *bench) voice(v int16) []byte {
	pcm := make([]int16, 160)
	for i := range pcm {
		pcm[i] = v
	}
	payload := make([]byte, 160)
	audio.MuLawEncode(payload, pcm)
	return b.packet(0, payload, 160)
}

// sent reads the next packet at the far end.
func (b *bench) sent() (header, []byte) {
	b.t.Helper()
	buf := make([]byte, maxPacket)
	if err := b.far.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	n, _, err := b.far.ReadFromUDP(buf)
	if err != nil {
		b.t.Fatalf("nothing was sent: %v", err)
	}
	h, payload, ok := parse(buf[:n])
	if !ok {
		b.t.Fatalf("not RTP: %x", buf[:n])
	}
	return h, payload
}

// none checks that nothing was sent: sending to oneself over loopback is in order, so a marker datagram that
// arrives first proves it.
func (b *bench) none() {
	b.t.Helper()
	probe := socket(b.t)
	if _, err := probe.WriteTo([]byte("probe"), b.far.LocalAddr()); err != nil {
		b.t.Fatal(err)
	}
	buf := make([]byte, maxPacket)
	if err := b.far.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	n, _, err := b.far.ReadFromUDP(buf)
	if err != nil || string(buf[:n]) != "probe" {
		b.t.Fatalf("something was sent: %x %v", buf[:n], err)
	}
}

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

func TestMutedAndDeaf(t *testing.T) {
	b := newBench(t, Remote{Muted: true}, nil)
	e := &scripted{say: []int16{100, 100}}
	b.start(e)
	b.tick()
	b.none()
	if e.inOnly != 1 {
		t.Error("a muted leg asked for a frame")
	}
	r := b.s.peer.Load().remote
	r.Muted, r.Deaf = false, true
	if err := b.s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		b.arrive(b.far, b.voice(5000))
		b.tick()
	}
	for _, v := range e.heard {
		if v != 0 {
			t.Fatal("a deaf leg heard something")
		}
	}
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

func TestSourceIsLatchedAndGuarded(t *testing.T) {
	// The SDP names an address behind a NAT; the packets come from elsewhere.
	b := newBench(t, Remote{RTP: netip.MustParseAddrPort("127.0.0.99:9")}, nil)
	b.start(&scripted{})
	thief, moved := socket(t), socket(t)
	b.arrive(b.far, b.voice(1))
	b.tick()
	b.sent()
	for range 10 {
		b.arrive(thief, b.voice(1))
	}
	b.tick()
	b.sent()
	if st := b.s.Stats(); st.Malformed != 10 || st.PacketsIn != 1 {
		t.Errorf("a foreign source was believed: %+v", st)
	}
	// The far end falls silent and goes on from another port: three packets in sequence are enough.
	b.clock.Advance(relatchAfter)
	for range 3 {
		b.arrive(moved, b.voice(1))
	}
	if d := b.s.dest.Load(); d.Port() != uint16(moved.LocalAddr().(*net.UDPAddr).Port) {
		t.Errorf("sending to %v", d)
	}
	// A new address from signalling ends what was learnt.
	r := b.s.peer.Load().remote
	r.RTP = b.far.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := b.s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	if d := b.s.dest.Load(); *d != r.RTP {
		t.Errorf("sending to %v after SetRemote", d)
	}
}

func TestSignalledSourceTakesOver(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	early := socket(t)
	b.arrive(early, b.voice(1))
	b.arrive(b.far, b.voice(1))
	b.arrive(early, b.voice(1))
	if d := b.s.dest.Load(); *d != b.far.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Errorf("sending to %v, not to the signalled address", d)
	}
}

func TestDTMFOutAndIn(t *testing.T) {
	b := newBench(t, Remote{Events: &Events{SendPT: 101, RecvPT: 96}}, nil)
	b.start(&scripted{})
	if err := b.s.SendDTMF(t.Context(), "5x"); err == nil {
		t.Error("x was taken as a digit")
	}
	result := make(chan error, 1)
	go func() { result <- b.s.SendDTMF(context.Background(), "5,#") }()
	for !b.s.dtmf.busy() {
		time.Sleep(time.Millisecond) // another goroutine has to reach the queue
	}
	var in dtmfIn
	var got []byte
	ends := 0
	var ts uint32
	for len(result) == 0 {
		b.tick()
		for {
			_ = b.far.SetReadDeadline(time.Now().Add(3 * time.Millisecond))
			buf := make([]byte, maxPacket)
			n, _, err := b.far.ReadFromUDP(buf)
			if err != nil {
				break
			}
			h, payload, _ := parse(buf[:n])
			if h.payload != 101 {
				continue
			}
			e, ok := parseEvent(payload)
			if !ok {
				t.Fatalf("payload %x", payload)
			}
			if d := in.packet(h, e); d != 0 {
				got = append(got, d)
				ts = h.ts
				if !h.marker {
					t.Error("a digit begins without the marker")
				}
			}
			if h.ts != ts {
				t.Error("the timestamp moved during a digit")
			}
			if e.end {
				ends++
				if e.duration != 8*160 {
					t.Errorf("duration %d", e.duration)
				}
			}
		}
	}
	if err := <-result; err != nil || string(got) != "5#" || ends != 6 {
		t.Errorf("%q with %d end packets: %v", got, ends, err)
	}
}

func TestSendDTMFErrors(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	b.start(&scripted{})
	if err := b.s.SendDTMF(t.Context(), "1"); !errors.Is(err, ErrNoEvents) {
		t.Errorf("without telephone-event: %v", err)
	}
	r := b.s.peer.Load().remote
	r.Events = &Events{SendPT: 101, RecvPT: 101}
	if err := b.s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.s.SendDTMF(ctx, "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := b.s.SendDTMF(ctx, string(bytes.Repeat([]byte("1"), maxQueued))); err == nil {
		t.Error("the queue is not bounded")
	}
}

func TestDTMFDigitsAreReportedOnTheTick(t *testing.T) {
	var got []byte
	b := newBench(t, Remote{Events: &Events{SendPT: 101, RecvPT: 101}}, func(c *Config) {
		c.OnDTMF = func(d byte) { got = append(got, d) }
	})
	b.start(&scripted{})
	for _, code := range []byte{1, 10, 1} {
		for i := range 5 {
			var payload [4]byte
			event{code: code, duration: uint16(160 * (i + 1))}.put(payload[:])
			b.arrive(b.far, b.packet(101, payload[:], 0))
		}
		b.ts += 1600
	}
	b.arrive(b.far, b.packet(101, []byte{1, 2}, 0)) // too short
	b.tick()
	if string(got) != "1*1" {
		t.Errorf("heard %q", got)
	}
	if st := b.s.Stats(); st.Malformed != 1 || st.Lost != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestReportsAgainstPion(t *testing.T) {
	b := newBench(t, Remote{Mux: true}, func(c *Config) { c.CNAME = "someone" })
	b.start(&scripted{})
	b.s.mu.Lock()
	b.s.out.nextReport = b.due.Add(time.Hour)
	b.s.mu.Unlock()
	for range 30 {
		b.arrive(b.far, b.voice(1))
		b.tick()
		b.sent()
	}
	b.seq += 10 // lost
	b.arrive(b.far, b.voice(1))
	sr, err := (&pionrtcp.SenderReport{SSRC: b.ssrc, NTPTime: 0x1111222233334444}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b.arrive(b.far, sr)
	b.clock.Advance(500 * time.Millisecond)
	now := b.clock.Now()
	b.s.mu.Lock()
	b.s.sendReport(now)
	b.s.mu.Unlock()
	buf := make([]byte, maxPacket)
	_ = b.far.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, _, err := b.far.ReadFromUDP(buf)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := pionrtcp.Unmarshal(buf[:n])
	if err != nil || len(packets) != 2 {
		t.Fatalf("%d packets in %x: %v", len(packets), buf[:n], err)
	}
	got, ok := packets[0].(*pionrtcp.SenderReport)
	if !ok || len(got.Reports) != 1 || got.PacketCount != 30 || got.OctetCount != 30*160 || got.NTPTime != ntp(now) {
		t.Fatalf("%+v", packets[0])
	}
	r := got.Reports[0]
	if r.SSRC != b.ssrc || r.TotalLost != 10 || r.FractionLost != 10*256/41 || r.LastSenderReport != 0x22223333 || r.Delay != 32768 {
		t.Errorf("report %+v", r)
	}
	sdes, ok := packets[1].(*pionrtcp.SourceDescription)
	if !ok || sdes.Chunks[0].Items[0].Text != "someone" || sdes.Chunks[0].Source != got.SSRC {
		t.Errorf("%+v", packets[1])
	}
	// The far end answers a second later, of which it held the report for 900 ms: 100 ms of round trip.
	b.clock.Advance(time.Second)
	rr, err := (&pionrtcp.ReceiverReport{SSRC: b.ssrc, Reports: []pionrtcp.ReceptionReport{{
		SSRC: got.SSRC, LastSenderReport: short(got.NTPTime), Delay: 65536 * 9 / 10}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b.arrive(b.far, rr)
	if st := b.s.Stats(); st.RoundTripMS < 99 || st.RoundTripMS > 101 {
		t.Errorf("round trip %.1f ms", st.RoundTripMS)
	}
}

func TestSRTPBothWays(t *testing.T) {
	for suite := range profiles {
		t.Run(suite, func(t *testing.T) {
			n := KeyLength(suite)
			ours, theirs := bytes.Repeat([]byte{1}, n), bytes.Repeat([]byte{2}, n)
			a := newBench(t, Remote{SRTP: &Keys{Suite: suite, Local: ours, Remote: theirs}}, nil)
			far, err := newSeal(&Keys{Suite: suite, Local: theirs})
			if err != nil {
				t.Fatal(err)
			}
			open, err := newUnseal(&Keys{Suite: suite, Remote: ours})
			if err != nil {
				t.Fatal(err)
			}
			e := &scripted{say: []int16{1000}}
			a.start(e)
			for i := range 30 {
				wire, err := far.rtp(make([]byte, maxPacket), a.voice(2000))
				if err != nil {
					t.Fatal(err)
				}
				a.arrive(a.far, wire)
				if i == 15 { // a re-INVITE with the same keys in the middle of the wrap changes nothing
					if err := a.s.SetRemote(a.s.peer.Load().remote); err != nil {
						t.Fatal(err)
					}
				}
				a.tick()
			}
			if st := a.s.Stats(); st.Malformed != 0 || st.PacketsIn != 30 {
				t.Fatalf("stats %+v", st)
			}
			if v := e.heard[len(e.heard)-1]; v < 1900 || v > 2100 {
				t.Errorf("heard %d", v)
			}
			buf := make([]byte, maxPacket)
			for i := range 30 {
				n, _, err := a.far.ReadFromUDP(buf)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := open.rtp(make([]byte, maxPacket), buf[:n])
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				if _, payload, ok := parse(plain); !ok || len(payload) != 160 {
					t.Fatalf("packet %d: %x", i, plain)
				}
			}
			a.arrive(a.far, a.voice(1)) // not encrypted
			if st := a.s.Stats(); st.Malformed != 1 {
				t.Errorf("a plain packet was taken: %+v", st)
			}
		})
	}
}

func TestSetRemoteErrors(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	for name, r := range map[string]Remote{
		"codec":        {Format: Format{Codec: "iLBC"}},
		"payload type": {Format: Format{Codec: audio.PCMU, SendPT: 200}},
		"event type":   {Format: Format{Codec: audio.PCMU}, Events: &Events{SendPT: 128}},
		"suite":        {Format: Format{Codec: audio.PCMU}, SRTP: &Keys{Suite: "NULL"}},
		"key":          {Format: Format{Codec: audio.PCMU}, SRTP: &Keys{Suite: "AES_CM_128_HMAC_SHA1_80", Remote: make([]byte, 30), Local: make([]byte, 29)}},
	} {
		before := b.s.peer.Load()
		if err := b.s.SetRemote(r); err == nil {
			t.Errorf("%s: no error", name)
		}
		if b.s.peer.Load() != before {
			t.Errorf("%s: something was changed", name)
		}
	}
}

func TestCodecChangesRateDuringTheCall(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	e := &scripted{say: []int16{1000, 1000, 1000, 1000}}
	b.start(e)
	r := b.s.peer.Load().remote
	r.Format = Format{Codec: audio.G722, SendPT: 9, RecvPT: 9}
	if err := b.s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	if b.s.Rate() != 8000 {
		t.Errorf("the rate is now %d", b.s.Rate())
	}
	enc, err := audio.NewCodec(audio.G722)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, 320)
	for i := range pcm {
		pcm[i] = 3000
	}
	for range 10 {
		payload, err := enc.Encode(nil, pcm)
		if err != nil {
			t.Fatal(err)
		}
		b.arrive(b.far, b.packet(9, payload, 160))
		b.tick()
		if h, p := b.sent(); h.payload != 9 || len(p) != 160 {
			t.Fatalf("sent type %d with %d bytes", h.payload, len(p))
		}
	}
	if v := e.heard[len(e.heard)-1]; v < 2700 || v > 3300 {
		t.Errorf("heard %d", v)
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

// loud plays a tone and is done when it has heard one.
type loud struct {
	done  func()
	heard int
	phase int
}

func (l *loud) Tick(in, out []int16) bool {
	if in != nil && !audio.Quiet(in) {
		if l.heard++; l.heard == 10 {
			l.done()
		}
	}
	for i := range out {
		l.phase++
		out[i] = int16(8000 * (l.phase / 20 % 2))
	}
	return true
}
func (l *loud) Played(int64)         {}
func (l *loud) Event(media.LegEvent) {}

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

func FuzzPacket(f *testing.F) {
	good := make([]byte, headerSize+160)
	header{payload: 0, seq: 1, ts: 2, ssrc: 3}.put(good)
	f.Add(good)
	f.Add([]byte{0x80, 0xc8, 0, 6})
	f.Add([]byte{0xbf, 101, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	b := newBench(f, Remote{Events: &Events{SendPT: 101, RecvPT: 101}}, nil)
	b.start(&scripted{})
	f.Fuzz(func(_ *testing.T, wire []byte) {
		b.arrive(b.far, wire)
		b.s.Tick(media.Beat{Now: b.due, Due: b.due})
	})
}

func FuzzRTCP(f *testing.F) {
	f.Add(appendRTCP(nil, 1, &sender{}, &report{}, "x"))
	f.Add(appendBye(nil, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, ok := parseRTCP(b)
		if _, err := pionrtcp.Unmarshal(b); err == nil && len(b) > 0 && !ok {
			t.Errorf("pion takes %x", b)
		}
		if info.count > len(info.reports) {
			t.Errorf("%d reports", info.count)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte{5, 0x8a, 3, 32}, uint32(160), uint16(1), true)
	f.Fuzz(func(t *testing.T, b []byte, ts uint32, seq uint16, marker bool) {
		e, ok := parseEvent(b)
		if !ok {
			return
		}
		d := dtmfIn{active: true, ts: 100, code: 5}
		if c := d.packet(header{ts: ts, seq: seq, marker: marker}, e); c != 0 && bytes.IndexByte([]byte(digits), c) < 0 {
			t.Errorf("digit %q", c)
		}
		if e.code < 64 {
			var back [4]byte
			e.put(back[:])
			if again, _ := parseEvent(back[:]); again != e {
				t.Errorf("%+v came back as %+v", e, again)
			}
		}
	})
}

func BenchmarkSessionTick(b *testing.B) {
	for _, codec := range []string{audio.PCMU, audio.G722, audio.Opus} {
		for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80"} {
			name := codec
			var keys *Keys
			if suite != "" {
				name += "/srtp"
				keys = &Keys{Suite: suite, Local: make([]byte, 30), Remote: make([]byte, 30)}
			}
			b.Run(name, func(b *testing.B) { benchmarkTick(b, codec, keys) })
		}
	}
}

// benchmarkTick counts a call's 20 ms: one packet in through the kernel, one tick, one packet out.
func benchmarkTick(b *testing.B, codec string, keys *Keys) {
	n := newBench(b, Remote{Format: Format{Codec: codec}, SRTP: keys}, func(c *Config) { c.Clock = quartz.NewReal() })
	n.start(&loud{done: func() {}})
	c, err := audio.NewCodec(codec)
	if err != nil {
		b.Fatal(err)
	}
	pcm := make([]int16, c.Rate()/50)
	for i := range pcm {
		pcm[i] = int16(i % 40 * 200)
	}
	payload, err := c.Encode(nil, pcm)
	if err != nil {
		b.Fatal(err)
	}
	var far *seal
	if keys != nil {
		if far, err = newSeal(keys); err != nil {
			b.Fatal(err)
		}
	}
	wire := make([]byte, headerSize+len(payload))
	copy(wire[headerSize:], payload)
	cipher := make([]byte, maxPacket)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(n.s.LocalPort()))
	var sink [maxPacket]byte
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		header{payload: 0, seq: uint16(i), ts: uint32(i * 160), ssrc: 9}.put(wire)
		out := wire
		if far != nil {
			if out, err = far.rtp(cipher, wire); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := n.far.WriteToUDPAddrPort(out, to); err != nil {
			b.Fatal(err)
		}
		n.s.Tick(media.Beat{Now: n.due, Due: n.due})
		if _, _, err := n.far.ReadFromUDPAddrPort(sink[:]); err != nil {
			b.Fatal(err)
		}
	}
}
