package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const passphrase = "correct horse battery"

type head struct{ Name string }

// sample writes an archive with a table and a file of several chunks.
func sample(t testing.TB) ([]byte, archive.Manifest) {
	t.Helper()
	var b bytes.Buffer
	w, err := archive.Create(&b, passphrase, head{"sample"})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(err)
	check(w.Table(archive.Table{Name: "things", Columns: []string{"id"}, Types: []string{"TEXT"}, Key: []string{"id"}}))
	for i := range 1000 {
		check(w.Row(fmt.Appendf(nil, "row %d", i)))
	}
	check(w.Table(archive.Table{Name: "empty", Columns: []string{"id"}, Types: []string{"TEXT"}}))
	check(w.Begin(archive.File{Kind: "sound", Name: "one"}))
	for range 20 {
		check(w.Data(bytes.Repeat([]byte("la"), 30_000)))
	}
	check(w.End())
	check(w.Begin(archive.File{Kind: "sound", Name: "two", Gone: true}))
	check(w.End())
	m, err := w.Close(map[string]string{"at": "the end"})
	check(err)
	return b.Bytes(), m
}

// read goes through an archive and counts what it gives.
func read(b []byte, pass string) (rows, data int, m *archive.Manifest, err error) {
	r, err := archive.Open(bytes.NewReader(b), int64(len(b)), pass)
	if err != nil {
		return 0, 0, nil, err
	}
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, data, r.Manifest(), nil
		}
		if err != nil {
			return rows, data, nil, err
		}
		if it.Row != nil {
			rows++
		}
		data += len(it.Data)
	}
}

func TestArchive(t *testing.T) {
	b, want := sample(t)
	rows, data, m, err := read(b, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if rows != 1000 || data != 20*60_000 || m.Tables["things"] != want.Tables["things"] || m.Tables["empty"].Count != 0 || m.Files["sound"].Count != 2 ||
		string(m.Extra) != `{"at":"the end"}` {
		t.Errorf("%d rows, %d bytes, %+v", rows, data, m)
	}
	r, err := archive.Open(bytes.NewReader(b), int64(len(b)), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	var h head
	if err := r.Head(&h); err != nil || h.Name != "sample" {
		t.Errorf("head %+v, %v", h, err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(); err != nil {
		t.Fatal(err)
	}
	if it, err := r.Next(); err != nil || it.Table == nil || it.Table.Name != "things" {
		t.Errorf("after a restart: %+v, %v", it, err)
	}
	if bytes.Contains(b, []byte("things")) || bytes.Contains(b, []byte("lalala")) {
		t.Error("the file is not encrypted")
	}
	if again, _ := sample(t); bytes.Equal(again, b) {
		t.Error("two files are equal: the salt is not random")
	}
}

func TestArchiveRefuses(t *testing.T) {
	b, _ := sample(t)
	changed := func(at int) []byte {
		c := bytes.Clone(b)
		c[at] ^= 1
		return c
	}
	for _, c := range []struct {
		name string
		b    []byte
		pass string
		says string
	}{
		{"another passphrase", b, passphrase + "s", "passphrase"},
		{"nothing", nil, passphrase, "no export"},
		{"something else", bytes.Repeat([]byte("x"), 1000), passphrase, "no export"},
		{"another version", changed(7), passphrase, "version"},
		{"the salt", changed(20), passphrase, "passphrase"},
		{"argon2id without end", append(append(append([]byte{}, b[:8]...), 0xff, 0xff, 0xff, 0xff), b[12:]...), passphrase, "argon2id"},
		{"changed at its beginning", changed(200), passphrase, "its head"},
		{"changed in its middle", changed(len(b) / 2), passphrase, `the file sound "one"`},
		{"changed at its end", changed(len(b) - 10), passphrase, "its end"},
		{"cut in its middle", b[:len(b)/2], passphrase, `ends in the file sound "one"`},
		{"cut by a byte", b[:len(b)-1], passphrase, "the file was cut"},
		{"something follows", append(bytes.Clone(b), 1, 2, 3), passphrase, ""},
	} {
		_, _, m, err := read(c.b, c.pass)
		if err == nil || m != nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if !fault.Is(err, fault.Invalid) && c.says != "" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := archive.Create(io.Discard, "short", nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("a short passphrase: %v", err)
	}
}

// The sum of things does not depend on their order, and notices each change.
func TestSum(t *testing.T) {
	sum := func(things ...string) archive.Total {
		var s archive.Sum
		for _, x := range things {
			s.Add([]byte(x))
		}
		return s.Total()
	}
	if sum("a", "b", "c") != sum("c", "a", "b") {
		t.Error("the order matters")
	}
	for _, other := range [][]string{{"a", "b"}, {"a", "b", "b"}, {"a", "b", "c", "c"}, {"a", "b", "d"}, nil} {
		if sum(other...) == sum("a", "b", "c") {
			t.Errorf("%v is taken for a, b, c", other)
		}
	}
}

// What a file holds never makes the reader panic or take memory that the file does not have.
func FuzzReader(f *testing.F) {
	b, _ := sample(f)
	f.Add(b[36:200])
	f.Add([]byte("H\x00\x00\x00\x02{}T\xff\xff\xff\xff"))
	f.Add([]byte("H\x00\x00\x00\x02{}T\x00\x00\x00\x2f" + `{"name":"x","columns":["id"],"types":["TEXT"]}` + " R\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, parts []byte) {
		r, err := archive.OpenPlain(parts)
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) && !fault.Is(err, fault.Invalid) {
			t.Errorf("%v", err)
		}
	})
}
