package openai_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/openai"
	"github.com/parley-voice/parley/internal/voice/provider/providertest"
)

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// hanging takes requests and never answers.
func hanging(t testing.TB) string {
	return serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
}

// broken fails every request.
func broken(t testing.TB) string {
	return fixed(t, http.StatusInternalServerError, "text/plain", "boom")
}

// tone is PCM of a duration that grows with the text.
func tone(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		_ = binary.Write(&b, binary.LittleEndian, int16(8000*math.Sin(float64(i)/9)))
	}
	return b.Bytes()
}

// talker speaks any text, longer ones longer.
func talker(t testing.TB) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Input  string `json:"input"`
			Format string `json:"response_format"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || req.Format != "pcm" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "audio/pcm")
		_, _ = w.Write(tone(1500 * len(req.Input)))
	})
}

func fixed(t testing.TB, status int, contentType, body string) string {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

const sseType = "text/event-stream; charset=utf-8"

func TestChatAnswers(t *testing.T) {
	for name, c := range map[string]struct{ kind, body, text, calls string }{
		"events":       {sseType, "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", "Hello", ""},
		"CRLF":         {sseType, ": hi\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n", "Hello", ""},
		"no DONE":      {sseType, "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\n", "Hello", ""},
		"plain JSON":   {"application/json", `{"choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}`, "Hello", ""},
		"tool pieces":  {sseType, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n", "", `c1 f {"a":1};`},
		"two tools":    {sseType, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n", "", `a f {};b g {};`},
		"tool no id":   {"application/json", `{"choices":[{"message":{"content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}`, "", `call_1 f {};`},
		"usage at end": {sseType, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n", "x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text, calls, last, err := answer(t.Context(), client(t, fixed(t, 200, c.kind, c.body)))
			got := ""
			for _, call := range calls {
				got += fmt.Sprintf("%s %s %s;", call.ID, call.Name, call.Arguments)
			}
			if err != nil || text != c.text || got != c.calls {
				t.Fatalf("%q %q %v", text, got, err)
			}
			if strings.Contains(c.body, "usage") && last.TokensIn == 0 {
				t.Fatalf("no counts: %+v", last)
			}
		})
	}
}

func TestChatFailures(t *testing.T) {
	for name, c := range map[string]struct {
		status           int
		kind, body, code string
		part             string
	}{
		"401":               {401, "application/json", `{"error":{"message":"bad key sk-secret"}}`, "unauthorized", "***"},
		"404":               {404, "application/json", `{"error":"model not found"}`, "refused", "model not found"},
		"redirect":          {302, "text/html", "", "refused", "302"},
		"500":               {500, "text/plain", "boom", "failed", "500"},
		"504":               {504, "text/plain", "", "timeout", "504"},
		"HTML":              {200, "text/html", "<html>", "bad_response", "text/html"},
		"truncated":         {200, sseType, "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n", "bad_response", "broke off"},
		"rubbish event":     {200, sseType, "data: {{{\n\n", "bad_response", "no JSON"},
		"rubbish JSON":      {200, "application/json", "[[[", "bad_response", "no JSON"},
		"no choices":        {200, "application/json", "{}", "bad_response", "no choices"},
		"error event":       {200, sseType, "data: {\"error\":{\"message\":\"out of memory\"}}\n\n", "failed", "out of memory"},
		"bad arguments":     {200, "application/json", `{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{"}}]}}]}`, "bad_response", "no JSON"},
		"endless line":      {200, sseType, "data: " + strings.Repeat("x", 2<<20), "bad_response", "KiB"},
		"endless text":      {200, sseType, strings.Repeat("data: {\"choices\":[{\"delta\":{\"content\":\""+strings.Repeat("y", 1000)+"\"}}]}\n\n", 100), "bad_response", "KiB"},
		"endless tool call": {200, sseType, strings.Repeat("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\""+strings.Repeat("y", 1000)+"\"}}]}}]}\n\n", 100), "bad_response", "KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := client(t, fixed(t, c.status, c.kind, c.body), func(c *openai.Config) { c.LLM.Key = "sk-secret" })
			_, _, _, err := answer(t.Context(), cl)
			wantCode(t, err, c.code, c.part)
			if strings.Contains(err.Error(), "sk-secret") {
				t.Fatalf("the key is told: %v", err)
			}
		})
	}
}

