package mediastream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	// maxMessage bounds one message; a start with all its parameters is far below it.
	maxMessage = 64 << 10
	maxParams  = 50
	maxRaw     = 8 << 10
	// maxMalformed is how many messages of a stream may be rubbish before it is ended.
	maxMalformed = 100
)

// Media takes the carrier's stream (GET /carriers/twilio/media, a WebSocket).
func (s *Server) Media() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.Accept == nil {
			s.refuse(w, r, fault.New(fault.Unavailable, "this process takes no streams"))
			return
		}
		if !s.enter() {
			s.refuse(w, r, fault.New(fault.Unavailable, "the server is stopping"))
			return
		}
		defer s.wg.Done()
		defer s.streams.Add(-1)
		if s.streams.Add(1) > int64(s.cfg.MaxStreams) {
			s.refuse(w, r, fault.New(fault.Unavailable, "there are %d streams already", s.cfg.MaxStreams))
			return
		}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			s.count("bad_handshake")
			return // Accept has answered
		}
		defer func() { _ = conn.CloseNow() }()
		conn.SetReadLimit(maxMessage)
		s.serve(conn, r.RemoteAddr)
	})
}

// refusal is why a stream is closed, in the words of RFC 6455 section 7.4.1.
type refusal struct {
	code   websocket.StatusCode
	count  string
	reason string
}

func (e *refusal) Error() string { return e.reason }

func (s *Server) serve(conn *websocket.Conn, remote string) {
	in := &reader{conn: conn}
	l, err := s.begin(in, remote)
	if err != nil {
		var no *refusal
		if errors.As(err, &no) {
			s.count(no.count)
			s.cfg.Log.Warn("a stream was refused", "remote", remote, "reason", no.reason)
			_ = conn.Close(no.code, clip(no.reason, 120))
		}
		return
	}
	s.join(l)
	cause := media.Cause{By: "system", Code: "error", Text: "The stream broke."}
	defer func() {
		if p := recover(); p != nil {
			s.count("panic")
			s.cfg.Log.Error("a stream panicked", "leg", l.info.ID, "panic", p, "stack", string(debug.Stack()))
		}
		l.finish(cause)
		s.mu.Lock()
		delete(s.legs, l)
		s.mu.Unlock()
		<-l.shut // or the socket would close before the far end was told why
	}()
	s.wg.Go(l.writer)
	s.wg.Go(func() { s.accept(l) })
	cause = l.read(in)
}

// accept hands the leg over. A panic of its owner ends this call only.
func (s *Server) accept(l *leg) {
	defer func() {
		if p := recover(); p != nil {
			s.count("panic")
			s.cfg.Log.Error("the owner of a stream panicked", "leg", l.info.ID, "panic", p, "stack", string(debug.Stack()))
			l.end(media.Cause{By: "system", Code: "error", Text: "Something went wrong on our side."}, websocket.StatusInternalError, "internal error")
		}
	}()
	s.cfg.Accept(s.base, l) // the leg says itself when it ends
}

// begin waits for connected and start, and makes the leg of it.
func (s *Server) begin(in *reader, remote string) (*leg, error) {
	ctx, cancel := context.WithCancel(s.base)
	defer cancel()
	timer := s.cfg.Clock.AfterFunc(s.cfg.StartTimeout, cancel, "start")
	defer timer.Stop()
	for range 3 {
		b, err := in.next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				s.count("start_timeout")
				return nil, fmt.Errorf("no start message: %w", err)
			}
			s.count("no_start")
			return nil, err
		}
		var m message
		if err := parse(b, &m); err != nil {
			return nil, &refusal{websocket.StatusInvalidFramePayloadData, "malformed", "malformed message: " + err.Error()}
		}
		switch m.event {
		case evConnected:
			continue
		case evStart:
			return s.started(ctx, m.start, remote, in.conn)
		}
		return nil, &refusal{websocket.StatusPolicyViolation, "no_start", "expected connected and start, got " + clip(m.event, 40)}
	}
	return nil, &refusal{websocket.StatusPolicyViolation, "no_start", "no start message"}
}

