package campaign

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// fieldOf is the field that an error names.
func fieldOf(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Details) != 1 {
		return ""
	}
	return f.Details[0].Location
}

func TestNumberOfALead(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		out := r.added(c, NewLead{Number: "030 123456", Name: "Anna"}, NewLead{Number: "030 123457"}, NewLead{Number: "030 12345", Zone: "Mars/Olympus"})
		if out[2].Field != "zone" {
			t.Errorf("%+v", out[2])
		}
		change := func(id, number string) (Lead, error) {
			return r.UpdateLead(t.Context(), leadsOrg, c.ID, id, LeadChange{Number: &number})
		}
		l, err := change(out[0].ID, "030 123458")
		if err != nil || l.Number != "+4930123458" || l.Name != "Anna" || l.State != dial.New {
			t.Fatalf("%+v, %v", l, err)
		}
		if _, err := change(out[0].ID, "+49 30 123457"); fieldOf(err) != "body.number" {
			t.Errorf("a number that is on the list: %v", err)
		}
		if _, err := change(out[0].ID, "nobody"); fieldOf(err) != "body.number" {
			t.Errorf("no number: %v", err)
		}
		// What was decided for a number does not hold for another.
		err = r.db.InTenant(t.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
			row, err := leadByID(ctx, tx, c.ID, out[0].ID)
			if err != nil {
				return err
			}
			counts := tally{}
			row.apply(dial.Next{State: dial.DoNotCall, Says: "on a list"}, r.now(), counts)
			return errors.Join(setLead(ctx, tx, row), counts.save(ctx, tx, c.ID))
		})
		if err != nil {
			t.Fatal(err)
		}
		if l, err = change(out[0].ID, "030 123459"); err != nil || l.State != dial.Waiting || l.DueAt == nil {
			t.Errorf("%+v, %v", l, err)
		}
		r.settled(c, l, dial.Busy, "")
		if _, err := change(l.ID, "030 123460"); fieldOf(err) != "body.number" {
			t.Errorf("the number of a lead that was called: %v", err)
		}
		if _, err := change(l.ID, "030 123459"); err != nil {
			t.Errorf("its own number: %v", err)
		}
		r.agrees(c.ID)
	})
}

func TestDoneLeadsAndProgressOfMany(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c, other := r.campaign(func(s *Settings) { s.Retry.Total = 2 }), r.campaign(nil)
		i := r.imported(c, "phone\n030123451\n030123452\n030123453\n030123454\n", ImportOptions{})
		once := func(number string, o dial.Outcome, disposition string) {
			r.settled(c, r.lead(c.ID, number), o, disposition)
		}
		once("+4930123451", dial.Unplaced, "") // it counts for nothing
		once("+4930123451", dial.Busy, "")
		once("+4930123452", dial.Busy, "")
		once("+4930123452", dial.Busy, "")
		once("+4930123453", dial.Answered, "sold")
		got, err := r.DoneLeads(t.Context(), leadsOrg, c.ID, i.ID)
		if err != nil || len(got) != 2 || got[0] != (DoneLeads{Outcome: dial.Busy, Leads: 2, Spent: 1}) || got[1] != (DoneLeads{Outcome: dial.Answered, Disposition: "sold", Leads: 1}) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err = r.DoneLeads(t.Context(), leadsOrg, c.ID, "another"); err != nil || len(got) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		page, _, total, err := r.Leads(t.Context(), leadsOrg, c.ID, LeadFilter{Offset: 3}, "", 10)
		if err != nil || len(page) != 1 || page[0].Number != "+4930123454" || total != 4 {
			t.Errorf("%+v, %d, %v", page, total, err)
		}
		many, err := r.ManyProgress(t.Context(), leadsOrg, []string{c.ID, other.ID, "another"})
		if err != nil || len(many) != 2 {
			t.Fatalf("%+v, %v", many, err)
		}
		for _, p := range many {
			one, err := r.Progress(t.Context(), leadsOrg, p.ID)
			if err != nil || p.State != one.State || p.Penetration != one.Penetration || p.AnswerRate != one.AnswerRate || p.DropRate != one.DropRate || len(p.Leads) != len(one.Leads) {
				t.Errorf("together %+v, alone %+v, %v", p.Progress, one, err)
			}
		}
		if many[1].ID != c.ID || many[1].Leads["done"] != 3 || many[1].Outcomes["busy"] != 3 {
			t.Errorf("%+v", many[1])
		}
	})
}
