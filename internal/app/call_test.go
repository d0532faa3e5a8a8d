package app_test

import (
	"context"
	"encoding/binary"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// The whole server in one process, used as a person would: set up, called, looked at, stopped.
func TestServer(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		live(t, settings(t.TempDir(), "41000-41059"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		c := settings(t.TempDir(), "41060-41119")
		c.DatabaseURL = dbtest.PostgresURL(t)
		live(t, c)
	})
}

func live(t *testing.T, c app.Config) {
	c.MaxCalls = 1
	s := start(t, c)
	api := owner(t, s.screen)
	first := talks(t, s, api)
	unknown(t, s, api)
	second := calledByUs(t, api, first)
	drains(t, s, api, first, second)
}

// talks holds a conversation, which the API ends, and looks at what was kept of it.
func talks(t *testing.T, s *server, api *client) string {
	t.Helper()
	p := ring(t, s.SIPAddr(), "sim", question(t))
	p.answered(t)
	id := api.newest().ID
	if r := ring(t, s.SIPAddr(), "sim", "").over(t); r.err == nil || r.Cause.Status != http.StatusServiceUnavailable {
		t.Errorf("a call above max-calls: %+v", r)
	}
	eventually(t, "the agent's answer", func() bool { return said(api.transcript(id), "agent", 1) })
	running := api.call(id)
	if running.Status != "in_progress" || running.Direction != "inbound" || running.Channel != "sip" || running.AgentSlug != "sim" || running.ExternalID == "" {
		t.Errorf("the running call is %+v", running)
	}
	var overview struct{ Live int }
	api.want(200, "GET", "/api/v1/overview", nil, &overview)
	if overview.Live != 1 {
		t.Errorf("%d calls live", overview.Live)
	}
	if res, b := api.ask("POST", "/api/v1/calls/"+id+"/hangup", nil); res.StatusCode != 202 {
		t.Errorf("hang up: %d %s", res.StatusCode, b)
	}
	r := p.over(t)
	if r.err != nil || r.Spoke == 0 {
		t.Errorf("the softphone tells %+v", r)
	}
	got := api.kept(id)
	if got.EndedBy != "operator" || got.EndReason != "normal" || got.AnsweredAt == nil || got.EndedAt == nil || got.Turns < 1 || got.Codec == "" ||
		got.Latency.P50Ms == nil || len(got.Legs) != 1 || got.Legs[0].EndedAt == nil || got.Legs[0].Stats == nil {
		t.Errorf("the call is %+v", got)
	}
	if diff := got.DurationMs - r.Talked.Milliseconds(); diff < -5000 || diff > 5000 {
		t.Errorf("lasted %d ms, the caller talked for %s", got.DurationMs, r.Talked)
	}
	if res, _ := api.ask("POST", "/api/v1/calls/"+id+"/hangup", nil); res.StatusCode != 409 {
		t.Errorf("hung up twice: %d", res.StatusCode)
	}
	checkTranscript(t, api, id)
	checkRecording(t, api, got)
	checkEvents(t, api, id)
	for query, n := range map[string]int{"?status=ended": 1, "?status=in_progress": 0, "?direction=outbound": 0, "?agentId=sim&channel=sip&limit=1": 1, "?q=caller": 1} {
		if items := api.calls(query); len(items) != n {
			t.Errorf("calls%s: %d items", query, len(items))
		}
	}
	return id
}

var cue = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}`)

func checkTranscript(t *testing.T, api *client, id string) {
	t.Helper()
	items := api.transcript(id)
	speakers, asked := "", 0
	for i, it := range items {
		if !strings.HasSuffix(speakers, it.Speaker) {
			speakers += " " + it.Speaker
		}
		if it.Speaker == "caller" {
			asked = i
		}
	}
	if speakers != " agent caller agent" {
		t.Fatalf("transcript %+v", items)
	}
	for _, i := range items {
		if !i.Final || i.EndMs <= i.StartMs {
			t.Errorf("item %+v", i)
		}
	}
	res, b := api.ask("GET", "/api/v1/calls/"+id+"/transcript?format=text", nil)
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") || !strings.Contains(string(b), items[asked].Text) {
		t.Errorf("as text: %s", b)
	}
	res, b = api.ask("GET", "/api/v1/calls/"+id+"/transcript?format=vtt", nil)
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/vtt") || !strings.HasPrefix(string(b), "WEBVTT") || len(cue.FindAll(b, -1)) != len(items) {
		t.Errorf("as WebVTT: %s", b)
	}
}

// wave reads a recording's header: channels, rate, and how long the sound is.
func wave(t *testing.T, b []byte) (channels, rate int, ms int64) {
	t.Helper()
	if len(b) < 44 || string(b[:4]) != "RIFF" || string(b[8:16]) != "WAVEfmt " || string(b[36:40]) != "data" {
		t.Fatalf("no WAV: %q", b[:min(len(b), 44)])
	}
	channels, rate = int(binary.LittleEndian.Uint16(b[22:])), int(binary.LittleEndian.Uint32(b[24:]))
	size := int(binary.LittleEndian.Uint32(b[40:]))
	if size != len(b)-44 || binary.LittleEndian.Uint16(b[34:]) != 16 {
		t.Errorf("the header tells of %d bytes, there are %d", size, len(b)-44)
	}
	return channels, rate, int64(size) * 1000 / int64(2*channels*rate)
}

func checkRecording(t *testing.T, api *client, c call) {
	t.Helper()
	path := "/api/v1/calls/" + c.ID + "/recording"
	res, b := api.ask("GET", path, nil)
	if c.Recording.State != "available" || res.StatusCode != 200 || res.Header.Get("Content-Type") != "audio/wav" {
		t.Fatalf("recording %+v: %d %s", c.Recording, res.StatusCode, res.Header)
	}
	channels, rate, ms := wave(t, b)
	// A machine that is too busy for its beats records less than the clock says, never more.
	if diff := ms - c.DurationMs; channels != 2 || (rate != 8000 && rate != 16000) || ms < c.DurationMs/4 || diff > 1000 {
		t.Errorf("%d channels, %d Hz, %d ms of a call of %d ms", channels, rate, ms, c.DurationMs)
	}
	loudness := [2]int{}
	for i := 44; i+4 <= len(b); i += 4 {
		for lane := range loudness {
			if v := int16(binary.LittleEndian.Uint16(b[i+2*lane:])); v > 2000 || v < -2000 {
				loudness[lane]++
			}
		}
	}
	if loudness[0] == 0 || loudness[1] == 0 {
		t.Errorf("loud samples of caller and agent: %v", loudness)
	}
	res, part := api.with("Range", "bytes=0-43").ask("GET", path, nil)
	if res.StatusCode != http.StatusPartialContent || len(part) != 44 {
		t.Errorf("a range: %d, %d bytes", res.StatusCode, len(part))
	}
	if _, lane := api.ask("GET", path+"?lane=caller", nil); len(lane) < len(b)/2-100 || len(lane) > len(b)/2+100 {
		t.Errorf("a lane has %d of %d bytes", len(lane), len(b))
	}
	var peaks struct {
		DurationMs    int64
		Caller, Agent []float64
	}
	api.want(200, "GET", path+"/peaks?buckets=50", nil, &peaks)
	if len(peaks.Caller) != 50 || len(peaks.Agent) != 50 || peaks.DurationMs != c.Recording.DurationMs {
		t.Errorf("peaks %+v", peaks)
	}
}

func checkEvents(t *testing.T, api *client, id string) {
	t.Helper()
	seen := kinds(api.events(id))
	for _, kind := range []string{"call.answered", "signal", "frames.digest", "vad.start", "vad.end", "turn.end_of_speech", "stt.final", "llm.first_token", "tts.first_audio", "playout.first_frame", "agent.said", "activity", "call.ended"} {
		if seen[kind] == 0 {
			t.Errorf("the log has no %s: %v", kind, seen)
		}
	}
	var turns struct {
		Items []struct {
			Turn                                                                int
			CallerText, AgentText                                               string
			EndOfSpeechMs, STTFinalMs, FirstTokenMs, FirstAudioMs, FirstFrameMs *float64
		}
	}
	api.want(200, "GET", "/api/v1/calls/"+id+"/turns", nil, &turns)
	if len(turns.Items) < 2 || turns.Items[0].Turn != 0 || turns.Items[0].AgentText == "" {
		t.Fatalf("turns %+v", turns)
	}
	w := turns.Items[1]
	if w.Turn != 1 || w.CallerText == "" || w.AgentText == "" || w.EndOfSpeechMs == nil || w.STTFinalMs == nil || w.FirstTokenMs == nil ||
		w.FirstAudioMs == nil || w.FirstFrameMs == nil {
		t.Fatalf("the waterfall lacks a part: %+v", w)
	}
	if *w.EndOfSpeechMs <= 0 || *w.FirstFrameMs < *w.FirstAudioMs || *w.FirstAudioMs < *w.FirstTokenMs {
		t.Errorf("the waterfall flows upwards: %v %v %v of %+v", *w.FirstTokenMs, *w.FirstAudioMs, *w.FirstFrameMs, api.events(id))
	}
	var signals struct {
		Items []struct {
			Sent               bool
			Summary, Peer, Raw string
		}
	}
	api.want(200, "GET", "/api/v1/calls/"+id+"/signals", nil, &signals)
	if n := len(signals.Items); n < 4 || signals.Items[0].Sent || !strings.HasPrefix(signals.Items[0].Raw, "INVITE sip:sim@") ||
		!strings.Contains(signals.Items[n-1].Raw+signals.Items[n-2].Raw, "BYE") {
		t.Errorf("the ladder is %+v", signals.Items)
	}
}

// unknown asks for what is not there.
func unknown(t *testing.T, s *server, api *client) {
	t.Helper()
	if r := ring(t, s.SIPAddr(), "nobody-here", "").over(t); r.err == nil || r.Cause.Status != http.StatusNotFound {
		t.Errorf("an agent that is not there: %+v", r)
	}
	for path, status := range map[string]int{"/api/v1/calls/none": 404, "/api/v1/calls/none/recording": 404, "/api/v1/nothing": 404, "/api/v1/calls?limit=0": 422} {
		api.want(status, "GET", path, nil, nil)
	}
	stranger := newClient(t, api.base)
	for path, status := range map[string]int{"/api/v1/calls": 401, "/health": 200, "/metrics": 200, "/docs": 200, "/api/openapi.json": 200} {
		stranger.want(status, "GET", path, nil, nil)
	}
	to := map[string]any{"to": "sip:x@127.0.0.1:9", "agent": "nobody-here"}
	api.want(404, "POST", "/api/v1/calls/outbound", to, nil)
	to = map[string]any{"to": "no uri at all", "agent": "sim"}
	api.want(422, "POST", "/api/v1/calls/outbound", to, nil)
}

// person answers a telephone and listens.
type person struct{ heard chan struct{} }

func (p person) Tick(in, _ []int16) bool {
	for _, v := range in {
		if v > 2000 {
			select {
			case p.heard <- struct{}{}:
			default:
			}
			break
		}
	}
	return false
}
func (person) Played(int64)         {}
func (person) Event(media.LegEvent) {}

// calledByUs lets the server call somebody, who hears the agent and hangs up.
func calledByUs(t *testing.T, api *client, known string) string {
	t.Helper()
	legs := make(chan media.Leg, 1)
	pacer := media.NewPacer(media.PacerConfig{Shards: 1})
	t.Cleanup(pacer.Close)
	callee, err := sip.New(sip.Config{Addr: "127.0.0.1:0", Pacer: pacer, Accept: func(_ context.Context, l media.Leg) { legs <- l }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { callee.Stop(context.Background()) })
	if err := callee.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var placed call
	api.want(202, "POST", "/api/v1/calls/outbound",
		map[string]any{"to": "sip:alice@" + callee.Addr().String(), "agent": "sim", "from": "clinic", "metadata": map[string]any{"case": "17"}}, &placed)
	if placed.Direction != "outbound" || placed.Status == "ended" {
		t.Errorf("placed %+v", placed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var leg media.Leg
	select {
	case leg = <-legs:
	case <-ctx.Done():
		t.Fatal("the telephone does not ring")
	}
	if err := leg.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	p := person{make(chan struct{}, 1)}
	if err := leg.Start(p); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.heard:
	case <-ctx.Done():
		t.Fatal("nothing is heard of the agent")
	}
	eventually(t, "the call to run", func() bool { return api.call(placed.ID).Status == "in_progress" })
	if err := leg.Hangup(ctx, media.Cause{By: "caller", Code: "normal"}); err != nil {
		t.Error(err)
	}
	got := api.kept(placed.ID)
	if got.To != "alice" && !strings.Contains(got.To, "alice") || got.Metadata["case"] != "17" || got.EndReason != "normal" || got.AnsweredAt == nil || placed.ID == known {
		t.Errorf("the call is %+v", got)
	}
	return placed.ID
}

// drains stops the server while a call runs: it is not ready any more and takes no new call, but the call goes on.
func drains(t *testing.T, s *server, api *client, known ...string) {
	t.Helper()
	p := ring(t, s.SIPAddr(), "sim", "")
	p.answered(t)
	id := api.newest(known...).ID
	eventually(t, "the greeting", func() bool { return api.call(id).Status == "in_progress" })
	s.stop()
	eventually(t, "draining", func() bool {
		res, b, err := api.try("GET", "/health/ready", nil)
		return err == nil && res.StatusCode == 503 && strings.Contains(string(b), "draining")
	})
	if r := ring(t, s.SIPAddr(), "sim", "").over(t); r.err == nil || r.Cause.Status != http.StatusServiceUnavailable {
		t.Errorf("a call while draining: %+v", r)
	}
	if got := api.call(id); got.Status != "in_progress" {
		t.Errorf("the running call is %+v", got)
	}
	select {
	case err := <-s.ended:
		t.Fatalf("it stopped in the middle of a call: %v", err)
	default:
	}
	p.cancel()
	if r := p.over(t); r.err != nil || r.Cause.By != "caller" {
		t.Errorf("the softphone tells %+v", r)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, _, err := api.try("GET", "/health", nil); err == nil {
		t.Error("it still answers")
	}
}
