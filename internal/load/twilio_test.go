package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/telephony/mediastream"
)

// streams serves media streams and returns their URL and a source of tokens.
func streams(t *testing.T, accept media.Accept) (target string, token func(int) (string, error), s *mediastream.Server) {
	t.Helper()
	pacer := media.NewPacer(media.PacerConfig{})
	tokens, err := mediastream.NewTokens(mediastream.TokensConfig{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = mediastream.New(mediastream.Config{Tokens: tokens, Accept: accept, Pacer: pacer}); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Media())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		web.Close()
		pacer.Close()
	})
	return "ws" + strings.TrimPrefix(web.URL, "http") + "/", func(int) (string, error) {
		return tokens.Mint(mediastream.Claims{Org: "o", Agent: "a"}, time.Minute)
	}, s
}

func TestTwilioLoad(t *testing.T) {
	target, token, s := streams(t, answer)
	rep, err := Twilio(t.Context(), TwilioConfig{Config: Config{Target: target, Calls: 6, Duration: 4 * time.Second}, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Kind != "twilio" || rep.Connected != 6 || rep.Completed != 6 || rep.Setup.N != 6 || rep.SetupRate <= 0 || len(rep.Failures) != 0 {
		t.Errorf("calls: %+v", rep)
	}
	if rep.Frames.Sent < 500 || rep.Frames.Received < 6*5 || rep.Response.N < 6 {
		t.Errorf("frames: %+v, responses %+v", rep.Frames, rep.Response)
	}
	if n := s.Streams(); n > 6 {
		t.Errorf("%d streams are left", n)
	}
}

func TestTwilioLoadOfAServerThatRefuses(t *testing.T) {
	target, _, _ := streams(t, answer)
	bad := func(int) (string, error) { return "nonsense", nil }
	rep, err := Twilio(t.Context(), TwilioConfig{Config: Config{Target: target, Calls: 3, Duration: 500 * time.Millisecond}, Token: bad})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Completed != 0 || len(rep.Failures) == 0 {
		t.Errorf("%+v", rep)
	}
	none := func(int) (string, error) { return "", errors.New("no token") }
	if rep, err = Twilio(t.Context(), TwilioConfig{Config: Config{Target: target, Calls: 2}, Token: none}); err != nil || rep.Failures["no token"] != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	rep, err = Twilio(t.Context(), TwilioConfig{Config: Config{Target: "ws" + strings.TrimPrefix(web.URL, "http"), Calls: 2}, Token: bad})
	if err != nil || rep.Failures["answered 404"] != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Twilio(gone, TwilioConfig{Config: Config{Target: target, Calls: 2, Rate: 1}, Token: bad}); err == nil {
		t.Error("a load that was given up reports")
	}
}

func TestTwilioConfigIsChecked(t *testing.T) {
	token := func(int) (string, error) { return "", nil }
	ok := Config{Target: "ws://127.0.0.1:1/", Calls: 1}
	for _, change := range []func(*TwilioConfig){
		func(c *TwilioConfig) { c.Target = "http://127.0.0.1:1/" },
		func(c *TwilioConfig) { c.Target = "%" },
		func(c *TwilioConfig) { c.Calls = 0 },
		func(c *TwilioConfig) { c.Calls = maxCalls + 1 },
		func(c *TwilioConfig) { c.Rate = -1 },
		func(c *TwilioConfig) { c.Stall = true },
		func(c *TwilioConfig) { c.Token = nil },
	} {
		c := TwilioConfig{Config: ok, Token: token}
		change(&c)
		if _, err := Twilio(t.Context(), c); err == nil {
			t.Errorf("%+v is taken", c.Config)
		}
	}
}

// What comes back is played out in order; marks return when their audio was played, or at once after a clear.
func TestMarksAndClear(t *testing.T) {
	s := &mediaStream{sid: "MZ1", dialogue: dialogue{stallAt: -1}}
	at := time.Unix(100, 0)
	audio := make([]byte, 4096)
	put := func(text string) {
		t.Helper()
		if err := s.receive([]byte(text), audio, at); err != nil {
			t.Fatal(err)
		}
	}
	_, quiet := encoded()
	media := fmt.Sprintf(`{"event":"media","streamSid":"MZ1","media":{"payload":"%s"}}`, quiet)
	put(media)
	put(`{"streamSid":"MZ1","event":"media","media":{"payload":"` + string(quiet) + `"}}`) // in another order
	put(`{"event":"mark","streamSid":"MZ1","mark":{"name":"a"}}`)
	if s.received != 2 || len(s.marks) != 1 || s.marks[0].due != at.Add(2*frameTime) {
		t.Errorf("%d received, marks %+v", s.received, s.marks)
	}
	put(`{"event":"clear","streamSid":"MZ1"}`)
	if !s.marks[0].due.IsZero() || s.playUntil != at {
		t.Errorf("after the clear: %+v, %v", s.marks, s.playUntil)
	}
	for range 2 * maxMarks {
		s.mark("x")
	}
	if len(s.marks) != maxMarks {
		t.Errorf("%d marks are kept", len(s.marks))
	}
	at = at.Add(30 * time.Millisecond)
	put(media)
	if s.late != 1 {
		t.Errorf("%d late", s.late)
	}
	at = at.Add(time.Second)
	put(media)
	if s.late != 1 {
		t.Error("a pause of the agent counts as late")
	}
	if err := s.receive([]byte("nonsense"), audio, at); err == nil {
		t.Error("nonsense is taken")
	}
}

func FuzzServerMessage(f *testing.F) {
	f.Add([]byte(`{"event":"media","streamSid":"MZ1","media":{"payload":"////"}}`))
	f.Add([]byte(`{"event":"mark","mark":{"name":"a"}}`))
	audio := make([]byte, 64)
	f.Fuzz(func(_ *testing.T, b []byte) {
		s := &mediaStream{}
		_ = s.receive(b, audio, time.Unix(1, 0))
	})
}

func FuzzSocketRead(f *testing.F) {
	f.Add([]byte("\x81\x02{}"))
	f.Add([]byte("\x81\x7e\x00\x80"))
	f.Add([]byte("\x88\x02\x03\xe8"))
	f.Fuzz(func(t *testing.T, b []byte) {
		near, far := net.Pipe()
		defer near.Close()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		defer far.Close()
		s := &socket{conn: near, r: bufio.NewReader(bytes.NewReader(b))}
		for {
			m, err := s.read()
			if err != nil {
				return
			}
			if len(m) > len(b) {
				t.Fatalf("%d bytes out of %d", len(m), len(b))
			}
		}
	})
}
