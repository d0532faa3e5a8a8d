package rtp

import (
	"net"
	"testing"
	"time"

	pionrtcp "github.com/pion/rtcp"
)

func TestReportsAgainstPion(t *testing.T) {
	b := newBench(t, Remote{Mux: true}, func(c *Config) { c.CNAME = "someone" })
	b.start(&scripted{})
	b.s.mu.Lock()
	b.s.out.nextReport = b.due.Add(time.Hour)
	b.s.mu.Unlock()
	for range 30 {
		b.arrive(b.far, b.voice(1))
		b.tick()
		b.sent()
	}
	b.seq += 10 // lost
	b.arrive(b.far, b.voice(1))
	sr, err := (&pionrtcp.SenderReport{SSRC: b.ssrc, NTPTime: 0x1111222233334444}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b.arrive(b.far, sr)
	b.clock.Advance(500 * time.Millisecond)
	now := b.clock.Now()
	b.s.mu.Lock()
	b.s.sendReport(now)
	b.s.mu.Unlock()
	buf := make([]byte, maxPacket)
	_ = b.far.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, _, err := b.far.ReadFromUDP(buf)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := pionrtcp.Unmarshal(buf[:n])
	if err != nil || len(packets) != 2 {
		t.Fatalf("%d packets in %x: %v", len(packets), buf[:n], err)
	}
	got, ok := packets[0].(*pionrtcp.SenderReport)
	if !ok || len(got.Reports) != 1 || got.PacketCount != 30 || got.OctetCount != 30*160 || got.NTPTime != ntp(now) {
		t.Fatalf("%+v", packets[0])
	}
	r := got.Reports[0]
	if r.SSRC != b.ssrc || r.TotalLost != 10 || r.FractionLost != 10*256/41 || r.LastSenderReport != 0x22223333 || r.Delay != 32768 {
		t.Errorf("report %+v", r)
	}
	sdes, ok := packets[1].(*pionrtcp.SourceDescription)
	if !ok || sdes.Chunks[0].Items[0].Text != "someone" || sdes.Chunks[0].Source != got.SSRC {
		t.Errorf("%+v", packets[1])
	}
	// The far end answers a second later, of which it held the report for 900 ms: 100 ms of round trip.
	b.clock.Advance(time.Second)
	rr, err := (&pionrtcp.ReceiverReport{SSRC: b.ssrc, Reports: []pionrtcp.ReceptionReport{{
		SSRC: got.SSRC, LastSenderReport: short(got.NTPTime), Delay: 65536 * 9 / 10}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b.arrive(b.far, rr)
	if st := b.s.Stats(); st.RoundTripMS < 99 || st.RoundTripMS > 101 {
		t.Errorf("round trip %.1f ms", st.RoundTripMS)
	}
}

// TestReportsEvery5Seconds looks at what goes out on the RTCP port, and that Close says goodbye.
func TestReportsEvery5Seconds(t *testing.T) {
	control := socket(t)
	b := newBench(t, Remote{RTCP: control.LocalAddr().(*net.UDPAddr).AddrPort()}, nil)
	b.start(&scripted{})
	for range 16 * 50 {
		b.tick()
	}
	if err := b.s.Close(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxPacket)
	reports := 0
	for {
		if err := control.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := control.ReadFromUDP(buf)
		if err != nil {
			t.Fatalf("no goodbye after %d reports: %v", reports, err)
		}
		info, ok := parseRTCP(buf[:n])
		if !ok {
			t.Fatalf("malformed: %x", buf[:n])
		}
		if info.bye {
			break
		}
		reports++
	}
	if reports < 3 || reports > 4 {
		t.Errorf("%d reports in 16 s", reports)
	}
}
