// Package register holds do-not-call registers of many millions of numbers: sorted hashes in a file that is searched where
// it lies, so that a lookup costs a few reads and no memory, however long the register is.
//
// A file is a header, then the hashes in order, 8 bytes each:
//
//	magic    8 bytes  "parley-r"
//	salt    16 bytes  of this file; hashes of two files cannot be compared
//	count    8 bytes  big endian
//	digest  32 bytes  SHA-256 of all that follows, which names the snapshot in records of decisions
//	hashes   8 bytes each, ascending: the first 8 of SHA-256(salt, number in E.164)
//
// Telephone numbers are few, so a hash hides nothing from who has the file and time: it keeps the numbers from eyes, logs
// and searches. Two numbers of a register of ten million share a hash with a chance of 1 in 370,000; then one of them
// is not called, which is the safe side.
package register

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	magic      = "parley-r"
	saltBytes  = 16
	headBytes  = len(magic) + saltBytes + 8 + sha256.Size
	hashBytes  = 8
	mostNumber = 16 // characters of a number in E.164, with its plus
	// Most is how many numbers a register may hold.
	Most = 100_000_000
)

// Summary is what a register is known by.
type Summary struct {
	Count  int64  `json:"count"`
	Digest string `json:"digest" doc:"SHA-256 of the numbers' hashes: it names the snapshot"`
}

// Builder gathers numbers, 8 bytes each.
type Builder struct {
	salt   [saltBytes]byte
	hashes []uint64
	buf    []byte
}

// NewBuilder makes a Builder; random is where its salt comes from.
func NewBuilder(random io.Reader) (*Builder, error) {
	b := &Builder{}
	if _, err := io.ReadFull(random, b.salt[:]); err != nil {
		return nil, fmt.Errorf("salt of a register: %w", err)
	}
	return b, nil
}

// Add takes a number in E.164; adding one twice changes nothing.
func (b *Builder) Add(number string) error {
	if !plausible(number) {
		return fault.Field("number", "%q is no number in international form; write +14155550100", clip(number))
	}
	if len(b.hashes) >= Most {
		return fault.Field("file", "a register holds at most %d numbers; import it in parts", Most)
	}
	var h uint64
	h, b.buf = hash(b.salt[:], number, b.buf)
	b.hashes = append(b.hashes, h)
	return nil
}

// Write sorts the numbers and writes the file. The Builder is used up.
func (b *Builder) Write(w io.Writer) (Summary, error) {
	slices.Sort(b.hashes)
	b.hashes = slices.Compact(b.hashes)
	sum := sha256.New()
	if err := b.put(sum); err != nil {
		return Summary{}, err
	}
	digest := sum.Sum(nil)
	out := bufio.NewWriterSize(w, 1<<16)
	head := append([]byte(magic), b.salt[:]...)
	head = binary.BigEndian.AppendUint64(head, uint64(len(b.hashes)))
	head = append(head, digest...)
	if _, err := out.Write(head); err != nil {
		return Summary{}, fmt.Errorf("write register: %w", err)
	}
	if err := b.put(out); err != nil {
		return Summary{}, err
	}
	if err := out.Flush(); err != nil {
		return Summary{}, fmt.Errorf("write register: %w", err)
	}
	return Summary{Count: int64(len(b.hashes)), Digest: hex.EncodeToString(digest)}, nil
}

func (b *Builder) put(w io.Writer) error {
	buf := make([]byte, 0, 1<<15)
	for i, h := range b.hashes {
		buf = binary.BigEndian.AppendUint64(buf, h)
		if len(buf) == cap(buf) || i == len(b.hashes)-1 {
			if _, err := w.Write(buf); err != nil {
				return fmt.Errorf("write register: %w", err)
			}
			buf = buf[:0]
		}
	}
	return nil
}

// Is tells whether what comes is the file of a register. It reads nothing away.
func Is(r *bufio.Reader) bool {
	head, err := r.Peek(len(magic))
	return err == nil && string(head) == magic
}

// Register is an open file. It may be asked by many at once.
type Register struct {
	r     io.ReaderAt
	salt  []byte
	count int64
	known Summary
}

