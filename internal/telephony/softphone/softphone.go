// Package softphone is a telephone for the terminal: it calls a SIP URI, plays a WAV file as the caller,
// records what it hears and tells what happens. "parley call" is its command.
//
// It is a real user agent: the same signalling and the same RTP as the server's, with a server of its own on
// a free port that takes no calls.
//
//	softphone.go   Options, Call and its course
//	line.go        the endpoint: what is said and heard, tick by tick
package softphone

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// Options say whom to call and what to do there.
type Options struct {
	URI       string        // "sip:front-desk@127.0.0.1"
	WAVIn     string        // file that is played as the caller; "" says nothing
	WAVOut    string        // file that gets what is heard; "" keeps nothing
	DTMF      string        // digits that are sent after the file; "," waits half a second
	Duration  time.Duration // then we hang up; 0: when all was said and the far end has been silent for a while
	AtOnce    bool          // speak at once, without waiting for the greeting's end
	From      string        // our name; default "softphone"
	Auth      sip.Auth      // for servers that ask
	Codecs    []string      // default: the server's default order
	SRTP      bool
	Transport string        // "udp" or "tcp"; default as the URI says
	Ring      time.Duration // how long it may ring; default 30 s

	Print func(string) // is told what happens, a line each; may be nil
	Clock quartz.Clock
	Log   *slog.Logger
}

// Result is how a call went.
type Result struct {
	Setup  time.Duration // from INVITE to the answer
	Talked time.Duration
	Cause  media.Cause
	Stats  media.LegStats
	Spoke  time.Duration // how long the far end spoke
}

const (
	maxWAV       = 30 * 60 * 48000 // samples: half an hour
	hangUpWithin = 5 * time.Second
	ringDefault  = 30 * time.Second
)

// Call places the call and returns when it is over. A cancelled context hangs up.
func Call(ctx context.Context, o Options) (Result, error) {
	o.From = cmp.Or(o.From, "softphone")
	o.Ring = cmp.Or(o.Ring, ringDefault)
	if o.Print == nil {
		o.Print = func(string) {}
	}
	if o.Clock == nil {
		o.Clock = quartz.NewReal()
	}
	uri := o.URI
	if o.Transport != "" && !strings.Contains(uri, ";transport=") {
		uri += ";transport=" + o.Transport
	}
	voice, err := readVoice(o.WAVIn)
	if err != nil {
		return Result{}, err
	}
	agent, closeAgent, err := open(ctx, uri, o)
	if err != nil {
		return Result{}, err
	}
	defer closeAgent()

	began := o.Clock.Now()
	o.Print("calling " + o.URI)
	leg, err := agent.Dial(ctx, sip.DialRequest{To: uri, From: o.From, Auth: o.Auth, Codecs: o.Codecs, SRTP: o.SRTP, Ring: o.Ring})
	if err != nil {
		return Result{}, err
	}
	if err := leg.Answer(ctx); err != nil {
		_ = leg.Hangup(context.WithoutCancel(ctx), media.Cause{By: "caller", Code: "cancelled", Text: "the caller gave up"})
		return Result{Cause: leg.End()}, err
	}
	r := Result{Setup: o.Clock.Since(began)}
	o.Print(fmt.Sprintf("answered after %d ms, %s", r.Setup.Milliseconds(), leg.Stats().Codec))
	err = talk(ctx, o, leg, voice, &r)
	r.Cause, r.Stats = leg.End(), leg.Stats()
	o.Print(fmt.Sprintf("over after %.1f s: %s", r.Talked.Seconds(), cmp.Or(r.Cause.Text, r.Cause.Code)))
	return r, err
}

// voice is what we say, at its own rate.
type voice struct {
	pcm  []int16
	rate int
}

