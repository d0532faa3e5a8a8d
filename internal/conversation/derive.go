package conversation

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parley-voice/parley/internal/event"
)

// Bounds of what is derived from one call's log, whatever its length.
const (
	maxTextBytes  = 16 << 10 // of one transcript item
	maxOpenTurns  = 8        // an interrupted turn's words arrive after the next turn has begun
	maxLatencies  = 1024     // the last so many turns make the percentiles
	maxAlerts     = 100
	maxOutcomes   = 64
	maxCallErrors = 20 // facts; the log and the alerts have the rest
	// maxOutcomeFacts are told of one call; what the person wishes (event.Standing) is told all the same.
	maxOutcomeFacts = 200
	maxTurnText     = 16 << 10
	maxGens         = 8 // replies of one turn: retries, reprompts
	maxNameBytes    = 256
	speakerCaller   = "caller"
	speakerAgent    = "agent"
	codeLogGap      = "log_incomplete"
	codeRecordKey   = "recording_key"
	codeDiskFull    = "disk_full"
	codeRecordGap   = "recording_gap"
	codeRecordStop  = "recording_stopped"
)

// turnMarks is one turn while it can still change. Times are microseconds since the answer.
type turnMarks struct {
	turn                               int
	callerText, agentText              string
	eos, stt, token, audio, frame      int64
	hasEOS, hasSTT, hasToken, hasAudio bool
	hasFrame, interrupted              bool
	gens                               []int // generations of the replies, the last maxGens
}

// derivation makes the transcript, the turns, the alerts and the outcome of a call from its entries. It is
// pure: the writer feeds it as the call goes on, recovery feeds it the log again, and both get the same.
type derivation struct {
	lastItem   int   // seq of the newest item
	openItem   int   // seq of the caller's item that is still being recognised, 0 for none
	openStart  int64 // its start
	open       []turnMarks
	typed      string // by the caller, for the turn that the next end of speech begins
	turns      int    // highest turn
	latencies  []int32
	latencyAt  int
	alerts     []CallAlert
	outcome    map[string]any
	activity   string
	lastUS     int64
	entries    int64
	callErrors int
	outcomes   int     // facts
	ended      *Ending // from call.ended
	toolRuns   int
}

// derived is what one batch of entries gave rise to.
type derived struct {
	items   []TranscriptItem // final ones
	partial *TranscriptItem  // the newest state of the item being recognised
	turns   []CallTurn       // closed turns
	errors  []event.CallError
	told    []event.CallOutcome
	tools   []toolRun
	moved   bool // activity changed
	changed bool // the call's row changed
}

// add feeds one entry.
func (d *derivation) add(e *event.Entry, out *derived) {
	d.entries = max(d.entries, e.Seq)
	d.lastUS = max(d.lastUS, e.AtUS)
	switch e.Kind {
	case event.EntrySTTPartial, event.EntrySTTFinal, event.EntryText, event.EntryAgentSaid, event.EntryBackchannel,
		event.EntryResumed:
		d.addSpeech(e, out)
	case event.EntryEndOfSpeech, event.EntryFirstToken, event.EntryFirstAudio, event.EntryFirstFrame, event.EntryCut:
		d.addMark(e, out)
	case event.EntryActivity:
		if d.activity != e.Text {
			d.activity, out.moved = clip(e.Text, maxNameBytes), true
		}
	case event.EntryAlert:
		d.addAlert(e, str(e.Data, "code"), out)
	case event.EntryVendorError:
		d.addAlert(e, "vendor_"+str(e.Data, "code"), out)
	case event.EntryOutcome:
		d.addOutcome(e, out)
	case event.EntryToolResult:
		d.addTool(e, out)
	case event.EntryEnded:
		d.ended = &Ending{By: str(e.Data, "by"), Reason: str(e.Data, "code"), Text: clip(e.Text, maxTextBytes),
			Status: int(num(e.Data, "status"))}
	}
}

// addSpeech keeps the transcript. A caller's item takes its place when its first words are recognised, so
// that what the agent says meanwhile comes after it.
func (d *derivation) addSpeech(e *event.Entry, out *derived) {
	ms := e.AtUS / 1000
	switch e.Kind {
	case event.EntrySTTPartial:
		if e.Text == "" {
			return
		}
		if d.openItem == 0 {
			d.lastItem++
			d.openItem, d.openStart = d.lastItem, ms
		}
		out.partial = &TranscriptItem{Seq: d.openItem, Turn: e.Turn, Speaker: speakerCaller,
			Text: clip(e.Text, maxTextBytes), StartMs: d.openStart, EndMs: ms}
	case event.EntrySTTFinal:
		if e.Text == "" {
			d.retract(e, out)
			return
		}
		d.item(e, speakerCaller, d.take(), out)
		t := d.turn(e.Turn, out)
		t.callerText = join(t.callerText, e.Text)
		t.stt, t.hasSTT = e.AtUS, true
		if t.turn > d.turns {
			d.turns, out.changed = t.turn, true
		}
	case event.EntryText:
		d.lastItem++
		d.item(e, speakerCaller, d.lastItem, out)
		d.typed = join(d.typed, e.Text)
	case event.EntryAgentSaid:
		if e.Text == "" {
			return
		}
		d.lastItem++
		d.item(e, speakerAgent, d.lastItem, out)
		t := d.reply(e, out)
		t.agentText = join(t.agentText, e.Text)
		t.interrupted = t.interrupted || flag(e.Data, "interrupted")
	default: // noise or a backchannel: what was heard of it does not stand
		d.retract(e, out)
	}
}

