package sip

import (
	"context"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"github.com/parley-voice/parley/internal/media"
)

const plainAnswer = "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40004 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"

// callee is a peer that is called: its socket hears the server without being connected first.
func callee(t *testing.T, b *bench) *peer {
	return dialPeer(t, "udp", b.Addr())
}

func ring(t *testing.T, b *bench, p *peer, change ...func(*DialRequest)) media.Leg {
	t.Helper()
	r := DialRequest{To: "sip:callee@" + p.local(), From: "agent"}
	for _, f := range change {
		f(&r)
	}
	l, err := b.Dial(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOutboundCall(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p, func(r *DialRequest) { r.Headers = map[string]string{"X-Campaign": "7"} })
	invite := p.asked("INVITE")
	if header(invite, "X-Campaign") != "7" || invite.From().Address.User != "agent" || !strings.Contains(string(invite.Body()), "opus/48000/2") {
		t.Errorf("INVITE:\n%s", invite)
	}
	p.respond(invite, 180, "")
	p.respond(invite, 200, plainAnswer)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	ack := p.asked("ACK")
	if ack.CSeq().SeqNo != invite.CSeq().SeqNo || ack.Recipient.User != "callee" {
		t.Errorf("ACK:\n%s", ack)
	}
	p.respond(invite, 200, plainAnswer) // it is lost, the phone thinks
	p.repeated("ACK")
	e := newEndpoint()
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	d := &dialogue{peer: p, uri: "sip:agent@" + b.Addr().String()}
	from, _ := invite.From().Params.Get("tag")
	p.send(p.request("BYE", d.uri, "", "From: <sip:callee@x>;tag=answer", "To: <sip:agent@x>;tag="+from, "Call-ID: "+invite.CallID().Value()))
	p.expect(200, "BYE")
	over(t, l)
}

func TestOutboundCallsFail(t *testing.T) {
	for status, code := range map[int]string{486: "busy", 404: "not_found", 603: "declined", 480: "no_answer", 500: "error", 488: "not_acceptable", 699: "declined", 555: "error"} {
		b := serve(t)
		p := callee(t, b)
		l := ring(t, b, p)
		p.respond(p.asked("INVITE"), status, "")
		p.asked("ACK")
		if err := l.Answer(t.Context()); err == nil {
			t.Errorf("%d is taken for an answer", status)
		}
		if c := over(t, l); c.Code != code || c.Status != status {
			t.Errorf("%d gives %+v", status, c)
		}
	}
}

func TestOutboundDigest(t *testing.T) {
	for _, alg := range []string{"MD5", "SHA-256"} {
		b := serve(t)
		p := callee(t, b)
		l := ring(t, b, p, func(r *DialRequest) { r.Auth = Auth{"me", "secret"} })
		first := p.asked("INVITE")
		chal := digest.Challenge{Realm: "there", Nonce: "abc", Algorithm: alg, QOP: []string{"auth"}}
		p.respond(first, 407, "", "Proxy-Authenticate: "+chal.String())
		second := p.asked("INVITE")
		cred, err := digest.ParseCredentials(header(second, "Proxy-Authorization"))
		if err != nil || second.CSeq().SeqNo <= first.CSeq().SeqNo {
			t.Fatalf("%v\n%s", err, second)
		}
		a1 := NewHA1("me", "there", "secret")
		if !matches(cred, a1, "INVITE", []string{"SHA-256", "MD5"}) {
			t.Errorf("the credentials are wrong: %s", cred)
		}
		p.respond(second, 407, "", "Proxy-Authenticate: "+chal.String()) // the password is not taken
		if c := over(t, l); c.Code != "unauthorized" {
			t.Errorf("cause: %+v", c)
		}
	}
}

// A trunk that knows nothing but MD5 gets no answer where MD5 is not taken.
func TestOutboundWithoutMD5(t *testing.T) {
	b := serve(t, func(c *Config) { c.Digest = []string{SHA256} })
	p := callee(t, b)
	l := ring(t, b, p, func(r *DialRequest) { r.Auth = Auth{"me", "secret"} })
	chal := digest.Challenge{Realm: "there", Nonce: "abc", Algorithm: "MD5", QOP: []string{"auth"}}
	p.respond(p.asked("INVITE"), 407, "", "Proxy-Authenticate: "+chal.String())
	if c := over(t, l); c.Code != "unauthorized" {
		t.Errorf("cause: %+v", c)
	}
	for alg, want := range map[string]bool{"": false, "MD5": false, "SHA-256": true, "SHA-512-256": true} {
		chal.Algorithm = alg
		if got := pickChallenge([]sipmsg.Header{sipmsg.NewHeader("WWW-Authenticate", chal.String())}, []string{SHA256}) != nil; got != want {
			t.Errorf("%q is answered: %v", alg, got)
		}
	}
}

func TestATrunkChallengesWithinTheCall(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p, func(r *DialRequest) { r.Auth = Auth{"me", "secret"} })
	p.respond(p.asked("INVITE"), 200, plainAnswer)
	p.asked("ACK")
	chal := digest.Challenge{Realm: "there", Nonce: "abc", Algorithm: "MD5", QOP: []string{"auth"}}
	hold := make(chan error, 1)
	go func() { hold <- l.Hold(context.Background(), true) }()
	p.respond(p.asked("INVITE"), 401, "", "WWW-Authenticate: "+chal.String())
	again := p.asked("INVITE")
	if header(again, "Authorization") == "" || len(again.GetHeaders("Via")) != 1 {
		t.Errorf("the second INVITE:\n%s", again)
	}
	p.respond(again, 200, plainAnswer)
	p.asked("ACK") // of the refusal
	if ack := p.asked("ACK"); ack.CSeq().SeqNo != again.CSeq().SeqNo {
		t.Errorf("ACK %d for INVITE %d", ack.CSeq().SeqNo, again.CSeq().SeqNo)
	}
	if err := <-hold; err != nil {
		t.Error(err)
	}
	go func() { _ = l.Hangup(context.Background(), media.Cause{Code: "normal"}) }()
	p.respond(p.asked("BYE"), 407, "", "Proxy-Authenticate: "+chal.String())
	bye := p.asked("BYE")
	if header(bye, "Proxy-Authorization") == "" {
		t.Errorf("the second BYE:\n%s", bye)
	}
	p.respond(bye, 200, "")
	over(t, l)
}

