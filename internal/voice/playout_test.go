package voice

import (
	"testing"
	"time"
)

// words is pcm of n frames.
func words(n int) []int16 { return make([]int16, n*160) }

// tock takes n frames and tells the ledger that they were played.
func tock(p *playout, n int) (last taken) {
	out := make([]int16, 160)
	at := time.Unix(100, 0)
	for range n {
		last = p.take(out, func() time.Time { return at })
		if a := p.advance(p.sent); a.done {
			last.done = true
		}
	}
	return last
}

func TestPlayoutDropsWhatIsStale(t *testing.T) {
	p := newPlayout(8000)
	p.begin(1)
	id, ok := p.open(1, "one", spanAnswer)
	if n, kick, fresh := p.write(1, id, words(3)); !ok || n != 480 || !kick || !fresh {
		t.Fatalf("write gave %d %v %v", n, kick, fresh)
	}
	p.begin(2)
	if _, _, fresh := p.write(1, id, words(1)); fresh {
		t.Error("a frame of an older generation was taken")
	}
	if _, ok := p.open(1, "late", spanAnswer); ok {
		t.Error("a sentence of an older generation was taken")
	}
	if _, ok := p.interject(1, "late", words(1)); ok {
		t.Error("a filler of an older generation was taken")
	}
	if p.close(1) {
		t.Error("an older generation was closed")
	}
	if tock(p, 1).speech {
		t.Error("the older generation sounds")
	}
}

func TestPlayoutIsBounded(t *testing.T) {
	p := newPlayout(8000)
	p.begin(1)
	id, _ := p.open(1, "long", spanAnswer)
	n, _, _ := p.write(1, id, words(500))
	if n != playoutFrames*160 {
		t.Errorf("took %d samples", n)
	}
	select {
	case <-p.space: // of begin
	default:
	}
	tock(p, 25)
	select {
	case <-p.space:
	default:
		t.Error("the writer is not told of space")
	}
}

func TestPlayoutTellsTheEndOnce(t *testing.T) {
	p := newPlayout(8000)
	p.begin(1)
	id, _ := p.open(1, "one two", spanAnswer)
	p.write(1, id, words(4))
	p.seal(1, id, false)
	if p.close(1) {
		t.Error("done before anything was sent")
	}
	if first := tock(p, 1); !first.first || first.done {
		t.Errorf("first frame: %+v", first)
	}
	if last := tock(p, 3); !last.done {
		t.Errorf("last frame: %+v", last)
	}
	if again := tock(p, 50); again.done || again.speech {
		t.Errorf("after the end: %+v", again)
	}
	heard, all := p.collect(1, true)
	if len(heard) != 1 || heard[0].text != "one two" || heard[0].cut || !all {
		t.Errorf("heard %+v %v", heard, all)
	}
	if again, _ := p.collect(1, true); len(again) != 0 {
		t.Errorf("heard again %+v", again)
	}
}

func TestPlayoutPause(t *testing.T) {
	p := newPlayout(8000)
	p.begin(1)
	id, _ := p.open(1, "one", spanAnswer)
	p.mute(true)
	if _, kick, _ := p.write(1, id, words(5)); kick || tock(p, 3).speech {
		t.Error("a paused playout sounds")
	}
	if !p.mute(false) || !tock(p, 1).speech || p.count != 4 {
		t.Error("a pause lost frames, or its end does not kick")
	}
}

