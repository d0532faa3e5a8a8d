package event

// CallOf says whose call it is, so that those who may see only some people's calls are told of theirs.
type CallOf struct {
	AgentID string `json:"agentId,omitempty"`
	UserID  string `json:"userId,omitempty"`  // who placed it, or whose phone it came from
	TakenBy string `json:"takenBy,omitempty"` // whose phone took it
}

// CallStarted says that a call reached us or was placed.
type CallStarted struct {
	CallID    string `json:"callId"`
	OrgID     string `json:"organisationId"`
	AgentID   string `json:"agentId,omitempty"`
	AgentSlug string `json:"agentSlug,omitempty"`
	UserID    string `json:"userId,omitempty"` // as of CallOf
	Channel   string `json:"channel"`          // sip, webrtc, twilio
	Direction string `json:"direction"`        // inbound, outbound
	From      string `json:"from"`
	To        string `json:"to"`
	StartedAt int64  `json:"startedAt"` // Unix milliseconds
}

// CallStatus says that a call changed state, or what its agent is doing now.
type CallStatus struct {
	CallOf
	CallID   string `json:"callId"`
	Status   string `json:"status"`             // queued, ringing, in_progress, ended
	Activity string `json:"activity,omitempty"` // listening, thinking, speaking, paused, tool
	At       int64  `json:"at"`                 // Unix milliseconds
}

// CallTranscript is one item of the transcript. A partial item is replaced by the next one with its Seq.
type CallTranscript struct {
	CallOf
	CallID      string  `json:"callId"`
	Seq         int     `json:"seq"`
	Speaker     string  `json:"speaker"` // caller, agent, operator
	Text        string  `json:"text"`
	StartMS     int64   `json:"startMs"` // since the call was answered
	EndMS       int64   `json:"endMs"`
	Confidence  float64 `json:"confidence,omitempty"`
	Final       bool    `json:"final"`
	Interrupted bool    `json:"interrupted,omitempty"` // Text is only what was heard
}

// CallEnded says that a call is over.
type CallEnded struct {
	CallOf
	CallID     string `json:"callId"`
	OrgID      string `json:"organisationId"`
	EndedBy    string `json:"endedBy"`   // caller, agent, operator, system, carrier
	EndReason  string `json:"endReason"` // normal, interrupted, vendor_failed, max_duration, idle, ...
	DurationMS int64  `json:"durationMs"`
	EndedAt    int64  `json:"endedAt"`              // Unix milliseconds
	Direction  string `json:"direction,omitempty"`  // inbound, outbound
	AnsweredAt int64  `json:"answeredAt,omitempty"` // Unix milliseconds; 0: nobody answered
	Status     int    `json:"status,omitempty"`     // SIP or HTTP status that it ended with
	Result     string `json:"result,omitempty"`     // of an outbound call: answered, busy, no_answer, rejected, invalid_number, trunk_failed, cancelled, failed
	TrunkID    string `json:"trunkId,omitempty"`    // that it was placed through
}

// CallOutcome says what a call came to so far: what the person wishes, who answered, what was played. The last one of a
// kind counts, and the same one may be told again after a crash.
type CallOutcome struct {
	CallOf
	CallID string `json:"callId"`
	OrgID  string `json:"organisationId"`
	Kind   string `json:"kind"`            // one of those below, or a name that a flow gives
	Value  string `json:"value,omitempty"` // as the kind says
	At     int64  `json:"at"`              // Unix milliseconds
}

// The kinds of outcome that the runtime gives. In brackets: what Value is.
const (
	OutcomeAnsweredBy    = "answered_by"    // [human, machine, unsure, fax, invalid]
	OutcomeMessage       = "message"        // on a machine [played, not_played]
	OutcomeDisclosure    = "disclosure"     // [played, not_played]
	OutcomeOptOut        = "opt_out"        // the person wants no more calls [key, words, agent]
	OutcomeCallBack      = "call_back"      // the person wants to be called then [RFC 3339 with the person's offset]
	OutcomeNotInterested = "not_interested" // [the reason, if any]
	OutcomeResult        = "result"         // what the campaign calls it [its code]
)

// Standing tells whether an outcome is a wish of the person: it stands whatever becomes of the answer in which it was recorded.
func Standing(kind string) bool {
	switch kind {
	case OutcomeOptOut, OutcomeCallBack, OutcomeNotInterested, OutcomeResult:
		return true
	}
	return false
}

// CallError says that something went wrong in a call that goes on or has ended by it.
type CallError struct {
	CallOf
	CallID  string `json:"callId"`
	Code    string `json:"code"`
	Message string `json:"message"`
	At      int64  `json:"at"` // Unix milliseconds
}

// Type implements Fact.
func (CallStarted) Type() string    { return "call.started" }
func (CallStatus) Type() string     { return "call.status" }
func (CallTranscript) Type() string { return "call.transcript" }
func (CallEnded) Type() string      { return "call.ended" }
func (CallError) Type() string      { return "call.error" }
func (CallOutcome) Type() string    { return "call.outcome" }

// Key implements Fact.
func (e CallStarted) Key() string    { return e.CallID }
func (e CallStatus) Key() string     { return e.CallID }
func (e CallTranscript) Key() string { return e.CallID }
func (e CallEnded) Key() string      { return e.CallID }
func (e CallError) Key() string      { return e.CallID }
func (e CallOutcome) Key() string    { return e.CallID }