func TestRedirection(t *testing.T) {
	b := serve(t)
	first, second := callee(t, b), callee(t, b)
	l := ring(t, b, first)
	first.respond(first.asked("INVITE"), 302, "", "Contact: <sip:other@"+second.local()+">")
	invite := second.asked("INVITE")
	if invite.Recipient.User != "other" {
		t.Errorf("INVITE %s", invite.Recipient.String())
	}
	second.respond(invite, 200, plainAnswer)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.asked("ACK")
	go func() { _ = l.Hangup(context.Background(), media.Cause{Code: "normal"}) }()
	second.respond(second.asked("BYE"), 200, "")
	over(t, l)
}

func TestRedirectionInACircleEnds(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p)
	p.respond(p.asked("INVITE"), 302, "", "Contact: <sip:callee@"+p.local()+">")
	if c := over(t, l); c.Status == 0 {
		t.Errorf("cause: %+v", c)
	}
}

func TestTheFirstForkWins(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p)
	invite := p.asked("INVITE")
	p.respond(invite, 200, plainAnswer, "To-Tag: one")
	p.respond(invite, 200, plainAnswer, "To-Tag: two")
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	bye := p.asked("BYE")
	if tag, _ := bye.To().Params.Get("tag"); tag != "two" {
		t.Errorf("fork %q is hung up", tag)
	}
	p.respond(bye, 200, "")
	go func() { _ = l.Hangup(context.Background(), media.Cause{Code: "normal"}) }()
	bye = p.asked("BYE")
	if tag, _ := bye.To().Params.Get("tag"); tag != "one" {
		t.Errorf("then fork %q is hung up", tag)
	}
	p.respond(bye, 200, "")
	over(t, l)
}

