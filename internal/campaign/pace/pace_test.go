package pace

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// desk is a world on a clock of its own: operators, and people who answer or do not.
type desk struct {
	r          *rand.Rand
	now        float64 // seconds
	events     queue
	pacer      *Pacer
	operators  int
	idle       int
	ringing    int
	waiting    int
	answerRate func(t float64) float64
	talk       float64 // mean seconds, wrap-up included

	answered, dropped, dialled, talked int
	idleTime                           float64
	worst                              float64 // the highest share of a day that had a drop
}

type happening struct {
	at   float64
	what func()
}

type queue []happening

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(happening)) }
func (q *queue) Pop() any          { old := *q; x := old[len(old)-1]; *q = old[:len(old)-1]; return x }

func (d *desk) in(seconds float64, what func()) {
	heap.Push(&d.events, happening{d.now + seconds, what})
}

func (d *desk) day() int64 { return int64(d.now / 86400) }

const patience = 2 // seconds in which an operator must be there

// dial places one call to somebody.
func (d *desk) dial() {
	d.ringing++
	d.dialled++
	begun := d.now
	if d.r.Float64() >= d.answerRate(d.now) {
		d.in(8+d.r.Float64()*17, func() { d.ringing--; d.pacer.Unanswered() })
		return
	}
	d.in(2+d.r.ExpFloat64()*6, func() {
		d.ringing--
		d.answered++
		d.pacer.Answered(d.day(), time.Duration((d.now-begun)*1e9))
		d.connect(d.now)
	})
}

// connect gives an answered call to an operator, or drops it when none is free in time.
func (d *desk) connect(since float64) {
	if d.idle > 0 {
		d.idle--
		d.talked++
		d.in(d.r.ExpFloat64()*d.talk, func() { d.idle++; d.pacer.Freed() })
		return
	}
	if d.now-since >= patience {
		d.dropped++
		d.pacer.Dropped(d.day())
		d.worst = max(d.worst, d.pacer.Share())
		return
	}
	d.waiting++
	d.in(0.25, func() { d.waiting--; d.connect(since) })
}

// run lets hours pass; the dialler looks four times a second.
func (d *desk) run(hours float64) {
	const step = 0.25
	end := d.now + hours*3600
	for t := d.now; t < end; t += step {
		for len(d.events) > 0 && d.events[0].at <= t {
			h := heap.Pop(&d.events).(happening)
			d.now = h.at
			h.what()
		}
		d.now = t
		d.idleTime += float64(d.idle) * step
		busy := d.operators - d.idle
		n := d.pacer.Dial(time.Unix(0, int64(t*1e9)), d.day(), State{Idle: d.idle, Busy: busy, Ringing: d.ringing, Waiting: d.waiting, Talking: busy, Places: 10_000})
		for range n {
			d.dial()
		}
	}
}

func newDesk(seed uint64, mode Mode, ratio float64, operators int) *desk {
	r := rand.New(rand.NewPCG(seed, 99))
	base := 0.15 + 0.35*r.Float64()
	swing := 0.1 * r.Float64()
	d := &desk{r: r, operators: operators, idle: operators, talk: 60 + 180*r.Float64(),
		answerRate: func(t float64) float64 { return base + swing*math.Sin(t/1800) }}
	d.pacer = New(Config{Mode: mode, Lines: 10_000, Ratio: ratio, MostDropped: 0.03}, 0, 0, 0)
	return d
}

// Whatever the world is like, no day drops more than it may, and the predictive dialler leaves operators idle for less time
// than one line for each.
func TestPredictive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		one, many := newDesk(seed, Progressive, 0, 25), newDesk(seed, Predictive, 0, 25)
		one.run(1.5)
		many.run(1.5)
		if many.worst > 0.03 || one.dropped > 0 {
			t.Errorf("seed %d: at worst %.4f dropped; one line each: %d", seed, many.worst, one.dropped)
		}
		if many.idleTime >= one.idleTime {
			t.Errorf("seed %d: idle %.0f s, one line each %.0f s", seed, many.idleTime, one.idleTime)
		}
	}
}

