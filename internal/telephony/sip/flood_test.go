package sip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/coder/quartz"
)

// An address that sends too much is told so once a second and then ignored; a phone registered at the same address, and
// callers elsewhere, are served all the while.
func TestFlood(t *testing.T) {
	clock, withClock := mockClock(t)
	const most = 20
	b := serve(t, withClock, withPhones(newDirectory()), strangers, func(c *Config) { c.Flood = Rate{Messages: most, Per: 10 * time.Second} })
	phone := dialPeerFrom(t, "udp", "127.0.0.2", b.Addr())
	if res := registers(t, b, phone, "alice", "wonderland", "SHA-256"); res.StatusCode != 200 { // two messages of 127.0.0.2
		t.Fatal(res)
	}
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			pass(t, clock, 10*time.Second) // what was sent before is paid for
			told, dropped := b.counts.get("flood:refused"), b.counts.get("flood:dropped")
			bad := dialPeerFrom(t, network, "127.0.0.2", b.Addr())
			for range most {
				bad.send(bad.request("OPTIONS", b.uri("agent"), ""))
				bad.expect(200, "OPTIONS") // one by one: no datagram is lost on the way
			}
			bad.send(bad.request("OPTIONS", b.uri("agent"), ""))
			if res := bad.final("OPTIONS"); res.StatusCode != 503 || header(res, "Retry-After") == "" {
				t.Errorf("one message too many is answered\n%s", res)
			}
			for range 50 {
				bad.send(bad.request("OPTIONS", b.uri("agent"), ""))
			}
			eventually(t, "the flood to be ignored", func() bool { return b.counts.get("flood:dropped") == dropped+50 })
			if n := b.counts.get("flood:refused") - told; n != 1 {
				t.Errorf("the sender was told %d times within a second", n)
			}
			for range 5 {
				phone.send(phone.request("OPTIONS", b.uri("agent"), ""))
				phone.expect(200, "OPTIONS")
			}
			other := dialPeerFrom(t, "udp", "127.0.0.3", b.Addr())
			other.send(other.request("OPTIONS", b.uri("agent"), ""))
			other.expect(200, "OPTIONS")
			// A second later two messages fit again.
			pass(t, clock, time.Second)
			bad.send(bad.request("OPTIONS", b.uri("agent"), ""))
			bad.expect(200, "OPTIONS")
		})
	}
}

// Trusted networks are not counted, and whoever has a call keeps it.
func TestFloodLeavesTrustedNetworks(t *testing.T) {
	b := serve(t, func(c *Config) { c.Flood = Rate{Messages: 1, Per: time.Hour} })
	for range 5 {
		d, l := established(t, b, "udp")
		d.hangUp(l)
	}
	if n := b.counts.get("flood:dropped") + b.counts.get("flood:refused"); n != 0 {
		t.Errorf("%d messages of a trusted network were counted", n)
	}
}

// However many addresses there are, the table is bounded, and those in it are served.
func TestFloodTableIsBounded(t *testing.T) {
	clock := quartz.NewMock(t)
	l := newFlood(Rate{Messages: 2, Per: time.Minute}, clock)
	options, ok := []byte("OPTIONS sip:x SIP/2.0\r\n"), []byte("SIP/2.0 200 OK\r\n")
	known := netip.MustParseAddrPort("192.0.2.1:5060")
	if v := l.judge(options, known); v != floodPass {
		t.Fatal(v)
	}
	refused := 0
	for i := range 3 * floodSenders {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 5060)
		if l.judge(options, at) != floodPass {
			refused++
		}
	}
	if len(l.senders) > floodSenders || refused < floodSenders {
		t.Errorf("%d senders are remembered, %d messages were refused", len(l.senders), refused)
	}
	if v := l.judge(options, known); v != floodPass {
		t.Errorf("a sender that is known is refused: %v", v)
	}
	clock.Advance(time.Minute)
	if v := l.judge(options, netip.MustParseAddrPort("192.0.2.9:5060")); v != floodPass || len(l.senders) > 2 {
		t.Errorf("after a minute a new sender gets %v, %d are remembered", v, len(l.senders))
	}
	// An IPv6 host owns its /64; answers to what we asked have more room.
	for i, want := range []verdict{floodPass, floodPass, floodTell, floodDrop} {
		at := netip.MustParseAddrPort(fmt.Sprintf("[2001:db8::%d]:5060", i+1))
		if v := l.judge(options, at); v != want {
			t.Errorf("message %d of a /64: %v", i+1, v)
		}
	}
	for i := range 2*answersMore + 1 {
		want := floodPass
		if i == 2*answersMore {
			want = floodDrop
		}
		if v := l.judge(ok, known); v != want {
			t.Errorf("answer %d: %v", i, v)
		}
	}
}
