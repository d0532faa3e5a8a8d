package sim

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// LLMConfig sets up the language model.
type LLMConfig struct {
	Latency Latency       // request → first token
	Token   time.Duration // between tokens
	Faults  Faults
	// Answers are given in turn; {text} is what the caller said last, {n} the number of their turns. None
	// means "You said: {text}."
	Answers []string
	// Tools are used when the caller's words contain Word and the tool is offered.
	Tools []ToolUse
}

// ToolUse is a tool call on a word.
type ToolUse struct {
	Word, Name, Arguments string
}

// Chat implements provider.LLM.
func (v *Vendor) Chat(ctx context.Context, req provider.ChatRequest) (provider.ChatStream, error) {
	o := v.draw(v.cfg.LLM.Latency, v.cfg.LLM.Faults)
	if err := o.wait(ctx, v.cfg.Clock, provider.ServiceLLM); err != nil {
		return nil, err
	}
	if err := o.fail(provider.ServiceLLM); err != nil {
		return nil, err
	}
	s := &chat{v: v, in: size(req.Messages)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if o.fate == rubbish {
		s.words = []string{"}}{{ ", "\x00\xff", " <|im_end|> ", strings.Repeat("zz", 40)}
		return s, nil
	}
	if call, ok := v.cfg.LLM.tool(req); ok {
		s.calls = []provider.ToolCall{call}
		return s, nil
	}
	s.words = strings.SplitAfter(v.cfg.LLM.answer(req), " ")
	return s, nil
}

func size(messages []provider.Message) (tokens int) {
	for _, m := range messages {
		tokens += 1 + len(m.Text)/4
	}
	return tokens
}

// lastUser is what the caller said last, and how often they spoke; tool says that a tool's result came
// after.
func lastUser(messages []provider.Message) (text string, n int, tool bool) {
	for _, m := range messages {
		switch m.Role {
		case "user":
			text, tool = m.Text, false
			n++
		case "tool":
			tool = true
		}
	}
	return text, n, tool
}

func (c LLMConfig) tool(req provider.ChatRequest) (provider.ToolCall, bool) {
	text, n, done := lastUser(req.Messages)
	if done {
		return provider.ToolCall{}, false
	}
	for _, use := range c.Tools {
		if !strings.Contains(strings.ToLower(text), use.Word) {
			continue
		}
		for _, t := range req.Tools {
			if t.Name == use.Name {
				return provider.ToolCall{ID: fmt.Sprintf("call-%d", n), Name: use.Name, Arguments: use.Arguments}, true
			}
		}
	}
	return provider.ToolCall{}, false
}

func (c LLMConfig) answer(req provider.ChatRequest) string {
	text, n, done := lastUser(req.Messages)
	template := "You said: {text}."
	switch {
	case done:
		template = "That is done."
	case n == 0:
		template = "Hello, how can I help you?"
	case len(c.Answers) > 0:
		template = c.Answers[(n-1)%len(c.Answers)]
	}
	return strings.NewReplacer("{text}", text, "{n}", fmt.Sprint(n)).Replace(template)
}

type chat struct {
	v      *Vendor
	ctx    context.Context
	cancel context.CancelFunc
	words  []string
	calls  []provider.ToolCall
	given  int
	in     int
	ended  bool
}

// Next implements provider.ChatStream.
func (s *chat) Next() (provider.ChatDelta, error) {
	if s.ended {
		return provider.ChatDelta{}, io.EOF
	}
	if s.given > 0 {
		if err := pause(s.ctx, s.v.cfg.Clock, s.v.cfg.LLM.Token, provider.ServiceLLM); err != nil {
			return provider.ChatDelta{}, err
		}
	} else if err := s.ctx.Err(); err != nil {
		return provider.ChatDelta{}, ended(err, provider.ServiceLLM)
	}
	if s.given < len(s.words) {
		s.given++
		return provider.ChatDelta{Text: s.words[s.given-1]}, nil
	}
	s.ended = true
	return provider.ChatDelta{ToolCalls: s.calls, TokensIn: s.in, TokensOut: s.given}, nil
}

// Close implements provider.ChatStream.
func (s *chat) Close() error {
	s.cancel()
	return nil
}
