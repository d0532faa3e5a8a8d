package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"
)

// TwilioConfig says what load of media streams to make. Target is the WebSocket's URL:
// ws://127.0.0.1:8080/carriers/twilio/media.
type TwilioConfig struct {
	Config
	// Token gives the media token of a call.
	Token func(call int) (string, error)
}

func (c *TwilioConfig) check() (*url.URL, error) {
	u, err := url.Parse(c.Target)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss":
		return nil, fmt.Errorf("target %q is not a WebSocket: write ws://host:port/carriers/twilio/media", c.Target)
	case c.Calls < 1 || c.Calls > maxCalls:
		return nil, fmt.Errorf("calls %d: give 1 to %d", c.Calls, maxCalls)
	case c.Rate < 0 || c.Duration < 0:
		return nil, errors.New("rate and duration cannot be less than 0")
	case c.Stall && c.Duration < time.Duration(stallTurn+1)*7*time.Second:
		return nil, errStall
	case c.Token == nil:
		return nil, errors.New("a load of media streams needs tokens; make one with parley token media --agent SLUG")
	}
	return u, nil
}

// twilioRun is one load on its way.
type twilioRun struct {
	c    TwilioConfig
	url  *url.URL
	wg   sync.WaitGroup
	stop chan struct{}

	mu      sync.Mutex
	streams []*mediaStream // by call, nil where there is none
	failed  map[string]int // calls that did not begin
	setup   []float64
	lastAt  time.Time
	due     [phases][]*mediaStream
	gen     Generator
}

// Twilio makes a load of calls over a carrier's media streams and reports.
func Twilio(ctx context.Context, c TwilioConfig) (Report, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	u, err := c.check()
	if err != nil {
		return Report{}, err
	}
	r := &twilioRun{c: c, url: u, stop: make(chan struct{}), streams: make([]*mediaStream, c.Calls), failed: map[string]int{}}
	defer r.wg.Wait()
	defer r.hangUp()
	return r.do(ctx)
}

// do runs the load from the first connection to the last hang-up.
func (r *twilioRun) do(ctx context.Context) (Report, error) {
	return measurement{metrics: r.c.Metrics, duration: r.c.Duration, progress: r.c.Progress, warn: r.c.Log.Warn, begin: r.begin, sum: r.report}.run(ctx)
}

func (r *twilioRun) begin(ctx context.Context, began time.Time) (string, error) {
	r.wg.Go(r.sendAudio)
	r.c.Progress(fmt.Sprintf("opening %d streams to %s", r.c.Calls, r.c.Target))
	err := r.place(ctx, began)
	return fmt.Sprintf("%d of %d streams are open", len(r.setup), r.c.Calls), err
}

// place opens the streams at the rate asked for and waits until each is open or has failed.
func (r *twilioRun) place(ctx context.Context, began time.Time) error {
	voice, quiet := encoded()
	var open sync.WaitGroup
	for i := range r.c.Calls {
		if r.c.Rate > 0 {
			at := began.Add(time.Duration(float64(i) / r.c.Rate * float64(time.Second)))
			if err := sleepUntil(ctx, at); err != nil {
				open.Wait()
				return err
			}
		}
		open.Go(func() { r.open(ctx, i, &mediaStream{voice: voice, quiet: quiet, dialogue: dialogue{stallAt: -1}}) })
	}
	open.Wait()
	return ctx.Err()
}

func sleepUntil(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open dials one call and starts its reader.
func (r *twilioRun) open(ctx context.Context, i int, s *mediaStream) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	began := time.Now()
	token, err := r.c.Token(i)
	if err == nil {
		if s.sock, err = dialSocket(ctx, r.url); err == nil {
			s.sid = fmt.Sprintf("MZ%016x%016x", rand.Uint64(), i)
			if err = s.begin(token); err != nil {
				_ = s.sock.conn.Close()
			}
		}
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed[err.Error()]++
		return
	}
	s.offset = int(time.Second / frameTime) // let the greeting begin
	if r.c.Rate > 0 {
		s.offset += i * everyFrames / r.c.Calls % everyFrames
	}
	if r.c.Stall {
		s.stallOnce(stallTurn*everyFrames + s.offset + len(s.voice))
	}
	r.streams[i] = s
	r.setup = append(r.setup, float64(now.Sub(began).Microseconds())/1000)
	r.lastAt = now
	phase := i % phases
	// A new slice: the sender may be going through the old one.
	r.due[phase] = append(append([]*mediaStream(nil), r.due[phase]...), s)
	r.wg.Go(func() { r.listen(s) })
}

