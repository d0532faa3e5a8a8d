package campaign

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// settled writes an attempt of a lead, as if it had been called.
func (r *leadsRig) settled(c Campaign, lead Lead, o dial.Outcome, disposition string) string {
	r.t.Helper()
	a := attemptRow{ID: newID(), OrganisationID: leadsOrg, CampaignID: c.ID, LeadID: lead.ID, Position: lead.Attempts + 1, Number: lead.Number, Zone: "UTC", PlannedAt: r.now().UnixMilli(),
		AnsweredAt: r.now().UnixMilli() + 1000, EndedAt: new(r.now().UnixMilli() + 61_000), Outcome: o, Disposition: disposition, Reason: "normal", Status: 200, TalkMS: 60_000, Cost: 50_000}
	err := r.db.InTenant(r.t.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
		row, err := leadByID(ctx, tx, c.ID, lead.ID)
		if err != nil {
			return err
		}
		t := tally{}
		row.Attempts, row.Outcome, row.Disposition = a.Position, o, disposition
		row.apply(dial.Next{State: dial.Done}, r.now(), t)
		t.both(r.now(), "outcome:"+string(o), 1)
		_, err = tx.NewInsert().Model(&a).Exec(ctx)
		return errors.Join(err, setLead(ctx, tx, row), t.save(ctx, tx, c.ID))
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return a.ID
}

func (r *leadsRig) added(c Campaign, people ...NewLead) []AddedLead {
	r.t.Helper()
	out, err := r.AddLeads(r.t.Context(), leadsOrg, c.ID, people)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestLeads(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		out := r.added(c, NewLead{Number: "030 123456", Name: "Anna Müller", Variables: map[string]string{"city": "Bonn"}}, NewLead{Number: "+49 30 123456"}, NewLead{Number: "nobody"},
			NewLead{Number: "020 7946 0018", Country: "gb", Name: "Dora_100%"})
		if out[0].Result != "added" || out[1].Result != "duplicate" || out[2].Result != "rejected" || out[2].Reason == "" || out[3].Number != "+442079460018" {
			t.Fatalf("%+v", out)
		}
		list := func(f LeadFilter, cursor string, limit int) ([]Lead, string, int64) {
			t.Helper()
			leads, next, total, err := r.Leads(t.Context(), leadsOrg, c.ID, f, cursor, limit)
			if err != nil {
				t.Fatal(err)
			}
			return leads, next, total
		}
		page, next, total := list(LeadFilter{}, "", 1)
		if len(page) != 1 || next == "" || total != 2 {
			t.Errorf("%+v, %q, %d", page, next, total)
		}
		if page, next, _ = list(LeadFilter{}, next, 1); len(page) != 1 || page[0].Name != "Dora_100%" || next != "" {
			t.Errorf("%+v, %q", page, next)
		}
		for q, want := range map[string]int{"anna": 1, "Anna M": 1, "a_100%": 1, "x_100": 0, "030 12": 0, "3012345": 1, "+44 20": 1} {
			if page, _, total := list(LeadFilter{Search: q}, "", 10); len(page) != want || total != -1 {
				t.Errorf("%q finds %d, total %d", q, len(page), total)
			}
		}
		anna := out[0].ID
		if anna == "" {
			t.Fatal("no id")
		}
		l, err := r.UpdateLead(t.Context(), leadsOrg, c.ID, anna, LeadChange{Zone: new("Europe/Berlin"), Variables: map[string]string{"plan": "gold"}})
		if err != nil || l.Zone != "Europe/Berlin" || l.Name != "Anna Müller" || l.Variables["plan"] != "gold" || l.Variables["city"] != "" {
			t.Errorf("%+v, %v", l, err)
		}
		if _, err := r.UpdateLead(t.Context(), leadsOrg, c.ID, anna, LeadChange{Zone: new("Mars/Olympus")}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a zone that is none: %v", err)
		}
		when := r.now().Add(24 * time.Hour)
		if l, err = r.CallBack(t.Context(), leadsOrg, c.ID, anna, when); err != nil || l.State != dial.Waiting || !l.DueAt.Equal(when) {
			t.Errorf("%+v, %v", l, err)
		}
		if _, err := r.CallBack(t.Context(), leadsOrg, c.ID, anna, r.now().Add(-time.Hour)); !fault.Is(err, fault.Invalid) {
			t.Errorf("a callback in the past: %v", err)
		}
		call := r.settled(c, l, dial.Answered, "sold")
		d, err := r.LeadDetail(t.Context(), leadsOrg, c.ID, anna)
		var kinds []string
		for _, e := range d.Timeline {
			if e.CallID != "" && e.CallID != call {
				t.Errorf("%+v", e)
			}
			kinds = append(kinds, e.Kind)
		}
		slices.Sort(kinds) // the lead's id is of the machine's clock, its calls of the test's
		if err != nil || !slices.Equal(kinds, []string{"added", "answered", "attempt", "ended"}) || !slices.Equal(d.Zones, []string{"Europe/Berlin"}) {
			t.Errorf("%+v, %v", d.Timeline, err)
		}
		if err := r.DeleteLead(t.Context(), leadsOrg, c.ID, anna); !fault.Is(err, fault.Conflict) {
			t.Errorf("a lead that was called was deleted: %v", err)
		}
		if err := r.DeleteLead(t.Context(), leadsOrg, c.ID, out[3].ID); err != nil {
			t.Error(err)
		}
		if got := r.agrees(c.ID); got["done"] != 1 || len(got) != 1 {
			t.Errorf("%v", got)
		}
		done, err := r.Recycle(t.Context(), leadsOrg, c.ID, []dial.Outcome{dial.Busy}, nil, "")
		if err != nil || done.Recycled != 0 {
			t.Errorf("%+v, %v", done, err)
		}
		if done, err = r.Recycle(t.Context(), leadsOrg, c.ID, []dial.Outcome{dial.Answered}, []string{"sold"}, ""); err != nil || done.Recycled != 1 || done.More {
			t.Errorf("%+v, %v", done, err)
		}
		if got := r.agrees(c.ID); got["waiting"] != 1 {
			t.Errorf("%v", got)
		}
	})
}

