package rtp

import (
	"bytes"
	"testing"
)

func TestSRTPBothWays(t *testing.T) {
	for suite := range profiles {
		t.Run(suite, func(t *testing.T) {
			n := KeyLength(suite)
			ours, theirs := bytes.Repeat([]byte{1}, n), bytes.Repeat([]byte{2}, n)
			a := newBench(t, Remote{SRTP: &Keys{Suite: suite, Local: ours, Remote: theirs}}, nil)
			far, err := newSeal(&Keys{Suite: suite, Local: theirs})
			if err != nil {
				t.Fatal(err)
			}
			open, err := newUnseal(&Keys{Suite: suite, Remote: ours})
			if err != nil {
				t.Fatal(err)
			}
			e := &scripted{say: []int16{1000}}
			a.start(e)
			for i := range 30 {
				wire, err := far.rtp(make([]byte, maxPacket), a.voice(2000))
				if err != nil {
					t.Fatal(err)
				}
				a.arrive(a.far, wire)
				if i == 15 { // a re-INVITE with the same keys in the middle of the wrap changes nothing
					if err := a.s.SetRemote(a.s.peer.Load().remote); err != nil {
						t.Fatal(err)
					}
				}
				a.tick()
			}
			if st := a.s.Stats(); st.Malformed != 0 || st.PacketsIn != 30 {
				t.Fatalf("stats %+v", st)
			}
			if v := e.heard[len(e.heard)-1]; v < 1900 || v > 2100 {
				t.Errorf("heard %d", v)
			}
			buf := make([]byte, maxPacket)
			for i := range 30 {
				n, _, err := a.far.ReadFromUDP(buf)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := open.rtp(make([]byte, maxPacket), buf[:n])
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				if _, payload, ok := parse(plain); !ok || len(payload) != 160 {
					t.Fatalf("packet %d: %x", i, plain)
				}
			}
			a.arrive(a.far, a.voice(1)) // not encrypted
			if st := a.s.Stats(); st.Malformed != 1 {
				t.Errorf("a plain packet was taken: %+v", st)
			}
			wire, err := far.rtp(make([]byte, maxPacket), a.voice(2000))
			if err != nil {
				t.Fatal(err)
			}
			altered := bytes.Clone(wire)
			altered[len(altered)-1] ^= 1 // of the tag
			a.arrive(a.far, altered)
			altered = bytes.Clone(wire)
			altered[headerSize+3] ^= 1 // of the sound
			a.arrive(a.far, altered)
			if st := a.s.Stats(); st.Malformed != 3 || st.PacketsIn != 30 {
				t.Errorf("an altered packet was taken: %+v", st)
			}
			a.arrive(a.far, wire)
			a.arrive(a.far, wire) // again
			if st := a.s.Stats(); st.PacketsIn != 31 {
				t.Errorf("of a packet and its repetition: %+v", st)
			}
		})
	}
}
