package conversation

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Lane chooses what of a recording is heard.
type Lane string

// The lanes.
const (
	LaneBoth   Lane = "" // stereo, caller left
	LaneCaller Lane = "caller"
	LaneAgent  Lane = "agent"
)

// recReader reads a recording. Every chunk but the last has the same size, so that any sample is found
// without reading what is before it.
type recReader struct {
	u      *unsealer
	head   recHead
	layout layout
	start  int64 // of the first chunk of sound
	stride int64
	frames int64 // that are there
	held   int64 // chunk in plain, -1 for none
	plain  []byte
}

func openRecFile(src io.ReaderAt, size int64, keyOf keyFinder, call string) (*recReader, error) {
	u, err := openSealed(src, keyOf, "rec "+call)
	if err != nil {
		return nil, err
	}
	b, err := u.read()
	if err != nil {
		return nil, noMore(err)
	}
	r := &recReader{u: u, start: u.off, held: -1}
	if err := json.Unmarshal(b, &r.head); err != nil {
		return nil, fmt.Errorf("recording of call %s: %w", call, err)
	}
	r.layout = layout{r.head.Format, r.head.Rate}
	if !r.layout.valid() || r.head.ChunkFrames != chunkFrames {
		return nil, fmt.Errorf("recording of call %s: unknown layout", call)
	}
	r.stride = int64(r.layout.chunkBytes() + sealedOverhead)
	whole := (size - r.start) / r.stride
	r.frames = whole*chunkFrames + r.tail(src, r.start+whole*r.stride, size)
	return r, nil
}

// tail counts the frames of a last chunk that is shorter; half a chunk does not count.
func (r *recReader) tail(src io.ReaderAt, at, size int64) int64 {
	var length [4]byte
	if n, _ := src.ReadAt(length[:], at); n < 4 {
		return 0
	}
	n := int64(binary.LittleEndian.Uint32(length[:]))
	if at+4+n != size || n <= sealedOverhead-4 {
		return 0
	}
	return (n + 4 - sealedOverhead) / int64(r.layout.frameBytes())
}

// end is where the last whole chunk ends.
func (r *recReader) end() int64 {
	whole, rest := r.frames/chunkFrames, r.frames%chunkFrames
	end := r.start + whole*r.stride
	if rest > 0 {
		end += rest*int64(r.layout.frameBytes()) + sealedOverhead
	}
	return end
}

// chunk gives the sound of chunk i.
func (r *recReader) chunk(i int64) ([]byte, error) {
	if i == r.held {
		return r.plain, nil
	}
	r.held = -1
	r.u.seek(r.start+i*r.stride, uint64(i)+1)
	b, err := r.u.read()
	if err != nil {
		return nil, noMore(err)
	}
	r.plain, r.held = b, i
	return b, nil
}

// wav reads a recording as a WAV file, 16-bit PCM.
// Layout: "Multimedia Programming Interface and Data Specifications 1.0", Waveform Audio File Format.
type wav struct {
	r    *recReader
	lane Lane
	pos  int64
	head [wavHead]byte
	size int64
}

const wavHead = 44

func newWAV(r *recReader, lane Lane) *wav {
	w := &wav{r: r, lane: lane}
	channels := 2
	if lane != LaneBoth {
		channels = 1
	}
	data := r.frames * int64(r.layout.laneSamples()*2*channels)
	w.size = wavHead + data
	// A call of more than 37 hours does not fit the format's 32 bits; readers then go by the file's length.
	length := uint32(min(data, math.MaxUint32-wavHead))
	h := w.head[:0]
	h = append(h, "RIFF"...)
	h = binary.LittleEndian.AppendUint32(h, length+wavHead-8)
	h = append(h, "WAVEfmt "...)
	h = binary.LittleEndian.AppendUint32(h, 16)
	h = binary.LittleEndian.AppendUint16(h, 1) // PCM
	h = binary.LittleEndian.AppendUint16(h, uint16(channels))
	h = binary.LittleEndian.AppendUint32(h, uint32(r.layout.rate))
	h = binary.LittleEndian.AppendUint32(h, uint32(r.layout.rate*2*channels))
	h = binary.LittleEndian.AppendUint16(h, uint16(2*channels))
	h = binary.LittleEndian.AppendUint16(h, 16)
	h = append(h, "data"...)
	binary.LittleEndian.AppendUint32(h, length)
	return w
}

// Seek implements io.Seeker.
func (w *wav) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += w.pos
	case io.SeekEnd:
		offset += w.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	w.pos = offset
	return offset, nil
}

