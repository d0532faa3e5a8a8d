package conversation

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
)

// outcomes gives what was told of a call's outcomes, in the order it was.
func (r *rig) outcomes(org, call string) (all []event.CallOutcome) {
	r.t.Helper()
	must(r.t, r.d.ReadTenant(r.ctx(), org, func(ctx context.Context, tx *db.Tx) error {
		var rows []db.OutboxRow
		err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND type = ?", org, "call.outcome").Order("seq").Scan(ctx)
		for _, row := range rows {
			var e event.CallOutcome
			must(r.t, json.Unmarshal([]byte(row.Data), &e))
			if e.CallID == call {
				all = append(all, e)
			}
		}
		return err
	}))
	return all
}

// What a call came to is told with the row that has it, and again after a crash, which may have swallowed it.
func TestOutcomesAreTold(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		c := r.begin(orgA, "1001")
		r.pass(2 * time.Second)
		at := r.clock.Now().UnixMilli()
		c.Note(event.EntryOutcome, event.OutcomeOptOut, map[string]any{"value": "key", "what": "9"})
		c.Note(event.EntryOutcome, "booked", nil)
		must(t, r.Flush(r.ctx()))
		told := r.outcomes(orgA, c.ID())
		if len(told) != 2 || told[0].Kind != event.OutcomeOptOut || told[0].Value != "key" || told[0].At != at || told[0].OrgID != orgA || told[1].Kind != "booked" {
			t.Fatalf("told %+v", told)
		}
		d, err := r.Get(r.ctx(), orgA, c.ID())
		must(t, err)
		if m, ok := d.Outcome[event.OutcomeOptOut].(map[string]any); !ok || m["value"] != "key" {
			t.Errorf("outcome %v", d.Outcome)
		}
		r.crash()
		r.start(nil)
		if told = r.outcomes(orgA, c.ID()); len(told) != 4 || told[2] != told[0] {
			t.Errorf("after the crash %+v", told)
		}
	})
}

// However much a flow records, what the person wishes is kept and told.
func TestWishesAreNotCrowdedOut(t *testing.T) {
	var d derivation
	told := 0
	for i := range 1000 {
		var out derived
		d.add(&event.Entry{Kind: event.EntryOutcome, Text: fmt.Sprint("outcome ", i)}, &out)
		told += len(out.told)
	}
	var out derived
	d.add(&event.Entry{Kind: event.EntryOutcome, Text: event.OutcomeOptOut, Data: map[string]any{"value": "words"}}, &out)
	if told > maxOutcomeFacts || len(out.told) != 1 || out.told[0].Value != "words" || d.outcome[event.OutcomeOptOut] == nil {
		t.Errorf("%d told, then %+v, outcome has %d", told, out.told, len(d.outcome))
	}
}