func TestRetryAfterIsTold(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, _, _, err := answer(t.Context(), client(t, url))
	wantCode(t, err, "rate_limited", "wait 7 s")
}

// A server that stops in the middle is left after the idle time; one that only drips is not.
func TestIdle(t *testing.T) {
	stalls := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sseType)
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	text, _, _, err := answer(t.Context(), client(t, stalls, func(c *openai.Config) { c.Idle = 150 * time.Millisecond }))
	wantCode(t, err, "timeout", "in time")
	if text != "Hel" {
		t.Fatalf("what had come was lost: %q", text)
	}
	drips := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sseType)
		for _, b := range []byte("data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n") {
			_, _ = w.Write([]byte{b})
			w.(http.Flusher).Flush()
		}
		_ = r
	})
	if text, _, _, err := answer(t.Context(), client(t, drips)); err != nil || text != "Hello" {
		t.Fatalf("%q %v", text, err)
	}
}

func TestFirstByteTimeout(t *testing.T) {
	_, _, _, err := answer(t.Context(), client(t, hanging(t), func(c *openai.Config) { c.FirstByte = 100 * time.Millisecond }))
	wantCode(t, err, "timeout", "in time")
}

func TestNobodyThere(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	_, _, _, err := answer(t.Context(), client(t, srv.URL))
	wantCode(t, err, "failed", "cannot be reached")
	_, err = client(t, "http://h", func(c *openai.Config) { c.TTS.BaseURL = "" }).Speak(t.Context(), provider.SpeakRequest{Text: "x"})
	wantCode(t, err, "refused", "no address")
}

func wavFile(rate, channels int, size uint32, samples []byte) string {
	var b bytes.Buffer
	b.WriteString("RIFF\xff\xff\xff\xffWAVELIST\x04\x00\x00\x00abcdfmt \x10\x00\x00\x00\x01\x00")
	for _, v := range []any{uint16(channels), uint32(rate), uint32(2 * rate * channels), uint16(2 * channels), uint16(16)} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	b.WriteString("data")
	_ = binary.Write(&b, binary.LittleEndian, size)
	b.Write(samples)
	return b.String()
}

func TestSpeechForms(t *testing.T) {
	pcm := tone(8000)
	stereo := bytes.Repeat([]byte{0, 16, 0, 32}, 8000)
	for name, c := range map[string]struct {
		kind, body string
		rate, n    int
	}{
		"PCM":                 {"audio/pcm", string(pcm), 24000, 8000},
		"PCM, rate told":      {"audio/L16; rate=16000; channels=1", string(pcm), 16000, 8000},
		"PCM, odd end":        {"application/octet-stream", string(pcm) + "x", 24000, 8000},
		"WAV":                 {"audio/wav", wavFile(22050, 1, 16000, pcm), 22050, 8000},
		"WAV, length unknown": {"audio/pcm", wavFile(8000, 1, 0xffffffff, pcm), 8000, 8000},
		"WAV, tail":           {"audio/wav", wavFile(16000, 1, 16000, pcm) + "LIST\x04\x00\x00\x00abcd", 16000, 8000},
		"WAV, stereo":         {"audio/wav", wavFile(44100, 2, 0, stereo), 44100, 8000},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := client(t, fixed(t, 200, c.kind, c.body)).Speak(t.Context(), provider.SpeakRequest{Text: "hello"})
			if err != nil {
				t.Fatal(err)
			}
			got := drain(t, s)
			if s.Rate() != c.rate || len(got) < c.n-20 || len(got) > c.n {
				t.Fatalf("%d samples at %d, want %d at %d", len(got), s.Rate(), c.n, c.rate)
			}
		})
	}
	for name, c := range map[string]struct{ kind, body, part string }{
		"JSON":     {"application/json", `{"audio":"x"}`, "json"},
		"HTML":     {"text/html", "<p>", "html"},
		"MP3":      {"audio/mpeg", "ID3\x04aaaaaaaa", "MP3"},
		"Ogg":      {"audio/ogg", "OggSaaaaaaaaaaaaaa", "Ogg"},
		"nothing":  {"audio/pcm", "", "nothing"},
		"bad WAV":  {"audio/wav", "RIFFxxxxWAVEfmt ", "WAV"},
		"8 bit":    {"audio/wav", strings.Replace(wavFile(8000, 1, 100, pcm), "\x10\x00data", "\x08\x00data", 1), "WAV"},
		"cut WAV":  {"audio/wav", wavFile(16000, 1, 60000, pcm), "broke off"},
		"too much": {"audio/pcm", string(bytes.Repeat(pcm, 1200)), "MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := client(t, fixed(t, 200, c.kind, c.body)).Speak(t.Context(), provider.SpeakRequest{Text: "hello"})
			if err == nil {
				buf := make([]int16, 4000)
				for err == nil {
					_, err = s.Read(buf)
				}
				_ = s.Close()
			}
			wantCode(t, err, "bad_response", c.part)
		})
	}
}

