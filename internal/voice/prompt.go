package voice

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// PromptConfig is everything NewPromptBrain needs.
type PromptConfig struct {
	LLM    provider.LLM
	Vendor string // for the event log
	System string // the agent's prompt
	// Greeting is said first. Empty: the caller speaks first. "*": the model greets.
	Greeting    string
	Unclear     string // said when nothing was understood; "" means an English default
	Tools       []Tool
	Temperature *float64
	MaxTokens   int // of one answer; 0 means 400
	// History is how many messages of the conversation the model sees, the prompt aside; 0 means 40.
	History int
	Hints   []string // names and words likely to be said, for the recogniser
	Clock   quartz.Clock
	Log     *slog.Logger
}

// Tool is something the model may use during an answer.
type Tool struct {
	Spec    provider.ToolSpec
	Timeout time.Duration // 0 means 10 s
	// Call does it; arguments are the JSON object the model wrote. The result goes to the model; an error
	// goes to it too, as a sentence, and to the event log.
	Call func(ctx context.Context, arguments []byte, out Emitter) (result string, err error)
}

// PromptBrain lets a language model answer.
type PromptBrain struct {
	cfg PromptConfig
}

// NewPromptBrain makes the brain of one call.
func NewPromptBrain(c PromptConfig) (*PromptBrain, error) {
	if c.LLM == nil {
		return nil, fault.Field("llm", "a prompt agent needs a language model; choose one under Models")
	}
	return &PromptBrain{cfg: c}, nil
}

// Begin implements Brain.
func (b *PromptBrain) Begin(context.Context, Emitter) error { return errors.ErrUnsupported }

// Turn implements Brain.
func (b *PromptBrain) Turn(context.Context, Input, Emitter) error { return errors.ErrUnsupported }

// Expect implements Brain.
func (b *PromptBrain) Expect() provider.Expect { return provider.Expect{Hints: b.cfg.Hints} }

// Heard implements Brain.
func (b *PromptBrain) Heard(string, bool) {}

// HangupTool lets the model end the call.
func HangupTool() Tool { return Tool{} }

// TransferTool lets the model hand the caller to one of targets (name → SIP URI or number).
func TransferTool(targets map[string]string) Tool { return Tool{} }
