package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/parley-voice/parley/internal/voice/provider"
)

const (
	maxText  = 64 << 10 // of an answer: nobody listens to more
	maxCalls = 32
)

type chatMessage struct {
	Role       string     `json:"role"`
	Content    *string    `json:"content"`
	ToolCalls  []chatCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

type chatCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// request writes the body of a chat request.
func (cl *Client) request(req provider.ChatRequest) ([]byte, error) {
	body := map[string]any{"model": cl.c.LLM.Model, "stream": true, "stream_options": map[string]any{"include_usage": true}}
	messages := make([]chatMessage, 0, len(req.Messages))
	for _, m := range req.Messages {
		out := chatMessage{Role: m.Role, ToolCallID: m.ToolCallID}
		if m.Text != "" || len(m.ToolCalls) == 0 { // with tool calls, no text is null
			out.Content = &m.Text
		}
		for _, c := range m.ToolCalls {
			call := chatCall{ID: c.ID, Type: "function"}
			call.Function.Name, call.Function.Arguments = c.Name, c.Arguments
			out.ToolCalls = append(out.ToolCalls, call)
		}
		messages = append(messages, out)
	}
	body["messages"] = messages
	if len(req.Tools) > 0 {
		tools := make([]any, 0, len(req.Tools))
		for _, t := range req.Tools {
			params := json.RawMessage(t.Parameters)
			if len(params) == 0 {
				params = json.RawMessage(`{"type":"object","properties":{}}`)
			}
			tools = append(tools, map[string]any{"type": "function",
				"function": map[string]any{"name": t.Name, "description": t.Description, "parameters": params}})
		}
		body["tools"] = tools
	}
	if req.Temperature != nil {
		body["temperature"] = *req.Temperature
	}
	if req.MaxTokens > 0 {
		// OpenAI's newer models know only the long name, most other servers only the short one.
		name := "max_tokens"
		if strings.Contains(cl.base[provider.ServiceLLM], "//api.openai.com/") {
			name = "max_completion_tokens"
		}
		body[name] = req.MaxTokens
	}
	return json.Marshal(body)
}

// Chat implements provider.LLM.
func (cl *Client) Chat(ctx context.Context, req provider.ChatRequest) (provider.ChatStream, error) {
	raw, err := cl.request(req)
	if err != nil {
		return nil, cl.fail(provider.ServiceLLM, "refused", true, err, "the request cannot be written as JSON: a tool's parameters are no JSON Schema")
	}
	res, err := cl.send(ctx, provider.ServiceLLM, http.MethodPost, "/chat/completions", "application/json", bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	s := &chat{cl: cl, body: res.body}
	switch res.kind {
	case "text/event-stream":
		s.events = newEvents(res.body)
	case "application/json":
		if err := s.plain(); err != nil {
			_ = res.body.Close()
			return nil, err
		}
	default:
		_ = res.body.Close()
		return nil, cl.fail(provider.ServiceLLM, "bad_response", false, nil, "the server answered %q instead of events or JSON; check the address", res.kind)
	}
	return s, nil
}

// chat is an answer being read.
type chat struct {
	cl       *Client
	body     *body
	events   *events
	ready    []provider.ChatDelta // from plain JSON, and at the end
	calls    []*building
	size     int
	finished bool // the server said that the answer is whole
	ended    bool
	last     provider.ChatDelta
}

// building is a tool call whose parts are coming in.
type building struct {
	index int
	call  provider.ToolCall
}

type chunk struct {
	Choices []struct {
		Delta        chatDelta `json:"delta"`
		Message      chatDelta `json:"message"`
		FinishReason *string   `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type chatDelta struct {
	Content   *string    `json:"content"`
	ToolCalls []chatCall `json:"tool_calls"`
}

// Next implements provider.ChatStream.
func (s *chat) Next() (provider.ChatDelta, error) {
	for {
		if len(s.ready) > 0 {
			d := s.ready[0]
			s.ready = s.ready[1:]
			return d, nil
		}
		if s.ended {
			return provider.ChatDelta{}, io.EOF
		}
		if err := s.read(); err != nil {
			s.ended = true
			return provider.ChatDelta{}, err
		}
	}
}

// read takes one event.
func (s *chat) read() error {
	data, err := s.events.next()
	switch {
	case errors.Is(err, errEventSize):
		return s.bad(err, "an event has more than %d KiB", maxEvent>>10)
	case errors.Is(err, io.EOF) && s.finished: // some servers leave [DONE] out
		return s.end()
	case errors.Is(err, io.EOF):
		return s.bad(io.ErrUnexpectedEOF, "the server broke off in the middle of its answer")
	case err != nil:
		return s.cl.transport(provider.ServiceLLM, err)
	case string(bytes.TrimSpace(data)) == "[DONE]":
		_, _ = s.body.discard()
		return s.end()
	}
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		return s.bad(err, "an event is no JSON")
	}
	return s.take(&c, false)
}

func (s *chat) bad(cause error, format string, args ...any) error {
	return s.cl.fail(provider.ServiceLLM, "bad_response", false, cause, format, args...)
}

// take adds a chunk, or a whole answer of plain JSON.
func (s *chat) take(c *chunk, whole bool) error {
	if len(c.Error) > 0 && string(c.Error) != "null" {
		return s.cl.fail(provider.ServiceLLM, "failed", false, nil, "the server reports an error%s", errorText(strings.NewReader(`{"error":`+string(c.Error)+`}`)))
	}
	if c.Usage != nil {
		s.last.TokensIn, s.last.TokensOut = c.Usage.PromptTokens, c.Usage.CompletionTokens
	}
	if len(c.Choices) == 0 {
		return nil
	}
	ch := c.Choices[0]
	d := ch.Delta
	if whole {
		d = ch.Message
	}
	if ch.FinishReason != nil && *ch.FinishReason != "" {
		s.finished = true
	}
	if d.Content != nil && *d.Content != "" {
		if s.size += len(*d.Content); s.size > maxText {
			return s.bad(errTooBig, "the answer has more than %d KiB of text", maxText>>10)
		}
		s.ready = append(s.ready, provider.ChatDelta{Text: *d.Content})
	}
	for i, call := range d.ToolCalls {
		if err := s.part(i, call); err != nil {
			return err
		}
	}
	return nil
}

// part adds a piece of a tool call. Pieces belong together by their index, or by their place where a
// server leaves it out.
func (s *chat) part(place int, p chatCall) error {
	index := place
	if p.Index != nil {
		index = *p.Index
	}
	var b *building
	for _, c := range s.calls {
		if c.index == index && (p.ID == "" || c.call.ID == "" || p.ID == c.call.ID) {
			b = c
		}
	}
	if b == nil {
		if len(s.calls) >= maxCalls {
			return s.bad(errTooBig, "the answer has more than %d tool calls", maxCalls)
		}
		b = &building{index: index}
		s.calls = append(s.calls, b)
	}
	if p.ID != "" {
		b.call.ID = p.ID
	}
	if p.Function.Name != "" {
		b.call.Name = p.Function.Name
	}
	b.call.Arguments += p.Function.Arguments
	if s.size += len(p.Function.Arguments); s.size > maxText {
		return s.bad(errTooBig, "the answer has more than %d KiB", maxText>>10)
	}
	return nil
}

// end gives the tool calls, whole, and the counts.
func (s *chat) end() error {
	s.ended = true
	for i, b := range s.calls {
		if b.call.Name == "" {
			return s.bad(nil, "a tool call has no name")
		}
		if b.call.ID == "" {
			b.call.ID = fmt.Sprintf("call_%d", i+1)
		}
		if strings.TrimSpace(b.call.Arguments) == "" {
			b.call.Arguments = "{}"
		}
		if !json.Valid([]byte(b.call.Arguments)) {
			return s.bad(nil, "the arguments of tool %q are no JSON", b.call.Name)
		}
		s.last.ToolCalls = append(s.last.ToolCalls, b.call)
	}
	if len(s.last.ToolCalls) > 0 || s.last.TokensIn > 0 || s.last.TokensOut > 0 {
		s.ready = append(s.ready, s.last)
	}
	return nil
}

// plain reads an answer that came as one JSON document.
func (s *chat) plain() error {
	raw, err := s.body.all(maxEvent)
	if err != nil {
		return err
	}
	var c chunk
	if err := json.Unmarshal(raw, &c); err != nil {
		return s.bad(err, "the answer is no JSON")
	}
	if len(c.Choices) == 0 && len(c.Error) == 0 {
		return s.bad(nil, "the answer has no choices")
	}
	if err := s.take(&c, true); err != nil {
		return err
	}
	return s.end()
}

// Close implements provider.ChatStream.
func (s *chat) Close() error {
	s.ended, s.ready = true, nil
	return s.body.Close()
}
