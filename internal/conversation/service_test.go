package conversation

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/blob/blobtest"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/search"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	// bleve starts its workers when the program starts, for all indexes.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker"))
}

// talk appends a short conversation: greeting, one question, one answer.
func talk(c *Call) {
	for _, e := range []event.Entry{
		{AtUS: -50_000, Kind: event.EntrySignal, Text: "INVITE", Data: map[string]any{"sent": false, "peer": "192.0.2.1:5060", "raw": "INVITE sip:front-desk SIP/2.0\r\n"}},
		{AtUS: 0, Kind: event.EntryAnswered, Data: map[string]any{"rate": 8000}},
		{AtUS: 10_000, Kind: event.EntryActivity, Text: "speaking"},
		{AtUS: 900_000, Kind: event.EntryAgentSaid, Text: "Front desk, hello.", Data: map[string]any{"startMs": 20, "endMs": 900}},
		{AtUS: 1_500_000, Turn: 1, Kind: event.EntrySTTPartial, Text: "when do"},
		{AtUS: 2_000_000, Turn: 1, Kind: event.EntryEndOfSpeech},
		{AtUS: 2_000_400, Turn: 1, Kind: event.EntrySTTFinal, Text: "when do you open", Data: map[string]any{"startMs": 1200, "endMs": 1900, "confidence": 0.9}},
		{AtUS: 2_000_700, Turn: 1, Kind: event.EntryFirstToken},
		{AtUS: 2_001_000, Turn: 1, Kind: event.EntryFirstAudio},
		{AtUS: 2_001_500, Turn: 1, Kind: event.EntryFirstFrame},
		{AtUS: 3_000_000, Turn: 1, Kind: event.EntryAgentSaid, Text: "At nine.", Data: map[string]any{"startMs": 2002, "endMs": 3000, "interrupted": true}},
		{AtUS: 3_100_000, Turn: 1, Kind: event.EntryOutcome, Text: "hours_given", Data: map[string]any{"day": "monday"}},
	} {
		c.Append(e)
	}
}

func TestACallFromBeginningToEnd(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := r.ctx()
		c := r.begin(orgA, "1001")
		d, err := r.Get(ctx, orgA, c.ID())
		must(t, err)
		if d.Status != StatusInProgress || d.From != "1001" || len(d.Legs) != 1 || d.Metadata["k"] != "v" {
			t.Fatalf("at once: %+v", d)
		}
		talk(c)
		caller, agent := tone(160, 0x90), tone(160, 0xa0)
		for range 60 {
			c.Frames(caller, agent)
		}
		must(t, r.Flush(ctx))
		d, err = r.Get(ctx, orgA, c.ID())
		must(t, err)
		if d.Activity != "speaking" || d.Turns != 1 || d.Recording.State != RecordingRunning || d.Recording.DurationMs != 1000 {
			t.Fatalf("under way: %+v", d)
		}
		r.pass(4 * time.Second)
		c.LegEnded("", LegCause{By: "caller", Code: "normal", Text: "The caller hung up."}, LegStats{Codec: "PCMU", PacketsIn: 60})
		c.End(Ending{By: "caller", Text: "The caller hung up."})
		c.End(Ending{By: "system", Reason: "twice"})
		c.Append(event.Entry{Kind: event.EntryDTMF, Text: "1"}) // too late
		r.settle()
		<-c.Saved()
		checkStored(t, r, c.ID())
		if got := r.facts(orgA); got["call.started"] != 1 || got["call.ended"] != 1 || got["call.transcript"] != 3 {
			t.Errorf("facts %v", got)
		}
	})
}

