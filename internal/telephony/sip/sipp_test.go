package sip

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
	pcm "github.com/parley-voice/parley/internal/media/audio"
)

// sipp runs a scenario of testdata/sipp once. Its exit says whether every message was as expected.
type sipp struct {
	t    *testing.T
	port int
	out  bytes.Buffer
	done chan error
}

// freePort gives a UDP port that is free now.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// mediaPort gives a port with free ones around it, as sipp wants.
func mediaPort(t *testing.T) int { return 20000 + 4*((freePort(t)-20000)/4) }

func runSIPp(t *testing.T, scenario string, b *bench, args ...string) *sipp {
	t.Helper()
	s := &sipp{t: t, port: freePort(t), done: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	args = append([]string{"-sf", filepath.Join("testdata", "sipp", scenario+".xml"), "-m", "1", "-l", "1", "-i", "127.0.0.1",
		"-p", fmt.Sprint(s.port), "-mi", "127.0.0.1", "-mp", fmt.Sprint(mediaPort(t)), "-s", "agent", "-nostdin", "-timeout", "30s", "-timeout_error", b.Addr().String()}, args...)
	cmd := exec.CommandContext(ctx, "sipp", args...)
	cmd.Env = append(cmd.Environ(), "TERM=dumb")
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("sipp (Debian package sip-tester) does not start: %v", err)
	}
	go func() { s.done <- cmd.Wait(); cancel() }()
	return s
}

// passed waits for the scenario's end.
func (s *sipp) passed() {
	s.t.Helper()
	if err := <-s.done; err != nil {
		text := s.out.String()
		s.t.Fatalf("sipp: %v\n%s", err, text[max(0, len(text)-4000):])
	}
}

// tape plays random µ-law frames and keeps what comes back.
type tape struct {
	mu     sync.Mutex
	codec  pcm.Codec
	frames [][]byte
	linear [][]int16
	at     int
	heard  [][]byte
	events chan media.LegEvent
}

func newTape(t *testing.T, frames int) *tape {
	t.Helper()
	codec, err := pcm.NewCodec(pcm.PCMU)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	k := &tape{codec: codec, events: make(chan media.LegEvent, 256)}
	for range frames {
		b, linear := make([]byte, 160), make([]int16, 160)
		for i := range b {
			if b[i] = byte(r.IntN(256)); b[i] == 0x7F {
				b[i] = 0xFF // µ-law has two zeros, which are one in PCM
			}
		}
		if _, err := codec.Decode(linear, b); err != nil {
			t.Fatal(err)
		}
		k.frames, k.linear = append(k.frames, b), append(k.linear, linear)
	}
	return k
}

func (k *tape) Tick(in, out []int16) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if in != nil {
		if b, err := k.codec.Encode(nil, in); err == nil {
			k.heard = append(k.heard, bytes.Clone(b))
		}
	}
	if out == nil || k.at == len(k.linear) {
		return false
	}
	copy(out, k.linear[k.at])
	k.at++
	return true
}

func (*tape) Played(int64) {}
func (k *tape) Event(ev media.LegEvent) {
	select {
	case k.events <- ev:
	default:
	}
}

// run is the longest run of bytes that came back as they were sent.
func (k *tape) run() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	heard, sent := bytes.Join(k.heard, nil), bytes.Join(k.frames, nil)
	best := 0
	for i := 0; i+160 <= len(heard); i += 80 {
		j := bytes.Index(sent, heard[i:min(i+40, len(heard))])
		if j < 0 {
			continue
		}
		n := 0
		for i+n < len(heard) && j+n < len(sent) && heard[i+n] == sent[j+n] {
			n++
		}
		best = max(best, n)
	}
	return best
}

// await waits until a second of audio came back byte for byte.
func (k *tape) await(t *testing.T, want int) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for k.run() < want {
		select {
		case <-look.C:
		case <-limit.C:
			t.Fatalf("only %d bytes in a row came back as they were sent", k.run())
		}
	}
}

