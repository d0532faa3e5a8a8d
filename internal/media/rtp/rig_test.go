package rtp

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/coder/quartz"
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