func checkStored(t *testing.T, r *rig, id string) {
	t.Helper()
	ctx := r.ctx()
	if r.inMemory() != 0 || r.blobs.count() != 2 {
		t.Fatalf("%d calls in memory, %d blobs", r.inMemory(), r.blobs.count())
	}
	d, err := r.Get(ctx, orgA, id)
	must(t, err)
	if d.Status != StatusEnded || d.EndReason != ReasonNormal || d.EndedBy != "caller" || d.DurationMs != 4000 ||
		d.Recording.State != RecordingAvailable || d.Recording.DurationMs != 1200 || d.Turns != 1 || d.Codec != "PCMU" {
		t.Errorf("call %+v", d)
	}
	if d.Latency.P50Ms == nil || *d.Latency.P50Ms != 1.5 || d.Outcome["hours_given"] == nil {
		t.Errorf("latency %v, outcome %v", d.Latency.P50Ms, d.Outcome)
	}
	if l := d.Legs[0]; l.Cause == nil || l.Cause.Code != "normal" || l.Stats == nil || l.Stats.PacketsIn != 60 || l.EndedAt == nil {
		t.Errorf("leg %+v", l)
	}
	items, next, err := r.Transcript(ctx, orgA, id, 0, 100)
	must(t, err)
	want := []TranscriptItem{
		{Seq: 1, Speaker: "agent", Text: "Front desk, hello.", StartMs: 20, EndMs: 900, Final: true},
		{Seq: 2, Turn: 1, Speaker: "caller", Text: "when do you open", StartMs: 1200, EndMs: 1900, Confidence: 0.9, Final: true},
		{Seq: 3, Turn: 1, Speaker: "agent", Text: "At nine.", StartMs: 2002, EndMs: 3000, Final: true, Interrupted: true},
	}
	if !reflect.DeepEqual(items, want) || next != 0 {
		t.Errorf("transcript %+v, next %d", items, next)
	}
	turns, _, err := r.Turns(ctx, orgA, id, -1, 10)
	must(t, err)
	if len(turns) != 2 || turns[1].CallerText != "when do you open" || turns[1].AgentText != "At nine." || !turns[1].Interrupted ||
		*turns[1].EndOfSpeechMs != 2000 || *turns[1].STTFinalMs != 0.4 || *turns[1].FirstTokenMs != 0.7 ||
		*turns[1].FirstAudioMs != 1 || *turns[1].FirstFrameMs != 1.5 || turns[0].EndOfSpeechMs != nil {
		t.Errorf("turns %+v", turns)
	}
	entries, _, err := r.Events(ctx, orgA, id, EventQuery{Limit: 100})
	must(t, err)
	if len(entries) != 13 || entries[12].Kind != event.EntryEnded || entries[12].AtUS != 4_000_000 {
		t.Errorf("%d entries, last %+v", len(entries), entries[len(entries)-1])
	}
	for i, e := range entries {
		if e.Seq != int64(i+1) {
			t.Errorf("entry %d has seq %d", i, e.Seq)
		}
	}
	checkSound(t, r, id)
}

func checkSound(t *testing.T, r *rig, id string) {
	t.Helper()
	rec, err := r.OpenRecording(r.ctx(), orgA, id, LaneBoth)
	must(t, err)
	defer rec.Close()
	wav, err := io.ReadAll(rec)
	must(t, err)
	if len(wav) != 44+60*160*4 || int64(len(wav)) != rec.Size || string(wav[:4]) != "RIFF" || wav[22] != 2 ||
		binary.LittleEndian.Uint32(wav[40:]) != 60*160*4 || binary.LittleEndian.Uint32(wav[24:]) != 8000 {
		t.Fatalf("WAV of %d bytes, head % x", len(wav), wav[:44])
	}
	caller, agent := tone(160, 0x90), tone(160, 0xa0)
	for i := range 60 * 160 {
		l, g := int16(binary.LittleEndian.Uint16(wav[44+4*i:])), int16(binary.LittleEndian.Uint16(wav[46+4*i:]))
		if l != caller[i%160] || g != agent[i%160] {
			t.Fatalf("sample %d: %d %d, want %d %d", i, l, g, caller[i%160], agent[i%160])
		}
	}
	// Any part is the same as that part of the whole.
	for _, at := range []int64{0, 40, 44, 45, 47, 44 + 25*160*4 - 3, 44 + 30*160*4 + 1, rec.Size - 5} {
		_, err := rec.Seek(at, io.SeekStart)
		must(t, err)
		part := make([]byte, min(3000, rec.Size-at))
		_, err = io.ReadFull(rec, part)
		must(t, err)
		if string(part) != string(wav[at:int(at)+len(part)]) {
			t.Errorf("the part at %d differs", at)
		}
	}
	p, err := r.RecordingPeaks(r.ctx(), orgA, id, 30)
	must(t, err)
	if p.DurationMs != 1200 || len(p.Caller) != 30 || p.Caller[3] <= p.Agent[3] || p.Agent[29] <= 0 {
		t.Errorf("peaks %+v", p)
	}
}

