package sip

import (
	"fmt"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
)

func TestBadRequests(t *testing.T) {
	b := serve(t)
	uri := b.uri("agent")
	for _, c := range []struct {
		name   string
		make   func(p *peer) string
		status int
		method string
	}{
		{"no CSeq", func(p *peer) string { return p.request("OPTIONS", uri, "", "CSeq: -") }, 400, ""},
		{"CSeq of another method", func(p *peer) string { return p.request("OPTIONS", uri, "", "CSeq: 1 INVITE") }, 400, ""},
		{"CSeq no number", func(p *peer) string { return p.request("OPTIONS", uri, "", "CSeq: x OPTIONS") }, 400, ""},
		{"CSeq too large", func(p *peer) string { return p.request("OPTIONS", uri, "", "CSeq: 99999999999 OPTIONS") }, 400, ""},
		{"From without a tag", func(p *peer) string { return p.request("OPTIONS", uri, "", "From: <sip:x@y>") }, 400, ""},
		{"no From", func(p *peer) string { return p.request("OPTIONS", uri, "", "From: -") }, 400, ""},
		{"no To", func(p *peer) string { return p.request("OPTIONS", uri, "", "To: -") }, 400, ""},
		{"no Call-ID", func(p *peer) string { return p.request("OPTIONS", uri, "", "Call-ID: -") }, 400, ""},
		{"broken From", func(p *peer) string { return p.request("OPTIONS", uri, "", "From: <sip:x") }, 400, ""},
		{"Max-Forwards used up", func(p *peer) string { return p.request("INVITE", uri, plainOffer, "Max-Forwards: 0") }, 483, "INVITE"},
		{"Max-Forwards no number", func(p *peer) string { return p.request("INVITE", uri, plainOffer, "Max-Forwards: many") }, 400, ""},
		{"an extension is required", func(p *peer) string { return p.request("INVITE", uri, plainOffer, "Require: 100rel, gin") }, 420, "INVITE"},
		{"a tel of the wrong kind", func(p *peer) string { return p.request("INVITE", "mailto:x@y", plainOffer) }, 416, "INVITE"},
		{"unknown method", func(p *peer) string { return p.request("DANCE", uri, "") }, 405, "DANCE"},
		{"MESSAGE", func(p *peer) string { return p.request("MESSAGE", uri, "hi", "Content-Type: text/plain") }, 405, "MESSAGE"},
		{"SUBSCRIBE", func(p *peer) string { return p.request("SUBSCRIBE", uri, "", "Event: presence") }, 405, "SUBSCRIBE"},
		{"BYE to nothing", func(p *peer) string { return p.request("BYE", uri, "") }, 481, "BYE"},
		{"INFO to nothing", func(p *peer) string { return p.request("INFO", uri, "Signal=1") }, 481, "INFO"},
		{"UPDATE with a tag of nobody", func(p *peer) string { return p.request("UPDATE", uri, "", "To: <"+uri+">;tag=x") }, 481, "UPDATE"},
		{"a body of another type", func(p *peer) string { return p.request("INVITE", uri, "hello", "Content-Type: text/plain") }, 415, "INVITE"},
		{"an encoded body", func(p *peer) string { return p.request("INVITE", uri, plainOffer, "Content-Encoding: gzip") }, 415, "INVITE"},
		{"a bad SDP", func(p *peer) string { return p.request("INVITE", uri, "v=0\r\nthis is not SDP\r\n") }, 400, "INVITE"},
		{"no audio", func(p *peer) string {
			return p.request("INVITE", uri, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n")
		}, 488, "INVITE"},
		{"no Contact", func(p *peer) string { return p.request("INVITE", uri, plainOffer, "Contact: -") }, 400, "INVITE"},
		{"Session-Expires no number", func(p *peer) string { return p.request("INVITE", uri, plainOffer, "Session-Expires: soon") }, 400, "INVITE"},
		{"SIP/3.0", func(p *peer) string {
			return strings.Replace(p.request("OPTIONS", uri, ""), "SIP/2.0\r\n", "SIP/3.0\r\n", 1)
		}, 505, ""},
		{"a body shorter than it says", func(p *peer) string {
			return strings.Replace(p.request("OPTIONS", uri, "abc", "Content-Type: text/plain"), "Content-Length: 3", "Content-Length: 30", 1)
		}, 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := dialPeer(t, "udp", b.Addr())
			p.send(c.make(p))
			raw := p.readRaw()
			for strings.HasPrefix(raw, "SIP/2.0 1") {
				raw = p.readRaw()
			}
			if !strings.HasPrefix(raw, fmt.Sprintf("SIP/2.0 %d ", c.status)) {
				t.Errorf("answered %s", raw)
			}
			if c.method == "" {
				return // the headers it repeats may be as broken as they came
			}
			res := p.parse([]byte(raw)).(*sipmsg.Response)
			if c.status == 420 && header(res, "Unsupported") == "" || c.status == 405 && header(res, "Allow") == "" {
				t.Error("the answer does not say what would be taken")
			}
			if res.StatusCode >= 300 && c.method == "INVITE" {
				tag, _ := res.To().Params.Get("tag")
				p.send(p.request("ACK", uri, "", "To: <"+uri+">;tag="+tag, "Via: "+res.Via().Value(), "CSeq: "+strings.Replace(res.CSeq().Value(), "INVITE", "ACK", 1)))
			}
		})
	}
	// The server is as well as before.
	p := dialPeer(t, "udp", b.Addr())
	p.send(p.request("OPTIONS", uri, ""))
	p.expect(200, "OPTIONS")
}

func TestWhatCannotBeAnsweredIsIgnored(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "udp", b.Addr())
	for _, text := range []string{"\r\n\r\n", "\x00\x00", "hello", "GET / HTTP/1.1\r\n\r\n", "INVITE", "SIP/2.0 200 OK\r\n\r\n",
		"ACK " + b.uri("x") + " SIP/2.0\r\n\r\n", p.request("ACK", b.uri("x"), ""), strings.Repeat("A", 9000),
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n"} {
		p.send(text)
	}
	p.send(p.request("OPTIONS", b.uri("x"), ""))
	res := p.read().(*sipmsg.Response) // the first thing that comes
	if res.StatusCode != 200 || res.CSeq().MethodName != sipmsg.OPTIONS {
		t.Errorf("rubbish was answered: %s", res)
	}
	if b.counts.get("malformed:syntax") < 4 {
		t.Errorf("%d counted", b.counts.get("malformed:syntax"))
	}
}

func TestTCPFraming(t *testing.T) {
	b := serve(t)
	p := dialPeer(t, "tcp", b.Addr())
	two := p.request("OPTIONS", b.uri("a"), "") + "\r\n" + p.request("OPTIONS", b.uri("b"), "")
	for i := range len(two) { // in the smallest pieces there are
		p.send(two[i : i+1])
	}
	p.expect(200, "OPTIONS")
	p.expect(200, "OPTIONS")
	p.send("OPTIONS " + b.uri("a") + " SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKq\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n")
	if res := p.read().(*sipmsg.Response); res.StatusCode != 400 {
		t.Errorf("without Content-Length: %s", res)
	}
}
