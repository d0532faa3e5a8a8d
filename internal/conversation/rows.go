package conversation

import (
	"embed"
	"encoding/json"
	"io/fs"
	"math"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the history of this context's tables.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded: only a rename of it can fail here
	}
	return db.Migrations{Context: "conversation", FS: sub}
}

// callRow is a call as stored.
type callRow struct {
	bun.BaseModel `bun:"table:calls,alias:c"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	Node           string `bun:"node"` // whose spool has the files until they are moved
	Status         string `bun:"status"`
	Direction      string `bun:"direction"`
	Channel        string `bun:"channel"`
	From           string `bun:"from_addr"`
	FromName       string `bun:"from_name"`
	To             string `bun:"to_addr"`
	AgentID        string `bun:"agent_id"`
	AgentSlug      string `bun:"agent_slug"`
	AgentName      string `bun:"agent_name"`
	AgentVersion   int    `bun:"agent_version"`
	ExternalID     string `bun:"external_id"`
	StartedAt      int64  `bun:"started_at"`
	AnsweredAt     *int64 `bun:"answered_at"`
	EndedAt        *int64 `bun:"ended_at"`
	DurationMs     int64  `bun:"duration_ms"`
	EndedBy        string `bun:"ended_by"`
	EndReason      string `bun:"end_reason"`
	EndText        string `bun:"end_text"`
	EndStatus      int    `bun:"end_status"` // SIP or HTTP; 0: none
	TrunkID        string `bun:"trunk_id"`   // that it was placed through
	Codec          string `bun:"codec"`
	RecState       string `bun:"rec_state"`
	RecDurationMs  int64  `bun:"rec_duration_ms"`
	RecBytes       int64  `bun:"rec_bytes"`
	RecKey         string `bun:"rec_key"` // in the blob store, or inDB; "" while in the spool
	LogKey         string `bun:"log_key"`
	Turns          int    `bun:"turns"`
	P50US          *int64 `bun:"p50_us"`
	P95US          *int64 `bun:"p95_us"`
	Metadata       string `bun:"metadata"` // JSON objects and an array
	Outcome        string `bun:"outcome"`
	Alerts         string `bun:"alerts"`

	UserID  string `bun:"user_id"`  // who placed it, or whose phone it came from; "": nobody of ours
	TakenBy string `bun:"taken_by"` // whose phone took it

	RecordingGoneAt  *int64 `bun:"recording_gone_at"` // deleted because its term was over
	FileKey          string `bun:"file_key"`          // the data key of its files; "" is the master key of before
	TranscriptGoneAt *int64 `bun:"transcript_gone_at"`
	LogGoneAt        *int64 `bun:"log_gone_at"`
}

type legRow struct {
	bun.BaseModel `bun:"table:call_legs,alias:l"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	CallID         string `bun:"call_id,pk"`
	Position       int    `bun:"position"`
	Channel        string `bun:"channel"`
	Direction      string `bun:"direction"`
	From           string `bun:"from_addr"`
	To             string `bun:"to_addr"`
	Remote         string `bun:"remote"`
	Codec          string `bun:"codec"`
	StartedAt      int64  `bun:"started_at"`
	EndedAt        *int64 `bun:"ended_at"`
	Cause          string `bun:"cause"` // JSON, "" while it goes on
	Stats          string `bun:"stats"`
}

type itemRow struct {
	bun.BaseModel `bun:"table:call_transcript,alias:i"`

	OrganisationID string  `bun:"organisation_id"`
	CallID         string  `bun:"call_id,pk"`
	Seq            int     `bun:"seq,pk"`
	Turn           int     `bun:"turn"`
	Speaker        string  `bun:"speaker"`
	Text           string  `bun:"text"`
	StartMs        int64   `bun:"start_ms"`
	EndMs          int64   `bun:"end_ms"`
	Confidence     float64 `bun:"confidence"`
	Interrupted    bool    `bun:"interrupted"`
}

