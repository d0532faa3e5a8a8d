package campaign

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/policy"
)

// DecisionCheck is a rule that was asked.
type DecisionCheck struct {
	Rule      string     `json:"rule" doc:"us-fl/hours; campaign/… and own/… are the campaign's and the organisation's own"`
	Version   string     `json:"version" doc:"Of its pack; empty for own rules"`
	Passed    bool       `json:"passed"`
	Says      string     `json:"says" doc:"Empty: it passed, and the pack has another version now"`
	NotBefore *time.Time `json:"notBefore" doc:"When it will pass, if nothing else changes; null: it passed, or never will"`
}

// Decision is why a number was called, or was not.
type Decision struct {
	ID         string          `json:"id"`
	CampaignID string          `json:"campaignId"`
	LeadID     string          `json:"leadId"`
	Number     string          `json:"number" doc:"E.164; empty: the person was erased"`
	At         time.Time       `json:"at"`
	Allowed    bool            `json:"allowed"`
	Rule       string          `json:"rule" doc:"The first that did not pass; empty: all did"`
	Purpose    string          `json:"purpose"`
	AI         bool            `json:"ai" doc:"Whether an AI would have spoken"`
	Countries  []string        `json:"countries" nullable:"false" doc:"Where the number may be"`
	Local      []string        `json:"local" nullable:"false" doc:"The time there, RFC 3339, in each zone where the person may be"`
	Zones      []string        `json:"zones" nullable:"false"`
	Checks     []DecisionCheck `json:"checks" nullable:"false"`
	Listed     []string        `json:"listed" nullable:"false" doc:"Do-not-call lists that held the number"`
	Registers  []string        `json:"registers" nullable:"false" doc:"Public registers that did"`
	Consent    string          `json:"consent" enum:",given,withdrawn"`
	ConsentID  string          `json:"consentId"`
	Snapshot   string          `json:"snapshot" doc:"Hash of the lists and registers as they were asked"`
	Book       string          `json:"book" doc:"Hash of the rules' packs and versions"`
	Attempts   int             `json:"attempts" doc:"Earlier calls to the number that were counted"`
	Pacing     any             `json:"pacing" doc:"What the dialler did at that moment; null: it was not asked"`
	Next       string          `json:"next" doc:"What became of the lead; empty: it was called"`
	NextAt     *time.Time      `json:"nextAt" doc:"When it is asked again; null: never"`
	Seq        int64           `json:"seq" doc:"In the campaign's chain"`
	Hash       string          `json:"hash"`
}

// reason is a decision as its body keeps it: what is not needed to explain it is left out, for there are many.
type reason struct {
	Book      string          `json:"book"`
	Passed    []string        `json:"passed,omitempty"` // "us@2026-11-21 hours do-not-call": a pack with its version, and its rules
	Failed    []failure       `json:"failed,omitempty"`
	Country   []string        `json:"country,omitempty"`
	Zones     []string        `json:"zones,omitempty"`
	Local     []string        `json:"local,omitempty"`
	Purpose   policy.Purpose  `json:"purpose"`
	AI        bool            `json:"ai,omitempty"`
	Listed    []string        `json:"listed,omitempty"`
	Registers []string        `json:"registers,omitempty"`
	Consent   policy.Consent  `json:"consent,omitempty"`
	ConsentID string          `json:"consentId,omitempty"`
	Snapshot  string          `json:"snapshot,omitempty"`
	Attempts  int             `json:"attempts,omitempty"`
	Pacing    json.RawMessage `json:"pacing,omitempty"`
	Next      string          `json:"next,omitempty"`
	NextAt    *time.Time      `json:"nextAt,omitempty"`
}

// failure is a rule that did not pass. The first says so in its sentence; those of the others stand in their packs' versions.
type failure struct {
	Rule      string     `json:"rule"`
	Version   string     `json:"version,omitempty"`
	Says      string     `json:"says,omitempty"`
	NotBefore *time.Time `json:"notBefore,omitempty"`
}

func (b *reason) fail(c policy.Check) {
	f := failure{Rule: c.Rule, Version: c.Version, Says: c.Says}
	if len(b.Failed) > 0 && c.Version != "" {
		f.Says = ""
	}
	if !c.NotBefore.IsZero() {
		t := c.NotBefore.UTC()
		f.NotBefore = &t
	}
	b.Failed = append(b.Failed, f)
}

