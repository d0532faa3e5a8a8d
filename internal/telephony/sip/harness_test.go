package sip

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second // a test that waits longer has failed

// counts records what a server told its metrics.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(event, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[event+":"+detail]++
}

func (c *counts) get(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}

// bench is a server under test.
type bench struct {
	*Server
	legs   chan media.Leg
	counts *counts
}

// serve starts a server whose calls arrive on legs.
func serve(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{legs: make(chan media.Leg, 64), counts: &counts{n: map[string]int{}}}
	pacer := media.NewPacer(media.PacerConfig{Shards: 2})
	c := Config{Addr: "127.0.0.1:0", Pacer: pacer, Accept: func(_ context.Context, l media.Leg) { b.legs <- l }, Count: b.counts.add}
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Server = s
	t.Cleanup(func() {
		s.Stop(context.Background())
		pacer.Close()
		if n := b.counts.get("panic:message") + b.counts.get("panic:call"); n > 0 {
			t.Errorf("%d handlers panicked", n)
		}
	})
	return b
}

// leg waits for the next call.
func (b *bench) call(t *testing.T) media.Leg {
	t.Helper()
	select {
	case l := <-b.legs:
		return l
	case <-time.After(patience):
		t.Fatal("no call arrived")
		return nil
	}
}

// over waits for a leg's end.
func over(t *testing.T, l media.Leg) media.Cause {
	t.Helper()
	select {
	case <-l.Done():
		return l.End()
	case <-time.After(patience):
		t.Fatal("the call did not end")
		return media.Cause{}
	}
}

// peer is a SIP phone made of a socket and text: it sends what it is told, also what no phone would.
type peer struct {
	t       *testing.T
	conn    net.Conn
	server  netip.AddrPort
	network string
	tcp     bool // or TLS
	buf     []byte
	branch  int
	stash   []sipmsg.Message
	seen    map[string]bool // transactions that asked gave
}

func dialPeer(t *testing.T, network string, to netip.AddrPort) *peer {
	t.Helper()
	return dialPeerFrom(t, network, "127.0.0.1", to)
}