func TestSIPpEchoesByteForByte(t *testing.T) {
	for _, scenario := range []string{"uac", "late_offer", "video"} {
		for _, transport := range []string{"u1", "t1"} {
			t.Run(scenario+" "+transport, func(t *testing.T) {
				b := serve(t)
				p := runSIPp(t, scenario, b, "-rtp_echo", "-t", transport)
				l := b.call(t)
				if err := l.Answer(t.Context()); err != nil {
					t.Fatal(err)
				}
				k := newTape(t, 500)
				if err := l.Start(k); err != nil {
					t.Fatal(err)
				}
				k.await(t, 4000)
				if st := l.Stats(); st.Codec != "PCMU" || st.PacketsIn == 0 || st.Malformed != 0 {
					t.Errorf("stats: %+v", st)
				}
				if err := l.Hangup(t.Context(), media.Cause{By: "agent", Code: "normal"}); err != nil {
					t.Error(err)
				}
				p.passed()
			})
		}
	}
}

func TestSIPpScenarios(t *testing.T) {
	for scenario, answer := range map[string]bool{"uac_bye": true, "hold": true, "malformed": true, "cancel": false} {
		t.Run(scenario, func(t *testing.T) {
			b := serve(t)
			p := runSIPp(t, scenario, b)
			l := b.call(t)
			e := newEndpoint()
			if answer {
				if err := l.Answer(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := l.Start(e); err != nil {
					t.Fatal(err)
				}
			}
			if scenario == "hold" {
				e.await(t, "hold", kind(media.LegHold))
				e.await(t, "resume", kind(media.LegResume))
			}
			p.passed()
			if scenario == "malformed" {
				if ev := e.await(t, "digit", kind(media.LegDTMF)); ev.Digit != '7' {
					t.Errorf("digit %c", ev.Digit)
				}
			}
			if c := over(t, l); answer && c.By != "caller" || !answer && c.Code != "cancelled" {
				t.Errorf("cause: %+v", c)
			}
		})
	}
}

func TestSIPpRegistersAndIsCalled(t *testing.T) {
	// sipp reads only the first challenge, and knows only MD5.
	b := serve(t, withPhones(newDirectory()), func(c *Config) { c.Digest = []string{"MD5"} })
	p := runSIPp(t, "register", b)
	p.passed()
	if got := b.Registrations()["alice"]; len(got) != 1 || !strings.Contains(got[0].URI, fmt.Sprint(p.port)) {
		t.Errorf("registered: %+v", got)
	}
}

func TestSIPpIsCalled(t *testing.T) {
	for scenario, auth := range map[string]Auth{"uas": {}, "uas_auth": {"user", "pass"}} {
		t.Run(scenario, func(t *testing.T) {
			b := serve(t)
			p := runSIPp(t, scenario, b, "-rtp_echo")
			l, err := b.Dial(t.Context(), DialRequest{To: fmt.Sprintf("sip:phone@127.0.0.1:%d", p.port), Auth: auth, Codecs: []string{"pcmu"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			k := newTape(t, 500)
			if err := l.Start(k); err != nil {
				t.Fatal(err)
			}
			k.await(t, 4000)
			if err := l.Hangup(t.Context(), media.Cause{By: "agent", Code: "normal"}); err != nil {
				t.Error(err)
			}
			p.passed()
		})
	}
}

func TestSIPpHangsUpOrIsBusy(t *testing.T) {
	for scenario, code := range map[string]string{"uas_bye": "normal", "uas_busy": "busy"} {
		t.Run(scenario, func(t *testing.T) {
			b := serve(t)
			p := runSIPp(t, scenario, b)
			l, err := b.Dial(t.Context(), DialRequest{To: fmt.Sprintf("sip:phone@127.0.0.1:%d", p.port)})
			if err != nil {
				t.Fatal(err)
			}
			if c := over(t, l); c.Code != code {
				t.Errorf("cause: %+v", c)
			}
			p.passed()
		})
	}
}
