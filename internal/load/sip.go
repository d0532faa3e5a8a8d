package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

// Config says what load to make.
type Config struct {
	Target   string        // "sip:agent@127.0.0.1:5060"
	Calls    int           // at once
	Rate     float64       // calls placed a second; 0 places all in one burst, and lets all speak at once
	Duration time.Duration // with all calls up; 0 hangs up as soon as all were answered
	Stall    bool          // every caller's network stalls for a second
	Metrics  Metrics       // the server's, for its own figures
	Log      *slog.Logger
	Progress func(string) // is told what happens, for a person; may be nil
}

// Limits of a run.
const (
	maxCalls     = 10000
	answerWithin = 35 * time.Second
	phases       = 20 // a millisecond each
	stallTurn    = 2  // the turn that measures the stall
)

func (c *Config) check() (netip.AddrPort, error) {
	rest, ok := strings.CutPrefix(c.Target, "sip:")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 1 {
		return netip.AddrPort{}, fmt.Errorf("target %q is not a SIP URI: write sip:agent@host:port", c.Target)
	}
	host := rest[at+1:]
	if !strings.Contains(host, ":") {
		host += ":5060"
	}
	addr, err := net.ResolveUDPAddr("udp4", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("target %q cannot be reached: %w", c.Target, err)
	}
	switch {
	case c.Calls < 1 || c.Calls > maxCalls:
		return netip.AddrPort{}, fmt.Errorf("calls %d: give 1 to %d", c.Calls, maxCalls)
	case c.Rate < 0 || c.Duration < 0:
		return netip.AddrPort{}, errors.New("rate and duration cannot be less than 0")
	case c.Stall && c.Duration < time.Duration(stallTurn+1)*7*time.Second:
		return netip.AddrPort{}, errStall
	}
	ap := addr.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// run is one load on its way.
type run struct {
	c      Config
	server netip.AddrPort
	local  netip.Addr
	signal *net.UDPConn
	ports  []*port
	phones []*phone
	byID   map[string]*phone
	wg     sync.WaitGroup
	stop   chan struct{}

	mu       sync.Mutex
	streams  []*stream // by phone, nil before the answer
	due      [phases][]*stream
	answered atomic.Int64
	lastAt   time.Time // of the last answer

	gen Generator
}

// SIP makes a load of SIP calls and reports.
func SIP(ctx context.Context, c Config) (Report, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	server, err := c.check()
	if err != nil {
		return Report{}, err
	}
	r := &run{c: c, server: server, byID: map[string]*phone{}, stop: make(chan struct{}), streams: make([]*stream, c.Calls)}
	if err := r.open(); err != nil {
		return Report{}, err
	}
	defer r.close()
	return r.do(ctx)
}

// open binds the sockets and starts the goroutines: one for signalling, one to send, one to read for each
// port.
func (r *run) open() error {
	probe, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.server))
	if err != nil {
		return fmt.Errorf("reach %s: %w", r.server, err)
	}
	r.local = probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	_ = probe.Close()
	if r.signal, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.local, 0))); err != nil {
		return fmt.Errorf("open a socket for signalling: %w", err)
	}
	_ = r.signal.SetReadBuffer(8 << 20)
	for range min(maxPorts, r.c.Calls/callsPerPort+1) {
		p, err := openPort(r.local)
		if err != nil {
			r.close()
			return fmt.Errorf("open a socket for audio: %w", err)
		}
		r.ports = append(r.ports, p)
		r.wg.Go(p.read)
	}
	r.wg.Go(r.readSignals)
	r.wg.Go(r.sendAudio)
	return nil
}

func (r *run) close() {
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
	if r.signal != nil {
		_ = r.signal.Close()
	}
	for _, p := range r.ports {
		_ = p.conn.Close()
	}
	r.wg.Wait()
}

// do runs the load from the first INVITE to the last BYE.
func (r *run) do(ctx context.Context) (Report, error) {
	rep, err := measurement{metrics: r.c.Metrics, duration: r.c.Duration, progress: r.c.Progress, warn: r.c.Log.Warn, begin: r.begin, sum: r.report}.run(ctx)
	if err == nil {
		r.hangUp()
	}
	return rep, err
}

