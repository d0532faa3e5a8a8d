package secret

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
)

// ErrCorrupt says that a chunk file was altered, or is read with another key or name.
var ErrCorrupt = errors.New("secret: the file cannot be decrypted: another key or name, or it was altered")

// ChunkReader reads a chunk file from any place. It is safe for concurrent use, and holds one chunk in memory.
type ChunkReader struct {
	r    io.ReaderAt
	aead cipher.AEAD

	uniform   int64   // plain bytes of a full chunk; 0 when chunks vary
	starts    []int64 // where chunk i begins in plain bytes; nil when uniform
	chunks    int64
	size      int64 // plain bytes
	last      bool  // the last chunk is there
	truncated bool

	mu     sync.Mutex
	cached int64 // number of the chunk in plain, -1 none
	plain  []byte
	buf    []byte
}

// NewChunkReader opens a file of size bytes. A file that ends without its last chunk, because its writer crashed or
// still writes, is read up to its last whole chunk: see Truncated.
func (k *Key) NewChunkReader(r io.ReaderAt, size int64, name string) (*ChunkReader, error) {
	header := make([]byte, headerSize)
	if size < int64(headerSize) {
		return nil, fmt.Errorf("%w: no header", ErrCorrupt)
	}
	if err := readFull(r, header, 0); err != nil {
		return nil, err
	}
	if string(header[:len(chunkMagic)]) != chunkMagic {
		return nil, fmt.Errorf("%w: no header", ErrCorrupt)
	}
	uniform := int64(binary.BigEndian.Uint32(header[len(chunkMagic):]))
	if uniform > MaxChunk {
		return nil, fmt.Errorf("%w: chunk size", ErrCorrupt)
	}
	c := &ChunkReader{r: r, aead: k.chunkAEAD(header, name), uniform: uniform, cached: -1}
	var err error
	if uniform > 0 {
		err = c.measure(size)
	} else {
		err = c.scan(size)
	}
	if err != nil {
		return nil, err
	}
	return c, c.checkEnd()
}

// measure finds the end of a uniform file by arithmetic: it reads one prefix.
func (c *ChunkReader) measure(size int64) error {
	full := c.uniform + int64(chunkOverhead)
	body := size - int64(headerSize)
	c.chunks = body / full
	rest := body % full
	if rest >= int64(chunkOverhead) {
		n, last, err := c.prefix(int64(headerSize) + c.chunks*full)
		if err != nil {
			return err
		}
		if last && n == rest-int64(chunkOverhead) {
			c.size, c.last = c.chunks*c.uniform+n, true
			c.chunks++
			return nil
		}
	}
	if c.chunks == 0 {
		c.truncated = true
		return nil
	}
	n, last, err := c.prefix(int64(headerSize) + (c.chunks-1)*full)
	if err != nil {
		return err
	}
	if n != c.uniform || (last && rest > 0) {
		return fmt.Errorf("%w: chunk %d", ErrCorrupt, c.chunks-1)
	}
	c.size, c.last, c.truncated = c.chunks*c.uniform, last, !last
	return nil
}

// scan walks over the prefixes of a file whose chunks vary.
func (c *ChunkReader) scan(size int64) error {
	at := int64(headerSize)
	for {
		if at == size && c.last {
			return nil
		}
		if c.last {
			return fmt.Errorf("%w: bytes after the last chunk", ErrCorrupt)
		}
		if size-at < int64(chunkOverhead) {
			break
		}
		n, last, err := c.prefix(at)
		if err != nil {
			return err
		}
		// A chunk that holds nothing is the last, or what a crash of the machine left: a tail of zeros.
		if n > MaxChunk || n > size-at-int64(chunkOverhead) || (n == 0 && !last) {
			break
		}
		c.starts = append(c.starts, c.size)
		c.size += n
		c.chunks++
		c.last = last
		at += n + int64(chunkOverhead)
	}
	c.truncated = true
	return nil
}

// checkEnd decrypts the last chunk: a crash of the machine can leave one whose bytes never reached the disk. It is
// given up like one that was never written, which is all that an attacker could make of it, too.
func (c *ChunkReader) checkEnd() error {
	if c.chunks == 0 {
		return nil
	}
	err := c.load(c.chunks - 1)
	if err == nil || !errors.Is(err, ErrCorrupt) || c.last || c.chunks == 1 {
		return err
	}
	c.chunks--
	c.size, _ = c.bounds(c.chunks)
	c.starts = c.starts[:min(int64(len(c.starts)), c.chunks)]
	return c.load(c.chunks - 1)
}

func (c *ChunkReader) prefix(at int64) (n int64, last bool, err error) {
	var b [prefixSize]byte
	if err := readFull(c.r, b[:], at); err != nil {
		return 0, false, err
	}
	v := binary.BigEndian.Uint32(b[:])
	return int64(v &^ lastBit), v&lastBit != 0, nil
}

// Size is how many plain bytes can be read.
func (c *ChunkReader) Size() int64 { return c.size }

// Truncated reports that the file has no last chunk.
func (c *ChunkReader) Truncated() bool { return c.truncated }

// Reader reads everything from the start, and seeks.
func (c *ChunkReader) Reader() *io.SectionReader { return io.NewSectionReader(c, 0, c.size) }

// ReadAt implements io.ReaderAt on the plain bytes.
func (c *ChunkReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("secret: negative offset")
	}
	n := 0
	c.mu.Lock()
	defer c.mu.Unlock()
	for n < len(p) {
		if off >= c.size {
			return n, io.EOF
		}
		i := c.find(off)
		if err := c.load(i); err != nil {
			return n, err
		}
		start, _ := c.bounds(i)
		m := copy(p[n:], c.plain[off-start:])
		n, off = n+m, off+int64(m)
	}
	return n, nil
}

// find gives the number of the chunk that holds a plain byte.
func (c *ChunkReader) find(off int64) int64 {
	if c.uniform > 0 {
		return off / c.uniform
	}
	return int64(sort.Search(len(c.starts), func(i int) bool { return c.starts[i] > off })) - 1
}

// bounds gives where chunk i begins and ends in plain bytes.
func (c *ChunkReader) bounds(i int64) (start, end int64) {
	if c.uniform > 0 {
		return i * c.uniform, min((i+1)*c.uniform, c.size)
	}
	end = c.size
	if i+1 < int64(len(c.starts)) {
		end = c.starts[i+1]
	}
	return c.starts[i], end
}

// load decrypts chunk i into plain.
func (c *ChunkReader) load(i int64) error {
	if c.cached == i {
		return nil
	}
	c.cached = -1
	start, end := c.bounds(i)
	need := int(end-start) + chunkOverhead
	if cap(c.buf) < need {
		c.buf = make([]byte, need)
	}
	c.buf = c.buf[:need]
	if err := readFull(c.r, c.buf, int64(headerSize)+start+i*int64(chunkOverhead)); err != nil {
		return err
	}
	last := c.last && i == c.chunks-1
	want := uint32(end - start)
	if last {
		want |= lastBit
	}
	nonce := chunkNonce(uint64(i), last)
	if cap(c.plain) < need {
		c.plain = make([]byte, 0, need)
	}
	plain, err := c.aead.Open(c.plain[:0], nonce[:], c.buf[prefixSize:], nil)
	if err != nil || binary.BigEndian.Uint32(c.buf) != want {
		return fmt.Errorf("%w: chunk %d", ErrCorrupt, i)
	}
	c.plain, c.cached = plain, i
	return nil
}

// readFull reads len(p) bytes that must be there: the size was given.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("secret: read at %d: %w", off, err)
}
