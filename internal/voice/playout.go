package voice

import (
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/media"
)

// playoutFrames is how far the voice may be ahead of the caller: 3 s. Then the speaker waits.
const playoutFrames = 150

// spanKind says whose words a span is.
type spanKind uint8

const (
	spanAnswer spanKind = iota // the brain's: they go to the history and the transcript
	spanLine                   // the session's own, for the transcript
	spanFiller                 // neither
)

// starvedFrames without a frame in the midst of a reply are a failure of its vendor: 10 s.
const starvedFrames = 500

// span maps a sentence to its audio.
type span struct {
	text     string
	kind     spanKind
	first    int64 // the frame count of the leg when its first frame was sent
	made     int64 // frames synthesised so far
	sent     int64 // frames sent
	whole    bool  // made is final
	broken   bool  // the voice failed before the end of text
	reported bool
	from, to time.Time // of the first and the last frame sent
}

// playout is the agent's side of Tick: a bounded queue of frames of one generation, and the ledger that
// knows which words of it the caller has heard. The speaker writes, the leg's goroutine takes; the session
// begins generations, pauses and asks what was heard.
type playout struct {
	space chan struct{} // has a token when frames were taken

	mu     sync.Mutex
	frame  int
	ring   []int16
	owner  []int32 // the span of each frame in ring
	head   int
	count  int
	gen    int
	closed bool // the generation has no more to say
	done   bool // and that was told
	begun  bool // an answer's or line's frame was sent
	muted  bool
	silent bool // the last take gave nothing
	spans  []span

	sent   int64 // speech frames since the leg's start
	played int64 // of these, played at the far end
	idle   int64 // takes since the last frame
}

func newPlayout(rate int) *playout {
	n := media.FrameSamples(rate)
	return &playout{
		space: make(chan struct{}, 1), frame: n, silent: true,
		ring: make([]int16, playoutFrames*n), owner: make([]int32, playoutFrames),
	}
}

// begin drops what is queued and starts generation gen.
func (p *playout) begin(gen int) {
	p.mu.Lock()
	p.gen, p.head, p.count = gen, 0, 0
	p.closed, p.done, p.begun = false, false, false
	p.spans, p.idle = nil, 0
	p.mu.Unlock()
	p.token()
}

// token wakes a writer that waits for space.
func (p *playout) token() {
	select {
	case p.space <- struct{}{}:
	default:
	}
}

// mute pauses and resumes; what is queued stays.
func (p *playout) mute(on bool) (kick bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.muted
	p.muted = on
	return was && !on && p.count > 0 && p.silent
}

// open adds a span; ok is false when gen is stale.
func (p *playout) open(gen int, text string, kind spanKind) (id int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gen != p.gen || p.closed {
		return 0, false
	}
	p.spans = append(p.spans, span{text: text, kind: kind, first: -1})
	return len(p.spans) - 1, true
}

// write queues whole frames of pcm as far as they fit and says how many samples it took. ok is false when
// gen is stale; kick that the leg should be told.
func (p *playout) write(gen, id int, pcm []int16) (n int, kick, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gen != p.gen {
		return 0, false, false
	}
	empty := p.count == 0
	for len(pcm)-n >= p.frame && p.count < playoutFrames {
		p.put(id, pcm[n:n+p.frame])
		n += p.frame
	}
	return n, empty && p.count > 0 && p.silent && !p.muted, true
}

func (p *playout) put(id int, frame []int16) {
	i := (p.head + p.count) % playoutFrames
	copy(p.ring[i*p.frame:][:p.frame], frame)
	p.owner[i] = int32(id)
	p.count++
	p.spans[id].made++
}

// interject queues a whole filler, unless the answer has begun.
func (p *playout) interject(gen int, text string, pcm []int16) (kick, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gen != p.gen || p.closed || p.count > 0 {
		return false, false
	}
	for _, sp := range p.spans {
		if sp.kind != spanFiller && sp.made > 0 {
			return false, false
		}
	}
	p.spans = append(p.spans, span{text: text, kind: spanFiller, first: -1, whole: true})
	for ; len(pcm) >= p.frame && p.count < playoutFrames; pcm = pcm[p.frame:] {
		p.put(len(p.spans)-1, pcm[:p.frame])
	}
	return p.count > 0 && p.silent && !p.muted, true
}

// seal says that a span's audio has ended; broken that it should have gone on.
func (p *playout) seal(gen, id int, broken bool) {
	p.mu.Lock()
	if gen == p.gen {
		p.spans[id].whole, p.spans[id].broken = true, broken
	}
	p.mu.Unlock()
}

