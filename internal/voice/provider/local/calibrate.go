package local

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/parley-voice/parley/internal/media/audio"
)

// strangers are sentences that no menu means. What a grammar makes of them tells how easily it is fooled.
var strangers = []string{
	"the weather is lovely in the mountains", "i have lost my umbrella", "we are watching television",
	"my brother plays the violin", "hello how are you doing", "turn off the kitchen light",
}

const (
	calibrateAfter = 3    // uses of a grammar: offers of free times are used once, menus always
	lowest         = 30.0 // no calibration goes below: what was said clearly stays understood
	safety         = 1.5  // below the second-best-fitting stranger
)

// calibration measures each grammar that is used often, in the background and one at a time, and lowers its
// threshold where strangers fit it well. Before that, and where nothing can be measured, the general one counts.
type calibration struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	busy   chan struct{}

	mu    sync.Mutex
	free  map[string]float64 // how well free phones explain a stranger: the same for each grammar
	sound map[string][]byte
}

func newCalibration() *calibration {
	c := &calibration{busy: make(chan struct{}, 1), free: map[string]float64{}, sound: map[string][]byte{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (c *calibration) stop() {
	c.mu.Lock()
	c.cancel() // none is begun from here on
	c.mu.Unlock()
	c.wg.Wait()
}

// begin runs fn unless another one runs, or the engine is closed.
func (c *calibration) begin(fn func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	select {
	case c.busy <- struct{}{}:
	default:
		return false
	}
	c.wg.Go(func() {
		defer func() { <-c.busy }()
		fn(c.ctx)
	})
	return true
}

// used counts a use of g and begins its calibration when it is due and none is running.
func (e *Engine) used(g *grammar) {
	if g.uses.Add(1) < calibrateAfter || e.c.Threshold > 0 || e.programs[flite] == "" || !g.calibrating.CompareAndSwap(false, true) {
		return
	}
	begun := e.calibration.begin(func(ctx context.Context) {
		limit, err := e.calibrate(ctx, g)
		if err != nil {
			e.c.Log.Debug("a grammar could not be calibrated", "vendor", Vendor, "error", err)
			return
		}
		g.limit.Store(&limit)
	})
	if !begun {
		g.calibrating.Store(false) // at a later use
	}
}

// calibrate finds a grammar's threshold for telephone sound.
func (e *Engine) calibrate(ctx context.Context, g *grammar) (float64, error) {
	var margins []float64
	for _, s := range strangers {
		raw, free, err := e.stranger(ctx, s)
		if err != nil {
			return 0, err
		}
		dir, err := e.workspace(raw, g)
		if err != nil {
			return 0, err
		}
		text, score, err := e.decode(ctx, dir, "hyp", grammarArgs(dir)...)
		_ = os.RemoveAll(dir)
		if err != nil {
			return 0, err
		}
		if text != "" {
			margins = append(margins, (free-score)/float64(len(raw)/2/frameSamples))
		}
	}
	if len(margins) < 2 {
		return threshold8k, nil
	}
	slices.Sort(margins)
	return max(lowest, min(threshold8k, margins[1]-safety)), nil
}

// stranger gives a sentence as it sounds on the telephone, and what free phones make of it.
func (e *Engine) stranger(ctx context.Context, text string) ([]byte, float64, error) {
	c := e.calibration
	c.mu.Lock()
	raw, score := c.sound[text], c.free[text]
	c.mu.Unlock()
	if raw != nil {
		return raw, score, nil
	}
	pcm, err := e.synthesise(ctx, sentence{voice: "rms", text: text, speed: 1})
	if err != nil {
		return nil, 0, err
	}
	for _, step := range [][2]int{{speechRate, 8000}, {8000, recogniserRate}} {
		r, err := audio.NewResampler(step[0], step[1])
		if err != nil {
			return nil, 0, err
		}
		pcm = r.Process(nil, pcm)
	}
	raw = noisy(pcm, margin, rand.New(rand.NewPCG(e.c.Seed, 0))) //nolint:gosec // noise, not secrets
	dir, err := e.workspace(raw, nil)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, score, err = e.decode(ctx, dir, "loop", e.loopArgs()...); err != nil {
		return nil, 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sound[text], c.free[text] = raw, score
	return raw, score, nil
}

// grammarArgs and loopArgs are the two ways to decode.
func grammarArgs(dir string) []string {
	return []string{"-jsgf", filepath.Join(dir, "g.jsgf"), "-dict", filepath.Join(dir, "g.dict"),
		"-wip", "1e-4", "-beam", "1e-80", "-pbeam", "1e-80", "-wbeam", "1e-60"}
}

func (e *Engine) loopArgs() []string {
	return []string{"-allphone", filepath.Join(e.c.ModelDir, "en-us-phone.lm.bin"), "-allphone_ci", "yes", "-lw", "2.0",
		"-beam", "1e-20", "-pbeam", "1e-20"}
}
