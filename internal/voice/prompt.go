package voice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
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

const (
	maxRounds     = 4       // tool rounds in one answer
	maxAnswer     = 8 << 10 // bytes of one answer; a model that goes on for ever is cut off
	maxToolResult = 8 << 10
)

// PromptBrain lets a language model answer. Its history holds what the caller said and what the caller has
// heard of the answers, and the tool calls between; what was never heard was never said.
type PromptBrain struct {
	cfg     PromptConfig
	history []provider.Message
	mark    int // history's length before the last turn
}

// NewPromptBrain makes the brain of one call.
func NewPromptBrain(c PromptConfig) (*PromptBrain, error) {
	switch {
	case c.LLM == nil:
		return nil, fault.Field("llm", "a prompt agent needs a language model; choose one under Models")
	case c.Clock == nil:
		return nil, fault.Field("clock", "a prompt agent needs a clock")
	}
	if c.MaxTokens == 0 {
		c.MaxTokens = 400
	}
	if c.History == 0 {
		c.History = 40
	}
	if c.Unclear == "" {
		c.Unclear = "Sorry, I did not catch that. Could you say it again?"
	}
	for i, t := range c.Tools {
		if t.Spec.Name == "" || t.Call == nil {
			return nil, fault.Field(fmt.Sprintf("tools[%d]", i), "a tool needs a name and something to call")
		}
	}
	return &PromptBrain{cfg: c}, nil
}

// Begin implements Brain.
func (b *PromptBrain) Begin(ctx context.Context, out Emitter) error {
	switch b.cfg.Greeting {
	case "":
		return nil
	case "*":
		b.history = nil
		b.add(provider.Message{Role: "user", Text: "[The caller is on the line. Greet them.]"})
		return b.answer(ctx, out)
	default:
		return out.Say(b.cfg.Greeting)
	}
}

// Turn implements Brain.
func (b *PromptBrain) Turn(ctx context.Context, in Input, out Emitter) error {
	if in.Continues && b.mark <= len(b.history) {
		b.history = b.history[:b.mark]
	}
	b.mark = len(b.history)
	text := in.Text
	switch in.Kind {
	case InputUnclear:
		return out.Say(b.cfg.Unclear)
	case InputDigits:
		text = "[The caller dialled: " + in.Digits + "]"
	case InputSilence:
		text = "[The caller dialled nothing.]"
	case InputTransferFailed:
		text = "[The transfer failed: " + in.Text + ". The caller is still on the line; tell them.]"
	}
	b.add(provider.Message{Role: "user", Text: text})
	return b.answer(ctx, out)
}

// Expect implements Brain.
func (b *PromptBrain) Expect() provider.Expect { return provider.Expect{Hints: b.cfg.Hints} }

// Heard implements Brain.
func (b *PromptBrain) Heard(text string, interrupted bool) {
	if text == "" {
		return
	}
	if interrupted {
		text += " — [the caller interrupted here]"
	}
	b.add(provider.Message{Role: "assistant", Text: text})
}

// add appends to the history and forgets what is older than it may be. A tool's result never comes first: no
// model takes it without the call.
func (b *PromptBrain) add(m provider.Message) {
	b.history = append(b.history, m)
	drop := max(len(b.history)-b.cfg.History, 0)
	for drop > 0 && drop < len(b.history) && b.history[drop].Role != "user" {
		drop++
	}
	if drop > 0 && drop < len(b.history) {
		b.history = append([]provider.Message(nil), b.history[drop:]...)
		b.mark = max(b.mark-drop, 0)
	}
}

