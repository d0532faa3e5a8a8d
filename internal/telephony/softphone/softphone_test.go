package softphone_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
	"github.com/parley-voice/parley/internal/telephony/softphone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tone(hz float64, d time.Duration, rate int) []int16 {
	out := make([]int16, int(d.Seconds()*float64(rate)))
	for i := range out {
		out[i] = int16(8000 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
	}
	return out
}

// host greets with half a second of tone, and counts what it hears.
type host struct {
	mu     sync.Mutex
	say    []int16
	loud   int
	digits string
}

func (h *host) Tick(in, out []int16) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range in {
		if v > 4000 {
			h.loud++
		}
	}
	if out == nil || len(h.say) == 0 {
		return false
	}
	n := copy(out, h.say)
	clear(out[n:])
	h.say = h.say[n:]
	return true
}
func (*host) Played(int64) {}
func (h *host) Event(ev media.LegEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ev.Kind == media.LegDTMF {
		h.digits += string(ev.Digit)
	}
}

func serve(t *testing.T, accept media.Accept) *sip.Server {
	t.Helper()
	pacer := media.NewPacer(media.PacerConfig{Shards: 1})
	s, err := sip.New(sip.Config{Addr: "127.0.0.1:0", Pacer: pacer, Accept: accept})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop(context.Background())
		pacer.Close()
	})
	return s
}

func TestCall(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			h := &host{}
			s := serve(t, func(ctx context.Context, l media.Leg) {
				if l.Answer(ctx) == nil {
					h.say = tone(500, 500*time.Millisecond, l.Rate())
					_ = l.Start(h)
				}
			})
			dir := t.TempDir()
			in, out := filepath.Join(dir, "in.wav"), filepath.Join(dir, "out.wav")
			f, err := os.Create(in)
			if err != nil {
				t.Fatal(err)
			}
			w, err := audio.NewWAVWriter(f, 22050, 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(tone(300, 400*time.Millisecond, 22050)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
			var said []string
			r, err := softphone.Call(t.Context(), softphone.Options{URI: "sip:desk@" + s.Addr().String(), WAVIn: in, WAVOut: out, DTMF: "4#",
				Transport: transport, SRTP: transport == "tcp", Print: func(s string) { said = append(said, s) }})
			if err != nil {
				t.Fatal(err)
			}
			if r.Cause.By != "caller" || r.Spoke < 300*time.Millisecond || r.Setup <= 0 {
				t.Errorf("result: %+v", r)
			}
			text := strings.Join(said, "\n")
			for _, want := range []string{"answered after", "they speak", "we speak", "we have said everything", "sent the digits 4#", "nobody says anything more"} {
				if !strings.Contains(text, want) {
					t.Errorf("%q was not printed:\n%s", want, text)
				}
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.digits != "4#" || h.loud < 500 {
				t.Errorf("they heard the digits %q and %d loud samples", h.digits, h.loud)
			}
			heard, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer heard.Close()
			pcm, info, err := audio.ReadWAV(heard, 1<<24)
			loud := 0
			for _, v := range pcm {
				if v > 4000 {
					loud++
				}
			}
			if err != nil || loud < 500 {
				t.Errorf("the recording has %d loud samples of %d, %+v, %v", loud, len(pcm), info, err)
			}
		})
	}
}

func TestCallThatIsRefused(t *testing.T) {
	s := serve(t, func(ctx context.Context, l media.Leg) { _ = l.Hangup(ctx, media.Cause{Code: "not_found"}) })
	r, err := softphone.Call(t.Context(), softphone.Options{URI: "sip:nobody@" + s.Addr().String()})
	if err == nil || r.Cause.Code != "not_found" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestCallsThatCannotBeMade(t *testing.T) {
	for _, o := range []softphone.Options{{URI: "sip:x@127.0.0.1:1", WAVIn: "/nonexistent.wav"}, {URI: "mailto:x"}, {URI: ""}} {
		if _, err := softphone.Call(t.Context(), o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v gives %v", o, err)
		}
	}
}

func TestTheFarEndHangsUp(t *testing.T) {
	s := serve(t, func(ctx context.Context, l media.Leg) {
		if l.Answer(ctx) == nil && l.Start(&host{}) == nil {
			_ = l.Hangup(ctx, media.Cause{By: "agent", Code: "normal", Text: "goodbye"})
		}
	})
	r, err := softphone.Call(t.Context(), softphone.Options{URI: "sip:x@" + s.Addr().String(), Duration: time.Minute})
	if err != nil || r.Cause.Code != "normal" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestCancelHangsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(c context.Context, l media.Leg) {
		if l.Answer(c) == nil && l.Start(&host{}) == nil {
			cancel()
		}
	})
	if _, err := softphone.Call(ctx, softphone.Options{URI: "sip:x@" + s.Addr().String()}); err != nil {
		t.Log(err) // the answer and the cancellation cross: either is right
	}
}
