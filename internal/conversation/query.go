package conversation

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	pageItems   = 500
	maxFound    = 1000 // calls that the search index may contribute to a list
	maxQuery    = 200
	findTimeout = 2 * time.Second
)

// cursor is a place in a list of calls: what comes after this call, newest first.
type cursor struct {
	At int64
	ID string
}

func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.At, 36) + "." + c.ID))
}

func parseCursor(s string) (c cursor, err error) {
	if s == "" {
		return c, nil
	}
	bad := fault.Field("query.cursor", "This is not a cursor of this list; use the value of next of an earlier page.")
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return c, bad
	}
	at, id, ok := strings.Cut(string(b), ".")
	if !ok || id == "" || len(id) > maxNameBytes {
		return c, bad
	}
	if c.At, err = strconv.ParseInt(at, 36, 64); err != nil {
		return c, bad
	}
	c.ID = id
	return c, nil
}

// ListQuery asks for calls, newest first. Empty fields do not filter.
type ListQuery struct {
	Status, Direction, Channel, AgentID string
	ProjectID                           string
	From, To                            time.Time
	Text                                string // part of a number or name, or words that were said
	Cursor                              string
	Limit                               int
}

// List gives a page of calls and the cursor of the next, "" at the end.
func (s *Service) List(ctx context.Context, org string, q ListQuery) ([]CallRecord, string, error) {
	at, err := parseCursor(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	cq := callQuery{Status: q.Status, Direction: q.Direction, Channel: q.Channel, AgentID: q.AgentID, From: q.From, To: q.To,
		Like: strings.TrimSpace(clip(q.Text, maxQuery)), Cursor: at, Limit: q.Limit}
	if cq.Reach, err = s.reach(ctx, org); err != nil {
		return nil, "", err
	}
	if q.ProjectID != "" {
		if cq.Agents, err = s.inProject(ctx, org, q.ProjectID); err != nil {
			return nil, "", err
		}
	}
	if cq.Like != "" && s.search != nil {
		// Without the index the list is poorer, not absent.
		find, cancel := context.WithTimeout(ctx, findTimeout)
		defer cancel()
		if cq.IDs, err = s.search.Find(find, org, cq.Like, maxFound); err != nil {
			s.log.WarnContext(ctx, "the search index does not answer; calls are found by number and name only", "error", err)
		}
	}
	rows, err := listCalls(ctx, s.db, org, cq)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		next = cursor{rows[q.Limit-1].StartedAt, rows[q.Limit-1].ID}.String()
	}
	items := make([]CallRecord, 0, len(rows))
	now := s.clock.Now()
	for i := range rows {
		v := rows[i].show(now)
		if c := s.find(org, rows[i].ID); c != nil && v.Status != StatusEnded {
			v.Activity = c.Activity()
		}
		items = append(items, v)
	}
	return items, next, nil
}

// Get gives one call. A call that goes on in this process is read from memory, so that it is there at once.
func (s *Service) Get(ctx context.Context, org, id string) (CallDetail, error) {
	c, in, err := s.visible(ctx, org, id)
	if err != nil {
		return CallDetail{}, err
	}
	if c != nil {
		return c.detail(), nil
	}
	row, err := findCall(ctx, s.db, org, id, in)
	if err != nil {
		return CallDetail{}, err
	}
	legs, err := listLegs(ctx, s.db, org, id)
	if err != nil {
		return CallDetail{}, err
	}
	return showDetail(&row, legs, s.clock.Now()), nil
}

func showDetail(row *callRow, legs []legRow, now time.Time) CallDetail {
	d := CallDetail{CallRecord: row.show(now), Legs: []CallLeg{}, Alerts: row.alerts()}
	for i := range legs {
		d.Legs = append(d.Legs, legs[i].show())
	}
	return d
}

func (c *Call) detail() CallDetail {
	row := c.rowNow()
	c.state.mu.Lock()
	legs := slices.Clone(c.state.legs)
	c.state.mu.Unlock()
	d := showDetail(&row, legs, c.s.clock.Now())
	if d.Status != StatusEnded {
		d.Activity = c.Activity()
	}
	return d
}

