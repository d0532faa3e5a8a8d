package sip

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
)

func TestInboundCall(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			b := serve(t)
			d, l := established(t, b, network)
			info := l.Info()
			if info.To != "agent" || info.From != "caller" || info.Direction != media.Inbound || info.Remote != d.local() || info.ID == "" {
				t.Errorf("info: %+v", info)
			}
			d.send(d.within("BYE", ""))
			d.expect(200, "BYE")
			if c := over(t, l); c.Code != "normal" || c.By != "caller" {
				t.Errorf("cause: %+v", c)
			}
			d.send(d.within("BYE", ""))
			d.expect(481, "BYE")
			if b.Calls() != 0 {
				t.Errorf("%d calls are left", b.Calls())
			}
		})
	}
}

func TestWeHangUp(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	done := make(chan error, 1)
	go func() {
		done <- l.Hangup(context.Background(), media.Cause{By: "agent", Code: "normal", Text: "goodbye"})
	}()
	bye := d.asked("BYE")
	if tag, _ := bye.To().Params.Get("tag"); tag != "peer" {
		t.Errorf("BYE to tag %q", tag)
	}
	d.respond(bye, 200, "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c := over(t, l); c.By != "agent" {
		t.Errorf("cause: %+v", c)
	}
	if err := l.Hangup(context.Background(), media.Cause{}); err != nil {
		t.Errorf("a second hang-up: %v", err)
	}
}

func TestCallsAreRefusedByCause(t *testing.T) {
	for code, want := range map[string]int{"busy": 486, "declined": 603, "not_found": 404, "no_answer": 480, "overloaded": 503, "error": 500, "": 480} {
		b := serve(t)
		p := dialPeer(t, "udp", b.Addr())
		p.send(p.request("INVITE", b.uri("nobody"), plainOffer))
		l := b.call(t)
		if err := l.Hangup(t.Context(), media.Cause{By: "system", Code: code, Text: "because"}); err != nil {
			t.Fatal(err)
		}
		res := p.expect(want, "INVITE")
		tag, _ := res.To().Params.Get("tag")
		p.branch--
		p.send(p.request("ACK", b.uri("nobody"), "", "To: <"+b.uri("nobody")+">;tag="+tag, "Via: "+res.Via().Value()))
		over(t, l)
	}
}

func TestCancel(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("INVITE", b.uri("agent"), plainOffer))
	l := b.call(t)
	p.expect(100, "INVITE")
	p.branch--
	cancel := p.request("CANCEL", b.uri("agent"), "")
	cancel = strings.Replace(cancel, "-cancel;", "-invite;", 1) // the branch names the INVITE
	p.send(cancel)
	ok, gone := p.expect(200, "CANCEL"), p.expect(487, "INVITE")
	a, _ := ok.To().Params.Get("tag")
	z, _ := gone.To().Params.Get("tag")
	if a == "" || a != z {
		t.Errorf("the answers to CANCEL and INVITE have the tags %q and %q", a, z)
	}
	if c := over(t, l); c.Code != "cancelled" {
		t.Errorf("cause: %+v", c)
	}
	if err := l.Answer(t.Context()); err == nil {
		t.Error("a cancelled call was answered")
	}
}

func TestCancelOfNothing(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("CANCEL", b.uri("agent"), ""))
	p.expect(481, "CANCEL")
}

func TestLateOffer(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "udp", b.Addr())
	d := &dialogue{peer: p, uri: b.uri("agent")}
	p.send(p.request("INVITE", d.uri, ""))
	d.cseq = uint32(p.branch)
	l := b.call(t)
	answered := make(chan error, 1)
	go func() { answered <- l.Answer(context.Background()) }()
	res := p.expect(200, "INVITE")
	d.toTag, _ = res.To().Params.Get("tag")
	if !strings.Contains(string(res.Body()), "m=audio") {
		t.Fatalf("200 has no offer: %s", res.Body())
	}
	d.ack("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n")
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if l.Rate() != 8000 {
		t.Errorf("rate %d", l.Rate())
	}
	d.send(d.within("BYE", ""))
	over(t, l)
}

