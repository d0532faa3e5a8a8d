package audio

import (
	"encoding/binary"
	"fmt"
	"io"
)

// WAVHeaderSize is the length of what WAVHeader gives.
const WAVHeaderSize = 44

// WAVHeader is the header of a 16-bit PCM file with the given number of samples for each channel. With
// frames < 0 the length is left open, for a stream whose end is not known yet.
func WAVHeader(rate, channels int, frames int64) []byte {
	size := uint32(0xffffffff - 36)
	if bytes := frames * int64(channels) * 2; frames >= 0 && bytes < int64(size) {
		size = uint32(bytes)
	}
	b := make([]byte, 0, WAVHeaderSize)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, size+36)
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, wavPCM)
	b = binary.LittleEndian.AppendUint16(b, uint16(channels))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(rate*channels*2))
	b = binary.LittleEndian.AppendUint16(b, uint16(channels*2))
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	return binary.LittleEndian.AppendUint32(b, size)
}

// WAVWriter writes 16-bit PCM as a stream. Close writes the true length into the header where the
// destination can seek.
type WAVWriter struct {
	w        io.Writer
	rate     int
	channels int
	samples  int64
	buf      []byte
}

// NewWAVWriter writes the header.
func NewWAVWriter(w io.Writer, rate, channels int) (*WAVWriter, error) {
	if rate < 1000 || rate > 384000 || channels < 1 || channels > maxWAVChannels {
		return nil, fmt.Errorf("audio: WAV of %d Hz and %d channels: it has to be 1000 to 384000 Hz and 1 to %d", rate, channels, maxWAVChannels)
	}
	if _, err := w.Write(WAVHeader(rate, channels, -1)); err != nil {
		return nil, fmt.Errorf("audio: WAV: %w", err)
	}
	return &WAVWriter{w: w, rate: rate, channels: channels}, nil
}

// Write appends samples, those of the channels in turn.
func (w *WAVWriter) Write(pcm []int16) error {
	w.buf = w.buf[:0]
	for _, s := range pcm {
		w.buf = binary.LittleEndian.AppendUint16(w.buf, uint16(s))
	}
	w.samples += int64(len(pcm))
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("audio: WAV: %w", err)
	}
	return nil
}

// Close completes the header. It does not close the destination.
func (w *WAVWriter) Close() error {
	s, ok := w.w.(io.Seeker)
	if !ok {
		return nil
	}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return nil //nolint:nilerr // a pipe: the header stays open-ended, which readers understand
	}
	if _, err := w.w.Write(WAVHeader(w.rate, w.channels, w.samples/int64(w.channels))); err != nil {
		return fmt.Errorf("audio: WAV: %w", err)
	}
	_, err := s.Seek(0, io.SeekEnd)
	return err
}