// Transcript gives a page of what was said and the cursor of the next, 0 at the end. The last page of a call that
// goes on ends with what is being recognised.
func (s *Service) Transcript(ctx context.Context, org, id string, after, limit int) ([]TranscriptItem, int, error) {
	if _, err := s.row(ctx, org, id); err != nil {
		return nil, 0, err
	}
	// First what is in memory: it may be saved meanwhile, and would be missed the other way round.
	var fresh []TranscriptItem
	if c := s.find(org, id); c != nil {
		c.state.mu.Lock()
		fresh = slices.Clone(c.state.items)
		if c.state.partial != nil {
			fresh = append(fresh, *c.state.partial)
		}
		c.state.mu.Unlock()
	}
	rows, err := listItems(ctx, s.db, org, id, after, limit+1)
	if err != nil {
		return nil, 0, err
	}
	items := make([]TranscriptItem, 0, len(rows)+len(fresh))
	for i := range rows {
		items = append(items, rows[i].show())
	}
	if len(rows) <= limit {
		items = mergeItems(items, fresh, after)
	}
	if len(items) > limit {
		items = items[:limit]
		return items, items[limit-1].Seq, nil
	}
	return items, 0, nil
}

// mergeItems adds what is not saved yet.
func mergeItems(items, fresh []TranscriptItem, after int) []TranscriptItem {
	for _, it := range fresh {
		at, found := slices.BinarySearchFunc(items, it.Seq, func(v TranscriptItem, seq int) int { return v.Seq - seq })
		switch {
		case it.Seq <= after:
		case found:
			if it.Final {
				items[at] = it
			}
		default:
			items = slices.Insert(items, at, it)
		}
	}
	return items
}

// EachItem calls fn for everything said, page by page.
func (s *Service) EachItem(ctx context.Context, org, id string, fn func(TranscriptItem) error) error {
	for after := 0; ; {
		items, next, err := s.Transcript(ctx, org, id, after, pageItems)
		if err != nil {
			return err
		}
		for _, it := range items {
			if err := fn(it); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		after = next
	}
}

// Turns gives a page of the turns and the cursor of the next, -1 at the end. After is -1 for the first page: turn 0 is
// the greeting.
func (s *Service) Turns(ctx context.Context, org, id string, after, limit int) ([]CallTurn, int, error) {
	if _, err := s.row(ctx, org, id); err != nil {
		return nil, -1, err
	}
	var fresh []CallTurn
	if c := s.find(org, id); c != nil {
		c.state.mu.Lock()
		fresh = append(slices.Clone(c.state.turns), c.state.derived.openTurns()...)
		c.state.mu.Unlock()
	}
	rows, err := listTurns(ctx, s.db, org, id, after, limit+1)
	if err != nil {
		return nil, -1, err
	}
	items := make([]CallTurn, 0, len(rows)+len(fresh))
	for i := range rows {
		items = append(items, rows[i].show())
	}
	if len(rows) <= limit {
		for _, t := range fresh {
			at, found := slices.BinarySearchFunc(items, t.Turn, func(v CallTurn, n int) int { return v.Turn - n })
			if t.Turn > after && !found {
				items = slices.Insert(items, at, t)
			}
		}
	}
	if len(items) > limit {
		return items[:limit], items[limit-1].Turn, nil
	}
	return items, -1, nil
}

// Hangup ends a call that goes on, for a person.
func (s *Service) Hangup(ctx context.Context, org, id string) (CallDetail, error) {
	d, err := s.Get(ctx, org, id)
	switch {
	case err != nil:
		return d, err
	case d.Status == StatusEnded:
		return d, fault.New(fault.NotPossible, "The call has ended already.")
	case s.calls == nil:
		return d, fault.New(fault.Unavailable, "This process carries no calls; ask one with the media role.")
	}
	if err := s.calls.Hangup(ctx, id, "operator"); err != nil {
		return d, err
	}
	if err := s.note(ctx, org, identity.Change{Action: "call.hangup", Kind: "call", ID: id}); err != nil {
		return d, err
	}
	return s.Get(ctx, org, id)
}

// Overview is the state of an organisation's telephone today.
type Overview struct {
	Live    int             `json:"live" doc:"Calls that go on"`
	Today   OverviewToday   `json:"today"`
	PerHour []OverviewHour  `json:"perHour" nullable:"false" doc:"The hours of today up to now"`
	Agents  []OverviewAgent `json:"agents" nullable:"false" doc:"Agents that have had calls today or have one now"`
}

// OverviewToday sums up the calls that began today.
type OverviewToday struct {
	Calls         int      `json:"calls"`
	Answered      int      `json:"answered"`
	AvgDurationMs int64    `json:"avgDurationMs" doc:"Of answered calls that have ended"`
	P50LatencyMs  *float64 `json:"p50LatencyMs" doc:"From end of speech to first frame sent, all turns of today"`
	P95LatencyMs  *float64 `json:"p95LatencyMs"`
}

// OverviewHour counts the calls that began in an hour.
type OverviewHour struct {
	Hour  time.Time `json:"hour"`
	Calls int       `json:"calls"`
}

// OverviewAgent counts an agent's calls.
type OverviewAgent struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Name string `json:"name"`
	Live int    `json:"live"`
}

