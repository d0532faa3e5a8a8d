package amd

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// sample is a call that was answered.
type sample struct {
	name string
	pcm  []int16
	want Verdict
	work bool          // a person who answers at length
	odd  bool          // a machine that pauses after its first word
	end  time.Duration // of the greeting
	beep time.Duration // end of the beep; 0: there is none
}

func person(tb testing.TB, voice, text string, r *rand.Rand) sample {
	words := say(tb, voice, text)
	lead := between(r, 200*time.Millisecond, 1500*time.Millisecond)
	return sample{
		name: voice + ": " + text, want: Human, end: lead + length(words),
		pcm: join(silence(lead), words, silence(4*time.Second)),
	}
}

func length(pcm []int16) time.Duration { return time.Duration(len(pcm)) * time.Second / rate }

// machine greets, waits, beeps, or not, and records.
func machine(tb testing.TB, voice, text string, r *rand.Rand) sample {
	words := say(tb, voice, text)
	lead := between(r, 100*time.Millisecond, 1200*time.Millisecond)
	s := sample{name: voice + ": " + text, want: Machine, end: lead + length(words), pcm: join(silence(lead), words)}
	if r.IntN(5) > 0 {
		hz := []float64{425, 500, 620, 850, 950, 1000, 1400, 2000}[r.IntN(8)]
		beep := sine(hz, between(r, 200*time.Millisecond, 1000*time.Millisecond), 3000+6000*r.Float64())
		s.name += fmt.Sprintf(" (%.0f Hz, %v)", hz, length(beep).Round(time.Millisecond))
		s.pcm = join(s.pcm, silence(between(r, 200*time.Millisecond, 1200*time.Millisecond)), beep)
		s.beep = length(s.pcm)
	}
	s.pcm = join(s.pcm, silence(4*time.Second))
	return s
}

// corpus makes calls: each text in each voice, and real recordings of a machine's prompts.
func corpus(tb testing.TB, r *rand.Rand) (all []sample) {
	tb.Helper()
	for _, v := range voices {
		for _, t := range people {
			all = append(all, person(tb, v, t, r))
		}
		for _, t := range business {
			s := person(tb, v, t, r)
			s.work = true
			all = append(all, s)
		}
		for _, t := range machines {
			all = append(all, machine(tb, v, t, r))
		}
		s := machine(tb, v, hesitant[1], r)
		first := join(silence(300*time.Millisecond), say(tb, v, hesitant[0]), silence(900*time.Millisecond))
		s.name, s.pcm, s.odd = v+": "+hesitant[0]+" … "+s.name, join(first, s.pcm), true
		if s.beep > 0 {
			s.beep += length(first)
		}
		all = append(all, s)
	}
	for v, texts := range others {
		for _, t := range texts[0] {
			all = append(all, person(tb, v, t, r))
		}
		for _, t := range texts[1] {
			all = append(all, machine(tb, v, t, r))
		}
	}
	return append(all, recorded(tb)...)
}

// recorded is people's speech: the prompts of a voicemail with its beep, and single words.
func recorded(tb testing.TB) (all []sample) {
	const prompts = "/usr/share/asterisk/sounds/en_US_f_Allison/"
	beep := recording(tb, prompts+"beep.wav")
	for _, names := range [][]string{{"vm-theperson", "vm-isunavail", "vm-intro"}, {"vm-nobodyavail"}, {"vm-isonphone", "vm-intro"}} {
		s := sample{name: "Allison: " + strings.Join(names, " "), want: Machine, pcm: silence(500 * time.Millisecond)}
		for _, n := range names {
			s.pcm = join(s.pcm, recording(tb, prompts+n+".wav"), silence(200*time.Millisecond))
		}
		s.end = length(s.pcm)
		s.pcm = join(s.pcm, beep)
		s.beep = length(s.pcm)
		s.pcm = join(s.pcm, silence(4*time.Second))
		all = append(all, s)
	}
	for _, f := range []string{"/usr/share/sounds/alsa/Front_Center.wav", "/usr/share/sounds/alsa/Side_Left.wav", prompts + "hello.wav"} {
		words := recording(tb, f)
		all = append(all, sample{name: f, want: Human, end: 600*time.Millisecond + length(words),
			pcm: join(silence(600*time.Millisecond), words, silence(4*time.Second))})
	}
	return all
}

