package audio

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestWAVOfEveryEncodingBySox(t *testing.T) {
	dir := t.TempDir()
	want := tone(16000, 16000, 500, 12000)
	in := filepath.Join(dir, "in.raw")
	if err := os.WriteFile(in, rawBytes(want), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		encoding, bits, channels string
		says                     string
		minSNR                   float64
	}{
		{"unsigned", "8", "1", "pcm", 30}, {"signed", "16", "1", "pcm", 90}, {"signed", "16", "2", "pcm", 90},
		{"signed", "24", "1", "pcm", 70}, {"signed", "32", "6", "pcm", 70}, {"float", "32", "1", "float", 70},
		{"float", "64", "1", "float", 70}, {"mu-law", "8", "1", "mu-law", 30}, {"a-law", "8", "1", "a-law", 30},
	} {
		t.Run(tc.encoding+tc.bits+"x"+tc.channels, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.wav")
			cmd := exec.CommandContext(t.Context(), "sox", "-D", "-t", "raw", "-r", "16000", "-e", "signed", "-b", "16", "-c", "1", in,
				"-e", tc.encoding, "-b", tc.bits, "-c", tc.channels, out)
			if b, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, b)
			}
			f, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, info, err := ReadWAV(iotest.OneByteReader(f), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if info.Encoding != tc.says || info.Rate != 16000 || len(got) != len(want) || info.Frames != int64(len(want)) {
				t.Errorf("%+v with %d samples", info, len(got))
			}
			if s := snr(want, got); s < tc.minSNR {
				t.Errorf("SNR %.1f dB", s)
			}
		})
	}
}

// TestWAVFromAPipe reads what espeak-ng writes to a pipe, whose length fields are made up.
func TestWAVFromAPipe(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "espeak-ng", "-v", "en-us", "--stdout", "--", "hello").Output()
	if err != nil {
		t.Fatal(err)
	}
	pcm, info, err := ReadWAV(bytes.NewReader(out), 1<<20)
	if err != nil || info.Frames != -1 || info.Rate != 22050 || len(pcm) != (len(out)-44)/2 {
		t.Errorf("%+v, %d samples of %d bytes: %v", info, len(pcm), len(out), err)
	}
}

func TestWAVWriterRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.wav")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := NewWAVWriter(f, 8000, 2)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := w.Write([]int16{100, 300, -32768, -32768}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "soxi", "-s", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "20") {
		t.Errorf("soxi says %s: %v", out, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	pcm, info, err := ReadWAV(f, 100)
	if err != nil || info.Frames != 20 || len(pcm) != 20 || pcm[0] != 200 || pcm[1] != -32768 {
		t.Errorf("%+v %v %v", info, pcm, err)
	}
	if _, err := NewWAVWriter(io.Discard, 8000, 0); err == nil {
		t.Error("no channels were taken")
	}
	if w, err := NewWAVWriter(new(bytes.Buffer), 8000, 1); err != nil || w.Close() != nil {
		t.Error("a destination that cannot seek was refused")
	}
}

func TestWAVErrors(t *testing.T) {
	good := append(WAVHeader(8000, 1, 4), 0, 0, 1, 0, 2, 0, 3, 0)
	change := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	for name, tc := range map[string]struct {
		b    []byte
		says string
	}{
		"empty":          {nil, "not a WAV"},
		"text":           {[]byte("hello, this is no sound"), "not a WAV"},
		"cut in header":  {good[:30], "cut short"},
		"no samples":     {good[:36], "ends before"},
		"unknown format": {change(20, 0x55), "not supported"},
		"12 bits":        {change(34, 12), "not supported"},
		"no channels":    {change(22, 0), "channels"},
		"rate 1":         {change(24, 1, 0, 0, 0), "sample rate"},
		"long chunk":     {change(12, 'L', 'I', 'S', 'T', 0, 0, 0, 0x40), "too long"},
		"short format":   {change(16, 4, 0, 0, 0), "too short"},
		"samples first":  {append(bytes.Clone(good[:12]), good[36:]...), "before the format"},
	} {
		if _, _, err := ReadWAV(bytes.NewReader(tc.b), 100); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := ReadWAV(bytes.NewReader(good), 3); err == nil {
		t.Error("more samples than allowed were read")
	}
	broken := errors.New("broken")
	if _, _, err := ReadWAV(io.MultiReader(bytes.NewReader(good[:46]), iotest.ErrReader(broken)), 100); !errors.Is(err, broken) {
		t.Errorf("a broken source: %v", err)
	}
	if pcm, _, err := ReadWAV(bytes.NewReader(good[:49]), 100); err != nil || len(pcm) != 2 {
		t.Errorf("a file cut short: %d samples, %v", len(pcm), err)
	}
}

func FuzzWAV(f *testing.F) {
	f.Add(append(WAVHeader(8000, 1, 4), 0, 0, 1, 0, 2, 0, 3, 0))
	f.Add(append(WAVHeader(44100, 2, -1), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		pcm, info, err := ReadWAV(bytes.NewReader(b), 1<<16)
		if err == nil && (info.Rate < 1000 || info.Channels < 1 || len(pcm) > len(b)) {
			t.Errorf("%+v with %d samples from %d bytes", info, len(pcm), len(b))
		}
	})
}
