package voice

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/provider"
)

const (
	chunkQueue = 16
	lineQueue  = 4
	// speakTimeout is for the first audio of a sentence, readTimeout between two pieces of it.
	speakTimeout = 6 * time.Second
	readTimeout  = 3 * time.Second
)

// chunk is a sentence to say.
type chunk struct {
	gen  int
	ctx  context.Context
	text string
	kind spanKind
	last bool // the generation has no more to say after this
	must bool // any voice will do, and nothing else
	dire bool // the apology: any voice will do, and a tone if there is none
}

// speaker turns sentences into audio in the order they come and writes them to the playout, some seconds
// ahead of the caller. A sentence of an older generation is dropped where it is found.
type speaker struct {
	s      *Session
	chunks chan chunk // of the brain, which waits when it is full
	lines  chan chunk // of the session, which does not
	failed int        // the generation whose voice has failed
	first  int        // the generation that has given audio
	dead   bool       // the vendor has failed for good
	synth  synth
}

// say queues a chunk of the brain's.
func (sp *speaker) say(c chunk) error {
	select {
	case sp.chunks <- c:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	case <-sp.s.over:
		return context.Canceled
	}
}

func (sp *speaker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-sp.lines:
			sp.do(c)
		default:
			select {
			case <-ctx.Done():
				return
			case c := <-sp.lines:
				sp.do(c)
			case c := <-sp.chunks:
				sp.do(c)
			}
		}
	}
}

func (sp *speaker) do(c chunk) {
	if c.ctx.Err() != nil {
		return
	}
	if c.text != "" && sp.failed != c.gen {
		if err := sp.whole(c); err != nil && c.ctx.Err() == nil {
			sp.failed = c.gen
			sp.dead = sp.dead || provider.IsFatal(err)
			sp.s.send(msg{kind: msgVoiceFail, gen: c.gen, err: err, service: provider.ServiceTTS})
		}
	}
	if c.last && sp.s.playout.close(c.gen) {
		sp.s.send(msg{kind: msgDone, gen: c.gen})
	}
}

// whole says a chunk: what must be said may be several sentences.
func (sp *speaker) whole(c chunk) error {
	if !c.must {
		return sp.speak(c)
	}
	for _, sentence := range sentences(c.text) {
		c.text = sentence
		if err := sp.speak(c); err != nil {
			return err
		}
	}
	return nil
}

// speak says one sentence, with one more try when nothing of it was heard.
func (sp *speaker) speak(c chunk) (err error) {
	if !speakable(c.text) {
		return nil
	}
	id, ok := sp.s.playout.open(c.gen, c.text, c.kind)
	if !ok {
		return context.Canceled
	}
	defer func() { sp.s.playout.seal(c.gen, id, err != nil) }()
	put := func(pcm []int16) error { return sp.put(c, id, pcm) }
	if c.kind != spanAnswer {
		if pcm, ok := sp.s.cfg.Prompts.get(sp.s.promptKey(c.text)); ok {
			return put(pcm)
		}
	}
	if c.dire {
		return sp.dire(c, id, put)
	}
	if c.must {
		return sp.must(c, put)
	}
	wrote := false
	wrote, err = sp.synth.run(c.ctx, sp.s.cfg.TTS, c.text, put)
	if err == nil || wrote || c.ctx.Err() != nil || provider.IsFatal(err) {
		return err
	}
	sp.s.send(msg{kind: msgRetry, gen: c.gen, err: err, service: provider.ServiceTTS})
	_, err = sp.synth.run(c.ctx, sp.s.cfg.TTS, c.text, put)
	return err
}

// must says by some voice what may not be left out.
func (sp *speaker) must(c chunk, put func([]int16) error) error {
	err := error(&provider.Error{Service: provider.ServiceTTS, Vendor: sp.s.cfg.TTSVendor, Code: "failed", Message: "no voice works", Fatal: true})
	for i, tts := range []provider.TTS{sp.s.cfg.TTS, sp.s.cfg.FallbackTTS} {
		if tts == nil || i == 0 && sp.dead {
			continue
		}
		var wrote bool
		wrote, err = sp.synth.run(c.ctx, tts, c.text, put)
		if err == nil || wrote || c.ctx.Err() != nil {
			return err
		}
		sp.s.send(msg{kind: msgRetry, gen: c.gen, err: err, service: provider.ServiceTTS})
	}
	return err
}

