package campaign

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
)

// tally gathers what a transaction changes of a campaign's counts: hour to name to how many. Hour 0 is since the beginning.
type tally map[int64]map[string]int64

func (t tally) add(hour int64, what string, n int64) {
	if n == 0 {
		return
	}
	if t[hour] == nil {
		t[hour] = map[string]int64{}
	}
	t[hour][what] += n
}

// both counts for the hour and since the beginning.
func (t tally) both(now time.Time, what string, n int64) {
	t.add(0, what, n)
	t.add(now.Unix()/3600, what, n)
}

// move counts leads that go from one state to another.
func (t tally) move(from, to string, n int64) {
	t.add(0, "lead:"+from, -n)
	t.add(0, "lead:"+to, n)
}

// save adds the counts to those that are stored, in an order that is the same for all, so that nobody waits in a circle.
func (t tally) save(ctx context.Context, tx *db.Tx, campaignID string) error {
	for _, hour := range slices.Sorted(maps.Keys(t)) {
		for _, what := range slices.Sorted(maps.Keys(t[hour])) {
			n := t[hour][what]
			if n == 0 {
				continue
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO campaign_tally (organisation_id, campaign_id, hour, what, n) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (campaign_id, hour, what) DO UPDATE SET n = campaign_tally.n + excluded.n`, tx.OrgID(), campaignID, hour, what, n)
			if err != nil {
				return fmt.Errorf("count %s: %w", what, err)
			}
		}
	}
	return nil
}

type tallyRow struct {
	Hour int64
	What string
	N    int64
}

// readTally gives a campaign's counts from an hour on; 0 is since the beginning.
func readTally(ctx context.Context, tx *db.Tx, campaignID string, from, to int64) (tally, error) {
	var rows []tallyRow
	err := tx.NewRaw("SELECT hour, what, n FROM campaign_tally WHERE organisation_id = ? AND campaign_id = ? AND hour >= ? AND hour <= ?",
		tx.OrgID(), campaignID, from, to).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	t := tally{}
	for _, r := range rows {
		t.add(r.Hour, r.What, r.N)
	}
	return t, nil
}

// sum gives the counts of all hours together.
func (t tally) sum() map[string]int64 {
	out := map[string]int64{}
	for _, names := range t {
		for what, n := range names {
			out[what] += n
		}
	}
	return out
}

// under gives the counts whose name begins with prefix, without it.
func under(counts map[string]int64, prefix string) map[string]int64 {
	out := map[string]int64{}
	for what, n := range counts {
		if name, ok := strings.CutPrefix(what, prefix); ok && n != 0 {
			out[name] = n
		}
	}
	return out
}
