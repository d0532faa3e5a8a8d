package load

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	batch         = 64
	headerBytes   = 12
	callsPerPort  = 50
	maxPorts      = 16
	restEvery     = 4 * time.Millisecond // packets gather meanwhile: one system call reads them all
	lateFrame     = 20 * time.Millisecond
	samplesFrame  = 160
	stallFor      = time.Second
	stallBefore   = 5 * time.Second // the stall's end to the end of the speech that measures it
	quietForReply = 100 * time.Millisecond
)

// port is one socket that many calls share: the server has a port for each call, which tells them apart.
type port struct {
	conn  *net.UDPConn
	batch *ipv4.PacketConn

	mu    sync.RWMutex
	calls map[netip.AddrPort]*stream
}

func openPort(ip netip.Addr) (*port, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(8 << 20) // the kernel may grant less
	_ = c.SetWriteBuffer(4 << 20)
	wantStamps(c)
	return &port{conn: c, batch: ipv4.NewPacketConn(c), calls: map[netip.AddrPort]*stream{}}, nil
}

func (p *port) number() int { return p.conn.LocalAddr().(*net.UDPAddr).Port }

func (p *port) add(s *stream) {
	p.mu.Lock()
	p.calls[s.remote] = s
	p.mu.Unlock()
}

func (p *port) remove(s *stream) {
	p.mu.Lock()
	delete(p.calls, s.remote)
	p.mu.Unlock()
}

// read takes in packets until the socket closes.
func (p *port) read() {
	ms := make([]ipv4.Message, batch)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, 1500)}
		ms[i].OOB = make([]byte, stampSpace)
	}
	for {
		n, err := p.batch.ReadBatch(ms, 0)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		now := time.Now()
		for _, m := range ms[:n] {
			from := m.Addr.(*net.UDPAddr).AddrPort()
			p.mu.RLock()
			s := p.calls[netip.AddrPortFrom(from.Addr().Unmap(), from.Port())]
			p.mu.RUnlock()
			if s != nil {
				s.receive(m.Buffers[0][:m.N], stampOf(m.OOB[:m.NN], now))
			}
		}
		if n < batch {
			time.Sleep(restEvery)
		}
	}
}

// stream is one call's audio.
type stream struct {
	port   *port
	remote netip.AddrPort
	addr   *net.UDPAddr
	packet [headerBytes + frameBytes]byte // sent before the next one is made
	whole  [1][]byte                      // packet, as a batch wants it
	seq    uint16
	ts     uint32

	// The sender's alone.
	tick      int // frames since the call was answered
	offset    int // of its speech in the rhythm
	withheld  [][]byte
	sent      atomic.Uint64
	silence   []byte
	utterance [][]byte

	mu       sync.Mutex // what follows is shared by the reader
	heard    bool
	first    uint16
	last     uint16
	cycles   uint32
	received uint64
	late     uint64
	window   time.Time     // when the current window began
	base     time.Duration // smallest delay of the current window
	baseOld  time.Duration // and of the one before
	begin    time.Time
	beginTS  uint32
	settled  bool // the schedule between talkspurts is known
	hold     [talkHang/frameTime + 2]time.Duration
	held     int    // of hold: delays not judged yet
	judged   uint64 // packets compared with the earliest
	lateness []float64
	lastTalk time.Time // the last packet of a talkspurt
	dialogue
}

func newStream(p *port, remote netip.AddrPort, ssrc uint32, offset int) *stream {
	s := &stream{port: p, remote: remote, addr: net.UDPAddrFromAddrPort(remote), offset: offset, dialogue: dialogue{stallAt: -1},
		silence: silence(), utterance: spoken()}
	s.packet[0] = 0x80
	s.whole[0] = s.packet[:]
	binary.BigEndian.PutUint32(s.packet[8:], ssrc)
	return s
}

// endOfTurn is the frame at which the caller's speech of a turn ends.
func (s *stream) endOfTurn(turn int) int { return turn*everyFrames + s.offset + len(s.utterance) }

