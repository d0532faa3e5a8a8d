package conversation

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const resealPage = 50

// ResealFiles encrypts files of ended calls of an organisation anew that are under an older version of its data key than new files
// are, or under the master key of before, until limit files were written. It goes on where it was, however it ends: a file is replaced when the
// new one is whole, and a call's row names the new key only once a later run has found its files to be under it. Two runs, for
// an organisation's move to another region may begin while one writes; who calls it leaves out organisations that are moving.
func (s *Service) ResealFiles(ctx context.Context, org string, limit int) (files int, err error) {
	current, err := s.keys.FileKey(ctx, org, filePurpose)
	if err != nil {
		return 0, err
	}
	for at := (cursor{}); ctx.Err() == nil; {
		rows, err := s.underOldKeys(ctx, org, current.ID, at)
		if err != nil || len(rows) == 0 {
			return files, err
		}
		at = cursor{rows[len(rows)-1].StartedAt, rows[len(rows)-1].ID}
		var done []string
		for i := range rows {
			if files >= limit || ctx.Err() != nil {
				break
			}
			if !s.settled(&rows[i]) {
				continue // its turn comes later
			}
			n, err := s.resealCall(ctx, &rows[i], current)
			files += n
			switch {
			case errors.Is(err, errForged), errors.Is(err, errTorn), errors.Is(err, envelope.ErrNoKey): // nobody can read it; it stays as it is
				s.log.ErrorContext(ctx, "a call's file cannot be encrypted anew", "organisation", org, "call", rows[i].ID, "error", err)
			case err != nil:
				return files, err
			case n == 0:
				done = append(done, rows[i].ID)
			}
		}
		if err := s.nameKey(ctx, org, current.ID, done); err != nil || files >= limit {
			return files, err
		}
	}
	return files, ctx.Err()
}

// underOldKeys gives ended calls whose rows name another key than the current one.
func (s *Service) underOldKeys(ctx context.Context, org string, current envelope.KeyID, at cursor) (rows []callRow, err error) {
	err = s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("c.organisation_id = ? AND c.status = 'ended' AND c.file_key <> ?", org, current.String()).
			Where("c.rec_key <> '' OR c.log_key <> ''").Where("(c.started_at, c.id) > (?, ?)", at.At, at.ID).
			OrderExpr("c.started_at, c.id").Limit(resealPage).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("find files under old keys: %w", err)
	}
	return rows, nil
}

// nameKey notes what the files of some calls are under.
func (s *Service) nameKey(ctx context.Context, org string, id envelope.KeyID, calls []string) error {
	if len(calls) == 0 {
		return nil
	}
	return s.db.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*callRow)(nil)).Set("file_key = ?", id.String()).
			Where("c.organisation_id = ? AND c.id IN (?)", org, bun.List(calls)).Exec(ctx)
		return err
	})
}

// resealCall writes those of a call's files anew that are not under the current key.
func (s *Service) resealCall(ctx context.Context, row *callRow, current envelope.FileKey) (files int, err error) {
	for kind, key := range map[FileKind]string{FileRecording: row.RecKey, FileEvents: row.LogKey} {
		if key == "" {
			continue
		}
		wrote, err := s.resealFile(ctx, row, kind, key, current)
		if err != nil {
			return files, fmt.Errorf("encrypt the %s of call %s anew: %w", kind, row.ID, err)
		}
		if wrote {
			files++
		}
	}
	return files, nil
}

// resealFile writes one file anew in the place where it is, unless it is under the current key.
func (s *Service) resealFile(ctx context.Context, row *callRow, kind FileKind, key string, current envelope.FileKey) (wrote bool, err error) {
	_, src, err := s.openFile(ctx, row.OrganisationID, row.ID, kind.suffix())
	if err != nil || src == nil {
		return false, err
	}
	defer src.close()
	h, err := readHead(src)
	if err != nil || !h.legacy && h.key == current.ID {
		return false, err
	}
	u, err := openSealed(src, s.keyOf(ctx, row.OrganisationID), kind.purpose(row.ID))
	if err != nil {
		return false, err
	}
	if _, err := u.read(); err != nil { // nothing of it opens, so nothing is to be written in its place
		return false, err
	}
	u.seek(h.size, 0)
	seal, err := newSealer(current, row.OrganisationID, kind.purpose(row.ID))
	if err != nil {
		return false, err
	}
	r := &sealing{seal: seal, buf: seal.head, next: func() ([]byte, error) {
		piece, err := u.read()
		switch {
		case errors.Is(err, errTorn): // its writer was killed: what was whole is all there is
			err = io.EOF
		case err == nil:
			err = ctx.Err()
		}
		return piece, err
	}}
	if key != inDB {
		return true, s.blobs.Put(ctx, key, r)
	}
	b, err := io.ReadAll(r) // it is in memory already, and small
	if err != nil {
		return false, err
	}
	return true, s.db.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		return put(ctx, tx, []fileRow{{OrganisationID: row.OrganisationID, CallID: row.ID, Suffix: kind.suffix(), Data: b}}, "call_id, suffix", "data")
	})
}
