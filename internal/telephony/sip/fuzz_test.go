package sip

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parley-voice/parley/internal/media"
)

// FuzzDatagram gives a server datagrams, one after the other, in the state an answered call left it in.
// Whatever comes, no handler panics, and the server answers a good request afterwards.
func FuzzDatagram(f *testing.F) {
	p := &peer{t: &testing.T{}, conn: fakeConn{}}
	uri := "sip:agent@127.0.0.1"
	for _, text := range []string{
		p.request("INVITE", uri, plainOffer), p.request("OPTIONS", uri, ""), p.request("BYE", uri, "", "To: <"+uri+">;tag=x"),
		p.request("REGISTER", uri, "", "Contact: *", "Expires: 0", `Authorization: Digest username="a", nonce="AAAA", nc=00000001, response="0"`),
		p.request("INFO", uri, "Signal=5\r\n", "Content-Type: application/dtmf-relay", "To: <"+uri+">;tag=TAG", "CSeq: 99 INFO"),
		p.request("INVITE", uri, plainOffer+"a=sendonly\r\n", "To: <"+uri+">;tag=TAG", "CSeq: 98 INVITE", "Session-Expires: 90;refresher=uac"),
		p.request("NOTIFY", uri, "SIP/2.0 200 OK", "Event: refer", "To: <"+uri+">;tag=TAG", "CSeq: 97 NOTIFY"),
		p.request("CANCEL", uri, ""), p.request("ACK", uri, "", "To: <"+uri+">;tag=TAG"),
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
		"OPTIONS sip:x SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: a\r\nt: b\r\ni: c\r\nCSeq: 1 OPTIONS\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	pacer := media.NewPacer(media.PacerConfig{Shards: 1})
	defer pacer.Close()
	var panics atomic.Int64
	legs := make(chan media.Leg, 1)
	s, err := New(Config{Addr: "127.0.0.1:0", Pacer: pacer, Phones: newDirectory(), Log: slog.New(slog.DiscardHandler), MaxCalls: 50,
		Count: func(event, _ string) {
			if event == "panic" {
				panics.Add(1)
			}
		},
		Accept: func(ctx context.Context, l media.Leg) {
			select {
			case legs <- l:
			default:
				_ = l.Hangup(ctx, media.Cause{Code: "busy"})
			}
		}})
	if err != nil {
		f.Fatal(err)
	}
	defer s.Stop(context.Background())
	from := flow{remote: netip.MustParseAddrPort("127.0.0.1:9")}
	take := func(raw []byte) {
		s.receive(raw, from)
		for _, q := range s.queues { // the workers do not run: each input is handled here, to its end
			for len(q) > 0 {
				j := <-q
				s.guard("message", func() { s.handle(j) })
			}
		}
	}
	forget := func() { // what half a minute of patience would
		s.tx.mu.Lock()
		old := s.tx.servers
		s.tx.servers = map[txKey]*serverTx{}
		s.tx.mu.Unlock()
		for _, tx := range old {
			tx.mu.Lock()
			tx.terminate()
			tx.mu.Unlock()
		}
	}
	take([]byte(p.request("INVITE", uri, plainOffer, "Call-ID: up")))
	l := (<-legs).(*leg)
	if err := l.Answer(context.Background()); err != nil {
		f.Fatal(err)
	}
	defer l.end(media.Cause{Code: "normal"}) // nobody would answer BYE
	f.Fuzz(func(t *testing.T, raw []byte) {
		take([]byte(strings.ReplaceAll(string(raw), "TAG", l.d.id.localTag)))
		badRequest(raw, "why")
		redact(raw)
		summarise(raw)
		take([]byte(p.request("OPTIONS", uri, "")))
		forget()
		if panics.Load() > 0 {
			t.Fatalf("a handler panicked on %q", raw)
		}
	})
}

// fakeConn only has an address.
type fakeConn struct{ net.Conn }

func (fakeConn) LocalAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9} }

func FuzzFragments(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK"), "1 AES_CM_128_HMAC_SHA1_80 inline:"+key30)
	f.Add([]byte("Signal=5\r\nDuration=160"), "sip:a@b")
	f.Fuzz(func(t *testing.T, body []byte, text string) {
		if d, ok := parseDTMF(body); ok && !strings.ContainsRune("0123456789*#ABCD", rune(d)) {
			t.Fatalf("%q is the digit %q", body, d)
		}
		if n, ok := parseFragment(body); ok && (n < 100 || n > 699) {
			t.Fatalf("%q is the status %d", body, n)
		}
		if c, ok := parseCrypto(text); ok && suites[c.suite] == 0 {
			t.Fatalf("%q has the suite %q", text, c.suite)
		}
		if got := unescape(escape(text)); got != text {
			t.Fatalf("%q becomes %q", text, got)
		}
	})
}
