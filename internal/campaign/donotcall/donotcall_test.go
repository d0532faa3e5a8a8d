package donotcall_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/donotcall"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// A number that is on a list is found by whoever asks the list, from the next question on, and not after it was taken off.
func TestLists(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		own := r.own()
		if again := r.own(); again.ID != own.ID || !own.Own || own.Scope != donotcall.ScopeOrganisation {
			t.Errorf("own list %+v, then %+v", own, again)
		}
		vip, err := r.Create(ctx, org, "Customers", "", donotcall.ScopeCampaign)
		r.ok(err)
		if _, err := r.Create(ctx, org, "Customers", "", donotcall.ScopeCampaign); !fault.Is(err, fault.Conflict) {
			t.Errorf("a second list of the name: %v", err)
		}
		before := r.facts(r.Service, nil, "+14155550100")["+14155550100"]
		a, err := r.Add(ctx, org, vip.ID, donotcall.NewNumbers{Numbers: []string{"(415) 555-0100", "+1 415 555 0100", "0171", "+442079460000"}, Country: "US", Source: donotcall.SourceAPI, Reason: "asked"})
		if err != nil || a.Added != 2 || a.Known != 0 || len(a.Refused) != 1 || a.Refused[0].Number != "0171" {
			t.Errorf("added %+v, %v", a, err)
		}
		if k := r.facts(r.Service, nil, "+14155550100")["+14155550100"]; len(k.Listed) != 0 || k.Snapshot != before.Snapshot {
			t.Errorf("a campaign that does not name the list: %+v", k)
		}
		if k := r.facts(r.Service, []string{vip.ID}, "+14155550100", "+14155550101"); !slices.Equal(k["+14155550100"].Listed, []string{"Customers"}) || len(k["+14155550101"].Listed) != 0 {
			t.Errorf("one that does: %+v", k)
		}
		snap := r.facts(r.Service, []string{vip.ID}, "+14155550100")["+14155550100"].Snapshot
		if _, err := r.Remove(ctx, org, vip.ID, []string{"+14155550100"}, "", " "); !fault.Is(err, fault.Invalid) {
			t.Errorf("removed without a reason: %v", err)
		}
		gone, err := r.Remove(ctx, org, vip.ID, []string{"+14155550100", "+14155550199"}, "", "bought something on Monday")
		if err != nil || gone.Removed != 1 || gone.Unknown != 1 {
			t.Errorf("removed %+v, %v", gone, err)
		}
		if k := r.facts(r.Service, []string{vip.ID}, "+14155550100")["+14155550100"]; len(k.Listed) != 0 || k.Snapshot == snap {
			t.Errorf("after: %+v", k)
		}
		found, err := r.Lookup(ctx, org, []string{"415-555-0100", "x", "+442079460000"}, "US")
		if err != nil || len(found) != 3 || found[0].Listed || len(found[0].Removals) != 1 || found[0].Removals[0].Reason != "bought something on Monday" || found[1].Number != "" || !found[2].Listed {
			t.Errorf("found %+v, %v", found, err)
		}
		if l, err := r.Get(ctx, org, vip.ID); err != nil || l.Numbers != 1 || l.Version != 3 {
			t.Errorf("list %+v, %v", l, err)
		}
		if err := r.Delete(ctx, org, own.ID, "no"); !fault.Is(err, fault.NotPossible) {
			t.Errorf("own list deleted: %v", err)
		}
		r.ok(r.Delete(ctx, org, vip.ID, "the campaign is over"))
		if lists, _, err := r.Lists(ctx, org, "", 50); err != nil || len(lists) != 1 {
			t.Errorf("lists %+v, %v", lists, err)
		}
		if lists, _, err := r.Lists(ctx, other, "", 50); err != nil || len(lists) != 1 || lists[0].ID == own.ID {
			t.Errorf("another organisation's %+v, %v", lists, err)
		}
	})
}

