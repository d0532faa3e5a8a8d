package conversation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
)

const (
	recoverPage = 200
	saveItems   = 500 // transcript items in one statement
)

// recover ends the calls that a stopped process of this node left behind. It runs before the first Begin. Files
// are left to the finisher's sweep.
func (s *Service) recover(ctx context.Context) error {
	began := s.clock.Now()
	ids, err := s.spooledCalls()
	if err != nil {
		return err
	}
	n := 0
	for _, id := range ids {
		row, err := findAnyCall(ctx, s.db, id)
		if err != nil {
			return err
		}
		if row != nil && row.Status == string(StatusEnded) && !row.endedWithoutUs() {
			continue // whole; only its files are to be moved
		}
		if err := s.rebuild(ctx, id, row); err != nil {
			// One call must not keep the server from starting.
			s.log.ErrorContext(ctx, "an interrupted call could not be recovered; its files stay in the spool", "call", id, "error", err)
			continue
		}
		n++
	}
	if err := s.db.EachPlacement(ctx, whyUnfinished, func(ctx context.Context, in *db.DB) error {
		ended, err := s.recoverIn(ctx, in)
		n += ended
		return err
	}); err != nil {
		return err
	}
	if n > 0 {
		s.metrics.recovered.Add(float64(n))
		s.log.WarnContext(ctx, "the last run was interrupted: its calls were ended", "calls", n, "took", s.clock.Since(began))
	}
	return nil
}

// recoverIn ends what one database knows as unfinished, and gives how many.
func (s *Service) recoverIn(ctx context.Context, in *db.DB) (n int, err error) {
	for after := ""; ; {
		rows, err := unfinished(ctx, in, s.node, after, recoverPage)
		if err != nil {
			return n, err
		}
		for i := range rows {
			after = rows[i].ID
			if err := s.rebuild(ctx, rows[i].ID, &rows[i]); err != nil {
				s.log.ErrorContext(ctx, "an interrupted call could not be ended", "call", rows[i].ID, "error", err)
				continue
			}
			n++
		}
		if len(rows) < recoverPage {
			return n, nil
		}
	}
}

// endedWithoutUs reports whether another process ended the call while this one was away: then the spool knows more of it.
func (r *callRow) endedWithoutUs() bool {
	return r.EndReason == ReasonInterrupted && r.LogKey == "" && r.LogGoneAt == nil && r.RecKey == ""
}

// remains is what is known of an interrupted call.
type remains struct {
	row      callRow
	isNew    bool // the row had not been saved
	told     bool // that it ended was told already
	derived  derivation
	lastSeq  int64
	peaks    peaks
	frames   int64
	outcomes []event.CallOutcome // told again: the process may have died before they were
}

// rebuild makes a call's records again from its files, and ends it.
func (s *Service) rebuild(ctx context.Context, id string, row *callRow) error {
	r := &remains{}
	if row != nil {
		r.row = *row
		r.told = row.Status == string(StatusEnded)
	} else {
		r.isNew = true
	}
	if err := s.rebuildSound(ctx, id, r); err != nil {
		return err
	}
	if err := s.rebuildLog(ctx, id, r); err != nil {
		return err
	}
	if r.row.ID == "" {
		return errors.New("neither the database nor its event log knows this call")
	}
	r.row.RecState = string(RecordingNone)
	if r.frames > 0 {
		r.row.RecState, r.row.RecDurationMs = string(RecordingRunning), r.frames*20
	}
	return s.saveRemains(ctx, r)
}

// rebuildSound cuts a recording after its last whole chunk and measures it.
func (s *Service) rebuildSound(ctx context.Context, id string, r *remains) error {
	path := s.spoolPath(id, recSuffix)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // what matters was truncated already
	info, err := f.Stat()
	if err != nil {
		return err
	}
	rec, err := openRecFile(f, info.Size(), s.keyOf(ctx, r.row.OrganisationID), id)
	if errors.Is(err, errTorn) { // not even its head was written
		return os.Remove(path)
	}
	if err != nil {
		return err
	}
	for i := int64(0); i*chunkFrames < rec.frames; i++ {
		b, err := rec.chunk(i)
		if err != nil { // a machine that lost power may leave rubbish at the end
			rec.frames = i * chunkFrames
			break
		}
		r.peaks.addChunk(rec.layout, b)
	}
	r.frames = rec.frames
	if r.row.AnsweredAt == nil {
		r.row.AnsweredAt = &rec.head.AnsweredAt
	}
	r.row.RecBytes = rec.end()
	return f.Truncate(rec.end())
}