// A lead that is being called is the dialler's.
func TestLeadsInCallsStay(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		id := r.added(c, NewLead{Number: "030 123456"})[0].ID
		err := r.db.InTenant(t.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
			row, err := leadByID(ctx, tx, c.ID, id)
			if err != nil {
				return err
			}
			counts := tally{}
			row.apply(dial.Next{State: dial.Dialling}, r.now(), counts)
			return errors.Join(setLead(ctx, tx, row), counts.save(ctx, tx, c.ID))
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.UpdateLead(t.Context(), leadsOrg, c.ID, id, LeadChange{Name: new("x")})
		_, err2 := r.CallBack(t.Context(), leadsOrg, c.ID, id, r.now().Add(time.Hour))
		if err3 := r.DeleteLead(t.Context(), leadsOrg, c.ID, id); !fault.Is(err, fault.Conflict) || !fault.Is(err2, fault.Conflict) || !fault.Is(err3, fault.Conflict) {
			t.Errorf("%v, %v, %v", err, err2, err3)
		}
	})
}

func TestReport(t *testing.T) {
	eachLeads(t, func(t *testing.T, r *leadsRig) {
		c := r.campaign(nil)
		r.imported(c, "phone,name,city\n030123456,=HYPERLINK(1),Bonn\n030123457,Bernd,Köln\n", ImportOptions{})
		l := r.lead(c.ID, "+4930123456")
		call := r.settled(c, l, dial.Answered, "sold")
		rep, err := r.Report(t.Context(), leadsOrg, c.ID)
		if err != nil || rep.Leads["done"] != 1 || rep.Leads["new"] != 1 || rep.Outcomes["answered"] != 1 || rep.PerLead["1"] != 1 || rep.PerLead["0"] != 1 {
			t.Errorf("%+v, %v", rep, err)
		}
		read := func(rows, format string) [][]string {
			t.Helper()
			var b bytes.Buffer
			if err := r.WriteReport(t.Context(), leadsOrg, c.ID, rows, format, &b); err != nil {
				t.Fatal(err)
			}
			if format == "csv" {
				out, err := csv.NewReader(&b).ReadAll()
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			f, err := excelize.OpenReader(&b)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close() //nolint:errcheck // only read
			if formula, err := f.GetCellFormula("Sheet1", "B2"); err != nil || formula != "" {
				t.Errorf("a formula: %q, %v", formula, err)
			}
			out, err := f.GetRows("Sheet1")
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		for _, format := range []string{"csv", "xlsx"} {
			got := read("leads", format)
			if len(got) != 3 || got[1][0] != "+4930123456" || !strings.HasSuffix(got[1][1], "=HYPERLINK(1)") || got[1][5] != "done" || got[1][10] != "60.0" || got[1][11] != "0.0500" ||
				got[1][12] != call || got[0][15] != "var:city" || got[2][15] != "Köln" {
				t.Errorf("%s: %q", format, got)
			}
			if format == "csv" && got[1][1][0] == '=' {
				t.Error("a spreadsheet would take this for a formula")
			}
			if got = read("attempts", format); len(got) != 2 || got[1][0] != call || got[1][7] != "answered" {
				t.Errorf("%s: %q", format, got)
			}
		}
	})
}