func TestTranscripts(t *testing.T) {
	for name, c := range map[string]struct{ kind, body, text, code string }{
		"JSON":      {"application/json", `{"text":" Book  it. "}`, "Book it.", ""},
		"text":      {"text/plain; charset=utf-8", "Book it.\n", "Book it.", ""},
		"events":    {sseType, "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Book\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"Book it.\"}\n\n", "Book it.", ""},
		"empty":     {"application/json", `{"text":""}`, "", ""},
		"no text":   {"application/json", `{}`, "", "bad_response"},
		"HTML":      {"text/html", `<p>`, "", "bad_response"},
		"truncated": {sseType, "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Book\"}\n\n", "", "bad_response"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := client(t, fixed(t, 200, c.kind, c.body)).Open(t.Context(), provider.STTConfig{Rate: 8000, Language: "en-US"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			s.Begin(1, provider.Expect{})
			s.Write(providertest.Babble(8000, time.Second))
			s.End(1)
			r := <-s.Results()
			if c.code == "" && (r.Err != nil || r.Text != c.text) {
				t.Fatalf("%+v", r)
			}
			if c.code != "" {
				wantCode(t, r.Err, c.code, "")
			}
		})
	}
}

// The upload is a WAV at the call's rate with the fields the API knows.
func TestUpload(t *testing.T) {
	got := make(chan string, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		f, _, err := r.FormFile("file")
		if err != nil {
			got <- err.Error()
			return
		}
		raw, _ := io.ReadAll(f)
		got <- fmt.Sprint(r.URL.Path, " ", r.FormValue("model"), " ", r.FormValue("language"), " ", string(raw[:4]), " ",
			binary.LittleEndian.Uint32(raw[24:]), " ", len(raw), " ", r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"text":"x"}`)
	})
	s, err := client(t, url, func(c *openai.Config) { c.STT.Key = "k" }).Open(t.Context(), provider.STTConfig{Rate: 8000, Language: "en-US"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.Begin(1, provider.Expect{})
	s.Write(make([]int16, 8000))
	s.End(1)
	if g := <-got; g != "/v1/audio/transcriptions whisper-1 en RIFF 8000 16044 Bearer k" {
		t.Fatal(g)
	}
	<-s.Results()
}

// Turns of a call use one connection.
func TestConnectionIsReused(t *testing.T) {
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", sseType)
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	srv.Listener = &counting{srv.Listener, &conns}
	srv.Start()
	t.Cleanup(srv.Close)
	cl := client(t, srv.URL)
	cl.Warm(t.Context())
	for range 5 {
		if _, _, _, err := answer(t.Context(), cl); err != nil {
			t.Fatal(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Fatalf("%d connections for five turns", n)
	}
}

// counting counts the connections a listener accepts.
type counting struct {
	net.Listener
	n *atomic.Int32
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"ftp://x", "nonsense", "http://u:p@h", "http://h?q=1"} {
		if _, err := openai.New(openai.Config{LLM: openai.Endpoint{BaseURL: bad}}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