func TestOrganisationsSeeOnlyTheirOwn(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := r.ctx()
		stored := r.begin(orgA, "1001")
		talk(stored)
		stored.Frames(tone(160, 0x90), nil)
		stored.End(Ending{By: "caller"})
		r.settle()
		going := r.begin(orgA, "1002")
		talk(going)
		must(t, r.Flush(ctx))
		for name, id := range map[string]string{"stored": stored.ID(), "going on": going.ID()} {
			for what, err := range map[string]error{
				"get":        second(r.Get(ctx, orgB, id)),
				"hangup":     second(r.Hangup(ctx, orgB, id)),
				"recording":  second(r.OpenRecording(ctx, orgB, id, LaneBoth)),
				"peaks":      second(r.RecordingPeaks(ctx, orgB, id, 10)),
				"stream":     r.StreamEvents(ctx, orgB, id, func([]byte) error { return nil }),
				"transcript": third(r.Transcript(ctx, orgB, id, 0, 10)),
				"turns":      third(r.Turns(ctx, orgB, id, -1, 10)),
				"events":     third(r.Events(ctx, orgB, id, EventQuery{Limit: 10})),
				"signals":    third(r.Signals(ctx, orgB, id, 0, 10)),
			} {
				if !fault.Is(err, fault.NotFound) {
					t.Errorf("%s of a call that is %s: %v", what, name, err)
				}
			}
		}
		if items, _, err := r.List(ctx, orgB, ListQuery{Limit: 10}); err != nil || len(items) != 0 {
			t.Errorf("list: %v %v", items, err)
		}
		if v, err := r.Overview(ctx, orgB, time.UTC); err != nil || v.Live != 0 || v.Today.Calls != 0 || len(v.Agents) != 0 {
			t.Errorf("overview: %+v %v", v, err)
		}
		if v, err := r.Overview(ctx, orgA, time.UTC); err != nil || v.Live != 1 || v.Today.Calls != 2 || v.Today.Answered != 2 ||
			len(v.PerHour) != 11 || v.PerHour[10].Calls != 2 || v.Agents[0].Live != 1 || *v.Today.P95LatencyMs != 1.5 {
			t.Errorf("overview: %+v %v", v, err)
		}
	})
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

func TestListFiltersAndPages(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := r.ctx()
		var ids []string
		for i := range 7 {
			c := r.begin(orgA, "+4930"+strings.Repeat("1", i+1))
			ids = append([]string{c.ID()}, ids...)
			if i%2 == 0 {
				c.End(Ending{By: "caller"})
			}
			if i != 3 { // calls 3 and 4 began in the same millisecond
				r.pass(time.Second)
			}
		}
		r.settle()
		var got []string
		for cur := ""; ; {
			items, next, err := r.List(ctx, orgA, ListQuery{Cursor: cur, Limit: 2})
			must(t, err)
			for _, it := range items {
				got = append(got, it.ID)
			}
			if cur = next; next == "" {
				break
			}
		}
		if !reflect.DeepEqual(got, ids) {
			t.Errorf("pages %v, want %v", got, ids)
		}
		count := func(q ListQuery) int {
			q.Limit = 100
			items, _, err := r.List(ctx, orgA, q)
			must(t, err)
			return len(items)
		}
		start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
		for name, c := range map[string]struct {
			q    ListQuery
			want int
		}{
			"status":        {ListQuery{Status: "ended"}, 4},
			"live":          {ListQuery{Status: "in_progress"}, 3},
			"direction":     {ListQuery{Direction: "outbound"}, 0},
			"channel":       {ListQuery{Channel: "sip"}, 7},
			"agent by slug": {ListQuery{AgentID: "front-desk"}, 7},
			"agent by id":   {ListQuery{AgentID: "agent-2"}, 0},
			"number":        {ListQuery{Text: "30111"}, 5},
			"name":          {ListQuery{Text: "ANN"}, 7},
			"wildcards":     {ListQuery{Text: "%"}, 0},
			"from":          {ListQuery{From: start.Add(2 * time.Second)}, 5},
			"to":            {ListQuery{To: start.Add(2 * time.Second)}, 2},
		} {
			if n := count(c.q); n != c.want {
				t.Errorf("%s: %d calls, want %d", name, n, c.want)
			}
		}
		if _, _, err := r.List(ctx, orgA, ListQuery{Cursor: "rubbish!", Limit: 2}); !fault.Is(err, fault.Invalid) {
			t.Errorf("bad cursor: %v", err)
		}
	})
}

// brokenIndex is a search index that does not answer.
type brokenIndex struct{}

