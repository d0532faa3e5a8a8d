package rtp

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media/audio"
)

// line is a simulated call in virtual time: a far end that sends, a network that delays, and the player. The
// audio is a ramp that counts time, so that each frame tells when it was sent.
type line struct {
	packetMS int
	startSeq uint16
	ppm      float64                                     // how much faster than ours the far end's clock runs
	delay    func(k int, at time.Duration) time.Duration // of packet k; < 0: lost
	edit     func(k int, p *packet)                      // before it is sent; kind 255: not sent at all
	faint    bool                                        // a signal that counts as quiet
}

// store is the player's source: the jitter buffer and a codec whose payload is PCM.
type store struct{ jitter }

func (s *store) held() int                              { return s.jitter.held }
func (s *store) trim(n int)                             { s.jitter.trim(n) }
func (s *store) pop(b []byte) (got, uint8, int, []byte) { return s.jitter.pop(b) }
func (s *store) decode(_ uint8, dst []int16, payload []byte) (int, error) {
	for i := range dst {
		dst[i] = int16(binary.LittleEndian.Uint16(payload[2*i:]))
	}
	return len(dst), nil
}

const (
	base = 1000       // ramp: base + 4 for each 20 ms
	skip = 255        // a kind: not sent
	gap  = -time.Hour // a delay: silence or concealment
)

// call is what a line did.
type call struct {
	store  *store
	player *player
	delays []time.Duration // one a tick; gap when silence or concealment was played
}

// run simulates the given time. The first tick is 7 ms after the first packet is sent.
func (l line) run(d time.Duration) *call {
	if l.packetMS == 0 {
		l.packetMS = 20
	}
	if l.delay == nil {
		l.delay = func(int, time.Duration) time.Duration { return 0 }
	}
	arrivals := l.packets(d)
	c := &call{store: &store{}, player: newPlayer(8000)}
	out := make([]int16, 160)
	for now := 7 * time.Millisecond; now < d; now += 20 * time.Millisecond {
		for len(arrivals) > 0 && arrivals[0].at <= now {
			c.store.push(arrivals[0].p)
			arrivals = arrivals[1:]
		}
		concealed := c.player.concealed
		heard := c.player.next(c.store, out) && c.player.concealed == concealed
		delay := gap
		if v := c.value(out, l.faint); heard && v >= 0 {
			sent := time.Duration(float64(v) / 4 * 20 * float64(time.Millisecond) / (1 + l.ppm/1e6))
			delay = now - sent + time.Duration(l.packetMS-20)*time.Millisecond // what is said first in a packet waits for its end
		}
		c.delays = append(c.delays, delay)
	}
	return c
}

func (c *call) value(out []int16, faint bool) int {
	v := int(out[0])
	if faint {
		return v
	}
	return v - base
}

type arrival struct {
	at time.Duration
	p  packet
}

func (l line) packets(d time.Duration) []arrival {
	var all []arrival
	samples := 8 * l.packetMS
	for k := 0; ; k++ {
		at := time.Duration(float64(k*l.packetMS)/(1+l.ppm/1e6)*1e6) * time.Nanosecond
		if at > d {
			break
		}
		payload := make([]byte, 0, 2*samples)
		for i := range samples {
			v := base + 4*(k*l.packetMS)/20 + i/40
			if l.faint {
				v = 0
			}
			payload = binary.LittleEndian.AppendUint16(payload, uint16(v))
		}
		p := packet{seq: l.startSeq + uint16(k), ssrc: 1, samples: samples, payload: payload}
		if l.edit != nil {
			l.edit(k, &p)
		}
		if by := l.delay(k, at); by >= 0 && p.kind != skip {
			all = append(all, arrival{at + by, p})
		}
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return int(a.at - b.at) })
	return all
}

// worst is the largest delay between two moments; gaps counts the ticks without audio.
func (c *call) worst(from, to time.Duration) (worst time.Duration, gaps int) {
	worst = gap
	for _, d := range c.delays[from/(20*time.Millisecond) : to/(20*time.Millisecond)] {
		if d == gap {
			gaps++
		}
		worst = max(worst, d)
	}
	return worst, gaps
}