// A fixed ratio stays in the budget too.
func TestRatioStaysInTheBudget(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		d := newDesk(seed, Ratio, 2, 25)
		d.run(1)
		if d.worst > 0.03 {
			t.Errorf("seed %d: at worst %.4f dropped", seed, d.worst)
		}
	}
}

func TestBudgetOfADay(t *testing.T) {
	t.Parallel()
	b := budget{share: 0.03}
	for _, c := range []struct {
		day               int64
		answered, dropped int
		left              int
	}{{1, 33, 0, 0}, {1, 34, 0, 1}, {1, 34, 1, 0}, {1, 100, 1, 2}, {2, 33, 0, 0}} {
		b.on(c.day)
		b.answered, b.dropped = c.answered, c.dropped
		if b.left() != c.left {
			t.Errorf("%+v: %d left", c, b.left())
		}
	}
	b.on(1) // a clock that goes back gives nothing
	if b.day != 2 || b.answered != 33 {
		t.Errorf("%+v", b)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name string
		c    Config
		s    State
		want int
	}{
		{"an agent answers: all places", Config{Mode: Agentless, Lines: 10}, State{Talking: 3, Ringing: 2, Places: 100}, 5},
		{"its share is smaller", Config{Mode: Agentless, Lines: 10}, State{Talking: 3, Ringing: 2, Places: 6}, 1},
		{"its share became smaller than what it has", Config{Mode: Agentless, Lines: 10}, State{Talking: 8, Places: 2}, 0},
		{"one line each", Config{Mode: Progressive, Lines: 10}, State{Idle: 4, Ringing: 1, Waiting: 1, Places: 100}, 2},
		{"nobody is free", Config{Mode: Progressive, Lines: 10}, State{Busy: 4, Places: 100}, 0},
		{"two lines each, and no budget yet", Config{Mode: Ratio, Ratio: 2, Lines: 10, MostDropped: 0.03}, State{Idle: 2, Places: 100}, 2},
		{"preview: what is asked for", Config{Mode: Preview, Lines: 10}, State{Idle: 4, Asked: 1, Places: 100}, 1},
		{"predictive without a budget", Config{Mode: Predictive, Lines: 100, MostDropped: 0.03}, State{Idle: 4, Places: 100}, 4},
	} {
		if got := New(c.c, 0, 0, 0).Dial(now, 0, c.s); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// No more calls begin in any second than the rate allows, and one at once after a rest.
func TestRate(t *testing.T) {
	t.Parallel()
	p := New(Config{Mode: Agentless, Lines: 1000, PerSecond: 5}, 0, 0, 0)
	now := time.Unix(1_000_000, 0)
	var starts []time.Time
	for range 400 {
		for range p.Dial(now, 0, State{Places: 1000}) {
			starts = append(starts, now)
		}
		now = now.Add(50 * time.Millisecond)
	}
	if n := len(starts); n < 98 || n > 101 {
		t.Errorf("%d starts in 20 s", n)
	}
	for i := 5; i < len(starts); i++ {
		if starts[i].Sub(starts[i-5]) < time.Second-50*time.Millisecond {
			t.Errorf("six starts in %s", starts[i].Sub(starts[i-5]))
		}
	}
}

func TestDivide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		total int
		wants []Want
		want  []int
	}{
		{"alike", 10, []Want{{"a", 1, 100}, {"b", 1, 100}}, []int{5, 5}},
		{"what one leaves the other takes", 10, []Want{{"a", 1, 2}, {"b", 1, 100}}, []int{2, 8}},
		{"many campaigns are no bigger organisation", 10, []Want{{"a", 1, 100}, {"a", 1, 100}, {"a", 1, 100}, {"a", 1, 100}, {"b", 1, 100}}, []int{2, 1, 1, 1, 5}},
		{"by weight", 8, []Want{{"a", 3, 100}, {"a", 1, 100}}, []int{6, 2}},
		{"enough for all", 100, []Want{{"a", 1, 3}, {"b", 1, 4}}, []int{3, 4}},
		{"nothing", 0, []Want{{"a", 1, 3}}, []int{0}},
		{"who wants less than nothing", 4, []Want{{"a", 1, -3}, {"b", 0, 9}}, []int{0, 4}},
	} {
		got := Divide(c.total, c.wants, 0)
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
				break
			}
		}
	}
	// One place for two goes round.
	first, second := Divide(1, []Want{{"a", 1, 9}, {"b", 1, 9}}, 0), Divide(1, []Want{{"a", 1, 9}, {"b", 1, 9}}, 1)
	if first[0]+second[0] != 1 || first[1]+second[1] != 1 {
		t.Errorf("%v %v", first, second)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := Config{Mode: Ratio, Lines: 10, Ratio: 2, MostDropped: 0.03}
	if err := good.Check("pacing."); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no mode": func(c *Config) { c.Mode = "fast" }, "no lines": func(c *Config) { c.Lines = 0 }, "a ratio of six": func(c *Config) { c.Ratio = 6 },
		"a negative rate": func(c *Config) { c.PerSecond = -1 }, "half dropped": func(c *Config) { c.MostDropped = 0.5 },
	} {
		c := good
		change(&c)
		if c.Check("pacing.") == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestBinomial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n int
		p float64
	}{{0, 0.5}, {1, 0.3}, {10, 0.5}, {400, 0.01}, {400, 0.99}, {2000, 0.3}, {5, 0}, {5, 1}} {
		var sum, mean float64
		for k, p := range binomial(c.n, c.p) {
			sum += p
			mean += float64(k) * p
		}
		if math.Abs(sum-1) > 1e-9 || math.Abs(mean-float64(c.n)*c.p) > 1e-6*float64(c.n+1) {
			t.Errorf("%+v: sum %v, mean %v", c, sum, mean)
		}
	}
}

