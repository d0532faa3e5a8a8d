package app

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/compliance/mongolog"
)

// drawer keeps lines in memory, and fails as often as it is told to.
type drawer struct {
	mu     sync.Mutex
	fails  int
	kept   []mongolog.Line
	closed bool
}

func (d *drawer) WriteLines(_ context.Context, _ string, lines []mongolog.Line) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails > 0 {
		d.fails--
		return errors.New("away")
	}
	d.kept = append(d.kept, lines...)
	return nil
}

func (d *drawer) Close() error { d.closed = true; return nil }

// What the process logs is copied in its order, also what was said before the copy began and just before the end; while the other side is
// away it waits in memory, up to a bound, and who logs never does.
func TestLogIsCopied(t *testing.T) {
	clock, there := quartz.NewMock(t), &drawer{fails: 2}
	trap := clock.Trap().NewTimer("log", "copy")
	defer trap.Close()
	l := newLogCopy(there, clock)
	say := func(n int) {
		for range n {
			if _, err := l.Write([]byte(strings.Repeat("x", lineMost+1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	say(3)
	l.Start(t.Context())
	for _, want := range []int{0, 0, 3} {
		call := trap.MustWait(t.Context())
		call.MustRelease(t.Context())
		there.mu.Lock()
		if len(there.kept) != want {
			t.Errorf("%d lines are there, want %d", len(there.kept), want)
		}
		there.mu.Unlock()
		if want == 0 {
			clock.Advance(lineRetry).MustWait(t.Context())
		}
	}
	for range linesHeld + 7 {
		if _, err := l.Write([]byte("y\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(t.Context()); err != nil || !there.closed {
		t.Error(err)
	}
	if len(there.kept) != linesHeld+3 || l.lost.Load() != 7 {
		t.Errorf("%d lines are there, %d were lost", len(there.kept), l.lost.Load())
	}
	for i, line := range there.kept {
		if line.N != int64(i)+1 || len(line.Text) > lineMost {
			t.Fatalf("line %d is number %d with %d bytes", i, line.N, len(line.Text))
		}
	}
}
