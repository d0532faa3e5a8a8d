package app

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-voice/parley/internal/compliance/mongolog"
)

const (
	lineMost   = 16 << 10 // bytes of a line that are kept
	linesHeld  = 20_000   // lines that wait; more are counted, and lost to the copy
	linesBatch = 500
	lineWait   = time.Second // how long lines gather
	lineRetry  = 10 * time.Second
)

// lineKeeper takes lines of the process's log; *mongolog.Sink does.
type lineKeeper interface {
	WriteLines(ctx context.Context, run string, lines []mongolog.Line) error
	Close() error
}

// logCopy copies the process's log to where its copy is kept. Who logs never waits: lines are held in memory, up to a bound, and
// what does not fit is counted. It logs nothing itself.
type logCopy struct {
	keep  lineKeeper
	clock quartz.Clock
	run   string
	lost  atomic.Int64

	mu    sync.Mutex
	next  int64
	lines []mongolog.Line

	stop context.CancelFunc
	done chan struct{}
}

func newLogCopy(keep lineKeeper, clock quartz.Clock) *logCopy {
	host, _ := os.Hostname()
	return &logCopy{keep: keep, clock: clock, run: fmt.Sprintf("%s/%d/%d", host, os.Getpid(), clock.Now().UnixMilli()), done: make(chan struct{})}
}

// logCopy makes what copies this process's log; nil is nothing.
func (c *Config) logCopy(clock quartz.Clock) (*logCopy, error) {
	if !c.CopyLogs || c.PlatformLogURL == "" {
		return nil, nil //nolint:nilnil // nothing is an answer
	}
	sink, err := mongolog.New(mongolog.Config{URL: c.PlatformLogURL, Timeout: c.PlatformLogTimeout})
	if err != nil {
		return nil, err
	}
	return newLogCopy(sink, clock), nil
}

// Write implements io.Writer. A handler of slog writes a line at a time.
func (l *logCopy) Write(p []byte) (int, error) {
	text := string(p[:min(len(p), lineMost)])
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) >= linesHeld {
		l.lost.Add(1)
		return len(p), nil
	}
	l.next++
	l.lines = append(l.lines, mongolog.Line{N: l.next, At: l.clock.Now(), Text: text})
	return len(p), nil
}

// Start begins to copy.
func (l *logCopy) Start(ctx context.Context) {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go l.loop(ctx)
}

// Close copies what waits, once, and ends.
func (l *logCopy) Close(ctx context.Context) error {
	l.stop()
	<-l.done
	for {
		more, err := l.step(ctx)
		if err != nil || !more {
			return l.keep.Close()
		}
	}
}

func (l *logCopy) loop(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		more, err := l.step(ctx)
		wait := lineWait
		switch {
		case err != nil:
			wait = lineRetry
		case more:
			continue
		}
		timer := l.clock.NewTimer(wait, "log", "copy")
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// step writes a batch, and lets go of it once it is kept. It reports whether there is more.
func (l *logCopy) step(ctx context.Context) (more bool, err error) {
	l.mu.Lock()
	some := l.lines[:min(len(l.lines), linesBatch)]
	l.mu.Unlock()
	if len(some) == 0 {
		return false, nil
	}
	if err := l.keep.WriteLines(ctx, l.run, some); err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append([]mongolog.Line(nil), l.lines[len(some):]...)
	return len(l.lines) > 0, nil
}

var (
	linesBehind = prometheus.NewDesc("parley_log_copy_behind", "Lines of this process's log that wait to be copied.", nil, nil)
	linesLost   = prometheus.NewDesc("parley_log_copy_lost_total", "Lines of this process's log that could not wait and were not copied.", nil, nil)
)

// Describe implements prometheus.Collector.
func (l *logCopy) Describe(to chan<- *prometheus.Desc) { to <- linesBehind; to <- linesLost }

// Collect implements prometheus.Collector.
func (l *logCopy) Collect(to chan<- prometheus.Metric) {
	l.mu.Lock()
	n := len(l.lines)
	l.mu.Unlock()
	to <- prometheus.MustNewConstMetric(linesBehind, prometheus.GaugeValue, float64(n))
	to <- prometheus.MustNewConstMetric(linesLost, prometheus.CounterValue, float64(l.lost.Load()))
}
