package campaign

import (
	"context"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
)

// ProgressOf is how one of several campaigns goes.
type ProgressOf struct {
	ID string `json:"id" doc:"The campaign's id"`
	Progress
}

// ManyProgress tells how several campaigns go, in a fixed number of queries. Those that are not there are left out.
func (s *Service) ManyProgress(ctx context.Context, orgID string, ids []string) ([]ProgressOf, error) {
	out := []ProgressOf{}
	if len(ids) == 0 {
		return out, nil
	}
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		var rows []campaignRow
		err := tx.NewSelect().Model(&rows).Column("id", "state", "why").Where("organisation_id = ?", orgID).Where("id IN (?)", bun.List(ids)).OrderExpr("id DESC").Scan(ctx)
		if err != nil {
			return fmt.Errorf("select campaigns: %w", err)
		}
		now := s.now()
		sums, err := tallies(ctx, tx, ids, 0, 0)
		if err != nil {
			return err
		}
		months, err := tallies(ctx, tx, ids, now.Add(-30*24*time.Hour).Unix()/3600, now.Unix()/3600)
		if err != nil {
			return err
		}
		for i := range rows {
			p := ProgressOf{ID: rows[i].ID, Progress: Progress{State: rows[i].State, Why: rows[i].Why, At: now.UTC()}}
			p.count(sums[p.ID])
			p.DropRate = dropped(under(months[p.ID], "outcome:"))
			out = append(out, p)
		}
		return nil
	})
	for i := range out {
		if n, ok := s.live.of(out[i].ID); ok && out[i].State == Running {
			out[i].Now = n
		}
	}
	return out, err
}

// tallies gives the counts of several campaigns, from one hour to another, each summed up.
func tallies(ctx context.Context, tx *db.Tx, ids []string, from, to int64) (map[string]map[string]int64, error) {
	var rows []struct {
		CampaignID, What string
		N                int64
	}
	err := tx.NewRaw("SELECT campaign_id, what, CAST(sum(n) AS BIGINT) AS n FROM campaign_tally WHERE organisation_id = ? AND campaign_id IN (?) AND hour >= ? AND hour <= ? GROUP BY campaign_id, what",
		tx.OrgID(), bun.List(ids), from, to).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	out := map[string]map[string]int64{}
	for _, r := range rows {
		if out[r.CampaignID] == nil {
			out[r.CampaignID] = map[string]int64{}
		}
		out[r.CampaignID][r.What] = r.N
	}
	return out, nil
}

func (s *Service) manyProgressRoutes(api huma.API) {
	huma.Register(api, operation("list-campaign-progress", "GET", "/api/v1/campaign-progress", "campaign:read", "Tell how several campaigns go", 200), s.httpManyProgress)
}

type manyProgressInput struct {
	IDs []string `query:"ids" maxItems:"200" doc:"Ids of campaigns; those that are not there are left out of the answer"`
}

type manyProgressBody struct {
	Body struct {
		Items []ProgressOf `json:"items"`
	}
}

func (s *Service) httpManyProgress(ctx context.Context, in *manyProgressInput) (*manyProgressBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	out := &manyProgressBody{}
	out.Body.Items, err = s.ManyProgress(ctx, org, in.IDs)
	return out, err
}
