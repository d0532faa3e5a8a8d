package rtp

import (
	"bytes"
	"context"
	"errors"
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
		time.Sleep(time.Millisecond) // another goroutine has to reach the queue
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