// body is what a decision says.
func (q *queue) body(l *dial.Lead, d *dial.Decision) (string, error) {
	p := &d.Verdict.Place
	b := reason{Book: q.s.c.Book.Hash(), Country: p.Country, Zones: p.Zones, Local: d.Verdict.Local, Purpose: q.purpose, AI: q.voice, Listed: l.Listed, Registers: l.Registers,
		Consent: l.Consent, ConsentID: l.ConsentID, Snapshot: l.Snapshot, Attempts: len(l.Past)}
	last := ""
	for _, c := range d.Verdict.Checks {
		pack, rule, _ := strings.Cut(c.Rule, "/")
		pack += "@" + c.Version
		switch {
		case !c.Passed && c.Rule == dial.RuleNumber: // what is wrong with a number names it, and this outlives an erasure
			c.Says = "The number is no telephone number in international form."
			b.fail(c)
		case !c.Passed:
			b.fail(c)
		case pack == last:
			b.Passed[len(b.Passed)-1] += " " + rule
		default:
			b.Passed, last = append(b.Passed, pack+" "+rule), pack
		}
	}
	if q.pacing != nil {
		text, err := json.Marshal(q.pacing())
		if err != nil {
			return "", err
		}
		b.Pacing = text
	}
	if !d.Allowed {
		b.Next = string(d.Next.State)
		if d.Next.State == dial.Waiting {
			t := d.Next.At.UTC()
			b.NextAt = &t
		}
	}
	text, err := json.Marshal(b)
	return string(text), err
}

// decision makes the API's view of a row.
func (r *decisionRow) decision(book *policy.Book) (Decision, error) {
	d := Decision{ID: r.ID, CampaignID: r.CampaignID, LeadID: r.LeadID, Number: r.Number, At: at(r.At), Allowed: r.Allowed, Rule: r.Rule, Seq: r.Seq, Hash: r.Hash, Checks: []DecisionCheck{}}
	var b reason
	if err := json.Unmarshal([]byte(r.Body), &b); err != nil {
		return d, fmt.Errorf("decision %s: %w", r.ID, err)
	}
	some := func(s []string) []string { return append([]string{}, s...) }
	d.Purpose, d.AI, d.Countries, d.Zones, d.Local = string(b.Purpose), b.AI, some(b.Country), some(b.Zones), some(b.Local)
	d.Listed, d.Registers, d.Consent, d.ConsentID = some(b.Listed), some(b.Registers), string(b.Consent), b.ConsentID
	d.Snapshot, d.Book, d.Attempts, d.Next, d.NextAt = b.Snapshot, b.Book, b.Attempts, b.Next, b.NextAt
	if len(b.Pacing) > 0 {
		if err := json.Unmarshal(b.Pacing, &d.Pacing); err != nil {
			return d, fmt.Errorf("decision %s: %w", r.ID, err)
		}
	}
	for _, c := range b.Failed {
		v := DecisionCheck{Rule: c.Rule, Version: c.Version, Says: c.Says, NotBefore: c.NotBefore}
		if pack, rule, _ := strings.Cut(c.Rule, "/"); v.Says == "" {
			v.Says = said(book, pack, c.Version, rule)
		}
		d.Checks = append(d.Checks, v)
	}
	for _, line := range b.Passed {
		words := strings.Fields(line)
		pack, version, _ := strings.Cut(words[0], "@")
		for _, rule := range words[1:] {
			d.Checks = append(d.Checks, DecisionCheck{Rule: pack + "/" + rule, Version: version, Passed: true, Says: said(book, pack, version, rule)})
		}
	}
	return d, nil
}

// said is a rule's sentence; "" where the book has another version of it.
func said(book *policy.Book, pack, version, rule string) string {
	packs := book.Packs()
	i := slices.IndexFunc(packs, func(p *policy.Pack) bool { return p.ID == pack && p.Version == version })
	if i < 0 {
		return ""
	}
	for j := range packs[i].Rules {
		if packs[i].Rules[j].ID == rule {
			return packs[i].Rules[j].Says
		}
	}
	return ""
}
