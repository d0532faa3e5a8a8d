package breaker

import (
	"testing"
	"time"
)

// fleet is how instances of the server are judged.
var fleet = Settings{Window: 10 * time.Second, Enough: 20, Share: 0.5, Refusals: 3, Probes: 2, First: 5 * time.Second, Most: time.Minute}

// step is one thing that happens to a breaker.
type step struct {
	after   time.Duration // since the one before
	outcome Outcome       // of a request that is let through now
	times   int           // 1
	want    State
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]step{
		"few failures say nothing":         {{0, Bad, 19, Closed}},
		"half of twenty":                   {{0, Good, 10, Closed}, {0, Bad, 9, Closed}, {0, Bad, 1, Open}},
		"less than half":                   {{0, Good, 100, Closed}, {0, Bad, 99, Closed}},
		"what is old is forgotten":         {{0, Bad, 19, Closed}, {10 * time.Second, Bad, 19, Closed}},
		"what is not yet old counts":       {{0, Bad, 19, Closed}, {9 * time.Second, Bad, 1, Open}},
		"three refusals in a row":          {{0, Refused, 2, Closed}, {0, Good, 1, Closed}, {0, Refused, 2, Closed}, {0, Refused, 1, Open}},
		"who goes away says nothing":       {{0, Unjudged, 100, Closed}},
		"two probes close it":              {{0, Refused, 3, Open}, {5 * time.Second, Good, 1, HalfOpen}, {0, Good, 1, Closed}, {0, Bad, 19, Closed}},
		"a failed probe opens it again":    {{0, Refused, 3, Open}, {5 * time.Second, Good, 1, HalfOpen}, {0, Bad, 1, Open}},
		"a probe without a word":           {{0, Refused, 3, Open}, {5 * time.Second, Unjudged, 50, HalfOpen}, {0, Good, 2, Closed}},
		"longer each time":                 {{0, Refused, 3, Open}, {5 * time.Second, Bad, 1, Open}, {10 * time.Second, Bad, 1, Open}, {20 * time.Second, Good, 2, Closed}},
		"a minute at most":                 {{0, Refused, 3, Open}, {time.Minute, Bad, 1, Open}, {time.Minute, Bad, 1, Open}, {time.Minute, Bad, 1, Open}, {time.Minute, Bad, 1, Open}, {time.Minute, Good, 2, Closed}},
		"closed once, it begins from five": {{0, Refused, 3, Open}, {5 * time.Second, Bad, 1, Open}, {10 * time.Second, Good, 2, Closed}, {0, Refused, 3, Open}, {5 * time.Second, Good, 2, Closed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, now := New(fleet), time.Unix(1_700_000_000, 0)
			for n, s := range steps {
				now = now.Add(s.after)
				for range s.times {
					gen, ok := b.Allow(now)
					if !ok {
						t.Fatalf("step %d: nothing is let through, %+v", n, b)
					}
					b.Done(gen, s.outcome, now, 0)
				}
				if got := b.StateAt(now); got != s.want {
					t.Fatalf("step %d: %s, want %s", n, got, s.want)
				}
			}
		})
	}
}

// While it is open nothing passes; half open it lets one through at a time; and what was sent before says nothing any more.
func TestBreakerGuards(t *testing.T) {
	t.Parallel()
	b, now := New(fleet), time.Unix(1_700_000_000, 0)
	old, _ := b.Allow(now)
	for range fleet.Refusals {
		gen, _ := b.Allow(now)
		b.Done(gen, Refused, now, 0.99)
	}
	if _, ok := b.Allow(now.Add(3700 * time.Millisecond)); ok {
		t.Error("too early")
	}
	now = now.Add(3800 * time.Millisecond) // chance takes away up to a quarter
	probe, ok := b.Allow(now)
	if _, second := b.Allow(now); !ok || second {
		t.Errorf("probes: %v %v", ok, second)
	}
	b.Done(old, Bad, now, 0)
	b.Done(old, Good, now, 0)
	if b.StateAt(now) != HalfOpen || b.probed != 0 {
		t.Errorf("an old outcome counts: %+v", b)
	}
	b.Done(probe, Bad, now, 0)
	if _, ok := b.Allow(now.Add(9 * time.Second)); ok {
		t.Error("the second time is longer")
	}
	if b.until.Sub(now) != 10*time.Second {
		t.Errorf("open for %s", b.until.Sub(now))
	}
}
