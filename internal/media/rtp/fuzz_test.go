package rtp

import (
	"bytes"
	"testing"

	pionrtcp "github.com/pion/rtcp"

	"github.com/parley-voice/parley/internal/media"
)

func FuzzPacket(f *testing.F) {
	good := make([]byte, headerSize+160)
	header{payload: 0, seq: 1, ts: 2, ssrc: 3}.put(good)
	f.Add(good)
	f.Add([]byte{0x80, 0xc8, 0, 6})
	f.Add([]byte{0xbf, 101, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	b := newBench(f, Remote{Events: &Events{SendPT: 101, RecvPT: 101}}, nil)
	b.start(&scripted{})
	f.Fuzz(func(_ *testing.T, wire []byte) {
		b.arrive(b.far, wire)
		b.s.Tick(media.Beat{Now: b.due, Due: b.due})
	})
}

func FuzzRTCP(f *testing.F) {
	f.Add(appendRTCP(nil, 1, &sender{}, &report{}, "x"))
	f.Add(appendBye(nil, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, ok := parseRTCP(b)
		if _, err := pionrtcp.Unmarshal(b); err == nil && len(b) > 0 && !ok {
			t.Errorf("pion takes %x", b)
		}
		if info.count > len(info.reports) {
			t.Errorf("%d reports", info.count)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte{5, 0x8a, 3, 32}, uint32(160), uint16(1), true)
	f.Fuzz(func(t *testing.T, b []byte, ts uint32, seq uint16, marker bool) {
		e, ok := parseEvent(b)
		if !ok {
			return
		}
		d := dtmfIn{active: true, ts: 100, code: 5}
		if c := d.packet(header{ts: ts, seq: seq, marker: marker}, e); c != 0 && bytes.IndexByte([]byte(digits), c) < 0 {
			t.Errorf("digit %q", c)
		}
		if e.code < 64 {
			var back [4]byte
			e.put(back[:])
			if again, _ := parseEvent(back[:]); again != e {
				t.Errorf("%+v came back as %+v", e, again)
			}
		}
	})
}