func (brokenIndex) Put(context.Context, string, []search.Doc) error { return errors.New("away") }

func (brokenIndex) Delete(context.Context, string, []string) error { return errors.New("away") }

func (brokenIndex) Find(context.Context, string, string, int) ([]string, error) {
	return nil, errors.New("away")
}

func TestWordsAreFound(t *testing.T) {
	dir := t.TempDir()
	index, err := search.Open(t.Context(), search.Config{DataDir: dir, Kind: "calls"})
	must(t, err)
	t.Cleanup(func() { must(t, index.Close()) })
	for name, s := range map[string]Search{"index": index, "without": brokenIndex{}} {
		t.Run(name, func(t *testing.T) {
			r := onSQLite(t, func(c *Config) { c.Search = s })
			for _, from := range []string{"1001", "1002"} {
				c := r.begin(orgA, from)
				if from == "1001" {
					talk(c)
				}
				c.End(Ending{By: "caller"})
			}
			r.settle()
			find := func(org, q string) (from []string) {
				items, _, err := r.List(r.ctx(), org, ListQuery{Text: q, Limit: 10})
				must(t, err)
				for _, it := range items {
					from = append(from, it.From)
				}
				return from
			}
			if got := find(orgA, "1002"); len(got) != 1 {
				t.Errorf("a number: %v", got)
			}
			want := 1
			if name == "without" {
				want = 0
			}
			if got := find(orgA, "you OPEN"); len(got) != want {
				t.Errorf("words: %v", got)
			}
			if got := find(orgB, "you open"); len(got) != 0 {
				t.Errorf("another organisation: %v", got)
			}
		})
	}
}

func TestBeginRefusesWhatItCannotKeep(t *testing.T) {
	r := onSQLite(t, func(c *Config) { c.MaxCalls = 2 })
	if _, err := r.Begin(r.ctx(), NewCall{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no organisation: %v", err)
	}
	if _, err := r.Begin(r.ctx(), NewCall{OrgID: orgA, ID: "../../etc/passwd"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an id that is a path: %v", err)
	}
	c := r.begin(orgA, "1")
	if _, err := r.Begin(r.ctx(), NewCall{OrgID: orgA, ID: c.ID()}); !fault.Is(err, fault.Conflict) {
		t.Errorf("twice the same id: %v", err)
	}
	r.begin(orgA, "2")
	if _, err := r.Begin(r.ctx(), NewCall{OrgID: orgA}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("too many: %v", err)
	}
	must(t, r.Close(r.ctx()))
	if _, err := r.Begin(r.ctx(), NewCall{OrgID: orgA}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after Close: %v", err)
	}
	must(t, r.Close(r.ctx()))
}

// Calls that end one after the other, sooner than the finisher gathers them, are finished all the same.
func TestEndlessEndings(t *testing.T) {
	r := onSQLite(t, nil)
	first := r.begin(orgA, "first")
	first.End(Ending{})
	for range 30 {
		must(t, r.Flush(r.ctx()))
		r.pass(finishEvery / 10)
		c := r.begin(orgA, "next")
		c.End(Ending{})
	}
	// The clock stands still now: what has not begun by itself never will.
	ctx := r.ctx()
	for tick := time.NewTicker(time.Millisecond); r.find(orgA, first.ID()) != nil; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the first call still waits")
		}
	}
}

// The real blob stores and the real clock: everything happens by itself.
func TestByItself(t *testing.T) {
	for name, url := range map[string]string{"folder": "", "s3": blobtest.Start(t).Bucket(t, "records")} {
		t.Run(name, func(t *testing.T) { byItself(t, url) })
	}
}