func TestLateOfferWithoutAnAnswer(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "udp", b.Addr())
	d := &dialogue{peer: p, uri: b.uri("agent")}
	p.send(p.request("INVITE", d.uri, ""))
	d.cseq = uint32(p.branch)
	l := b.call(t)
	answered := make(chan error, 1)
	go func() { answered <- l.Answer(context.Background()) }()
	res := p.expect(200, "INVITE")
	d.toTag, _ = res.To().Params.Get("tag")
	d.ack("")
	if err := <-answered; err == nil {
		t.Error("the call was answered without media")
	}
	bye := d.asked("BYE")
	d.respond(bye, 200, "")
	if c := over(t, l); c.Code != "not_acceptable" {
		t.Errorf("cause: %+v", c)
	}
}

func TestTheAnswerIsRepeatedUntilAcknowledged(t *testing.T) {
	clock, with := mockClock(t)
	b := serve(t, with)
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("INVITE", b.uri("agent"), plainOffer))
	l := b.call(t)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.expect(200, "INVITE")
	clock.Advance(t1).MustWait(t.Context())
	p.expect(200, "INVITE")
	clock.Advance(2 * t1).MustWait(t.Context())
	p.expect(200, "INVITE")
	pass(t, clock, txLife)
	bye := p.asked("BYE")
	p.respond(bye, 200, "")
	if c := over(t, l); c.Code != "unreachable" {
		t.Errorf("cause: %+v", c)
	}
}

func TestRetransmissionsAreAnsweredAlike(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "udp", b.Addr())
	msg := p.request("OPTIONS", b.uri("agent"), "")
	p.send(msg)
	first := p.expect(200, "OPTIONS")
	p.send(msg)
	if again := p.expect(200, "OPTIONS"); again.String() != first.String() {
		t.Errorf("%s\nis not\n%s", again, first)
	}
	if !strings.Contains(header(first, "Allow"), "INVITE") {
		t.Error("OPTIONS does not say what we understand")
	}
}

func TestMergedRequestIsALoop(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("INVITE", b.uri("agent"), plainOffer, "CSeq: 9 INVITE"))
	l := b.call(t)
	p.send(p.request("INVITE", b.uri("agent"), plainOffer, "CSeq: 9 INVITE")) // another branch: it came by another way
	p.expect(482, "INVITE")
	_ = l.Hangup(t.Context(), media.Cause{Code: "busy"})
}

func TestHoldAndResumeByThePeer(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	e := newEndpoint()
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, dir, want string
		event             media.LegEventKind
	}{
		{"INVITE", "a=sendonly\r\n", "a=recvonly", media.LegHold},
		{"INVITE", "a=sendrecv\r\n", "a=sendrecv", media.LegResume},
		{"UPDATE", "a=inactive\r\n", "a=inactive", media.LegHold},
		{"UPDATE", "", "a=sendrecv", media.LegResume},
	} {
		d.send(d.within(c.method, plainOffer+c.dir))
		d.cseq = uint32(d.peer.branch)
		res := d.expect(200, c.method)
		if !strings.Contains(string(res.Body()), c.want) {
			t.Errorf("%s %q is answered\n%s", c.method, c.dir, res.Body())
		}
		if c.method == "INVITE" {
			d.ack("")
		}
		e.await(t, string(c.event), kind(c.event))
	}
	d.send(d.within("BYE", ""))
	over(t, l)
	e.await(t, "end", kind(media.LegEnded))
}

