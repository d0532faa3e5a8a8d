package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	leadsAtOnce   = 1000 // that are added by one request
	recycleBatch  = 500
	recycleMost   = 20_000 // by one request
	timelineMost  = 200
	callbackMost  = 90 * 24 * time.Hour
	variablesMost = 100
)

// LeadFilter says which leads are listed.
type LeadFilter struct {
	State, Outcome, Disposition, ImportID string
	Search                                string // a part of the name, or of the number
	Offset                                int    // so many of them are left out first
}

func (f LeadFilter) on(q *bun.SelectQuery) *bun.SelectQuery {
	for column, v := range map[string]string{"state": f.State, "outcome": f.Outcome, "disposition": f.Disposition, "import_id": f.ImportID} {
		if v != "" {
			q = q.Where("? = ?", bun.Ident(column), v)
		}
	}
	if f.Search == "" {
		return q
	}
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, f.Search)
	if digits != "" && strings.Trim(f.Search, "+0123456789 -/()") == "" {
		return q.Where("number LIKE ?", "%"+strings.TrimPrefix(digits, "00")+"%")
	}
	return q.Where(`lower(name) LIKE ? ESCAPE '\'`, "%"+escape.Replace(strings.ToLower(f.Search))+"%")
}

// Leads lists a campaign's leads in the order of their list, with the cursor of the next page ("" at the end) and how many there
// are with this filter; -1 where that would have to be counted.
func (s *Service) Leads(ctx context.Context, orgID, campaignID string, f LeadFilter, cursor string, limit int) (out []Lead, next string, total int64, err error) {
	var rows []leadRow
	total = -1
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := campaignByID(ctx, tx, campaignID); err != nil {
			return err
		}
		if f == (LeadFilter{State: f.State, Offset: f.Offset}) {
			counts, err := readTally(ctx, tx, campaignID, 0, 0)
			if err != nil {
				return err
			}
			total = 0
			for state, n := range under(counts.sum(), "lead:") {
				if f.State == "" || f.State == state {
					total += n
				}
			}
		}
		q := f.on(tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("campaign_id = ?", campaignID))
		if err := q.Where("id > ?", cursor).OrderExpr("id").Offset(int64(f.Offset)).Limit(int64(limit + 1)).Scan(ctx); err != nil {
			return fmt.Errorf("list leads: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, "", 0, err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out = make([]Lead, len(rows))
	for i := range rows {
		if out[i], err = rows[i].lead(); err != nil {
			return nil, "", 0, err
		}
	}
	return out, next, total, nil
}

// NewLead is a person to add.
type NewLead struct {
	Number    string            `json:"number" minLength:"1" maxLength:"40" doc:"As people write it; without a country code it is in the lead's country, or the campaign's"`
	Name      string            `json:"name,omitempty" maxLength:"200"`
	Country   string            `json:"country,omitempty" maxLength:"2" doc:"Of the address, ISO 3166-1 alpha-2"`
	Region    string            `json:"region,omitempty" maxLength:"3" doc:"State or province: FL"`
	Zone      string            `json:"zone,omitempty" maxLength:"64" doc:"IANA"`
	Variables map[string]string `json:"variables,omitempty" maxProperties:"100"`
}

// AddedLead is what became of a person to add.
type AddedLead struct {
	Result string `json:"result" enum:"added,duplicate,rejected"`
	ID     string `json:"id" doc:"Of the lead that was added"`
	Number string `json:"number" doc:"E.164; empty: it is none"`
	Reason string `json:"reason" doc:"Why it was rejected, in a sentence"`
	Field  string `json:"field" enum:",number,country,region,zone,variables" doc:"What it was rejected for"`
}

// AddLeads adds people to a campaign, and tells of each what became of it.
func (s *Service) AddLeads(ctx context.Context, orgID, campaignID string, people []NewLead) ([]AddedLead, error) {
	required, err := s.requiredOf(ctx, orgID, campaignID)
	if err != nil {
		return nil, err
	}
	var out []AddedLead
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := lockCampaign(ctx, tx, campaignID)
		if err != nil {
			return err
		}
		c, err := row.campaign()
		if err != nil {
			return err
		}
		if err := row.State.may("append"); err != nil {
			return err
		}
		out = make([]AddedLead, len(people))
		var rows []leadRow
		now := s.now().UnixMilli()
		for i, p := range people {
			l := leadfile.Lead{Number: p.Number, Name: strings.TrimSpace(p.Name), Country: p.Country, Region: p.Region, Zone: p.Zone, Variables: p.Variables}
			if field, why := leadfile.Check(&l, c.Settings.Country, required); why != "" {
				out[i] = AddedLead{Result: "rejected", Reason: why, Field: field}
				continue
			}
			r := newLead(tx, campaignID, "", now)
			if err := r.fill(&l); err != nil {
				return err
			}
			rows = append(rows, r)
			out[i] = AddedLead{Result: "duplicate", ID: r.ID, Number: r.Number}
		}
		return s.saveAdded(ctx, tx, campaignID, rows, out)
	})
	return out, err
}

