package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	"github.com/parley-voice/parley/internal/media"
)

// trunkTo is a trunk that a peer of the test is.
func trunkTo(t *testing.T, p *peer) *Trunk {
	t.Helper()
	host, port, err := HostPort(p.local())
	if err != nil {
		t.Fatal(err)
	}
	return &Trunk{Host: host, Port: port, Transport: "udp", Auth: Auth{"me", "secret"}}
}

func TestCallThroughATrunk(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	trunk := trunkTo(t, p)
	trunk.Domain, trunk.Assert = "carrier.example", true
	l := ring(t, b, p, func(r *DialRequest) {
		r.To, r.From, r.FromName, r.CallID, r.Trunk = "+4930123456", "+4940987654", "Parley Ltd", "018f0000-0000-7000-8000-000000000001", trunk
	})
	first := p.asked("INVITE")
	for what, pair := range map[string][2]string{
		"Request-URI": {first.Recipient.String(), "sip:+4930123456@" + p.local()},
		"From":        {first.From().Address.String(), "sip:+4940987654@carrier.example"},
		"name":        {first.From().DisplayName, "Parley Ltd"},
		"To":          {first.To().Address.String(), "sip:+4930123456@127.0.0.1"},
		"identity":    {header(first, "P-Asserted-Identity"), `"Parley Ltd" <sip:+4940987654@carrier.example>`},
		"Call-ID":     {first.CallID().Value(), "018f0000-0000-7000-8000-000000000001@127.0.0.1"},
		"leg":         {l.Info().External + " " + l.Info().To, first.CallID().Value() + " +4930123456"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %s, not %s", what, pair[0], pair[1])
		}
	}
	chal := digest.Challenge{Realm: "there", Nonce: "abc", Algorithm: "MD5", QOP: []string{"auth"}}
	p.respond(first, 401, "", "WWW-Authenticate: "+chal.String())
	second := p.asked("INVITE")
	cred, err := digest.ParseCredentials(header(second, "Authorization"))
	if err != nil || !matches(cred, NewHA1("me", "there", "secret"), "INVITE", []string{"SHA-256", "MD5"}) {
		t.Fatalf("%v\n%s", err, second)
	}
	p.respond(second, 200, plainAnswer)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() { _ = l.Hangup(context.Background(), media.Cause{Code: "normal"}) }()
	p.respond(p.asked("BYE"), 200, "")
	over(t, l)
}

// What goes through a proxy names it in Route and stays addressed to the trunk.
func TestTrunkBehindAProxy(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p, func(r *DialRequest) {
		r.To, r.Trunk = "004930123456", &Trunk{Host: "carrier.example", Transport: "udp", Proxy: p.local()}
	})
	invite := p.asked("INVITE")
	if got := invite.Recipient.String() + " " + header(invite, "Route"); got != "sip:004930123456@carrier.example <sip:"+p.local()+";lr>" {
		t.Errorf("INVITE to %s", got)
	}
	p.respond(invite, 486, "")
	if c := over(t, l); c.Code != "busy" || c.Status != 486 {
		t.Errorf("cause: %+v", c)
	}
}

// Redirections of a trunk are not followed: they could name anybody.
func TestATrunkRedirects(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p, func(r *DialRequest) { r.To, r.Trunk = "4930", trunkTo(t, p) })
	p.respond(p.asked("INVITE"), 302, "", "Contact: <sip:elsewhere@"+p.local()+">")
	if c := over(t, l); c.Code != "unreachable" || c.Status != 302 {
		t.Errorf("cause: %+v", c)
	}
}

// A trunk that says nothing at all is unreachable; one that says it tries has a callee who does not answer.
func TestASilentTrunk(t *testing.T) {
	for _, tries := range []bool{false, true} {
		for _, ringing := range []time.Duration{10 * time.Second, time.Minute} {
			clock, with := mockClock(t)
			b := serve(t, with)
			p := callee(t, b)
			l := ring(t, b, p, func(r *DialRequest) { r.To, r.Ring, r.Trunk = "4930", ringing, trunkTo(t, p) })
			invite := p.asked("INVITE")
			want := "unreachable"
			if tries {
				want = "no_answer"
				p.respond(invite, 100, "")
				p.send(p.request("OPTIONS", b.uri("x"), "", "Call-ID: "+invite.CallID().Value())) // one after the other
				p.expect(200, "OPTIONS")
			}
			pass(t, clock, ringing)
			if c := over(t, l); c.Code != want || c.Status != 408 {
				t.Errorf("it tries: %v, it may ring %s: %+v", tries, ringing, c)
			}
		}
	}
}

func TestTrunksThatAreNotCalled(t *testing.T) {
	b := serve(t)
	denied := errors.New("not there")
	for name, r := range map[string]DialRequest{
		"a URI":          {To: "sip:x@y", Trunk: &Trunk{Host: "127.0.0.1"}},
		"nothing":        {To: "", Trunk: &Trunk{Host: "127.0.0.1"}},
		"a proxy":        {To: "49", Trunk: &Trunk{Host: "127.0.0.1", Proxy: "a b"}},
		"a Call-ID":      {To: "49", CallID: "a@b", Trunk: &Trunk{Host: "127.0.0.1"}},
		"a closed port":  {To: "49", Trunk: &Trunk{Host: "127.0.0.1", Port: closedPort(t), Transport: "tcp"}},
		"what is denied": {To: "49", Trunk: &Trunk{Host: "127.0.0.1", Permit: func(string, netip.Addr) error { return denied }}},
	} {
		if l, err := b.Dial(t.Context(), r); err == nil {
			t.Errorf("%s is dialled", name)
			_ = l.Hangup(t.Context(), media.Cause{})
		}
	}
	if n := b.Calls(); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

// closedPort gives a TCP port that nobody listens on.
func closedPort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port
}

