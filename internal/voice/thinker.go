package voice

import (
	"context"
	"sync/atomic"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// job is one turn for the brain.
type job struct {
	gen   int
	ctx   context.Context
	begin bool
	in    Input
	heard []heardItem // of the replies before, first
}

type heardItem struct {
	text string
	cut  bool
}

// thinker runs the brain, one job at a time, so that a Brain needs no lock.
type thinker struct {
	s      *Session
	jobs   chan job
	missed bool
}

const jobQueue = 4

func (t *thinker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-t.jobs:
			t.do(j)
		}
	}
}

func (t *thinker) do(j job) {
	b := t.s.cfg.Brain
	for _, h := range j.heard {
		b.Heard(h.text, h.cut)
	}
	if j.ctx.Err() != nil {
		t.missed = true // interrupted while it waited: the brain never saw it
		return
	}
	if t.missed {
		t.missed, j.in.Continues = false, false
	}
	out := &emitter{s: t.s, gen: j.gen, ctx: j.ctx}
	var err error
	if j.begin {
		err = b.Begin(j.ctx, out)
	} else {
		err = b.Turn(j.ctx, j.in, out)
	}
	expect := b.Expect()
	if j.ctx.Err() != nil {
		err = nil // its failure is ours: we stopped it
	}
	t.s.send(msg{kind: msgBrainDone, gen: j.gen, err: err, expect: &expect, service: provider.ServiceLLM})
	out.finish()
}

// emitter is the Brain's mouth during one job.
type emitter struct {
	s    *Session
	gen  int
	ctx  context.Context
	dead atomic.Bool
}

func (e *emitter) gone() bool { return e.dead.Load() || e.ctx.Err() != nil }

// Say implements Emitter.
func (e *emitter) Say(text string) error {
	for _, sentence := range sentences(text) {
		if e.dead.Load() {
			return context.Canceled
		}
		if err := e.s.speaker.say(chunk{gen: e.gen, ctx: e.ctx, text: sentence, kind: spanAnswer}); err != nil {
			return err
		}
	}
	return e.ctx.Err()
}

// finish tells the speaker that no more comes. The emitter is dead from here on.
func (e *emitter) finish() {
	e.dead.Store(true)
	_ = e.s.speaker.say(chunk{gen: e.gen, ctx: e.ctx, last: true})
}

// CollectDigits implements Emitter.
func (e *emitter) CollectDigits(rule DigitRule) {
	if !e.gone() {
		e.s.send(msg{kind: msgCollect, gen: e.gen, rule: &rule})
	}
}

// Transfer implements Emitter.
func (e *emitter) Transfer(target string) {
	if !e.gone() {
		e.s.send(msg{kind: msgTransfer, gen: e.gen, text: target})
	}
}

// Hangup implements Emitter.
func (e *emitter) Hangup(reason string) {
	if !e.gone() {
		e.s.send(msg{kind: msgHangup, gen: e.gen, text: reason})
	}
}

// Outcome implements Emitter.
func (e *emitter) Outcome(name string, data map[string]any) {
	e.Note(event.EntryOutcome, name, data)
}

// Note implements Emitter.
func (e *emitter) Note(kind event.EntryKind, text string, data map[string]any) {
	if kind == event.EntryOutcome && event.Standing(text) {
		e.s.send(msg{kind: msgOutcome, at: e.s.now(), entry: &event.Entry{Kind: kind, Gen: e.gen, Text: text, Data: data}})
		return
	}
	if !e.gone() {
		e.s.send(msg{kind: msgNote, gen: e.gen, at: e.s.now(), entry: &event.Entry{Kind: kind, Text: text, Data: data}})
	}
}
