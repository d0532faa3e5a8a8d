package local

import (
	"context"

	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/utterance"
)

// Open implements provider.STT.
func (e *Engine) Open(ctx context.Context, c provider.STTConfig) (provider.STTStream, error) {
	if e.programs[pocketsphinx] == "" || !e.model {
		return nil, fail(provider.ServiceSTT, "refused", true, nil, "the %s is not installed; install pocketsphinx and pocketsphinx-en-us", RecogniserName)
	}
	s, err := utterance.New(ctx, utterance.Config{Vendor: Vendor, Rate: c.Rate, Log: e.c.Log,
		Recognise: func(ctx context.Context, u utterance.Utterance) (string, float64, error) {
			h, err := e.recognise(ctx, u.PCM, u.Rate, u.Expect, u.ID)
			return h.text, h.confidence, err
		}})
	if err != nil {
		return nil, err
	}
	return s, nil
}
