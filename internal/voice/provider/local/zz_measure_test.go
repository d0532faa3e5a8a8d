package local

import (
	"context"
	"fmt"
	"os"
	"sort"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/voice/provider"
)

type cal struct{}

func (cal) Busy(context.Context, time.Time, time.Time) ([]time.Time, error) { return nil, nil }
func (cal) Find(context.Context, flow.Query) ([]flow.Appointment, error)    { return nil, nil }
func (cal) Book(_ context.Context, b flow.Booking) (flow.Appointment, error) {
	return flow.Appointment{ID: "1", Code: "1234", Start: b.Start}, nil
}
func (cal) Move(context.Context, string, time.Time) (flow.Appointment, error) {
	return flow.Appointment{}, nil
}
func (cal) Cancel(context.Context, string) error { return nil }

func TestMeasure(t *testing.T) {
	def, _ := flow.FrontDesk()
	now := time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)
	m, err := flow.New(def, flow.Deps{Now: func() time.Time { return now }, Calendar: cal{}})
	if err != nil {
		t.Fatal(err)
	}
	m.Start(context.Background())
	step := func(s string) { m.Step(context.Background(), flow.Input{Kind: flow.InText, Text: s}) }
	gs := map[string]flow.Expect{"menu": m.Expect()}
	step("book an appointment")
	gs["day"] = m.Expect()
	step("tomorrow in the morning")
	gs["offer"] = m.Expect()
	step("another day")
	step("tomorrow")
	gs["time"] = m.Expect()
	step("ten")
	gs["yesno"] = m.Expect()
	in := map[string][]string{
		"menu":  {"opening hours", "what are your opening hours", "book an appointment", "i would like to book an appointment", "cancel my appointment", "move my appointment", "where are you", "address", "pharmacy", "speak to billing", "laboratory", "goodbye", "repeat", "operator"},
		"day":   {"tomorrow", "today", "next tuesday", "friday", "the fourth of may", "may twenty first", "the first available", "in two weeks", "tomorrow at ten thirty", "on monday at three"},
		"time":  {"ten thirty", "half past two in the afternoon", "at nine o'clock", "noon", "three p.m.", "quarter to four", "eleven fifteen", "in the morning"},
		"offer": {"the first one", "the second", "another day", "nine", "in the afternoon", "wednesday"},
		"yesno": {"yes", "no", "yes please", "no thank you", "correct", "that's right", "no at eleven", "okay"},
	}
	out := []string{"the weather is lovely in the mountains", "i have lost my umbrella", "my brother plays the violin", "can you hear me now", "hold on a second please", "what", "banana", "we are watching television", "hello how are you doing", "turn off the kitchen light", "mmm let me think about it", "one moment"}
	e := engine(t, Config{Threshold: 1e9})
	if d := os.Getenv("DUMP"); d != "" {
		for n, g := range gs {
			os.WriteFile(d+"/"+n+".jsgf", []byte(g.Grammar), 0o600)
		}
	}
	for name, g := range gs {
		if o := os.Getenv("ONLY"); o != "" && o != name {
			continue
		}
		x := provider.Expect{Grammar: g.Grammar, Words: g.Words}
		var inM, outM []float64
		right, total := 0, 0
		var dur time.Duration
		for _, v := range []string{"slt", "rms", "awb", "espeak"} {
			for _, p := range in[name] {
				for _, rate := range []int{rateOf()} {
					pcm := down(t, say(t, e, v, p), rate)
					t0 := time.Now()
					h, err := e.recognise(context.Background(), pcm, rate, x, total)
					dur += time.Since(t0)
					if err != nil {
						t.Fatal(err)
					}
					total++
					if h.text == p {
						right++
						inM = append(inM, h.margin)
					} else {
						fmt.Printf("   %s %s: %q heard %q %.1f\n", name, v, p, h.text, h.margin)
					}
				}
			}
			for _, p := range out {
				h, err := e.recognise(context.Background(), down(t, say(t, e, v, p), rateOf()), rateOf(), x, 7)
				if err != nil {
					t.Fatal(err)
				}
				if h.text != "" {
					outM = append(outM, h.margin)
				}
			}
		}
		sort.Float64s(inM)
		sort.Float64s(outM)
		fmt.Printf("%s: right %d of %d, %v each; in p50 %.1f p90 %.1f p95 %.1f max %.1f; out(%d of %d) min %.1f p5 %.1f p10 %.1f p25 %.1f p50 %.1f\n", name, right, total, dur/time.Duration(total),
			q(inM, .5), q(inM, .9), q(inM, .95), q(inM, 1), len(outM), len(out)*4, q(outM, 0), q(outM, .05), q(outM, .1), q(outM, .25), q(outM, .5))
	}
}

func q(s []float64, p float64) float64 {
	if len(s) == 0 {
		return 0
	}
	return s[int(p*float64(len(s)-1))]
}

func down(t *testing.T, pcm []int16, rate int) []int16 {
	return resampled(t, pcm, 16000, rate)
}

func rateOf() int {
	if os.Getenv("RATE") == "16" {
		return 16000
	}
	return 8000
}
