// Package openai speaks to any server with OpenAI's API for speech and chat: OpenAI itself, Ollama, vLLM,
// llama.cpp, speaches, Kokoro and others. It is a small client of its own, because those servers differ in
// ways a vendor's SDK does not expect.
//
//	openai.go  the client, its settings, addresses
//	http.go    one request: time-outs, sizes, errors
//	sse.go     server-sent events
//	llm.go     POST /chat/completions
//	stt.go     POST /audio/transcriptions
//	tts.go     POST /audio/speech
//	wav.go     WAV, written for STT and read from TTS
//	probe.go   GET /models
//
// The API: https://platform.openai.com/docs/api-reference.
package openai

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/egress"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// Vendor is the name in errors and logs.
const Vendor = "openai"

// Endpoint is where one service is, and which model it shall use.
type Endpoint struct {
	BaseURL string // with or without /v1; "" means that the service is not there
	Key     string // "" sends none
	Model   string
}

// Config sets a Client up. Zero values mean the default in brackets.
type Config struct {
	STT, LLM, TTS Endpoint
	Voice         string         // when a request names none ["alloy"]
	TTSRate       int            // of PCM whose rate the server does not tell [24000]
	Connect       time.Duration  // [3 s]
	FirstByte     time.Duration  // from the request to the answer's beginning [15 s]
	Idle          time.Duration  // between two pieces of an answer [10 s]
	Egress        *egress.Dialer // where it may connect [anywhere]
	Clock         quartz.Clock
	Log           *slog.Logger
}

// Client is the vendor: a provider.STT, provider.LLM and provider.TTS. It is shared by all calls; its
// connections are kept and used again.
type Client struct {
	c    Config
	http *http.Client
	base map[provider.Service]string
}

// New makes a client.
func New(c Config) (*Client, error) {
	c = c.withDefaults()
	if c.TTSRate < 8000 || c.TTSRate > 48000 {
		return nil, fmt.Errorf("openai: the TTS rate %d is not possible; choose 8000 to 48000", c.TTSRate)
	}
	cl := &Client{c: c, base: map[provider.Service]string{}, http: newHTTP(c)}
	for s, e := range cl.endpoints() {
		if e.BaseURL == "" {
			continue
		}
		base, err := normalise(e.BaseURL)
		if err != nil {
			return nil, fmt.Errorf("openai: %s: %w", s, err)
		}
		cl.base[s] = base
	}
	return cl, nil
}

func (c Config) withDefaults() Config {
	if c.Connect <= 0 {
		c.Connect = 3 * time.Second
	}
	if c.FirstByte <= 0 {
		c.FirstByte = 15 * time.Second
	}
	if c.Idle <= 0 {
		c.Idle = 10 * time.Second
	}
	if c.TTSRate == 0 {
		c.TTSRate = 24000
	}
	if c.Voice == "" {
		c.Voice = "alloy"
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func newHTTP(c Config) *http.Client {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: c.Connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   c.Connect,
		ResponseHeaderTimeout: c.FirstByte,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   128, // a connection a call, kept between its turns
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
	}
	if c.Egress != nil {
		c.Egress.Proxied(t)
	}
	return &http.Client{
		Transport: t,
		// A vendor that moves answers with an error that names the new place; a key is not carried there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (cl *Client) endpoints() map[provider.Service]Endpoint {
	return map[provider.Service]Endpoint{provider.ServiceSTT: cl.c.STT, provider.ServiceLLM: cl.c.LLM, provider.ServiceTTS: cl.c.TTS}
}

// Close lets go of the connections that are not in use.
func (cl *Client) Close() error {
	cl.http.CloseIdleConnections()
	return nil
}

// Warm connects to every service, so that the first turn of a call need not. Failures show at that turn.
func (cl *Client) Warm(ctx context.Context) {
	seen := map[string]bool{}
	for s, base := range cl.base {
		if seen[base] {
			continue
		}
		seen[base] = true
		if res, err := cl.send(ctx, s, http.MethodGet, "/models", "", nil); err == nil {
			_, _ = res.body.discard()
			_ = res.body.Close()
		}
	}
}

var versionSegment = regexp.MustCompile(`^v\d+`)

// normalise gives a base URL that ends in its version: http://host:11434 becomes http://host:11434/v1.
func normalise(raw string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%q is no address of a server; write it as http://host:port/v1", raw)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("the address may hold no user, query or fragment; keys have a setting of their own")
	}
	path := strings.TrimRight(u.Path, "/")
	versioned := false
	for seg := range strings.SplitSeq(path, "/") {
		versioned = versioned || versionSegment.MatchString(seg)
	}
	if !versioned {
		path += "/v1"
	}
	u.Path = path
	return u.String(), nil
}
