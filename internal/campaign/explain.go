package campaign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
)

// Explanation says in sentences why a number was called, or was not.
type Explanation struct {
	Number    string    `json:"number"`
	At        time.Time `json:"at" doc:"What was asked for"`
	Called    bool      `json:"called" doc:"Whether the decision led to a call"`
	Sentences []string  `json:"sentences" nullable:"false"`
	Decision  *Decision `json:"decision" doc:"The last until then, to the minute; null: there was none"`
	Outcome   string    `json:"outcome" doc:"Of the call; empty: there was none, or it goes on"`
	CallID    string    `json:"callId"`
}

// Explain tells why a number was called, or was not, by the last decision about it until the end of the minute of when.
func (s *Service) Explain(ctx context.Context, orgID, number string, when time.Time) (Explanation, error) {
	out := Explanation{Number: number, At: when.UTC(), Sentences: []string{}}
	var row decisionRow
	var attempt *attemptRow
	var name string
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		until := when.Truncate(time.Minute).Add(time.Minute).UnixMilli()
		err := tx.NewSelect().Model(&row).Where("organisation_id = ?", orgID).Where("number = ?", number).Where("at < ?", until).OrderExpr("at DESC, id DESC").Limit(1).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			row.ID = ""
			return nil
		}
		if err != nil {
			return fmt.Errorf("select decision: %w", err)
		}
		chain, err := chainOf(ctx, tx, row.CampaignID)
		if err != nil {
			return err
		}
		name = chain.Name
		var a attemptRow
		err = tx.NewSelect().Model(&a).Where("organisation_id = ?", orgID).Where("lead_id = ?", row.LeadID).Where("decision_id = ?", row.ID).Limit(1).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		attempt = &a
		return err
	})
	if err != nil {
		return out, err
	}
	if row.ID == "" {
		out.Sentences = append(out.Sentences, "No campaign of the organisation had decided about "+number+" until then: it was neither called by one nor kept from being called.")
		return out, nil
	}
	d, err := row.decision(s.c.Book)
	if err != nil {
		return out, err
	}
	out.Decision = &d
	out.Sentences = d.sentences(name)
	if attempt != nil {
		out.Called, out.CallID, out.Outcome = attempt.Outcome != dial.Unplaced, attempt.ID, string(attempt.Outcome)
		out.Sentences = append(out.Sentences, attempt.sentence())
	}
	return out, nil
}

// sentences tell a decision to people.
func (d *Decision) sentences(campaign string) []string {
	where := d.At.Format("15:04:05 on 2 January 2006 UTC")
	if len(d.Local) > 0 {
		if t, err := time.Parse(time.RFC3339, d.Local[0]); err == nil && len(d.Zones) > 0 {
			where = t.Format("15:04:05 on 2 January 2006") + " in " + d.Zones[0]
		}
	}
	verb := "decided to call"
	if !d.Allowed {
		verb = "decided not to call"
	}
	out := []string{fmt.Sprintf("At %s the campaign %q %s %s.", where, campaign, verb, d.Number)}
	if len(d.Zones) > 1 {
		out = append(out, "The person may be in any of the time zones "+strings.Join(d.Zones, ", ")+"; a call has to be right in all of them.")
	}
	passed := 0
	for _, c := range d.Checks {
		if c.Passed {
			passed++
			continue
		}
		of := c.Rule
		if c.Version != "" {
			of += ", version " + c.Version
		}
		until := ""
		if c.NotBefore != nil {
			until = " It passes from " + c.NotBefore.Format("2006-01-02 15:04:05 UTC") + " on."
		}
		out = append(out, fmt.Sprintf("%s (%s)%s", c.Says, of, until))
	}
	if d.Allowed {
		out = append(out, fmt.Sprintf("All %d rules that apply passed, for a call for %s%s.", passed, purposeWords(d.Purpose), voiceWords(d.AI)))
	} else {
		out = append(out, fmt.Sprintf("%d other rules passed.", passed))
	}
	out = append(out, d.known())
	switch {
	case d.Next == string(dial.Waiting) && d.NextAt != nil:
		out = append(out, "It is asked again from "+d.NextAt.Format("2006-01-02 15:04:05 UTC")+" on.")
	case d.Next == string(dial.DoNotCall), d.Next == string(dial.Done):
		out = append(out, "The campaign does not ask again.")
	}
	return out
}

func purposeWords(p string) string {
	switch p {
	case "sales":
		return "selling"
	case "service":
		return "something that the person has with the organisation"
	}
	return "a survey"
}

func voiceWords(ai bool) string {
	if ai {
		return ", in which an AI speaks"
	}
	return ""
}

// known tells what was known of the number.
func (d *Decision) known() string {
	var out []string
	if len(d.Listed) > 0 {
		out = append(out, "it was on "+strings.Join(d.Listed, ", "))
	} else {
		out = append(out, "it was on no do-not-call list that was asked")
	}
	if len(d.Registers) > 0 {
		out = append(out, "the registers "+strings.Join(d.Registers, ", ")+" held it")
	}
	switch d.Consent {
	case "given":
		out = append(out, "the person had consented (record "+d.ConsentID+")")
	case "withdrawn":
		out = append(out, "the person had withdrawn consent")
	default:
		out = append(out, "no consent was recorded")
	}
	return fmt.Sprintf("Of the number: %s; it had been called %d times before that counted.", strings.Join(out, ", "), d.Attempts)
}

// sentence tells what became of a decision to call.
func (a *attemptRow) sentence() string {
	switch {
	case a.EndedAt == nil:
		return "The call goes on, or how it ended is not known yet."
	case a.Outcome == dial.Unplaced:
		return "The call was not placed in the end."
	case a.AnsweredAt > 0:
		return fmt.Sprintf("The call was answered at %s; its outcome is %s.", at(a.AnsweredAt).Format("15:04:05 UTC"), a.Outcome)
	}
	return fmt.Sprintf("The call was not answered; its outcome is %s.", a.Outcome)
}
