package local

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// How much worse per frame an utterance may fit a grammar than free phones and still count as said. Measured
// with the grammars of the front desk, four voices, 38 phrases of theirs and 12 sentences that are not
// (recognise_test.go has a part of it): of what was said right these accept 95 in 100, of what was not meant
// they refuse 92. Telephone sound lacks the upper half of what the recogniser learned from, and fits worse.
const (
	threshold8k  = 36.0
	threshold16k = 32.0
)

// threshold is a grammar's own where it was calibrated, otherwise the general one.
func (e *Engine) threshold(g *grammar, rate int) float64 {
	if e.c.Threshold > 0 {
		return e.c.Threshold
	}
	limit := threshold8k
	if own := g.limit.Load(); own != nil {
		limit = *own
	}
	if rate < recogniserRate {
		return limit
	}
	return limit - threshold8k + threshold16k
}

// workspace makes a private directory with an utterance, and a grammar if there is one.
func (e *Engine) workspace(raw []byte, g *grammar) (string, error) {
	noRoom := func(err error) error {
		return fail(provider.ServiceSTT, "failed", false, err, "there is no room for an utterance's files")
	}
	dir, err := os.MkdirTemp(e.dir, "said-")
	if err != nil {
		return "", noRoom(err)
	}
	files := map[string][]byte{"u.raw": raw, "ctl": []byte("u\n")}
	if g != nil {
		files["g.jsgf"], files["g.dict"] = g.jsgf, g.dict
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return "", errors.Join(noRoom(err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}

const (
	recogniserRate = 16000
	frameSamples   = recogniserRate / 100 // the recogniser's frames are 10 ms
	margin         = recogniserRate / 10  // noise before and after an utterance
	leastSpeech    = recogniserRate / 8   // shorter sounds are no words
)

// heard is what came of an utterance.
type heard struct {
	text       string
	confidence float64
	margin     float64 // how much worse a frame fits the grammar than free phones
}

// recognise understands one utterance of what x allows. Nothing understood is no error.
func (e *Engine) recognise(ctx context.Context, pcm []int16, rate int, x provider.Expect, id int) (heard, error) {
	if x.Grammar == "" {
		return heard{}, fail(provider.ServiceSTT, "refused", true, nil,
			"the %s understands the menus of flows only, not free speech; choose another vendor for STT under Models", RecogniserName)
	}
	if e.programs[pocketsphinx] == "" || !e.model {
		return heard{}, fail(provider.ServiceSTT, "refused", true, nil, "the %s is not installed; install pocketsphinx and pocketsphinx-en-us", RecogniserName)
	}
	pcm, err := upsample(pcm, rate)
	if err != nil {
		return heard{}, err
	}
	if pcm = trim(pcm, recogniserRate); len(pcm) < leastSpeech {
		return heard{}, nil
	}
	g, err := e.prepare(ctx, x)
	if err != nil {
		return heard{}, err
	}
	raw := noisy(pcm, margin, rand.New(rand.NewPCG(e.c.Seed, uint64(id)))) //nolint:gosec // noise, not secrets
	dir, err := e.workspace(raw, g)
	if err != nil {
		return heard{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer e.used(g)
	return e.decide(ctx, dir, len(raw)/2/frameSamples, e.threshold(g, rate))
}

func upsample(pcm []int16, rate int) ([]int16, error) {
	if rate == recogniserRate {
		return pcm, nil
	}
	r, err := audio.NewResampler(rate, recogniserRate)
	if err != nil {
		return nil, fail(provider.ServiceSTT, "refused", true, err, "audio of %d samples a second cannot be understood", rate)
	}
	return r.Process(nil, pcm), nil
}

// decide decodes an utterance twice, with the grammar and with free phones. A grammar finds something in
// any noise; only one that explains the sound nearly as well as free phones do is believed.
func (e *Engine) decide(ctx context.Context, dir string, frames int, limit float64) (heard, error) {
	type free struct {
		score float64
		err   error
	}
	loop := make(chan free, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, score, err := e.decode(ctx, dir, "loop", e.loopArgs()...)
		loop <- free{score, err}
	}()
	text, score, err := e.decode(ctx, dir, "hyp", grammarArgs(dir)...)
	if err != nil || text == "" {
		cancel()
		<-loop // its files are about to go
		return heard{}, err
	}
	f := <-loop
	if f.err != nil {
		return heard{}, f.err
	}
	h := heard{margin: (f.score - score) / float64(max(frames, 1))}
	if h.margin > limit {
		return h, nil
	}
	h.text = text
	h.confidence = max(0.05, min(1, 1-max(0, h.margin)/(2*limit)))
	return h, nil
}

// decode runs the recogniser once. Its line is: words (utterance score).
func (e *Engine) decode(ctx context.Context, dir, out string, args ...string) (text string, score float64, err error) {
	hyp := filepath.Join(dir, out)
	args = append([]string{"-adcin", "yes", "-cepdir", dir, "-cepext", ".raw", "-ctl", filepath.Join(dir, "ctl"), "-hyp", hyp,
		"-hmm", filepath.Join(e.c.ModelDir, "en-us"), "-logfn", os.DevNull}, args...)
	if _, err := e.run(ctx, provider.ServiceSTT, pocketsphinx, args...); err != nil {
		return "", 0, err
	}
	raw, err := os.ReadFile(hyp) //nolint:gosec // a file of our own
	if err != nil {
		return "", 0, fail(provider.ServiceSTT, "bad_response", false, err, "the recogniser wrote no result")
	}
	return parseHyp(raw)
}

func parseHyp(raw []byte) (text string, score float64, err error) {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	open := bytes.LastIndexByte(line, '(')
	if open < 0 {
		return "", 0, fail(provider.ServiceSTT, "bad_response", false, nil, "the recogniser's result makes no sense")
	}
	fields := strings.Fields(strings.TrimSuffix(string(line[open+1:]), ")"))
	if len(fields) != 2 {
		return "", 0, fail(provider.ServiceSTT, "bad_response", false, nil, "the recogniser's result makes no sense")
	}
	score, err = strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return "", 0, fail(provider.ServiceSTT, "bad_response", false, err, "the recogniser's result makes no sense")
	}
	return strings.TrimSpace(string(line[:open])), score, nil
}
