package sip

import (
	"context"
	"net/netip"
	"sync"

	"github.com/parley-voice/parley/internal/media"
)

type audio struct {
	l  *leg
	mu sync.Mutex
	q  []media.LegEvent
	e  media.Endpoint
}

func newAudio(l *leg) *audio           { return &audio{l: l} }
func (a *audio) rate() int             { return 8000 }
func (a *audio) kick()                 {}
func (a *audio) clear()                {}
func (a *audio) stats() media.LegStats { return media.LegStats{} }
func (a *audio) open(f flow) error     { return nil }
func (a *audio) capability(v uint64) capability {
	return capability{addr: netip.MustParseAddrPort("127.0.0.1:40002"), codecs: a.l.s.config.Codecs, session: 1, version: v, key: func(int) string { return "" }}
}
func (a *audio) apply(agreed) error { return nil }
func (a *audio) stop()              {}
func (a *audio) start(e media.Endpoint) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.e = e
	for _, ev := range a.q {
		e.Event(ev)
	}
	a.q = nil
	return nil
}
func (a *audio) end(ev media.LegEvent) { a.event(ev) }
func (a *audio) event(ev media.LegEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.e != nil {
		a.e.Event(ev)
		return
	}
	a.q = append(a.q, ev)
}
func (a *audio) digit(d byte)                                      { a.event(media.LegEvent{Kind: media.LegDTMF, Digit: d}) }
func (a *audio) sendDTMF(ctx context.Context, digits string) error { return nil }
