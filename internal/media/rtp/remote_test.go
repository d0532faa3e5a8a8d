package rtp

import (
	"net"
	"net/netip"
	"testing"

	"github.com/parley-voice/parley/internal/media/audio"
)

func TestMutedAndDeaf(t *testing.T) {
	b := newBench(t, Remote{Muted: true}, nil)
	e := &scripted{say: []int16{100, 100}}
	b.start(e)
	b.tick()
	b.none()
	if e.inOnly != 1 {
		t.Error("a muted leg asked for a frame")
	}
	r := b.s.peer.Load().remote
	r.Muted, r.Deaf = false, true
	if err := b.s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		b.arrive(b.far, b.voice(5000))
		b.tick()
	}
	for _, v := range e.heard {
		if v != 0 {
			t.Fatal("a deaf leg heard something")
		}
	}
}

func TestSourceIsLatchedAndGuarded(t *testing.T) {
	// The SDP names an address behind a NAT; the packets come from elsewhere.
	b := newBench(t, Remote{RTP: netip.MustParseAddrPort("127.0.0.99:9")}, nil)
	b.start(&scripted{})
	thief, moved := socket(t), socket(t)
	b.arrive(b.far, b.voice(1))
	b.tick()
	b.sent()
	for range 10 {
		b.arrive(thief, b.voice(1))
	}
	b.tick()
	b.sent()
	if st := b.s.Stats(); st.Malformed != 10 || st.PacketsIn != 1 {
		t.Errorf("a foreign source was believed: %+v", st)
	}
	// The far end falls silent and goes on from another port: three packets in sequence are enough.
	b.clock.Advance(relatchAfter)
	for range 3 {
		b.arrive(moved, b.voice(1))
	}
	if d := b.s.dest.Load(); d.Port() != uint16(moved.LocalAddr().(*net.UDPAddr).Port) {
		t.Errorf("sending to %v", d)
	}
	// A new address from signalling ends what was learnt.
	r := b.s.peer.Load().remote
	r.RTP = b.far.LocalAddr().(*net.UDPAddr).AddrPort()
	if err := b.s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	if d := b.s.dest.Load(); *d != r.RTP {
		t.Errorf("sending to %v after SetRemote", d)
	}
}

func TestSignalledSourceTakesOver(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	early := socket(t)
	b.arrive(early, b.voice(1))
	b.arrive(b.far, b.voice(1))
	b.arrive(early, b.voice(1))
	if d := b.s.dest.Load(); *d != b.far.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Errorf("sending to %v, not to the signalled address", d)
	}
}

func TestSetRemoteErrors(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	for name, r := range map[string]Remote{
		"codec":        {Format: Format{Codec: "iLBC"}},
		"payload type": {Format: Format{Codec: audio.PCMU, SendPT: 200}},
		"event type":   {Format: Format{Codec: audio.PCMU}, Events: &Events{SendPT: 128}},
		"suite":        {Format: Format{Codec: audio.PCMU}, SRTP: &Keys{Suite: "NULL"}},
		"key":          {Format: Format{Codec: audio.PCMU}, SRTP: &Keys{Suite: "AES_CM_128_HMAC_SHA1_80", Remote: make([]byte, 30), Local: make([]byte, 29)}},
	} {
		before := b.s.peer.Load()
		if err := b.s.SetRemote(r); err == nil {
			t.Errorf("%s: no error", name)
		}
		if b.s.peer.Load() != before {
			t.Errorf("%s: something was changed", name)
		}
	}
}

func TestCodecChangesRateDuringTheCall(t *testing.T) {
	b := newBench(t, Remote{}, nil)
	e := &scripted{say: []int16{1000, 1000, 1000, 1000}}
	b.start(e)
	r := b.s.peer.Load().remote
	r.Format = Format{Codec: audio.G722, SendPT: 9, RecvPT: 9}
	if err := b.s.SetRemote(r); err != nil {
		t.Fatal(err)
	}
	if b.s.Rate() != 8000 {
		t.Errorf("the rate is now %d", b.s.Rate())
	}
	enc, err := audio.NewCodec(audio.G722)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, 320)
	for i := range pcm {
		pcm[i] = 3000
	}
	for range 10 {
		payload, err := enc.Encode(nil, pcm)
		if err != nil {
			t.Fatal(err)
		}
		b.arrive(b.far, b.packet(9, payload, 160))
		b.tick()
		if h, p := b.sent(); h.payload != 9 || len(p) != 160 {
			t.Fatalf("sent type %d with %d bytes", h.payload, len(p))
		}
	}
	if v := e.heard[len(e.heard)-1]; v < 2700 || v > 3300 {
		t.Errorf("heard %d", v)
	}
}
