package load

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// mediaStream is one call as the carrier sees it: it sends the caller's audio every 20 ms, plays what comes
// back out of a buffer, and answers marks when their audio was played.
//
// The carrier's stream has no clock of the server's: what is measured is the buffer. A frame is late when
// the buffer ran dry more than 20 ms before it came; a pause longer than newSpurt is the agent's own.
type mediaStream struct {
	sid  string
	sock *socket

	// The sender's alone.
	tick      int
	offset    int
	withheld  [][]byte
	out       []byte
	voice     [][]byte // base64, prepared once for all calls
	quiet     []byte
	sent      atomic.Uint64
	lastCheck time.Time

	mu        sync.Mutex
	playUntil time.Time
	marks     []mark
	heard     bool
	received  uint64
	late      uint64
	lateness  []float64
	dialogue
	reason string // why it is over, "" while it goes on
}

// mark waits until the audio before it was played.
type mark struct {
	name string
	due  time.Time
}

const (
	newSpurt = 200 * time.Millisecond
	// maxMarks bounds what a server can make us remember. The oldest is answered early.
	maxMarks = 512
	// writeWithin is how long the server may leave a message unread.
	writeWithin = 5 * time.Second
)

// encoded is the speech and the silence as the messages carry them.
func encoded() (voice [][]byte, quiet []byte) {
	for _, f := range spoken() {
		voice = append(voice, base64.StdEncoding.AppendEncode(nil, f))
	}
	return voice, base64.StdEncoding.AppendEncode(nil, silence())
}

func (s *mediaStream) begin(token string) error {
	if err := s.sock.write(opText, `{"event":"connected","protocol":"Call","version":"1.0.0"}`); err != nil {
		return err
	}
	return s.sock.write(opText, fmt.Sprintf(`{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC00000000000000000000000000000000",`+
		`"streamSid":%q,"callSid":"CA%s","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},`+
		`"customParameters":{"token":%q}},"streamSid":%q}`, s.sid, s.sid[2:], token, s.sid))
}

// next sends what is due in this tick.
func (s *mediaStream) next(now time.Time) error {
	if now.Sub(s.lastCheck) > time.Second { // a deadline for each message would cost more than the message
		s.lastCheck = now
		_ = s.sock.conn.SetWriteDeadline(now.Add(writeWithin))
	}
	place := (s.tick - s.offset) % everyFrames
	payload := s.quiet
	if s.tick >= s.offset && place < len(s.voice) {
		payload = s.voice[place]
		if place == len(s.voice)-1 {
			s.mu.Lock()
			s.spoke(now, s.tick)
			s.mu.Unlock()
		}
	}
	s.tick++
	b := s.media(payload)
	if s.stalled(s.tick - 1) {
		s.withheld = append(s.withheld, append([]byte(nil), b...))
		return nil
	}
	for _, old := range s.withheld {
		if _, err := s.sock.conn.Write(old); err != nil {
			return err
		}
	}
	s.withheld = nil
	if _, err := s.sock.conn.Write(b); err != nil {
		return err
	}
	s.sent.Add(1)
	return s.returnMarks(now)
}

// media builds the message of this tick, in the carrier's form.
func (s *mediaStream) media(payload []byte) []byte {
	n := int64(s.tick)
	b := append(s.out[:0], make([]byte, headRoom)...)
	b = append(b, `{"event":"media","sequenceNumber":"`...)
	b = strconv.AppendInt(b, n+1, 10)
	b = append(b, `","media":{"track":"inbound","chunk":"`...)
	b = strconv.AppendInt(b, n, 10)
	b = append(b, `","timestamp":"`...)
	b = strconv.AppendInt(b, n*int64(frameTime/time.Millisecond), 10)
	b = append(b, `","payload":"`...)
	b = append(b, payload...)
	b = append(b, `"},"streamSid":"`...)
	b = append(b, s.sid...)
	b = append(b, `"}`...)
	s.out = b
	return frame(opText, b)
}

func (s *mediaStream) returnMarks(now time.Time) error {
	for {
		s.mu.Lock()
		if len(s.marks) == 0 || s.marks[0].due.After(now) {
			s.mu.Unlock()
			return nil
		}
		name := s.marks[0].name
		s.marks = s.marks[1:]
		s.mu.Unlock()
		if err := s.sock.write(opText, fmt.Sprintf(`{"event":"mark","sequenceNumber":"%d","streamSid":%q,"mark":{"name":%q}}`, s.tick+1, s.sid, name)); err != nil {
			return err
		}
	}
}

// fromServer is a message of the server.
type fromServer struct {
	Event string `json:"event"`
	Media struct {
		Payload []byte `json:"payload"`
	} `json:"media"`
	Mark struct {
		Name string `json:"name"`
	} `json:"mark"`
}

var mediaHead, payloadKey = []byte(`{"event":"media",`), []byte(`"payload":"`)

// receive takes a message of the server. dst is memory for audio.
func (s *mediaStream) receive(b, dst []byte, at time.Time) error {
	if bytes.HasPrefix(b, mediaHead) {
		if i := bytes.Index(b, payloadKey); i >= 0 {
			text := b[i+len(payloadKey):]
			if end := bytes.IndexByte(text, '"'); end >= 0 && base64.StdEncoding.DecodedLen(end) <= len(dst) {
				if n, err := base64.StdEncoding.Decode(dst, text[:end]); err == nil {
					s.play(dst[:n], at)
					return nil
				}
			}
		}
	}
	var m fromServer
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("a message of the server cannot be read: %w", err)
	}
	switch m.Event {
	case "media":
		s.play(m.Media.Payload, at)
	case "mark":
		s.mark(m.Mark.Name)
	case "clear":
		s.clear(at)
	}
	return nil
}

func (s *mediaStream) play(audio []byte, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received++
	if dry := at.Sub(s.playUntil); s.heard && dry < newSpurt {
		if dry > lateFrame {
			s.late++
		}
		if s.received%16 == 0 {
			s.lateness = append(s.lateness, float64(max(0, dry).Microseconds())/1000)
		}
	}
	s.heard = true
	if s.playUntil.Before(at) {
		s.playUntil = at
	}
	s.playUntil = s.playUntil.Add(time.Duration(len(audio)) * time.Second / 8000)
	if audible(audio) {
		s.loud(at)
	}
}

func (s *mediaStream) mark(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.marks) == maxMarks {
		s.marks[0].due = time.Time{}
		return
	}
	s.marks = append(s.marks, mark{name, s.playUntil})
}

// clear empties the buffer; the marks in it come back at once, as the carrier does it.
func (s *mediaStream) clear(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.playUntil = at
	for i := range s.marks {
		s.marks[i].due = time.Time{}
	}
}

func (s *mediaStream) over(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" {
		s.reason = reason
	}
}
