package conversation

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// CallEntry is one line of a call's event log, with the time of day.
type CallEntry struct {
	Seq  int64           `json:"seq"`
	At   time.Time       `json:"at"`
	AtUS int64           `json:"atUs" doc:"Microseconds since the call was answered, negative before"`
	Kind event.EntryKind `json:"kind"`
	Turn int             `json:"turn"`
	Gen  int             `json:"gen"`
	Text string          `json:"text"`
	Data map[string]any  `json:"data"`
}

// EventQuery asks for a page of the log.
type EventQuery struct {
	After int64             // seq of the last entry that is known
	Kinds []event.EntryKind // empty is all
	Limit int
}

// logReader reads an event log, chunk by chunk, in memory that does not grow with its length.
type logReader struct {
	u    *unsealer
	head logHead
}

func openLogFile(src io.ReaderAt, keyOf keyFinder, call string) (*logReader, error) {
	u, err := openSealed(src, keyOf, "log "+call)
	if err != nil {
		return nil, err
	}
	b, err := u.read()
	if err != nil {
		return nil, noMore(err)
	}
	r := &logReader{u: u}
	if err := json.Unmarshal(b, &r.head); err != nil {
		return nil, fmt.Errorf("event log of call %s: %w", call, err)
	}
	return r, nil
}

// noMore makes io.EOF, where there should be more, errTorn.
func noMore(err error) error {
	if errors.Is(err, io.EOF) {
		return errTorn
	}
	return err
}

// chunk gives the lines of the next chunk, the number of the first and how many there are.
func (r *logReader) chunk() (lines []byte, first, count int64, err error) {
	b, err := r.u.read()
	if err != nil {
		return nil, 0, 0, err
	}
	f, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, 0, 0, errForged
	}
	c, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return nil, 0, 0, errForged
	}
	return b[n+m:], int64(f), int64(c), nil
}

// each calls fn for every line after seq, until fn returns false. A file that ends within a chunk is
// read up to there: its writer was killed, or is just writing.
func (r *logReader) each(after int64, fn func(line []byte) (bool, error)) error {
	for {
		lines, first, count, err := r.chunk()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return nil
		case err != nil:
			return err
		case first+count-1 <= after: // known already, not even parsed
			continue
		}
		for all := (&logLines{lines: lines}); all.next(); first++ {
			if first <= after {
				continue
			}
			if more, err := fn(all.line); !more || err != nil {
				return err
			}
		}
	}
}

// logLines walks over the lines of a chunk.
type logLines struct{ lines, line []byte }

func (l *logLines) next() bool {
	end := bytes.IndexByte(l.lines, '\n')
	if end < 0 {
		return false
	}
	l.line, l.lines = l.lines[:end], l.lines[end+1:]
	return true
}

// logChunk appends the content of one chunk: the number of its first entry, how many there are, the lines.
func logChunk(dst []byte, first int64, count int, lines []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(first))
	dst = binary.AppendUvarint(dst, uint64(count))
	return append(dst, lines...)
}

// Events gives a page of the log and the cursor of the next, 0 at the end.
func (s *Service) Events(ctx context.Context, org, id string, q EventQuery) ([]CallEntry, int64, error) {
	items, next := []CallEntry{}, int64(0)
	err := s.readLog(ctx, org, id, q.After, func(zero time.Time, line []byte) (bool, error) {
		e, ok, err := decodeEntry(line, q.Kinds)
		if err != nil || !ok {
			return true, err
		}
		if len(items) == q.Limit {
			next = items[len(items)-1].Seq
			return false, nil
		}
		items = append(items, showEntry(&e, zero))
		return true, nil
	})
	return items, next, err
}

// StreamEvents calls fn with every line of the log, as it was written.
func (s *Service) StreamEvents(ctx context.Context, org, id string, fn func(line []byte) error) error {
	return s.readLog(ctx, org, id, 0, func(_ time.Time, line []byte) (bool, error) {
		return true, fn(line)
	})
}

func (s *Service) readLog(ctx context.Context, org, id string, after int64, fn func(time.Time, []byte) (bool, error)) error {
	row, src, err := s.openFile(ctx, org, id, logSuffix)
	if err != nil {
		return err
	}
	if src == nil { // nothing has been logged yet
		return nil
	}
	defer src.close()
	r, err := openLogFile(src, s.keyOf(ctx, org), id)
	if errors.Is(err, errTorn) {
		return nil
	}
	if err != nil {
		return wrapFile(err)
	}
	zero := fromMs(row.zero())
	return wrapFile(r.each(after, func(line []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		return fn(zero, line)
	}))
}

func decodeEntry(line []byte, kinds []event.EntryKind) (e event.Entry, ok bool, err error) {
	if err := json.Unmarshal(line, &e); err != nil {
		return e, false, fmt.Errorf("%w: %w", errForged, err)
	}
	return e, len(kinds) == 0 || slices.Contains(kinds, e.Kind), nil
}

func showEntry(e *event.Entry, zero time.Time) CallEntry {
	v := CallEntry{Seq: e.Seq, At: zero.Add(time.Duration(e.AtUS) * time.Microsecond), AtUS: e.AtUS, Kind: e.Kind, Turn: e.Turn,
		Gen: e.Gen, Text: e.Text, Data: e.Data}
	if v.Data == nil {
		v.Data = map[string]any{}
	}
	return v
}

// CallSignal is one message of the signalling ladder.
type CallSignal struct {
	Seq     int64   `json:"seq"`
	AtMs    float64 `json:"atMs" doc:"Since the call was answered, negative before"`
	Sent    bool    `json:"sent" doc:"By us"`
	Summary string  `json:"summary"`
	Peer    string  `json:"peer"`
	Raw     string  `json:"raw"`
}

// Signals gives a page of the ladder.
func (s *Service) Signals(ctx context.Context, org, id string, after int64, limit int) ([]CallSignal, int64, error) {
	entries, next, err := s.Events(ctx, org, id, EventQuery{After: after, Kinds: []event.EntryKind{event.EntrySignal}, Limit: limit})
	items := make([]CallSignal, 0, len(entries))
	for _, e := range entries {
		items = append(items, CallSignal{Seq: e.Seq, AtMs: float64(e.AtUS) / 1000, Sent: flag(e.Data, "sent"), Summary: e.Text,
			Peer: str(e.Data, "peer"), Raw: str(e.Data, "raw")})
	}
	return items, next, err
}

// wrapFile makes errors of files fit for a person.
func wrapFile(err error) error {
	var f *fault.Error
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "Reading the call's file took too long.")
	case errors.Is(err, envelope.ErrNoKey):
		return fault.Wrap(fault.NotPossible, err, "The call's file cannot be read any more: the organisation's data key was destroyed.")
	case errors.Is(err, errForged):
		return fault.Wrap(fault.Internal, err, "The call's file cannot be decrypted: it was damaged, or the key is another one than when it was written.")
	default:
		return fault.Wrap(fault.Internal, err, "The call's file could not be read.")
	}
}
