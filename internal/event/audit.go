package event

import "encoding/json"

// Audited is one entry of an organisation's audit trail: who did what to which thing, from where. It is
// published in the transaction of the change it tells of, so that there is no change without its entry.
type Audited struct {
	OrgID        string          `json:"organisationId"`
	ActorKind    string          `json:"actorKind"` // user, token, system
	ActorID      string          `json:"actorId,omitempty"`
	TokenID      string          `json:"tokenId,omitempty"`
	Impersonator string          `json:"impersonatorId,omitempty"` // the super-admin who acts as ActorID
	Action       string          `json:"action"`                   // area.verb: agent.publish, call.recording.read, auth.sign_in
	Outcome      string          `json:"outcome"`                  // done, denied, failed
	Kind         string          `json:"kind,omitempty"`           // of the thing: agent, call, user
	ObjectID     string          `json:"objectId,omitempty"`
	Before       json.RawMessage `json:"before,omitempty"` // as the API shows it, without secrets
	After        json.RawMessage `json:"after,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	IP           string          `json:"ip,omitempty"`
	UserAgent    string          `json:"userAgent,omitempty"`
	RequestID    string          `json:"requestId,omitempty"`
	Operation    string          `json:"operation,omitempty"` // the API's operation
	At           int64           `json:"at"`                  // Unix milliseconds
}

// Type implements Fact.
func (Audited) Type() string { return "audit.entry" }

// Key implements Fact.
func (a Audited) Key() string { return a.OrgID }
