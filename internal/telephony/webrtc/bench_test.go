package webrtc

import (
	"testing"

	pionrtp "github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"github.com/parley-voice/parley/internal/media/audio"
)

// nowhere is a stream that drops what is written.
type nowhere struct{}

func (nowhere) WriteRTP(_ *pionrtp.Header, p []byte) (int, error) { return len(p), nil }
func (nowhere) Write(b []byte) (int, error)                       { return len(b), nil }

// BenchmarkTrackWrite is what our side adds to a packet on its way to pion.
func BenchmarkTrackWrite(b *testing.B) {
	c := newTrackConn("x", pion.RTPCodecParameters{})
	c.out.Store(&bound{ssrc: 1, stream: nowhere{}})
	packet := make([]byte, 12+160)
	packet[0] = 0x80
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.WriteToUDPAddrPort(packet, far); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSendEncrypted is the same with pion's part: interceptors, SRTP and the socket, to a connected peer.
func BenchmarkSendEncrypted(b *testing.B) {
	rig := newBench(b, nil)
	l := rig.call(newClient(b, audio.PCMU), audio.PCMU).(*leg)
	packet := make([]byte, 12+160)
	packet[0] = 0x80
	b.ReportAllocs()
	for b.Loop() {
		packet[3]++
		if packet[3] == 0 {
			packet[2]++
		}
		if _, err := l.conn.WriteToUDPAddrPort(packet, far); err != nil {
			b.Fatal(err)
		}
	}
}
