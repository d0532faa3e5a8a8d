package mediastream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// message is one message from the carrier. Byte slices point into the buffer it was parsed from.
type message struct {
	event   string // one of the constants below, or something we do not know
	chunk   int64  // media: from 1, one more for each message of a track
	track   string // media: inbound
	payload []byte // media: base64
	name    []byte // mark
	digit   string // dtmf
	start   *start
}

// The carrier's events.
const (
	evConnected = "connected"
	evStart     = "start"
	evMedia     = "media"
	evMark      = "mark"
	evDTMF      = "dtmf"
	evStop      = "stop"
)

// start is the stream's metadata.
type start struct {
	StreamSid        string            `json:"streamSid"`
	AccountSid       string            `json:"accountSid"`
	CallSid          string            `json:"callSid"`
	Tracks           []string          `json:"tracks"`
	CustomParameters map[string]string `json:"customParameters"`
	MediaFormat      struct {
		Encoding   string `json:"encoding"`
		SampleRate number `json:"sampleRate"`
		Channels   number `json:"channels"`
	} `json:"mediaFormat"`
}

// number is an integer that may be quoted: the carrier quotes some and not others.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if len(b) >= 2 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		b = []byte(s)
	}
	v, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not an integer", b)
	}
	*n = number(v)
	return nil
}

// wire is the form that encoding/json reads.
type wire struct {
	Event          string `json:"event"`
	SequenceNumber number `json:"sequenceNumber"`
	StreamSid      string `json:"streamSid"`
	Media          *struct {
		Track     string `json:"track"`
		Chunk     number `json:"chunk"`
		Timestamp number `json:"timestamp"`
		Payload   string `json:"payload"`
	} `json:"media"`
	Mark *struct {
		Name string `json:"name"`
	} `json:"mark"`
	DTMF *struct {
		Track string `json:"track"`
		Digit string `json:"digit"`
	} `json:"dtmf"`
	Start *start `json:"start"`
}

// parse reads a message into m. Media and marks, which come many times a second, are read by a scanner that
// does not allocate; whatever that scanner does not know is left to encoding/json.
func parse(b []byte, m *message) error {
	if parseFast(b, m) {
		return nil
	}
	return parseSlow(b, m)
}

var errNoEvent = errors.New("the message has no event")

func parseSlow(b []byte, m *message) error {
	*m = message{}
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	if w.Event == "" {
		return errNoEvent
	}
	m.event = w.Event
	switch w.Event {
	case evMedia:
		if w.Media == nil {
			return errors.New("the media message has no media")
		}
		m.chunk, m.track, m.payload = int64(w.Media.Chunk), w.Media.Track, []byte(w.Media.Payload)
	case evMark:
		if w.Mark == nil {
			return errors.New("the mark message has no mark")
		}
		m.name = []byte(w.Mark.Name)
	case evDTMF:
		if w.DTMF == nil {
			return errors.New("the dtmf message has no dtmf")
		}
		m.digit = w.DTMF.Digit
	case evStart:
		if w.Start == nil {
			return errors.New("the start message has no start")
		}
		m.start = w.Start
		if m.start.StreamSid == "" { // it is in both places
			m.start.StreamSid = w.StreamSid
		}
	}
	return nil
}

// parseFast reads a media or mark message in the carrier's usual form: known keys, each once, no escapes, no
// letters outside ASCII, integers as quoted digits. It reports false for anything else.
func parseFast(b []byte, m *message) bool {
	*m = message{}
	s := scanner{b: b}
	var seen uint
	var body []byte // which of media and mark was there
	ok := s.object(func(key []byte) bool {
		switch string(key) {
		case "event":
			v, ok := s.str()
			m.event = intern(v)
			return ok && once(&seen, 0)
		case "sequenceNumber":
			_, ok := s.integer()
			return ok && once(&seen, 1)
		case "streamSid":
			_, ok := s.str()
			return ok && once(&seen, 2)
		case evMedia:
			body = key
			return once(&seen, 3) && s.media(m)
		case evMark:
			body = key
			return once(&seen, 3) && s.mark(m)
		}
		return false
	})
	return ok && s.end() && m.event != "" && m.event == string(body)
}

func once(seen *uint, bit uint) bool {
	if *seen&(1<<bit) != 0 {
		return false
	}
	*seen |= 1 << bit
	return true
}

// intern avoids a string for each message.
func intern(b []byte) string {
	switch string(b) {
	case evMedia:
		return evMedia
	case evMark:
		return evMark
	case "inbound":
		return "inbound"
	case "outbound":
		return "outbound"
	}
	return ""
}

type scanner struct {
	b []byte
	i int
}

func (s *scanner) media(m *message) bool {
	var seen uint
	return s.object(func(key []byte) bool {
		switch string(key) {
		case "track":
			v, ok := s.str()
			m.track = intern(v)
			return ok && once(&seen, 0) && m.track != ""
		case "chunk":
			v, ok := s.integer()
			m.chunk = v
			return ok && once(&seen, 1)
		case "timestamp":
			_, ok := s.integer()
			return ok && once(&seen, 2)
		case "payload":
			v, ok := s.str()
			m.payload = v
			return ok && once(&seen, 3)
		}
		return false
	})
}

func (s *scanner) mark(m *message) bool {
	var seen uint
	return s.object(func(key []byte) bool {
		if string(key) != "name" {
			return false
		}
		v, ok := s.str()
		m.name = v
		return ok && once(&seen, 0)
	})
}

// object reads an object, calling value with the scanner at each value.
func (s *scanner) object(value func(key []byte) bool) bool {
	if !s.next('{') {
		return false
	}
	if s.next('}') {
		return true
	}
	for {
		key, ok := s.str()
		if !ok || !s.next(':') || !value(key) {
			return false
		}
		if s.next('}') {
			return true
		}
		if !s.next(',') {
			return false
		}
	}
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *scanner) next(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) end() bool {
	s.space()
	return s.i == len(s.b)
}

func (s *scanner) str() ([]byte, bool) {
	if !s.next('"') {
		return nil, false
	}
	n := bytes.IndexByte(s.b[s.i:], '"')
	if n < 0 {
		return nil, false
	}
	v := s.b[s.i : s.i+n]
	s.i += n + 1
	for _, c := range v {
		if c < 0x20 || c == '\\' || c >= 0x80 {
			return nil, false
		}
	}
	return v, true
}

// integer reads digits in quotes.
func (s *scanner) integer() (int64, bool) {
	v, ok := s.str()
	if !ok || len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
