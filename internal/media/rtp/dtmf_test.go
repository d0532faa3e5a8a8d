package rtp

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

func TestDTMFOutAndIn(t *testing.T) {
	b := newBench(t, Remote{Events: &Events{SendPT: 101, RecvPT: 96}}, nil)
	b.start(&scripted{})
	if err := b.s.SendDTMF(t.Context(), "5x"); err == nil {
		t.Error("x was taken as a digit")
	}
	result := make(chan error, 1)
	go func() { result <- b.s.SendDTMF(context.Background(), "5,#") }()
	for !b.s.dtmf.busy() {
		runtime.Gosched() // another goroutine has to reach the queue
	}
	var in dtmfIn
	var got []byte
	ends := 0
	var ts uint32
	for len(result) == 0 {
		b.tick()
		for {
			_ = b.far.SetReadDeadline(time.Now().Add(3 * time.Millisecond))
			buf := make([]byte, maxPacket)
			n, _, err := b.far.ReadFromUDP(buf)
			if err != nil {
				break
			}
			h, payload, _ := parse(buf[:n])
			if h.payload != 101 {
				continue
			}
			e, ok := parseEvent(payload)
			if !ok {
				t.Fatalf("payload %x", payload)
			}
			if d := in.packet(h, e); d != 0 {
				got = append(got, d)
				ts = h.ts
				if !h.marker {
					t.Error("a digit begins without the marker")
				}
			}
			if h.ts != ts {
				t.Error("the timestamp moved during a digit")
			}
			if e.end {
				ends++
				if e.duration != 8*160 {
					t.Errorf("duration %d", e.duration)
				}
			}
		}
	}
	if err := <-result; err != nil || string(got) != "5#" || ends != 6 {
		t.Errorf("%q with %d end packets: %v", got, ends, err)
	}
}

func TestSendDTMFErrors(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	b.start(&scripted{})
	if err := b.s.SendDTMF(t.Context(), "1"); !errors.Is(err, ErrNoEvents) {
		t.Errorf("without telephone-event: %v", err)
	}
	r := b.s.peer.Load().remote
	r.Events = &Events{SendPT: 101, RecvPT: 101}
	if err := b.s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.s.SendDTMF(ctx, "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := b.s.SendDTMF(ctx, string(bytes.Repeat([]byte("1"), maxQueued))); err == nil {
		t.Error("the queue is not bounded")
	}
}

func TestDTMFDigitsAreReportedOnTheTick(t *testing.T) {
	var got []byte
	b := newBench(t, Remote{Events: &Events{SendPT: 101, RecvPT: 101}}, func(c *Config) {
		c.OnDTMF = func(d byte) { got = append(got, d) }
	})
	b.start(&scripted{})
	for _, code := range []byte{1, 10, 1} {
		for i := range 5 {
			var payload [4]byte
			event{code: code, duration: uint16(160 * (i + 1))}.put(payload[:])
			b.arrive(b.far, b.packet(101, payload[:], 0))
		}
		b.ts += 1600
	}
	b.arrive(b.far, b.packet(101, []byte{1, 2}, 0)) // too short
	b.tick()
	if string(got) != "1*1" {
		t.Errorf("heard %q", got)
	}
	if st := b.s.Stats(); st.Malformed != 1 || st.Lost != 0 {
		t.Errorf("stats %+v", st)
	}
}

// TestDTMFInOfOddSenders: each row is a stream of telephone-event packets and the digits it means.
func TestDTMFInOfOddSenders(t *testing.T) {
	type pkt struct {
		ssrc     uint32
		seq      uint16
		ts       uint32
		code     uint8
		end      bool
		marker   bool
		duration uint16
	}
	for _, tc := range []struct {
		name    string
		packets []pkt
		want    string
	}{
		{"three ends", []pkt{{1, 1, 100, 5, false, true, 160}, {1, 2, 100, 5, true, false, 320}, {1, 3, 100, 5, true, false, 320}, {1, 4, 100, 5, true, false, 320}}, "5"},
		{"only an end arrives", []pkt{{1, 9, 100, 5, true, false, 320}}, "5"},
		{"no end arrives", []pkt{{1, 1, 100, 5, false, true, 160}, {1, 2, 2000, 5, false, true, 160}}, "55"},
		{"the same digit twice", []pkt{{1, 1, 100, 5, false, true, 160}, {1, 2, 100, 5, true, false, 320}, {1, 9, 2000, 5, false, true, 160}}, "55"},
		{"the timestamp moves", []pkt{{1, 1, 100, 5, false, true, 160}, {1, 2, 260, 5, false, false, 320}, {1, 3, 420, 5, true, false, 480}}, "5"},
		{"a long press", []pkt{{1, 1, 100, 5, false, true, 65535}, {1, 2, 65635, 5, false, false, 160}, {1, 3, 65635, 5, true, false, 320}}, "5"},
		{"out of order", []pkt{{1, 1, 100, 5, false, true, 160}, {1, 5, 2000, 6, false, true, 160}, {1, 4, 100, 5, true, false, 320}, {1, 6, 2000, 6, true, false, 320}}, "56"},
		{"the timestamp wraps", []pkt{{1, 65535, 0xffffff00, 1, true, true, 160}, {1, 0, 100, 2, true, true, 160}}, "12"},
		{"another source, earlier timestamps", []pkt{{1, 5000, 90000, 1, true, true, 160}, {2, 4990, 100, 2, true, true, 160}}, "12"},
		{"the numbering restarts", []pkt{{1, 5000, 90000, 1, true, true, 160}, {1, 10, 100, 2, true, true, 160}}, "12"},
		{"no digit: a flash", []pkt{{1, 1, 100, 16, true, true, 160}}, ""},
	} {
		var d dtmfIn
		var got []byte
		for _, p := range tc.packets {
			if c := d.packet(header{ssrc: p.ssrc, seq: p.seq, ts: p.ts, marker: p.marker}, event{code: p.code, end: p.end, duration: p.duration}); c != 0 {
				got = append(got, c)
			}
		}
		if string(got) != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
