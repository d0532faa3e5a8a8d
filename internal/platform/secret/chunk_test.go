package secret

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// write makes a chunk file of parts, flushed after each unless uniform.
func write(t testing.TB, c ChunkConfig, parts ...[]byte) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	w, err := testKey(t, 1).NewChunkWriter(&out, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if n, err := w.Write(p); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
		if !c.Uniform {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func open(t testing.TB, file []byte, name string) (*ChunkReader, error) {
	t.Helper()
	return testKey(t, 1).NewChunkReader(bytes.NewReader(file), int64(len(file)), name)
}

func TestChunksRoundTrip(t *testing.T) {
	data := pattern(1000)
	for _, uniform := range []bool{false, true} {
		for _, n := range []int{0, 1, 99, 100, 101, 200, 999, 1000} {
			file := write(t, ChunkConfig{Name: "f", ChunkSize: 100, Uniform: uniform}, data[:n/3], data[n/3:n])
			r, err := open(t, file.Bytes(), "f")
			if err != nil {
				t.Fatalf("uniform %v, %d bytes: %v", uniform, n, err)
			}
			got, err := io.ReadAll(r.Reader())
			if err != nil || !bytes.Equal(got, data[:n]) || r.Truncated() || r.Size() != int64(n) {
				t.Errorf("uniform %v, %d bytes: got %d, truncated %v, %v", uniform, n, len(got), r.Truncated(), err)
			}
			for off := 0; off < n; off += 37 {
				p := make([]byte, min(130, n-off))
				if _, err := r.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, data[off:off+len(p)]) {
					t.Errorf("uniform %v, %d bytes: ReadAt %d: %v", uniform, n, off, err)
				}
			}
			if _, err := r.ReadAt(make([]byte, 1), int64(n)); !errors.Is(err, io.EOF) {
				t.Errorf("past the end: %v", err)
			}
		}
	}
}

// A crash may cut the file anywhere: all whole chunks must come out, and nothing else.
func TestChunksCutAnywhere(t *testing.T) {
	data := pattern(500)
	for _, uniform := range []bool{false, true} {
		file := write(t, ChunkConfig{Name: "f", ChunkSize: 100, Uniform: uniform}, data[:250], data[250:]).Bytes()
		for cut := range file {
			r, err := open(t, file[:cut], "f")
			if cut < headerSize {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("cut to %d: %v", cut, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("uniform %v, cut to %d: %v", uniform, cut, err)
			}
			got, err := io.ReadAll(r.Reader())
			if err != nil || !r.Truncated() || !bytes.Equal(got, data[:len(got)]) {
				t.Fatalf("uniform %v, cut to %d: %d bytes, truncated %v, %v", uniform, cut, len(got), r.Truncated(), err)
			}
			if lost := cut - headerSize - len(got); lost > 100+6*chunkOverhead {
				t.Fatalf("uniform %v, cut to %d: only %d bytes came out", uniform, cut, len(got))
			}
		}
	}
}

// A machine that loses power may leave a tail of zeros, or a last chunk that never reached the disk.
func TestChunksWithATailThatNeverReachedTheDisk(t *testing.T) {
	data := pattern(300)
	file := write(t, ChunkConfig{Name: "f"}, data[:100], data[100:200], data[200:]).Bytes()
	whole := headerSize + 2*(100+chunkOverhead)
	zeros := append(bytes.Clone(file[:whole]), make([]byte, 200)...)
	half := append(bytes.Clone(file[:whole+50]), make([]byte, 100+chunkOverhead-50)...)
	for name, f := range map[string][]byte{"zeros": zeros, "half a chunk": half} {
		r, err := open(t, f, "f")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := io.ReadAll(r.Reader()); err != nil || !bytes.Equal(got, data[:200]) || !r.Truncated() {
			t.Errorf("%s: %d bytes, truncated %v, %v", name, len(got), r.Truncated(), err)
		}
	}
}

func TestChunksNoticeEveryChange(t *testing.T) {
	data := pattern(450)
	for _, uniform := range []bool{false, true} {
		file := write(t, ChunkConfig{Name: "f", ChunkSize: 100, Uniform: uniform}, data).Bytes()
		for i := range file {
			bad := bytes.Clone(file)
			bad[i] ^= 0x81
			r, err := open(t, bad, "f")
			if err != nil {
				continue
			}
			if got, err := io.ReadAll(r.Reader()); err == nil && (!r.Truncated() || !bytes.HasPrefix(data, got)) {
				t.Errorf("uniform %v: byte %d altered and read as whole", uniform, i)
			}
		}
	}
}

func TestChunksNoticeSwapsAndStrangers(t *testing.T) {
	const chunk = 100 + chunkOverhead
	data := pattern(400)
	a := write(t, ChunkConfig{Name: "f", ChunkSize: 100}, data).Bytes()
	b := write(t, ChunkConfig{Name: "f", ChunkSize: 100}, data).Bytes()
	first, second := a[headerSize:headerSize+chunk], a[headerSize+chunk:headerSize+2*chunk]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	rest := a[headerSize+2*chunk:]
	for name, f := range map[string][]byte{
		"swapped":             join(a[:headerSize], second, first, rest),
		"left out":            join(a[:headerSize], second, rest),
		"repeated":            join(a[:headerSize], first, first, second, rest),
		"from another file":   join(a[:headerSize], b[headerSize:headerSize+chunk], second, rest),
		"other file's header": join(b[:headerSize], first, second, rest),
		"more after the last": join(a, first),
	} {
		r, err := open(t, f, "f")
		if err == nil {
			_, err = io.ReadAll(r.Reader())
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := open(t, a, "g"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("opened under another name: %v", err)
	}
	if _, err := testKey(t, 2).NewChunkReader(bytes.NewReader(a), int64(len(a)), "f"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("opened with another key: %v", err)
	}
}

func TestChunkWriterErrors(t *testing.T) {
	if _, err := testKey(t, 1).NewChunkWriter(io.Discard, ChunkConfig{ChunkSize: MaxChunk + 1}); err == nil {
		t.Error("a chunk too large was taken")
	}
	full := &limited{left: headerSize + 50}
	w, err := testKey(t, 1).NewChunkWriter(full, ChunkConfig{ChunkSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(pattern(100)); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
	full.left = 1 << 20 // there is room again, but the file has a torn chunk
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close after an error: %v", err)
	}
	w, err = testKey(t, 1).NewChunkWriter(io.Discard, ChunkConfig{Uniform: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err == nil {
		t.Error("Flush of a uniform file")
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Errorf("Close twice: %v", err)
	}
	if _, err := w.Write([]byte{1}); err == nil {
		t.Error("Write after Close")
	}
}

var errFull = errors.New("disk full")

type limited struct{ left int }

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errFull
	}
	l.left -= len(p)
	return len(p), nil
}

func FuzzChunkReader(f *testing.F) {
	data := pattern(300)
	for _, c := range []ChunkConfig{{Name: "f", ChunkSize: 100}, {Name: "f", ChunkSize: 100, Uniform: true}} {
		file := write(f, c, data).Bytes()
		f.Add(file)
		f.Add(file[:len(file)-30])
	}
	f.Add([]byte(chunkMagic))
	k := testKey(f, 1)
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := k.NewChunkReader(bytes.NewReader(file), int64(len(file)), "f")
		if err != nil {
			return
		}
		got, err := io.ReadAll(r.Reader())
		if err == nil && int64(len(got)) != r.Size() {
			t.Errorf("%d bytes of %d", len(got), r.Size())
		}
		if err == nil && len(got) > 0 && !bytes.HasPrefix(data, got) {
			t.Error("decrypted what was never written")
		}
	})
}

func BenchmarkChunkWriter(b *testing.B) {
	// One second of stereo G.711, flushed twice.
	half := pattern(8000)
	w, err := testKey(b, 1).NewChunkWriter(io.Discard, ChunkConfig{Name: "f"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(16000)
	for b.Loop() {
		for range 2 {
			_, _ = w.Write(half)
			_ = w.Flush()
		}
	}
}