func (r *run) begin(ctx context.Context, began time.Time) (string, error) {
	r.makePhones()
	r.c.Progress(fmt.Sprintf("placing %d calls to %s", r.c.Calls, r.c.Target))
	err := r.place(ctx, began)
	return fmt.Sprintf("%d of %d calls are answered", r.answered.Load(), r.c.Calls), err
}

func (r *run) makePhones() {
	local := r.signal.LocalAddr().String()
	for i := range r.c.Calls {
		p := &phone{id: i, callID: strconv.FormatUint(rand.Uint64(), 36) + "-" + strconv.Itoa(i), tag: strconv.FormatUint(rand.Uint64(), 36),
			target: r.c.Target, local: local, rtp: r.ports[i%len(r.ports)].number()}
		r.phones = append(r.phones, p)
	}
	r.mu.Lock()
	for _, p := range r.phones {
		r.byID[p.callID] = p
	}
	r.mu.Unlock()
}

// place sends the INVITEs at the rate asked for, again where no answer comes, and waits until every call is
// answered or has failed.
func (r *run) place(ctx context.Context, began time.Time) error {
	next := 0
	limit := began.Add(answerWithin)
	if r.c.Rate > 0 {
		limit = limit.Add(time.Duration(float64(r.c.Calls) / r.c.Rate * float64(time.Second)))
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		now := time.Now()
		for next < len(r.phones) && (r.c.Rate == 0 || now.Sub(began).Seconds()*r.c.Rate >= float64(next)) {
			p := r.phones[next]
			next++
			p.mu.Lock()
			p.began, p.resend, p.tries = now, now.Add(resendFirst), 1
			p.mu.Unlock()
			r.write(p.invite())
		}
		if open := r.chase(r.phones[:next], now, limit); next == len(r.phones) && !open {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// chase repeats what was not answered and reports whether calls are still open.
func (r *run) chase(phones []*phone, now, limit time.Time) bool {
	open := false
	for _, p := range phones {
		p.mu.Lock()
		again := ""
		switch {
		case p.state > ringing:
		case now.After(limit) || (p.state == placed && p.tries > inviteTries):
			p.state, p.reason = gone, "not answered in time"
		default:
			open = true
			if p.state == placed && now.After(p.resend) {
				p.resend = now.Add(resendFirst << p.tries)
				p.tries++
				again = p.invite()
			}
		}
		p.mu.Unlock()
		if again != "" {
			r.write(again)
		}
	}
	return open
}

func (r *run) write(text string) {
	// What is lost is sent again.
	_, _ = r.signal.WriteToUDPAddrPort([]byte(text), r.server)
}

func (r *run) readSignals() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := r.signal.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		m, ok := parseMessage(buf[:n])
		if !ok {
			continue
		}
		r.mu.Lock()
		p := r.byID[m.callID]
		r.mu.Unlock()
		if p == nil {
			continue
		}
		if m.method != "" {
			r.asked(p, m, from)
			continue
		}
		now := time.Now()
		send, first := p.response(m, now)
		if send != "" {
			r.write(send)
		}
		if first {
			r.talk(p, now)
		}
	}
}

// asked serves a request of the server: BYE ends the call, the rest is only answered.
func (r *run) asked(p *phone, m message, from netip.AddrPort) {
	status := "200 OK"
	switch m.method {
	case "BYE":
		p.mu.Lock()
		if p.state == talking {
			p.state, p.reason = gone, "hung up by the server"
		}
		p.mu.Unlock()
		r.silence(p)
	case "ACK":
		return
	case "INVITE", "UPDATE":
		status = "488 Not Acceptable Here"
	}
	_, _ = r.signal.WriteToUDPAddrPort([]byte(m.reply(status)), from)
}

// talk begins the call's audio.
func (r *run) talk(p *phone, now time.Time) {
	if !p.remote.IsValid() {
		p.mu.Lock()
		p.state, p.reason = gone, "answered without audio"
		p.mu.Unlock()
		return
	}
	offset := int(time.Second / frameTime) // let the greeting begin
	if r.c.Rate > 0 {
		offset += p.id * everyFrames / r.c.Calls % everyFrames
	}
	s := newStream(r.ports[p.id%len(r.ports)], p.remote, rand.Uint32(), offset)
	if r.c.Stall {
		s.stallOnce(s.endOfTurn(stallTurn))
	}
	s.port.add(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams[p.id] = s
	phase := p.id % phases
	r.due[phase] = append(r.due[phase], s)
	r.lastAt = now
	r.answered.Add(1)
}

// silence ends the call's audio.
func (r *run) silence(p *phone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[p.id]
	if s == nil {
		return
	}
	s.port.remove(s)
	phase := p.id % phases
	for i, o := range r.due[phase] {
		if o == s {
			r.due[phase] = append(append([]*stream(nil), r.due[phase][:i]...), r.due[phase][i+1:]...)
		}
	}
}

// sendAudio sends every millisecond what is due in it, on an absolute schedule, and notes how late it is.
func (r *run) sendAudio() {
	out := make([]ipv4.Message, 0, 256)
	begin := time.Now()
	for n := int64(0); ; n++ {
		due := begin.Add(time.Duration(n) * time.Millisecond)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		select {
		case <-r.stop:
			return
		default:
		}
		now := time.Now()
		r.mu.Lock()
		streams := r.due[n%phases]
		r.mu.Unlock()
		if len(streams) == 0 {
			continue
		}
		r.keepTime(now.Sub(due))
		for _, p := range r.ports {
			out = out[:0]
			for _, s := range streams {
				if s.port == p {
					out = s.next(now, out)
				}
			}
			for sent := 0; sent < len(out); {
				k, err := p.batch.WriteBatch(out[sent:], 0)
				if err != nil {
					break
				}
				sent += k
			}
		}
	}
}

func (r *run) keepTime(late time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gen.Ticks++
	if late > lateTick {
		r.gen.LateTicks++
	}
	r.gen.WorstMS = max(r.gen.WorstMS, float64(late.Microseconds())/1000)
}

// report sums up while the calls are still up.
func (r *run) report(began time.Time, took, cpu time.Duration) Report {
	rep := Report{Kind: "sip", Target: r.c.Target, Calls: r.c.Calls, Failures: map[string]int{}, DurationS: took.Seconds()}
	var setup, lateness []float64
	var heard answers
	for _, p := range r.phones {
		p.mu.Lock()
		if p.setup > 0 {
			rep.Connected++
			setup = append(setup, float64(p.setup.Microseconds())/1000)
		}
		if p.state == talking {
			rep.Completed++
		} else {
			rep.Failures[p.reason]++
		}
		p.mu.Unlock()
	}
	r.mu.Lock()
	streams, last := r.streams, r.lastAt
	rep.Generator = r.gen
	r.mu.Unlock()
	for _, s := range streams {
		if s == nil {
			continue
		}
		s.mu.Lock()
		rep.Frames.Received += s.received
		rep.Frames.Lost += s.lost()
		rep.Frames.Late += s.late
		lateness = append(lateness, s.lateness...)
		heard.add(&s.dialogue)
		s.mu.Unlock()
	}
	rep.Frames.Sent = r.sent()
	rep.Setup, rep.Frames.Lateness = Sum(setup), Sum(lateness)
	heard.into(&rep, r.c.Stall)
	if span := last.Sub(began).Seconds(); span > 0 {
		rep.SetupRate = float64(rep.Connected) / span
	}
	if n := float64(rep.Connected); n > 0 && took > 0 {
		rep.Generator.CPU = 100 * cpu.Seconds() / took.Seconds() / n
	}
	rep.Generator.Judge()
	return rep
}

// sent counts the frames that were sent.
func (r *run) sent() (n uint64) {
	for _, s := range r.streams {
		if s != nil {
			n += s.sent.Load()
		}
	}
	return n
}

// hangUp says BYE to all and waits for their answers.
func (r *run) hangUp() {
	limit := time.Now().Add(byeWait)
	tick := time.NewTicker(resendFirst)
	defer tick.Stop()
	for {
		open := 0
		now := time.Now()
		for i, p := range r.phones {
			if text := p.bye(now); text != "" {
				r.write(text)
				open++
			}
			if i%50 == 49 {
				time.Sleep(time.Millisecond) // a server is not asked for 500 things in one instant
			}
			r.silence(p)
		}
		if open == 0 || now.After(limit) {
			return
		}
		<-tick.C
	}
}
