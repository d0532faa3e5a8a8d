package voice

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/provider/providertest"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

// tape is a recorder that copies, as a real one does.
type tape struct{ buf [2 * 320]int16 }

func (t *tape) Frames(caller, agent []int16) {
	copy(t.buf[:320], caller)
	copy(t.buf[320:], agent)
}

// benchSession is a session whose leg is driven by hand.
func benchSession(tb testing.TB, v *sim.Vendor, leg *fakeLeg, edit func(*Config)) *Session {
	tb.Helper()
	c := Config{
		Leg: leg, Brain: &scriptBrain{greeting: "Hello."}, STT: v.STT(), TTS: v, Recorder: &tape{},
		Clock: quartz.NewReal(), Log: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&c)
	}
	s, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// BenchmarkTick is the hot path: one frame each way with VAD, digest and recorder on.
func BenchmarkTick(b *testing.B) {
	for _, rate := range []int{8000, 16000} {
		for name, in := range map[string][]int16{
			"silence": make([]int16, rate/50), "speech": providertest.Babble(rate, time.Second)[:rate/50],
		} {
			b.Run(name+"/"+map[int]string{8000: "8kHz", 16000: "16kHz"}[rate], func(b *testing.B) {
				leg := newLeg()
				leg.rate = rate
				s := benchSession(b, sim.New(sim.Config{}), leg, nil)
				out := make([]int16, rate/50)
				s.playout.begin(1)
				id, _ := s.playout.open(1, "text", spanAnswer)
				n := int64(0)
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					if i%100 == 0 {
						s.playout.write(1, id, make([]int16, 0))
					}
					if s.endpoint.Tick(in, out) {
						n++
						s.endpoint.Played(n)
					}
					if i%50 == 0 { // half of the time the agent speaks
						s.playout.mu.Lock()
						s.playout.count = 25
						s.playout.spans[id].made += 25
						s.playout.mu.Unlock()
					}
					select { // the session's goroutine takes what it is told
					case <-s.inbox:
					default:
					}
				}
			})
		}
	}
}

// TestTickDoesNotAllocate holds the hot path to what the benchmark shows.
func TestTickDoesNotAllocate(t *testing.T) {
	s := benchSession(t, sim.New(sim.Config{}), newLeg(), nil)
	speech := providertest.Babble(8000, 10*time.Second)
	out := make([]int16, 160)
	i := 0
	if n := testing.AllocsPerRun(400, func() {
		s.endpoint.Tick(speech[i*160:][:160], out)
		i++
		select {
		case <-s.inbox:
		default:
		}
	}); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

// hall is many calls at once in real time, each with its own goroutine ticking every 20 ms.
func hall(b *testing.B, calls int, talk bool, d time.Duration) (latencies []time.Duration, bytes uint64) {
	v := sim.New(sim.Config{})
	var mu sync.Mutex
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	legs := make([]*fakeLeg, calls)
	for i := range legs {
		legs[i] = newLeg()
		legs[i].forget = true
		s := benchSession(b, v.Call(uint64(i)), legs[i], func(c *Config) {
			c.Limits.Idle = time.Hour
			c.Observer.TurnLatency = func(d time.Duration) {
				mu.Lock()
				latencies = append(latencies, d)
				mu.Unlock()
			}
		})
		wg.Go(func() { s.Run(ctx) })
	}
	end := time.Now().Add(d)
	for k := 0; time.Now().Before(end); k++ {
		if talk {
			for i, l := range legs {
				if (k+i)%7 == 0 {
					l.say(providertest.Babble(8000, time.Second))
				}
			}
		}
		time.Sleep(time.Second)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	cancel()
	wg.Wait()
	slices.Sort(latencies)
	return latencies, (after.HeapInuse + after.StackInuse - before.HeapInuse - before.StackInuse) / uint64(calls)
}

// BenchmarkIdleCall gives the memory of a call whose caller says nothing.
func BenchmarkIdleCall(b *testing.B) {
	for range b.N {
		_, bytes := hall(b, 200, false, 2*time.Second)
		b.ReportMetric(float64(bytes)/1024, "KiB/call")
	}
}

// BenchmarkTurnLatency gives the time from the decided end of speech to the first frame, 100 calls at once.
func BenchmarkTurnLatency(b *testing.B) {
	for range b.N {
		cpu := cpuTime(b)
		l, bytes := hall(b, 100, true, 15*time.Second)
		b.ReportMetric(float64(cpuTime(b)-cpu)/float64(15*time.Second)/100*100, "%core/call")
		if len(l) == 0 {
			b.Fatal("nobody got an answer")
		}
		b.ReportMetric(float64(len(l)), "turns")
		b.ReportMetric(float64(l[len(l)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(l[len(l)*99/100].Microseconds()), "p99-µs")
		b.ReportMetric(float64(bytes)/1024, "KiB/call")
	}
}

// cpuTime is what the process has used so far.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var _ media.Kicker = (*fakeLeg)(nil)

// BenchmarkColdBurst gives the time from the start of a call to its first frame when 100 begin at once.
func BenchmarkColdBurst(b *testing.B) {
	for range b.N {
		v := sim.New(sim.Config{})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		first := make([]time.Duration, 100)
		begin := time.Now()
		for i := range first {
			leg := newLeg()
			leg.onSpeech = sync.OnceFunc(func() { first[i] = time.Since(begin) })
			s := benchSession(b, v.Call(uint64(i)), leg, nil)
			wg.Go(func() { s.Run(ctx) })
		}
		time.Sleep(2 * time.Second)
		cancel()
		wg.Wait()
		slices.Sort(first)
		b.ReportMetric(float64(first[50].Microseconds()), "p50-µs")
		b.ReportMetric(float64(first[99].Microseconds()), "max-µs")
	}
}