func stall(at, length time.Duration) func(int, time.Duration) time.Duration {
	return func(_ int, t time.Duration) time.Duration {
		return max(0, min(at+length-t, length)) * time.Duration(b2i(t >= at && t < at+length))
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestJitterBuffer(t *testing.T) {
	uniform := func(most time.Duration) func(int, time.Duration) time.Duration {
		rng := rand.New(rand.NewPCG(11, 12))
		return func(int, time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(most))) }
	}
	const s = time.Second
	for _, tc := range []struct {
		name            string
		line            line
		run             time.Duration
		from            time.Duration // where the delay is looked at, until the end
		delay           time.Duration // the most it may be
		gaps            int           // ticks without audio from there on, at most
		lost, concealed uint64        // at most, all along
	}{
		{"steady", line{}, 20 * s, s, 40 * time.Millisecond, 0, 0, 0},
		{"10 ms packets", line{packetMS: 10}, 20 * s, s, 40 * time.Millisecond, 0, 0, 0},
		{"30 ms packets", line{packetMS: 30}, 20 * s, s, 60 * time.Millisecond, 0, 0, 2},
		{"40 ms packets", line{packetMS: 40}, 20 * s, s, 60 * time.Millisecond, 0, 0, 2},
		{"60 ms packets", line{packetMS: 60}, 20 * s, s, 80 * time.Millisecond, 0, 0, 3},
		{"wrap of the sequence", line{startSeq: 65500}, 5 * s, s, 40 * time.Millisecond, 0, 0, 0},
		{"jitter 15 ms", line{delay: uniform(15 * time.Millisecond)}, 60 * s, 10 * s, 60 * time.Millisecond, 0, 0, 1},
		{"jitter 30 ms", line{delay: uniform(30 * time.Millisecond)}, 60 * s, 10 * s, 60 * time.Millisecond, 8, 40, 10},
		{"jitter 60 ms", line{delay: uniform(60 * time.Millisecond)}, 60 * s, 10 * s, 100 * time.Millisecond, 30, 100, 60},
		{"stall of 200 ms", line{delay: stall(5*s, s/5)}, 12 * s, 7 * s, 60 * time.Millisecond, 0, 0, 6},
		{"stall of 1 s", line{delay: stall(5*s, s)}, 15 * s, 11 * s, 60 * time.Millisecond, 0, 0, 6},
		{"stall of 4 s", line{delay: stall(5*s, 4*s)}, 20 * s, 14 * s, 60 * time.Millisecond, 0, 0, 6},
		{"far end fast by 300 ppm", line{ppm: 300}, 120 * s, s, 60 * time.Millisecond, 0, 0, 1},
		{"far end slow by 300 ppm", line{ppm: -300}, 120 * s, s, 60 * time.Millisecond, 3, 0, 6},
		{"every 20th lost", line{delay: func(k int, _ time.Duration) time.Duration { return time.Duration(-b2i(k%20 == 7)) }},
			20 * s, s, 40 * time.Millisecond, 50, 50, 50},
		{"a second lost", line{delay: func(k int, _ time.Duration) time.Duration { return time.Duration(-b2i(k >= 100 && k < 150)) }},
			10 * s, 3*s + s/2, 60 * time.Millisecond, 0, 50, 10},
		{"neighbours swapped", line{delay: func(k int, _ time.Duration) time.Duration {
			return time.Duration(b2i(k%10 == 3)) * 25 * time.Millisecond
		}}, 30 * s, 10 * s, 60 * time.Millisecond, 0, 6, 6},
		{"source changes", line{edit: func(k int, p *packet) {
			if k >= 100 {
				p.ssrc, p.seq = 2, p.seq+30000
			}
		}}, 6 * s, 3 * s, 60 * time.Millisecond, 0, 1, 3},
		{"sequence restarts", line{edit: func(k int, p *packet) {
			if k >= 100 {
				p.seq += 20000
			}
		}}, 6 * s, 3 * s, 60 * time.Millisecond, 0, 1, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.line.run(tc.run)
			delay, gaps := c.worst(tc.from, tc.run)
			t.Logf("delay %v, %d gaps, %d lost, %d concealed, %d late, %d dropped", delay.Round(time.Millisecond), gaps,
				c.store.lost, c.player.concealed, c.store.late, c.store.overflow)
			if delay > tc.delay {
				t.Errorf("delay %v, want at most %v", delay, tc.delay)
			}
			if gaps > tc.gaps {
				t.Errorf("%d ticks without audio, want at most %d", gaps, tc.gaps)
			}
			if c.store.lost > tc.lost || c.player.concealed > tc.concealed {
				t.Errorf("%d lost and %d concealed, want at most %d and %d", c.store.lost, c.player.concealed, tc.lost, tc.concealed)
			}
		})
	}
}

