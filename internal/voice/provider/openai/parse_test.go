package openai

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: a\n\ndata: b\r\n\r\n: c\n\n"))
	f.Add([]byte("\xef\xbb\xbfdata:x\rdata:y\r\r"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ev := newEvents(bytes.NewReader(b))
		for n := 0; ; n++ {
			data, err := ev.next()
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, errEventSize) {
					t.Fatal(err)
				}
				return
			}
			if n > len(b) || len(data) > len(b) {
				t.Fatal("more came out than went in")
			}
		}
	})
}

func FuzzWAVHead(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00data\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := readWAVHead(bytes.NewReader(b)); err == nil && (h.rate < 8000 || h.channels < 1) {
			t.Fatalf("%+v", h)
		}
	})
}

func TestEvents(t *testing.T) {
	ev := newEvents(bytes.NewReader([]byte("\xef\xbb\xbfdata: a\ndata:b\n\nevent: x\nid: 1\n\n: note\rdata: c\r\rdata: unfinished")))
	for _, want := range []string{"a\nb", "c"} {
		if got, err := ev.next(); err != nil || string(got) != want {
			t.Fatalf("%q %v, want %q", got, err, want)
		}
	}
	if _, err := ev.next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func TestNormalise(t *testing.T) {
	for in, want := range map[string]string{
		"http://h:11434":           "http://h:11434/v1",
		"http://h:11434/":          "http://h:11434/v1",
		" https://h/v1/ ":          "https://h/v1",
		"https://h/openai":         "https://h/openai/v1",
		"https://h/v1beta/openai/": "https://h/v1beta/openai",
	} {
		if got, err := normalise(in); err != nil || got != want {
			t.Errorf("%q gave %q %v, want %q", in, got, err, want)
		}
	}
}
