package conversation

import (
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Status is the state of a call. It only moves forward: queued → ringing → in_progress → ended, where
// every step may be left out. docs/call.md draws it.
type Status string

// The states of a call.
const (
	StatusQueued     Status = "queued"
	StatusRinging    Status = "ringing"
	StatusInProgress Status = "in_progress"
	StatusEnded      Status = "ended"
)

var statusOrder = map[Status]int{StatusQueued: 1, StatusRinging: 2, StatusInProgress: 3, StatusEnded: 4}

// before reports whether a call in state s may move to next.
func (s Status) before(next Status) bool { return statusOrder[s] < statusOrder[next] }

// Reasons for the end of a call that this package gives itself.
const (
	ReasonNormal      = "normal"
	ReasonInterrupted = "interrupted" // the process died while the call went on
)

// RecordingState says what there is to hear.
type RecordingState string

// The states of a recording.
const (
	RecordingNone      RecordingState = "none"      // not wanted, or nobody answered
	RecordingRunning   RecordingState = "recording" // being written, or on its way to the blob store
	RecordingAvailable RecordingState = "available" // whole, in the blob store
	RecordingFailed    RecordingState = "failed"    // nothing could be kept
)

// NewCall is what is known of a call when it reaches us or is placed.
type NewCall struct {
	ID           string // UUIDv7; made when empty
	OrgID        string
	Channel      string // sip, webrtc, twilio
	Direction    string // inbound, outbound
	From         string
	FromName     string
	To           string
	AgentID      string
	AgentSlug    string
	AgentName    string
	AgentVersion int
	ExternalID   string // the carrier's own id
	UserID       string // who places it, or whose phone it comes from
	TakenBy      string // whose phone is called
	Remote       string // network address of the signalling peer
	Status       Status // StatusQueued when empty
	TrunkID      string // that it is placed through
	NoRecording  bool
	Metadata     map[string]any
}

// Answer is what is known once a call is answered. Rate decides how the recording is stored.
type Answer struct {
	At    time.Time // now when zero
	Rate  int       // of the frames given to Frames: 8000 or 16000
	Codec string    // "PCMU", "PCMA", "G722", "opus"
}

// Ending says why a call is over.
type Ending struct {
	At     time.Time // now when zero
	By     string    // caller, agent, operator, system, carrier
	Reason string    // stable: normal, busy, no_answer, vendor_failed, max_duration, idle, ...
	Text   string    // a sentence for a person
	Status int       // SIP or HTTP status where there is one
}

// NewLeg is one more side of a call: a transfer's target, an operator.
type NewLeg struct {
	ID        string
	Channel   string
	Direction string
	From      string
	To        string
	Remote    string
	Codec     string
}

// LegStats are a leg's counters. The fields are those of media.LegStats, so that one converts to the other.
type LegStats struct {
	Codec           string  `json:"codec,omitempty"`
	PacketsIn       uint64  `json:"packetsIn"`
	PacketsOut      uint64  `json:"packetsOut"`
	Lost            uint64  `json:"lost"`
	Late            uint64  `json:"late"`
	Duplicate       uint64  `json:"duplicate"`
	Malformed       uint64  `json:"malformed"`
	JitterMS        float64 `json:"jitterMs"`
	BufferMS        float64 `json:"bufferMs"`
	RoundTripMS     float64 `json:"roundTripMs"`
	FramesIn        uint64  `json:"framesIn"`
	FramesConcealed uint64  `json:"framesConcealed"`
	FramesOut       uint64  `json:"framesOut"`
	FramesLateOut   uint64  `json:"framesLateOut"`
}

// CallRecord is a call as the API shows it.
type CallRecord struct {
	ID           string         `json:"id"`
	Status       Status         `json:"status" enum:"queued,ringing,in_progress,ended"`
	Direction    string         `json:"direction" enum:"inbound,outbound"`
	Channel      string         `json:"channel" enum:"sip,webrtc,twilio"`
	From         string         `json:"from"`
	FromName     string         `json:"fromName"`
	To           string         `json:"to"`
	AgentID      string         `json:"agentId"`
	AgentSlug    string         `json:"agentSlug"`
	AgentName    string         `json:"agentName"`
	AgentVersion int            `json:"agentVersion"`
	UserID       string         `json:"userId" doc:"Who placed it, or whose phone it came from; empty: nobody of the organisation"`
	TakenBy      string         `json:"takenBy" doc:"Whose phone it was put through to; empty: nobody's"`
	ExternalID   string         `json:"externalId" doc:"The carrier's own id: SIP Call-ID, Twilio CallSid"`
	StartedAt    time.Time      `json:"startedAt"`
	AnsweredAt   *time.Time     `json:"answeredAt"`
	EndedAt      *time.Time     `json:"endedAt"`
	DurationMs   int64          `json:"durationMs" doc:"From answer to end, or to now; 0 when nobody answered"`
	EndedBy      string         `json:"endedBy" doc:"caller, agent, operator, system or carrier"`
	EndReason    string         `json:"endReason" doc:"Stable code: normal, interrupted, busy, no_answer, ..."`
	EndText      string         `json:"endText" doc:"A sentence for a person"`
	EndStatus    int            `json:"endStatus" doc:"SIP or HTTP status that it ended with; 0: none"`
	Result       Result         `json:"result" doc:"What became of a call that was placed: answered, busy, no_answer, rejected, invalid_number, trunk_failed, cancelled or failed; empty while it goes on, and of calls that reached us"`
	TrunkID      string         `json:"trunkId" doc:"The trunk that it was placed through; empty: none"`
	Activity     string         `json:"activity" doc:"What the agent does now: listening, thinking, speaking, paused, tool"`
	Codec        string         `json:"codec"`
	Recording    RecordingInfo  `json:"recording"`
	Turns        int            `json:"turns"`
	Latency      LatencyInfo    `json:"latency" doc:"From end of speech to first frame sent"`
	Metadata     map[string]any `json:"metadata"`
	Outcome      map[string]any `json:"outcome"`
}

// RecordingInfo describes a call's recording.
type RecordingInfo struct {
	State      RecordingState `json:"state" enum:"none,recording,available,failed"`
	DurationMs int64          `json:"durationMs"`
	Bytes      int64          `json:"bytes" doc:"Size as stored, encrypted"`
	DeletedAt  *time.Time     `json:"deletedAt" doc:"When it was deleted because its term was over"`
}

// LatencyInfo is how fast the agent answered.
type LatencyInfo struct {
	P50Ms *float64 `json:"p50Ms"`
	P95Ms *float64 `json:"p95Ms"`
}

// CallDetail is a call with its legs and alerts.
type CallDetail struct {
	CallRecord
	Legs   []CallLeg   `json:"legs" nullable:"false"`
	Alerts []CallAlert `json:"alerts" nullable:"false"`
}

// CallLeg is one side of a call.
type CallLeg struct {
	ID        string     `json:"id"`
	Channel   string     `json:"channel"`
	Direction string     `json:"direction"`
	From      string     `json:"from"`
	To        string     `json:"to"`
	Remote    string     `json:"remote"`
	Codec     string     `json:"codec"`
	StartedAt time.Time  `json:"startedAt"`
	EndedAt   *time.Time `json:"endedAt"`
	Cause     *LegCause  `json:"cause"`
	Stats     *LegStats  `json:"stats"`
}

// LegCause says why a leg ended.
type LegCause struct {
	By     string `json:"by"`
	Code   string `json:"code"`
	Status int    `json:"status,omitempty"`
	Text   string `json:"text,omitempty"`
}

// CallAlert is what a person should know of a call.
type CallAlert struct {
	AtMs int64  `json:"atMs" doc:"Since the call was answered"`
	Code string `json:"code"`
	Text string `json:"text"`
}

// TranscriptItem is one thing said.
type TranscriptItem struct {
	Seq         int     `json:"seq"`
	Turn        int     `json:"turn"`
	Speaker     string  `json:"speaker" enum:"caller,agent,operator"`
	Text        string  `json:"text"`
	StartMs     int64   `json:"startMs" doc:"Since the call was answered"`
	EndMs       int64   `json:"endMs"`
	Confidence  float64 `json:"confidence"`
	Final       bool    `json:"final" doc:"False while the recogniser may change its mind"`
	Interrupted bool    `json:"interrupted" doc:"Text is only what was heard"`
}

// CallTurn is one turn of the caller and the agent's reply: the latency waterfall.
type CallTurn struct {
	Turn          int      `json:"turn" doc:"From 1; 0 is the greeting"`
	CallerText    string   `json:"callerText"`
	AgentText     string   `json:"agentText"`
	EndOfSpeechMs *float64 `json:"endOfSpeechMs" doc:"Since the call was answered; zero of the others"`
	STTFinalMs    *float64 `json:"sttFinalMs" doc:"After end of speech; negative when it came before"`
	FirstTokenMs  *float64 `json:"firstTokenMs"`
	FirstAudioMs  *float64 `json:"firstAudioMs"`
	FirstFrameMs  *float64 `json:"firstFrameMs"`
	Interrupted   bool     `json:"interrupted"`
}

var errNoCall = fault.New(fault.NotFound, "There is no such call in this organisation.")
