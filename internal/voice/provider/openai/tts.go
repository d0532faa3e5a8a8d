package openai

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/parley-voice/parley/internal/voice/provider"
)

const (
	maxInput    = 4096 // characters, OpenAI's own limit
	quiet       = 150  // samples below are silence
	maxLeadIn   = 3    // seconds of silence before speech that are cut; then it is taken as meant
	keepLeading = 100  // 1/100 s of it stays
)

// Speak implements provider.TTS.
func (cl *Client) Speak(ctx context.Context, req provider.SpeakRequest) (provider.AudioStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, cl.transport(provider.ServiceTTS, err)
	}
	text := strings.TrimSpace(strings.ToValidUTF8(req.Text, " "))
	if n := len([]rune(text)); n > maxInput {
		return nil, cl.fail(provider.ServiceTTS, "too_long", true, nil, "the text has %d characters; at most %d can be spoken at once", n, maxInput)
	}
	if !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return &audioStream{rate: cl.c.TTSRate, done: true}, nil // servers refuse what cannot be said
	}
	raw, err := json.Marshal(cl.speech(text, req))
	if err != nil {
		return nil, cl.fail(provider.ServiceTTS, "refused", true, err, "the request cannot be written as JSON")
	}
	res, err := cl.send(ctx, provider.ServiceTTS, http.MethodPost, "/audio/speech", "application/json", bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	s, err := cl.audio(res)
	if err != nil {
		_ = res.body.Close()
		return nil, err
	}
	return s, nil
}

func (cl *Client) speech(text string, req provider.SpeakRequest) map[string]any {
	voice := req.Voice
	if voice == "" {
		voice = cl.c.Voice
	}
	body := map[string]any{"model": cl.c.TTS.Model, "input": text, "voice": voice, "response_format": "pcm"}
	if req.Speed != 0 && req.Speed != 1 {
		body["speed"] = req.Speed
	}
	return body
}

// audio finds out what was sent: raw PCM, as asked for, or WAV, as some servers send anyway.
func (cl *Client) audio(res *response) (*audioStream, error) {
	bad := func(cause error, what string) error {
		return cl.fail(provider.ServiceTTS, "bad_response", false, cause, "the server sent %s instead of PCM or WAV", what)
	}
	if strings.HasPrefix(res.kind, "text/") || strings.HasSuffix(res.kind, "json") || strings.HasSuffix(res.kind, "xml") {
		return nil, bad(nil, strconv.Quote(res.kind))
	}
	r := bufio.NewReaderSize(res.body, 8192)
	s := &audioStream{cl: cl, body: res.body, r: r, rate: cl.rateOf(res), channels: 1, left: -1}
	head, err := r.Peek(4)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return nil, bad(nil, "nothing")
	case err != nil && !errors.Is(err, io.EOF):
		return nil, cl.transport(provider.ServiceTTS, err)
	case string(head) == "RIFF":
		_, _ = r.Discard(4)
		h, err := readWAVHead(r)
		if err != nil {
			return nil, bad(err, "a WAV that is not 16-bit PCM")
		}
		s.rate, s.channels, s.left = h.rate, h.channels, h.size
	case strings.HasPrefix(string(head), "ID3"), res.kind == "audio/mpeg" && len(head) > 1 && head[0] == 0xff && head[1]&0xe0 == 0xe0:
		return nil, bad(nil, "MP3")
	case string(head) == "OggS":
		return nil, bad(nil, "Ogg")
	case string(head) == "fLaC":
		return nil, bad(nil, "FLAC")
	}
	return s, nil
}

// rateOf finds the rate of raw PCM: the media type's parameter (RFC 4856, audio/L16;rate=…), a header some
// servers send, or the connection's setting.
func (cl *Client) rateOf(res *response) int {
	for _, v := range []string{res.params["rate"], res.header.Get("X-Sample-Rate")} {
		if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && n >= 8000 && n <= 96000 {
			return n
		}
	}
	return cl.c.TTSRate
}

// audioStream is speech coming in.
type audioStream struct {
	cl       *Client
	body     *body
	r        *bufio.Reader
	rate     int
	channels int
	left     int64 // bytes of samples to come; -1 when unknown
	pending  []int16
	started  bool // speech has begun: nothing more is cut
	cut      int  // samples of silence cut so far
	done     bool
	err      error
}

// Rate implements provider.AudioStream.
func (s *audioStream) Rate() int { return s.rate }

// Read implements provider.AudioStream.
func (s *audioStream) Read(p []int16) (int, error) {
	for len(p) > 0 && len(s.pending) == 0 {
		switch {
		case s.err != nil:
			return 0, s.err
		case s.done:
			return 0, io.EOF
		}
		s.fill()
	}
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

// fill takes the samples that are here, at least one.
func (s *audioStream) fill() {
	width := 2 * s.channels
	if s.left >= 0 && s.left < int64(width) { // what follows the data is no sound
		_, _ = s.body.discard()
		s.done = true
		return
	}
	if _, err := s.r.Peek(width); err != nil {
		if !errors.Is(err, io.EOF) {
			s.err = s.cl.transport(provider.ServiceTTS, err)
		} else if s.left > 0 {
			s.err = s.cl.transport(provider.ServiceTTS, io.ErrUnexpectedEOF)
		}
		s.done = true
		return
	}
	n := s.r.Buffered() / width * width
	if s.left >= 0 {
		n = int(min(int64(n), s.left/int64(width)*int64(width)))
		s.left -= int64(n)
	}
	raw, _ := s.r.Peek(n) // buffered: cannot fail
	pcm := make([]int16, 0, n/width)
	for ; len(raw) >= width; raw = raw[width:] {
		v := int(int16(binary.LittleEndian.Uint16(raw))) //nolint:gosec // two's complement
		if s.channels == 2 {
			v = (v + int(int16(binary.LittleEndian.Uint16(raw[2:])))) / 2 //nolint:gosec // the same
		}
		pcm = append(pcm, int16(v)) //nolint:gosec // a mean of two
	}
	_, _ = s.r.Discard(n)
	s.pending = s.lead(pcm)
}

// lead cuts the silence before speech, save 10 ms.
func (s *audioStream) lead(pcm []int16) []int16 {
	if s.started {
		return pcm
	}
	for i, v := range pcm {
		if v > quiet || v < -quiet || s.cut+i > maxLeadIn*s.rate {
			s.started = true
			return pcm[max(0, i-s.rate/keepLeading):]
		}
	}
	s.cut += len(pcm)
	return nil
}

// Close implements provider.AudioStream.
func (s *audioStream) Close() error {
	s.done, s.pending, s.err = true, nil, nil
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}
