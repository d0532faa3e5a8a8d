package conversation

import (
	"errors"
	"fmt"

	"github.com/parley-voice/parley/internal/event"
)

// writeSound appends what the lanes have gathered to the recording. When that fails the recording stops and
// an alert says so; the call goes on.
func (sh *shard) writeSound(c *Call, entries []event.Entry, ended bool) []event.Entry {
	f := &c.files
	l := c.lanes.layoutNow()
	for _, ch := range sh.chunks {
		if !f.recBroken {
			if err := sh.writeChunk(c, l, ch, ended); err != nil {
				entries = sh.stopRecording(c, entries, ended, err)
			}
		}
		c.lanes.give(ch.data)
	}
	clear(sh.chunks)
	return entries
}

func (sh *shard) writeChunk(c *Call, l layout, ch chunk, ended bool) error {
	f := &c.files
	if err := f.openRec(sh.s, c, l); err != nil {
		return err
	}
	if !ended || f.recFrames > 0 { // a call of less than a chunk needs no file
		if err := f.rec.settle(sh.s.files, sh.s.spoolPath(c.id, recSuffix)); err != nil {
			return err
		}
	}
	// Lost chunks become silence: every chunk but the last has the same size, so that its place is known.
	for f.recFrames < ch.first {
		if cap(sh.dense) < l.chunkBytes() {
			sh.dense = make([]byte, l.chunkBytes())
		}
		quiet := sh.dense[:l.chunkBytes()]
		fill(quiet, l.format.silence())
		if err := sh.appendSound(c, l, quiet); err != nil {
			return err
		}
	}
	return sh.appendSound(c, l, ch.data)
}

func (sh *shard) appendSound(c *Call, l layout, data []byte) error {
	f := &c.files
	before := f.rec.size
	if err := f.rec.append(data); err != nil {
		return err
	}
	f.recFrames += int64(len(data) / l.frameBytes())
	sh.s.metrics.recBytes.Add(float64(f.rec.size - before))
	c.state.mu.Lock()
	c.state.peaks.addChunk(l, data)
	c.state.row.RecDurationMs = f.recFrames * 20
	c.state.row.RecBytes = f.rec.size
	c.state.mu.Unlock()
	return nil
}

func (sh *shard) stopRecording(c *Call, entries []event.Entry, ended bool, err error) []event.Entry {
	c.recording.Store(false)
	c.lanes.stop()
	c.files.recBroken = true
	sh.s.metrics.recFailures.Inc()
	sh.log.Error("a recording stopped", "call", c.id, "error", err)
	at := c.files.recFrames / 50
	if isDiskFull(err) {
		return sh.alert(c, entries, ended, codeDiskFull,
			fmt.Sprintf("The recording stopped after %d s: the disk is full. The call goes on. Make room in the data directory.", at))
	}
	if errors.Is(err, errNoFileKey) {
		return sh.alert(c, entries, ended, codeRecordKey,
			"The call is not recorded: the organisation's data key cannot be had. The call goes on. See that the key service answers; the log says why.")
	}
	return sh.alert(c, entries, ended, codeRecordStop,
		fmt.Sprintf("The recording stopped after %d s: its file could not be written. The call goes on; the log says why.", at))
}

// finish closes the files of a call that has ended, and leaves the rest to the saver and the finisher.
func (sh *shard) finish(c *Call) {
	f := &c.files
	for _, sf := range []*spoolFile{f.log, f.rec} {
		if sf == nil {
			continue
		}
		if err := sf.close(); err != nil {
			sh.log.Error("a call's file could not be closed", "call", c.id, "error", err)
		}
	}
	if f.backlogCount > 0 {
		sh.s.metrics.entriesDropped.Add(float64(f.backlogCount))
	}
	f.closed = true
	c.state.mu.Lock()
	st := &c.state
	st.row.end(*st.ending)
	st.turns = append(st.turns, st.derived.openTurns()...)
	st.derived.open = nil
	st.partial = nil
	st.derived.activity = ""
	st.small = smallFiles{f.log.small(), f.rec.small()}
	if st.small.log != nil {
		st.row.LogKey = inDB
	}
	if st.small.rec != nil {
		st.row.RecKey, st.row.RecState = inDB, string(RecordingAvailable)
	}
	if f.recFrames == 0 {
		st.row.RecState = string(RecordingNone)
		if f.recBroken {
			st.row.RecState = string(RecordingFailed)
		}
	}
	st.final = true
	st.facts = append(st.facts, st.row.endFact())
	at, of := *st.row.EndedAt, st.row.of()
	c.state.mu.Unlock()
	sh.s.metrics.ended.Inc()
	sh.s.live.PublishLive(c.org, event.CallStatus{CallOf: of, CallID: c.id, Status: string(StatusEnded), At: at})
}

func (r *callRow) endFact() event.CallEnded {
	return event.CallEnded{CallOf: r.of(), CallID: r.ID, OrgID: r.OrganisationID, EndedBy: r.EndedBy, EndReason: r.EndReason,
		DurationMS: r.DurationMs, EndedAt: *r.EndedAt, Direction: r.Direction, AnsweredAt: value(r.AnsweredAt), Status: r.EndStatus,
		Result: string(r.result()), TrunkID: r.TrunkID}
}

// outcomeFact completes an outcome of the log, whose times count from zero.
func (r *callRow) outcomeFact(e event.CallOutcome, zero int64) event.CallOutcome {
	e.CallOf, e.CallID, e.OrgID, e.At = r.of(), r.ID, r.OrganisationID, zero+e.At
	return e
}

// smallFiles are the files of a call that was over before they were on disk. They are saved with its row.
type smallFiles struct{ log, rec []byte }

func (s smallFiles) get(suffix string) []byte {
	if suffix == recSuffix {
		return s.rec
	}
	return s.log
}

// small gives the file's content, nil when it is on disk or holds nothing.
func (s *spoolFile) small() []byte {
	if s == nil || s.f != nil || s.seal.index < 2 {
		return nil
	}
	return s.mem
}
