package rtp

import (
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

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