// answer lets the model speak, and use tools until it has no more wishes.
func (b *PromptBrain) answer(ctx context.Context, out Emitter) error {
	for range maxRounds {
		calls, err := b.round(ctx, out)
		if err != nil {
			return err
		}
		if len(calls) == 0 {
			return nil
		}
		b.add(provider.Message{Role: "assistant", ToolCalls: calls})
		stop := false
		for _, call := range calls {
			result, ended := b.use(ctx, call, out)
			b.add(provider.Message{Role: "tool", ToolCallID: call.ID, Text: result})
			stop = stop || ended
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if stop {
			return nil
		}
	}
	return nil // it was heard so far as it spoke
}

// round is one request to the model.
func (b *PromptBrain) round(ctx context.Context, out Emitter) ([]provider.ToolCall, error) {
	req := provider.ChatRequest{
		Messages:    append([]provider.Message{{Role: "system", Text: b.cfg.System}}, b.history...),
		Temperature: b.cfg.Temperature, MaxTokens: b.cfg.MaxTokens,
	}
	for _, t := range b.cfg.Tools {
		req.Tools = append(req.Tools, t.Spec)
	}
	stream, err := b.cfg.LLM.Chat(ctx, req)
	if err != nil {
		return nil, vendorError(err, provider.ServiceLLM, b.cfg.Vendor)
	}
	defer func() { _ = stream.Close() }()
	var (
		split Splitter
		calls []provider.ToolCall
		size  int
		in, o int
	)
	for {
		d, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, vendorError(err, provider.ServiceLLM, b.cfg.Vendor)
		}
		if size == 0 && (d.Text != "" || len(d.ToolCalls) > 0) {
			out.Note(event.EntryFirstToken, "", nil)
		}
		size += len(d.Text) + len(d.ToolCalls)
		calls = append(calls, d.ToolCalls...)
		in, o = max(in, d.TokensIn), max(o, d.TokensOut)
		for _, sentence := range split.Add(clean(d.Text)) {
			if err := out.Say(sentence); err != nil {
				return nil, err
			}
		}
		if size > maxAnswer {
			break
		}
	}
	for _, sentence := range split.Flush() {
		if err := out.Say(sentence); err != nil {
			return nil, err
		}
	}
	out.Note(event.EntryLLMDone, "", map[string]any{"tokensIn": in, "tokensOut": o})
	if size == 0 {
		return nil, &provider.Error{
			Service: provider.ServiceLLM, Vendor: b.cfg.Vendor, Code: "bad_response", Message: "the model's answer is empty",
		}
	}
	return calls, nil
}

// clean takes out what a voice must not read: markup of emphasis, control characters, broken UTF-8.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '*' || r == '`' || r == '#' || r == '\uFFFD':
			return -1
		case r < ' ' && r != '\n':
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// use carries out one tool call. The result is for the model; ended says that the tool ends the answer.
func (b *PromptBrain) use(ctx context.Context, call provider.ToolCall, out Emitter) (result string, ended bool) {
	out.Note(event.EntryToolCall, call.Name, map[string]any{"id": call.ID, "arguments": call.Arguments})
	began := b.cfg.Clock.Now()
	result, ended, err := b.call(ctx, call, out)
	if err != nil {
		result = "error: " + err.Error()
	}
	result = strings.ToValidUTF8(result[:min(len(result), maxToolResult)], "")
	out.Note(event.EntryToolResult, call.Name, map[string]any{
		"id": call.ID, "ok": err == nil, "result": result, "ms": b.cfg.Clock.Since(began).Milliseconds(),
	})
	return result, ended && err == nil
}

func (b *PromptBrain) call(ctx context.Context, call provider.ToolCall, out Emitter) (string, bool, error) {
	for _, t := range b.cfg.Tools {
		if t.Spec.Name != call.Name {
			continue
		}
		arguments := []byte(call.Arguments)
		if len(strings.TrimSpace(call.Arguments)) == 0 {
			arguments = []byte("{}")
		}
		if !json.Valid(arguments) {
			return "", false, errors.New("the arguments are not JSON; call the tool again with a JSON object")
		}
		out.Note(event.EntryActivity, "tool", nil)
		defer out.Note(event.EntryActivity, "thinking", nil)
		result, err := b.timed(ctx, t, arguments, out)
		return result, t.Ends, err
	}
	return "", false, fmt.Errorf("there is no tool named %q", call.Name)
}

// timed gives the tool its time, whether it honours its context or not.
func (b *PromptBrain) timed(ctx context.Context, t Tool, arguments []byte, out Emitter) (string, error) {
	limit := orDuration(t.Timeout, 10*time.Second)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := b.cfg.Clock.AfterFunc(limit, func() {
		cancel(fmt.Errorf("the tool did not answer within %v", limit))
	})
	defer timer.Stop()
	type answer struct {
		result string
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- answer{err: fmt.Errorf("the tool crashed: %v", p)}
			}
		}()
		result, err := t.Call(ctx, arguments, out)
		done <- answer{result, err}
	}()
	select {
	case a := <-done:
		if a.err != nil && ctx.Err() != nil {
			a.err = context.Cause(ctx)
		}
		return a.result, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