// saveAdded writes leads, and finds out which of them were new.
func (s *Service) saveAdded(ctx context.Context, tx *db.Tx, campaignID string, rows []leadRow, out []AddedLead) error {
	if len(rows) == 0 {
		return nil
	}
	n, err := addLeads(ctx, tx, campaignID, rows)
	if err != nil || n == 0 {
		for i := range out {
			if out[i].Result == "duplicate" {
				out[i].ID = ""
			}
		}
		return err
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	var there []string
	if err := tx.NewRaw("SELECT id FROM campaign_leads WHERE organisation_id = ? AND id IN (?)", tx.OrgID(), bun.List(ids)).Scan(ctx, &there); err != nil {
		return fmt.Errorf("look which leads were new: %w", err)
	}
	for i := range out {
		switch {
		case out[i].Result != "duplicate":
		case slices.Contains(there, out[i].ID):
			out[i].Result = "added"
		default:
			out[i].ID = ""
		}
	}
	if err := s.tellCampaign(ctx, tx, campaignID); err != nil {
		return err
	}
	return identity.Audit(ctx, tx, tx.OrgID(), identity.Change{Action: "campaign.leads.add", Kind: "campaign", ID: campaignID, After: map[string]int64{"added": n}})
}

// changeLead does something to a lead that nobody calls just now. Who dials plans under the same lock.
func (s *Service) changeLead(ctx context.Context, orgID, campaignID, id, do, action string, fn func(ctx context.Context, tx *db.Tx, r *leadRow, t tally) (after any, err error)) (out Lead, err error) {
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := tx.Lock(ctx, "campaigns of "+orgID); err != nil {
			return err
		}
		c, err := campaignByID(ctx, tx, campaignID)
		if err != nil {
			return err
		}
		row, err := leadByID(ctx, tx, campaignID, id)
		if err != nil {
			return err
		}
		if err := c.State.may(do); err != nil {
			return err
		}
		if row.State == dial.Dialling || row.State == dial.InCall {
			return fault.New(fault.Conflict, "the lead is being called; wait until the call is over")
		}
		t := tally{}
		after, err := fn(ctx, tx, row, t)
		if err != nil {
			return err
		}
		if err := t.save(ctx, tx, campaignID); err != nil {
			return err
		}
		if err := s.tellCampaign(ctx, tx, campaignID); err != nil {
			return err
		}
		if out, err = row.lead(); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: action, Kind: "lead", ID: id, After: after})
	})
	return out, err
}

// CallBack has a lead called at a time, before others.
func (s *Service) CallBack(ctx context.Context, orgID, campaignID, id string, when time.Time) (Lead, error) {
	now := s.now()
	if when.Before(now.Add(-time.Minute)) || when.After(now.Add(callbackMost)) {
		return Lead{}, fault.Field("body.at", "choose a time from now on, within 90 days")
	}
	return s.changeLead(ctx, orgID, campaignID, id, "append", "lead.callback", func(ctx context.Context, tx *db.Tx, r *leadRow, t tally) (any, error) {
		if r.State == dial.DoNotCall {
			return nil, fault.New(fault.Conflict, "the person is not to be called: %s", r.Why)
		}
		r.apply(dial.Next{State: dial.Waiting, At: when, Rank: dial.RankCallback, Says: "Somebody arranged a call."}, now, t)
		return map[string]any{"campaignId": campaignID, "at": when.UTC()}, setLead(ctx, tx, r)
	})
}