// wordless says that a span's sound is not its text.
func (p *playout) wordless(gen, id int) {
	p.mu.Lock()
	if gen == p.gen {
		p.spans[id].text = ""
	}
	p.mu.Unlock()
}

// close says that generation gen has no more to say; done is true when all of it is heard already.
func (p *playout) close(gen int) (done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gen != p.gen || p.closed {
		return false
	}
	p.closed, p.idle = true, 0
	return p.finished()
}

// taken is what a take meant to the session.
type taken struct {
	speech  bool
	first   bool // the first frame of the generation's own words
	spoke   bool // a span was completed
	done    bool // the generation was heard to its end
	starved bool // it has begun and nothing more has come for long
	gen     int
}

// take fills out with the next frame. now is asked only for frames with speech.
func (p *playout) take(out []int16, now func() time.Time) (t taken) {
	p.mu.Lock()
	t.gen = p.gen
	if p.muted || p.count == 0 {
		p.silent = true
		if !p.muted && (p.closed || p.begun) {
			p.idle++
			t.done = p.finished()
			t.starved = !p.closed && p.idle == starvedFrames
		}
		p.mu.Unlock()
		return t
	}
	copy(out[:p.frame], p.ring[p.head*p.frame:][:p.frame])
	id := p.owner[p.head]
	p.head = (p.head + 1) % playoutFrames
	p.count--
	sp := &p.spans[id]
	at := now()
	if sp.sent == 0 {
		sp.first, sp.from = p.sent, at
	}
	sp.sent++
	sp.to = at.Add(media.FrameDuration)
	p.sent++
	p.silent, p.idle = false, 0
	t.speech = true
	if sp.kind != spanFiller && !p.begun {
		p.begun, t.first = true, true
	}
	room := p.count == playoutFrames-25 // half a second: the speaker writes in runs, not frame by frame
	p.mu.Unlock()
	if room {
		p.token()
	}
	return t
}

// advance is told what the far end has played.
func (p *playout) advance(n int64) (t taken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.played = max(p.played, min(n, p.sent))
	t.gen = p.gen
	for i := range p.spans {
		if sp := &p.spans[i]; !sp.reported && sp.heardAll(p.played) {
			t.spoke = true
			break
		}
	}
	t.done = p.finished()
	return t
}

func (s *span) heardAll(played int64) bool {
	return s.whole && s.sent == s.made && (s.made == 0 || s.first+s.made <= played)
}

// graceFrames is how long the end of a reply waits for a carrier that does not acknowledge: half a second
// more than what is outstanding.
const graceFrames = 25

// finished reports once that a closed generation was heard to its end.
func (p *playout) finished() bool {
	if p.done || !p.closed || p.count > 0 {
		return false
	}
	if p.played < p.sent && p.idle < p.sent-p.played+graceFrames {
		return false
	}
	p.done = true
	return true
}

// said is one sentence as the caller heard it.
type said struct {
	text     string
	kind     spanKind
	from, to time.Time
	cut      bool
}

// collect gives the sentences heard since the last time. With end set the generation is over: what was heard
// only in part comes too, cut at a word; all says that everything was heard to its end.
func (p *playout) collect(gen int, end bool) (heard []said, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if gen != p.gen {
		return nil, false
	}
	all = p.closed
	for i := range p.spans {
		sp := &p.spans[i]
		played := sp.heardAll(p.played) || p.done && sp.whole && sp.sent == sp.made
		if !played || sp.broken {
			all = all && sp.kind == spanFiller
		}
		if sp.reported || !played && !end {
			continue
		}
		sp.reported = true
		text, cut := sp.text, false
		if !played || sp.broken {
			text, cut = sp.heard(p.played), true
		}
		if text != "" {
			heard = append(heard, said{text: text, kind: sp.kind, from: sp.from, to: sp.to, cut: cut})
		}
	}
	return heard, all
}

// charFrames is how long a character takes when nothing better is known: 60 ms.
const charFrames = 3

// heard is the part of the text that was played, to the last whole word.
func (s *span) heard(played int64) string {
	if s.sent == 0 {
		return ""
	}
	n := min(max(played-s.first, 0), s.sent)
	total := s.made
	if !s.whole || s.broken {
		total = max(total, int64(len([]rune(s.text)))*charFrames)
	}
	if total == 0 || n == 0 {
		return ""
	}
	return firstPart(s.text, float64(n)/float64(total))
}