func readVoice(path string) (voice, error) {
	if path == "" {
		return voice{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return voice{}, fault.Wrap(fault.Invalid, err, "the file %s cannot be opened", path)
	}
	defer f.Close()
	pcm, info, err := audio.ReadWAV(f, maxWAV)
	if err != nil {
		return voice{}, fault.Wrap(fault.Invalid, err, "the file %s cannot be played; give a WAV file of at most half an hour", path)
	}
	return voice{pcm, info.Rate}, nil
}

// at gives the voice at a leg's rate.
func (v voice) at(rate int) ([]int16, error) {
	if v.rate == rate || len(v.pcm) == 0 {
		return v.pcm, nil
	}
	r, err := audio.NewResampler(v.rate, rate)
	if err != nil {
		return nil, fmt.Errorf("the file's rate of %d Hz cannot be changed to %d: %w", v.rate, rate, err)
	}
	out := r.Process(nil, v.pcm)
	return r.Process(out, make([]int16, v.rate/50)), nil // silence pushes out what the filter withholds
}

// open starts a user agent on the address that reaches the far end.
func open(ctx context.Context, uri string, o Options) (*sip.Server, func(), error) {
	pacer := media.NewPacer(media.PacerConfig{Clock: o.Clock, Log: o.Log, Shards: 1})
	s, err := sip.New(sip.Config{Addr: net.JoinHostPort(localHost(ctx, uri), "0"), Agent: "Parley softphone", Pacer: pacer, Clock: o.Clock, Log: o.Log,
		Accept: func(ctx context.Context, l media.Leg) {
			_ = l.Hangup(ctx, media.Cause{By: "system", Code: "busy", Text: "this telephone only calls"})
		}})
	if err != nil {
		pacer.Close()
		return nil, nil, err
	}
	closeAll := func() {
		s.Stop(context.WithoutCancel(ctx))
		pacer.Close()
	}
	if err := s.Start(ctx); err != nil {
		closeAll()
		return nil, nil, err
	}
	return s, closeAll, nil
}

// localHost asks the routing table which of our addresses reaches the URI's host; no packet is sent. When
// that cannot be told all addresses are used.
func localHost(ctx context.Context, uri string) string {
	host := uri[strings.LastIndexByte(uri, '@')+1:]
	host, _, _ = strings.Cut(strings.TrimPrefix(host, "sip:"), ";")
	if !strings.Contains(host, ":") || strings.HasSuffix(host, "]") {
		host += ":5060"
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", host)
	if err != nil {
		return "0.0.0.0"
	}
	defer c.Close()
	local, _, err := net.SplitHostPort(c.LocalAddr().String())
	if err != nil {
		return "0.0.0.0"
	}
	return local
}

// talk holds the conversation on an answered leg.
func talk(ctx context.Context, o Options, leg media.Leg, v voice, r *Result) error {
	pcm, err := v.at(leg.Rate())
	if err != nil {
		return err
	}
	l := newLine(o, leg.Rate(), pcm)
	rec, err := newRecorder(o.WAVOut, leg.Rate(), l)
	if err != nil {
		_ = leg.Hangup(ctx, media.Cause{By: "caller", Code: "normal"})
		return err
	}
	began := o.Clock.Now()
	if err = leg.Start(l); err == nil {
		err = follow(ctx, o, leg, l)
	} else {
		select {
		case <-leg.Done():
			err = nil // they hung up in the same moment
		default:
		}
	}
	quit, cancel := context.WithTimeout(context.WithoutCancel(ctx), hangUpWithin)
	defer cancel()
	_ = leg.Hangup(quit, media.Cause{By: "caller", Code: "normal", Text: "the caller hung up"})
	<-leg.Done()
	r.Talked, r.Spoke = o.Clock.Since(began), l.spokeFor()
	if closeErr := rec.close(); err == nil {
		err = closeErr
	}
	return err
}

// follow prints what happens until the call is to be hung up, or ends.
func follow(ctx context.Context, o Options, leg media.Leg, l *line) error {
	var limit <-chan time.Time
	if o.Duration > 0 {
		t := o.Clock.NewTimer(o.Duration, "softphone", "duration")
		defer t.Stop()
		limit = t.C
	}
	digits := make(chan error, 1)
	for {
		select {
		case n := <-l.news:
			o.Print(n.text)
			switch {
			case n.said && o.DTMF != "":
				go func() { digits <- leg.SendDTMF(ctx, o.DTMF) }()
			case n.said:
				l.finish()
			case n.idle && o.Duration == 0:
				return nil
			}
		case err := <-digits:
			if err != nil {
				return err
			}
			o.Print("sent the digits " + o.DTMF)
			l.finish()
		case <-limit:
			return nil
		case <-leg.Done():
			return nil
		case <-ctx.Done():
			return nil // hanging up is what was asked for
		}
	}
}

// recorder writes what a line hears to a WAV file, off the tick.
type recorder struct {
	file io.Closer
	wav  *audio.WAVWriter
	done chan struct{}
	err  error
	line *line
}

func newRecorder(path string, rate int, l *line) (*recorder, error) {
	r := &recorder{done: make(chan struct{}), line: l}
	if path != "" {
		f, err := os.Create(path)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the file %s cannot be written", path)
		}
		r.file = f
		if r.wav, err = audio.NewWAVWriter(f, rate, 1); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	go func() {
		defer close(r.done)
		for frame := range l.heard {
			if r.wav != nil && r.err == nil {
				r.err = r.wav.Write(frame)
			}
			l.recycle(frame)
		}
	}()
	return r, nil
}

// close finishes the file. The leg must have ended: nobody writes to the line any more.
func (r *recorder) close() error {
	close(r.line.heard)
	<-r.done
	if r.wav == nil {
		return r.err
	}
	err := r.err
	if closeErr := r.wav.Close(); err == nil {
		err = closeErr
	}
	if closeErr := r.file.Close(); err == nil {
		err = closeErr
	}
	return err
}