// DeleteLead removes a lead that was never called.
func (s *Service) DeleteLead(ctx context.Context, orgID, campaignID, id string) error {
	_, err := s.changeLead(ctx, orgID, campaignID, id, "delete lead", "lead.delete", func(ctx context.Context, tx *db.Tx, r *leadRow, t tally) (any, error) {
		if !r.uncalled() {
			return nil, fault.New(fault.Conflict, "the lead was called: its attempts must be accounted for; one person's data is erased under compliance")
		}
		t.add(0, "lead:"+string(r.State), -1)
		return map[string]any{"campaignId": campaignID}, removeLeads(ctx, tx, campaignID, []string{id}, tally{})
	})
	return err
}

// Recycled is what Recycle did.
type Recycled struct {
	Recycled int64 `json:"recycled"`
	More     bool  `json:"more" doc:"There are further ones: ask again"`
}

// Recycle has leads that are done called again, at once: those with one of the outcomes, dispositions or of an import, at most
// 20000. Their attempts still count: who had as many as the campaign allows is done again. Who is not to be called stays so.
func (s *Service) Recycle(ctx context.Context, orgID, campaignID string, outcomes []dial.Outcome, dispositions []string, importID string) (out Recycled, err error) {
	for after := ""; out.Recycled < recycleMost; {
		n := int64(0)
		err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
			if err := tx.Lock(ctx, "campaigns of "+orgID); err != nil {
				return err
			}
			c, err := campaignByID(ctx, tx, campaignID)
			if err != nil {
				return err
			}
			if err := c.State.may("append"); err != nil {
				return err
			}
			after, n, err = s.recycle(ctx, tx, campaignID, after, outcomes, dispositions, importID)
			return err
		})
		out.Recycled += n
		if err != nil || after == "" {
			return out, err
		}
	}
	out.More = true
	return out, nil
}

// recycle does so with one batch, and gives where to go on.
func (s *Service) recycle(ctx context.Context, tx *db.Tx, campaignID, after string, outcomes []dial.Outcome, dispositions []string, importID string) (next string, n int64, err error) {
	var rows []leadRow
	q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", campaignID).Where("id > ?", after).Where("state = ?", dial.Done)
	if len(outcomes) > 0 {
		q = q.Where("outcome IN (?)", bun.List(outcomes))
	}
	if len(dispositions) > 0 {
		q = q.Where("disposition IN (?)", bun.List(dispositions))
	}
	if importID != "" {
		q = q.Where("import_id = ?", importID)
	}
	if err := q.OrderExpr("id").Limit(recycleBatch).Scan(ctx); err != nil {
		return "", 0, fmt.Errorf("select leads to recycle: %w", err)
	}
	if len(rows) == 0 {
		return "", 0, nil
	}
	now, t := s.now(), tally{}
	for i := range rows {
		rows[i].apply(dial.Next{State: dial.Waiting, At: now, Rank: dial.RankRetry, Says: "Somebody had it called again."}, now, t)
		if err := setLead(ctx, tx, &rows[i]); err != nil {
			return "", 0, err
		}
	}
	if len(rows) == recycleBatch {
		next = rows[len(rows)-1].ID
	}
	if err := t.save(ctx, tx, campaignID); err != nil {
		return "", 0, err
	}
	if err := s.tellCampaign(ctx, tx, campaignID); err != nil {
		return "", 0, err
	}
	return next, int64(len(rows)), identity.Audit(ctx, tx, tx.OrgID(), identity.Change{Action: "campaign.leads.recycle", Kind: "campaign", ID: campaignID,
		After: map[string]any{"recycled": len(rows), "outcomes": outcomes, "dispositions": dispositions}})
}

// LeadEvent is something that happened to a lead.
type LeadEvent struct {
	At          time.Time    `json:"at"`
	Kind        string       `json:"kind" enum:"added,decision,attempt,answered,ended,callback"`
	CallID      string       `json:"callId" doc:"Of attempt, answered and ended"`
	DecisionID  string       `json:"decisionId" doc:"Of decision and attempt"`
	Allowed     bool         `json:"allowed" doc:"Of decision"`
	Rule        string       `json:"rule" doc:"Of a decision against a call: the first rule that did not pass"`
	Attempt     int64        `json:"attempt" doc:"Which of the lead's attempts, from 1"`
	Outcome     dial.Outcome `json:"outcome" doc:"Of ended"`
	Disposition string       `json:"disposition"`
	Reason      string       `json:"reason" doc:"Of ended, as the call's record says"`
	TalkMS      int64        `json:"talkMs"`
	Caller      string       `json:"caller" doc:"The number shown"`
	For         *time.Time   `json:"for" doc:"Of callback: when the person asked to be called"`
}