// An opt-out stands on the organisation's own list in the transaction that it came in, withdraws what was allowed before, and
// reaches the queues of all campaigns.
func TestOptOut(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.given["+14155550100"] = donotcall.Consent{State: policy.Given, ID: "c1"}
		if k := r.facts(r.Service, nil, "+14155550100")["+14155550100"]; k.Consent != policy.Given || k.ConsentID != "c1" {
			t.Errorf("before: %+v", k)
		}
		failed := r.db.InTenant(t.Context(), org, func(ctx context.Context, tx *db.Tx) error {
			r.ok(r.Out(ctx, tx, campaign.OptOut{Number: "+14155550100", Source: "voice", CallID: "call"}))
			return fmt.Errorf("the call could not be noted")
		})
		if failed == nil || len(r.facts(r.Service, nil, "+14155550100")["+14155550100"].Listed) != 0 {
			t.Errorf("it stands though its transaction failed: %v", failed)
		}
		e, err := r.OptOut(t.Context(), org, "(415) 555-0100", "US", campaign.OptOut{Source: "api", Reason: "wrote a letter"})
		if err != nil || e.Number != "+14155550100" || e.Source != donotcall.SourceAPI {
			t.Errorf("%+v, %v", e, err)
		}
		if again, err := r.OptOut(t.Context(), org, "+14155550100", "", campaign.OptOut{Source: "key"}); err != nil || again.Source != donotcall.SourceAPI {
			t.Errorf("the first stays: %+v, %v", again, err)
		}
		if k := r.facts(r.Service, nil, "+14155550100")["+14155550100"]; k.Consent != policy.Withdrawn || len(k.Listed) != 1 {
			t.Errorf("after: %+v", k)
		}
		if !slices.Contains(r.spread, "+14155550100") {
			t.Errorf("campaigns heard of %v", r.spread)
		}
		r.ok(r.db.ReadTenant(t.Context(), other, func(ctx context.Context, tx *db.Tx) error {
			known, err := r.Of(ctx, tx, campaign.Asked{Numbers: []string{"+14155550100"}, Purpose: policy.Sales, Now: r.clock.Now()})
			if len(known["+14155550100"].Listed) > 0 {
				t.Error("another organisation honours it")
			}
			return err
		}))
	})
}

// Files of numbers are read as people and registers write them; what is no number is counted and shown.
func TestImportAndExport(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		own := r.own()
		in, err := r.ImportList(t.Context(), org, own.ID, "US", "old list", strings.NewReader("\xef\xbb\xbfName;Phone number;Since\nAnna;(415) 555-0100;2024\nBen;+44 20 7946 0000;\n;nobody;\n\nAnna;4155550100;\n"))
		if err != nil || in.Lines != 4 || in.Numbers != 3 || in.Refused != 1 || in.Added != 2 || len(in.Shown) != 1 || in.Shown[0].Line != 4 {
			t.Errorf("%+v, %v", in, err)
		}
		for name, body := range map[string]string{"nothing": "", "letters": "anna\nben\n", "a picture": "\x89PNG\r\n\x1a\n\x00\x00"} {
			if _, err := r.ImportList(t.Context(), org, own.ID, "US", "", strings.NewReader(body)); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		many := make([]string, 12_000)
		for i := range many {
			many[i] = fmt.Sprintf("+1415555%04d", i%6000+1000)
		}
		if in, err := r.ImportList(t.Context(), org, own.ID, "", "", lines(many...)); err != nil || in.Added != 6000 || in.Numbers != 12_000 {
			t.Errorf("%+v, %v", in, err)
		}
		var out bytes.Buffer
		r.ok(r.Export(t.Context(), org, own.ID, &out))
		rows := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(rows) != 6003 || rows[1] != "+14155550100,import,old list,"+begin.Format(time.RFC3339)+"," || !strings.HasPrefix(rows[6002], "+442079460000,") {
			t.Errorf("%d rows, %q … %q", len(rows), rows[1], rows[len(rows)-1])
		}
		page, next, err := r.Entries(t.Context(), org, own.ID, "+4415", "", 10)
		if err != nil || len(page) != 0 || next != "" {
			t.Errorf("search: %v, %q, %v", page, next, err)
		}
		page, next, err = r.Entries(t.Context(), org, own.ID, "1415555100", "", 4)
		if err != nil || len(page) != 4 || next != "+14155551003" {
			t.Errorf("search: %v, %q, %v", page, next, err)
		}
	})
}