// Overview sums up today, in the time zone of loc.
func (s *Service) Overview(ctx context.Context, org string, loc *time.Location) (Overview, error) {
	now := s.clock.Now().In(loc)
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, loc)
	v := Overview{PerHour: []OverviewHour{}, Agents: []OverviewAgent{}}
	in, err := s.reach(ctx, org)
	if err != nil {
		return v, err
	}
	err = s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		if err := v.sums(ctx, tx, org, in, midnight, now); err != nil {
			return err
		}
		if err := v.latencies(ctx, tx, org, in, midnight); err != nil {
			return err
		}
		return v.agents(ctx, tx, org, in, midnight)
	})
	if v.Agents == nil {
		v.Agents = []OverviewAgent{}
	}
	return v, wrapRead(err)
}

func (v *Overview) sums(ctx context.Context, tx *db.Tx, org string, in reach, midnight, now time.Time) error {
	reached, args := in.sql()
	err := tx.NewRaw(`SELECT count(*) FROM calls AS c WHERE c.organisation_id = ? AND c.status <> 'ended' AND `+reached,
		with(args, org)...).Scan(ctx, &v.Live)
	if err != nil {
		return err
	}
	err = tx.NewRaw(`SELECT count(*), count(answered_at),
		CAST(coalesce(avg(CASE WHEN answered_at IS NOT NULL AND ended_at IS NOT NULL THEN duration_ms END), 0) AS BIGINT)
		FROM calls AS c WHERE c.organisation_id = ? AND c.started_at >= ? AND `+reached, with(args, org, midnight.UnixMilli())...).
		Scan(ctx, &v.Today.Calls, &v.Today.Answered, &v.Today.AvgDurationMs)
	if err != nil {
		return err
	}
	var hours []struct {
		Hour  int64
		Calls int
	}
	// Hours since midnight are elapsed ones: a day with a change of clocks has 23 or 25 of them.
	err = tx.NewRaw(`SELECT (started_at - ?) / 3600000 AS hour, count(*) AS calls FROM calls AS c
		WHERE c.organisation_id = ? AND c.started_at >= ? AND `+reached+` GROUP BY 1`,
		with(args, midnight.UnixMilli(), org, midnight.UnixMilli())...).Scan(ctx, &hours)
	if err != nil {
		return err
	}
	for at := midnight; !at.After(now); at = at.Add(time.Hour) {
		v.PerHour = append(v.PerHour, OverviewHour{Hour: at})
	}
	for _, h := range hours {
		if h.Hour >= 0 && int(h.Hour) < len(v.PerHour) {
			v.PerHour[h.Hour].Calls = h.Calls
		}
	}
	return nil
}

// latencies reads the percentiles off the index: nearest rank.
func (v *Overview) latencies(ctx context.Context, tx *db.Tx, org string, in reach, midnight time.Time) error {
	var n int
	from, args := `FROM call_turns AS t WHERE t.organisation_id = ? AND t.at >= ? AND t.frame_us IS NOT NULL`, []any{org, midnight.UnixMilli()}
	if !in.scope.All() {
		reached, more := in.sql()
		from += ` AND t.call_id IN (SELECT c.id FROM calls AS c WHERE c.organisation_id = ? AND ` + reached + `)`
		args = append(append(args, org), more...)
	}
	err := tx.NewRaw(`SELECT count(*) `+from, args...).Scan(ctx, &n)
	if err != nil || n == 0 {
		return err
	}
	for p, dst := range map[int]**float64{50: &v.Today.P50LatencyMs, 95: &v.Today.P95LatencyMs} {
		var us int64
		err := tx.NewRaw(`SELECT t.frame_us `+from+` ORDER BY t.frame_us LIMIT 1 OFFSET ?`,
			append(slices.Clone(args), (n*p+99)/100-1)...).Scan(ctx, &us)
		if err != nil {
			return fmt.Errorf("percentile %d: %w", p, err)
		}
		*dst = toMillis(&us)
	}
	return nil
}

func (v *Overview) agents(ctx context.Context, tx *db.Tx, org string, in reach, midnight time.Time) error {
	reached, args := in.sql()
	return tx.NewRaw(`SELECT agent_id AS id, max(agent_slug) AS slug, max(agent_name) AS name,
		count(CASE WHEN status <> 'ended' THEN 1 END) AS live FROM calls AS c
		WHERE c.organisation_id = ? AND c.agent_id <> '' AND (c.started_at >= ? OR c.status <> 'ended') AND `+reached+`
		GROUP BY agent_id ORDER BY live DESC, slug LIMIT 200`, with(args, org, midnight.UnixMilli())...).Scan(ctx, &v.Agents)
}

// with puts values before the arguments of a condition that stands last.
func with(args []any, before ...any) []any { return append(before, args...) }