// dire says the apology by whatever still speaks.
func (sp *speaker) dire(c chunk, id int, put func([]int16) error) error {
	for i, tts := range []provider.TTS{sp.s.cfg.TTS, sp.s.cfg.FallbackTTS} {
		if tts == nil || i == 0 && sp.dead {
			continue
		}
		wrote, err := sp.synth.run(c.ctx, tts, c.text, put)
		if err == nil || wrote || c.ctx.Err() != nil {
			return nil
		}
		sp.s.send(msg{kind: msgRetry, gen: c.gen, err: err, service: provider.ServiceTTS})
	}
	sp.s.playout.wordless(c.gen, id)
	return put(failureTone(sp.s.rate))
}

// put writes pcm (whole frames but for the last, which is filled up) as space comes free.
func (sp *speaker) put(c chunk, id int, pcm []int16) error {
	if rest := len(pcm) % sp.synth.frame; rest != 0 {
		pcm = append(pcm[:len(pcm):len(pcm)], make([]int16, sp.synth.frame-rest)...)
	}
	if sp.first != c.gen && len(pcm) > 0 {
		sp.first = c.gen
		sp.s.send(msg{kind: msgFirstAudio, gen: c.gen, at: sp.s.now()})
	}
	for len(pcm) > 0 {
		n, kick, ok := sp.s.playout.write(c.gen, id, pcm)
		if !ok {
			return context.Canceled
		}
		if kick {
			sp.s.kick()
		}
		if pcm = pcm[n:]; len(pcm) == 0 {
			return nil
		}
		select {
		case <-sp.s.playout.space:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
	return nil
}

// synth runs a TTS vendor for one sentence after the other: time-outs, bounds, and the leg's rate.
type synth struct {
	s     *Session
	frame int
	in    []int16
	out   []int16
	conv  *converter
}

func newSynth(s *Session) synth {
	return synth{s: s, frame: media.FrameSamples(s.rate)}
}

// run synthesises text and gives put whole frames (the end may be part of one). wrote says that put had
// some.
func (y *synth) run(ctx context.Context, tts provider.TTS, text string, put func([]int16) error) (wrote bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := y.s.cfg.Clock.AfterFunc(speakTimeout, cancel)
	defer watch.Stop()
	v := y.s.cfg.Voice
	stream, err := tts.Speak(ctx, provider.SpeakRequest{Text: text, Voice: v.Name, Language: v.Language, Speed: v.Speed})
	if err != nil {
		return false, y.fail(err)
	}
	defer func() { _ = stream.Close() }()
	rate := stream.Rate()
	if rate < 4000 || rate > 96000 {
		return false, y.bad("audio of an impossible sample rate")
	}
	if y.conv == nil || y.conv.from != rate {
		if y.conv, err = newConverter(rate, y.s.rate); err != nil {
			y.conv = nil
			return false, y.bad("audio of a sample rate that does not convert: " + err.Error())
		}
		y.in = make([]int16, rate/10)
	}
	y.conv.reset()
	y.out = y.out[:0]
	// Nobody takes more than a third of a second for a character: rubbish that never ends is cut off.
	budget := rate * (10 + len(text)/3)
	for buf := y.in[:rate/50]; ; buf = y.in { // one frame first: it is waited for
		n, rerr := stream.Read(buf)
		if n > 0 {
			watch.Stop()
			budget -= n
			y.out = y.conv.add(y.out, buf[:n])
			if whole := len(y.out) - len(y.out)%y.frame; whole > 0 {
				wrote = true
				if err := put(y.out[:whole]); err != nil {
					return wrote, err
				}
				y.out = y.out[:copy(y.out, y.out[whole:])]
			}
			// Waiting for the caller to listen is not the vendor's time.
			watch.Reset(readTimeout)
		}
		switch {
		case errors.Is(rerr, io.EOF):
			return y.finish(put, wrote)
		case rerr != nil:
			return wrote, y.fail(rerr)
		case budget < 0:
			return wrote, y.bad("audio that does not end")
		}
	}
}

func (y *synth) finish(put func([]int16) error, wrote bool) (bool, error) {
	if !wrote && len(y.out) == 0 {
		return false, y.bad("no audio")
	}
	y.out = y.conv.flush(y.out)
	if len(y.out) > 0 {
		return true, put(y.out)
	}
	return true, nil
}

func (y *synth) fail(err error) error {
	return vendorError(err, provider.ServiceTTS, y.s.cfg.TTSVendor)
}

func (y *synth) bad(what string) error {
	return &provider.Error{
		Service: provider.ServiceTTS, Vendor: y.s.cfg.TTSVendor, Code: "bad_response", Message: "the voice gave " + what,
	}
}