// A register's file takes the place of the one before at once, in every process, and the one before is kept beside it.
func TestRegisters(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		ask := func(s *donotcall.Service, n string) campaign.Known { return r.facts(s, nil, n)[n] }
		if k := ask(r.Service, "+14155550100"); len(k.Registers) != 0 {
			t.Errorf("nothing is here: %+v", k)
		}
		// The FTC's files have the area code in a column of its own.
		in, err := r.Import(ctx, org, "us-national", begin.Add(-time.Hour), lines("415,5550100", "4155550101", "415,5550100"))
		if err != nil || in.Numbers != 3 || in.Version.Numbers != 2 || in.Version.Digest == "" {
			t.Fatalf("%+v, %v", in, err)
		}
		elsewhere, folder := r.process()
		for _, s := range []*donotcall.Service{r.Service, elsewhere} {
			if k := ask(s, "+14155550100"); !slices.Equal(k.Registers, []string{"us-national"}) {
				t.Errorf("%+v", k)
			}
			if k := ask(s, "+14155550102"); len(k.Registers) != 0 {
				t.Errorf("%+v", k)
			}
		}
		before := ask(elsewhere, "+14155550100").Snapshot
		second, err := r.Import(ctx, org, "us-national", begin, lines("+14155550102"))
		r.ok(err)
		for _, s := range []*donotcall.Service{r.Service, elsewhere} {
			if k := ask(s, "+14155550102"); len(k.Registers) != 1 || k.Snapshot == before {
				t.Errorf("the new version: %+v", k)
			}
			if k := ask(s, "+14155550100"); len(k.Registers) != 0 {
				t.Errorf("the old one still: %+v", k)
			}
		}
		if files, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(files) != 1 {
			t.Errorf("copies left: %v, %v", files, err)
		}
		if _, err := r.Import(ctx, org, "us-national", begin, lines("name", "anna", "ben")); !fault.Is(err, fault.Invalid) {
			t.Errorf("another file: %v", err)
		}
		if _, err := r.Import(ctx, org, "mars", begin, lines("+14155550102")); !fault.Is(err, fault.NotFound) {
			t.Errorf("a register that no rule names: %v", err)
		}
		third, err := r.Import(ctx, org, "us-national", begin, lines("+14155550103"))
		r.ok(err)
		versions, _, err := r.Versions(ctx, org, "us-national", "", 10)
		if err != nil || len(versions) != 3 || versions[0].ID != third.Version.ID || versions[0].ReplacedAt != nil || !versions[1].Stored || versions[1].ID != second.Version.ID || versions[2].Stored {
			t.Errorf("versions %+v, %v", versions, err)
		}
		if _, err := r.blobs.Size(ctx, donotcall.Folder(org)+versions[1].ID); err != nil {
			t.Errorf("the version before: %v", err)
		}
		if _, err := r.blobs.Size(ctx, donotcall.Folder(org)+versions[2].ID); err == nil {
			t.Error("the first version is kept for ever")
		}
		r.ok(r.Forget(ctx, org, "us-national", "we do not sell there"))
		if k := ask(elsewhere, "+14155550103"); len(k.Registers) != 0 {
			t.Errorf("it is asked still: %+v", k)
		}
	})
}

// A copy that was damaged on this machine is fetched again; nobody is called while a register cannot be had.
func TestDamagedCopies(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		in, err := r.Import(t.Context(), org, "gb-tps", begin, lines("020 7946 0000"))
		r.ok(err)
		s, folder := r.process()
		r.ok(os.WriteFile(filepath.Join(folder, org+"_"+in.Version.ID), []byte("parley-r and then nothing"), 0o600))
		if k := r.facts(s, nil, "+442079460000")["+442079460000"]; len(k.Registers) != 1 {
			t.Errorf("%+v", k)
		}
		s, _ = r.process()
		r.ok(r.blobs.Delete(t.Context(), donotcall.Folder(org)+in.Version.ID))
		if err := s.Fetch(t.Context(), org); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "gb-tps") {
			t.Errorf("%v", err)
		}
	})
}

// Who sells to a country whose rules name a register does not start without it, nor with one that is too old.
func TestPreflight(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		c := campaign.Campaign{ID: "k", Settings: campaign.Usual()}
		c.Settings.Country, c.Settings.Purpose = "US", policy.Sales
		obstacles := func() []campaign.Obstacle {
			t.Helper()
			o, err := r.Preflight(t.Context(), org, c)
			r.ok(err)
			return o
		}
		o := obstacles()
		if len(o) != 1 || !o[0].Blocking || o[0].Code != "registers" || !strings.Contains(o[0].Message, "us-national") {
			t.Errorf("%+v", o)
		}
		_, err := r.Import(t.Context(), org, "us-national", begin, lines("+14155550100"))
		r.ok(err)
		if o := obstacles(); len(o) != 0 {
			t.Errorf("with it: %+v", o)
		}
		r.clock.Set(begin.Add(31*24*time.Hour + time.Minute))
		if o := obstacles(); len(o) != 1 || !o[0].Blocking || !strings.Contains(o[0].Message, "16 CFR 310.4(b)(3)(iv)") {
			t.Errorf("too old: %+v", o)
		}
		c.Settings.Purpose = policy.Service
		if o := obstacles(); len(o) != 0 {
			t.Errorf("no sale: %+v", o)
		}
		// A lead of another country than the campaign's.
		c.Settings.Purpose, c.Settings.Country = policy.Sales, "DE"
		r.ok(r.db.InTenant(t.Context(), org, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO campaign_leads (id, organisation_id, campaign_id, import_id, line, number, name, country, region, zone, variables, state, outcome, disposition, attempts, why, urgency, due_at, updated_at)
				VALUES ('l', ?, 'k', '', 0, '+442079460000', '', '', '', '', '{}', 'new', '', '', 0, '', 2, 1, 1)`, org)
			return err
		}))
		if o := obstacles(); len(o) != 2 || !strings.Contains(o[0].Message+o[1].Message, "gb-tps") {
			t.Errorf("leads in the United Kingdom: %+v", o)
		}
	})
}
