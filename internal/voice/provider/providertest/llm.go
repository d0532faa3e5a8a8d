package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// LLMCase says how to build a language model and what to ask it.
type LLMCase struct {
	New func(t testing.TB) provider.LLM
	// Request is answered with some text; the zero value asks for a greeting.
	Request provider.ChatRequest
	// Want is a part of the answer in lower case; "" when it does not matter.
	Want string
	// ToolRequest is answered with a tool call; nil leaves that out.
	ToolRequest *provider.ChatRequest
	// Failing and Hanging build one whose vendor refuses or never answers. Nil when that cannot be.
	Failing, Hanging func(t testing.TB) provider.LLM
}

// LLM is the conformance suite of language models.
func LLM(t *testing.T, c LLMCase) {
	if c.Request.Messages == nil {
		c.Request.Messages = []provider.Message{
			{Role: "system", Text: "You answer the telephone. Be brief."},
			{Role: "user", Text: "Hello, who is there?"},
		}
	}
	run(t, "an answer, then io.EOF", c.answer)
	run(t, "two answers at once", c.twoAtOnce)
	run(t, "close twice, and before the end", c.closeEarly)
	run(t, "an ended context", c.cancelled)
	run(t, "cancel during the answer", c.cancelBusy)
	if c.ToolRequest != nil {
		run(t, "a tool call", c.tool)
	}
	if c.Failing != nil {
		run(t, "a failing vendor", c.failing)
	}
	if c.Hanging != nil {
		run(t, "a hanging vendor ends with its context", c.hanging)
	}
}

// all reads a stream to its end.
func all(t *testing.T, s provider.ChatStream) (text string, calls []provider.ToolCall) {
	t.Helper()
	var b strings.Builder
	for {
		d, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		b.WriteString(d.Text)
		calls = append(calls, d.ToolCalls...)
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("Next after the end gave %v, want io.EOF again", err)
	}
	return b.String(), calls
}

func (c LLMCase) answer(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.New(t).Chat(ctx, c.Request)
	if err != nil {
		t.Fatalf("Chat: %v", err)
	}
	defer func() { _ = s.Close() }()
	text, _ := all(t, s)
	if strings.TrimSpace(text) == "" {
		t.Fatal("the answer is empty")
	}
	if c.Want != "" && !strings.Contains(strings.ToLower(text), c.Want) {
		t.Fatalf("got %q, want it to contain %q", text, c.Want)
	}
}

func (c LLMCase) twoAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	vendor := c.New(t)
	a, err := vendor.Chat(ctx, c.Request)
	if err != nil {
		t.Fatalf("Chat: %v", err)
	}
	defer func() { _ = a.Close() }()
	b, err := vendor.Chat(ctx, c.Request)
	if err != nil {
		t.Fatalf("second Chat: %v", err)
	}
	defer func() { _ = b.Close() }()
	all(t, b)
	all(t, a)
}

func (c LLMCase) closeEarly(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.New(t).Chat(ctx, c.Request)
	if err != nil {
		t.Fatalf("Chat: %v", err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatalf("Next: %v", err)
	}
	within(t, promptly, "Close", func() {
		_ = s.Close()
		_ = s.Close()
	})
	within(t, promptly, "Next after Close", func() {
		for range 1000 {
			if _, err := s.Next(); err != nil {
				return
			}
		}
		t.Error("Next after Close never ends")
	})
}

func (c LLMCase) cancelled(t *testing.T) {
	vendor := c.New(t)
	within(t, promptly, "Chat with an ended context", func() {
		s, err := vendor.Chat(ended(), c.Request)
		if err != nil {
			return
		}
		defer func() { _ = s.Close() }()
		for range 10000 {
			if _, err := s.Next(); err != nil {
				if errors.Is(err, io.EOF) {
					t.Error("an ended context gave a whole answer")
				}
				return
			}
		}
		t.Error("Next goes on after the context's end")
	})
}

func (c LLMCase) cancelBusy(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := c.New(t).Chat(ctx, c.Request)
	if err != nil {
		t.Fatalf("Chat: %v", err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Next(); err != nil {
		t.Fatalf("Next: %v", err)
	}
	cancel()
	within(t, promptly, "Next after cancel", func() {
		for {
			if _, err := s.Next(); err != nil {
				return // what was buffered may still come, then an error or the end
			}
		}
	})
}

func (c LLMCase) tool(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.New(t).Chat(ctx, *c.ToolRequest)
	if err != nil {
		t.Fatalf("Chat: %v", err)
	}
	defer func() { _ = s.Close() }()
	_, calls := all(t, s)
	if len(calls) == 0 {
		t.Fatal("no tool call came")
	}
	for _, call := range calls {
		if call.ID == "" || call.Name == "" {
			t.Errorf("a tool call needs an id and a name: %+v", call)
		}
		if !json.Valid([]byte(call.Arguments)) {
			t.Errorf("arguments of %s are no JSON: %q", call.Name, call.Arguments)
		}
	}
}

func (c LLMCase) failing(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.Failing(t).Chat(ctx, c.Request)
	if err != nil {
		wantVendorError(t, err, provider.ServiceLLM)
		return
	}
	defer func() { _ = s.Close() }()
	for {
		_, err := s.Next()
		if errors.Is(err, io.EOF) {
			t.Fatal("the failure looks like the end of an answer")
		}
		if err != nil {
			wantVendorError(t, err, provider.ServiceLLM)
			return
		}
	}
}

func (c LLMCase) hanging(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	vendor := c.Hanging(t)
	asked := make(chan struct{})
	go func() { <-asked; cancel() }()
	within(t, patience, "a hanging vendor", func() {
		close(asked)
		s, err := vendor.Chat(ctx, c.Request)
		if err != nil {
			return
		}
		defer func() { _ = s.Close() }()
		for {
			if _, err := s.Next(); err != nil {
				if errors.Is(err, io.EOF) {
					t.Error("a vendor that hangs gave a whole answer")
				}
				return
			}
		}
	})
}
