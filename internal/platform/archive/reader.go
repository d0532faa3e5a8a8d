package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// Reader reads an archive from its beginning. It is for one goroutine.
type Reader struct {
	chunks *secret.ChunkReader
	in     *bufio.Reader
	at     string // the part that is read, for errors
	head   json.RawMessage
	tables map[string]*Sum
	files  map[string]*Sum
	table  *Table
	rows   *Sum
	file   *File
	hash   hash.Hash
	size   int64
	buf    []byte
	man    *Manifest
}

// Item is what [Reader.Next] gives: one of Table, Row, File, Data and End. Its bytes are good until the next.
type Item struct {
	Table *Table // it begins; its rows follow
	Row   []byte
	File  *File // it begins; its data follows
	Data  []byte
	End   bool // of the file
}

// Open opens an archive and reads its head. What is in it is verified as far as it is read.
func Open(r io.ReaderAt, size int64, passphrase string) (*Reader, error) {
	front := make([]byte, frontSize)
	if size < int64(frontSize) {
		return nil, fault.New(fault.Invalid, "this is no export of an organisation, or it was cut at its beginning")
	}
	if _, err := r.ReadAt(front, 0); err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	if string(front[:len(magic)]) != magic {
		return nil, fault.New(fault.Invalid, "this is no export of an organisation; make one with: parley org export")
	}
	if v := front[len(magic)]; v != version {
		return nil, fault.New(fault.Invalid, "the file is of version %d, this Parley reads version %d; use a Parley as new as the one that made it", v, version)
	}
	key, check, err := keyOf(front, passphrase)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(check, front[keyedSize:]) {
		return nil, fault.New(fault.Invalid, "the passphrase is not the one the file was made with, or the beginning of the file is damaged")
	}
	body := io.NewSectionReader(r, int64(frontSize), size-int64(frontSize))
	chunks, err := key.NewChunkReader(body, body.Size(), chunkName(front))
	if errors.Is(err, secret.ErrCorrupt) {
		return nil, fault.Wrap(fault.Invalid, err, "the file is damaged: its end, where the manifest is, is not what was written")
	}
	if err != nil {
		return nil, err
	}
	a := &Reader{chunks: chunks}
	return a, a.Restart()
}

// Restart begins again, after the head.
func (a *Reader) Restart() error {
	*a = Reader{chunks: a.chunks, in: bufio.NewReaderSize(a.chunks.Reader(), chunkSize), at: "its head", buf: a.buf,
		tables: map[string]*Sum{}, files: map[string]*Sum{}}
	kind, b, err := a.part()
	if err != nil {
		return err
	}
	if kind != kindHead {
		return a.damaged(nil)
	}
	a.head, a.at = append(json.RawMessage(nil), b...), "what follows its head"
	return nil
}

// Head gives what the writer said of itself.
func (a *Reader) Head(v any) error {
	if err := json.Unmarshal(a.head, v); err != nil {
		return fault.Wrap(fault.Invalid, err, "the head of the file cannot be read")
	}
	return nil
}

// Manifest gives the manifest once Next has said io.EOF.
func (a *Reader) Manifest() *Manifest { return a.man }

// damaged names the part that could not be read.
func (a *Reader) damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.Wrap(fault.Invalid, err, "the file was cut: it ends in %s, and its manifest is missing", a.at)
	}
	if err != nil && !errors.Is(err, secret.ErrCorrupt) {
		return fmt.Errorf("read %s: %w", a.at, err) // the disk, not the file
	}
	return fault.Wrap(fault.Invalid, err, "the file is damaged: the first part that is not what was written is %s", a.at)
}

// part reads one part; the bytes are good until the next.
func (a *Reader) part() (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(a.in, head[:]); err != nil {
		return 0, nil, a.damaged(err)
	}
	n := int(binary.BigEndian.Uint32(head[1:]))
	if n > MaxPart {
		return 0, nil, a.damaged(nil)
	}
	// A length that lies is found out before memory is taken for it.
	a.buf = a.buf[:0]
	for len(a.buf) < n {
		old := len(a.buf)
		step := min(n-old, 1<<20)
		if cap(a.buf) < old+step {
			a.buf = append(make([]byte, 0, min(2*(old+step), n)), a.buf...)
		}
		a.buf = a.buf[:old+step]
		if _, err := io.ReadFull(a.in, a.buf[old:]); err != nil {
			return 0, nil, a.damaged(noEOF(err))
		}
	}
	return head[0], a.buf, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Next gives the next item, and io.EOF once everything was read and is what the manifest says.
func (a *Reader) Next() (Item, error) {
	if a.man != nil {
		return Item{}, io.EOF
	}
	kind, b, err := a.part()
	if err != nil {
		return Item{}, err
	}
	switch {
	case kind == kindTable && a.file == nil:
		return a.beginTable(b)
	case kind == kindRow && a.table != nil:
		a.rows.Add(b)
		a.at = fmt.Sprintf("the table %s after its row %d", a.table.Name, a.rows.n)
		return Item{Row: b}, nil
	case kind == kindFile && a.file == nil:
		return a.beginFile(b)
	case kind == kindData && a.file != nil:
		_, _ = a.hash.Write(b) // never fails
		a.size += int64(len(b))
		return Item{Data: b}, nil
	case kind == kindEnd && a.file != nil:
		return a.endFile(b)
	case kind == kindManifest && a.file == nil:
		return Item{}, a.finish(b)
	}
	return Item{}, a.damaged(nil)
}

func (a *Reader) beginTable(b []byte) (Item, error) {
	t := &Table{}
	if json.Unmarshal(b, t) != nil || a.tables[t.Name] != nil || len(t.Columns) == 0 || len(t.Columns) != len(t.Types) {
		return Item{}, a.damaged(nil)
	}
	a.table, a.rows = t, &Sum{}
	a.tables[t.Name] = a.rows
	a.at = "the table " + t.Name
	return Item{Table: t}, nil
}

func (a *Reader) beginFile(b []byte) (Item, error) {
	f := &File{}
	if json.Unmarshal(b, f) != nil {
		return Item{}, a.damaged(nil)
	}
	a.table, a.file, a.hash, a.size, a.at = nil, f, sha256.New(), 0, f.named()
	return Item{File: f}, nil
}

func (a *Reader) endFile(b []byte) (Item, error) {
	var end fileEnd
	h := [sha256.Size]byte(a.hash.Sum(nil))
	if json.Unmarshal(b, &end) != nil || end.Bytes != a.size || end.SHA256 != hex.EncodeToString(h[:]) {
		return Item{}, a.damaged(nil)
	}
	if a.files[a.file.Kind] == nil {
		a.files[a.file.Kind] = &Sum{}
	}
	a.files[a.file.Kind].AddHash(h, a.size)
	a.at, a.file = "what follows "+a.file.named(), nil
	return Item{End: true}, nil
}

// finish compares everything with the manifest.
func (a *Reader) finish(b []byte) error {
	a.at = "the manifest"
	m := &Manifest{}
	if json.Unmarshal(b, m) != nil {
		return a.damaged(nil)
	}
	for name, got := range totals(a.tables) {
		if m.Tables[name] != got {
			a.at = "the table " + name
			return a.damaged(nil)
		}
	}
	if !maps.Equal(m.Tables, totals(a.tables)) || !maps.Equal(m.Files, totals(a.files)) {
		return a.damaged(nil)
	}
	if _, err := a.in.ReadByte(); !errors.Is(err, io.EOF) || a.chunks.Truncated() {
		return a.damaged(nil)
	}
	a.man = m
	return io.EOF
}
