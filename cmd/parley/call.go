package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/load"
	"github.com/parley-voice/parley/internal/telephony/sip"
	"github.com/parley-voice/parley/internal/telephony/softphone"
)

type callCmd struct {
	URI       string        `arg:"" help:"SIP URI, such as sip:front-desk@127.0.0.1."`
	WAV       string        `help:"WAV file that is played as the caller." type:"existingfile" placeholder:"FILE"`
	Out       string        `help:"WAV file that gets what is heard." placeholder:"FILE"`
	DTMF      string        `help:"Digits sent after the file; a comma waits half a second."`
	Duration  time.Duration `help:"Hang up after this long. Without it: when all was said and the other side has been silent for a while."`
	AtOnce    bool          `help:"Speak at once instead of after the greeting."`
	From      string        `help:"Our name." default:"softphone"`
	User      string        `help:"User name, where the server asks for one."`
	Password  string        `help:"Password of the user." env:"PARLEY_CALL_PASSWORD"`
	Codec     []string      `help:"Codecs in order of preference: g722, pcmu, pcma, opus."`
	SRTP      bool          `help:"Encrypt the audio (SDES)."`
	Transport string        `help:"udp or tcp." enum:"udp,tcp," default:""`
}

// Run places the call.
func (c *callCmd) Run(e *env) error {
	res, err := softphone.Call(e.ctx, softphone.Options{
		URI: c.URI, WAVIn: c.WAV, WAVOut: c.Out, DTMF: c.DTMF, Duration: c.Duration, AtOnce: c.AtOnce, From: c.From,
		Auth: sip.Auth{Username: c.User, Password: c.Password}, Codecs: c.Codec, SRTP: c.SRTP, Transport: c.Transport,
		Print: func(s string) { fmt.Println(s) }, Clock: quartz.NewReal(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	fmt.Printf("talked %.1f s, the other side spoke %.1f s; ended by %s: %s\n", res.Talked.Seconds(), res.Spoke.Seconds(), res.Cause.By, res.Cause.Text)
	return nil
}

type loadCmd struct {
	SIP          string        `help:"Load by SIP: the target, such as sip:sim@127.0.0.1:5060." xor:"kind" required:"" placeholder:"URI"`
	Twilio       string        `help:"Load by media streams: the target, such as ws://127.0.0.1:8080/carriers/twilio/media." xor:"kind" required:"" placeholder:"URL"`
	HTTP         string        `name:"http" help:"Load by API requests: what is asked for, such as http://127.0.0.1:8080/api/v1/agents. --rate requests a second for --duration, each at its time." xor:"kind" required:"" placeholder:"URL"`
	Tokens       string        `help:"File with API tokens that take turns with --http, the last word of each line." placeholder:"FILE"`
	Token        string        `help:"Media token for --twilio (parley token media --agent sim)." env:"PARLEY_MEDIA_TOKEN"`
	Calls        int           `help:"Calls at once." default:"100"`
	Rate         float64       `help:"Calls placed a second; 0 places all in one burst." default:"50"`
	Duration     time.Duration `help:"How long all calls are held." default:"30s"`
	Stall        bool          `help:"Every caller's network stalls for a second."`
	Metrics      string        `help:"The server's /metrics, for its own figures; empty leaves them out." default:"http://127.0.0.1:8080/metrics"`
	MetricsToken string        `help:"Bearer token of /metrics." env:"PARLEY_METRICS_TOKEN"`
	JSON         bool          `help:"Report as JSON." name:"json"`
}

// Run makes the load and prints the report.
func (c *loadCmd) Run(e *env) error {
	if c.HTTP != "" {
		return c.runHTTP(e)
	}
	cfg := load.Config{
		Target: c.SIP, Calls: c.Calls, Rate: c.Rate, Duration: c.Duration, Stall: c.Stall,
		Metrics: load.Metrics{URL: c.Metrics, Token: c.MetricsToken}, Log: slog.New(slog.DiscardHandler),
		Progress: func(s string) { fmt.Fprintln(os.Stderr, s) },
	}
	var rep load.Report
	var err error
	if c.Twilio != "" {
		cfg.Target = c.Twilio
		rep, err = load.Twilio(e.ctx, load.TwilioConfig{Config: cfg, Token: func(int) (string, error) { return c.Token, nil }})
	} else {
		rep, err = load.SIP(e.ctx, cfg)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return rep.WriteJSON(os.Stdout)
	}
	return rep.WriteTable(os.Stdout)
}

// runHTTP makes a load of API requests and prints what it measured.
func (c *loadCmd) runHTTP(e *env) error {
	cfg := load.HTTPConfig{URL: c.HTTP, Rate: c.Rate, Duration: c.Duration, Warm: min(c.Duration, 5*time.Second)}
	if c.Tokens != "" {
		b, err := os.ReadFile(c.Tokens)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if words := strings.Fields(line); len(words) > 0 {
				cfg.Tokens = append(cfg.Tokens, words[len(words)-1])
			}
		}
	}
	r, err := load.HTTP(e.ctx, cfg)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("%d requests, %d failed; p50 %s, p90 %s, p99 %s, longest %s; the generator was late by %s at most\n", r.Requests, r.Failed, r.P50, r.P90, r.P99, r.Max, r.Late)
	for _, f := range r.Failures {
		fmt.Println("failed:", f)
	}
	return nil
}
