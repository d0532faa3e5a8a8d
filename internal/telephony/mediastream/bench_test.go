package mediastream

import (
	"context"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/media"
)

// speaker speaks all the time.
type speaker struct{}

func (speaker) Tick(_, _ []int16) bool { return true }
func (speaker) Played(int64)           {}
func (speaker) Event(media.LegEvent)   {}

// BenchmarkFrame is all that 20 ms of a call cost without the socket: a media message in, a tick, a media
// message out with its share of marks.
func BenchmarkFrame(b *testing.B) {
	clock := quartz.NewReal()
	s, err := New(Config{Tokens: &Tokens{}, Accept: func(context.Context, media.Leg) {}, Pacer: &media.Pacer{}, Clock: clock})
	if err != nil {
		b.Fatal(err)
	}
	l := &leg{s: s, e: speaker{}}
	l.out = newOutbox("MZ18ad3ab5a668481ce02b83e7395059f0", func([]byte) error { return nil })
	l.lastMedia.Store(clock.Now().UnixNano())
	in := fmt.Appendf(nil, `{"event":"media","sequenceNumber":"3","media":{"track":"inbound","chunk":"0","timestamp":"5","payload":"%s"},"streamSid":"MZ18ad3ab5a668481ce02b83e7395059f0"}`,
		base64.StdEncoding.EncodeToString(make([]byte, frameBytes)))
	raw := make([]byte, 0, 4*frameBytes)
	var m message
	beat := media.Beat{Now: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if err := parse(in, &m); err != nil {
			b.Fatal(err)
		}
		raw, _ = l.media(&m, raw, 0)
		l.Tick(beat)
		if err := l.out.drain(clock); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseMedia(b *testing.B) {
	in := []byte(carrierMessages[2])
	var m message
	b.ReportAllocs()
	for b.Loop() {
		if !parseFast(in, &m) {
			b.Fatal("not fast")
		}
	}
}
