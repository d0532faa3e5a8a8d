package campaign

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/ledger"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

func testSigner(t testing.TB) *hashchain.KeySigner {
	t.Helper()
	k, err := hashchain.NewKeySigner(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// decided runs a campaign's first step, so that it has decisions.
func decided(t *testing.T, d *db.DB, people int) (*plant, Campaign) {
	t.Helper()
	p := newPlant(t, d, 1, 3)
	p.nodes[0].s.c.Signer = testSigner(t)
	c := p.campaign(people, func(s *Settings) { s.Dialler.Lines = people })
	if err := p.take(0, c.ID).stepAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p, c
}

func exported(t *testing.T, s *Service, id string) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.ExportDecisions(t.Context(), testOrg, id, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func verified(t *testing.T, file string) ledger.Report {
	t.Helper()
	r, err := ledger.Verify(strings.NewReader(file), nil)
	if err != nil || len(r) != 1 {
		t.Fatalf("%v, %v", r, err)
	}
	return r[0]
}

// Decisions prove themselves: a file of them holds as it was written and no other way, through an erasure, the end of their term
// and of their campaign.
func TestDecisionsProveThemselves(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p, c := decided(t, d, 12)
		s := p.nodes[0].s
		file := exported(t, s, c.ID)
		if r := verified(t, file); r.Decisions != 12 || r.Allowed != 12 || r.Erased != 0 || r.Campaign != "Test" {
			t.Errorf("%+v", r)
		}
		tampered(t, file)

		if err := s.SealDecisions(t.Context(), testOrg); err != nil {
			t.Fatal(err)
		}
		if r := verified(t, exported(t, s, c.ID)); r.Heads != 1 || r.LastHead.Seq != 12 {
			t.Errorf("%+v", r)
		}

		const number = "+493000000003"
		match := func(a string) bool { return a == number }
		if e, kept, err := s.ErasePerson(t.Context(), testOrg, "0000003", match, func(string, ...string) bool { return true }); err != nil || kept != 1 || len(e) != 0 {
			t.Errorf("under legal hold: %v, %d, %v", e, kept, err)
		}
		names := 0
		err := s.ExportPerson(t.Context(), testOrg, "0000003", match, func(_ string, write func(io.Writer) error) error {
			var b bytes.Buffer
			err := write(&b)
			names += strings.Count(b.String(), number)
			return err
		})
		if err != nil || names < 3 {
			t.Errorf("%d mentions in the person's data, %v", names, err)
		}
		e, kept, err := s.ErasePerson(t.Context(), testOrg, "0000003", match, nil)
		if err != nil || kept != 0 || e["decisions"] != 1 || e["attempts"] != 1 || e["leads"] != 1 {
			t.Errorf("erased %v, %d, %v", e, kept, err)
		}
		file = exported(t, s, c.ID)
		if r := verified(t, file); r.Erased != 1 || strings.Contains(file, number) {
			t.Errorf("%+v", r)
		}

		p.clock.Advance(400 * 24 * time.Hour)
		if n, err := s.Purge(t.Context(), testOrg, ClassDecisions, p.clock.Now().Add(-365*24*time.Hour), func(_ string, parties ...string) bool { return parties[0] == "+493000000005" }); err != nil || n["decisions"] != 0 {
			t.Errorf("held: %v, %v", n, err)
		}
		if n, err := s.Purge(t.Context(), testOrg, ClassDecisions, p.clock.Now().Add(-365*24*time.Hour), nil); err != nil || n["decisions"] != 12 {
			t.Errorf("past their term: %v, %v", n, err)
		}
		if r := verified(t, exported(t, s, c.ID)); r.Decisions != 0 || r.BaseSeq != 12 || r.Heads != 1 {
			t.Errorf("%+v", r)
		}
		if err := s.SealDecisions(t.Context(), testOrg); err != nil {
			t.Fatal(err)
		}
	})
}

// tampered changes a file in every way that there is, and is found out each time.
func tampered(t *testing.T, file string) {
	t.Helper()
	lines := strings.SplitAfter(strings.TrimSuffix(file, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	edit := func(fn func(l []string) []string) string {
		return strings.Join(fn(append([]string{}, lines...)), "")
	}
	swap := func(from, to string) func(l []string) []string {
		return func(l []string) []string {
			l[4] = regexp.MustCompile(from).ReplaceAllString(l[4], to)
			return l
		}
	}
	for what, changed := range map[string]string{
		"a decision is gone":      edit(func(l []string) []string { return append(l[:4], l[5:]...) }),
		"two changed places":      edit(func(l []string) []string { l[3], l[4] = l[4], l[3]; return l }),
		"one comes twice":         edit(func(l []string) []string { l[5] = l[4]; return l }),
		"the end is gone":         edit(func(l []string) []string { return l[:len(l)-1] }),
		"the last is gone":        edit(func(l []string) []string { return append(l[:len(l)-2], l[len(l)-1]) }),
		"another number":          edit(swap(`"number":"\+49`, `"number":"+48`)),
		"a number without a salt": edit(swap(`"salt":"[0-9a-f]+"`, `"salt":""`)),
		"it was not allowed":      edit(swap(`"allowed":true`, `"allowed":false`)),
		"another rule":            edit(swap(`"rule":""`, `"rule":"us/hours"`)),
		"another time":            edit(swap(`"at":"2026`, `"at":"2025`)),
		"other words":             edit(swap(`"purpose":"service"`, `"purpose":"survey"`)),
		"another hash":            edit(swap(`"hash":"..`, `"hash":"zz`)),
		"spaces":                  edit(swap(`"allowed":`, `"allowed": `)),
		"another name":            edit(func(l []string) []string { l[0] = strings.Replace(l[0], "Test", "Best", 1); return l }),
		"another organisation":    edit(func(l []string) []string { l[0] = strings.Replace(l[0], testOrg, "x", 1); return l }),
	} {
		var broken *ledger.Broken
		if changed == file {
			t.Errorf("%s: nothing was changed", what)
		} else if _, err := ledger.Verify(strings.NewReader(changed), nil); !errors.As(err, &broken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var broken *ledger.Broken
	if _, err := ledger.Verify(strings.NewReader(edit(swap(`"allowed":true`, `"allowed":false`))), nil); !errors.As(err, &broken) || broken.Link.Seq != 4 {
		t.Errorf("the first broken link: %v", err)
	}
}

// What somebody changes in the database is found by the daily job, which then signs nothing.
func TestChangedDecisionsAreFound(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p, c := decided(t, d, 5)
		s := p.nodes[0].s
		err := d.InTenant(t.Context(), testOrg, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE campaign_decisions SET allowed = FALSE WHERE organisation_id = ? AND seq = 3", testOrg)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SealDecisions(t.Context(), testOrg); err != nil {
			t.Fatal(err)
		}
		all, err := s.chains(t.Context(), testOrg)
		if err != nil || len(all) != 1 || all[0].BrokenSeq != 3 || all[0].VerifiedSeq != 2 {
			t.Errorf("%+v, %v", all, err)
		}
		if heads, err := s.decisionHeads(t.Context(), &all[0]); err != nil || len(heads) != 0 {
			t.Errorf("it was signed: %v, %v", heads, err)
		}
		var broken *ledger.Broken
		if _, err := ledger.Verify(strings.NewReader(exported(t, s, c.ID)), nil); !errors.As(err, &broken) || broken.Link.Seq != 3 {
			t.Errorf("%v", err)
		}
	})
}

// Any decision explains itself in sentences, long after.
func TestWhyWasThisNumberCalled(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p, _ := decided(t, d, 2)
		s := p.nodes[0].s
		e, err := s.Explain(t.Context(), testOrg, "+493000000001", monday)
		text := strings.Join(e.Sentences, " ")
		if err != nil || !e.Called || e.Decision == nil || !e.Decision.Allowed || !strings.Contains(text, `At 10:00:00 on 23 November 2026 in Europe/Berlin the campaign "Test" decided to call +493000000001.`) ||
			!strings.Contains(text, "no consent was recorded") || !strings.Contains(text, "The call goes on") {
			t.Errorf("%+v, %v", e, err)
		}
		if len(e.Decision.Checks) == 0 {
			t.Errorf("%+v", e.Decision)
		}
		for _, c := range e.Decision.Checks {
			if !c.Passed || c.Says == "" && !strings.HasPrefix(c.Rule, "own/") {
				t.Errorf("%+v", c)
			}
		}
		e, err = s.Explain(t.Context(), testOrg, "+493000000001", monday.Add(-time.Hour))
		if err != nil || e.Decision != nil || e.Called || len(e.Sentences) != 1 {
			t.Errorf("before: %+v, %v", e, err)
		}
	})
}

// A decision that many rules took part in stays small.
func TestDecisionsAreSmall(t *testing.T) {
	d := dbtest.SQLite(t, Migrations())
	s := newPlant(t, d, 1, 1).nodes[0].s
	set := Usual()
	set.Purpose = "sales"
	rules, err := set.rules(s.c.Book)
	if err != nil {
		t.Fatal(err)
	}
	q := &queue{s: s, org: testOrg, purpose: set.Purpose, voice: true, pacing: func() any { return dial.Now{Ringing: 10, Talking: 20, Places: 40} }}
	for _, number := range []string{"+18005550123", "+14155550100", "+971501234567"} {
		l := &dial.Lead{Number: number, Snapshot: strings.Repeat("0", 64)}
		v := rules.Decide(l, monday)
		body, err := q.body(l, &v)
		if err != nil || len(body) > 4500 {
			t.Errorf("%s: %d bytes, %v", number, len(body), err)
		}
		row := decisionRow{Body: body}
		if again, err := row.decision(s.c.Book); err != nil || len(again.Checks) != len(v.Verdict.Checks) {
			t.Errorf("%s: %d checks of %d, %v", number, len(again.Checks), len(v.Verdict.Checks), err)
		}
		t.Logf("%s: %d rules, %d bytes", number, len(v.Verdict.Checks), len(body))
	}
}
