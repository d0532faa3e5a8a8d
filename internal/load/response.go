package load

import (
	"context"
	"errors"
	"time"
)

// errStall says why a stall cannot be measured in a short run.
var errStall = errors.New("a stall needs a duration of 21 s or more: speech before it and after it is compared")

// dialogue times the answers of one call, whatever carries it. Its stream's lock guards it.
type dialogue struct {
	stallAt   int       // tick the stall of the caller's network begins at, -1 for none
	lastLoud  time.Time // when the agent was heard last
	ended     time.Time // the caller's speech; zero when the answer came or cannot be told
	afterStop bool      // this answer measures the stall
	responses []float64 // in milliseconds
	before    []float64
	after     []float64
}

// stallOnce plans a stall whose end is 5 s before the end of the caller's speech, which is frame end.
func (d *dialogue) stallOnce(end int) {
	d.stallAt = end - int((stallBefore+stallFor)/frameTime)
}

// stalled reports whether the network carries nothing in a tick.
func (d *dialogue) stalled(tick int) bool {
	return d.stallAt >= 0 && tick >= d.stallAt && tick < d.stallAt+int(stallFor/frameTime)
}

// spoke notes the end of the caller's speech. An agent that is speaking then cannot be timed.
func (d *dialogue) spoke(now time.Time, tick int) {
	d.ended = now
	if now.Sub(d.lastLoud) < quietForReply {
		d.ended = time.Time{}
	}
	d.afterStop = d.stallAt >= 0 && tick > d.stallAt
}

// loud notes that the agent was heard; the first sound after the caller's speech is the answer.
func (d *dialogue) loud(at time.Time) {
	d.lastLoud = at
	if d.ended.IsZero() || at.Before(d.ended) {
		return
	}
	ms := float64(at.Sub(d.ended).Microseconds()) / 1000
	d.ended = time.Time{}
	d.responses = append(d.responses, ms)
	if d.afterStop {
		d.after = append(d.after, ms)
	} else {
		d.before = append(d.before, ms)
	}
}

// answers gathers the dialogues of all calls.
type answers struct{ responses, before, after, added []float64 }

func (a *answers) add(d *dialogue) {
	a.responses = append(a.responses, d.responses...)
	a.before, a.after = append(a.before, d.before...), append(a.after, d.after...)
	if len(d.before) > 0 && len(d.after) > 0 {
		a.added = append(a.added, d.after[0]-Sum(append([]float64(nil), d.before...)).P50)
	}
}

// into writes what was gathered into the report.
func (a *answers) into(rep *Report, stall bool) {
	rep.Response = Sum(a.responses)
	if stall {
		rep.Stall = &Stall{Calls: len(a.added), Before: Sum(a.before), After: Sum(a.after), Added: Sum(a.added)}
	}
}

// measurement is what all kinds of load do alike: begin, hold the calls for a while, sum up.
type measurement struct {
	metrics  Metrics
	duration time.Duration
	progress func(string)
	warn     func(msg string, args ...any)
	// begin places the calls; the sentence says how many stand.
	begin func(ctx context.Context, began time.Time) (string, error)
	sum   func(began time.Time, took, cpu time.Duration) Report
}

// run goes through them. A run that is stopped early is summed up all the same.
func (p measurement) run(ctx context.Context) (Report, error) {
	idle, err := p.metrics.scrape(ctx)
	if err != nil {
		return Report{}, err
	}
	began := time.Now()
	stand, err := p.begin(ctx, began)
	if err != nil {
		return Report{}, err
	}
	p.progress(stand)
	up, err := p.metrics.scrape(ctx)
	if err != nil {
		return Report{}, err
	}
	cpu, steady := cpuTime(), time.Now()
	wait := time.NewTimer(p.duration)
	select {
	case <-wait.C:
	case <-ctx.Done():
		wait.Stop() // what was measured so far is worth having
	}
	took := time.Since(steady)
	cpu = cpuTime() - cpu
	end, err := p.metrics.scrape(context.WithoutCancel(ctx))
	if err != nil {
		p.warn("the server's figures are missing", "error", err)
	}
	rep := p.sum(began, took, cpu)
	rep.Server = serverFigures(idle, up, end, rep.Connected)
	p.progress("hanging up")
	return rep, nil
}