func byItself(t *testing.T, blobURL string) {
	dir := t.TempDir()
	blobs, err := blob.Open(context.Background(), blob.Config{DataDir: dir, URL: blobURL})
	must(t, err)
	t.Cleanup(func() { must(t, blobs.Close()) })
	r := newRig(t, dbtest.SQLite(t, Migrations()), dir, func(c *Config) { c.Clock, c.Blobs = quartz.NewReal(), blobs })
	c, err := r.Begin(r.ctx(), NewCall{OrgID: orgA, Channel: "webrtc", Direction: "inbound", Status: StatusInProgress})
	must(t, err)
	c.Answered(Answer{Rate: 16000, Codec: "opus"})
	if d, err := r.Get(r.ctx(), orgA, c.ID()); err != nil || d.Status != StatusInProgress || d.AnsweredAt == nil {
		t.Errorf("answered at once: %+v %v", d, err)
	}
	caller, agent := tone(320, 0x90), tone(320, 0xa0)
	for range 2*chunkFrames + 3 {
		c.Frames(caller, agent)
	}
	c.End(Ending{By: "caller"})
	ctx := r.ctx()
	select {
	case <-c.Saved():
	case <-ctx.Done():
		t.Fatal("the call is not saved")
	}
	for tick := time.NewTicker(5 * time.Millisecond); r.inMemory() > 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the files are not moved")
		}
	}
	d, err := r.Get(r.ctx(), orgA, c.ID())
	if err != nil || d.Recording.State != RecordingAvailable || d.Recording.DurationMs != 1060 {
		t.Errorf("%+v %v", d.Recording, err)
	}
	rec, err := r.OpenRecording(r.ctx(), orgA, c.ID(), LaneAgent)
	must(t, err)
	defer rec.Close()
	_, err = rec.Seek(44+52*640, io.SeekStart)
	must(t, err)
	frame := make([]byte, 640)
	_, err = io.ReadFull(rec, frame)
	must(t, err)
	for i, want := range agent {
		if got := int16(binary.LittleEndian.Uint16(frame[2*i:])); got != want {
			t.Fatalf("sample %d: %d, want %d", i, got, want)
		}
	}
}

// The status only moves forward, and a call that nobody answered has neither recording nor duration.
func TestACallNobodyAnswered(t *testing.T) {
	r := onSQLite(t, nil)
	c, err := r.Begin(r.ctx(), NewCall{OrgID: orgA, Channel: "sip", Direction: "outbound", To: "sip:x@y"})
	must(t, err)
	c.SetStatus(StatusRinging)
	c.SetStatus(StatusQueued)
	c.SetStatus(StatusEnded) // End does that
	c.Frames(tone(160, 0x90), nil)
	d, err := r.Get(r.ctx(), orgA, c.ID())
	must(t, err)
	if d.Status != StatusRinging {
		t.Errorf("status %s", d.Status)
	}
	r.pass(20 * time.Second)
	c.End(Ending{By: "carrier", Reason: "busy", Status: 486})
	c.Answered(Answer{Rate: 8000})
	r.settle()
	d, err = r.Get(r.ctx(), orgA, c.ID())
	must(t, err)
	if d.Status != StatusEnded || d.AnsweredAt != nil || d.DurationMs != 0 || d.Recording.State != RecordingNone || d.EndReason != "busy" {
		t.Errorf("%+v", d)
	}
	if _, err := r.OpenRecording(r.ctx(), orgA, c.ID(), LaneBoth); !fault.Is(err, fault.NotFound) {
		t.Errorf("recording: %v", err)
	}
}

// What the recogniser makes of speech so far is shown live and never stored.
func TestPartialsAreLiveOnly(t *testing.T) {
	r := onSQLite(t, nil)
	c := r.begin(orgA, "1")
	c.Append(event.Entry{AtUS: 1000, Kind: event.EntrySTTPartial, Text: "good", Turn: 1})
	must(t, r.Flush(r.ctx()))
	items, _, err := r.Transcript(r.ctx(), orgA, c.ID(), 0, 10)
	must(t, err)
	if len(items) != 1 || items[0].Final || items[0].Text != "good" || items[0].Seq != 1 {
		t.Fatalf("%+v", items)
	}
	c.Append(event.Entry{AtUS: 2000, Kind: event.EntryBackchannel, Text: "good", Turn: 1})
	c.Append(event.Entry{AtUS: 3000, Kind: event.EntrySTTFinal, Text: "good morning", Turn: 1})
	must(t, r.Flush(r.ctx()))
	items, _, err = r.Transcript(r.ctx(), orgA, c.ID(), 0, 10)
	must(t, err)
	if len(items) != 1 || !items[0].Final || items[0].Seq != 2 {
		t.Errorf("%+v", items)
	}
	var partial []event.CallTranscript
	for _, f := range r.live.seen() {
		if p, ok := f.(event.CallTranscript); ok {
			partial = append(partial, p)
		}
	}
	if len(partial) != 2 || partial[0].Text != "good" || partial[0].Final || !partial[1].Final || partial[1].Text != "" {
		t.Errorf("live: %+v", partial)
	}
	c.End(Ending{})
	r.settle()
}
