// Package agent keeps the agents of an organisation: what they are called, what they say and do, and with
// which vendors. An agent has versions that never change; one of them may be published, and calls use that
// one.
//
//	agent.go        types: Agent, Version, Definition, Snapshot
//	check.go        what can be wrong with a definition
//	variables.go    what a call brings with it
//	service.go      create, change, publish, delete
//	published.go    the snapshot a call starts from, cached: asked for hundreds of times a second
//	model.go        models: connections to vendors, with their keys sealed
//	appointment.go  appointments that flows book, move and cancel
//	template.go     templates, and the agents every organisation begins with
//	store.go        persistence
//	http*.go        operations of the API
//
// The sub-package flow is the engine of agents without a language model.
package agent

import (
	"embed"
	"encoding/json"
	"io/fs"
	"time"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/platform/db"
)

//go:embed migrations
var migrations embed.FS

// Migrations gives the context's tables.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	return db.Migrations{Context: "agent", FS: sub, Names: []db.Name{{Kind: slugName, Table: "agents", Column: "slug"}}}
}

// slugName is the kind of an agent's slug in the database's list of names: a caller may give it without naming an
// organisation.
const slugName = "agent"

// The kinds of agent.
const (
	KindFlow   = "flow"
	KindPrompt = "prompt"
)

// The vendors a service of an agent can use.
const (
	VendorLocal  = "local"
	VendorSim    = "sim"
	VendorOpenAI = "openai"
)

// The services of a vendor.
const (
	ServiceSTT = "stt"
	ServiceLLM = "llm"
	ServiceTTS = "tts"
)

// Agent is one agent, without its definition.
type Agent struct {
	ID               string    `json:"id"`
	Slug             string    `json:"slug" doc:"Name in addresses: sip:SLUG@host"`
	Name             string    `json:"name"`
	Kind             string    `json:"kind" enum:"flow,prompt"`
	Status           string    `json:"status" enum:"published,draft"`
	PublishedVersion *int      `json:"publishedVersion" doc:"The version that calls use, null before the first is published"`
	LatestVersion    int       `json:"latestVersion"`
	OwnerID          string    `json:"ownerId" doc:"Whose agent it is: who made it, or was given it; empty: nobody's"`
	ProjectID        string    `json:"projectId" doc:"Empty: of no project"`
	CreatedAt        time.Time `json:"createdAt"`
	UpdatedAt        time.Time `json:"updatedAt"`
}

// Version is an immutable state of an agent.
type Version struct {
	ID         string      `json:"id"`
	AgentID    string      `json:"agentId"`
	Number     int         `json:"number"`
	CreatedAt  time.Time   `json:"createdAt"`
	CreatedBy  string      `json:"createdBy" doc:"Id of the user, empty for the first agents of an organisation"`
	Note       string      `json:"note"`
	Definition *Definition `json:"definition"`
	Published  bool        `json:"published"`
}

// Definition is everything an agent is.
type Definition struct {
	Kind         string       `json:"kind" enum:"flow,prompt"`
	Greeting     string       `json:"greeting,omitempty" doc:"prompt: said first; empty lets the caller begin. {{firstName}} stands for what a call brings with it, {{firstName|there}} has a word for when it does not"`
	Prompt       string       `json:"prompt,omitempty" doc:"prompt: what the language model is told to be; it may have {{placeholders}} as the greeting"`
	Language     string       `json:"language,omitempty" doc:"BCP 47, en-US when empty"`
	Voice        Voice        `json:"voice,omitempty" required:"false"`
	Models       Models       `json:"models,omitempty" required:"false"`
	Flow         *flow.Graph  `json:"flow,omitempty" doc:"flow: the drawn conversation"`
	Tools        []Tool       `json:"tools,omitempty" doc:"prompt: what the language model may use"`
	Limits       Limits       `json:"limits,omitempty" required:"false"`
	Interruption Interruption `json:"interruption,omitempty" required:"false"`
}

// Voice is how the agent sounds.
type Voice struct {
	Voice string  `json:"voice,omitempty" doc:"Name the TTS vendor knows; empty is its usual one"`
	Speed float64 `json:"speed,omitempty" doc:"0.5 to 2; 1 when empty"`
}

// Models chooses a vendor for each service. An empty one is local (STT, TTS) or none (LLM of a flow).
type Models struct {
	STT ModelRef `json:"stt,omitempty" required:"false"`
	LLM ModelRef `json:"llm,omitempty" required:"false"`
	TTS ModelRef `json:"tts,omitempty" required:"false"`
}

// ModelRef names a vendor and, where it is not built in, the connection to it.
type ModelRef struct {
	Vendor  string `json:"vendor,omitempty" enum:"local,openai,sim"`
	ModelID string `json:"modelId,omitempty" doc:"Id of the connection under Models; needed for openai"`
	Model   string `json:"model,omitempty" doc:"The vendor's name of the model; empty is the connection's default"`
}

// The kinds of Tool.
const (
	ToolHangup   = "hangup"
	ToolTransfer = "transfer"
	ToolHTTP     = "http"
)

// Tool is something the language model may use.
type Tool struct {
	Kind        string            `json:"kind" enum:"hangup,transfer,http"`
	Name        string            `json:"name,omitempty" doc:"http: what the model calls it: letters, digits, _ and -"`
	Description string            `json:"description,omitempty" doc:"http: when to use it"`
	Targets     map[string]string `json:"targets,omitempty" doc:"transfer: name to phone user, SIP URI or number"`
	URL         string            `json:"url,omitempty" doc:"http: where the arguments are posted as JSON"`
	Method      string            `json:"method,omitempty" enum:"GET,POST" doc:"http: POST when empty"`
	Parameters  map[string]any    `json:"parameters,omitempty" doc:"http: JSON Schema of the arguments"`
	TimeoutMS   int               `json:"timeoutMs,omitempty" doc:"http: 100 to 30000; 10000 when empty"`
}

// Limits bound a call. Zero is the runtime's default.
type Limits struct {
	MaxDurationMS  int `json:"maxDurationMs,omitempty"`
	IdleMS         int `json:"idleMs,omitempty"`
	ReplyTimeoutMS int `json:"replyTimeoutMs,omitempty"`
	FillerAfterMS  int `json:"fillerAfterMs,omitempty"`
}

// Interruption tunes turn-taking. Zero is the runtime's default.
type Interruption struct {
	Off         bool `json:"off,omitempty" doc:"The caller cannot interrupt by speaking"`
	EndpointMS  int  `json:"endpointMs,omitempty" doc:"Silence that ends a turn"`
	MinSpeechMS int  `json:"minSpeechMs,omitempty" doc:"Shorter sounds are noise"`
	CutAfterMS  int  `json:"cutAfterMs,omitempty" doc:"Speech this long interrupts for good"`
}

// Snapshot is a published version, ready for calls. It is shared: nobody may change it.
type Snapshot struct {
	OrgID      string
	AgentID    string
	Slug       string
	Name       string
	Version    int
	Definition *Definition
	Flow       *flow.Program // of a flow agent

	values map[string]string // of one call's variables: see With
}

// parseDefinition reads what the store holds.
func parseDefinition(raw string) (*Definition, error) {
	var d Definition
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		return nil, err
	}
	return &d, nil
}