func TestWeCancel(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p)
	invite := p.asked("INVITE")
	done := make(chan error, 1)
	if err := l.Hangup(t.Context(), media.Cause{By: "system", Code: "cancelled", Text: "enough"}); err != nil {
		t.Fatal(err)
	}
	go func() { done <- l.Answer(context.Background()) }()
	p.respond(invite, 180, "") // only now may CANCEL be sent
	cancel := p.asked("CANCEL")
	if a, z := cancel.Via().Value(), invite.Via().Value(); a != z {
		t.Errorf("CANCEL has Via %s, INVITE %s", a, z)
	}
	p.respond(cancel, 200, "")
	p.respond(invite, 487, "")
	p.asked("ACK")
	if err := <-done; err == nil {
		t.Error("a cancelled call was answered")
	}
	if c := over(t, l); c.Code != "cancelled" {
		t.Errorf("cause: %+v", c)
	}
}

func TestAnAnswerThatCrossesCancelIsHungUp(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p)
	invite := p.asked("INVITE")
	p.respond(invite, 180, "")
	_ = l.Hangup(t.Context(), media.Cause{Code: "cancelled"})
	p.respond(invite, 200, plainAnswer)
	p.asked("ACK")
	p.respond(p.asked("BYE"), 200, "")
}

func TestNobodyThere(t *testing.T) {
	clock, with := mockClock(t)
	b := serve(t, with)
	p := callee(t, b)
	l := ring(t, b, p)
	p.asked("INVITE")
	clock.Advance(t1).MustWait(t.Context())
	p.repeated("INVITE") // timer A
	pass(t, clock, txLife)
	if c := over(t, l); c.Code != "no_answer" || c.Status != 408 {
		t.Errorf("cause: %+v", c)
	}
}

func TestItRingsTooLong(t *testing.T) {
	clock, with := mockClock(t)
	b := serve(t, with)
	p := callee(t, b)
	l := ring(t, b, p)
	invite := p.asked("INVITE")
	p.respond(invite, 180, "")
	// OPTIONS goes the same way: when it is answered, 180 was taken.
	p.send(p.request("OPTIONS", b.uri("x"), "", "Call-ID: "+invite.CallID().Value()))
	p.expect(200, "OPTIONS")
	pass(t, clock, ringDefault)
	p.respond(p.asked("CANCEL"), 200, "")
	if c := over(t, l); c.Code != "no_answer" {
		t.Errorf("cause: %+v", c)
	}
}

func TestAnAnswerWithoutMedia(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p)
	p.respond(p.asked("INVITE"), 200, "")
	p.asked("ACK")
	p.respond(p.asked("BYE"), 200, "")
	if err := l.Answer(t.Context()); err == nil {
		t.Error("it is taken for an answer")
	}
	if c := over(t, l); c.Code != "not_acceptable" {
		t.Errorf("cause: %+v", c)
	}
}

func TestRoutesAreFollowed(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p)
	p.respond(p.asked("INVITE"), 200, plainAnswer, "Record-Route: <sip:"+p.local()+";lr;n=1>, <sip:"+p.local()+";lr;n=2>")
	ack := p.asked("ACK")
	var routes []string
	for _, h := range ack.GetHeaders("Route") {
		routes = append(routes, h.Value())
	}
	if got := strings.Join(routes, " "); !strings.HasPrefix(got, "<sip:"+p.local()+";lr;n=2> ") { // turned round
		t.Errorf("routes: %s", got)
	}
	go func() { _ = l.Hangup(context.Background(), media.Cause{Code: "normal"}) }()
	p.respond(p.asked("BYE"), 200, "")
	over(t, l)
}

func TestDialsThatMakeNoSense(t *testing.T) {
	b := serve(t)
	for _, r := range []DialRequest{
		{To: ""}, {To: "nobody"}, {To: "mailto:x@y"}, {To: "sips:x@127.0.0.1"}, {To: "sip:x@127.0.0.1\r\nX: y"},
		{To: "sip:x@127.0.0.1:99999"}, {To: "sip:x@239.1.1.1"}, {To: "sip:x@0.0.0.0"}, {To: "sip:x@127.0.0.1;transport=ws"},
		{To: "sip:x@127.0.0.1", Headers: map[string]string{"Via": "x"}}, {To: "sip:x@127.0.0.1", Headers: map[string]string{"X-A": "b\r\nc"}},
		{To: "sip:x@127.0.0.1", From: "a\"b"}, {To: "sip:x@127.0.0.1", Codecs: []string{"g729"}},
	} {
		if l, err := b.Dial(t.Context(), r); err == nil {
			t.Errorf("%+v is dialled", r)
			_ = l.Hangup(t.Context(), media.Cause{})
		}
	}
}

