package conversation

import "testing"

func TestResultOf(t *testing.T) {
	for _, c := range []struct {
		answered   bool
		by, reason string
		status     int
		want       Result
	}{
		{true, "caller", "normal", 0, Answered}, {true, "system", "max_duration", 0, Answered}, {true, "system", "interrupted", 0, Answered},
		{false, "carrier", "busy", 486, Busy}, {false, "carrier", "busy", 600, Busy},
		{false, "system", "no_answer", 408, NoAnswer}, {false, "carrier", "no_answer", 480, NoAnswer}, {false, "carrier", "cancelled", 487, NoAnswer},
		{false, "carrier", "declined", 603, Rejected}, {false, "carrier", "declined", 608, Rejected}, {false, "carrier", "declined", 403, TrunkFailed},
		{false, "carrier", "not_found", 404, InvalidNumber}, {false, "carrier", "not_found", 410, InvalidNumber}, {false, "carrier", "not_found", 484, InvalidNumber},
		{false, "carrier", "unauthorized", 407, TrunkFailed}, {false, "carrier", "unreachable", 503, TrunkFailed}, {false, "carrier", "unreachable", 408, TrunkFailed},
		{false, "carrier", "error", 500, TrunkFailed}, {false, "carrier", "not_acceptable", 488, TrunkFailed}, {false, "carrier", "timeout", 504, TrunkFailed},
		{false, "system", "normal", 0, Cancelled}, {false, "operator", "normal", 0, Cancelled}, {false, "system", "cancelled", 0, Cancelled},
		{false, "system", "shutdown", 0, Failed}, {false, "system", "interrupted", 0, Failed}, {false, "system", "misconfigured", 0, Failed}, {false, "system", "error", 0, Failed},
	} {
		if got := ResultOf(c.answered, c.by, c.reason, c.status); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