// next adds the packet of this tick to out: none while the network stalls, and what was withheld in a burst
// after it.
func (s *stream) next(now time.Time, out []ipv4.Message) []ipv4.Message {
	place := (s.tick - s.offset) % everyFrames
	payload := s.silence
	speaking := s.tick >= s.offset && place < len(s.utterance)
	if speaking {
		payload = s.utterance[place]
		if place == len(s.utterance)-1 {
			s.mu.Lock()
			s.spoke(now, s.tick)
			s.mu.Unlock()
		}
	}
	s.packet[1] = 0
	if speaking && place == 0 {
		s.packet[1] = 0x80 // marker
	}
	binary.BigEndian.PutUint16(s.packet[2:], s.seq)
	binary.BigEndian.PutUint32(s.packet[4:], s.ts)
	s.seq++
	s.ts += samplesFrame
	copy(s.packet[headerBytes:], payload)
	stalled := s.stalled(s.tick)
	s.tick++
	if stalled {
		s.withheld = append(s.withheld, append([]byte(nil), s.packet[:]...))
		return out
	}
	for _, old := range s.withheld {
		out = append(out, ipv4.Message{Buffers: [][]byte{old}, Addr: s.addr})
	}
	s.withheld = nil
	s.sent.Add(1)
	return append(out, ipv4.Message{Buffers: s.whole[:], Addr: s.addr})
}

// receive takes a packet of the server.
func (s *stream) receive(b []byte, at time.Time) {
	if len(b) <= headerBytes || b[0]>>6 != 2 || b[1]&0x7F != 0 {
		return // RTCP on a shared port, or an event
	}
	seq, ts := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
	s.mu.Lock()
	defer s.mu.Unlock()
	loud := audible(b[headerBytes:])
	where := hanging
	if marker := b[1]&0x80 != 0; marker || loud {
		s.lastTalk, where = at, speaking
	} else if at.Sub(s.lastTalk) > talkHang {
		where = regular
	}
	s.place(seq, ts, at, where)
	if loud {
		s.loud(at)
	}
}

// baseWindow bounds how long the earliest packet is what others are compared with: a sender that moved its
// schedule once, after a stall of its machine, is not late for ever. A listener's buffer adapts alike.
const baseWindow = time.Second

// talkHang is how long after the last sound a talkspurt counts as over.
const talkHang = 200 * time.Millisecond

// talk says where a packet stands in the agent's speech.
type talk int

const (
	speaking talk = iota // part of a talkspurt
	hanging              // silence that may be a pause of the talkspurt
	regular              // between talkspurts: the sender's own schedule
)

// place counts a packet and how late it is: by the RTP clock, against the earliest packet of the last one or
// two seconds between talkspurts. The first frame of a reply is sent at once and the talkspurt runs that much
// early, by less than a frame; being early is no measure for what comes after (RFC 3550 section 5.1: a marker lets
// the listener adapt).
func (s *stream) place(seq uint16, ts uint32, at time.Time, where talk) {
	s.received++
	if !s.heard {
		s.heard, s.first, s.last, s.begin, s.beginTS, s.window = true, seq, seq, at, ts, at
		return
	}
	if diff := int16(seq - s.last); diff > 0 {
		if seq < s.last {
			s.cycles++
		}
		s.last = seq
	}
	delay := at.Sub(s.begin) - time.Duration(int32(ts-s.beginTS))*time.Second/8000
	switch where {
	case regular:
		if !s.settled {
			// What came before was a greeting, which may have begun anywhere between two places of the schedule.
			s.settled, s.window, s.base, s.baseOld = true, at, delay, delay
		}
		if at.Sub(s.window) > baseWindow {
			s.window, s.baseOld, s.base = at, s.base, delay
		}
		s.base = min(s.base, delay)
	case hanging:
		if !s.settled && s.held < len(s.hold) {
			// A pause of the greeting, or the schedule after it: what follows tells which, and so what it is measured by.
			s.hold[s.held] = delay
			s.held++
			return
		}
	}
	for _, d := range s.hold[:s.held] {
		s.judge(d)
	}
	s.held = 0
	s.judge(delay)
}

// judge counts one packet's delay against the earliest.
func (s *stream) judge(delay time.Duration) {
	lateness := delay - min(s.base, s.baseOld)
	if lateness > lateFrame {
		s.late++
	}
	if s.judged++; s.judged%16 == 0 { // a sample is enough, and bounded in memory
		s.lateness = append(s.lateness, float64(lateness.Microseconds())/1000)
	}
}

// lost is the number of packets that did not come.
func (s *stream) lost() uint64 {
	if !s.heard {
		return 0
	}
	expected := uint64(s.cycles)<<16 + uint64(s.last) - uint64(s.first) + 1
	if expected < s.received {
		return 0
	}
	return expected - s.received
}
