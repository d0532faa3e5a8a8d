package voice

import (
	"context"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// order is what the session wants of the listener.
type order struct {
	kind   orderKind
	id     int
	frame  int64 // begin: the first of the utterance; end: the first after it
	expect provider.Expect
}

type orderKind uint8

const (
	orderBegin orderKind = iota + 1
	orderEnd
	orderDrop
)

// listener owns the STT stream: it feeds it the frames of each utterance from the ear and hands on its
// results. Orders name frames by index, so what is recognised does not depend on who ran when.
type listener struct {
	s      *Session
	orders chan order
	stream provider.STTStream
	frame  []int16
	id     int   // the utterance being fed; 0 for none
	at     int64 // its next frame
	cancel context.CancelFunc
}

const (
	openTimeout = 5 * time.Second
	orderQueue  = 16
)

// command never waits: the recogniser of a listener that is so far behind has failed anyway, and the
// session's time-out says so.
func (l *listener) command(o order) {
	select {
	case l.orders <- o:
	default:
		l.s.droppedEvents.Add(1)
	}
}

func (l *listener) run(ctx context.Context) {
	if l.s.cfg.STT == nil {
		l.deaf(ctx)
		return
	}
	if !l.open(ctx) {
		l.deaf(ctx)
		return
	}
	defer func() {
		_ = l.stream.Close()
		l.cancel()
	}()
	results := l.stream.Results()
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-l.orders:
			l.obey(o)
		case <-l.s.ear.wake:
			l.feed(-1)
		case r, ok := <-results:
			if !ok {
				l.s.send(msg{kind: msgSTTDown, err: &provider.Error{
					Service: provider.ServiceSTT, Vendor: l.s.cfg.STTVendor, Code: "failed",
					Message: "the recogniser closed its stream", Fatal: true,
				}})
				l.deaf(ctx)
				return
			}
			l.s.send(msg{kind: msgResult, result: &r})
		}
	}
}

// open connects, and tries once more when that may help.
func (l *listener) open(ctx context.Context) bool {
	for attempt := 1; ; attempt++ {
		var err error
		l.stream, err = l.openOnce(ctx)
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case attempt == 2 || provider.IsFatal(err):
			l.s.send(msg{kind: msgSTTDown, err: err})
			return false
		}
		l.s.send(msg{kind: msgRetry, err: err, service: provider.ServiceSTT})
	}
}

// openOnce gives the vendor openTimeout. The stream lives on the call's context.
func (l *listener) openOnce(ctx context.Context) (provider.STTStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	slow := l.s.cfg.Clock.AfterFunc(openTimeout, cancel)
	stream, err := l.s.cfg.STT.Open(ctx, provider.STTConfig{Rate: l.s.rate, Language: l.s.cfg.Voice.Language})
	if !slow.Stop() && err == nil {
		_ = stream.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return nil, vendorError(err, provider.ServiceSTT, l.s.cfg.STTVendor)
	}
	l.cancel = cancel
	return stream, nil
}

// deaf answers every utterance with nothing understood, so that nobody waits for a recogniser there is not.
func (l *listener) deaf(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.s.ear.wake:
		case o := <-l.orders:
			if o.kind == orderEnd {
				l.s.ear.listen(false)
				l.s.send(msg{kind: msgResult, result: &provider.STTResult{Utterance: o.id, Final: true}})
			}
		}
	}
}

func (l *listener) obey(o order) {
	switch o.kind {
	case orderBegin:
		l.id, l.at = o.id, max(o.frame, 0)
		l.stream.Begin(o.id, o.expect)
		l.s.ear.listen(true)
		l.feed(-1)
	case orderEnd:
		if o.id == l.id {
			l.feed(o.frame)
			l.rest()
		}
		l.stream.End(o.id)
	case orderDrop:
		if o.id == l.id {
			l.rest()
		}
		l.stream.Abandon(o.id)
	}
}

func (l *listener) rest() {
	l.id = 0
	l.s.ear.listen(false)
}

// feed writes the frames that are there, those before limit when it is not negative.
func (l *listener) feed(limit int64) {
	for l.id != 0 && (limit < 0 || l.at < limit) {
		lost, ok := l.s.ear.read(l.at, l.frame)
		if lost > 0 {
			l.at += lost
			l.s.droppedAudio.Add(lost)
		}
		if !ok {
			return
		}
		l.stream.Write(l.frame)
		l.at++
	}
}
