package sip

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
)

// baresip is a headless softphone with a WAV file as its microphone, driven over its control socket.
type baresip struct {
	t      *testing.T
	dir    string
	conn   net.Conn
	events chan map[string]any
}

// wav writes samples as a WAV file of 8 kHz mono.
func wav(t *testing.T, path string, samples []int16) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("RIFF")
	for _, v := range []any{uint32(36 + 2*len(samples)), []byte("WAVEfmt "), uint32(16), uint16(1), uint16(1), uint32(8000), uint32(16000),
		uint16(2), uint16(16), []byte("data"), uint32(2 * len(samples)), samples} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startBaresip runs one with account parameters. It says what voice holds, and writes what it hears to
// files in its folder (its module sndfile). settings are further lines of its configuration.
func startBaresip(t *testing.T, account string, voice []int16, settings ...string) *baresip {
	t.Helper()
	dir := t.TempDir()
	wav(t, filepath.Join(dir, "voice.wav"), voice)
	control, sipPort := freePort(t), freePort(t)
	config := fmt.Sprintf(`poll_method epoll
sip_listen 127.0.0.1:%d
call_max_calls 4
audio_player aubridge,nobody
audio_source aufile,%s/voice.wav
audio_alert aubridge,nobody
snd_path %s
audio_channels 1
ausrc_srate 8000
auplay_srate 8000
ausrc_format s16
auplay_format s16
audio_level no
jitter_buffer_delay 5-10
module_path %s
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:%d
%s
`, sipPort, dir, dir, modulePath(t), control, strings.Join(settings, "\n"))
	account = strings.ReplaceAll(account, "HERE", fmt.Sprintf("127.0.0.1:%d", sipPort))
	for name, text := range map[string]string{"config": config, "accounts": account + "\n", "contacts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "baresip", "-4", "-n", "127.0.0.1", "-f", dir)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("baresip does not start: %v", err)
	}
	b := &baresip{t: t, dir: dir, events: make(chan map[string]any, 256)}
	read := make(chan struct{})
	t.Cleanup(func() {
		if b.conn != nil {
			_ = b.conn.Close()
			<-read
		}
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("baresip said:\n%s", out.String())
		}
	})
	b.connect(control)
	go func() { defer close(read); b.listen() }()
	return b
}

// connect waits until the control socket answers.
func (b *baresip) connect(port int) {
	b.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			b.conn = c
			return
		}
		select {
		case <-again.C:
		case <-limit.C:
			b.t.Fatalf("baresip does not take commands: %v", err)
		}
	}
}

