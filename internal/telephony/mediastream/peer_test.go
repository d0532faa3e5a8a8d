package mediastream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func muLaw(code byte) int16 {
	var out [1]int16
	audio.MuLawDecode(out[:], []byte{code})
	return out[0]
}

// bench is a server with a pacer and the legs that reached it.
type bench struct {
	t      *testing.T
	s      *Server
	http   *httptest.Server
	legs   chan media.Leg
	mu     sync.Mutex
	counts map[string]int
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, legs: make(chan media.Leg, 16), counts: map[string]int{}}
	pacer := media.NewPacer(media.PacerConfig{})
	c := Config{
		Tokens: newTokens(t, TokensConfig{}), Pacer: pacer,
		Accept: func(_ context.Context, l media.Leg) { b.legs <- l },
		Count: func(e string) {
			b.mu.Lock()
			b.counts[e]++
			b.mu.Unlock()
		},
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.s, b.http = s, httptest.NewServer(s.Media())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		b.http.Close()
		pacer.Close()
	})
	return b
}

func (b *bench) counted(event string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[event]
}

func (b *bench) token(agent string) string {
	b.t.Helper()
	token, err := b.s.cfg.Tokens.Mint(Claims{Org: "org-1", Agent: agent, From: "+14158675309", To: "+18005551212"}, time.Minute)
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// peer behaves like the carrier's end of a stream.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
	ctx  context.Context
	n    int
}

func (b *bench) dial() *peer {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	b.t.Cleanup(cancel)
	conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(b.http.URL, "http"), nil)
	if err != nil {
		b.t.Fatalf("dial: %v", err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	conn.SetReadLimit(1 << 20)
	b.t.Cleanup(func() { _ = conn.CloseNow() })
	return &peer{t: b.t, conn: conn, ctx: ctx}
}

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	if err := p.conn.Write(p.ctx, websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

func (p *peer) begin(token string) {
	p.t.Helper()
	p.send(`{"event":"connected","protocol":"Call","version":"1.0.0"}`)
	p.send(`{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],`+
		`"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"token":%q,"Colour":"blue","parley-agent":"spoofed"}},"streamSid":"MZ1"}`, token)
}

func (p *peer) media(payload []byte) {
	p.t.Helper()
	p.n++
	p.send(`{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":%q},"streamSid":"MZ1"}`,
		p.n+1, p.n, 20*p.n, base64.StdEncoding.EncodeToString(payload))
}

type fromUs struct {
	Event     string `json:"event"`
	StreamSid string `json:"streamSid"`
	Media     struct {
		Payload []byte `json:"payload"`
	} `json:"media"`
	Mark struct {
		Name string `json:"name"`
	} `json:"mark"`
}

func (p *peer) next() fromUs {
	p.t.Helper()
	_, b, err := p.conn.Read(p.ctx)
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	var m fromUs
	if err := json.Unmarshal(b, &m); err != nil || m.StreamSid != "MZ1" {
		p.t.Fatalf("%s: %v", b, err)
	}
	return m
}

// closed reads until the server closes and returns code and reason.
func (p *peer) closed() (websocket.StatusCode, string) {
	p.t.Helper()
	for {
		if _, _, err := p.conn.Read(p.ctx); err != nil {
			ce := websocket.CloseError{}
			if code := websocket.CloseStatus(err); code == -1 {
				p.t.Fatalf("the server did not close: %v", err)
			}
			_ = errors.As(err, &ce)
			return ce.Code, ce.Reason
		}
	}
}

// party is a scripted endpoint.
type party struct {
	mu     sync.Mutex
	heard  []int16
	say    [][]int16
	played []int64
	events []media.LegEvent
	echo   bool
	panics bool
	ended  chan struct{}
	inTick func()
}

func newParty() *party { return &party{ended: make(chan struct{})} }

func (p *party) Tick(in, out []int16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panics {
		panic("boom")
	}
	if p.inTick != nil {
		p.inTick()
	}
	p.heard = append(p.heard, in...)
	if out == nil {
		return false
	}
	if p.echo && in != nil {
		copy(out, in)
		return true
	}
	if len(p.say) == 0 {
		return false
	}
	copy(out, p.say[0])
	p.say = p.say[1:]
	return true
}

func (p *party) Played(n int64) {
	p.mu.Lock()
	p.played = append(p.played, n)
	p.mu.Unlock()
}

func (p *party) Event(e media.LegEvent) {
	p.mu.Lock()
	p.events = append(p.events, e)
	p.mu.Unlock()
	if e.Kind == media.LegEnded {
		close(p.ended)
	}
}

func (p *party) kinds() (s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		s += string(e.Kind) + " "
		if e.Kind == media.LegSignal {
			s += e.Signal.Summary + " "
		}
	}
	return s
}

func (b *bench) leg() media.Leg {
	b.t.Helper()
	select {
	case l := <-b.legs:
		return l
	case <-time.After(10 * time.Second):
		b.t.Fatal("no leg came")
		return nil
	}
}

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not come", what)
	}
}