type turnRow struct {
	bun.BaseModel `bun:"table:call_turns,alias:t"`

	OrganisationID string `bun:"organisation_id"`
	CallID         string `bun:"call_id,pk"`
	Turn           int    `bun:"turn,pk"`
	At             int64  `bun:"at"` // Unix ms of the end of speech, or of the answer
	CallerText     string `bun:"caller_text"`
	AgentText      string `bun:"agent_text"`
	EOSUS          *int64 `bun:"eos_us"` // since the answer; the others since eos_us
	STTUS          *int64 `bun:"stt_us"`
	TokenUS        *int64 `bun:"token_us"`
	AudioUS        *int64 `bun:"audio_us"`
	FrameUS        *int64 `bun:"frame_us"`
	Interrupted    bool   `bun:"interrupted"`
}

type peakRow struct {
	bun.BaseModel `bun:"table:call_peaks,alias:p"`

	OrganisationID string `bun:"organisation_id"`
	CallID         string `bun:"call_id,pk"`
	Span           int    `bun:"span"`
	Caller         []byte `bun:"caller"`
	Agent          []byte `bun:"agent"`
}

// fileRow is a file of a call that was over before it was on disk.
type fileRow struct {
	bun.BaseModel `bun:"table:call_files,alias:f"`

	OrganisationID string `bun:"organisation_id"`
	CallID         string `bun:"call_id,pk"`
	Suffix         string `bun:"suffix,pk"`
	Data           []byte `bun:"data"`
}

// inDB is the key of a file that is a fileRow.
const inDB = "db"

// end marks the row as ended.
func (r *callRow) end(e Ending) {
	at := max(e.At.UnixMilli(), r.StartedAt)
	r.Status = string(StatusEnded)
	r.EndedAt = &at
	r.EndedBy, r.EndReason, r.EndText = clip(e.By, maxNameBytes), clip(e.Reason, maxNameBytes), clip(e.Text, maxTextBytes)
	r.EndStatus = e.Status
	if r.AnsweredAt != nil {
		r.DurationMs = max(at-*r.AnsweredAt, 0)
	}
}

// apply puts what was derived into the row.
func (r *callRow) apply(d *derivation) {
	r.Turns = d.turns
	r.P50US, r.P95US = toMicros(d.percentile(50)), toMicros(d.percentile(95))
	r.Alerts = toJSON(d.alerts)
	r.Outcome = toJSON(d.outcome)
}

func (r *callRow) show(now time.Time) CallRecord {
	v := CallRecord{
		ID: r.ID, Status: Status(r.Status), Direction: r.Direction, Channel: r.Channel, From: r.From, FromName: r.FromName,
		To: r.To, AgentID: r.AgentID, AgentSlug: r.AgentSlug, AgentName: r.AgentName, AgentVersion: r.AgentVersion,
		UserID: r.UserID, TakenBy: r.TakenBy, ExternalID: r.ExternalID, StartedAt: fromMs(r.StartedAt), AnsweredAt: fromMsPtr(r.AnsweredAt),
		EndedAt: fromMsPtr(r.EndedAt), DurationMs: r.DurationMs, EndedBy: r.EndedBy, EndReason: r.EndReason,
		EndText: r.EndText, EndStatus: r.EndStatus, TrunkID: r.TrunkID, Result: r.result(), Codec: r.Codec, Turns: r.Turns,
		Recording: RecordingInfo{State: RecordingState(r.RecState), DurationMs: r.RecDurationMs, Bytes: r.RecBytes,
			DeletedAt: fromMsPtr(r.RecordingGoneAt)},
		Latency:  LatencyInfo{P50Ms: toMillis(r.P50US), P95Ms: toMillis(r.P95US)},
		Metadata: fromJSON(r.Metadata), Outcome: fromJSON(r.Outcome),
	}
	if r.EndedAt == nil && r.AnsweredAt != nil {
		v.DurationMs = max(now.UnixMilli()-*r.AnsweredAt, 0)
	}
	return v
}

