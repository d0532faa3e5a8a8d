package archive

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/parley-voice/parley/internal/platform/secret"
)

// Writer writes an archive. It is for one goroutine. After an error it writes no more.
type Writer struct {
	out    *bufio.Writer
	chunks *secret.ChunkWriter
	tables map[string]*Sum
	files  map[string]*Sum
	table  *Sum
	file   *File
	hash   hash.Hash
	size   int64
	err    error
}

// Create begins an archive with its head.
func Create(w io.Writer, passphrase string, head any) (*Writer, error) {
	if err := CheckPassphrase(passphrase); err != nil {
		return nil, err
	}
	front := make([]byte, keyedSize, frontSize)
	copy(front, magic)
	front[len(magic)] = version
	at := len(magic) + 1
	binary.BigEndian.PutUint32(front[at:], argonTime)
	binary.BigEndian.PutUint32(front[at+4:], argonMemory)
	front[at+8] = argonLanes
	_, _ = rand.Read(front[keyedSize-saltSize:]) // never fails
	key, check, err := keyOf(front, passphrase)
	if err != nil {
		return nil, err
	}
	a := &Writer{out: bufio.NewWriterSize(w, chunkSize), tables: map[string]*Sum{}, files: map[string]*Sum{}}
	if _, err := a.out.Write(append(front, check...)); err != nil {
		return nil, err
	}
	if a.chunks, err = key.NewChunkWriter(a.out, secret.ChunkConfig{Name: chunkName(front), ChunkSize: chunkSize, Uniform: true}); err != nil {
		return nil, err
	}
	a.json(kindHead, head)
	return a, a.err
}

func (a *Writer) part(kind byte, b []byte) {
	if a.err != nil {
		return
	}
	if len(b) > MaxPart {
		a.err = fmt.Errorf("archive: a part of %d bytes; at most %d", len(b), MaxPart)
		return
	}
	var head [5]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(b)))
	if _, a.err = a.chunks.Write(head[:]); a.err == nil {
		_, a.err = a.chunks.Write(b)
	}
}

func (a *Writer) json(kind byte, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		a.err = errors.Join(a.err, err)
		return
	}
	a.part(kind, b)
}

// Table begins a table. Each name comes once.
func (a *Writer) Table(t Table) error {
	if a.tables[t.Name] != nil || a.file != nil {
		return fmt.Errorf("archive: table %s begins within something else, or again", t.Name)
	}
	a.table = &Sum{}
	a.tables[t.Name] = a.table
	a.json(kindTable, t)
	return a.err
}

// Row adds a row to the table.
func (a *Writer) Row(b []byte) error {
	if a.table == nil {
		return errors.New("archive: a row without a table")
	}
	a.table.Add(b)
	a.part(kindRow, b)
	return a.err
}

// Begin begins a file; Data follows, and End.
func (a *Writer) Begin(f File) error {
	if a.file != nil {
		return errors.New("archive: a file within a file")
	}
	a.table, a.file, a.hash, a.size = nil, &f, sha256.New(), 0
	a.json(kindFile, f)
	return a.err
}

// Data adds bytes to the file. What is one Data here is one when it is read.
func (a *Writer) Data(b []byte) error {
	if a.file == nil {
		return errors.New("archive: data without a file")
	}
	_, _ = a.hash.Write(b) // never fails
	a.size += int64(len(b))
	a.part(kindData, b)
	return a.err
}

// Write implements io.Writer for the file that was begun.
func (a *Writer) Write(b []byte) (int, error) {
	if err := a.Data(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// End ends the file.
func (a *Writer) End() error {
	if a.file == nil {
		return errors.New("archive: the end of no file")
	}
	h := [sha256.Size]byte(a.hash.Sum(nil))
	if a.files[a.file.Kind] == nil {
		a.files[a.file.Kind] = &Sum{}
	}
	a.files[a.file.Kind].AddHash(h, a.size)
	a.json(kindEnd, fileEnd{a.size, hex.EncodeToString(h[:])})
	a.file = nil
	return a.err
}

// Close writes the manifest, and what the writer adds to it, and ends the archive. It does not close the underlying writer.
func (a *Writer) Close(extra any) (Manifest, error) {
	if a.file != nil {
		return Manifest{}, errors.New("archive: closed within a file")
	}
	more, err := json.Marshal(extra)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Tables: totals(a.tables), Files: totals(a.files), Extra: more}
	a.json(kindManifest, m)
	if a.err == nil {
		a.err = a.chunks.Close()
	}
	if a.err == nil {
		a.err = a.out.Flush()
	}
	return m, a.err
}

func totals(sums map[string]*Sum) map[string]Total {
	out := make(map[string]Total, len(sums))
	for name, s := range sums {
		out[name] = s.Total()
	}
	return out
}