// Open reads the header of a file of size bytes. It does not read the rest: Verify does.
func Open(r io.ReaderAt, size int64) (*Register, error) {
	head := make([]byte, headBytes)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "this is no register: it has no header")
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, fault.New(fault.Invalid, "this is no register")
	}
	at := len(magic) + saltBytes
	count := binary.BigEndian.Uint64(head[at:])
	if count > Most || int64(headBytes)+int64(count)*hashBytes != size {
		return nil, fault.New(fault.Invalid, "the register is cut off or damaged: %d bytes for %d numbers", size, count)
	}
	return &Register{r: r, salt: head[len(magic):at], count: int64(count), known: Summary{Count: int64(count), Digest: hex.EncodeToString(head[at+8:])}}, nil
}

// Summary tells what it is.
func (g *Register) Summary() Summary { return g.known }

// Verify reads the whole file and compares it with its digest and its order.
func (g *Register) Verify() error {
	sum := sha256.New()
	in := bufio.NewReaderSize(io.NewSectionReader(g.r, int64(headBytes), g.count*hashBytes), 1<<16)
	var b [hashBytes]byte
	last, first := uint64(0), true
	for range g.count {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return fmt.Errorf("read register: %w", err)
		}
		h := binary.BigEndian.Uint64(b[:])
		if !first && h <= last {
			return fault.New(fault.Invalid, "the register is damaged: it is not in order")
		}
		last, first = h, false
		_, _ = sum.Write(b[:])
	}
	if hex.EncodeToString(sum.Sum(nil)) != g.known.Digest {
		return fault.New(fault.Invalid, "the register is damaged: it is not what its digest says")
	}
	return nil
}

// page is what is read at once: the end of a search needs no more reads.
const page = 512

// Has tells whether a number is in the register. Hashes are spread evenly, so where one lies is guessed well: two or three
// reads find it among ten million. Each leaves a page less at least, so the search ends in any file.
func (g *Register) Has(number string) (bool, error) {
	if !plausible(number) {
		return false, fault.Field("number", "%q is no number in international form; write +14155550100", clip(number))
	}
	want, _ := hash(g.salt, number, nil)
	var buf [page * hashBytes]byte
	low, high := int64(0), g.count       // the hash is in [low, high)
	least, most := uint64(0), ^uint64(0) // and its neighbours are in [least, most]
	for high-low > page {
		share := float64(want-least) / (float64(most-least) + 1)
		at := low + int64(share*float64(high-low)) - page/2
		at = min(max(at, low), high-page)
		b, err := g.read(buf[:], at, page)
		if err != nil {
			return false, err
		}
		first, last := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[len(b)-hashBytes:])
		switch {
		case want < first:
			high, most = at, first
		case want > last:
			low, least = at+page, last
		default:
			return find(b, want), nil
		}
	}
	if high <= low {
		return false, nil
	}
	b, err := g.read(buf[:], low, high-low)
	if err != nil {
		return false, err
	}
	return find(b, want), nil
}

func (g *Register) read(buf []byte, at, n int64) ([]byte, error) {
	b := buf[:n*hashBytes]
	if _, err := g.r.ReadAt(b, int64(headBytes)+at*hashBytes); err != nil {
		return nil, fmt.Errorf("read register: %w", err)
	}
	return b, nil
}

// find searches a piece of the file.
func find(b []byte, want uint64) bool {
	low, high := 0, len(b)/hashBytes
	for low < high {
		mid := (low + high) / 2
		switch h := binary.BigEndian.Uint64(b[mid*hashBytes:]); {
		case h == want:
			return true
		case h < want:
			low = mid + 1
		default:
			high = mid
		}
	}
	return false
}

func hash(salt []byte, number string, buf []byte) (uint64, []byte) {
	buf = append(append(buf[:0], salt...), number...)
	sum := sha256.Sum256(buf)
	return binary.BigEndian.Uint64(sum[:]), buf
}

// plausible tells whether a number looks like E.164: a plus, then 7 to 15 digits of which the first is not 0.
func plausible(n string) bool {
	if len(n) < 8 || len(n) > mostNumber || n[0] != '+' || n[1] == '0' {
		return false
	}
	for i := 1; i < len(n); i++ {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
