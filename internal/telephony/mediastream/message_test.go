package mediastream

import (
	"bytes"
	"strings"
	"testing"
)

// Messages in the form that https://www.twilio.com/docs/voice/media-streams/websocket-messages shows.
var carrierMessages = []string{
	`{"event":"connected","protocol":"Call","version":"1.0.0"}`,
	`{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],` +
		`"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"token":"T"}},"streamSid":"MZ1"}`,
	`{"event":"media","sequenceNumber":"3","media":{"track":"inbound","chunk":"1","timestamp":"5","payload":"no+JhoaJjpz="},"streamSid":"MZ1"}`,
	`{ "event": "media", "sequenceNumber": "4", "media": { "track": "inbound", "chunk": "2", "timestamp": "25", "payload": "fn5+" } , "streamSid": "MZ1" }`,
	`{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"p0.5"}}`,
	`{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track","digit":"1"}}`,
	`{"event":"stop","sequenceNumber":"5","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}`,
}

func TestParseCarrierMessages(t *testing.T) {
	fast := map[string]bool{evMedia: true, evMark: true}
	want := []string{evConnected, evStart, evMedia, evMedia, evMark, evDTMF, evStop}
	for i, s := range carrierMessages {
		var m message
		if err := parse([]byte(s), &m); err != nil || m.event != want[i] {
			t.Errorf("%s: event %q, %v", s, m.event, err)
		}
		var f message
		if got := parseFast([]byte(s), &f); got != fast[want[i]] {
			t.Errorf("%s: fast path %v", s, got)
		}
	}
	var m message
	if err := parse([]byte(carrierMessages[1]), &m); err != nil || m.start.CustomParameters["token"] != "T" || m.start.MediaFormat.SampleRate != 8000 {
		t.Errorf("start %+v, %v", m.start, err)
	}
	if err := parse([]byte(carrierMessages[5]), &m); err != nil || m.digit != "1" {
		t.Errorf("digit %q, %v", m.digit, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"event":""}`, `{"event":"media"}`, `{"event":"mark"}`, `{"event":"dtmf"}`, `{"event":"start"}`,
		`{"event":"media","media":{"chunk":"x","payload":""}}`, `{"event":"media","media":{"chunk":1.5}}`, `{"event":"media"`,
		`{"event":"media","media":"x"}`, `{"event":5}`, `{"event":"start","start":{"customParameters":{"token":{}}}}`,
		strings.Repeat(`{"event":`, 1000),
	} {
		var m message
		if err := parse([]byte(s), &m); err == nil {
			t.Errorf("accepted %.80s as %+v", s, m)
		}
	}
}

// FuzzParse: whatever the fast path accepts, encoding/json reads the same.
func FuzzParse(f *testing.F) {
	for _, s := range carrierMessages {
		f.Add([]byte(s))
	}
	f.Add([]byte(`{"event":"media","Event":"stop","media":{"payload":"","payload":"x"}}`))
	f.Add([]byte(`{"event":"media","media":{"payload":"a\/b","chunk":7}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var fast, slow message
		if !parseFast(b, &fast) {
			_ = parseSlow(b, &slow)
			return
		}
		if err := parseSlow(b, &slow); err != nil {
			t.Fatalf("only the fast path accepts %q: %v", b, err)
		}
		if fast.event != slow.event || fast.chunk != slow.chunk || fast.track != slow.track ||
			!bytes.Equal(fast.payload, slow.payload) || !bytes.Equal(fast.name, slow.name) {
			t.Fatalf("%q: fast %+v, slow %+v", b, fast, slow)
		}
	})
}
