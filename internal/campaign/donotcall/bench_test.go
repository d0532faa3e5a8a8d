package donotcall_test

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/donotcall"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// BenchmarkRegister imports a register of ten million numbers and asks it as campaigns do: 500 numbers at once, with the lists
// and consents of the database.
func BenchmarkRegister(b *testing.B) {
	const numbers = 10_000_000
	r := newRig(b, dbtest.SQLite(b, campaign.Migrations()))
	in, out := io.Pipe()
	go func() {
		w := bufio.NewWriter(out)
		for i := range numbers {
			_, _ = fmt.Fprintf(w, "%d,%07d\n", 415+i/8_000_000, 2_000_000+i%8_000_000) // the pipe's other end tells
			if i == numbers-1 {
				break
			}
		}
		_ = out.CloseWithError(w.Flush())
	}()
	began := time.Now()
	done, err := r.Import(b.Context(), org, "us-national", begin, in)
	if err != nil {
		b.Fatal(err)
	}
	imported := time.Since(began)
	asked := make([]string, 500)
	for i := range asked {
		asked[i] = fmt.Sprintf("+1415%07d", 2_000_000+i*15_999)
	}
	elsewhere, _ := r.process()
	r.facts(elsewhere, nil, asked...)
	lookups(b, r, elsewhere, asked)
	b.ReportMetric(imported.Seconds(), "s/import")
	b.ReportMetric(float64(done.Version.Numbers), "numbers")
}

func lookups(b *testing.B, r *rig, s *donotcall.Service, asked []string) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		r.facts(s, nil, asked...)
		n += len(asked)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/number")
	b.ReportMetric(float64(int64(after.HeapInuse)-int64(before.HeapInuse))/1e6, "MB/kept")
}