// take gives the caller's final item its seq: the one its partials had.
func (d *derivation) take() int {
	if d.openItem == 0 {
		d.lastItem++
		return d.lastItem
	}
	seq := d.openItem
	d.openItem = 0
	return seq
}

// retract takes a partial item back. Those who watch get a final item without text.
func (d *derivation) retract(e *event.Entry, out *derived) {
	if d.openItem == 0 {
		return
	}
	out.partial = &TranscriptItem{Seq: d.openItem, Turn: e.Turn, Speaker: speakerCaller, StartMs: d.openStart,
		EndMs: e.AtUS / 1000, Final: true}
	d.openItem = 0
}

func (d *derivation) item(e *event.Entry, speaker string, seq int, out *derived) {
	ms := e.AtUS / 1000
	it := TranscriptItem{Seq: seq, Turn: e.Turn, Speaker: speaker, Text: clip(e.Text, maxTextBytes), StartMs: ms, EndMs: ms,
		Confidence: num(e.Data, "confidence"), Final: true, Interrupted: flag(e.Data, "interrupted")}
	if _, ok := e.Data["startMs"]; ok {
		it.StartMs = int64(num(e.Data, "startMs"))
	}
	if _, ok := e.Data["endMs"]; ok {
		it.EndMs = int64(num(e.Data, "endMs"))
	}
	it.EndMs = max(it.StartMs, it.EndMs)
	if out.partial != nil && out.partial.Seq == seq {
		out.partial = nil
	}
	out.items = append(out.items, it)
}

// addMark keeps the waterfall. The caller may go on after the end of speech was decided, before anything
// was answered: then the turn is measured anew from the next decision.
func (d *derivation) addMark(e *event.Entry, out *derived) {
	if e.Kind == event.EntryCut {
		d.reply(e, out).interrupted = true
		return
	}
	t := d.turn(e.Turn, out)
	t.answeredBy(e.Gen)
	switch e.Kind {
	case event.EntryEndOfSpeech:
		if t.hasFrame {
			return
		}
		if d.typed != "" {
			t.callerText, d.typed = join(t.callerText, d.typed), ""
		}
		t.eos, t.hasEOS = e.AtUS, true
		t.hasToken, t.hasAudio = false, false
	case event.EntryFirstToken:
		if !t.hasToken {
			t.token, t.hasToken = e.AtUS, true
		}
	case event.EntryFirstAudio:
		if !t.hasAudio {
			t.audio, t.hasAudio = e.AtUS, true
		}
	case event.EntryFirstFrame:
		if t.hasFrame {
			return
		}
		t.frame, t.hasFrame = e.AtUS, true
		if t.hasEOS {
			d.addLatency(t.frame - t.eos)
			out.changed = true
		}
	}
	if t.real() && t.turn > d.turns {
		d.turns, out.changed = t.turn, true
	}
}

// answeredBy notes that generation gen answers the turn.
func (t *turnMarks) answeredBy(gen int) {
	if gen == 0 || slices.Contains(t.gens, gen) {
		return
	}
	if len(t.gens) == maxGens {
		t.gens = slices.Delete(t.gens, 0, 1)
	}
	t.gens = append(t.gens, gen)
}

// reply finds the turn that a generation answers: its last words may come when the next turn has begun.
func (d *derivation) reply(e *event.Entry, out *derived) *turnMarks {
	for i := len(d.open) - 1; i >= 0 && e.Gen != 0; i-- {
		if slices.Contains(d.open[i].gens, e.Gen) {
			return &d.open[i]
		}
	}
	return d.turn(e.Turn, out)
}

// real says that something was said or answered. The end of what turns out to be a noise begins no turn.
func (t *turnMarks) real() bool {
	return t.callerText != "" || t.agentText != "" || t.hasToken || t.hasFrame
}

func (d *derivation) addLatency(us int64) {
	v := int32(min(max(us, 0), math.MaxInt32))
	if len(d.latencies) < maxLatencies {
		d.latencies = append(d.latencies, v)
		return
	}
	d.latencies[d.latencyAt] = v
	d.latencyAt = (d.latencyAt + 1) % maxLatencies
}

