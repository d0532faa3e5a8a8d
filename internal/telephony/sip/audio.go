package sip

import (
	"context"
	"net/netip"

	"github.com/parley-voice/parley/internal/media"
)

type audio struct{ l *leg }

func newAudio(l *leg) *audio                                       { return &audio{l} }
func (a *audio) rate() int                                         { return 8000 }
func (a *audio) start(e media.Endpoint) error                      { return nil }
func (a *audio) kick()                                             {}
func (a *audio) clear()                                            {}
func (a *audio) stats() media.LegStats                             { return media.LegStats{} }
func (a *audio) open(f flow) error                                 { return nil }
func (a *audio) capability(v uint64) capability                    { return capability{addr: netip.AddrPort{}} }
func (a *audio) apply(agreed) error                                { return nil }
func (a *audio) stop()                                             {}
func (a *audio) end(ev media.LegEvent)                             {}
func (a *audio) event(ev media.LegEvent)                           {}
func (a *audio) digit(d byte)                                      {}
func (a *audio) sendDTMF(ctx context.Context, digits string) error { return nil }
