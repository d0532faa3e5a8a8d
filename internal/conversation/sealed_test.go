package conversation

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

var fileKey = envelope.FileKey{ID: envelope.KeyID{1, 2, 3}, Key: bytes.Repeat([]byte{7}, 32)}

const sealedHead = len(sealedMagic) + keyIDBytes + 1 + len(orgA) + saltBytes

// findFileKey knows fileKey, of orgA.
func findFileKey(h fileHead) ([]byte, error) {
	if h.legacy || h.key != fileKey.ID || h.org != orgA {
		return nil, envelope.ErrNoKey
	}
	return fileKey.Key, nil
}

// sealedFile makes a file of some chunks.
func sealedFile(t testing.TB, purpose string, chunks ...string) []byte {
	t.Helper()
	s, err := newSealer(fileKey, orgA, purpose)
	must(t, err)
	b := s.head
	for _, c := range chunks {
		b = s.seal(b, []byte(c))
		s.index++
	}
	return b
}

func readSealed(b []byte, purpose string) (chunks []string, err error) {
	u, err := openSealed(bytes.NewReader(b), findFileKey, purpose)
	if err != nil {
		return nil, err
	}
	for {
		c, err := u.read()
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, string(c))
	}
}

func TestSealedFilesReadUpToTheirLastWholeChunk(t *testing.T) {
	b := sealedFile(t, "p", "one", "two", "three")
	ends := []int{sealedHead, sealedHead + sealedOverhead + 3, sealedHead + 2*sealedOverhead + 6, len(b)}
	for n := range len(b) + 1 {
		whole, atEnd := -1, false
		for i, e := range ends {
			if n >= e {
				whole, atEnd = i, n == e
			}
		}
		chunks, err := readSealed(b[:n], "p")
		want := errTorn
		if atEnd {
			want = io.EOF
		}
		if len(chunks) != max(whole, 0) || !errors.Is(err, want) {
			t.Errorf("%d bytes: %v %v", n, chunks, err)
		}
	}
}

func TestSealedFilesNoticeEveryChange(t *testing.T) {
	b := sealedFile(t, "p", "one", "two")
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		chunks, err := readSealed(bad, "p")
		if errors.Is(err, io.EOF) || (len(chunks) == 2 && i < len(b)) {
			t.Errorf("byte %d changed: %v %v", i, chunks, err)
		}
	}
	one, two := sealedHead+sealedOverhead+3, sealedHead+2*(sealedOverhead+3)
	swapped := append(append(append([]byte{}, b[:sealedHead]...), b[one:two]...), b[sealedHead:one]...)
	if chunks, err := readSealed(swapped, "p"); len(chunks) != 0 || !errors.Is(err, errForged) {
		t.Errorf("swapped chunks: %v %v", chunks, err)
	}
	if chunks, err := readSealed(b, "another call"); len(chunks) != 0 || !errors.Is(err, errForged) {
		t.Errorf("another call's name: %v %v", chunks, err)
	}
	if bytes.Contains(b, []byte("one")) {
		t.Error("it is readable")
	}
}

func FuzzUnseal(f *testing.F) {
	f.Add(sealedFile(f, "p", "one", "two"))
	f.Add([]byte("PLY1"))
	f.Add([]byte("PLY2"))
	f.Add(append(sealedFile(f, "p"), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := readSealed(b, "p"); err == nil {
			t.Error("it never ends")
		}
	})
}

// FuzzLogChunk reads chunks of an event log whose content is anything.
func FuzzLogChunk(f *testing.F) {
	f.Add(logChunk(nil, 1, 2, []byte("{\"seq\":1}\n{\"seq\":2}\n")), int64(1))
	f.Add([]byte{0xff, 0xff}, int64(0))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, content []byte, after int64) {
		head, err := json.Marshal(logHead{Version: 1})
		must(t, err)
		b := sealedFile(t, "log c", string(head), string(content))
		r, err := openLogFile(bytes.NewReader(b), findFileKey, "c")
		must(t, err)
		_ = r.each(after, func(line []byte) (bool, error) {
			_, _, err := decodeEntry(line, []event.EntryKind{event.EntryDTMF})
			return err == nil, nil
		})
	})
}

// FuzzRecording opens recordings whose head and chunks are anything, and reads them as WAV.
func FuzzRecording(f *testing.F) {
	head, err := json.Marshal(recHead{Version: 1, Format: formatMuLaw, Rate: 8000, ChunkFrames: chunkFrames})
	must(f, err)
	f.Add(string(head), string(bytes.Repeat([]byte{0xff}, 25*320)), "x")
	f.Add(string(head), string(bytes.Repeat([]byte{0xff}, 320)), "")
	f.Add(`{"format":3,"rate":16000,"chunkFrames":25}`, "", "")
	f.Fuzz(func(t *testing.T, head, chunk, rest string) {
		b := append(sealedFile(t, "rec c", head, chunk), rest...)
		r, err := openRecFile(bytes.NewReader(b), int64(len(b)), findFileKey, "c")
		if err != nil {
			return
		}
		w := newWAV(r, LaneBoth)
		n, err := io.Copy(io.Discard, w)
		if err == nil && n != w.size {
			t.Errorf("%d bytes of %d", n, w.size)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{5, "id"}.String())
	f.Add("LjEu")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(s)
		if err != nil || s == "" {
			return
		}
		if again, err := parseCursor(c.String()); err != nil || again != c {
			t.Errorf("%+v became %+v: %v", c, again, err)
		}
	})
}