func BenchmarkDial(b *testing.B) {
	p := New(Config{Mode: Predictive, Lines: 2000, MostDropped: 0.03}, 0, 2000, 10)
	for i := range 500 {
		if i%3 == 0 {
			p.Answered(0, 8*time.Second)
		} else {
			p.Unanswered()
		}
	}
	now := time.Unix(1_000_000, 0)
	b.ReportAllocs()
	for b.Loop() {
		p.Dial(now, 0, State{Idle: 20, Busy: 280, Talking: 280, Places: 2000})
	}
}

// BenchmarkDesk runs a world of four hours per iteration: -benchtime 1000x is a thousand seeds. docs/pacing.md has the figures.
func BenchmarkDesk(b *testing.B) {
	for _, c := range []struct {
		name      string
		mode      Mode
		ratio     float64
		operators int
	}{
		{"progressive/10", Progressive, 0, 10}, {"ratio2/10", Ratio, 2, 10}, {"predictive/10", Predictive, 0, 10},
		{"progressive/100", Progressive, 0, 100}, {"ratio2/100", Ratio, 2, 100}, {"predictive/100", Predictive, 0, 100},
	} {
		b.Run(c.name, func(b *testing.B) {
			var idle, dropped, answered, worst float64
			for seed := range uint64(b.N) {
				d := newDesk(seed, c.mode, c.ratio, c.operators)
				d.run(4)
				idle += d.idleTime / (4 * 3600 * float64(c.operators))
				dropped += float64(d.dropped)
				answered += float64(d.answered)
				worst = max(worst, d.worst)
			}
			b.ReportMetric(100*idle/float64(b.N), "%idle")
			b.ReportMetric(100*dropped/answered, "%dropped")
			b.ReportMetric(100*worst, "%worst")
		})
	}
}