// LeadDetail is a lead with what happened to it.
type LeadDetail struct {
	Lead
	Zones    []string    `json:"zones" doc:"Where the person may be, by number and address, IANA: a call must be allowed in all of them"`
	Timeline []LeadEvent `json:"timeline" doc:"The oldest first; of decisions the last 200"`
}

// LeadDetail gives a lead with what happened to it.
func (s *Service) LeadDetail(ctx context.Context, orgID, campaignID, id string) (out LeadDetail, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := campaignByID(ctx, tx, campaignID); err != nil {
			return err
		}
		row, err := leadByID(ctx, tx, campaignID, id)
		if err != nil {
			return err
		}
		if out.Lead, err = row.lead(); err != nil {
			return err
		}
		if place, err := policy.Locate(row.Number, row.Country, row.Region, row.Zone); err == nil {
			out.Zones = place.Zones
		}
		var attempts []attemptRow
		err = tx.NewSelect().Model(&attempts).Where("organisation_id = ?", orgID).Where("lead_id = ?", id).OrderExpr("position DESC").Limit(timelineMost).Scan(ctx)
		if err != nil {
			return fmt.Errorf("select attempts: %w", err)
		}
		var decisions []decisionRow
		err = tx.NewSelect().Model(&decisions).Where("organisation_id = ?", orgID).Where("lead_id = ?", id).OrderExpr("at DESC, id DESC").Limit(timelineMost).Scan(ctx)
		if err != nil {
			return fmt.Errorf("select decisions: %w", err)
		}
		out.Timeline = timeline(row, attempts, decisions)
		return nil
	})
	return out, err
}

// timeline puts what happened to a lead in order.
func timeline(row *leadRow, attempts []attemptRow, decisions []decisionRow) []LeadEvent {
	var out []LeadEvent
	for _, d := range decisions {
		out = append(out, LeadEvent{At: at(d.At), Kind: "decision", DecisionID: d.ID, Allowed: d.Allowed, Rule: d.Rule})
	}
	for _, a := range attempts {
		e := LeadEvent{CallID: a.ID, Attempt: a.Position, Caller: a.Caller}
		with := func(kind string, ms int64, more func(*LeadEvent)) {
			one := e
			one.Kind, one.At = kind, at(ms)
			if more != nil {
				more(&one)
			}
			out = append(out, one)
		}
		with("attempt", a.PlannedAt, func(e *LeadEvent) { e.DecisionID = a.DecisionID })
		if a.AnsweredAt != 0 {
			with("answered", a.AnsweredAt, nil)
		}
		if a.EndedAt != nil {
			with("ended", *a.EndedAt, func(e *LeadEvent) {
				e.Outcome, e.Disposition, e.Reason, e.TalkMS = a.Outcome, a.Disposition, a.Reason, a.TalkMS
			})
			if a.CallbackAt != 0 {
				with("callback", *a.EndedAt, func(e *LeadEvent) { e.For = maybe(a.CallbackAt) })
			}
		}
	}
	if t, ok := bornAt(row.ID); ok {
		out = append(out, LeadEvent{At: t, Kind: "added"})
	}
	order := map[string]int{"added": 0, "decision": 1, "attempt": 2, "answered": 3, "ended": 4, "callback": 5}
	slices.SortStableFunc(out, func(a, b LeadEvent) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return order[a.Kind] - order[b.Kind]
	})
	return out
}

// bornAt is the time in a UUIDv7 (RFC 9562 section 5.7).
func bornAt(id string) (time.Time, bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return time.Time{}, false
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec).UTC(), true
}

// variablesOf gives the names of the variables that a campaign's lists bring.
func variablesOf(ctx context.Context, tx *db.Tx, campaignID string) ([]string, error) {
	var mappings []string
	err := tx.NewRaw("SELECT mapping FROM campaign_imports WHERE organisation_id = ? AND campaign_id = ? AND started_at > 0", tx.OrgID(), campaignID).Scan(ctx, &mappings)
	if err != nil {
		return nil, fmt.Errorf("read mappings: %w", err)
	}
	names := map[string]bool{}
	for _, text := range mappings {
		var m leadfile.Mapping
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return nil, fmt.Errorf("read mappings: %w", err)
		}
		for _, is := range m {
			if name, ok := strings.CutPrefix(is, "var:"); ok {
				names[name] = true
			}
		}
	}
	out := slices.Sorted(maps.Keys(names))
	return out[:min(len(out), variablesMost)], nil
}