func TestLedgerCutsAtWords(t *testing.T) {
	for _, c := range []struct {
		played int
		whole  bool
		want   string
	}{
		{0, true, ""}, {2, true, ""}, {5, true, "one"}, {11, true, "one two"}, {12, true, "one two three"}, {19, true, "one two three four"},
		{5, false, "one"}, // of a sentence still being made: by its length
	} {
		p := newPlayout(8000)
		p.begin(1)
		first, _ := p.open(1, "Hello.", spanAnswer)
		p.write(1, first, words(10))
		p.seal(1, first, false)
		id, _ := p.open(1, "one two three four five", spanAnswer)
		p.write(1, id, words(20))
		if c.whole {
			p.seal(1, id, false)
		}
		played := c.played
		if !c.whole {
			played = 15 // of 23 characters at 3 frames each
		}
		tock(p, 10+played)
		heard, all := p.collect(1, true)
		got := ""
		if len(heard) > 1 {
			got = heard[1].text
		}
		if all || heard[0].text != "Hello." || heard[0].cut || got != c.want {
			t.Errorf("%d frames played: heard %+v, want %q", c.played, heard, c.want)
		}
	}
}

func TestFillerGoesFirstOrNotAtAll(t *testing.T) {
	p := newPlayout(8000)
	p.begin(1)
	if kick, ok := p.interject(1, "one moment", words(10)); !kick || !ok {
		t.Fatal("no filler")
	}
	if tock(p, 1).first {
		t.Error("a filler counts as the answer's first frame")
	}
	id, _ := p.open(1, "answer", spanAnswer)
	p.write(1, id, words(10))
	if _, ok := p.interject(1, "again", words(10)); ok {
		t.Error("a filler in the midst of the answer")
	}
	tock(p, 9)
	if !tock(p, 1).first {
		t.Error("the answer's first frame was not told")
	}
}

func TestEarKeepsTheLastSeconds(t *testing.T) {
	e := newEar(always{}, 8000, 80*time.Millisecond)
	frame := make([]int16, 160)
	for i := range 300 {
		frame[0] = int16(i)
		e.hear(frame)
	}
	got := make([]int16, 160)
	if lost, ok := e.read(10, got); !ok || lost != 300-earFrames-10 || got[0] != 300-earFrames {
		t.Errorf("lost %d, got frame %d", lost, got[0])
	}
	if lost, ok := e.read(299, got); !ok || lost != 0 || got[0] != 299 {
		t.Errorf("lost %d, got frame %d", lost, got[0])
	}
	if _, ok := e.read(300, got); ok {
		t.Error("a frame that has not come")
	}
	if lost, ok := e.read(-5, got); !ok || lost == 0 {
		t.Error("frames from before the call")
	}
}

type always struct{}

func (always) Speech([]int16) bool { return true }

func TestGate(t *testing.T) {
	g := gate{need: 4}
	edges := func(pattern string) (got []int) {
		for i, c := range pattern {
			if ed, _ := g.step(c == 'x'); ed != edgeNone {
				got = append(got, i)
			}
		}
		return got
	}
	if got := edges("x.xx.x..x.x.x"); len(got) != 0 {
		t.Errorf("scattered frames are speech at %v", got)
	}
	if got := edges("......xx.xx"); len(got) != 1 || got[0] != 10 {
		t.Errorf("speech begins at %v", got)
	}
	if got := edges("xxx.........x.........x.........."); len(got) != 1 || got[0] != 32 {
		t.Errorf("speech ends at %v", got)
	}
}

func TestPromptCache(t *testing.T) {
	c := NewPromptCache(2 * 1000)
	key := func(s string) promptKey { return promptKey{text: s} }
	if !c.claim(key("a")) || c.claim(key("a")) {
		t.Error("two claims on one text")
	}
	c.settle(key("a"), nil)
	if !c.claim(key("a")) {
		t.Error("no second try after a failure")
	}
	c.settle(key("a"), make([]int16, 600))
	c.claim(key("b"))
	c.settle(key("b"), make([]int16, 600)) // a must go
	c.claim(key("c"))
	c.settle(key("c"), make([]int16, 5000)) // too big to keep
	_, a := c.get(key("a"))
	_, b := c.get(key("b"))
	if _, big := c.get(key("c")); a || !b || big {
		t.Errorf("kept a %v, b %v, c %v", a, b, big)
	}
	var none *PromptCache
	if _, ok := none.get(key("a")); ok || none.claim(key("a")) {
		t.Error("a nil cache keeps something")
	}
}
