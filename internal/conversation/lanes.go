package conversation

import "sync"

const (
	// chunkFrames is how much sound one chunk of the file holds: half a second. What the process dies with is
	// at most that, plus the 50 ms until the writer looks.
	chunkFrames = 25
	// maxWaiting bounds the chunks of one call that wait for the disk: four seconds.
	maxWaiting = 8
)

// layout says how frames lie in a chunk: the caller's samples, then the agent's, frame by frame.
type layout struct {
	format format
	rate   int
}

func (l layout) laneSamples() int { return l.rate / 50 }
func (l layout) laneBytes() int   { return l.laneSamples() * l.format.bytes() }
func (l layout) frameBytes() int  { return 2 * l.laneBytes() }
func (l layout) chunkBytes() int  { return chunkFrames * l.frameBytes() }
func (l layout) valid() bool {
	return l.format.valid() && l.rate >= 8000 && l.rate <= 48000 && l.rate%50 == 0
}

// chunk is sound on its way to the file. first is the number of its first frame since the answer.
type chunk struct {
	first int64
	data  []byte
}

// lanes gathers the frames of both sides. Frames is the only method on the hot path: it encodes into a
// buffer of its own and never waits for the disk. Full buffers wait for the writer, at most maxWaiting of
// them; beyond that the newest sound is lost, and the file will have silence in its place.
type lanes struct {
	mu      sync.Mutex
	layout  layout
	on      bool
	buf     []byte // the chunk being filled, capacity chunkBytes
	first   int64  // its first frame
	frames  int64  // frames so far, lost ones included
	lost    int64  // frames that found no room
	waiting []chunk
	spare   [][]byte // empty buffers
}

// start begins to gather.
func (l *lanes) start(lay layout) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.layout, l.on = lay, true
	l.waiting = make([]chunk, 0, maxWaiting)
	l.spare = make([][]byte, 0, maxWaiting+1)
	l.buf = make([]byte, 0, lay.chunkBytes())
}

// add takes one frame of each side and reports whether the writer has something to do. A lane that is nil
// or too short is silent.
func (l *lanes) add(caller, agent []int16) (full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.on {
		return false
	}
	n := len(l.buf)
	if cap(l.buf) == 0 { // no room was left for a buffer: go on where a chunk begins
		if l.frames%chunkFrames != 0 || !l.renew() {
			l.frames++
			l.lost++
			return false
		}
		n = 0
	}
	if n == 0 {
		l.first = l.frames
	}
	lane := l.layout.laneBytes()
	l.buf = l.buf[:n+2*lane]
	l.lane(l.buf[n:n+lane], caller)
	l.lane(l.buf[n+lane:], agent)
	l.frames++
	if len(l.buf) < l.layout.chunkBytes() {
		return false
	}
	l.waiting = append(l.waiting, chunk{l.first, l.buf})
	l.buf = nil
	l.renew()
	return true
}

// renew gives the next buffer, unless too many wait for the disk.
func (l *lanes) renew() bool {
	if n := len(l.spare); n > 0 {
		l.buf, l.spare = l.spare[n-1], l.spare[:n-1]
		return true
	}
	if len(l.waiting) >= maxWaiting {
		return false
	}
	l.buf = make([]byte, 0, l.layout.chunkBytes())
	return true
}

func (l *lanes) lane(dst []byte, samples []int16) {
	want := l.layout.laneSamples()
	samples = samples[:min(len(samples), want)]
	l.layout.format.encode(dst, samples)
	if rest := dst[len(samples)*l.layout.format.bytes():]; len(rest) > 0 {
		fill(rest, l.layout.format.silence())
	}
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// take moves the full chunks to dst; last adds the one being filled.
func (l *lanes) take(dst []chunk, last bool) []chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	dst = append(dst, l.waiting...)
	l.waiting = l.waiting[:0]
	if last && len(l.buf) > 0 {
		dst = append(dst, chunk{l.first, l.buf})
		l.buf = nil
	}
	return dst
}

// give returns a buffer that was written. One is enough in the long run: the rest is left to the collector.
func (l *lanes) give(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.on && len(l.spare) < 2 {
		l.spare = append(l.spare, b[:0])
	}
}

// stop ends the gathering; what was gathered can still be taken.
func (l *lanes) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = false
	l.spare = nil
}

// count gives the frames since the answer and those that were lost.
func (l *lanes) count() (frames, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frames, l.lost
}

func (l *lanes) layoutNow() layout {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.layout
}
