package conversation

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/search"
)

const reindexBatch = 100 // calls that are indexed together

// Reindex puts what was said in an organisation's calls into the search index: one that was lost, or that of another region.
func (s *Service) Reindex(ctx context.Context, org string) error {
	if s.search == nil {
		return nil
	}
	for after := ""; ; {
		var rows []callRow
		err := s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Where("c.organisation_id = ? AND c.id > ? AND c.status = ? AND c.answered_at IS NOT NULL", org, after, StatusEnded).
				OrderExpr("c.id").Limit(reindexBatch).Scan(ctx)
		})
		if err != nil {
			return fmt.Errorf("read the calls to be indexed: %w", err)
		}
		docs := make([]search.Doc, 0, len(rows))
		for i := range rows {
			doc, err := s.document(ctx, &rows[i])
			if err != nil {
				return err
			}
			docs = append(docs, doc)
			after = rows[i].ID
		}
		if err := s.search.Put(ctx, org, docs); err != nil {
			return fmt.Errorf("index calls: %w", err)
		}
		if len(rows) < reindexBatch {
			return nil
		}
	}
}