func TestDTMFByINFOWhereThereAreNoEvents(t *testing.T) {
	b := serve(t)
	p := callee(t, b)
	l := ring(t, b, p)
	p.respond(p.asked("INVITE"), 200, strings.Replace(plainAnswer, " 101", "", 1))
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.SendDTMF(context.Background(), "4#") }()
	for _, want := range []string{"Signal=4", "Signal=#"} {
		info := p.asked("INFO")
		if !strings.HasPrefix(string(info.Body()), want) {
			t.Errorf("INFO: %s", info.Body())
		}
		p.respond(info, 200, "")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := l.SendDTMF(t.Context(), "x"); err == nil {
		t.Error("x is a digit")
	}
	go func() { _ = l.Hangup(context.Background(), media.Cause{Code: "normal"}) }()
	p.respond(p.asked("BYE"), 200, "")
	over(t, l)
}

// ladderOf keeps what a leg tells of its signalling.
type ladderOf struct{ events []media.LegEvent }

func (*ladderOf) Tick(_, _ []int16) bool    { return false }
func (*ladderOf) Played(int64)              {}
func (e *ladderOf) Event(ev media.LegEvent) { e.events = append(e.events, ev) }

func TestLadderOfACallThatWasRefused(t *testing.T) {
	refuses := serve(t, func(c *Config) {
		c.Accept = func(ctx context.Context, l media.Leg) {
			_ = l.Hangup(ctx, media.Cause{By: "agent", Code: "busy"})
			heard := &ladderOf{}
			if err := l.Start(heard); err != nil || len(heard.events) < 2 {
				t.Errorf("inbound: %v, %d events", err, len(heard.events))
			}
		}
	})
	l, err := serve(t).Dial(t.Context(), DialRequest{To: "sip:bob@" + refuses.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Answer(t.Context()); err == nil {
		t.Fatal("it was answered")
	}
	heard := &ladderOf{}
	if err := l.Start(heard); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range heard.events {
		lines = append(lines, string(e.Kind)+" "+e.Signal.Summary)
	}
	if got := strings.Join(lines, ", "); !strings.HasPrefix(got, "signal INVITE") || !strings.Contains(got, "486") || !strings.HasSuffix(got, "ended ") {
		t.Errorf("the ladder is %q", got)
	}
}

func TestPhoneOfATarget(t *testing.T) {
	b := serve(t, withPhones(newDirectory()))
	desk := dialPeer(t, "udp", b.Addr())
	registers(t, b, desk, "bob", "builder", "MD5")
	for target, want := range map[string]string{"bob": "bob", "sip:bob@parley": "bob", "sip:bob@" + b.Addr().String(): "bob",
		"alice": "", "sip:bob@example.org": "", "sip:bob@127.0.0.1:9": "", "": "", "<bob>": ""} {
		if name, ok := b.Phone(t.Context(), target); ok != (want != "") || ok && name != want {
			t.Errorf("%q is phone %q, %v", target, name, ok)
		}
	}
}

// A softphone and a server on one machine have one address: what the softphone calls without a port is the server.
func TestAddressWithoutPort(t *testing.T) {
	_, hops, err := serve(t).route(t.Context(), "sip:desk@127.0.0.1")
	if err != nil || len(hops) != 1 || hops[0].flow.remote.String() != "127.0.0.1:5060" {
		t.Errorf("without phones of its own it calls %+v: %v", hops, err)
	}
	if _, _, err := serve(t, withPhones(newDirectory())).route(t.Context(), "sip:desk@127.0.0.1"); err == nil {
		t.Error("a server took the name of a phone that is not registered for somebody else's address")
	}
}
