package voice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// Tool is something the model may use during an answer.
type Tool struct {
	Spec    provider.ToolSpec
	Timeout time.Duration // 0 means 10 s
	// Ends says that the answer is over when the tool has worked: nothing is left for the model to say.
	Ends bool
	// Call does it; arguments are the JSON the model wrote. The result goes to the model; an error goes to it
	// too, as a sentence, and to the event log. Call must return soon after its context's end.
	Call func(ctx context.Context, arguments []byte, out Emitter) (result string, err error)
}

// HangupTool lets the model end the call.
func HangupTool() Tool {
	return Tool{
		Spec: provider.ToolSpec{
			Name:        "hang_up",
			Description: "End the call. Say goodbye first; use it when the caller is done.",
			Parameters:  []byte(`{"type":"object","properties":{"reason":{"type":"string"}}}`),
		},
		Ends: true,
		Call: func(_ context.Context, _ []byte, out Emitter) (string, error) {
			out.Hangup("normal")
			return "the call ends", nil
		},
	}
}

// TransferTool lets the model hand the caller to one of targets (name → SIP URI or number).
func TransferTool(targets map[string]string) Tool {
	names := make([]string, 0, len(targets))
	for n := range targets {
		names = append(names, n)
	}
	sort.Strings(names)
	schema, _ := json.Marshal(map[string]any{ // strings only: cannot fail
		"type": "object", "required": []string{"to"},
		"properties": map[string]any{"to": map[string]any{"type": "string", "enum": names}},
	})
	return Tool{
		Spec: provider.ToolSpec{
			Name: "transfer", Description: "Hand the caller to somebody else. Tell them first.", Parameters: schema,
		},
		Ends: true,
		Call: func(_ context.Context, arguments []byte, out Emitter) (string, error) {
			var a struct {
				To string `json:"to"`
			}
			if err := json.Unmarshal(arguments, &a); err != nil {
				return "", errors.New(`the arguments must be {"to": name}`)
			}
			if !slices.Contains(names, a.To) {
				return "", fmt.Errorf("%q is not one of %v", a.To, names)
			}
			out.Transfer(targets[a.To])
			return "the caller is being transferred", nil
		},
	}
}
