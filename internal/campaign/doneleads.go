package campaign

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
)

const doneLeadsMost = 1000 // groups: dispositions are the agents' own words

// DoneLeads are the leads that are done of one outcome and disposition: what Recycle would have called again.
type DoneLeads struct {
	Outcome     dial.Outcome `json:"outcome" doc:"Of the last attempt; empty: there was none"`
	Disposition string       `json:"disposition"`
	Leads       int64        `json:"leads"`
	Spent       int64        `json:"spent" doc:"Of these, how many had as many attempts as the campaign allows: recycled, they would be done again at once"`
}

// DoneLeads counts the leads that are done by how they ended; importID "" counts those of every import.
func (s *Service) DoneLeads(ctx context.Context, orgID, campaignID, importID string) (out []DoneLeads, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := campaignByID(ctx, tx, campaignID)
		if err != nil {
			return err
		}
		c, err := row.campaign()
		if err != nil {
			return err
		}
		q := tx.NewSelect().Table("campaign_leads").Column("outcome", "disposition").ColumnExpr("count(*) AS leads").
			ColumnExpr(`sum(CASE WHEN attempts >= ? AND (SELECT count(*) FROM campaign_attempts a WHERE a.organisation_id = campaign_leads.organisation_id
				AND a.lead_id = campaign_leads.id AND a.outcome <> ?) >= ? THEN 1 ELSE 0 END) AS spent`, c.Settings.Retry.Total, dial.Unplaced, c.Settings.Retry.Total).
			Where("organisation_id = ?", orgID).Where("campaign_id = ?", campaignID).Where("state = ?", dial.Done)
		if importID != "" {
			q = q.Where("import_id = ?", importID)
		}
		if err := q.Group("outcome", "disposition").OrderExpr("leads DESC, outcome, disposition").Limit(doneLeadsMost).Scan(ctx, &out); err != nil {
			return fmt.Errorf("count leads that are done: %w", err)
		}
		return nil
	})
	return out, err
}

func (s *Service) doneLeadsRoutes(api huma.API) {
	huma.Register(api, operation("count-done-campaign-leads", "GET", "/api/v1/campaigns/{id}/done-leads", "campaign:read", "How many leads are done, by how they ended: whom recycling would have called again", 200), s.httpDoneLeads)
}

type doneLeadsInput struct {
	ID       string `path:"id" maxLength:"64" doc:"The campaign's id"`
	ImportID string `query:"importId" maxLength:"64" doc:"Those of this import only"`
}

type doneLeadsBody struct {
	Body struct {
		Items []DoneLeads `json:"items" doc:"The most first"`
	}
}

func (s *Service) httpDoneLeads(ctx context.Context, in *doneLeadsInput) (*doneLeadsBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	out := &doneLeadsBody{}
	out.Body.Items, err = s.DoneLeads(ctx, org, in.ID, in.ImportID)
	return out, err
}
