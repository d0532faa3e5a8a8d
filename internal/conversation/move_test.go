package conversation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// house is an organisation with calls that are over, in which calls run while it is moved.
type house struct {
	t     testing.TB
	d     *db.DB
	s     *Service
	calls int

	stop   atomic.Bool
	wg     sync.WaitGroup
	mu     sync.Mutex
	ended  []string
	probes int
	pause  time.Duration // the longest that one small write took
}

const fillBatch = 250

// fill stores calls that are over: for each its row, a leg, six items of transcript, three turns and the peaks.
func (h *house) fill(org string) {
	h.t.Helper()
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC).UnixMilli()
	for from := 0; from < h.calls; from += fillBatch {
		var calls []callRow
		var legs []legRow
		var items []itemRow
		var turns []turnRow
		var peaks []peakRow
		for i := from; i < min(from+fillBatch, h.calls); i++ {
			id, began, ended := fmt.Sprintf("before %s %06d", org, i), at+int64(i)*1000, at+int64(i)*1000+60_000
			calls = append(calls, callRow{ID: id, OrganisationID: org, Node: "n", Status: string(StatusEnded), Direction: "inbound", Channel: "sip",
				From: "+4930123456", To: "front-desk", AgentID: "a", AgentSlug: "front-desk", AgentName: "Front desk", AgentVersion: 3, StartedAt: began, AnsweredAt: &began,
				EndedAt: &ended, DurationMs: 60_000, EndedBy: "caller", EndReason: "normal", Codec: "PCMU", RecState: string(RecordingNone), Turns: 3,
				Metadata: `{"k":"v"}`, Outcome: "{}", Alerts: "[]"})
			legs = append(legs, legRow{ID: "1", OrganisationID: org, CallID: id, Channel: "sip", Direction: "inbound", From: "+4930123456", To: "front-desk",
				Codec: "PCMU", StartedAt: began, EndedAt: &ended, Cause: `{"by":"caller"}`, Stats: `{"packetsReceived":3000,"packetsSent":3000}`})
			for n := range 6 {
				items = append(items, itemRow{OrganisationID: org, CallID: id, Seq: n + 1, Turn: n / 2, Speaker: []string{"agent", "caller"}[n%2],
					Text: "I would like to book an appointment for Monday at O'Brien's, please.", StartMs: int64(n) * 9000, EndMs: int64(n)*9000 + 4000, Confidence: 0.87})
			}
			for n := range 3 {
				us := int64(n)*9_000_000 + 350_000
				turns = append(turns, turnRow{OrganisationID: org, CallID: id, Turn: n, At: began + us/1000, CallerText: "When do you open?", AgentText: "At nine.", EOSUS: &us, TokenUS: &us})
			}
			peaks = append(peaks, peakRow{OrganisationID: org, CallID: id, Span: 25, Caller: make([]byte, 120), Agent: make([]byte, 120)})
		}
		must(h.t, h.d.InTenant(context.Background(), org, func(ctx context.Context, tx *db.Tx) error {
			for _, rows := range []any{&calls, &legs, &items, &turns, &peaks} {
				if _, err := tx.NewInsert().Model(rows).Exec(ctx); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// digest gives the count and the hash of all that fill stored, read where the organisation is now.
func (h *house) digest(org string) string {
	h.t.Helper()
	sum, n := sha256.New(), 0
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	must(h.t, h.d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		for _, t := range []struct{ table, call, order string }{{"calls", "id", "id"}, {"call_legs", "call_id", "call_id, id"},
			{"call_transcript", "call_id", "call_id, seq"}, {"call_turns", "call_id", "call_id, turn"}, {"call_peaks", "call_id", "call_id"}} {
			rows, err := tx.QueryContext(ctx, "SELECT * FROM "+t.table+" WHERE organisation_id = ? AND "+t.call+" LIKE 'before %' ORDER BY "+t.order, org)
			if err != nil {
				return err
			}
			cols, err := rows.Columns()
			if err != nil {
				return err
			}
			vs, to := make([]any, len(cols)), make([]any, len(cols))
			for i := range vs {
				to[i] = &vs[i]
			}
			for ; rows.Next(); n++ {
				if err := rows.Scan(to...); err != nil {
					return err
				}
				fmt.Fprintf(sum, "%s %q\n", t.table, vs)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
		}
		return nil
	}))
	return fmt.Sprintf("%d rows %x", n, sum.Sum(nil))
}

// live has calls run, one after the other in each of some lanes, until the house stops: what is written is what a call writes.
func (h *house) live(org string, lanes int) {
	for lane := range lanes {
		h.wg.Go(func() {
			for n := 0; !h.stop.Load(); n++ {
				c, err := h.s.Begin(context.Background(), NewCall{OrgID: org, Channel: "sip", Direction: "inbound", From: fmt.Sprint(lane), To: "front-desk"})
				if err != nil {
					h.t.Errorf("begin a call: %v", err)
					return
				}
				c.Answered(Answer{Rate: 8000, Codec: "PCMU"})
				talk(c)
				c.LegEnded("", LegCause{By: "caller", Code: "normal"}, LegStats{})
				c.End(Ending{By: "caller"})
				<-c.Saved()
				h.mu.Lock()
				h.ended = append(h.ended, c.ID())
				h.mu.Unlock()
			}
		})
	}
	h.wg.Go(func() { // one small write after the other, to see how long a writer waits
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for ; !h.stop.Load(); <-tick.C {
			item := itemRow{OrganisationID: org, CallID: "probe", Seq: h.probes + 1, Text: "here"}
			began := time.Now()
			err := h.d.InTenant(context.Background(), org, func(ctx context.Context, tx *db.Tx) error {
				if h.probes == 0 {
					if _, err := tx.NewInsert().Model(&callRow{ID: "probe", OrganisationID: org, Status: string(StatusEnded), Metadata: "{}", Outcome: "{}", Alerts: "[]"}).Exec(ctx); err != nil {
						return err
					}
				}
				_, err := tx.NewInsert().Model(&item).Exec(ctx)
				return err
			})
			if err != nil {
				h.t.Errorf("a write: %v", err)
				return
			}
			h.mu.Lock()
			h.pause = max(h.pause, time.Since(began))
			h.probes++
			h.mu.Unlock()
		}
	})
}

// counted gives how many calls have ended, and begins a new measure of the longest pause.
func (h *house) counted() (ended int, pause time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pause, h.pause = h.pause, 0
	return len(h.ended), pause
}

func (h *house) await(calls int) {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); ; <-tick.C {
		h.mu.Lock()
		n := len(h.ended)
		h.mu.Unlock()
		if n >= calls {
			return
		}
		if time.Now().After(end) {
			h.t.Fatalf("%d calls have ended, want %d", n, calls)
		}
	}
}

// whole proves that every call that ran, and every small write, is there once with all its parts.
func (h *house) whole(org string) {
	h.t.Helper()
	must(h.t, h.s.Flush(context.Background()))
	for _, id := range h.ended {
		d, err := h.s.Get(context.Background(), org, id)
		if err != nil {
			h.t.Errorf("call %s: %v", id, err)
			continue
		}
		items, _, err := h.s.Transcript(context.Background(), org, id, 0, 100)
		if err != nil || d.Status != StatusEnded || len(d.Legs) != 1 || len(items) != 3 {
			h.t.Errorf("call %s is %s with %d legs and %d items, %v", id, d.Status, len(d.Legs), len(items), err)
		}
	}
	must(h.t, h.d.ReadTenant(context.Background(), org, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*itemRow)(nil)).Where("i.organisation_id = ? AND i.call_id = 'probe'", org).Count(ctx)
		if int(n) != h.probes {
			h.t.Errorf("%d small writes are there, %d were made", n, h.probes)
		}
		total, err2 := tx.NewSelect().Model((*callRow)(nil)).Where("c.organisation_id = ?", org).Count(ctx)
		if want := h.calls + len(h.ended) + 1; int(total) != want {
			h.t.Errorf("%d calls are there, want %d", total, want)
		}
		return errors.Join(err, err2)
	}))
}

