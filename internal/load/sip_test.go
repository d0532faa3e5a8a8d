package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// talker answers a caller's speech with 200 ms of tone, as soon as the caller is silent.
type talker struct {
	quiet, say int
	spoke      bool
}

func (k *talker) Tick(in, out []int16) bool {
	if in != nil {
		k.listen(in)
	}
	if out == nil || k.say == 0 {
		return false
	}
	k.say--
	for i := range out {
		out[i] = int16(8000 * (i & 1))
	}
	return true
}

func (k *talker) listen(in []int16) {
	peak := int16(0)
	for _, v := range in {
		peak = max(peak, v)
	}
	switch {
	case peak > 1000:
		k.spoke, k.quiet = true, 0
	case k.spoke:
		if k.quiet++; k.quiet == 15 {
			k.spoke, k.say = false, 10
		}
	}
}

func (*talker) Played(int64)         {}
func (*talker) Event(media.LegEvent) {}

func serve(t *testing.T, accept media.Accept) *sip.Server {
	t.Helper()
	pacer := media.NewPacer(media.PacerConfig{})
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

func answer(ctx context.Context, l media.Leg) {
	if l.Answer(ctx) == nil {
		_ = l.Start(&talker{})
	}
}

func TestSIPLoad(t *testing.T) {
	s := serve(t, answer)
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "process_cpu_seconds_total 2\nprocess_resident_memory_bytes 1e6\nparley_turn_added_latency_seconds_bucket{le=\"+Inf\"} 0")
	}))
	defer metrics.Close()
	rep, err := SIP(t.Context(), Config{Target: "sip:agent@" + s.Addr().String(), Calls: 6, Rate: 0, Duration: 4 * time.Second, Metrics: Metrics{URL: metrics.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Connected != 6 || rep.Completed != 6 || rep.Setup.N != 6 || rep.SetupRate <= 0 {
		t.Errorf("calls: %+v", rep)
	}
	if rep.Frames.Sent < 500 || rep.Frames.Received < 500 {
		t.Errorf("frames: %+v", rep.Frames)
	}
	if rep.Response.N < 6 {
		t.Errorf("responses: %+v", rep.Response)
	}
	if rep.Server == nil || rep.Server.MemoryIdle != 1e6 {
		t.Errorf("server: %+v", rep.Server)
	}
	var table, js bytes.Buffer
	if err := rep.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "6 of 6 answered") {
		t.Errorf("table:\n%s", table.String())
	}
	if err := rep.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || back.Connected != 6 {
		t.Errorf("JSON: %v", err)
	}
	if n := s.Calls(); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

func TestLoadOfAServerThatRefuses(t *testing.T) {
	s := serve(t, func(ctx context.Context, l media.Leg) { _ = l.Hangup(ctx, media.Cause{Code: "busy"}) })
	rep, err := SIP(t.Context(), Config{Target: "sip:agent@" + s.Addr().String(), Calls: 3})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Connected != 0 || rep.Failures["answered 486"] != 3 {
		t.Errorf("%+v", rep)
	}
}

func TestLoadConfigIsChecked(t *testing.T) {
	for _, c := range []Config{
		{Target: "agent"}, {Target: "sip:agent@127.0.0.1:1", Calls: 0}, {Target: "sip:agent@127.0.0.1:1", Calls: 1, Rate: -1},
		{Target: "sip:agent@127.0.0.1:1", Calls: 1, Stall: true}, {Target: "sip:agent@127.0.0.1:1", Calls: 20000},
	} {
		if _, err := SIP(t.Context(), c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func TestAStallIsMadeUpFor(t *testing.T) {
	s := newStream(&port{}, (&run{}).server, 1, 50)
	s.stallOnce(s.endOfTurn(1))
	sent, most := 0, 0
	for range 2 * everyFrames {
		n := len(s.next(time.Now(), nil))
		sent += n
		most = max(most, n)
	}
	if sent != 2*everyFrames || most != int(stallFor/frameTime)+1 {
		t.Errorf("%d packets sent, at most %d at once", sent, most)
	}
}

func TestLossAndLatenessAreSeen(t *testing.T) {
	s := newStream(&port{}, (&run{}).server, 1, 0)
	at := time.Unix(0, 0)
	for i := range 100 {
		if i%10 == 5 {
			continue // lost
		}
		when := at.Add(time.Duration(i) * frameTime)
		if i == 60 {
			when = when.Add(30 * time.Millisecond)
		}
		s.place(uint16(65500+i), uint32(i)*samplesFrame, when, regular)
	}
	if s.lost() != 10 || s.late != 1 {
		t.Errorf("%d lost, %d late", s.lost(), s.late)
	}
}

// A reply's first frame is sent at once, so its talkspurt runs early by part of a frame. The schedule after it is
// the one from before, and not late.
func TestEarlyTalkspurtMakesNothingLate(t *testing.T) {
	s := newStream(&port{}, (&run{}).server, 1, 0)
	at := time.Unix(0, 0)
	for i := range 400 {
		when := at.Add(time.Duration(i) * frameTime)
		where := regular
		switch {
		case i < 50 && i%10 == 4: // pauses in the greeting
			where = hanging
		case i < 50 || (i >= 150 && i < 250):
			where = speaking
		case i < 60 || (i >= 250 && i < 260):
			where = hanging
		}
		if i < 50 || where == speaking {
			when = when.Add(-19 * time.Millisecond)
		} else if i%2 == 1 {
			when = when.Add(4 * time.Millisecond)
		}
		s.place(uint16(i), uint32(i)*samplesFrame, when, where)
	}
	if s.late != 0 {
		t.Errorf("%d late, want none", s.late)
	}
}

// A frame that is late right after the greeting is seen, though it is judged only once the schedule is known.
func TestLateAfterTheGreetingIsSeen(t *testing.T) {
	s := newStream(&port{}, (&run{}).server, 1, 0)
	at := time.Unix(0, 0)
	for i := range 100 {
		when := at.Add(time.Duration(i) * frameTime)
		where := regular
		switch {
		case i < 50:
			when, where = when.Add(-19*time.Millisecond), speaking
		case i < 60:
			where = hanging
		}
		if i == 20 || i == 55 {
			when = when.Add(22 * time.Millisecond)
		}
		s.place(uint16(i), uint32(i)*samplesFrame, when, where)
	}
	if s.late != 2 || s.judged != 99 {
		t.Errorf("%d of %d late, want 2 of 99", s.late, s.judged)
	}
}

func TestMetricsAreRead(t *testing.T) {
	text := func(fast, slow int) string {
		return fmt.Sprintf("# HELP x\nprocess_cpu_seconds_total 1.5\nparley_turn_added_latency_seconds_bucket{org=\"a\",le=\"0.001\"} %d\nparley_turn_added_latency_seconds_bucket{org=\"a\",le=\"0.002\"} %d\nparley_turn_added_latency_seconds_bucket{org=\"a\",le=\"+Inf\"} %d\nparley_turn_added_latency_seconds_count{org=\"a\"} %d\n", fast, slow, slow, slow)
	}
	before, err := parseMetrics(strings.NewReader(text(10, 10)))
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseMetrics(strings.NewReader(text(60, 110)))
	if err != nil {
		t.Fatal(err)
	}
	if p := quantile(before.buckets, after.buckets, 0.5); p != 0.001 {
		t.Errorf("p50 %v", p)
	}
	if p := quantile(before.buckets, after.buckets, 0.75); p != 0.0015 {
		t.Errorf("p75 %v", p)
	}
	if after.cpu != 1.5 || after.count-before.count != 100 {
		t.Errorf("%+v", after)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\nCall-ID: x\r\nTo: <sip:a@b>;tag=1\r\nContact: <sip:c@d>\r\nCSeq: 1 INVITE\r\n\r\nc=IN IP4 1.2.3.4\r\nm=audio 5 RTP/AVP 0\r\n"))
	f.Add([]byte("BYE sip:x SIP/2.0\r\nCall-ID: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := parseMessage(b)
		p := &phone{target: "sip:a@b", local: "127.0.0.1:1"}
		if ok {
			p.response(m, time.Now())
			_ = m.reply("200 OK")
		}
	})
}

func FuzzMetrics(f *testing.F) {
	f.Add("a{b=\"c\"} 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseMetrics(strings.NewReader(text))
		if err == nil {
			serverFigures(s, s, s, 1)
		}
	})
}