// score counts what became of samples.
type score struct {
	people, right, work, workRight   int
	machines, caught, odd, oddCaught int
	beeps, found, falseBeeps, slow   int
	delay                            time.Duration
	wrong                            []string
}

func (s *score) add(x sample, o outcome) {
	missed := func(format string, args ...any) {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %s %s after %v, greeting %v, %d phrases; %s", x.name, o.Verdict, o.Reason, o.After, o.Greeting, o.Phrases, fmt.Sprintf(format, args...)))
	}
	if x.want == Human {
		right := o.Verdict == Human || o.Verdict == Unsure
		switch {
		case x.work:
			s.work++
			if right {
				s.workRight++
			}
		case right:
			s.people, s.right = s.people+1, s.right+1
			delay := o.at - x.end
			s.delay += delay
			if delay > 1500*time.Millisecond {
				s.slow++
				missed("only %v after the greeting", delay)
			}
		default:
			s.people++
			missed("a person")
		}
		s.falseBeeps += len(o.beeps)
		return
	}
	caught := o.Verdict == Machine
	switch {
	case x.odd:
		s.odd++
		if caught {
			s.oddCaught++
		}
	case caught:
		s.machines, s.caught = s.machines+1, s.caught+1
	default:
		s.machines++
		missed("a machine")
	}
	hit := false
	for _, b := range o.beeps {
		if x.beep > 0 && b > x.beep && b < x.beep+250*time.Millisecond {
			hit = true
		} else {
			s.falseBeeps++
			missed("a beep at %v, it ended at %v", b, x.beep)
		}
	}
	if x.beep > 0 {
		s.beeps++
		if hit {
			s.found++
		} else {
			missed("no beep, it ended at %v", x.beep)
		}
	}
}

func percent(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

const tableHead = "| line | people heard as people | people at work | machines heard as machines | those that pause after hello | beeps found | false beeps | verdict after a person's words |\n|---|---|---|---|---|---|---|---|\n"

func (s *score) row(name string) string {
	mean := time.Duration(0)
	if s.right > 0 {
		mean = (s.delay / time.Duration(s.right)).Round(10 * time.Millisecond)
	}
	return fmt.Sprintf("| %s | %s of %d | %s of %d | %s of %d | %s of %d | %s of %d | %d | %v |\n", name, percent(s.right, s.people), s.people,
		percent(s.workRight, s.work), s.work, percent(s.caught, s.machines), s.machines, percent(s.oddCaught, s.odd), s.odd,
		percent(s.found, s.beeps), s.beeps, s.falseBeeps, mean)
}

// TestAccuracy holds the detector to what docs/answering-machines.md says, on one draw of the corpus.
func TestAccuracy(t *testing.T) {
	for i, l := range []line{lines[1], lines[2], lines[4]} {
		var s score
		measure(t, &s, l, uint64(i), Config{})
		t.Log(s.row(l.name))
		for _, w := range s.wrong {
			t.Log(w)
		}
		if 100*s.right < 98*s.people || 100*s.caught < 97*s.machines || 100*s.found < 95*s.beeps || s.falseBeeps > 0 || s.slow > 0 {
			t.Errorf("%s: worse than it was: %s", l.name, s.row(l.name))
		}
	}
}

// measure draws the corpus once and sends it through a line.
func measure(tb testing.TB, s *score, l line, seed uint64, c Config) {
	r := rand.New(rand.NewPCG(7, seed))
	for _, x := range corpus(tb, r) {
		s.add(x, listen(tb, l.through(tb, x.pcm, r), c))
	}
}

// BenchmarkAccuracy prints the table of docs/answering-machines.md: many draws of the corpus through each line.
// make bench-machines runs it.
func BenchmarkAccuracy(b *testing.B) {
	const draws = 20
	for b.Loop() {
		var table strings.Builder
		table.WriteString(tableHead)
		calls := 0
		count := func(name string, l line, c Config) {
			var s score
			for seed := range uint64(draws) {
				measure(b, &s, l, seed, c)
			}
			calls += s.people + s.work + s.machines + s.odd
			table.WriteString(s.row(name))
		}
		for _, l := range lines {
			count(l.name, l, Config{})
		}
		count("µ-law, Greeting 4 s", line{codec: "PCMU"}, Config{Greeting: 4 * time.Second})
		fmt.Println(table.String())
		b.ReportMetric(float64(calls), "calls")
	}
}