// started checks the start message and its token.
func (s *Server) started(ctx context.Context, st *start, remote string, conn *websocket.Conn) (*leg, error) {
	if !sid(st.StreamSid) {
		return nil, &refusal{websocket.StatusPolicyViolation, "malformed", "start.streamSid is missing or not valid"}
	}
	if st.CallSid != "" && !sid(st.CallSid) || st.AccountSid != "" && !sid(st.AccountSid) {
		return nil, &refusal{websocket.StatusPolicyViolation, "malformed", "start.callSid or start.accountSid is not valid"}
	}
	if f := st.MediaFormat; f.Encoding != "" && f.Encoding != "audio/x-mulaw" || f.SampleRate != 0 && f.SampleRate != rate || f.Channels > 1 {
		return nil, &refusal{websocket.StatusUnsupportedData, "bad_format", "start.mediaFormat must be audio/x-mulaw, 8000 Hz, one channel"}
	}
	if len(st.CustomParameters) > maxParams {
		return nil, &refusal{websocket.StatusPolicyViolation, "malformed", "too many custom parameters"}
	}
	token := st.CustomParameters["token"]
	if token == "" {
		return nil, &refusal{websocket.StatusPolicyViolation, "bad_token", "the custom parameter token is missing"}
	}
	claims, err := s.cfg.Tokens.Verify(ctx, token, st.CallSid)
	if err != nil {
		reason := "the media token cannot be checked"
		var f *fault.Error
		if errors.As(err, &f) {
			reason = f.Message
		}
		return nil, &refusal{websocket.StatusPolicyViolation, "bad_token", reason}
	}
	return s.newLeg(st, claims, remote, conn), nil
}

func (s *Server) newLeg(st *start, c Claims, remote string, conn *websocket.Conn) *leg {
	params := make(map[string]string, len(st.CustomParameters)+2)
	shown := make(map[string]string, len(st.CustomParameters))
	for k, v := range st.CustomParameters {
		if k == "token" {
			v = "(removed)"
		} else {
			params[strings.ToLower(k)] = v
		}
		shown[k] = v
	}
	params[ParamOrg], params[ParamAgent] = c.Org, c.Agent
	to := c.To
	if to == "" {
		to = c.Agent
	}
	l := &leg{
		s: s, account: st.AccountSid, conn: conn, done: make(chan struct{}), shut: make(chan struct{}), stop: make(chan struct{}),
		info: media.LegInfo{
			ID: uuid.Must(uuid.NewV7()).String(), Kind: media.KindTwilio, Direction: media.Inbound,
			From: c.From, To: to, External: st.CallSid, Remote: remote, Params: params,
		},
	}
	l.out = newOutbox(st.StreamSid, func(b []byte) error {
		l.writeSince.Store(s.cfg.Clock.Now().UnixNano())
		// No deadline of its own: the tick watches writeSince, which costs nothing for each message.
		err := conn.Write(context.Background(), websocket.MessageText, b)
		l.writeSince.Store(0)
		return err
	})
	l.lastMedia.Store(s.cfg.Clock.Now().UnixNano())
	st.CustomParameters = shown
	raw, _ := json.Marshal(st)
	l.signal(false, evStart, clip(string(raw), maxRaw))
	return l
}

// writer sends what the outbox holds.
func (l *leg) writer() {
	for {
		select {
		case <-l.stop:
			return
		case <-l.out.wake:
		}
		if err := l.out.drain(l.s.cfg.Clock); err != nil {
			l.end(media.Cause{By: "carrier", Code: "unreachable", Text: "The stream could not be written to."}, websocket.StatusInternalError, "write failed")
			return
		}
	}
}