func (r *callRow) alerts() []CallAlert {
	v := []CallAlert{}
	_ = json.Unmarshal([]byte(r.Alerts), &v) // written by us; a row that cannot be read has no alerts
	if v == nil {
		v = []CallAlert{}
	}
	return v
}

func (l *legRow) show() CallLeg {
	v := CallLeg{ID: l.ID, Channel: l.Channel, Direction: l.Direction, From: l.From, To: l.To, Remote: l.Remote,
		Codec: l.Codec, StartedAt: fromMs(l.StartedAt), EndedAt: fromMsPtr(l.EndedAt)}
	if l.Cause != "" && json.Unmarshal([]byte(l.Cause), &v.Cause) != nil {
		v.Cause = nil
	}
	if l.Stats != "" && json.Unmarshal([]byte(l.Stats), &v.Stats) != nil {
		v.Stats = nil
	}
	return v
}

func newItemRow(org, call string, it TranscriptItem) itemRow {
	return itemRow{OrganisationID: org, CallID: call, Seq: it.Seq, Turn: it.Turn, Speaker: it.Speaker, Text: it.Text,
		StartMs: it.StartMs, EndMs: it.EndMs, Confidence: it.Confidence, Interrupted: it.Interrupted}
}

func (r *itemRow) show() TranscriptItem {
	return TranscriptItem{Seq: r.Seq, Turn: r.Turn, Speaker: r.Speaker, Text: r.Text, StartMs: r.StartMs, EndMs: r.EndMs,
		Confidence: r.Confidence, Final: true, Interrupted: r.Interrupted}
}

func newTurnRow(org, call string, answeredAt int64, t CallTurn) turnRow {
	r := turnRow{OrganisationID: org, CallID: call, Turn: t.Turn, At: answeredAt, CallerText: t.CallerText,
		AgentText: t.AgentText, Interrupted: t.Interrupted, EOSUS: toMicros(t.EndOfSpeechMs), STTUS: toMicros(t.STTFinalMs),
		TokenUS: toMicros(t.FirstTokenMs), AudioUS: toMicros(t.FirstAudioMs), FrameUS: toMicros(t.FirstFrameMs)}
	if r.EOSUS != nil {
		r.At += *r.EOSUS / 1000
	}
	return r
}

func (r *turnRow) show() CallTurn {
	return CallTurn{Turn: r.Turn, CallerText: r.CallerText, AgentText: r.AgentText, Interrupted: r.Interrupted,
		EndOfSpeechMs: toMillis(r.EOSUS), STTFinalMs: toMillis(r.STTUS), FirstTokenMs: toMillis(r.TokenUS),
		FirstAudioMs: toMillis(r.AudioUS), FirstFrameMs: toMillis(r.FrameUS)}
}

func toMicros(ms *float64) *int64 {
	if ms == nil {
		return nil
	}
	return ptr(int64(math.Round(*ms * 1000)))
}

func toMillis(us *int64) *float64 {
	if us == nil {
		return nil
	}
	return ptr(float64(*us) / 1000)
}

func fromMs(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func fromMsPtr(ms *int64) *time.Time {
	if ms == nil {
		return nil
	}
	return ptr(fromMs(*ms))
}

// toJSON gives the JSON of v, "{}" for a nil map. What cannot be written (a channel, NaN) is left out.
func toJSON(v any) string {
	if m, ok := v.(map[string]any); ok && len(m) == 0 {
		return "{}"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return clip(string(b), math.MaxInt32)
}

func fromJSON(s string) map[string]any {
	m := map[string]any{}
	_ = json.Unmarshal([]byte(s), &m) // written by us; what cannot be read is shown as nothing
	if m == nil {
		m = map[string]any{}
	}
	return m
}

// value gives what p points to, 0 for nothing.
func value(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}