// dialPeerFrom makes a peer with another address of this machine.
func dialPeerFrom(t *testing.T, network, from string, to netip.AddrPort) *peer {
	t.Helper()
	var d net.Dialer
	local := netip.AddrPortFrom(netip.MustParseAddr(from), 0)
	if network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(local)
	} else {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	var c net.Conn
	var err error
	if network == "tls" {
		c, err = tls.DialWithDialer(&d, "tcp", to.String(), &tls.Config{RootCAs: authority(t).pool, ServerName: "localhost"})
	} else {
		c, err = d.Dial(network, to.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{t: t, conn: c, server: to, network: network, tcp: network != "udp"}
}

func (p *peer) local() string { return p.conn.LocalAddr().String() }

func (p *peer) send(text string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// request writes a request. head holds more header lines, or ones that replace the usual: "To: x".
func (p *peer) request(method, uri, body string, head ...string) string {
	p.branch++
	network := strings.ToUpper(cmp.Or(p.network, "udp"))
	lines := []string{
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=z9hG4bK-%d-%s;rport", network, p.local(), p.branch, strings.ToLower(method)),
		"Max-Forwards: 70", "From: <sip:caller@" + p.local() + ">;tag=peer", "To: <" + uri + ">",
		"Call-ID: " + p.t.Name() + "-" + p.local(), "CSeq: " + strconv.Itoa(p.branch) + " " + method, "Contact: <sip:caller@" + p.local() + p.transportParam() + ">",
	}
	for _, h := range head {
		name, _, _ := strings.Cut(h, ":")
		done := false
		for i, l := range lines {
			if n, _, _ := strings.Cut(l, ":"); n == name {
				lines[i], done = h, true
			}
		}
		if !done {
			lines = append(lines, h)
		}
	}
	if body != "" && !strings.Contains(strings.Join(lines, "\n"), "Content-Type") {
		lines = append(lines, "Content-Type: application/sdp")
	}
	kept := lines[:0]
	for _, l := range lines {
		if !strings.HasSuffix(l, ": -") { // "Contact: -" leaves the header out
			kept = append(kept, l)
		}
	}
	return method + " " + uri + " SIP/2.0\r\n" + strings.Join(kept, "\r\n") + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func (p *peer) transportParam() string {
	if p.tcp {
		return ";transport=" + p.network
	}
	return ""
}

// read gives the next message.
func (p *peer) read() sipmsg.Message {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, maxMessage)
	for {
		if p.tcp {
			if i := strings.Index(string(p.buf), "\r\n\r\n"); i >= 0 {
				n := 0
				for _, l := range strings.Split(string(p.buf[:i]), "\r\n") {
					if v, ok := contentLength([]byte(l)); ok {
						n = v
					}
				}
				if len(p.buf) >= i+4+n {
					raw := p.buf[:i+4+n]
					p.buf = p.buf[i+4+n:]
					return p.parse(raw)
				}
			}
		}
		n, err := p.conn.Read(buf)
		if err != nil {
			p.t.Fatalf("no message came: %v", err)
		}
		if !p.tcp {
			return p.parse(buf[:n])
		}
		p.buf = append(p.buf, buf[:n]...)
	}
}

// readRaw gives the next datagram as it came.
func (p *peer) readRaw() string {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, maxMessage)
	n, err := p.conn.Read(buf)
	if err != nil {
		p.t.Fatalf("no message came: %v", err)
	}
	return string(buf[:n])
}

func (p *peer) parse(raw []byte) sipmsg.Message {
	p.t.Helper()
	m, err := sipmsg.NewParser().ParseSIP(raw)
	if err != nil {
		p.t.Fatalf("the server sent what cannot be read: %v\n%s", err, raw)
	}
	return m
}

// expect waits for the response with a status to a method; what comes before it is kept for later.
func (p *peer) expect(status int, method string) *sipmsg.Response {
	p.t.Helper()
	match := func(m sipmsg.Message) bool {
		r, ok := m.(*sipmsg.Response)
		return ok && r.StatusCode == status && string(r.CSeq().MethodName) == method
	}
	return p.find(fmt.Sprintf("%d to %s", status, method), match).(*sipmsg.Response)
}

// final waits for a final response to a method, whatever it is.
func (p *peer) final(method string) *sipmsg.Response {
	p.t.Helper()
	match := func(m sipmsg.Message) bool {
		r, ok := m.(*sipmsg.Response)
		return ok && r.StatusCode >= 200 && string(r.CSeq().MethodName) == method
	}
	return p.find("a final answer to "+method, match).(*sipmsg.Response)
}

// asked waits for a request. One that asked has given before is not given again when it is retransmitted, as it is where
// the answer takes its time (RFC 3261 section 17.1.1.2).
func (p *peer) asked(method string) *sipmsg.Request {
	p.t.Helper()
	match := func(m sipmsg.Message) bool {
		r, ok := m.(*sipmsg.Request)
		return ok && string(r.Method) == method && !p.seen[transaction(r)]
	}
	r := p.find(method, match).(*sipmsg.Request)
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[transaction(r)] = true
	return r
}

// repeated waits for a request that asked has given before.
func (p *peer) repeated(method string) *sipmsg.Request {
	p.t.Helper()
	match := func(m sipmsg.Message) bool {
		r, ok := m.(*sipmsg.Request)
		return ok && string(r.Method) == method && p.seen[transaction(r)]
	}
	return p.find(method+" again", match).(*sipmsg.Request)
}

// transaction names the transaction of a request: by branch and method (RFC 3261 section 17.2.3).
func transaction(r *sipmsg.Request) string {
	branch, _ := r.Via().Params.Get("branch")
	return string(r.Method) + " " + branch
}

func (p *peer) find(what string, match func(sipmsg.Message) bool) sipmsg.Message {
	p.t.Helper()
	for i, m := range p.stash {
		if match(m) {
			p.stash = append(p.stash[:i], p.stash[i+1:]...)
			return m
		}
	}
	for range 200 {
		m := p.read()
		if match(m) {
			return m
		}
		p.stash = append(p.stash, m)
	}
	p.t.Fatalf("%s did not come", what)
	return nil
}

// respond answers a request of the server.
func (p *peer) respond(req *sipmsg.Request, status int, body string, head ...string) {
	p.t.Helper()
	res := sipmsg.NewResponseFromRequest(req, status, "Because", nil)
	if to := res.To(); status > 100 {
		to.Params.Add("tag", "answer")
	}
	for _, h := range head {
		name, value, _ := strings.Cut(h, ": ")
		if name == "To-Tag" {
			res.To().Params.Add("tag", value)
			continue
		}
		res.AppendHeader(sipmsg.NewHeader(name, value))
	}
	if status/100 == 2 && req.Method == sipmsg.INVITE {
		res.AppendHeader(sipmsg.NewHeader("Contact", "<sip:callee@"+p.local()+p.transportParam()+">"))
	}
	if body != "" {
		res.AppendHeader(sipmsg.NewHeader("Content-Type", "application/sdp"))
		res.SetBody([]byte(body))
	}
	p.send(res.String())
}

// dialogue is the peer's side of a call it placed.
type dialogue struct {
	*peer
	toTag string
	uri   string
	cseq  uint32
}

// within writes a request of the dialogue.
func (d *dialogue) within(method, body string, head ...string) string {
	return d.request(method, d.uri, body, append([]string{"To: <" + d.uri + ">;tag=" + d.toTag}, head...)...)
}

// hangUp ends the call from the peer's side.
func (d *dialogue) hangUp(l media.Leg) {
	d.t.Helper()
	d.send(d.within("BYE", ""))
	d.expect(200, "BYE")
	over(d.t, l)
}

func (d *dialogue) ack(body string) {
	d.t.Helper()
	d.send(d.within("ACK", body, "CSeq: "+strconv.Itoa(int(d.cseq))+" ACK"))
}

// plainOffer is what a simple phone offers; the port need not exist.
const plainOffer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"

// uri is the address of a name on the server.
func (b *bench) uri(name string) string { return "sip:" + name + "@" + b.Addr().String() }

// established places a call and answers it.
func established(t *testing.T, b *bench, network string) (*dialogue, media.Leg) {
	t.Helper()
	at := b.Addr()
	if network == "tls" {
		at = b.TLSAddr()
	}
	p := dialPeer(t, network, at)
	d := &dialogue{peer: p, uri: b.uri("agent")}
	p.send(p.request("INVITE", d.uri, plainOffer))
	d.cseq = uint32(p.branch)
	l := b.call(t)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	res := p.expect(200, "INVITE")
	d.toTag, _ = res.To().Params.Get("tag")
	d.ack("")
	return d, l
}

// endpoint collects what a leg tells, and sends what it is given to say.
type endpoint struct {
	mu     sync.Mutex
	events []media.LegEvent
	heard  int
	told   chan media.LegEvent
}

func newEndpoint() *endpoint { return &endpoint{told: make(chan media.LegEvent, 1024)} }

func (e *endpoint) Tick(in, out []int16) bool {
	if in != nil {
		e.mu.Lock()
		e.heard++
		e.mu.Unlock()
	}
	return false
}
func (e *endpoint) Played(int64) {}
func (e *endpoint) Event(ev media.LegEvent) {
	e.mu.Lock()
	e.events = append(e.events, ev)
	e.mu.Unlock()
	select {
	case e.told <- ev:
	default:
	}
}

// await waits for an event.
func (e *endpoint) await(t *testing.T, what string, match func(media.LegEvent) bool) media.LegEvent {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case ev := <-e.told:
			if match(ev) {
				return ev
			}
		case <-limit:
			t.Fatalf("no %s came", what)
		}
	}
}

func kind(k media.LegEventKind) func(media.LegEvent) bool {
	return func(ev media.LegEvent) bool { return ev.Kind == k }
}

// mockClock gives a server a clock that the test moves.
func mockClock(t *testing.T) (*quartz.Mock, func(*Config)) {
	m := quartz.NewMock(t)
	return m, func(c *Config) { c.Clock = m }
}

// pass lets time pass, timer by timer.
func pass(t *testing.T, clock *quartz.Mock, d time.Duration) {
	t.Helper()
	for d > 0 {
		next, ok := clock.Peek()
		if !ok || next > d {
			next = d
		}
		clock.Advance(next).MustWait(t.Context())
		d -= next
	}
}
