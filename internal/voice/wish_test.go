package voice

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
)

// notes is an Emitter that keeps outcomes.
type notes struct {
	Emitter
	got map[string]any
}

func (n *notes) Outcome(name string, data map[string]any) { n.got[name] = data["value"] }

func TestWishTools(t *testing.T) {
	dubai, err := time.LoadLocation("Asia/Dubai")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 16, 30, 0, 0, time.UTC) // 20:30 there
	tools := map[string]Tool{}
	for _, tool := range WishTools(WishConfig{Zone: dubai, Now: func() time.Time { return now }, Results: []string{"booked", "undecided"}}) {
		tools[tool.Spec.Name] = tool
	}
	if !strings.Contains(tools["call_back_at"].Spec.Description, "Saturday, 21 November 2026, 20:30") {
		t.Errorf("the model does not know the time there: %s", tools["call_back_at"].Spec.Description)
	}
	for _, c := range []struct{ tool, arguments, outcome, value, fails string }{
		{"opt_out", `{"said":"leave me alone"}`, event.OutcomeOptOut, "agent", ""},
		{"opt_out", `{}`, event.OutcomeOptOut, "agent", ""},
		{"call_back_at", `{"time":"2026-11-22T10:00"}`, event.OutcomeCallBack, "2026-11-22T10:00:00+04:00", ""},
		{"call_back_at", `{"time":"2026-11-22T06:00:00Z"}`, event.OutcomeCallBack, "2026-11-22T10:00:00+04:00", ""},
		{"call_back_at", `{"time":"2026-11-21T19:00"}`, "", "", "is over"},
		{"call_back_at", `{"time":"2028-01-01T10:00"}`, "", "", "too far ahead"},
		{"call_back_at", `{"time":"tomorrow"}`, "", "", "no time"},
		{"call_back_at", `{}`, "", "", "no time"},
		{"call_back_at", `[]`, "", "", "arguments"},
		{"not_interested", `{"reason":"has one"}`, event.OutcomeNotInterested, "has one", ""},
		{"outcome", `{"code":"booked"}`, event.OutcomeResult, "booked", ""},
		{"outcome", `{"code":"sold"}`, "", "", "not one of"},
	} {
		n := &notes{got: map[string]any{}}
		_, err := tools[c.tool].Call(context.Background(), []byte(c.arguments), n)
		switch {
		case c.fails != "":
			if err == nil || !strings.Contains(err.Error(), c.fails) || len(n.got) != 0 {
				t.Errorf("%s %s: %v, recorded %v", c.tool, c.arguments, err, n.got)
			}
		case err != nil || n.got[c.outcome] != c.value:
			t.Errorf("%s %s: %v, recorded %v", c.tool, c.arguments, err, n.got)
		}
	}
	if n := len(WishTools(WishConfig{Now: func() time.Time { return now }})); n != 3 {
		t.Errorf("%d tools without codes", n)
	}
}
