package rtp

import (
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
)

// BenchmarkCalls runs 500 sessions that talk to each other in pairs over loopback, in real time, and reports
// what one costs: RTP in and out, G.711 both ways, pacer, jitter buffer, kernel and all.
func BenchmarkCalls(b *testing.B) {
	const sessions, length = 500, 3 * time.Second
	pacer := media.NewPacer(media.PacerConfig{})
	defer pacer.Close()
	ports, err := NewPorts(PortsConfig{})
	if err != nil {
		b.Fatal(err)
	}
	local := netip.MustParseAddr("127.0.0.1")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	all := make([]*Session, sessions)
	for i := range all {
		if all[i], err = New(Config{Local: local, Ports: ports, Pacer: pacer}); err != nil {
			b.Fatal(err)
		}
	}
	for i, s := range all {
		r := Remote{RTP: netip.AddrPortFrom(local, uint16(all[i^1].LocalPort())), Format: Format{Codec: audio.PCMU}}
		if err := s.SetRemote(r); err != nil {
			b.Fatal(err)
		}
		if err := s.Start(&loud{done: func() {}}); err != nil {
			b.Fatal(err)
		}
	}
	for range b.N {
		start, cpu := time.Now(), cpuTime(b)
		time.Sleep(length)
		used, took := cpuTime(b)-cpu, time.Since(start)
		b.ReportMetric(100*used.Seconds()/took.Seconds()/sessions, "%core/call")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/sessions/1024, "KiB/call")
	st := pacer.Stats()
	b.ReportMetric(100*float64(st.Late)/float64(max(st.Beats, 1)), "%late")
	var lost, concealed, lateOut uint64
	for _, s := range all {
		x := s.Stats()
		lost, concealed, lateOut = lost+x.Lost, concealed+x.FramesConcealed, lateOut+x.FramesLateOut
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(concealed), "concealed")
	b.ReportMetric(float64(lateOut), "lateOut")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkSessionTick(b *testing.B) {
	for _, codec := range []string{audio.PCMU, audio.G722, audio.Opus} {
		for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80"} {
			name := codec
			var keys *Keys
			if suite != "" {
				name += "/srtp"
				keys = &Keys{Suite: suite, Local: make([]byte, 30), Remote: make([]byte, 30)}
			}
			b.Run(name, func(b *testing.B) { benchmarkTick(b, codec, keys) })
		}
	}
}

// benchmarkTick counts a call's 20 ms: one packet in through the kernel, one tick, one packet out.
func benchmarkTick(b *testing.B, codec string, keys *Keys) {
	n := newBench(b, Remote{Format: Format{Codec: codec}, SRTP: keys}, func(c *Config) { c.Clock = quartz.NewReal() })
	n.start(&loud{done: func() {}})
	c, err := audio.NewCodec(codec)
	if err != nil {
		b.Fatal(err)
	}
	pcm := make([]int16, c.Rate()/50)
	for i := range pcm {
		pcm[i] = int16(i % 40 * 200)
	}
	payload, err := c.Encode(nil, pcm)
	if err != nil {
		b.Fatal(err)
	}
	var far *seal
	if keys != nil {
		if far, err = newSeal(keys); err != nil {
			b.Fatal(err)
		}
	}
	wire := make([]byte, headerSize+len(payload))
	copy(wire[headerSize:], payload)
	cipher := make([]byte, maxPacket)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(n.s.LocalPort()))
	var sink [maxPacket]byte
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		header{payload: 0, seq: uint16(i), ts: uint32(i * 160), ssrc: 9}.put(wire)
		out := wire
		if far != nil {
			if out, err = far.rtp(cipher, wire); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := n.far.WriteToUDPAddrPort(out, to); err != nil {
			b.Fatal(err)
		}
		n.s.Tick(media.Beat{Now: n.due, Due: n.due})
		if _, _, err := n.far.ReadFromUDPAddrPort(sink[:]); err != nil {
			b.Fatal(err)
		}
	}
}