// percentile of the latencies in milliseconds, nil when there are none (nearest rank).
func (d *derivation) percentile(p float64) *float64 {
	if len(d.latencies) == 0 {
		return nil
	}
	s := slices.Clone(d.latencies)
	slices.Sort(s)
	i := int(math.Ceil(p/100*float64(len(s)))) - 1
	ms := float64(s[min(max(i, 0), len(s)-1)]) / 1000
	return &ms
}

// turn gives the marks of turn n, and closes the oldest when too many are open. A turn that was closed
// already gets marks that nobody keeps.
func (d *derivation) turn(n int, out *derived) *turnMarks {
	for i := range d.open {
		if d.open[i].turn == n {
			return &d.open[i]
		}
	}
	if n < 0 || (len(d.open) > 0 && len(d.open) == maxOpenTurns && n < d.open[0].turn) {
		return &turnMarks{}
	}
	if len(d.open) == maxOpenTurns {
		if d.open[0].real() {
			out.turns = append(out.turns, d.open[0].show())
		}
		copy(d.open, d.open[1:])
		d.open = d.open[:len(d.open)-1]
	}
	d.open = append(d.open, turnMarks{turn: n})
	for i := len(d.open) - 1; i > 0 && d.open[i-1].turn > d.open[i].turn; i-- {
		d.open[i-1], d.open[i] = d.open[i], d.open[i-1]
	}
	for i := range d.open {
		if d.open[i].turn == n {
			return &d.open[i]
		}
	}
	return &turnMarks{}
}

// show gives the turn as the API has it.
func (t *turnMarks) show() CallTurn {
	v := CallTurn{Turn: t.turn, CallerText: t.callerText, AgentText: t.agentText, Interrupted: t.interrupted}
	if !t.hasEOS {
		return v
	}
	after := func(us int64, has bool) *float64 {
		if !has {
			return nil
		}
		ms := float64(us-t.eos) / 1000
		return &ms
	}
	zero := float64(t.eos) / 1000
	v.EndOfSpeechMs = &zero
	v.STTFinalMs, v.FirstTokenMs = after(t.stt, t.hasSTT), after(t.token, t.hasToken)
	v.FirstAudioMs, v.FirstFrameMs = after(t.audio, t.hasAudio), after(t.frame, t.hasFrame)
	return v
}

// openTurns shows the turns that can still change.
func (d *derivation) openTurns() []CallTurn {
	v := make([]CallTurn, 0, len(d.open))
	for i := range d.open {
		if d.open[i].real() {
			v = append(v, d.open[i].show())
		}
	}
	return v
}

func (d *derivation) addAlert(e *event.Entry, code string, out *derived) {
	code = clip(code, maxNameBytes)
	if len(d.alerts) < maxAlerts {
		d.alerts = append(d.alerts, CallAlert{AtMs: e.AtUS / 1000, Code: code, Text: clip(e.Text, maxTextBytes)})
		out.changed = true
	}
	if d.callErrors < maxCallErrors {
		d.callErrors++
		out.errors = append(out.errors, event.CallError{Code: code, Message: clip(e.Text, maxTextBytes), At: e.AtUS / 1000})
	}
}

func (d *derivation) addOutcome(e *event.Entry, out *derived) {
	name := clip(e.Text, maxNameBytes)
	if _, ok := d.outcome[name]; name == "" || (!ok && len(d.outcome) >= maxOutcomes && !event.Standing(name)) {
		return
	}
	if d.outcome == nil {
		d.outcome = make(map[string]any, 4)
	}
	// Readers hold the old map: it is never changed, only replaced.
	next := make(map[string]any, len(d.outcome)+1)
	for k, v := range d.outcome {
		next[k] = v
	}
	next[name] = true
	if len(e.Data) > 0 {
		next[name] = e.Data
	}
	d.outcome, out.changed = next, true
	if d.outcomes < maxOutcomeFacts || event.Standing(name) {
		d.outcomes++
		out.told = append(out.told, event.CallOutcome{Kind: name, Value: clip(str(e.Data, "value"), maxNameBytes), At: e.AtUS / 1000})
	}
}

func join(a, b string) string {
	b = clip(b, maxTurnText)
	switch {
	case a == "":
		return b
	case len(a)+len(b) >= maxTurnText:
		return a
	default:
		return a + " " + b
	}
}

// clip makes text fit for storage: valid UTF-8, without NUL (PostgreSQL takes none), at most n bytes.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
		for len(s) > 0 {
			r, size := utf8.DecodeLastRuneInString(s)
			if r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	}
	return s
}

// num reads a number whatever its type: entries are made in Go or read back from JSON. What JSON cannot hold is 0.
func num(m map[string]any, key string) float64 {
	switch v := m[key].(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0
		}
		return v
	case float32:
		return float64(v)
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case int32:
		return float64(v)
	default:
		return 0
	}
}

func str(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

func flag(m map[string]any, key string) bool {
	b, _ := m[key].(bool)
	return b
}
