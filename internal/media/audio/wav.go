package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// WAV formats (Microsoft's and IBM's Multimedia Programming Interface, 1991, and RFC 2361).
const (
	wavPCM        = 0x0001
	wavFloat      = 0x0003
	wavALaw       = 0x0006
	wavMuLaw      = 0x0007
	wavExtensible = 0xfffe
)

const (
	maxWAVChannels = 16
	maxWAVChunk    = 1 << 20 // a chunk before the data that is longer is refused, not read
	maxWAVChunks   = 64
)

// ErrNotWAV says that a stream is no WAV file at all.
var ErrNotWAV = errors.New("audio: not a WAV file: it does not begin with RIFF and WAVE")

// WAVInfo is what a WAV file's header says.
type WAVInfo struct {
	Rate, Channels, Bits int
	Encoding             string // "pcm", "float", "a-law", "mu-law"
	// Frames is the length in samples of each channel; -1 when the header does not know: a program that
	// writes to a pipe, espeak-ng for one, cannot say, and puts a made-up length there.
	Frames int64
}

// WAVReader reads a WAV file as a stream, mixed down to mono. It needs no seeking.
type WAVReader struct {
	r      io.Reader
	info   WAVInfo
	sample int // bytes of one sample of one channel
	left   int64
	buf    [4096]byte
	have   int // bytes in buf of an incomplete frame
}

