package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/strength"
)

// Limits of the transports. They bound memory whatever a peer sends.
const (
	maxMessage    = 64 << 10         // one message, RFC 3261 section 18.1.1
	maxConns      = 4096             // TCP and TLS connections open at once
	maxFromOne    = 1024             // of one address, or of one IPv6 /64
	connQueue     = 64               // messages waiting for one slow TCP peer; when full the connection closes
	connIdle      = 2 * time.Minute  // TCP connection without a message or keep-alive
	connKept      = 24 * time.Hour   // the same while a call or a registration needs it
	connMessage   = 10 * time.Second // from the first byte of a message to its last
	connWrite     = 5 * time.Second
	tcpDialWithin = 5 * time.Second
	udpReadBuffer = 4 << 20 // a burst of calls arrives faster than one goroutine reads
)

// flow is where a message came from and where the answer goes (the word of RFC 5626): a UDP address, or a
// TCP connection.
type flow struct {
	remote netip.AddrPort
	conn   *tcpConn // nil for UDP
	lent   *lent    // the flow is another server's; nil: ours
}

func (f flow) network() string {
	switch {
	case f.lent != nil:
		return f.lent.protocol
	case f.secure():
		return "tls"
	case f.conn != nil:
		return "tcp"
	}
	return "udp"
}

// secure reports whether nobody on the way can read the message.
func (f flow) secure() bool {
	return f.conn != nil && f.conn.secure || f.lent != nil && f.lent.protocol == "tls"
}

// reliable reports whether what is sent arrives, as long as the flow lasts. What other servers pass on may get lost.
func (f flow) reliable() bool { return f.conn != nil }

func (f flow) String() string { return f.network() + ":" + f.remote.String() }

// transport owns the UDP socket, the TCP listener and every TCP connection. It hands each message to
// receive, which is called by one goroutine for UDP and one for each TCP connection. The bytes are valid
// only during that call.
type transport struct {
	log     *slog.Logger
	clock   quartz.Clock
	udp     *net.UDPConn
	ln      *net.TCPListener
	tls     *secureListener // nil without TLS
	client  *tls.Config     // for connections we open
	level   strength.Level  // of the certificates that their servers show
	receive func(raw []byte, f flow)
	broken  func(raw []byte, f flow, why error) // a TCP stream that cannot be framed any more
	dialer  net.Dialer

	mu     sync.Mutex
	closed bool
	done   chan struct{}
	conns  map[connKey]*tcpConn
	from   map[netip.Addr]int // how many of them each address has
	wg     sync.WaitGroup
}

// listen binds UDP and TCP to one address. With port 0 both get the same free port.
func listen(addr string) (*net.UDPConn, *net.TCPListener, error) {
	want, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("SIP address %q is not host:port: %w", addr, err)
	}
	attempts := 1
	if want.Port == 0 {
		attempts = 20 // the UDP port we are given may be taken on TCP
	}
	for i := 1; ; i++ {
		udp, err := net.ListenUDP("udp", want)
		if err != nil {
			return nil, nil, fmt.Errorf("listen for SIP on UDP %s: %w", addr, err)
		}
		got := udp.LocalAddr().(*net.UDPAddr)
		ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: want.IP, Port: got.Port, Zone: want.Zone})
		if err == nil {
			// The kernel may grant less; a smaller buffer only loses datagrams that are sent again.
			_ = udp.SetReadBuffer(udpReadBuffer)
			_ = udp.SetWriteBuffer(udpReadBuffer)
			return udp, ln, nil
		}
		_ = udp.Close()
		if i >= attempts {
			return nil, nil, fmt.Errorf("listen for SIP on TCP %s: %w", addr, err)
		}
	}
}

func (t *transport) start() {
	t.wg.Add(2)
	go t.readUDP()
	go t.acceptTCP(t.ln, func(c *net.TCPConn) error {
		_, err := t.adopt(c, connKey{remote: peerOf(c)}, nil)
		return err
	})
	if t.tls != nil {
		t.wg.Add(1)
		go t.acceptTCP(t.tls.ln, t.tls.admit)
	}
}

