package compliance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// The channels that a consent to calls names.
const (
	ChannelCall   = "call"    // a person calls
	ChannelAICall = "ai_call" // an AI's voice or a recording does; a person may then too
)

var (
	channels = []string{ChannelCall, ChannelAICall}
	purposes = []string{"sales", "service", "survey"}
)

// CallConsent is what a person said about being called.
type CallConsent struct {
	Given bool   // proved, in force and wide enough; else it was withdrawn
	ID    string // of the record that says so
}

// CallConsents gives what is known of numbers (E.164) for calls of a purpose; automated says that a machine speaks. Numbers of
// which nothing is known are left out. What was said last counts: a consent that was given after another was withdrawn is in
// force. Who withdraws one kind of call has withdrawn that purpose's calls, whoever speaks.
func (s *Service) CallConsents(ctx context.Context, tx *db.Tx, numbers []string, purpose string, automated bool, now time.Time) (map[string]CallConsent, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	var rows []consentRow
	err := tx.NewSelect().Model(&rows).Where("c.organisation_id = ?", tx.OrgID()).Where("c.subject IN (?)", bun.List(numbers)).Where("c.channels <> ''").
		OrderExpr("c.subject, c.id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("select consents: %w", err)
	}
	out, last := map[string]CallConsent{}, map[string]int64{}
	for i := range rows {
		r := &rows[i]
		if r.Purposes != "" && !slices.Contains(strings.Fields(r.Purposes), purpose) {
			continue
		}
		said := r.GivenAt
		v := CallConsent{Given: true, ID: r.ID}
		switch wide := !automated || slices.Contains(strings.Fields(r.Channels), ChannelAICall); {
		case r.RevokedAt != nil && *r.RevokedAt <= now.UnixMilli():
			said, v.Given = *r.RevokedAt, false
		case r.GivenAt > now.UnixMilli(), r.ExpiresAt != nil && *r.ExpiresAt <= now.UnixMilli(), !wide:
			continue
		}
		was, known := out[r.Subject]
		if !known || said > last[r.Subject] || said == last[r.Subject] && was.Given { // of one instant the refusal counts
			out[r.Subject], last[r.Subject] = v, said
		}
	}
	return out, nil
}

// words checks and joins the words of a consent's scope.
func words(field string, given, known []string) (string, error) {
	for _, w := range given {
		if !slices.Contains(known, w) {
			return "", fault.Field(field, "%q is not known; use %s", clean(w, maxWord), strings.Join(known, ", "))
		}
	}
	given = slices.Clone(given)
	slices.Sort(given)
	return strings.Join(slices.Compact(given), " "), nil
}

func wordsOf(s string) []string { return append([]string{}, strings.Fields(s)...) }