// Read implements io.Reader.
func (w *wav) Read(p []byte) (int, error) {
	if w.pos >= w.size {
		return 0, io.EOF
	}
	if w.pos < wavHead {
		n := copy(p, w.head[w.pos:])
		w.pos += int64(n)
		return n, nil
	}
	l := w.r.layout
	samples := int64(l.laneSamples())
	width := int64(2)
	if w.lane == LaneBoth {
		width = 4
	}
	n := 0
	for n < len(p) && w.pos < w.size {
		at := w.pos - wavHead
		index, inside := at/width, at%width // of the sample, and the byte in it
		frame := index / samples
		b, err := w.r.chunk(frame / chunkFrames)
		if err != nil {
			return n, err
		}
		off := int(frame%chunkFrames) * l.frameBytes()
		if off+l.frameBytes() > len(b) {
			return n, errTorn
		}
		fr := b[off : off+l.frameBytes()]
		for i := int(index % samples); i < int(samples) && n < len(p); i++ {
			var s [4]byte
			w.sample(&s, fr, i)
			c := copy(p[n:], s[inside:width])
			n += c
			w.pos += int64(c)
			inside = 0
		}
	}
	return n, nil
}

func (w *wav) sample(s *[4]byte, frame []byte, i int) {
	l := w.r.layout
	first, second := frame[:l.laneBytes()], frame[l.laneBytes():]
	if w.lane == LaneAgent {
		first = second
	}
	binary.LittleEndian.PutUint16(s[:2], uint16(l.format.at(first, i)))
	if w.lane == LaneBoth {
		binary.LittleEndian.PutUint16(s[2:], uint16(l.format.at(second, i)))
	}
}

// Recording is a call's recording as a WAV file. Close it.
type Recording struct {
	io.ReadSeeker
	Size       int64
	DurationMs int64
	Whole      bool // it will not grow any more
	close      func()
}

// Close lets go of the file.
func (r *Recording) Close() { r.close() }

// OpenRecording opens what has been recorded of a call so far.
func (s *Service) OpenRecording(ctx context.Context, org, id string, lane Lane) (*Recording, error) {
	row, r, closeFile, err := s.openRec(ctx, org, id)
	if err != nil {
		return nil, err
	}
	w := newWAV(r, lane)
	return &Recording{ReadSeeker: w, Size: w.size, DurationMs: r.frames * 20, Whole: row.Status == string(StatusEnded), close: closeFile}, nil
}

func (s *Service) openRec(ctx context.Context, org, id string) (*callRow, *recReader, func(), error) {
	row, src, err := s.openFile(ctx, org, id, recSuffix)
	if err != nil {
		return nil, nil, nil, err
	}
	if src == nil {
		return nil, nil, nil, fault.New(fault.NotFound, "This call has no recording: nobody answered it, or it was not to be recorded.")
	}
	r, err := openRecFile(src, src.size, s.keyOf(ctx, org), id)
	if err != nil {
		src.close()
		if errors.Is(err, errTorn) {
			return nil, nil, nil, fault.New(fault.NotFound, "Nothing of this call is recorded yet.")
		}
		return nil, nil, nil, wrapFile(err)
	}
	return row, r, src.close, nil
}

// Peaks is the waveform of a call.
type Peaks struct {
	DurationMs int64     `json:"durationMs"`
	Caller     []float64 `json:"caller" nullable:"false" doc:"The loudest sample of each bucket, 0 to 1"`
	Agent      []float64 `json:"agent" nullable:"false"`
}

// RecordingPeaks gives the waveform in n buckets: from memory while the call goes on, then from its row.
func (s *Service) RecordingPeaks(ctx context.Context, org, id string, n int) (Peaks, error) {
	c, in, err := s.visible(ctx, org, id)
	if err != nil {
		return Peaks{}, err
	}
	if c != nil {
		c.state.mu.Lock()
		p := c.state.peaks.clone()
		c.state.mu.Unlock()
		return p.show(n), nil
	}
	row, err := findCall(ctx, s.db, org, id, in)
	if err != nil {
		return Peaks{}, err
	}
	stored, err := findPeaks(ctx, s.db, org, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Peaks{}, err
	}
	p := peaks{span: stored.Span, frames: row.RecDurationMs / 20, caller: stored.Caller, agent: stored.Agent}
	return p.show(n), nil
}

func (p *peaks) show(n int) Peaks {
	caller, agent := p.at(n)
	return Peaks{DurationMs: p.frames * 20, Caller: caller, Agent: agent}
}
