package conversation

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/event"
)

func feed(d *derivation, entries ...event.Entry) (out derived) {
	for i := range entries {
		entries[i].Seq = int64(i + 1)
		d.add(&entries[i], &out)
	}
	return out
}

// What the agent said while the caller was speaking comes after the caller's item.
func TestItemsKeepTheirPlace(t *testing.T) {
	var d derivation
	out := feed(&d,
		event.Entry{AtUS: 1, Kind: event.EntrySTTPartial, Text: "stop", Turn: 2},
		event.Entry{AtUS: 2, Kind: event.EntryAgentSaid, Text: "Our opening", Turn: 1, Data: map[string]any{"interrupted": true}},
		event.Entry{AtUS: 3, Kind: event.EntrySTTFinal, Text: "stop it", Turn: 2})
	if len(out.items) != 2 || out.items[0].Seq != 2 || out.items[1].Seq != 1 || out.partial != nil {
		t.Errorf("%+v", out)
	}
}

// A caller who goes on after the end of speech was decided is measured from the last decision.
func TestTheLastEndOfSpeechCounts(t *testing.T) {
	var d derivation
	feed(&d,
		event.Entry{AtUS: 1000, Kind: event.EntryEndOfSpeech, Turn: 1},
		event.Entry{AtUS: 1500, Kind: event.EntryFirstToken, Turn: 1},
		event.Entry{AtUS: 9000, Kind: event.EntryEndOfSpeech, Turn: 1},
		event.Entry{AtUS: 9400, Kind: event.EntryFirstToken, Turn: 1},
		event.Entry{AtUS: 9600, Kind: event.EntryFirstFrame, Turn: 1},
		event.Entry{AtUS: 9700, Kind: event.EntryFirstFrame, Turn: 1},
		event.Entry{AtUS: 9900, Kind: event.EntryEndOfSpeech, Turn: 1})
	v := d.openTurns()
	if len(v) != 1 || *v[0].EndOfSpeechMs != 9 || *v[0].FirstTokenMs != 0.4 || *v[0].FirstFrameMs != 0.6 || v[0].FirstAudioMs != nil {
		t.Errorf("%+v", v)
	}
	if p := d.percentile(50); p == nil || *p != 0.6 {
		t.Errorf("p50 %v", p)
	}
}

// An interrupted reply's last words belong to its own turn, though the next has begun; typed words to the turn they
// begin; and a noise is no turn.
func TestWordsFindTheirTurn(t *testing.T) {
	var d derivation
	feed(&d,
		event.Entry{AtUS: 10, Kind: event.EntryFirstFrame, Gen: 1},
		event.Entry{AtUS: 20, Kind: event.EntryText, Text: "hello"},
		event.Entry{AtUS: 21, Kind: event.EntryEndOfSpeech, Turn: 1},
		event.Entry{AtUS: 22, Kind: event.EntryAgentSaid, Gen: 1, Turn: 1, Text: "Good mor", Data: map[string]any{"interrupted": true}},
		event.Entry{AtUS: 23, Kind: event.EntryFirstToken, Turn: 1, Gen: 2},
		event.Entry{AtUS: 24, Kind: event.EntryFirstFrame, Turn: 1, Gen: 2},
		event.Entry{AtUS: 30, Kind: event.EntryCut, Turn: 2, Gen: 2},
		event.Entry{AtUS: 40, Kind: event.EntryEndOfSpeech, Turn: 2},
		event.Entry{AtUS: 41, Kind: event.EntrySTTFinal, Turn: 2})
	v := d.openTurns()
	if len(v) != 2 || d.turns != 1 || v[0].AgentText != "Good mor" || !v[0].Interrupted || v[1].CallerText != "hello" || !v[1].Interrupted {
		t.Errorf("%d turns: %+v", d.turns, v)
	}
}

// A call of any length keeps a bounded number of things.
func TestDerivationIsBounded(t *testing.T) {
	var d derivation
	closed, errs := 0, 0
	for i := range 20_000 {
		var out derived
		for _, e := range []event.Entry{
			{Kind: event.EntryEndOfSpeech, Turn: i, AtUS: int64(i) * 1e6},
			{Kind: event.EntryFirstFrame, Turn: i, AtUS: int64(i)*1e6 + 1000},
			{Kind: event.EntryAgentSaid, Turn: 3, Text: strings.Repeat("x", 1000)},
			{Kind: event.EntryAlert, Text: "alert"},
			{Kind: event.EntryOutcome, Text: strings.Repeat("o", i%300)},
		} {
			d.add(&e, &out)
		}
		closed += len(out.turns)
		errs += len(out.errors)
	}
	if len(d.open) != maxOpenTurns || closed != 20_000-maxOpenTurns || len(d.latencies) != maxLatencies ||
		len(d.alerts) != maxAlerts || len(d.outcome) > maxOutcomes || errs != maxCallErrors {
		t.Errorf("open %d, closed %d, latencies %d, alerts %d, outcomes %d, errors %d", len(d.open), closed, len(d.latencies),
			len(d.alerts), len(d.outcome), errs)
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc": "abc", "äö": "ä", "a\x00b": "ab", "a\xff": "a\uFFFD", "日本": "日"} {
		if got := clip(in, 3); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Whatever is in a log, deriving from it does not fail and gives text that both databases take.
func FuzzDerive(f *testing.F) {
	f.Add([]byte(`{"seq":1,"atUs":5,"kind":"stt.final","turn":1,"text":"hi","data":{"startMs":1e300}}`))
	f.Add([]byte(`{"seq":1,"kind":"turn.end_of_speech","turn":-7}`))
	f.Add([]byte(`{"kind":"outcome","text":"\u0000","data":{"a":{"b":[1]}}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var e event.Entry
		if json.Unmarshal(line, &e) != nil {
			return
		}
		var d derivation
		var out derived
		for range 3 {
			d.add(&e, &out)
			e.Turn++
		}
		for _, it := range out.items {
			if strings.ContainsRune(it.Text, 0) || it.EndMs < it.StartMs {
				t.Errorf("%+v", it)
			}
		}
		d.openTurns()
		d.percentile(95)
	})
}