// moveHouse moves an organisation with calls to a database of its own and back, while calls run, and gives the reports with
// the longest pause of a writer before the moves and in each.
func moveHouse(t testing.TB, d *db.DB, calls, lanes int) (reports []db.MoveReport, pauses []time.Duration, ended int) {
	t.Helper()
	dir := t.TempDir()
	blobs, err := blob.Open(context.Background(), blob.Config{DataDir: dir})
	must(t, err)
	s, err := New(Config{DB: d, Blobs: blobs, Keys: envelopetest.New(7), DataDir: dir, Live: &countOnly{}})
	must(t, err)
	must(t, s.Start(context.Background()))
	h := &house{t: t, d: d, s: s, calls: calls}
	h.fill(orgA)
	before := h.digest(orgA)
	h.live(orgA, lanes)
	h.await(3)
	_, pause := h.counted()
	pauses = append(pauses, pause)
	for _, place := range []string{db.Own, db.Shared} {
		n, _ := h.counted()
		r, err := d.Move(context.Background(), orgA, place, "")
		if err != nil {
			h.stop.Store(true)
			h.wg.Wait()
			t.Fatalf("%s: %v", place, err)
		}
		h.await(n + 3) // writers go on
		_, pause := h.counted()
		reports, pauses = append(reports, r), append(pauses, pause)
		if got := h.digest(orgA); got != before {
			t.Errorf("%s: %s, want %s", place, got, before)
		}
	}
	h.stop.Store(true)
	h.wg.Wait()
	h.whole(orgA)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(t, s.Close(ctx))
	must(t, blobs.Close())
	return reports, pauses, len(h.ended)
}

