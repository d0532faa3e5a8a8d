package sip

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func testCaps() capability {
	return capability{addr: netip.MustParseAddrPort("192.0.2.9:4000"), codecs: []string{"g722", "pcmu", "pcma", "opus"}, session: 7, version: 1,
		key: func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }}
}

func lines(s ...string) []byte { return []byte(strings.Join(s, "\r\n") + "\r\n") }

var sdpHead = []string{"v=0", "o=- 1 1 IN IP4 198.51.100.7", "s=-", "c=IN IP4 198.51.100.7", "t=0 0"}

func offer(more ...string) []byte {
	return lines(append(append([]string(nil), sdpHead...), more...)...)
}

const key30 = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw" // 30 bytes

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		offer []byte
		want  []string // in the answer
		check func(a agreed) bool
	}{
		{"plain PCMU without rtpmap", offer("m=audio 5004 RTP/AVP 0"),
			[]string{"m=audio 4000 RTP/AVP 0\r\n", "a=rtpmap:0 PCMU/8000", "a=sendrecv", "a=ptime:20"},
			func(a agreed) bool {
				return a.codec.name == "pcmu" && a.remote.String() == "198.51.100.7:5004" && a.remoteRTCP.Port() == 5005 && a.dtmf == 0
			}},
		{"the offerer's order decides", offer("m=audio 5004 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000"),
			[]string{"m=audio 4000 RTP/AVP 8 101\r\n", "a=rtpmap:101 telephone-event/8000"},
			func(a agreed) bool { return a.codec.name == "pcma" && a.dtmf == 101 }},
		{"opus, events at its clock", offer("m=audio 5004 RTP/AVP 111 101 102", "a=rtpmap:111 OPUS/48000/2", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:102 telephone-event/48000"),
			[]string{"m=audio 4000 RTP/AVP 111 102\r\n", "a=rtpmap:111 opus/48000/2"},
			func(a agreed) bool { return a.codec.name == "opus" && a.payload == 111 && a.dtmfRate == 48000 }},
		{"unknown codecs are passed over", offer("m=audio 5004 RTP/AVP 18 97 9", "a=rtpmap:97 SILK/16000"),
			[]string{"m=audio 4000 RTP/AVP 9\r\n"}, func(a agreed) bool { return a.codec.name == "g722" }},
		{"video is refused, audio after it taken", offer("m=video 6000 RTP/AVP 97", "a=rtpmap:97 H264/90000", "m=audio 5004 RTP/AVP 0"),
			[]string{"m=video 0 RTP/AVP 97\r\nm=audio 4000 "}, func(a agreed) bool { return a.codec.name == "pcmu" }},
		{"a second audio is refused", offer("m=audio 5004 RTP/AVP 0", "m=audio 5006 RTP/AVP 0"),
			[]string{"m=audio 0 RTP/AVP 0\r\n"}, func(a agreed) bool { return a.remote.Port() == 5004 }},
		{"a refused stream stays refused", offer("m=audio 0 RTP/AVP 0", "m=audio 5006 RTP/AVP 0"),
			[]string{"m=audio 0 RTP/AVP 0\r\nm=audio 4000 "}, func(a agreed) bool { return a.remote.Port() == 5006 }},
		{"hold by sendonly", offer("m=audio 5004 RTP/AVP 0", "a=sendonly"),
			[]string{"a=recvonly"}, func(a agreed) bool { return a.held && a.dir == recvOnly }},
		{"hold by inactive of the session", offer("a=inactive", "m=audio 5004 RTP/AVP 0"),
			[]string{"a=inactive"}, func(a agreed) bool { return a.held && a.dir == inactive }},
		{"hold the old way", lines("v=0", "o=- 1 1 IN IP4 1.2.3.4", "s=-", "c=IN IP4 0.0.0.0", "t=0 0", "m=audio 5004 RTP/AVP 0"),
			[]string{"a=recvonly"}, func(a agreed) bool { return a.held }},
		{"listen only", offer("m=audio 5004 RTP/AVP 0", "a=recvonly"),
			[]string{"a=sendonly"}, func(a agreed) bool { return !a.held && a.dir == sendOnly }},
		{"rtcp-mux", offer("m=audio 5004 RTP/AVP 0", "a=rtcp-mux"),
			[]string{"a=rtcp-mux"}, func(a agreed) bool { return a.mux && a.remoteRTCP.Port() == 5004 }},
		{"a=rtcp", offer("m=audio 5004 RTP/AVP 0", "a=rtcp:7001 IN IP4 198.51.100.8"), nil,
			func(a agreed) bool { return a.remoteRTCP.String() == "198.51.100.8:7001" }},
		{"SRTP", offer("m=audio 5004 RTP/SAVP 0", "a=crypto:1 AES_CM_256_HMAC_SHA1_80 inline:x", "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"+key30+"|2^20"),
			[]string{"m=audio 4000 RTP/SAVP 0\r\n", "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"},
			func(a agreed) bool {
				return a.suite == "AES_CM_128_HMAC_SHA1_32" && a.remoteKey == key30 && a.localKey != ""
			}},
		{"a later profile is passed over", offer("m=audio 5004 UDP/TLS/RTP/SAVPF 0", "m=audio 5006 RTP/AVP 0"),
			[]string{"m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n"}, func(a agreed) bool { return a.remote.Port() == 5006 }},
		{"IPv6", lines("v=0", "o=- 1 1 IN IP6 ::1", "s=-", "c=IN IP6 ::1", "t=0 0", "m=audio 5004 RTP/AVP 0"), nil,
			func(a agreed) bool { return a.remote.String() == "[::1]:5004" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, a, err := answerSDP(c.offer, testCaps(), false)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range c.want {
				if !strings.Contains(string(body), w) {
					t.Errorf("%q is not in the answer:\n%s", w, body)
				}
			}
			if !c.check(a) {
				t.Errorf("agreed: %+v", a)
			}
			if _, err := parseSDP(body); err != nil {
				t.Errorf("our own answer cannot be read: %v", err)
			}
		})
	}
}

func TestOffersThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		offer  []byte
		status int
	}{
		{"rubbish", []byte("hello"), 400},
		{"cut off", offer("m=audio 50"), 400},
		{"nothing in it", lines(sdpHead...), 488},
		{"video only", offer("m=video 6000 RTP/AVP 97"), 488},
		{"no codec of ours", offer("m=audio 5004 RTP/AVP 18"), 488},
		{"SRTP without a key", offer("m=audio 5004 RTP/SAVP 0"), 488},
		{"SRTP with a short key", offer("m=audio 5004 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA"), 488},
		{"feedback profile", offer("m=audio 5004 RTP/SAVPF 0"), 488},
		{"multicast", lines("v=0", "o=- 1 1 IN IP4 1.2.3.4", "s=-", "c=IN IP4 239.1.1.1", "t=0 0", "m=audio 5004 RTP/AVP 0"), 488},
		{"a name for an address", lines("v=0", "o=- 1 1 IN IP4 1.2.3.4", "s=-", "c=IN IP4 evil.example", "t=0 0", "m=audio 5004 RTP/AVP 0"), 488},
		{"too many media", offer(strings.Repeat("m=audio 5004 RTP/AVP 0\r\n", 40) + "a=x"), 488},
		{"too large", make([]byte, maxSDP+1), 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := answerSDP(c.offer, testCaps(), false)
			var p *problem
			if !errors.As(err, &p) || p.status != c.status {
				t.Errorf("want %d, got %v", c.status, err)
			}
		})
	}
}

func TestOurOfferIsAnswered(t *testing.T) {
	for _, srtp := range []srtpPolicy{srtpAccept, srtpRequire} {
		c := testCaps()
		c.srtp = srtp
		body, key := offerSDP(c, sendRecv)
		peer := testCaps()
		peer.addr, peer.codecs = netip.MustParseAddrPort("203.0.113.5:6000"), []string{"pcma"}
		reply, theirs, err := answerSDP(body, peer, false)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := acceptSDP(reply, c, key, false)
		if err != nil {
			t.Fatal(err)
		}
		if ours.codec.name != "pcma" || ours.remote != peer.addr || !ours.mux || ours.dtmf != 101 || ours.dir != sendRecv {
			t.Errorf("agreed: %+v", ours)
		}
		if ours.suite != theirs.suite || ours.localKey != theirs.remoteKey || ours.remoteKey != theirs.localKey {
			t.Errorf("the keys differ: %+v and %+v", ours, theirs)
		}
		if (srtp == srtpRequire) != (ours.suite != "") {
			t.Errorf("policy %v gives suite %q", srtp, ours.suite)
		}
	}
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	c := testCaps()
	for name, body := range map[string][]byte{
		"no body":          nil,
		"refused":          offer("m=audio 0 RTP/AVP 0"),
		"profile changed":  offer("m=audio 5004 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key30),
		"codec not asked":  offer("m=audio 5004 RTP/AVP 18"),
		"video in its way": offer("m=video 5004 RTP/AVP 97"),
	} {
		if _, err := acceptSDP(body, c, "", false); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestHoldIsOffered(t *testing.T) {
	body, _ := offerSDP(testCaps(), sendOnly)
	_, a, err := answerSDP(body, testCaps(), false)
	if err != nil || !a.held || a.dir != recvOnly {
		t.Errorf("%+v %v", a, err)
	}
}

func FuzzAnswerSDP(f *testing.F) {
	f.Add(offer("m=audio 5004 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16"))
	f.Add(offer("m=audio 5004 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key30, "a=sendonly", "a=rtcp:1 IN IP4 1.1.1.1"))
	f.Add(offer("m=video 5004 RTP/AVP 97", "m=audio 1 RTP/AVP 0", "a=rtcp-mux"))
	f.Add([]byte("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 1 RTP/AVP 0"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c := testCaps()
		reply, a, err := answerSDP(body, c, false)
		if _, err := acceptSDP(body, c, "", false); err != nil {
			var p *problem
			if !errors.As(err, &p) || p.status < 400 || p.status > 499 {
				t.Fatalf("an answer is refused with %v", err)
			}
		}
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || p.status < 400 || p.status > 499 {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if !a.remote.IsValid() || a.codec.name == "" {
			t.Fatalf("agreed on nothing: %+v", a)
		}
		s, err := parseSDP(reply)
		if err != nil {
			t.Fatalf("our answer cannot be read: %v\n%q", err, reply)
		}
		given, _ := parseSDP(body)
		if len(s.MediaDescriptions) != len(given.MediaDescriptions) {
			t.Fatalf("%d media are answered with %d", len(given.MediaDescriptions), len(s.MediaDescriptions))
		}
	})
}