// listen reads one call until it ends.
func (r *twilioRun) listen(s *mediaStream) {
	audio := make([]byte, 4096)
	for {
		b, err := s.sock.read()
		if err == nil {
			err = s.receive(b, audio, time.Now())
		}
		if err != nil {
			s.over(err.Error())
			_ = s.sock.conn.Close()
			return
		}
	}
}

// sendAudio sends every millisecond what is due in it, on an absolute schedule, and notes how late it is.
func (r *twilioRun) sendAudio() {
	begin := time.Now()
	for n := int64(0); ; n++ {
		due := begin.Add(time.Duration(n) * time.Millisecond)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		select {
		case <-r.stop:
			return
		default:
		}
		now := time.Now()
		r.mu.Lock()
		streams := r.due[n%phases]
		if len(streams) > 0 {
			late := now.Sub(due)
			r.gen.Ticks++
			if late > lateTick {
				r.gen.LateTicks++
			}
			r.gen.WorstMS = max(r.gen.WorstMS, float64(late.Microseconds())/1000)
		}
		r.mu.Unlock()
		for _, s := range streams {
			if err := s.next(now); err != nil {
				s.over(err.Error())
				r.drop(s, int(n%phases))
			}
		}
	}
}

// drop ends the audio of a call that is over.
func (r *twilioRun) drop(s *mediaStream, phase int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []*mediaStream
	for _, o := range r.due[phase] {
		if o != s {
			rest = append(rest, o)
		}
	}
	r.due[phase] = rest
}

// report sums up while the calls are still up.
func (r *twilioRun) report(began time.Time, took, cpu time.Duration) Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep := Report{Kind: "twilio", Target: r.c.Target, Calls: r.c.Calls, Connected: len(r.setup), Failures: map[string]int{}, DurationS: took.Seconds()}
	for reason, n := range r.failed {
		rep.Failures[reason] += n
	}
	var lateness []float64
	var heard answers
	for _, s := range r.streams {
		if s == nil {
			continue
		}
		s.mu.Lock()
		if s.reason == "" {
			rep.Completed++
		} else {
			rep.Failures[s.reason]++
		}
		rep.Frames.Sent += s.sent.Load()
		rep.Frames.Received += s.received
		rep.Frames.Late += s.late
		lateness = append(lateness, s.lateness...)
		heard.add(&s.dialogue)
		s.mu.Unlock()
	}
	rep.Setup, rep.Frames.Lateness = Sum(append([]float64(nil), r.setup...)), Sum(lateness)
	heard.into(&rep, r.c.Stall)
	if span := r.lastAt.Sub(began).Seconds(); span > 0 {
		rep.SetupRate = float64(rep.Connected) / span
	}
	if n := float64(rep.Connected); n > 0 && took > 0 {
		rep.Generator.CPU = 100 * cpu.Seconds() / took.Seconds() / n
	}
	rep.Generator.Ticks, rep.Generator.LateTicks, rep.Generator.WorstMS = r.gen.Ticks, r.gen.LateTicks, r.gen.WorstMS
	rep.Generator.Judge()
	return rep
}

// hangUp stops the sender, says stop in every call and closes it.
func (r *twilioRun) hangUp() {
	close(r.stop)
	r.mu.Lock()
	streams := r.streams
	r.mu.Unlock()
	for _, s := range streams {
		if s == nil {
			continue
		}
		_ = s.sock.conn.SetDeadline(time.Now().Add(byeWait))
		if s.sock.write(opText, fmt.Sprintf(`{"event":"stop","sequenceNumber":"0","stop":{"accountSid":"AC","callSid":"CA"},"streamSid":%q}`, s.sid)) != nil {
			_ = s.sock.conn.Close()
			continue
		}
		// The server closes in answer, which ends the reader; the deadline ends it otherwise.
	}
}