// TestStallKeepsWhatWasSaid: after a stall of 0.9 s nothing is dropped; it is played faster.
func TestStallKeepsWhatWasSaid(t *testing.T) {
	c := line{delay: stall(5*time.Second, 900*time.Millisecond)}.run(12 * time.Second)
	if c.store.overflow != 0 || c.store.lost != 0 {
		t.Errorf("%d packets dropped, %d lost", c.store.overflow, c.store.lost)
	}
	// From the end of the stall until the delay is back: no tick skips more than 60 ms of what was said.
	last := gap
	for i, d := range c.delays {
		sent := time.Duration(i)*20*time.Millisecond - d
		if d != gap && last != gap && sent-last > 60*time.Millisecond {
			t.Errorf("tick %d is %v after what was heard before", i, sent-last)
		}
		if d != gap {
			last = sent
		}
	}
	if at, _ := c.worst(9*time.Second, 12*time.Second); at > 60*time.Millisecond {
		t.Errorf("delay %v three seconds after the stall", at)
	}
}

// TestSilenceIsDroppedFirst: when the far end was silent during the stall the delay is back within half a second.
func TestSilenceIsDroppedFirst(t *testing.T) {
	c := &call{store: &store{}, player: newPlayer(8000)}
	out := make([]int16, 160)
	for k := range 50 {
		c.store.push(packet{seq: uint16(k), ssrc: 1, samples: 160, payload: make([]byte, 320)})
	}
	ticks := 0
	for c.store.held()+len(c.player.fifo) > 3*160 {
		c.player.next(c.store, out)
		ticks++
		c.store.push(packet{seq: uint16(50 + ticks), ssrc: 1, samples: 160, payload: make([]byte, 320)})
		if ticks > 50 {
			t.Fatalf("still %d samples after a second", c.store.held())
		}
	}
	t.Logf("1 s of silence was worked off in %d ms", 20*ticks)
	if c.store.overflow != 0 {
		t.Errorf("%d dropped by overflow", c.store.overflow)
	}
}

// TestPauseIsNotConcealed: a far end that stops with a comfort noise packet (RFC 3389) is silent, not lost.
func TestPauseIsNotConcealed(t *testing.T) {
	c := line{edit: func(k int, p *packet) {
		switch {
		case k == 100:
			p.kind, p.samples, p.payload = kindNoise, 0, []byte{60}
		case k > 100 && k < 200:
			p.kind = skip
		case k >= 200:
			p.seq -= 99
		}
	}}.run(8 * time.Second)
	if c.player.concealed != 0 || c.store.lost != 0 {
		t.Errorf("%d concealed, %d lost", c.player.concealed, c.store.lost)
	}
	if d, gaps := c.worst(5*time.Second, 8*time.Second); d > 60*time.Millisecond || gaps > 0 {
		t.Errorf("after the pause: delay %v, %d gaps", d, gaps)
	}
}

func TestConcealmentFades(t *testing.T) {
	p, s := newPlayer(8000), &store{}
	out := make([]int16, 160)
	loud := make([]byte, 320)
	for i := range 160 {
		binary.LittleEndian.PutUint16(loud[2*i:], 10000)
	}
	for k := range 2 {
		s.push(packet{seq: uint16(k), ssrc: 1, samples: 160, payload: loud})
	}
	var levels []float64
	for range 8 {
		p.next(s, out)
		levels = append(levels, audio.Level(out))
	}
	for i := 2; i < len(levels); i++ {
		if levels[i] > levels[i-1] || levels[i] > levels[1] {
			t.Errorf("levels %v", levels)
		}
	}
	if levels[7] != -96 {
		t.Errorf("after 120 ms it is still at %.0f dB", levels[7])
	}
}