func TestWeHold(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	for _, c := range []struct {
		on   bool
		want string
	}{{true, "a=sendonly"}, {false, "a=sendrecv"}} {
		done := make(chan error, 1)
		go func() { done <- l.Hold(context.Background(), c.on) }()
		req := d.asked("INVITE")
		if !strings.Contains(string(req.Body()), c.want) {
			t.Errorf("the offer has no %s:\n%s", c.want, req.Body())
		}
		d.respond(req, 200, plainOffer, "To-Tag: peer")
		if ack := d.asked("ACK"); ack.CSeq().SeqNo != req.CSeq().SeqNo {
			t.Errorf("ACK %d for INVITE %d", ack.CSeq().SeqNo, req.CSeq().SeqNo)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	d.send(d.within("BYE", ""))
	over(t, l)
}

func TestGlare(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	done := make(chan error, 1)
	go func() { done <- l.Hold(context.Background(), true) }()
	ours := d.asked("INVITE")
	d.send(d.within("INVITE", plainOffer))
	refused := d.expect(491, "INVITE")
	d.send(d.within("ACK", "", "CSeq: "+refused.CSeq().Value()[:strings.IndexByte(refused.CSeq().Value(), ' ')]+" ACK", "Via: "+refused.Via().Value()))
	d.respond(ours, 491, "", "To-Tag: peer")
	d.asked("ACK")
	again := d.asked("INVITE") // it comes back by itself
	d.respond(again, 200, plainOffer, "To-Tag: peer")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	d.send(d.within("BYE", ""))
	over(t, l)
}

func TestAnOfferThatCannotBeTakenLeavesTheCall(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	d.send(d.within("INVITE", strings.Replace(plainOffer, "RTP/AVP 0", "RTP/AVP 18", 1)))
	res := d.expect(488, "INVITE")
	d.send(d.within("ACK", "", "CSeq: 3 ACK", "Via: "+res.Via().Value()))
	select {
	case <-l.Done():
		t.Fatal("the call ended")
	default:
	}
	d.send(d.within("BYE", ""))
	over(t, l)
}

func TestTransfer(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	done := make(chan error, 1)
	go func() { done <- l.Transfer(context.Background(), "sip:sales@example.org") }()
	refer := d.asked("REFER")
	if got := header(refer, "Refer-To"); got != "<sip:sales@example.org>" {
		t.Errorf("Refer-To: %s", got)
	}
	d.respond(refer, 202, "", "To-Tag: peer")
	for _, s := range []string{"SIP/2.0 100 Trying", "SIP/2.0 200 OK"} {
		state := "active"
		if strings.Contains(s, "200") {
			state = "terminated;reason=noresource"
		}
		d.send(d.within("NOTIFY", s+"\r\n", "Event: refer", "Subscription-State: "+state, "Content-Type: message/sipfrag"))
		d.expect(200, "NOTIFY")
	}
	d.respond(d.asked("BYE"), 200, "", "To-Tag: peer")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c := over(t, l); c.Code != "transferred" {
		t.Errorf("cause: %+v", c)
	}
}

func TestTransferToANameOrNumber(t *testing.T) {
	b := serve(t, withPhones(newDirectory()))
	desk := dialPeer(t, "udp", b.Addr())
	registers(t, b, desk, "bob", "builder", "MD5")
	d, l := established(t, b, "udp")
	l.(*leg).mu.Lock()
	l.(*leg).d.remote.Host = "trunk.example"
	l.(*leg).mu.Unlock()
	for target, want := range map[string]string{"+4930123": "<sip:+4930123@trunk.example>", "bob": "<sip:bob@" + b.Addr().String() + ">"} {
		done := make(chan error, 1)
		go func() { done <- l.Transfer(context.Background(), target) }()
		refer := d.asked("REFER")
		if got := header(refer, "Refer-To"); got != want {
			t.Errorf("%s becomes %s", target, got)
		}
		d.respond(refer, 603, "", "To-Tag: peer")
		<-done
	}
	d.send(d.within("BYE", ""))
	over(t, l)
}

func TestTransferThatFailsLeavesTheCall(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	for _, how := range []string{"refused", "busy"} {
		done := make(chan error, 1)
		go func() { done <- l.Transfer(context.Background(), "sip:sales@example.org") }()
		refer := d.asked("REFER")
		if how == "refused" {
			d.respond(refer, 603, "", "To-Tag: peer")
		} else {
			d.respond(refer, 202, "", "To-Tag: peer")
			d.send(d.within("NOTIFY", "SIP/2.0 486 Busy Here\r\n", "Event: refer", "Subscription-State: terminated", "Content-Type: message/sipfrag"))
			d.expect(200, "NOTIFY")
		}
		if err := <-done; err == nil {
			t.Errorf("%s: the transfer worked", how)
		}
	}
	d.send(d.within("BYE", ""))
	over(t, l)
}

func TestSessionTimer(t *testing.T) {
	clock, with := mockClock(t)
	b := serve(t, with)
	p := dialPeer(t, "udp", b.Addr())
	d := &dialogue{peer: p, uri: b.uri("agent")}
	p.send(p.request("INVITE", d.uri, plainOffer, "Session-Expires: 60", "Supported: timer"))
	if res := p.expect(422, "INVITE"); header(res, "Min-SE") != "90" {
		t.Errorf("Min-SE: %s", header(res, "Min-SE"))
	}
	p.send(p.request("INVITE", d.uri, plainOffer, "Session-Expires: 100;refresher=uac", "Supported: timer"))
	d.cseq = uint32(p.branch)
	l := b.call(t)
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	res := p.expect(200, "INVITE")
	if header(res, "Session-Expires") != "100;refresher=uac" || header(res, "Require") != "timer" {
		t.Errorf("Session-Expires: %s, Require: %s", header(res, "Session-Expires"), header(res, "Require"))
	}
	d.toTag, _ = res.To().Params.Get("tag")
	d.ack("")
	d.send(d.within("UPDATE", "", "Session-Expires: 100;refresher=uac", "Supported: timer"))
	d.expect(200, "UPDATE")
	pass(t, clock, 69*time.Second)
	d.respond(d.asked("BYE"), 200, "", "To-Tag: peer")
	if c := over(t, l); c.Code != "unreachable" {
		t.Errorf("cause: %+v", c)
	}
}

func TestDTMFByINFO(t *testing.T) {
	b := serve(t)
	d, l := established(t, b, "udp")
	e := newEndpoint()
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, body string
		status     int
		digit      byte
	}{
		{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", 200, '5'},
		{"application/dtmf-relay", "Duration=160\nSignal= # \n", 200, '#'},
		{"application/dtmf", "9", 200, '9'},
		{"application/dtmf-relay", "Signal=11", 200, '#'},
		{"application/dtmf-relay", "Signal=", 400, 0},
		{"application/dtmf-relay", "\x00\xff\xfe", 400, 0},
		{"application/dtmf-relay", "Signal=99999999999999999999", 400, 0},
		{"application/dtmf-relay", strings.Repeat("=", 3000), 400, 0},
		{"text/plain", "hello", 415, 0},
	} {
		d.send(d.within("INFO", c.body, "Content-Type: "+c.kind))
		d.expect(c.status, "INFO")
		if c.digit != 0 {
			if ev := e.await(t, "digit", kind(media.LegDTMF)); ev.Digit != c.digit {
				t.Errorf("%q is heard as %c", c.body, ev.Digit)
			}
		}
	}
	d.send(d.within("INFO", ""))
	d.expect(200, "INFO")
	d.send(d.within("BYE", ""))
	over(t, l)
}

func TestTheLadderHasNoSecrets(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "udp", b.Addr())
	d := &dialogue{peer: p, uri: b.uri("agent")}
	p.send(p.request("INVITE", d.uri, plainOffer, "Authorization: Digest username=\"u\",\r\n response=\"topsecret\"", "X-Note: hello"))
	d.cseq = uint32(p.branch)
	l := b.call(t)
	if l.Info().Params["x-note"] != "hello" {
		t.Errorf("params: %v", l.Info().Params)
	}
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	res := p.expect(200, "INVITE")
	d.toTag, _ = res.To().Params.Get("tag")
	d.ack("")
	e := newEndpoint()
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	d.send(d.within("BYE", ""))
	over(t, l)
	e.await(t, "end", kind(media.LegEnded))
	var got []string
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.events {
		if ev.Kind != media.LegSignal {
			continue
		}
		dir := "<"
		if ev.Signal.Sent {
			dir = ">"
		}
		got = append(got, dir+ev.Signal.Summary)
		if strings.Contains(ev.Signal.Raw, "topsecret") {
			t.Errorf("a secret is on the ladder:\n%s", ev.Signal.Raw)
		}
	}
	want := "<INVITE >100 Trying (INVITE) >200 OK (INVITE) <ACK <BYE >200 OK (BYE)"
	if strings.Join(got, " ") != want {
		t.Errorf("ladder: %v", got)
	}
}
