package conversation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// bare takes out of an address what people put between digits.
func bare(column string) string {
	for _, c := range []string{" ", "-", ".", "(", ")", "/"} {
		column = "replace(" + column + ", '" + c + "', '')"
	}
	return column
}

// addressed is true where a row's addresses may be a person's. It has four arguments, all the same pattern.
var addressed = func() string {
	var parts []string
	for _, col := range []string{"from_addr", "to_addr"} {
		parts = append(parts, "lower("+col+`) LIKE ? ESCAPE '\'`, "lower("+bare(col)+`) LIKE ? ESCAPE '\'`)
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}()

// callsOf calls fn with the calls of a person, some at a time. Needle finds candidates, match decides.
func (s *Service) callsOf(ctx context.Context, org, needle string, match func(string) bool, fn func(ctx context.Context, rows []callRow) error) error {
	like := "%" + likeEscape.Replace(strings.ToLower(needle)) + "%"
	for after := ""; ; {
		var rows []callRow
		err := s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Where("c.organisation_id = ? AND c.id > ?", org, after).
				Where("("+addressed+" OR c.id IN (SELECT call_id FROM call_legs WHERE organisation_id = ? AND "+addressed+"))",
					like, like, like, like, org, like, like, like, like).OrderExpr("c.id").Limit(purgeBatch).Scan(ctx)
		})
		if err != nil {
			return wrapRead(err)
		}
		if len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].ID
		parties, err := s.parties(ctx, org, rows)
		if err != nil {
			return err
		}
		var theirs []callRow
		for i := range rows {
			for _, p := range parties[rows[i].ID] {
				if match(p) {
					theirs = append(theirs, rows[i])
					break
				}
			}
		}
		if err := fn(ctx, theirs); err != nil {
			return err
		}
	}
}

// ExportPerson hands over a person's calls: the record, what was said, the event log and the sound of each.
func (s *Service) ExportPerson(ctx context.Context, org, needle string, match func(string) bool, put func(string, func(io.Writer) error) error) error {
	return s.callsOf(ctx, org, needle, match, func(ctx context.Context, rows []callRow) error {
		for i := range rows {
			if err := s.exportCall(ctx, org, &rows[i], put); err != nil {
				return fmt.Errorf("export call %s: %w", rows[i].ID, err)
			}
		}
		return nil
	})
}

func (s *Service) exportCall(ctx context.Context, org string, row *callRow, put func(string, func(io.Writer) error) error) error {
	dir := "calls/" + row.ID + "/"
	detail, err := s.Get(ctx, org, row.ID)
	if err != nil {
		return err
	}
	if err := put(dir+"call.json", func(w io.Writer) error { return json.NewEncoder(w).Encode(detail) }); err != nil {
		return err
	}
	err = put(dir+"transcript.ndjson", func(w io.Writer) error {
		enc := json.NewEncoder(w)
		return s.EachItem(ctx, org, row.ID, func(it TranscriptItem) error { return enc.Encode(it) })
	})
	if err != nil {
		return err
	}
	err = put(dir+"events.ndjson", func(w io.Writer) error {
		return s.StreamEvents(ctx, org, row.ID, func(line []byte) error {
			_, err := w.Write(append(line[:len(line):len(line)], '\n'))
			return err
		})
	})
	if err != nil {
		return err
	}
	rec, err := s.OpenRecording(ctx, org, row.ID, "")
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.NotPossible) {
		return nil // there is none
	}
	if err != nil {
		return err
	}
	defer rec.Close()
	return put(dir+"recording.wav", func(w io.Writer) error {
		_, err := io.Copy(w, rec)
		return err
	})
}

// ErasePerson deletes a person's calls with everything of them, except those that keep says are held. A call that goes on,
// or whose files are not stored yet, is an error: it is to be tried again.
func (s *Service) ErasePerson(ctx context.Context, org, needle string, match func(string) bool, keep func(string, ...string) bool) (map[string]int64, int64, error) {
	erased, kept, waiting := map[string]int64{}, int64(0), 0
	err := s.callsOf(ctx, org, needle, match, func(ctx context.Context, rows []callRow) error {
		free, held, err := s.unheld(ctx, org, rows, keep)
		if err != nil {
			return err
		}
		kept += held
		waiting += len(rows) - len(free) - int(held)
		n, err := s.purgeBatch(ctx, org, classCalls, free, identity.Change{Action: "person.calls.delete", Kind: classCalls})
		for k, v := range n {
			erased[k] += v
		}
		return err
	})
	if err == nil && waiting > 0 {
		err = fault.New(fault.Unavailable, "%d calls of the person go on, or their files are not stored yet; it is tried again", waiting)
	}
	return erased, kept, err
}
