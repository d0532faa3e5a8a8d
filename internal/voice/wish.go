package voice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// WishConfig is what WishTools needs.
type WishConfig struct {
	Zone    *time.Location   // where the person is; nil: UTC
	Now     func() time.Time //
	Results []string         // codes of what the campaign wants to know; none: the tool outcome is not offered
}

// callBackWithin bounds how far ahead somebody may ask to be called.
const callBackWithin = 180 * 24 * time.Hour

// WishTools lets the model record what the person wishes of those who called them: opt_out, call_back_at,
// not_interested, and outcome with the campaign's own codes. What is recorded stands even when the person speaks over the
// answer (event.Standing).
func WishTools(c WishConfig) []Tool {
	zone := c.Zone
	if zone == nil {
		zone = time.UTC
	}
	tools := []Tool{
		wishTool("opt_out", "Record that the person does not want to be called any more. Use it whenever they say so in any words. Then confirm it, say goodbye and end the call.",
			`{"type":"object","properties":{"said":{"type":"string","description":"their words"}}}`, event.OutcomeOptOut,
			func(a wishArguments) (map[string]any, string, error) {
				return map[string]any{"value": "agent", "what": a.Said}, "they will not be called again", nil
			}),
		wishTool("call_back_at", "Record that the person wants to be called at another time. Ask for day and time first. Where they are it is now "+
			c.Now().In(zone).Format("Monday, 2 January 2006, 15:04")+".",
			`{"type":"object","required":["time"],"properties":{"time":{"type":"string","description":"their local time, as 2026-11-24T10:00"}}}`, event.OutcomeCallBack,
			func(a wishArguments) (map[string]any, string, error) { return callBack(a.Time, zone, c.Now()) }),
		wishTool("not_interested", "Record that the person refuses what is offered.",
			`{"type":"object","properties":{"reason":{"type":"string"}}}`, event.OutcomeNotInterested,
			func(a wishArguments) (map[string]any, string, error) {
				return map[string]any{"value": a.Reason}, "noted", nil
			}),
	}
	if len(c.Results) == 0 {
		return tools
	}
	schema, _ := json.Marshal(map[string]any{ // strings only: cannot fail
		"type": "object", "required": []string{"code"},
		"properties": map[string]any{"code": map[string]any{"type": "string", "enum": c.Results}},
	})
	return append(tools, wishTool("outcome", "Record what the call has come to.", string(schema), event.OutcomeResult,
		func(a wishArguments) (map[string]any, string, error) {
			if !slices.Contains(c.Results, a.Code) {
				return nil, "", fmt.Errorf("%q is not one of %v", a.Code, c.Results)
			}
			return map[string]any{"value": a.Code}, "noted", nil
		}))
}

type wishArguments struct {
	Said   string `json:"said"`
	Time   string `json:"time"`
	Reason string `json:"reason"`
	Code   string `json:"code"`
}

func wishTool(name, description, parameters, outcome string, do func(wishArguments) (map[string]any, string, error)) Tool {
	return Tool{
		Spec: provider.ToolSpec{Name: name, Description: description, Parameters: []byte(parameters)},
		Call: func(_ context.Context, arguments []byte, out Emitter) (string, error) {
			var a wishArguments
			if err := json.Unmarshal(arguments, &a); err != nil {
				return "", errors.New("the arguments must be as in " + parameters)
			}
			data, answer, err := do(a)
			if err == nil {
				out.Outcome(outcome, data)
			}
			return answer, err
		},
	}
}

// callBack reads a time of the person's.
func callBack(text string, zone *time.Location, now time.Time) (map[string]any, string, error) {
	text = strings.TrimSpace(text)
	var at time.Time
	err := errors.New("no time")
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", time.RFC3339} {
		if at, err = time.ParseInLocation(layout, text, zone); err == nil {
			break
		}
	}
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("%q is no time; write it as 2026-11-24T10:00, in the person's own time", text)
	case !at.After(now):
		return nil, "", fmt.Errorf("%s is over; where they are it is %s", text, now.In(zone).Format("2006-01-02T15:04"))
	case at.After(now.Add(callBackWithin)):
		return nil, "", fmt.Errorf("%s is too far ahead; agree on a time within half a year", text)
	}
	at = at.In(zone)
	return map[string]any{"value": at.Format(time.RFC3339)}, "they will be called on " + at.Format("Monday, 2 January at 15:04"), nil
}