// read takes messages until the stream ends and says why it did.
func (l *leg) read(in *reader) media.Cause {
	var m message
	var last int64
	raw := make([]byte, 0, 4*frameBytes)
	for {
		b, err := in.next(context.Background())
		if err != nil {
			return l.readEnded(err)
		}
		if err := parse(b, &m); err != nil {
			if !l.rubbish() {
				return media.Cause{By: "carrier", Code: "error", Text: "The carrier sent messages that cannot be read."}
			}
			continue
		}
		switch m.event {
		case evMedia:
			raw, last = l.media(&m, raw, last)
		case evMark:
			if epoch, n, ok := parseMark(m.name); !ok || !l.out.markReturned(epoch, n) {
				l.s.count("foreign_mark")
			}
		case evDTMF:
			l.digit(m.digit, b)
		case evStop:
			l.signal(false, evStop, clip(string(b), maxRaw))
			return media.Cause{By: "caller", Code: "normal", Text: "The caller hung up."}
		case evConnected, evStart:
			l.s.count("unexpected")
		default:
			l.s.count("unknown_event")
		}
	}
}

// media puts one message's audio into the inbox. Chunks count up from 1 in a track; what comes twice or
// after a later one is dropped.
func (l *leg) media(m *message, raw []byte, last int64) ([]byte, int64) {
	if m.track == "outbound" {
		return raw, last // our own audio, on streams set to both tracks
	}
	l.packetsIn.Add(1)
	switch {
	case m.chunk == 0: // not numbered
	case m.chunk == last:
		l.duplicate.Add(1)
		return raw, last
	case m.chunk < last:
		l.late.Add(1)
		return raw, last
	default:
		if last > 0 {
			l.lost.Add(uint64(m.chunk - last - 1))
		}
		last = m.chunk
	}
	if need := base64.StdEncoding.DecodedLen(len(m.payload)); cap(raw) < need {
		raw = make([]byte, 0, need)
	}
	n, err := base64.StdEncoding.Decode(raw[:cap(raw)], m.payload)
	if err != nil {
		l.rubbish()
		return raw, last
	}
	l.lastMedia.Store(l.s.cfg.Clock.Now().UnixNano())
	l.in.push(raw[:n])
	return raw, last
}

// rubbish counts a message that cannot be read and reports whether the stream may go on.
func (l *leg) rubbish() bool {
	l.s.count("malformed")
	if l.malformed.Add(1) < maxMalformed {
		return true
	}
	l.end(media.Cause{By: "carrier", Code: "error", Text: "The carrier sent too many messages that cannot be read."},
		websocket.StatusInvalidFramePayloadData, "too many malformed messages")
	return false
}

func (l *leg) digit(d string, raw []byte) {
	d = strings.ToUpper(d)
	if len(d) != 1 || !strings.Contains(toneDigits, d) {
		l.rubbish()
		return
	}
	l.signal(false, evDTMF, clip(string(raw), maxRaw))
	l.emit(media.LegEvent{Kind: media.LegDTMF, Digit: d[0]})
}

func (l *leg) readEnded(err error) media.Cause {
	switch code := websocket.CloseStatus(err); {
	case code == websocket.StatusNormalClosure || code == websocket.StatusGoingAway:
		return media.Cause{By: "carrier", Code: "normal", Text: "The carrier closed the stream."}
	case code != -1:
		return media.Cause{By: "carrier", Code: "error", Status: int(code), Text: fmt.Sprintf("The carrier closed the stream with code %d.", code)}
	case errors.Is(err, websocket.ErrMessageTooBig):
		l.s.count("too_big")
		return media.Cause{By: "carrier", Code: "error", Text: "The carrier sent a message that is too big."}
	case errors.Is(err, io.EOF):
		return media.Cause{By: "carrier", Code: "error", Text: "The connection to the carrier was lost."}
	}
	return media.Cause{By: "carrier", Code: "error", Text: "The stream broke: " + clip(err.Error(), 200)}
}

// reader reads whole messages into one buffer.
type reader struct {
	conn *websocket.Conn
	buf  []byte
}

// next returns the next message; it is valid until the one after it.
func (r *reader) next(ctx context.Context) ([]byte, error) {
	_, src, err := r.conn.Reader(ctx)
	if err != nil {
		return nil, err
	}
	if r.buf == nil {
		r.buf = make([]byte, 0, 1024)
	}
	b := r.buf[:0]
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := src.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			if cap(b) <= 4096 || cap(r.buf) > 4096 {
				r.buf = b
			}
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}