// An organisation moves while calls run in it: none is lost, and what was there before is the same by count and hash. The
// same with as many calls as one likes: make bench-move.
func TestMoveWhileCallsRun(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		const calls = 200
		reports, _, _ := moveHouse(t, d, calls, 2)
		for _, r := range reports {
			if r.Tables["calls"] < calls || r.Tables["call_transcript"] < 6*calls || r.Compared < 12*calls {
				t.Errorf("%+v", r)
			}
		}
	})
}

// BenchmarkMoveOrganisation moves an organisation with PARLEY_BENCH_CALLS calls (100,000) to a database of its own and back.
func BenchmarkMoveOrganisation(b *testing.B) {
	calls := 100_000
	if s := os.Getenv("PARLEY_BENCH_CALLS"); s != "" {
		var err error
		calls, err = strconv.Atoi(s)
		must(b, err)
	}
	for _, engine := range []string{db.SQLite, db.Postgres} {
		b.Run(engine, func(b *testing.B) {
			for b.Loop() {
				d := dbtest.SQLite
				if engine == db.Postgres {
					d = dbtest.Postgres
				}
				reports, pauses, ended := moveHouse(b, d(b, Migrations()), calls, 4)
				for i, r := range reports {
					rows := int64(0)
					for _, n := range r.Tables {
						rows += n
					}
					b.Logf("%d calls, %d rows, to %s: %s; %d changes followed, gate closed %s at most, longest pause of a writer %s (before the moves %s), braked %d times",
						r.Tables["calls"], rows, r.To.Placement, r.Took.Round(time.Millisecond), r.Caught, r.Held.Round(time.Millisecond), pauses[i+1].Round(time.Millisecond), pauses[0].Round(time.Millisecond), r.Brakes)
				}
				b.Logf("%d calls ended meanwhile, none lost", ended)
			}
		})
	}
}
