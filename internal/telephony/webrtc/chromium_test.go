package webrtc

import (
	"context"
	"embed"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
)

//go:embed testdata/call.html
var page embed.FS

// told is what the page reports.
type told struct {
	What  string  `json:"what"`
	Text  string  `json:"text"`
	Peak  float64 `json:"peak"`
	Codec string  `json:"codec"`
}

// microphone writes a WAV file with a tone, which Chromium plays again and again as its microphone.
func microphone(t *testing.T, f float64) string {
	t.Helper()
	const rate, seconds = 48000, 5
	b := make([]byte, 44+2*rate*seconds)
	copy(b, "RIFF")
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
	copy(b[8:], "WAVEfmt ")
	for i, v := range []uint32{16, 1 | 1<<16, rate, 2 * rate, 2 | 16<<16} {
		binary.LittleEndian.PutUint32(b[16+4*i:], v)
	}
	copy(b[36:], "data")
	binary.LittleEndian.PutUint32(b[40:], uint32(len(b)-44))
	for i := range rate * seconds {
		binary.LittleEndian.PutUint16(b[44+2*i:], uint16(int16(8000*math.Sin(2*math.Pi*f*float64(i)/rate))))
	}
	name := filepath.Join(t.TempDir(), "tone.wav")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// chromium opens url in a browser of its own, with nothing going to the network.
func chromium(t *testing.T, url, wav string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "chromium") // not t.TempDir: dying children still write to it
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--use-file-for-fake-audio-capture="+wav,
		"--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", "--user-data-dir="+dir,
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
		"--disable-domain-reliability", "--disable-extensions", "--metrics-recording-only",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log strings.Builder
	cmd.Stderr = &log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
		if t.Failed() {
			t.Log(log.String())
		}
	})
}

// A real browser, with a tone as its microphone: sound both ways, typing, keys, and our hang-up.
func TestChromiumCalls(t *testing.T) {
	for _, codec := range allCodecs {
		t.Run(codec, func(t *testing.T) { chromiumCalls(t, codec, true) })
	}
	t.Run("typing only", func(t *testing.T) { chromiumCalls(t, audio.PCMU, false) })
}

func chromiumCalls(t *testing.T, codec string, mic bool) {
	b := newBench(t, func(c *Config) { c.UDPAddr = "127.0.0.1:0" })
	legs, reports := make(chan media.Leg, 1), make(chan told, 4)
	mux := http.NewServeMux()
	mux.Handle("GET /testdata/", http.FileServerFS(page))
	mux.HandleFunc("POST /offer", func(w http.ResponseWriter, r *http.Request) {
		offer, err := io.ReadAll(io.LimitReader(r.Body, maxSDP))
		if err != nil {
			return
		}
		answer, l, err := b.s.Offer(r.Context(), OfferRequest{SDP: string(offer), AgentSlug: "front-desk", Codecs: []string{r.URL.Query().Get("codec")}})
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		legs <- l
		_, _ = io.WriteString(w, answer)
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var got told
		_ = json.NewDecoder(r.Body).Decode(&got)
		reports <- got
	})
	web := httptest.NewServer(mux)
	defer web.Close()
	target := web.URL + "/testdata/call.html?codec=" + codec
	if !mic {
		target += "&mic=no"
	}
	chromium(t, target, microphone(t, 500))

	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var l media.Leg
	select {
	case l = <-legs:
	case r := <-reports:
		t.Fatalf("the page says %+v", r)
	case <-ctx.Done():
		t.Fatal("no offer came")
	}
	if err := l.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	e := newParty(l.Rate())
	e.tone = 700
	if err := l.Start(e); err != nil {
		t.Fatal(err)
	}
	l.SendText([]byte(`{"type":"entry"}`))
	next := func() (r told) {
		t.Helper()
		select {
		case r = <-reports:
		case <-ctx.Done():
			t.Fatalf("the page is silent; events %+v, stats %+v", e.find(media.LegSignal), l.Stats())
		}
		return r
	}
	if r := next(); r.What != "ok" || r.Text != `{"type":"entry"}` || !strings.EqualFold(r.Codec, "audio/"+codec) {
		t.Fatalf("the page says %+v", r)
	}
	if mic {
		waitFor(t, "the keys", func() bool { return len(e.find(media.LegDTMF)) == 2 })
		if d := e.find(media.LegDTMF); d[0].Digit != '4' || d[1].Digit != '#' {
			t.Errorf("keys %+v", d)
		}
		waitFor(t, "the browser's tone", func() bool { return e.hears(500) })
	}
	if got := e.find(media.LegText); len(got) != 1 || got[0].Text != "typed" {
		t.Errorf("typed %+v", got)
	}
	st := l.Stats()
	if st.Codec != codec || mic != (st.PacketsIn > 0) || st.Malformed != 0 {
		t.Errorf("stats %+v", st)
	}
	if err := l.Hangup(ctx, media.Cause{By: "agent", Code: "normal"}); err != nil {
		t.Error(err)
	}
	if r := next(); r.What != "closed" {
		t.Errorf("the page says %+v", r)
	}
	wait(t, "done", l.Done())
}
