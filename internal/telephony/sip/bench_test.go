package sip

import (
	"context"
	"testing"

	"github.com/parley-voice/parley/internal/media"
)

// still is an endpoint that does nothing.
type still struct{}

func (still) Tick(_, out []int16) bool { return out != nil }
func (still) Played(int64)             {}
func (still) Event(media.LegEvent)     {}

// BenchmarkTick is what a leg adds to each of its ticks: no allocation.
func BenchmarkTick(b *testing.B) {
	a := &audio{endpoint: still{}}
	in, out := make([]int16, 160), make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		a.Played(1)
		a.Tick(in, out)
	}
}

func TestTheTickDoesNotAllocate(t *testing.T) {
	a := &audio{endpoint: still{}}
	in, out := make([]int16, 160), make([]int16, 160)
	if n := testing.AllocsPerRun(100, func() { a.Played(1); a.Tick(in, out) }); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

// BenchmarkCall is the signalling of a whole call, from INVITE to the answer to BYE, without the network.
func BenchmarkCall(b *testing.B) {
	pacer := media.NewPacer(media.PacerConfig{Shards: 1})
	defer pacer.Close()
	legs := make(chan media.Leg, 1)
	s, err := New(Config{Addr: "127.0.0.1:0", Pacer: pacer, Accept: func(_ context.Context, l media.Leg) { legs <- l }})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop(context.Background())
	p := &peer{t: &testing.T{}, conn: fakeConn{}}
	uri := "sip:agent@127.0.0.1"
	from := flow{remote: s.Addr()}
	take := func(text string) {
		s.receive([]byte(text), from)
		for _, q := range s.queues {
			for len(q) > 0 {
				s.handle(<-q)
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		take(p.request("INVITE", uri, plainOffer))
		l := (<-legs).(*leg)
		if err := l.Answer(context.Background()); err != nil {
			b.Fatal(err)
		}
		to := "To: <" + uri + ">;tag=" + l.d.id.localTag
		take(p.request("ACK", uri, "", to, "CSeq: "+l.invite.CSeq().Value()[:len(l.invite.CSeq().Value())-len("INVITE")]+"ACK"))
		take(p.request("BYE", uri, "", to))
		<-l.Done()
	}
}