// rebuildLog derives everything from the event log again, cuts it after its last whole chunk, and appends the
// end of the call when it lacks one.
func (s *Service) rebuildLog(ctx context.Context, id string, r *remains) error {
	path := s.spoolPath(id, logSuffix)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		s.endRemains(r)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // the last write is checked
	log, err := openLogFile(f, s.keyOf(ctx, r.row.OrganisationID), id)
	if errors.Is(err, errTorn) {
		s.endRemains(r)
		return os.Remove(path)
	}
	if err != nil {
		return err
	}
	if r.isNew {
		answered := r.row.AnsweredAt
		bytes := r.row.RecBytes
		r.row = log.head.Row
		r.row.Metadata = toJSON(log.head.Metadata)
		if answered != nil {
			r.row.AnsweredAt = answered
		}
		r.row.RecBytes = bytes
	}
	if err := s.replay(ctx, log, r); err != nil {
		return err
	}
	end := log.u.off
	had := r.derived.ended != nil
	e := s.endRemains(r)
	if err := f.Truncate(end); err != nil || had {
		return err
	}
	return appendEntry(f, log.u, id, e)
}

// replay feeds the log to a new derivation and saves what it gives, some hundred items at a time.
func (s *Service) replay(ctx context.Context, log *logReader, r *remains) error {
	var out derived
	for {
		off, index := log.u.off, log.u.next
		lines, first, count, err := log.chunk()
		if err != nil {
			log.u.seek(off, index)
			if !errors.Is(err, io.EOF) && !errors.Is(err, errTorn) && !errors.Is(err, errForged) {
				return err
			}
			break
		}
		one := &logLines{lines: lines}
		for one.next() {
			var e event.Entry
			if json.Unmarshal(one.line, &e) == nil {
				r.derived.add(&e, &out)
			}
		}
		r.lastSeq = max(r.lastSeq, first+count-1)
		if len(out.items)+len(out.turns) >= saveItems {
			if err := s.saveDerived(ctx, r, &out); err != nil {
				return err
			}
		}
	}
	out.turns = append(out.turns, r.derived.openTurns()...)
	return s.saveDerived(ctx, r, &out)
}

func (s *Service) saveDerived(ctx context.Context, r *remains, out *derived) error {
	items := make([]itemRow, 0, len(out.items))
	for _, it := range out.items {
		items = append(items, newItemRow(r.row.OrganisationID, r.row.ID, it))
	}
	turns := make([]turnRow, 0, len(out.turns))
	for _, t := range out.turns {
		turns = append(turns, newTurnRow(r.row.OrganisationID, r.row.ID, r.row.zero(), t))
	}
	r.outcomes = append(r.outcomes, out.told...)
	*out = derived{}
	return s.db.InTenant(ctx, r.row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		return upsert(ctx, tx, nil, nil, items, turns, nil, nil)
	})
}

// endRemains ends the call at the last moment that is known of it, and gives the log's last entry.
func (s *Service) endRemains(r *remains) event.Entry {
	zero := fromMs(r.row.zero())
	last := zero.Add(time.Duration(r.derived.lastUS) * time.Microsecond)
	if sound := zero.Add(time.Duration(r.frames) * 20 * time.Millisecond); sound.After(last) {
		last = sound
	}
	e := Ending{By: "system", Reason: ReasonInterrupted, Text: "The server stopped while the call went on."}
	if r.derived.ended != nil { // it had ended; only that was not saved
		e = *r.derived.ended
	}
	e.At = last
	r.row.end(e)
	entry := endEntry(e, zero)
	entry.Seq = r.lastSeq + 1
	return entry
}

// saveRemains saves the row with the facts.
func (s *Service) saveRemains(ctx context.Context, r *remains) error {
	r.row.apply(&r.derived)
	var pk []peakRow
	if len(r.peaks.caller) > 0 {
		pk = []peakRow{{OrganisationID: r.row.OrganisationID, CallID: r.row.ID, Span: r.peaks.span, Caller: r.peaks.caller, Agent: r.peaks.agent}}
	}
	var facts []event.Fact
	if r.isNew {
		facts = append(facts, event.CallStarted{CallID: r.row.ID, OrgID: r.row.OrganisationID, AgentID: r.row.AgentID,
			AgentSlug: r.row.AgentSlug, UserID: r.row.UserID, Channel: r.row.Channel, Direction: r.row.Direction, From: r.row.From, To: r.row.To,
			StartedAt: r.row.StartedAt})
	}
	if !r.told {
		for _, e := range r.outcomes {
			facts = append(facts, r.row.outcomeFact(e, r.row.zero()))
		}
		facts = append(facts, r.row.endFact())
	}
	return s.db.InTenant(ctx, r.row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		if err := upsert(ctx, tx, []callRow{r.row}, nil, nil, nil, pk, nil); err != nil {
			return err
		}
		return tx.Publish(ctx, facts...)
	})
}

// appendEntry adds one entry to a log that was cut where u stands.
func appendEntry(f *os.File, u *unsealer, id string, e event.Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	seal := &sealer{aead: u.aead, index: u.next}
	if _, err := f.WriteAt(seal.seal(nil, logChunk(nil, e.Seq, 1, append(line, '\n'))), u.off); err != nil {
		return fmt.Errorf("end the event log of call %s: %w", id, err)
	}
	return nil
}
