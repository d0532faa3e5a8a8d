package conversation

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
)

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

// Whoever asked for a call can settle it from the fact alone.
func TestWhatBecameOfAPlacedCallIsTold(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		place := func(answered bool, end Ending) event.CallEnded {
			t.Helper()
			c, err := r.Begin(r.ctx(), NewCall{OrgID: orgA, Direction: "outbound", Channel: "sip", To: "+4930123456", TrunkID: "trunk", Status: StatusRinging})
			must(t, err)
			if answered {
				c.Answered(Answer{Rate: 8000})
			}
			r.pass(time.Second)
			c.End(end)
			r.settle()
			<-c.Saved()
			if known, err := r.Known(r.ctx(), orgA, c.ID()); err != nil || !known {
				t.Errorf("the call is not known: %v", err)
			}
			if known, err := r.Known(r.ctx(), orgB, c.ID()); err != nil || known {
				t.Errorf("another organisation knows the call: %v", err)
			}
			d, err := r.Get(r.ctx(), orgA, c.ID())
			must(t, err)
			told := event.CallEnded{}
			must(t, r.d.ReadTenant(r.ctx(), orgA, func(ctx context.Context, tx *db.Tx) error {
				var rows []db.OutboxRow
				err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND type = 'call.ended'", orgA).Order("seq").Scan(ctx)
				for _, row := range rows { // the last is this one's
					told = event.CallEnded{}
					if err := json.Unmarshal([]byte(row.Data), &told); err != nil {
						return err
					}
				}
				return err
			}))
			if told.CallID != c.ID() || told.TrunkID != "trunk" || told.Direction != "outbound" || told.Result != string(d.Result) || told.Status != d.EndStatus || d.TrunkID != "trunk" {
				t.Errorf("told %+v of %+v", told, d.CallRecord)
			}
			return told
		}
		if e := place(false, Ending{By: "carrier", Reason: "busy", Status: 486}); e.Result != "busy" || e.Status != 486 || e.AnsweredAt != 0 {
			t.Errorf("%+v", e)
		}
		if e := place(true, Ending{By: "caller", Reason: "normal"}); e.Result != "answered" || e.AnsweredAt == 0 || e.EndedAt < e.AnsweredAt {
			t.Errorf("%+v", e)
		}
	})
}