// NewWAVReader reads the header up to where the samples begin.
func NewWAVReader(r io.Reader) (*WAVReader, error) {
	var riff [12]byte
	if _, err := io.ReadFull(r, riff[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, ErrNotWAV
		}
		return nil, fmt.Errorf("audio: WAV: %w", err)
	}
	if string(riff[:4]) != "RIFF" || string(riff[8:]) != "WAVE" {
		return nil, ErrNotWAV
	}
	w := &WAVReader{r: r}
	for range maxWAVChunks {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, fmt.Errorf("audio: WAV: the file ends before its samples: %w", err)
		}
		size := binary.LittleEndian.Uint32(head[4:])
		if string(head[:4]) == "data" {
			return w, w.begin(size)
		}
		if size > maxWAVChunk {
			return nil, fmt.Errorf("audio: WAV: chunk %q of %d bytes before the samples is too long", head[:4], size)
		}
		chunk := make([]byte, size+size%2) // chunks are padded to an even length
		if n, err := io.ReadFull(r, chunk); err != nil && n < int(size) {
			return nil, fmt.Errorf("audio: WAV: chunk %q is cut short: %w", head[:4], err)
		}
		if string(head[:4]) == "fmt " {
			if err := w.format(chunk[:size]); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("audio: WAV: too many chunks before the samples")
}

func (w *WAVReader) format(b []byte) error {
	if len(b) < 16 {
		return fmt.Errorf("audio: WAV: a format chunk of %d bytes is too short", len(b))
	}
	tag := binary.LittleEndian.Uint16(b)
	i := &w.info
	i.Channels = int(binary.LittleEndian.Uint16(b[2:]))
	i.Rate = int(binary.LittleEndian.Uint32(b[4:]))
	i.Bits = int(binary.LittleEndian.Uint16(b[14:]))
	if tag == wavExtensible {
		if len(b) < 40 {
			return errors.New("audio: WAV: the extensible format chunk is too short")
		}
		tag = binary.LittleEndian.Uint16(b[24:]) // the first two bytes of the sub-format's GUID
	}
	switch {
	case tag == wavPCM && (i.Bits == 8 || i.Bits == 16 || i.Bits == 24 || i.Bits == 32):
		i.Encoding = "pcm"
	case tag == wavFloat && (i.Bits == 32 || i.Bits == 64):
		i.Encoding = "float"
	case tag == wavALaw && i.Bits == 8:
		i.Encoding = "a-law"
	case tag == wavMuLaw && i.Bits == 8:
		i.Encoding = "mu-law"
	default:
		return fmt.Errorf("audio: WAV: format %#04x with %d bits is not supported; use PCM of 8, 16, 24 or 32 bits, float, A-law or µ-law", tag, i.Bits)
	}
	if i.Channels < 1 || i.Channels > maxWAVChannels {
		return fmt.Errorf("audio: WAV: %d channels; it has to be 1 to %d", i.Channels, maxWAVChannels)
	}
	if i.Rate < 1000 || i.Rate > 384000 {
		return fmt.Errorf("audio: WAV: a sample rate of %d; it has to be 1000 to 384000", i.Rate)
	}
	w.sample = i.Bits / 8
	return nil
}

// begin takes the length of the data chunk. Lengths that only stand for "until the end" are not believed: 0,
// and anything from 2 GiB - 1 MiB up (espeak-ng writes 0x7ffff000, sox and ffmpeg 0xffffffff or near it).
func (w *WAVReader) begin(size uint32) error {
	if w.sample == 0 {
		return errors.New("audio: WAV: the samples come before the format chunk")
	}
	w.left, w.info.Frames = math.MaxInt64, -1
	if size != 0 && size < 1<<31-1<<20 {
		w.left = int64(size)
		w.info.Frames = w.left / int64(w.sample*w.info.Channels)
	}
	return nil
}

// Info returns what the header says.
func (w *WAVReader) Info() WAVInfo { return w.info }

// Read fills pcm with mono samples and returns how many. At the end it returns io.EOF; samples that the header
// promises and the stream does not hold are no error, for a recording may be cut short.
func (w *WAVReader) Read(pcm []int16) (int, error) {
	frame := w.sample * w.info.Channels
	n := 0
	for n < len(pcm) {
		want := min(int64((len(pcm)-n)*frame-w.have), int64(len(w.buf)-w.have), w.left)
		if want <= 0 {
			break
		}
		got, err := w.r.Read(w.buf[w.have : w.have+int(want)])
		w.left -= int64(got)
		w.have += got
		for at := 0; ; at += frame {
			if at+frame > w.have {
				w.have = copy(w.buf[:], w.buf[at:w.have])
				break
			}
			pcm[n] = w.mix(w.buf[at : at+frame])
			n++
		}
		if err != nil {
			if n > 0 && errors.Is(err, io.EOF) {
				return n, nil
			}
			return n, err
		}
	}
	if n == 0 && len(pcm) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// mix is the mean of the channels.
func (w *WAVReader) mix(frame []byte) int16 {
	if w.info.Channels == 1 {
		return w.one(frame)
	}
	var sum int
	for c := range w.info.Channels {
		sum += int(w.one(frame[c*w.sample:]))
	}
	return int16(sum / w.info.Channels)
}

func (w *WAVReader) one(b []byte) int16 {
	switch {
	case w.info.Encoding == "mu-law":
		return muToLinear[b[0]]
	case w.info.Encoding == "a-law":
		return aToLinear[b[0]]
	case w.info.Encoding == "float" && w.sample == 4:
		return fromFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	case w.info.Encoding == "float":
		return fromFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case w.sample == 1: // 8-bit samples are unsigned
		return int16(b[0])<<8 ^ -1<<15
	default: // the two highest bytes
		return int16(binary.LittleEndian.Uint16(b[w.sample-2:]))
	}
}

func fromFloat(f float64) int16 {
	if math.IsNaN(f) {
		return 0
	}
	return clip(float32(min(max(f, -2), 2) * 32768))
}

// ReadWAV reads a whole file, at most maxSamples of it, mixed down to mono.
func ReadWAV(r io.Reader, maxSamples int) (pcm []int16, info WAVInfo, err error) {
	w, err := NewWAVReader(r)
	if err != nil {
		return nil, WAVInfo{}, err
	}
	block := make([]int16, 4096)
	for {
		n, err := w.Read(block)
		if len(pcm)+n > maxSamples {
			return nil, w.info, fmt.Errorf("audio: WAV: more than %d samples", maxSamples)
		}
		pcm = append(pcm, block[:n]...)
		if errors.Is(err, io.EOF) {
			return pcm, w.info, nil
		}
		if err != nil {
			return pcm, w.info, fmt.Errorf("audio: WAV: %w", err)
		}
	}
}
