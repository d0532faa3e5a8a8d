package donotcall_test

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// BenchmarkRegister imports a register of ten million numbers and asks it as campaigns do: 500 numbers at once, with the lists
// and consents of the database. MB is what a process that asks keeps of it.
func BenchmarkRegister(b *testing.B) {
	b.Run(db.SQLite, func(b *testing.B) { benchRegister(b, dbtest.SQLite(b, campaign.Migrations())) })
	b.Run(db.Postgres, func(b *testing.B) { benchRegister(b, dbtest.Postgres(b, campaign.Migrations())) })
}

func benchRegister(b *testing.B, d *db.DB) {
	const numbers = 10_000_000
	r := newRig(b, d)
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
	before := inUse()
	elsewhere, _ := r.process()
	r.facts(elsewhere, nil, asked...)
	n := 0
	for b.Loop() {
		r.facts(elsewhere, nil, asked...)
		n += len(asked)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/number")
	b.ReportMetric((inUse()-before)/1e6, "MB")
	b.ReportMetric(imported.Seconds(), "s/import")
	b.ReportMetric(float64(done.Version.Numbers), "numbers")
	runtime.KeepAlive(elsewhere)
}

// inUse is the memory that is in use, in bytes.
func inUse() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse)
}