// peerOf is the address of a connection's far end.
func peerOf(c net.Conn) netip.AddrPort {
	at := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// stop closes every socket and waits for their goroutines.
func (t *transport) stop() {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed = true
	close(t.done)
	conns := make([]*tcpConn, 0, len(t.conns))
	for _, c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	_ = t.udp.Close()
	_ = t.ln.Close()
	if t.tls != nil {
		t.tls.stop()
	}
	for _, c := range conns {
		c.close()
	}
	t.wg.Wait()
}

func (t *transport) readUDP() {
	defer t.wg.Done()
	buf := make([]byte, maxMessage)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// An ICMP error of some earlier datagram must not end the service.
			t.log.Debug("SIP datagram not read", "error", err)
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		t.receive(buf[:n], flow{remote: from})
	}
}

// acceptTCP takes connections and hands them on; take must not wait.
func (t *transport) acceptTCP(ln *net.TCPListener, take func(*net.TCPConn) error) {
	defer t.wg.Done()
	for {
		c, err := ln.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			t.log.Warn("SIP connection not accepted", "error", err)
			// Out of file descriptors: let some close before we try again.
			pause := t.clock.NewTimer(100*time.Millisecond, "sip", "accept")
			select {
			case <-pause.C:
			case <-t.done:
				pause.Stop()
			}
			continue
		}
		if err := take(c); err != nil {
			t.log.Warn("SIP connection refused", "peer", c.RemoteAddr().String(), "error", err)
			_ = c.Close()
		}
	}
}

// adopt makes a connection ours: a reader, a writer, a place in the table.
func (t *transport) adopt(c net.Conn, key connKey, domains []string) (*tcpConn, error) {
	tc := &tcpConn{t: t, conn: c, remote: key.remote, key: key, secure: key.secure, domains: domains,
		out: make(chan []byte, connQueue), done: make(chan struct{})}
	tc.idle.Store(int64(connIdle))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, net.ErrClosed
	}
	if len(t.conns) >= maxConns {
		return nil, fmt.Errorf("%d SIP connections are open already", len(t.conns))
	}
	source := network(key.remote.Addr())
	if t.from[source] >= maxFromOne {
		return nil, fmt.Errorf("%s has %d SIP connections already", source, maxFromOne)
	}
	if old := t.conns[key]; old == nil { // else it closed and is not out of the table yet
		t.from[source]++
	}
	t.conns[key] = tc
	t.wg.Add(2)
	go tc.read()
	go tc.write()
	return tc, nil
}

// leave counts a connection off. t.mu is held.
func (t *transport) leave(a netip.Addr) {
	a = network(a)
	if t.from[a]--; t.from[a] <= 0 {
		delete(t.from, a)
	}
}

// send writes one message. It never blocks: UDP drops, a TCP connection whose queue is full closes.
func (t *transport) send(raw []byte, f flow) error {
	if f.conn != nil {
		return f.conn.send(raw)
	}
	if len(raw) > maxMessage {
		return fmt.Errorf("message of %d bytes does not fit a datagram", len(raw))
	}
	_, err := t.udp.WriteToUDPAddrPort(raw, f.remote)
	return err
}

// dial gives the open connection to remote, or makes one.
func (t *transport) dial(ctx context.Context, remote netip.AddrPort) (flow, error) {
	key := connKey{remote: remote}
	if c := t.conn(key); c != nil {
		return flow{remote: remote, conn: c}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tcpDialWithin)
	defer cancel()
	conn, err := t.dialer.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return flow{}, err
	}
	tc, err := t.adopt(conn, key, nil)
	if err != nil {
		_ = conn.Close()
		return flow{}, err
	}
	return flow{remote: remote, conn: tc}, nil
}

// conn gives an open connection.
func (t *transport) conn(key connKey) *tcpConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conns[key]
}

// localAddr is the address peers can reach us at when they sit at remote.
func (t *transport) localAddr(remote netip.Addr) netip.AddrPort {
	own := t.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	addr := own.Addr().Unmap()
	if !addr.IsUnspecified() {
		return netip.AddrPortFrom(addr, own.Port())
	}
	// No packet is sent: connecting a UDP socket asks the routing table which source address is used.
	if c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, 9))); err == nil {
		addr = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		_ = c.Close()
	}
	return netip.AddrPortFrom(addr, own.Port())
}
