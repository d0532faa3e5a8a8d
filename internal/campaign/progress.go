package campaign

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
)

// Progress is how a campaign goes.
type Progress struct {
	State        State            `json:"state" enum:"draft,checked,scheduled,running,paused,finished,stopped"`
	Why          string           `json:"why"`
	Leads        map[string]int64 `json:"leads" doc:"By state: new, waiting, dialling, in_call, done, do_not_call"`
	Attempts     int64            `json:"attempts"`
	Outcomes     map[string]int64 `json:"outcomes" doc:"Attempts by how they ended"`
	Dispositions map[string]int64 `json:"dispositions"`
	Refused      map[string]int64 `json:"refused" doc:"Refusals to call, by the rule"`
	TalkMS       int64            `json:"talkMs"`
	Cost         float64          `json:"cost" doc:"In the currency of the budget, by its prices"`
	Penetration  float64          `json:"penetration" doc:"Share of the leads that were called at least once, or are done"`
	AnswerRate   float64          `json:"answerRate" doc:"Share of the attempts that ended which a person answered"`
	DropRate     float64          `json:"dropRate" doc:"Share of the answered calls of the last 30 days that found nobody"`
	Now          dial.Now         `json:"now"`
	At           time.Time        `json:"at"`
}

// Hour is what happened in one hour.
type Hour struct {
	Hour     time.Time `json:"hour"`
	Attempts int64     `json:"attempts"`
	Answered int64     `json:"answered"`
	Dropped  int64     `json:"dropped"`
	TalkMS   int64     `json:"talkMs"`
}

// Progress tells how a campaign goes.
func (s *Service) Progress(ctx context.Context, orgID, id string) (Progress, error) {
	p := Progress{At: s.now().UTC()}
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := campaignByID(ctx, tx, id)
		if err != nil {
			return err
		}
		p.State, p.Why = row.State, row.Why
		counts, err := readTally(ctx, tx, id, 0, 0)
		if err != nil {
			return err
		}
		p.count(counts.sum())
		month, err := readTally(ctx, tx, id, s.now().Add(-30*24*time.Hour).Unix()/3600, s.now().Unix()/3600)
		if err != nil {
			return err
		}
		p.DropRate = dropped(under(month.sum(), "outcome:"))
		return nil
	})
	if n, ok := s.live.of(id); ok && p.State == Running {
		p.Now = n
	}
	return p, err
}

func (p *Progress) count(counts map[string]int64) {
	p.Leads, p.Outcomes = under(counts, "lead:"), under(counts, "outcome:")
	p.Dispositions, p.Refused = under(counts, "disposition:"), under(counts, "refused:")
	p.Attempts, p.TalkMS, p.Cost = counts["attempts"], counts["talkMs"], float64(counts["cost"])/1e6
	all, ended, answered := int64(0), int64(0), int64(0)
	for _, n := range p.Leads {
		all += n
	}
	if all > 0 {
		p.Penetration = float64(all-p.Leads[string(dial.New)]) / float64(all)
	}
	for o, n := range p.Outcomes {
		if dial.Outcome(o) == dial.Unplaced {
			continue
		}
		ended += n
		if dial.Outcome(o).Spoken() {
			answered += n
		}
	}
	if ended > 0 {
		p.AnswerRate = float64(answered) / float64(ended)
	}
}

// dropped is the share of answered calls that found nobody.
func dropped(outcomes map[string]int64) float64 {
	taken := int64(0)
	for o, n := range outcomes {
		if dial.Outcome(o).Taken() {
			taken += n
		}
	}
	if taken == 0 {
		return 0
	}
	return float64(outcomes[string(dial.Dropped)]) / float64(taken)
}

// Hours gives what happened hour by hour, the oldest first; hours without an attempt are left out.
func (s *Service) Hours(ctx context.Context, orgID, id string, from, to time.Time) ([]Hour, error) {
	out := []Hour{}
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := campaignByID(ctx, tx, id); err != nil {
			return err
		}
		counts, err := readTally(ctx, tx, id, max(1, from.Unix()/3600), to.Unix()/3600)
		if err != nil {
			return err
		}
		for _, hour := range slices.Sorted(maps.Keys(counts)) {
			h := Hour{Hour: time.Unix(hour*3600, 0).UTC(), Attempts: counts[hour]["attempts"], TalkMS: counts[hour]["talkMs"]}
			for o, n := range under(counts[hour], "outcome:") {
				if dial.Outcome(o).Spoken() {
					h.Answered += n
				}
				if dial.Outcome(o) == dial.Dropped {
					h.Dropped += n
				}
			}
			out = append(out, h)
		}
		return nil
	})
	return out, err
}
