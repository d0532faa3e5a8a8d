package conversation

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// FileKind is a file of a call, for who carries an organisation elsewhere.
type FileKind string

// The kinds.
const (
	FileRecording FileKind = "recording"
	FileEvents    FileKind = "events"
)

// FileKinds are all kinds, with the column of the table calls that says where the file is.
func FileKinds() map[FileKind]string {
	return map[FileKind]string{FileRecording: "rec_key", FileEvents: "log_key"}
}

func (k FileKind) suffix() string {
	if k == FileRecording {
		return recSuffix
	}
	return logSuffix
}

// purpose is what the key of a call's file is made for.
func (k FileKind) purpose(call string) string { return k.suffix()[1:] + " " + call }

// ErrFileDamaged says that a call's file could not be read to its end: what was handed over is all there is.
var ErrFileDamaged = errors.New("conversation: the call's file is damaged")

// Unsettled gives the calls of an organisation that go on, or whose files are not stored yet: they cannot be carried anywhere.
func (s *Service) Unsettled(ctx context.Context, tx *db.Tx, org string) (ids []string, err error) {
	err = tx.NewSelect().Model((*callRow)(nil)).Column("c.id").Where("c.organisation_id = ?", org).
		Where("(c.status <> 'ended' OR c.rec_state = 'recording' OR (c.log_key = '' AND c.log_gone_at IS NULL AND c.ended_at > ?))",
			s.clock.Now().Add(-unmoved).UnixMilli()).OrderExpr("c.id").Scan(ctx, &ids)
	return ids, err
}

// Running counts the calls of an organisation that have not ended.
func (s *Service) Running(ctx context.Context, org string) (n int64, err error) {
	err = s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		n, err = tx.NewSelect().Model((*callRow)(nil)).Where("c.organisation_id = ? AND c.status <> 'ended'", org).Count(ctx)
		return err
	})
	return n, err
}

// Holds reports whether this process still has something of an organisation's calls to save or to store.
func (s *Service) Holds(org string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, c := range s.byID {
		if c.org == org {
			return true
		}
	}
	return false
}

// ReadFile hands over a call's file, decrypted, piece by piece as it was written; found is false when there is none. The
// first piece is JSON, and so are the lines of an event log.
func (s *Service) ReadFile(ctx context.Context, org, call string, kind FileKind, put func(piece []byte) error) (found bool, err error) {
	_, src, err := s.openFile(ctx, org, call, kind.suffix())
	if fault.Is(err, fault.NotFound) || err == nil && src == nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer src.close()
	u, err := openSealed(src, s.keyOf(ctx, org), kind.purpose(call))
	for err == nil {
		var piece []byte
		if piece, err = u.read(); err == nil {
			found = true
			if err := put(piece); err != nil {
				return true, err
			}
		}
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errTorn) && found:
		return found, nil
	case errors.Is(err, errForged), errors.Is(err, errTorn):
		return found, fmt.Errorf("%w: call %s: %w", ErrFileDamaged, call, err)
	}
	return found, wrapFile(err)
}

// WriteFile stores a call's file of the pieces that next gives until io.EOF, sealed for the organisation, where the call's row
// says that it is.
func (s *Service) WriteFile(ctx context.Context, org, call string, kind FileKind, key string, next func() ([]byte, error)) error {
	with, err := s.carriedKey(ctx, org, call)
	if err != nil {
		return err
	}
	seal, err := newSealer(with, org, kind.purpose(call))
	if err != nil {
		return err
	}
	r := &sealing{seal: seal, buf: seal.head, next: next}
	if key != inDB {
		return s.blobs.Put(ctx, key, r)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxLogBacklog+maxSealedChunk))
	if err != nil {
		return err
	}
	return s.db.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return put(ctx, tx, []fileRow{{OrganisationID: org, CallID: call, Suffix: kind.suffix(), Data: b}}, "call_id, suffix", "data")
	})
}

// carriedKey gives the key of a carried call's files: one for both, which the call's row names.
func (s *Service) carriedKey(ctx context.Context, org, call string) (f envelope.FileKey, err error) {
	row, err := s.row(ctx, org, call)
	if err != nil {
		return f, err
	}
	if f.ID, err = envelope.ParseKeyID(row.FileKey); err == nil {
		if f.Key, err = s.keys.FileKeyByID(ctx, org, f.ID, filePurpose); err == nil {
			return f, nil
		}
	}
	// It was the key of where the call comes from.
	if f, err = s.keys.FileKey(ctx, org, filePurpose); err != nil {
		return f, err
	}
	return f, s.db.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*callRow)(nil)).Set("file_key = ?", f.ID.String()).Where("organisation_id = ? AND id = ?", org, call).Exec(ctx)
		return err
	})
}

// FileGone notes that a call's file is no longer there.
func (s *Service) FileGone(ctx context.Context, org, call string, kind FileKind) error {
	class := classEventLogs
	if kind == FileRecording {
		class = classRecordings
	}
	return s.db.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error { return s.purgeRows(ctx, tx, org, class, []string{call}) })
}

// sealing reads as a sealed file what comes in pieces.
type sealing struct {
	seal *sealer
	next func() ([]byte, error)
	buf  []byte
	off  int
	err  error
}

// Read implements io.Reader.
func (r *sealing) Read(p []byte) (int, error) {
	for r.off == len(r.buf) {
		if r.err != nil {
			return 0, r.err
		}
		piece, err := r.next()
		if err != nil {
			r.err = err
			continue
		}
		if len(piece) > maxSealedChunk-sealedOverhead {
			return 0, fmt.Errorf("a piece of %d bytes is too large", len(piece))
		}
		r.buf, r.off = r.seal.seal(r.buf[:0], piece), 0
		r.seal.index++
	}
	n := copy(p, r.buf[r.off:])
	r.off += n
	return n, nil
}

// EraseSpool removes the files of an organisation's calls from this process's spool: of calls that its ids name.
func (s *Service) EraseSpool(ids map[string]bool) (n int64, err error) {
	spooled, err := s.spooledCalls()
	if err != nil {
		return 0, err
	}
	for _, id := range spooled {
		if ids[id] {
			s.finisher.clean(context.Background(), id)
			n++
		}
	}
	return n, nil
}
