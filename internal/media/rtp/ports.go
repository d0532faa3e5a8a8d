package rtp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
)

// PortsConfig describes the local ports for media.
type PortsConfig struct {
	// Low and High are the first and last UDP port, both included. 0 and 0 let the system choose.
	Low, High int
	// ReuseAfter keeps a port unused after a call, so that late packets of that call do not reach the next
	// one. 0 means 5 s.
	ReuseAfter time.Duration
	Clock      quartz.Clock // nil: the real clock
}

// ParsePorts reads a range such as "10000-20000"; "0" lets the system choose.
func ParsePorts(s string) (low, high int, err error) {
	const remedy = `write it as LOW-HIGH, such as 10000-20000, or 0 to let the system choose`
	if strings.TrimSpace(s) == "0" {
		return 0, 0, nil
	}
	lo, hi, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, fmt.Errorf("RTP ports %q are not a range; %s", s, remedy)
	}
	low, err1 := strconv.Atoi(strings.TrimSpace(lo))
	high, err2 := strconv.Atoi(strings.TrimSpace(hi))
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("RTP ports %q are not numbers; %s", s, remedy)
	}
	if low < 1024 || high > 65535 || high-low < 1 {
		return 0, 0, fmt.Errorf("RTP ports %q: both have to be from 1024 to 65535 and the second larger; %s", s, remedy)
	}
	return low, high, nil
}

// ErrNoPort says that every port of the range is in use.
var ErrNoPort = errors.New("rtp: no free port in the range; widen PARLEY_RTP_PORTS")

// Ports hands out pairs of local ports: an even one for RTP and the odd one after it for RTCP (RFC 3550
// section 11). It goes round the range, so that a port rests as long as possible.
type Ports struct {
	config PortsConfig
	mu     sync.Mutex
	pairs  []time.Time // when each pair may be used again; held pairs have the far future
	next   int
}

var held = time.Unix(1<<60, 0)

// NewPorts makes an allocator.
func NewPorts(c PortsConfig) (*Ports, error) {
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.ReuseAfter == 0 {
		c.ReuseAfter = 5 * time.Second
	}
	p := &Ports{config: c}
	if c.Low == 0 && c.High == 0 {
		return p, nil
	}
	p.config.Low += c.Low % 2
	n := (c.High - p.config.Low + 1) / 2
	if c.Low < 1 || c.High > 65535 || n < 1 {
		return nil, fmt.Errorf("rtp: ports %d to %d hold no even port with the odd one after it", c.Low, c.High)
	}
	p.pairs = make([]time.Time, n)
	return p, nil
}

// Free is the number of pairs that can be had now; -1 when the system chooses.
func (p *Ports) Free() int {
	if p.pairs == nil {
		return -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, n := p.config.Clock.Now(), 0
	for _, t := range p.pairs {
		if !t.After(now) {
			n++
		}
	}
	return n
}

// Conn is what carries a Session's packets: a UDP socket, or something that stands in for one. Reads fail
// with net.ErrClosed after Close. The buffers are the Session's again when a call returns.
type Conn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

// sockets are a leg's two sockets. rtcp is nil where one Conn carries both.
type sockets struct {
	rtp, rtcp Conn
	release   func()
}

func (s sockets) close() error {
	err := s.rtp.Close()
	if s.rtcp != nil {
		err = errors.Join(err, s.rtcp.Close())
	}
	if s.release != nil {
		s.release()
	}
	return err
}

// open binds a pair on ip. A port that another program holds is passed over.
func (p *Ports) open(ip netip.Addr) (sockets, error) {
	if p.pairs == nil {
		return openAny(ip)
	}
	for range len(p.pairs) {
		i, ok := p.take()
		if !ok {
			return sockets{}, ErrNoPort
		}
		s, err := openPair(ip, p.config.Low+2*i)
		if err == nil {
			s.release = func() { p.put(i, p.config.ReuseAfter) }
			return s, nil
		}
		p.put(i, 0)
		if !portTaken(err) {
			return sockets{}, err
		}
	}
	return sockets{}, ErrNoPort
}

func (p *Ports) take() (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.config.Clock.Now()
	for range p.pairs {
		i := p.next
		p.next = (p.next + 1) % len(p.pairs)
		if !p.pairs[i].After(now) {
			p.pairs[i] = held
			return i, true
		}
	}
	return 0, false
}

func (p *Ports) put(i int, rest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pairs[i] = p.config.Clock.Now().Add(rest)
}

func openPair(ip netip.Addr, port int) (sockets, error) {
	a, err := listen(ip, port)
	if err != nil {
		return sockets{}, err
	}
	b, err := listen(ip, port+1)
	if err != nil {
		_ = a.Close()
		return sockets{}, err
	}
	return sockets{rtp: a, rtcp: b}, nil
}

// openAny lets the system choose the RTP port and tries for its odd neighbour a few times.
func openAny(ip netip.Addr) (sockets, error) {
	var err error
	for range 64 {
		var a, b *net.UDPConn
		if a, err = listen(ip, 0); err != nil {
			return sockets{}, err
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		if port%2 == 0 {
			if b, err = listen(ip, port+1); err == nil {
				return sockets{rtp: a, rtcp: b, release: func() {}}, nil
			}
		}
		_ = a.Close()
	}
	return sockets{}, fmt.Errorf("rtp: the system gave no even port with a free one after it: %w", err)
}

func listen(ip netip.Addr, port int) (*net.UDPConn, error) {
	network := "udp"
	if ip.Is4() {
		network = "udp4"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))))
	if err != nil {
		return nil, fmt.Errorf("rtp: bind: %w", err)
	}
	return c, nil
}