func TestDuplicatesAndLate(t *testing.T) {
	var j jitter
	p := func(seq uint16) packet { return packet{seq: seq, ssrc: 1, samples: 160, payload: make([]byte, 160)} }
	for _, tc := range []struct {
		seq  uint16
		want verdict
	}{{65535, accepted}, {65535, duplicate}, {0, accepted}, {1, accepted}, {0, duplicate}, {3, accepted}, {2, accepted}, {65534, late}, {30000, probing}, {4, accepted}} {
		if got := j.push(p(tc.seq)); got != tc.want {
			t.Errorf("packet %d: %d, want %d", tc.seq, got, tc.want)
		}
	}
	if j.held != 6*160 || j.packets != 6 {
		t.Errorf("%d samples in %d packets", j.held, j.packets)
	}
}

// FuzzJitter does any sequence of operations; what is held has to add up.
func FuzzJitter(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 2, 255, 0, 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := &store{}
		p := newPlayer(8000)
		out := make([]int16, 160)
		payload := make([]byte, 4000)
		for ; len(ops) >= 3; ops = ops[3:] {
			if ops[0] >= 128 {
				p.next(s, out)
			} else {
				samples := []int{80, 160, 240, 960, 0}[ops[0]%5]
				pkt := packet{seq: uint16(ops[1])<<8 | uint16(ops[2]), ssrc: uint32(ops[0] >> 6), samples: samples, payload: payload[:2*samples]}
				if samples == 0 {
					pkt.kind = kindNoise
				}
				s.push(pkt)
			}
			held, packets := 0, 0
			for i := range s.slots {
				if s.slots[i].used {
					held += s.slots[i].samples
					packets++
				}
			}
			if held != s.jitter.held || packets != s.packets {
				t.Fatalf("%d samples in %d packets, counted %d and %d", held, packets, s.jitter.held, s.packets)
			}
		}
	})
}

func BenchmarkPlayer(b *testing.B) {
	s, p := &store{}, newPlayer(8000)
	out := make([]int16, 160)
	payload := make([]byte, 320)
	b.ReportAllocs()
	for i := range b.N {
		s.push(packet{seq: uint16(i), ssrc: 1, samples: 160, payload: payload})
		p.next(s, out)
	}
}

// TestFasterKeepsThePitch: what is left out is whole periods, so that a tone stays the tone it was.
func TestFasterKeepsThePitch(t *testing.T) {
	const hz = 170
	s, p := &store{}, newPlayer(8000)
	out := make([]int16, 160)
	at := 0
	for k := range 60 {
		payload := make([]byte, 0, 320)
		for range 160 {
			v := int16(8000 * math.Sin(2*math.Pi*hz*float64(at)/8000))
			payload = binary.LittleEndian.AppendUint16(payload, uint16(v))
			at++
		}
		s.push(packet{seq: uint16(k), ssrc: 1, samples: 160, payload: payload})
	}
	heard := 0
	for range 60 {
		if !p.next(s, out) || len(p.fifo)+s.held() == 0 {
			break
		}
		if heard++; heard == 1 {
			continue // the first frame of a talk spurt
		}
		// The frame against the sine of that pitch that fits best.
		var c, q, power float64
		for i, v := range out {
			a := 2 * math.Pi * hz * float64(i) / 8000
			c, q = c+float64(v)*math.Cos(a), q+float64(v)*math.Sin(a)
			power += float64(v) * float64(v)
		}
		if share := 2 * (c*c + q*q) / 160 / power; share < 0.97 {
			t.Errorf("frame %d is the tone to %.0f %% only", heard, 100*share)
		}
	}
	t.Logf("1.2 s were played in %d ms", 20*heard)
	if heard > 48 || heard < 30 {
		t.Errorf("1.2 s were played in %d ms", 20*heard)
	}
}