// modulePath is where Debian keeps baresip's modules.
func modulePath(t *testing.T) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/baresip/modules", "/usr/lib/*/baresip/modules"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Fatal("baresip has no modules: install the Debian package baresip-core")
	return ""
}

// listen reads netstrings of JSON.
func (b *baresip) listen() {
	r := bufio.NewReader(b.conn)
	for {
		size, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
		if err != nil || n < 0 || n > 1<<20 {
			return
		}
		body := make([]byte, n+1) // the comma after it
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		var m map[string]any
		if json.Unmarshal(body[:n], &m) == nil {
			select {
			case b.events <- m:
			default:
			}
		}
	}
}

func (b *baresip) command(name, params string) {
	b.t.Helper()
	text, err := json.Marshal(map[string]string{"command": name, "params": params})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(b.conn, "%d:%s,", len(text), text); err != nil {
		b.t.Fatal(err)
	}
}

// await waits for an event of a type.
func (b *baresip) await(kind string) {
	b.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case m := <-b.events:
			if m["type"] == kind {
				return
			}
		case <-limit.C:
			b.t.Fatalf("baresip told no %s", kind)
		}
	}
}

// heard gives the bytes baresip recorded, as µ-law.
func (b *baresip) heard(k *tape) []byte {
	var raw []byte
	found, _ := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	for _, name := range found { // a hold begins another file
		if all, err := os.ReadFile(name); err == nil && len(all) > len(raw) {
			raw = all
		}
	}
	if len(raw) < 44 {
		return nil
	}
	samples := make([]int16, (len(raw)-44)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(raw[44+2*i:]))
	}
	var out []byte
	for len(samples) >= 160 {
		if f, err := k.codec.Encode(nil, samples[:160]); err == nil {
			out = append(out, f...)
		}
		samples = samples[160:]
	}
	return out
}

// lockedBuffer collects a process's output.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// voiceOf gives a tape's frames as samples.
func voiceOf(k *tape) []int16 {
	var out []int16
	for _, f := range k.linear {
		out = append(out, f...)
	}
	return out
}

// longest is the longest run of heard that stands in sent.
func longest(heard, sent []byte) int {
	best := 0
	for i := 0; i+40 <= len(heard); i += 80 {
		j := bytes.Index(sent, heard[i:i+40])
		if j < 0 || bytes.Count(heard[i:i+40], heard[i:i+1]) == 40 {
			continue // silence is everywhere
		}
		n := 0
		for i+n < len(heard) && j+n < len(sent) && heard[i+n] == sent[j+n] {
			n++
		}
		best = max(best, n)
	}
	return best
}

// hearsVoice waits until what baresip says came byte for byte.
func hearsVoice(t *testing.T, k, voice *tape, want int) {
	t.Helper()
	sent := bytes.Join(voice.frames, nil)
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		k.mu.Lock()
		heard := bytes.Join(k.heard, nil)
		k.mu.Unlock()
		if longest(heard, sent) >= want {
			return
		}
		select {
		case <-look.C:
		case <-limit.C:
			t.Fatalf("only %d bytes in a row came as they were said", longest(heard, sent))
		}
	}
}

func TestBaresipCallsUs(t *testing.T) {
	for name, params := range map[string]string{"plain": "", "SRTP": ";mediaenc=srtp-mand"} {
		t.Run(name, func(t *testing.T) {
			b := serve(t)
			ours, voice := newTape(t, 2000), newTape(t, 2000)
			voice.shuffle()
			phone := startBaresip(t, "<sip:phone@HERE>;regint=0;audio_codecs=PCMU"+params, voiceOf(voice))
			phone.command("dial", b.uri("agent"))
			l := b.call(t)
			if err := l.Answer(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := l.Start(ours); err != nil {
				t.Fatal(err)
			}
			phone.await("CALL_ESTABLISHED")
			hearsVoice(t, ours, voice, 1600)
			if secure := suiteOf(l) != ""; secure != (params != "") {
				t.Errorf("SRTP: %v", secure)
			}
			phone.command("sndcode", "5")
			ours.awaitEvent(t, media.LegDTMF, '5')
			phone.command("hold", "")
			ours.awaitEvent(t, media.LegHold, 0)
			phone.command("resume", "")
			ours.awaitEvent(t, media.LegResume, 0)
			hearsVoice(t, ours.cut(), voice, 800)
			ours.says(t, 100)
			phone.command("hangup", "")
			if c := over(t, l); c.By != "caller" || c.Code != "normal" {
				t.Errorf("cause: %+v", c)
			}
			phone.await("CALL_CLOSED")
			if n := longest(phone.heard(ours), bytes.Join(ours.frames, nil)); n < 800 {
				t.Errorf("baresip heard only %d of %d bytes in a row as we sent them", n, len(phone.heard(ours)))
			}
			// Its keys change with every offer: a packet under way then cannot be read.
			if st := l.Stats(); st.Malformed > 3 || st.PacketsIn == 0 {
				t.Errorf("stats: %+v", st)
			}
		})
	}
}

func TestBaresipRegistersAndIsCalled(t *testing.T) {
	dir := newDirectory()
	b := serve(t, withPhones(dir))
	ours, voice := newTape(t, 2000), newTape(t, 2000)
	voice.shuffle()
	account := fmt.Sprintf("<sip:alice@%s>;auth_user=alice;auth_pass=wonderland;regint=600;answermode=auto;audio_codecs=PCMU", b.Addr())
	phone := startBaresip(t, account, voiceOf(voice))
	// It gives up at a challenge for SHA-256. When it comes again it is offered MD5 alone. It would try by itself, a minute later.
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for registered := false; !registered; {
		select {
		case <-dir.saved:
			registered = true
		case <-again.C:
			phone.command("uadelall", "")
			phone.command("uanew", account)
		case <-limit.C:
			t.Fatal("baresip did not register")
		}
	}
	if got := b.Registrations()["alice"]; len(got) != 1 || !strings.Contains(got[0].UserAgent, "baresip") {
		t.Fatalf("registered: %+v", got)
	}
	l, err := b.Dial(t.Context(), DialRequest{To: "alice", Codecs: []string{"pcmu"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(ours); err != nil {
		t.Fatal(err)
	}
	hearsVoice(t, ours, voice, 1600)
	if err := l.Hold(t.Context(), true); err != nil {
		t.Error(err)
	}
	if err := l.Hold(t.Context(), false); err != nil {
		t.Error(err)
	}
	hearsVoice(t, ours.cut(), voice, 800)
	if err := l.Hangup(t.Context(), media.Cause{By: "agent", Code: "normal"}); err != nil {
		t.Error(err)
	}
	phone.await("CALL_CLOSED")
}

// shuffle makes a tape's frames other than another's.
func (k *tape) shuffle() {
	for i := range k.frames {
		j := (i*7 + 3) % len(k.frames)
		k.frames[i], k.frames[j] = k.frames[j], k.frames[i]
		k.linear[i], k.linear[j] = k.linear[j], k.linear[i]
	}
}

// says waits until n more frames were sent.
func (k *tape) says(t *testing.T, n int) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	at := func() int { k.mu.Lock(); defer k.mu.Unlock(); return k.at }
	for end := at() + n; at() < end; {
		select {
		case <-look.C:
		case <-limit.C:
			t.Fatalf("only %d frames were sent", at())
		}
	}
}

// cut forgets what was heard.
func (k *tape) cut() *tape {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.heard = nil
	return k
}

func (k *tape) awaitEvent(t *testing.T, kind media.LegEventKind, digit byte) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case ev := <-k.events:
			if ev.Kind == kind && ev.Digit == digit {
				return
			}
		case <-limit.C:
			t.Fatalf("no %s came", kind)
		}
	}
}

// suiteOf gives the crypto suite a leg agreed on.
func suiteOf(l media.Leg) string {
	g := l.(*leg)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.agreed.suite
}
