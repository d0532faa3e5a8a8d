package local

import (
	"testing"

	"github.com/parley-voice/parley/internal/media/audio"
)

func resampled(t testing.TB, pcm []int16, from, to int) []int16 {
	r, err := audio.NewResampler(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return r.Process(nil, pcm)
}
