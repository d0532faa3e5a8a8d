package media

import (
	"errors"
	"fmt"
	"sync"

	"github.com/parley-voice/parley/internal/media/audio"
)

// Mixer joins legs: each hears the sum of the others, cut off at full scale, and never itself. Gains for each pair
// make of it a bridge (two parties), a listener (heard by nobody), a whisper (heard by one) or a
// conference.
//
// Legs tick at moments of their own, so each party's frames wait in a short ring, from which every other one
// reads at its own place. A reader that fell behind goes on with the newest frame but one; one that is ahead
// hears silence. Nothing is allocated and nothing blocks, but for a lock that is held for some
// microseconds.
type Mixer struct {
	rate, frame int
	onEvent     func(*Party, LegEvent)

	mu      sync.Mutex
	parties [maxParties]*Party
}

const (
	maxParties = 16
	ringFrames = 4 // 80 ms; what is read is 20 to 40 ms old
)

// MixerConfig is what a Mixer needs.
type MixerConfig struct {
	Rate    int                    // of the mixing, 8000 or 16000; legs with the other rate are converted
	OnEvent func(*Party, LegEvent) // what the legs report; may be nil. It must not block.
}

// NewMixer makes a Mixer.
func NewMixer(c MixerConfig) (*Mixer, error) {
	if c.Rate != 8000 && c.Rate != 16000 {
		return nil, fmt.Errorf("media: a mixer at %d Hz: the rate has to be 8000 or 16000", c.Rate)
	}
	return &Mixer{rate: c.Rate, frame: FrameSamples(c.Rate), onEvent: c.OnEvent}, nil
}

// Party is one leg in a Mixer; it is that leg's Endpoint.
type Party struct {
	m        *Mixer
	index    int
	up, down *audio.Resampler // between the leg's rate and the mixer's, nil when they are the same
	scratch  []int16
	sum      []int32

	// The rest is guarded by m.mu.
	left    bool
	ring    [ringFrames][]int16
	written uint64             // frames put into ring
	read    [maxParties]uint64 // of each other party's frames, how many were passed
	of      [maxParties]*Party // whose frames read counts
	gain    [maxParties]int32  // with which each other one is heard, 1<<gainBits is 1
	set     [maxParties]bool   // gain was chosen; otherwise it is 1
}

const gainBits = 10

// Join adds a leg with the given rate. At first everybody hears it, and it hears everybody.
func (m *Mixer) Join(rate int) (*Party, error) {
	p := &Party{m: m, scratch: make([]int16, 0, m.frame+8), sum: make([]int32, m.frame)}
	if rate != m.rate {
		var err1, err2 error
		p.up, err1 = audio.NewResampler(rate, m.rate)
		p.down, err2 = audio.NewResampler(m.rate, rate)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
	}
	for i := range p.ring {
		p.ring[i] = make([]int16, m.frame)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, q := range m.parties {
		if q != nil {
			continue
		}
		p.index = i
		m.parties[i] = p
		for _, other := range m.parties {
			if other != nil {
				other.set[i] = false
			}
		}
		return p, nil
	}
	return nil, fmt.Errorf("media: a mixer takes %d parties", maxParties)
}

// Leave takes the party out. Its Tick gives silence from then on.
func (p *Party) Leave() {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	if !p.left {
		p.left = true
		p.m.parties[p.index] = nil
	}
}

// Hear sets how loud p hears q: 0 is not at all, 1 as it is, at most 8.
func (p *Party) Hear(q *Party, gain float64) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.gain[q.index] = int32(min(max(gain, 0), 8) * (1 << gainBits))
	p.set[q.index] = true
}

// HeardBy makes p heard by the given parties only: none for a listener, one for a whisper.
func (p *Party) HeardBy(these ...*Party) {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	for _, q := range p.m.parties {
		if q != nil && q != p {
			q.gain[p.index], q.set[p.index] = 0, true
		}
	}
	for _, q := range these {
		q.gain[p.index], q.set[p.index] = 1<<gainBits, true
	}
}

// Tick implements Endpoint.
func (p *Party) Tick(in, out []int16) bool {
	if in != nil && p.up != nil {
		p.scratch = p.up.Process(p.scratch[:0], in)
		in = p.scratch
	}
	p.m.mu.Lock()
	speech := false
	if !p.left {
		if in != nil {
			copy(p.ring[p.written%ringFrames], in)
			p.written++
		}
		if out != nil {
			speech = p.mix()
		}
	}
	p.m.mu.Unlock()
	if speech {
		p.give(out)
	}
	return speech
}

// mix adds up what the others said. It reports whether that is anything. m.mu is held.
func (p *Party) mix() (any bool) {
	for i, q := range p.m.parties {
		if q == nil || q == p {
			continue
		}
		if p.of[i] != q { // somebody new in this place
			p.of[i], p.read[i] = q, q.written
		}
		if q.written-p.read[i] >= ringFrames {
			p.read[i] = q.written - 2
		}
		if q.written == p.read[i] {
			continue
		}
		frame := q.ring[p.read[i]%ringFrames]
		p.read[i]++
		gain := int32(1 << gainBits)
		if p.set[i] {
			gain = p.gain[i]
		}
		if gain == 0 {
			continue
		}
		if !any {
			clear(p.sum)
			any = true
		}
		for j, s := range frame {
			p.sum[j] += int32(s) * gain >> gainBits
		}
	}
	return any
}

// give brings the sum to the leg's range and rate.
func (p *Party) give(out []int16) {
	mixed := out
	if p.down != nil {
		mixed = p.scratch[:p.m.frame]
	}
	for j, s := range p.sum[:len(mixed)] {
		mixed[j] = int16(min(max(s, -1<<15), 1<<15-1))
	}
	if p.down != nil {
		clear(out)
		p.down.Process(out[:0], mixed)
	}
}

// Played implements Endpoint; a mixer keeps no ledger.
func (p *Party) Played(int64) {}

// Event implements Endpoint.
func (p *Party) Event(e LegEvent) {
	if p.m.onEvent != nil {
		p.m.onEvent(p, e)
	}
}

var _ Endpoint = (*Party)(nil)
