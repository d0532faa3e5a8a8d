package compliance

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

const (
	entryContext = "parley-audit-1\n"
	headContext  = "parley-audit-head-1\n"
	endContext   = "parley-audit-end-1\n"

	maxWord = 256  // bytes of an id, an action, an address
	maxText = 4096 // of a reason
)

// genesis is the hash before entry 1.
var genesis = hashchain.Genesis

// AuditEntry is one entry of a chain.
type AuditEntry struct {
	Seq            int64           `json:"seq" doc:"From 1, without a gap"`
	ID             string          `json:"id"`
	At             time.Time       `json:"at" doc:"When it happened; entries stand in the order they were appended"`
	ActorKind      string          `json:"actorKind" enum:"user,token,agent,system" doc:"token: a person's API token; agent: an AI agent in a call"`
	ActorID        string          `json:"actorId"`
	TokenID        string          `json:"tokenId"`
	ImpersonatorID string          `json:"impersonatorId" doc:"The super-admin who acted as actorId"`
	Action         string          `json:"action" doc:"area.verb: agent.publish, call.recording.read, auth.sign_in"`
	Outcome        string          `json:"outcome" enum:"done,denied,failed"`
	Kind           string          `json:"kind" doc:"Of the thing: agent, call, user"`
	ObjectID       string          `json:"objectId"`
	Before         json.RawMessage `json:"before" doc:"The thing as the API showed it before; null when it was made"`
	After          json.RawMessage `json:"after" doc:"The thing as the API shows it after; null when it was deleted"`
	Reason         string          `json:"reason"`
	IP             string          `json:"ip"`
	UserAgent      string          `json:"userAgent"`
	RequestID      string          `json:"requestId"`
	Operation      string          `json:"operation" doc:"operationId of the API"`
	PrevHash       string          `json:"prevHash"`
	Hash           string          `json:"hash" doc:"SHA-256 over prevHash and every field; docs/audit.md says how"`
}

// sum is the hash of an entry of a chain, from all its fields but Hash.
func (e *AuditEntry) sum(org string) string {
	return hashchain.NewFields(entryContext).Text(org).Number(e.Seq).Text(e.PrevHash, e.ID).Number(e.At.UnixMilli()).
		Text(e.ActorKind, e.ActorID, e.TokenID, e.ImpersonatorID, e.Action, e.Outcome, e.Kind, e.ObjectID, side(e.Before), side(e.After),
			e.Reason, e.IP, e.UserAgent, e.RequestID, e.Operation).Sum()
}

// side is the text of before or after: null is nothing.
func side(m json.RawMessage) string {
	if string(m) == "null" {
		return ""
	}
	return string(m)
}

// newEntry makes an entry of a fact; its place in the chain is not known yet.
func newEntry(id string, f *event.Audited) AuditEntry {
	e := AuditEntry{
		ID: clean(id, maxWord), At: time.UnixMilli(f.At).UTC(), ActorKind: clean(f.ActorKind, maxWord), ActorID: clean(f.ActorID, maxWord),
		TokenID: clean(f.TokenID, maxWord), ImpersonatorID: clean(f.Impersonator, maxWord), Action: clean(f.Action, maxWord),
		Outcome: clean(f.Outcome, maxWord), Kind: clean(f.Kind, maxWord), ObjectID: clean(f.ObjectID, maxWord), Before: compact(f.Before),
		After: compact(f.After), Reason: clean(f.Reason, maxText), IP: clean(f.IP, maxWord), UserAgent: clean(f.UserAgent, maxWord),
		RequestID: clean(f.RequestID, maxWord), Operation: clean(f.Operation, maxWord),
	}
	return e
}

// clean makes s something that both databases and JSON keep byte for byte.
func clean(s string, most int) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// compact gives JSON as encoding/json writes it, so that writing it again changes nothing; nil for nothing.
func compact(m json.RawMessage) json.RawMessage {
	if len(m) == 0 || string(m) == "null" {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		b, _ = json.Marshal(map[string]string{"unreadable": clean(string(m), maxText)}) // a string is always JSON
	}
	return json.RawMessage(strings.ToValidUTF8(string(b), "\ufffd"))
}

// AuditHead is the signed end of a chain on a day.
type AuditHead struct {
	Seq       int64     `json:"seq"`
	Hash      string    `json:"hash"`
	Date      string    `json:"date" doc:"YYYY-MM-DD, UTC"`
	At        time.Time `json:"at"`
	KeyID     string    `json:"keyId" doc:"kid in the key set"`
	PublicKey string    `json:"publicKey" doc:"Ed25519, base64url"`
	Signature string    `json:"signature" doc:"base64url"`
}

func (h *AuditHead) payload(org string) []byte {
	return hashchain.NewFields(headContext).Text(org).Number(h.Seq).Text(h.Hash, h.Date).Number(h.At.UnixMilli()).Bytes()
}
