package webrtc

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const plainOffer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 110 126\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n" +
	"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n" +
	"a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n" +
	"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n" +
	"a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n"

func TestChoose(t *testing.T) {
	for _, tc := range []struct {
		prefer []string
		want   chosen
	}{
		{[]string{audio.Opus}, chosen{audio.Opus, 111, "minptime=10;useinbandfec=1", 110, true}},
		{[]string{audio.G722, audio.Opus}, chosen{audio.G722, 9, "", 126, true}},
		{[]string{audio.PCMU}, chosen{audio.PCMU, 0, "", 126, true}},
	} {
		got, err := choose(plainOffer, tc.prefer)
		if err != nil || got != tc.want {
			t.Errorf("%v: %+v, %v", tc.prefer, got, err)
		}
	}
	got, err := choose(strings.Replace(plainOffer, "sendrecv", "recvonly", 1), allCodecs)
	if err != nil || got.sends {
		t.Errorf("recvonly: %+v, %v", got, err)
	}
}

func TestOfferErrors(t *testing.T) {
	b := newBench(t, nil)
	for name, tc := range map[string]struct {
		r     OfferRequest
		where string
		says  string
	}{
		"empty":          {OfferRequest{}, "sdp", "no audio"},
		"rubbish":        {OfferRequest{SDP: "hello"}, "sdp", "session description"},
		"huge":           {OfferRequest{SDP: strings.Repeat("a", maxSDP+1)}, "sdp", "bytes"},
		"no audio":       {OfferRequest{SDP: "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"}, "sdp", "no audio"},
		"rejected audio": {OfferRequest{SDP: strings.Replace(plainOffer, "m=audio 9", "m=audio 0", 1)}, "sdp", "no audio"},
		"many sections":  {OfferRequest{SDP: plainOffer + strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", maxMedia)}, "sdp", "sections"},
		"no codec":       {OfferRequest{SDP: strings.Replace(plainOffer, "111 9 0 110 126", "110 126", 1)}, "sdp", "one of G722, opus, PCMU"},
		"no ice":         {OfferRequest{SDP: strings.Replace(plainOffer, "a=ice-ufrag:abcd\r\n", "", 1)}, "sdp", "cannot be used"},
		"no fingerprint": {OfferRequest{SDP: strings.Replace(plainOffer, "a=fingerprint", "a=x", 1)}, "sdp", "cannot be used"},
		"unknown codec":  {OfferRequest{SDP: plainOffer, Codecs: []string{"g729"}}, "codecs", "g729"},
	} {
		t.Run(name, func(t *testing.T) {
			_, l, err := b.s.Offer(context.Background(), tc.r)
			f, ok := err.(*fault.Error)
			if !ok || f.Code != fault.Invalid || len(f.Details) != 1 || f.Details[0].Location != tc.where || !strings.Contains(f.Message, tc.says) || l != nil {
				t.Errorf("%+v", err)
			}
		})
	}
	if b.s.Peers() != 0 || b.s.held != 0 {
		t.Errorf("%d peers, %d held", b.s.Peers(), b.s.held)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := b.s.Offer(gone, OfferRequest{SDP: plainOffer}); err != nil && !fault.Is(err, fault.Timeout) {
		t.Errorf("a request that was given up: %v", err)
	}
}

func FuzzOffer(f *testing.F) {
	f.Add(plainOffer)
	f.Add(strings.Replace(plainOffer, "a=sendrecv", "a=recvonly\r\na=ssrc:1 cname:x\r\na=rid:1 send", 1))
	f.Add(plainOffer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:5000\r\n")
	pacer := media.NewPacer(media.PacerConfig{Shards: 1})
	s, err := New(Config{UDPAddr: "127.0.0.1:0", Pacer: pacer})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close(context.Background()); pacer.Close() })
	f.Fuzz(func(t *testing.T, offer string) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		answer, l, err := s.Offer(ctx, OfferRequest{SDP: offer})
		if err != nil {
			if fault.Is(err, fault.Timeout) {
				t.Fatal(err)
			}
			return
		}
		if !strings.Contains(answer, "a=ice-lite") {
			t.Errorf("answer %s", answer)
		}
		_ = l.Hangup(context.Background(), media.Cause{})
		select {
		case <-l.Done():
		case <-time.After(5 * time.Second):
			panic("the leg does not end")
		}
	})
}

func FuzzChannel(f *testing.F) {
	f.Add([]byte(`{"type":"text","text":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ev, ok := parseClient(b); ok && ev.Kind != media.LegText && ev.Kind != media.LegDTMF {
			t.Fatalf("%q: %+v", b, ev)
		}
	})
}
