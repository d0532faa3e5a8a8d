package conversation

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

func benchService(b *testing.B, d *db.DB) *Service {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "data")
	blobs, err := blob.Open(context.Background(), blob.Config{DataDir: dir})
	must(b, err)
	s, err := New(Config{DB: d, Blobs: blobs, Keys: envelopetest.New(7), DataDir: dir, Live: &countOnly{}})
	must(b, err)
	must(b, s.Start(context.Background()))
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(b, s.Close(ctx))
		must(b, blobs.Close())
	})
	return s
}

type countOnly struct{}

func (*countOnly) PublishLive(string, event.Fact) bool { return true }

func BenchmarkFrames(b *testing.B) {
	for name, a := range map[string]Answer{"8k": {Rate: 8000, Codec: "PCMU"}, "16k": {Rate: 16000, Codec: "opus"}} {
		b.Run(name, func(b *testing.B) {
			var l lanes
			lay := layout{formatFor(a.Codec, a.Rate), a.Rate}
			l.start(lay)
			caller, agent := tone(a.Rate/50, 0x90), tone(a.Rate/50, 0xa0)
			var chunks []chunk
			b.ReportAllocs()
			for b.Loop() {
				if l.add(caller, agent) { // the writer's part, without its file
					chunks = l.take(chunks[:0], false)
					for _, ch := range chunks {
						l.give(ch.data)
					}
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	var in inbox
	e := event.Entry{AtUS: 5, Kind: event.EntryVADStart, Turn: 3}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		in.add(e)
		if n++; n%64 == 0 { // the writer's part, without its file
			got, _ := in.swap()
			in.giveBack(got)
		}
	}
}

// BenchmarkBeginEnd is a call that is begun, answered and ended, up to its row and facts in the database and its
// event log in the blob store.
func BenchmarkBeginEnd(b *testing.B) {
	for _, name := range []string{db.SQLite, db.Postgres} {
		b.Run(name, func(b *testing.B) {
			var d *db.DB
			if name == db.SQLite {
				d = dbtest.SQLite(b, Migrations())
			} else {
				d = dbtest.Postgres(b, Migrations())
			}
			s := benchService(b, d)
			ctx := context.Background()
			var last *Call
			cpu := cpuTime()
			for b.Loop() {
				c, err := s.Begin(ctx, NewCall{OrgID: orgA, Channel: "sip", Direction: "inbound", From: "1001", To: "front-desk"})
				must(b, err)
				c.SetStatus(StatusRinging)
				c.Answered(Answer{Rate: 8000, Codec: "PCMU"})
				c.Append(event.Entry{Kind: event.EntryAnswered})
				c.LegEnded("", LegCause{By: "caller", Code: "normal"}, LegStats{})
				c.End(Ending{By: "caller"})
				last = c
				for s.inMemory() > 2000 { // the caller must not outrun the saver
					runtime.Gosched()
				}
			}
			must(b, s.Flush(ctx))
			<-last.Saved()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric((cpuTime()-cpu).Seconds()*1e6/float64(b.N), "cpu-µs/call")
		})
	}
}

// BenchmarkLive is what calls that go on cost: 50 frames a second, one turn every seven seconds, recorded and logged.
// The time of one operation is that of one second of 500 calls, done as fast as it can be.
func BenchmarkLive(b *testing.B) {
	const calls = 500
	s := benchService(b, dbtest.SQLite(b, Migrations()))
	ctx := context.Background()
	collect()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	all := make([]*Call, calls)
	for i := range all {
		c, err := s.Begin(ctx, NewCall{OrgID: orgA, Channel: "sip", Direction: "inbound", From: fmt.Sprint(i), To: "front-desk"})
		must(b, err)
		c.Answered(Answer{Rate: 8000, Codec: "PCMU"})
		all[i] = c
	}
	caller, agent := tone(160, 0x90), tone(160, 0xa0)
	second := 0
	cpu := cpuTime()
	for b.Loop() {
		second++
		for frame := range 50 {
			for i, c := range all {
				c.Frames(caller, agent)
				// Twenty entries a turn, spread over seven seconds.
				if at := (second*50 + frame + i) % 350; at%17 == 0 {
					c.Append(turnEntry(second/7+1, at/17, int64(second)*1e6+int64(frame)*20_000))
				}
			}
			if frame%25 == 24 { // the writers keep up in real life; here they are waited for
				must(b, s.Flush(ctx))
			}
		}
	}
	took := cpuTime() - cpu
	collect()
	runtime.ReadMemStats(&after)
	b.ReportMetric(took.Seconds()/float64(b.N)/calls*100, "%core/call")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/calls/1024, "KiB/call")
	for _, c := range all {
		c.End(Ending{By: "caller"})
	}
}

func turnEntry(turn, n int, at int64) event.Entry {
	kinds := []event.EntryKind{event.EntryVADStart, event.EntryActivity, event.EntrySTTPartial, event.EntrySTTPartial, event.EntryVADEnd,
		event.EntryEndOfSpeech, event.EntrySTTFinal, event.EntryFirstToken, event.EntryFirstAudio, event.EntryFirstFrame,
		event.EntryActivity, event.EntryLLMDone, event.EntryAgentSaid, event.EntryDigest, event.EntryDigest, event.EntryDigest,
		event.EntryDigest, event.EntryDigest, event.EntryDigest, event.EntryActivity, event.EntryFlow}
	e := event.Entry{AtUS: at, Kind: kinds[n], Turn: turn, Gen: turn}
	switch e.Kind {
	case event.EntrySTTPartial, event.EntrySTTFinal, event.EntryAgentSaid:
		e.Text, e.Data = "I would like to book an appointment for Monday", map[string]any{"startMs": 1, "endMs": 2, "confidence": 0.8}
	case event.EntryActivity:
		e.Text = fmt.Sprint(n)
	case event.EntryDigest:
		e.Data = map[string]any{"frames": 50, "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
	}
	return e
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// collect frees what pools and finalizers hold: they need two rounds.
func collect() {
	runtime.GC()
	runtime.GC()
}