func TestProbe(t *testing.T) {
	chal := digest.Challenge{Realm: "there", Nonce: "abc", Algorithm: "SHA-256", QOP: []string{"auth"}}
	for _, last := range []int{200, 405, 503, 401} {
		b := serve(t)
		p := callee(t, b)
		got := make(chan Probed, 1)
		go func() {
			r, err := b.Probe(context.Background(), *trunkTo(t, p))
			if err != nil {
				t.Error(err)
			}
			got <- r
		}()
		first := p.asked("OPTIONS")
		p.respond(first, 401, "", "WWW-Authenticate: "+chal.String())
		second := p.asked("OPTIONS")
		cred, err := digest.ParseCredentials(header(second, "Authorization"))
		if err != nil || !matches(cred, NewHA1("me", "there", "secret"), "OPTIONS", []string{"SHA-256", "MD5"}) {
			t.Errorf("%v\n%s", err, second)
		}
		p.respond(second, last, "", "WWW-Authenticate: "+chal.String(), "Server: exchange 7")
		if r := <-got; r.Status != last || r.Software != "exchange 7" || r.Remote != p.local() {
			t.Errorf("%+v", r)
		}
	}
}

func TestProbesThatFail(t *testing.T) {
	clock, with := mockClock(t)
	b := serve(t, with)
	p := callee(t, b)
	failed := make(chan error, 1)
	go func() {
		_, err := b.Probe(context.Background(), *trunkTo(t, p))
		failed <- err
	}()
	p.asked("OPTIONS")
	pass(t, clock, txLife)
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("nobody answers: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, err := b.Probe(ctx, *trunkTo(t, p)); failed <- err }()
	p.asked("OPTIONS")
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the asker goes away: %v", err)
	}
	if _, err := b.Probe(t.Context(), Trunk{Host: "127.0.0.1", Port: closedPort(t), Transport: "tcp"}); err == nil {
		t.Error("a closed port was reached")
	}
}

// sipp is a trunk that asks for credentials and looks at what stands in the INVITE.
func TestSIPpIsATrunk(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			b := serve(t)
			p := runSIPp(t, "trunk", b, "-rtp_echo", "-t", transport[:1]+"1")
			trunk := &Trunk{Host: "127.0.0.1", Port: p.port, Transport: transport, Domain: "tenant.example", Assert: true, Auth: Auth{"user", "pass"}}
			p.listens(transport)
			l, err := b.Dial(t.Context(), DialRequest{To: "+4930123456", From: "+4940987654", FromName: "Parley", CallID: "call-1", Trunk: trunk, Codecs: []string{"pcmu"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			k := newTape(t, 500)
			if err := l.Start(k); err != nil {
				t.Fatal(err)
			}
			k.await(t, 4000)
			if err := l.Hangup(t.Context(), media.Cause{By: "agent", Code: "normal"}); err != nil {
				t.Error(err)
			}
			p.passed()
		})
	}
}

// listens waits until sipp takes connections: a datagram is repeated, a connection that is refused is not.
func (s *sipp) listens(transport string) {
	if transport != "tcp" {
		return
	}
	eventually(s.t, "sipp to listen", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// By TLS the trunk's certificate has to prove its name, and the sound is encrypted.
func TestTrunkByTLS(t *testing.T) {
	far := serve(t, withTLS(t, "carrier.example", "localhost"))
	b := serve(t, withTLS(t))
	trunk := &Trunk{Host: "localhost", Port: int(far.TLSAddr().Port()), Transport: "tls", SRTP: true}
	l, err := b.Dial(t.Context(), DialRequest{To: "4930", Trunk: trunk})
	if err != nil {
		t.Fatal(err)
	}
	other := far.call(t)
	if err := other.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if suiteOf(l) == "" {
		t.Error("the sound is not encrypted")
	}
	if err := l.Hangup(t.Context(), media.Cause{Code: "normal"}); err != nil {
		t.Error(err)
	}
	over(t, other)
	trunk.Host = "127.0.0.1"
	if _, err := b.Dial(t.Context(), DialRequest{To: "4930", Trunk: trunk}); err == nil {
		t.Error("a name that the certificate does not prove was called")
	}
}

func TestHostPort(t *testing.T) {
	for text, want := range map[string]string{
		"sip.example.com": "sip.example.com 0", "sip.example.com:5070": "sip.example.com 5070", "192.0.2.1": "192.0.2.1 0", "[2001:db8::1]:5060": "2001:db8::1 5060",
		"2001:db8::1": "2001:db8::1 0", "": "", "a b": "", "x:0": "", "x:70000": "", "x:y": "", "sip:x": "", "x;lr": "", "<x>": "", "-x": "", "x\r\ny": "",
	} {
		host, port, err := HostPort(text)
		if got := fmt.Sprintf("%s %d", host, port); (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}
