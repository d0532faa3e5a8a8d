package rtp

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/coder/quartz"
)

func TestParsePorts(t *testing.T) {
	for _, tc := range []struct {
		in        string
		low, high int
	}{{"0", 0, 0}, {"10000-20000", 10000, 20000}, {" 4000 - 4001 ", 4000, 4001}} {
		if low, high, err := ParsePorts(tc.in); err != nil || low != tc.low || high != tc.high {
			t.Errorf("%q: %d to %d, %v", tc.in, low, high, err)
		}
	}
	for _, in := range []string{"", "10000", "a-b", "20000-10000", "80-90", "60000-70000", "5000-5000", "-1-5"} {
		if _, _, err := ParsePorts(in); err == nil {
			t.Errorf("%q was taken", in)
		}
	}
}

func TestPortsRestAndRunOut(t *testing.T) {
	clock := quartz.NewMock(t)
	local := netip.MustParseAddr("127.0.0.1")
	// A range that is free now: found by letting the system choose.
	probe, err := openAny(local)
	if err != nil {
		t.Fatal(err)
	}
	low := int(probe.rtp.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port())
	if err := probe.close(); err != nil {
		t.Fatal(err)
	}
	p, err := NewPorts(PortsConfig{Low: low - 1, High: low + 2, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if p.Free() != 1 { // low-1 is odd, low+2 has no odd one after it
		t.Fatalf("%d pairs in the range", p.Free())
	}
	s, err := p.open(local)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.open(local); !errors.Is(err, ErrNoPort) {
		t.Errorf("a pair in use was handed out: %v", err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.open(local); !errors.Is(err, ErrNoPort) {
		t.Errorf("a pair was handed out at once again: %v", err)
	}
	clock.Advance(5 * time.Second)
	if s, err = p.open(local); err != nil {
		t.Fatalf("after its rest: %v", err)
	}
	// Another program holds the port: it is passed over, and free again when that program ends.
	q, err := NewPorts(PortsConfig{Low: low, High: low + 1, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.open(local); !errors.Is(err, ErrNoPort) {
		t.Errorf("a port of another program: %v", err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if s, err = q.open(local); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestPortsErrors(t *testing.T) {
	for _, c := range []PortsConfig{{Low: 5001, High: 5001}, {Low: 5000, High: 4000}, {Low: 5000, High: 70000}} {
		if _, err := NewPorts(c); err == nil {
			t.Errorf("%d to %d was taken", c.Low, c.High)
		}
	}
	p, err := NewPorts(PortsConfig{Low: 40000, High: 40100})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.open(netip.MustParseAddr("203.0.113.1")); err == nil || errors.Is(err, ErrNoPort) {
		t.Errorf("an address of another machine: %v", err)
	}
	if p.Free() != 50+b2i(p.config.High%2 == 1) && p.Free() != 50 {
		t.Errorf("%d free after an error", p.Free())
	}
}
