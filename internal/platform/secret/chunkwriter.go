package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The file is a header and chunks, each authenticated for itself, after the STREAM construction (Hoang, Reyhanitabar,
// Rogaway, Vizár: "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015):
//
//	header  "PRLYCHK1" | chunk size, 4 bytes, 0 when chunks vary | salt, 16 bytes
//	chunk   length of the plain bytes, 4 bytes, top bit set on the last one | cipher bytes | tag, 16 bytes
//
// The key comes from the master key, the whole header and the file's name; the nonce is the chunk's number and
// whether it is the last. So a chunk that is changed, moved, left out or taken from another file does not open, and
// a file without a last chunk is known to be cut. Numbers are big-endian.
const (
	chunkMagic    = "PRLYCHK1"
	headerSize    = len(chunkMagic) + 4 + 16
	prefixSize    = 4
	chunkOverhead = prefixSize + tagSize
	lastBit       = 1 << 31

	// MaxChunk is the largest chunk in plain bytes; a reader holds one in memory.
	MaxChunk = 1 << 20
	// DefaultChunk is the chunk size when none is given.
	DefaultChunk = 64 << 10
)

// ChunkConfig says how a file is written.
type ChunkConfig struct {
	Name      string // what the file is, such as "recording/<call id>"; the reader must say the same
	ChunkSize int    // plain bytes in a full chunk; DefaultChunk when 0
	// Uniform makes every chunk but the last full, so that a reader finds any place without reading the file
	// from its start. There is no Flush then: it is for files that are written in one go.
	Uniform bool
	Rand    io.Reader // for the salt; crypto/rand when nil
}

// ChunkWriter encrypts a file that grows. It is for one goroutine. After an error it writes no more: what it
// would add could not be told from a crash's remains.
type ChunkWriter struct {
	w       io.Writer
	aead    cipher.AEAD
	uniform bool
	size    int    // plain bytes of a full chunk
	buf     []byte // prefix, then plain bytes gathered so far; capacity for the tag
	index   uint64
	err     error
}

var errClosed = errors.New("secret: the chunk file is closed")

// NewChunkWriter begins a file: it writes the header at once.
func (k *Key) NewChunkWriter(w io.Writer, c ChunkConfig) (*ChunkWriter, error) {
	if c.ChunkSize == 0 {
		c.ChunkSize = DefaultChunk
	}
	if c.ChunkSize < 1 || c.ChunkSize > MaxChunk {
		return nil, fmt.Errorf("secret: chunk size %d is not in 1..%d", c.ChunkSize, MaxChunk)
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	header := make([]byte, headerSize)
	copy(header, chunkMagic)
	if c.Uniform {
		binary.BigEndian.PutUint32(header[len(chunkMagic):], uint32(c.ChunkSize))
	}
	if _, err := io.ReadFull(c.Rand, header[headerSize-16:]); err != nil {
		return nil, fmt.Errorf("secret: salt: %w", err)
	}
	if _, err := w.Write(header); err != nil {
		return nil, fmt.Errorf("secret: write header: %w", err)
	}
	return &ChunkWriter{
		w: w, aead: k.chunkAEAD(header, c.Name), uniform: c.Uniform, size: c.ChunkSize,
		buf: make([]byte, prefixSize, prefixSize+min(c.ChunkSize, DefaultChunk)+tagSize),
	}, nil
}

func (k *Key) chunkAEAD(header []byte, name string) cipher.AEAD {
	return newGCM(k.derive(header[headerSize-16:], "chunks\x00"+string(header[:headerSize-16])+"\x00"+name))
}

// Write gathers bytes and writes every chunk that is full.
func (w *ChunkWriter) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 && w.err == nil {
		// A full chunk waits for the next byte: only then is it known not to be the last.
		if w.pending() == w.size {
			w.emit(false)
			continue
		}
		take := min(len(p), w.size-w.pending())
		w.buf = append(w.buf, p[:take]...)
		p, n = p[take:], n+take
	}
	return n, w.err
}

// Flush writes what was gathered as a chunk of its own: a crash from here on does not lose it.
func (w *ChunkWriter) Flush() error {
	if w.uniform && w.err == nil {
		return errors.New("secret: Flush of a uniform chunk file")
	}
	if w.err == nil && w.pending() > 0 {
		w.emit(false)
	}
	return w.err
}

// Close writes the last chunk, which says that the file is whole. It does not close the underlying writer.
func (w *ChunkWriter) Close() error {
	if w.err != nil {
		if errors.Is(w.err, errClosed) {
			return nil
		}
		return w.err
	}
	w.emit(true)
	if w.err != nil {
		return w.err
	}
	w.err = errClosed
	return nil
}

func (w *ChunkWriter) pending() int { return len(w.buf) - prefixSize }

// emit encrypts the buffer in place and hands it on in one Write.
func (w *ChunkWriter) emit(last bool) {
	prefix := uint32(w.pending())
	if last {
		prefix |= lastBit
	}
	binary.BigEndian.PutUint32(w.buf, prefix)
	nonce := chunkNonce(w.index, last)
	out := w.aead.Seal(w.buf[:prefixSize], nonce[:], w.buf[prefixSize:], nil)
	w.index++
	w.buf = out[:prefixSize]
	if _, err := w.w.Write(out); err != nil {
		w.err = fmt.Errorf("secret: write chunk %d: %w", w.index-1, err)
	}
}

func chunkNonce(index uint64, last bool) (n [nonceSize]byte) {
	binary.BigEndian.PutUint64(n[:8], index)
	if last {
		n[nonceSize-1] = 1
	}
	return n
}
