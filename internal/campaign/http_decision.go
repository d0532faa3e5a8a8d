package campaign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func (s *Service) decisionRoutes(api huma.API) {
	huma.Register(api, operation("list-decisions", "GET", "/api/v1/decisions", "campaign:read", "List decisions to call and not to call, the newest first", 200), s.httpDecisions)
	huma.Register(api, operation("explain-decision", "GET", "/api/v1/decisions/explain", "campaign:read", "Tell in sentences why a number was called, or was not, at a time", 200), s.httpExplain)
	huma.Register(api, operation("get-decision", "GET", "/api/v1/decisions/{id}", "campaign:read", "Get a decision with every rule that was asked", 200), s.httpDecision)
	export := operation("export-campaign-decisions", "GET", "/api/v1/campaigns/{id}/decisions", "campaign:read", "A campaign's chain of decisions as a file that parley compliance verify proves offline", 200)
	export.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	huma.Register(api, export, s.httpExportDecisions)
}

type decisionsInput struct {
	Number     string    `query:"number" maxLength:"20" doc:"E.164"`
	LeadID     string    `query:"leadId" maxLength:"64"`
	CampaignID string    `query:"campaignId" maxLength:"64"`
	Rule       string    `query:"rule" maxLength:"100" doc:"The first that did not pass: us-fl/hours"`
	Allowed    string    `query:"allowed" enum:"yes,no"`
	From       time.Time `query:"from" doc:"At this time or later"`
	To         time.Time `query:"to" doc:"Before this time"`
	Cursor     string    `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit      int       `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

// DecisionsPage is a page of decisions.
type DecisionsPage struct {
	Items []Decision `json:"items" nullable:"false"`
	Next  *string    `json:"next" doc:"Cursor of the next page, null at the end"`
}

type decisionsBody struct{ Body DecisionsPage }

func (s *Service) httpDecisions(ctx context.Context, in *decisionsInput) (*decisionsBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	var rows []decisionRow
	err = s.c.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", org)
		if in.Number != "" {
			q = q.Where("number = ?", plus(in.Number))
		}
		for column, v := range map[string]string{"lead_id": in.LeadID, "campaign_id": in.CampaignID, "rule": in.Rule} {
			if v != "" {
				q = q.Where(column+" = ?", v)
			}
		}
		if in.Allowed != "" {
			q = q.Where("allowed = ?", in.Allowed == "yes")
		}
		if !in.From.IsZero() {
			q = q.Where("at >= ?", in.From.UnixMilli())
		}
		if !in.To.IsZero() {
			q = q.Where("at < ?", in.To.UnixMilli())
		}
		if in.Cursor != "" {
			ms, id, ok := strings.Cut(in.Cursor, ".")
			before, err := strconv.ParseInt(ms, 10, 64)
			if !ok || err != nil {
				return fault.Field("query.cursor", "this is no cursor; send next of the page before")
			}
			q = q.Where("(at < ? OR at = ? AND id < ?)", before, before, id)
		}
		return q.OrderExpr("at DESC, id DESC").Limit(int64(in.Limit) + 1).Scan(ctx)
	})
	if err != nil {
		return nil, err
	}
	out := &decisionsBody{DecisionsPage{Items: []Decision{}}}
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		last := rows[in.Limit-1]
		next := fmt.Sprintf("%d.%s", last.At, last.ID)
		out.Body.Next = &next
	}
	for i := range rows {
		d, err := rows[i].decision(s.c.Book)
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, d)
	}
	return out, nil
}

// plus gives a number its plus, which in a query is a space unless it was escaped.
func plus(number string) string {
	return "+" + strings.TrimPrefix(strings.TrimSpace(number), "+")
}

type decisionPath struct {
	ID string `path:"id" maxLength:"64" doc:"The decision's id"`
}

type decisionBody struct{ Body Decision }

func (s *Service) httpDecision(ctx context.Context, in *decisionPath) (*decisionBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	var row decisionRow
	err = s.c.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&row).Where("organisation_id = ?", org).Where("id = ?", in.ID).Scan(ctx)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no decision %q", in.ID)
	}
	if err != nil {
		return nil, err
	}
	d, err := row.decision(s.c.Book)
	if err != nil {
		return nil, err
	}
	return &decisionBody{d}, nil
}

type explainInput struct {
	Number string    `query:"number" required:"true" minLength:"1" maxLength:"20" doc:"E.164"`
	At     time.Time `query:"at" required:"true" doc:"RFC 3339; the whole minute counts"`
}

type explanationBody struct{ Body Explanation }

func (s *Service) httpExplain(ctx context.Context, in *explainInput) (*explanationBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.Explain(ctx, org, plus(in.Number), in.At)
	if err != nil {
		return nil, err
	}
	return &explanationBody{e}, nil
}

type exportDecisionsInput struct {
	ID     string `path:"id" maxLength:"64" doc:"The campaign's id; it may be deleted"`
	Format string `query:"format" enum:"jsonl" default:"jsonl"`
}

func (s *Service) httpExportDecisions(ctx context.Context, in *exportDecisionsInput) (*huma.StreamResponse, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	// It is noted first: whoever takes the file away has left the trace.
	err = s.c.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		chain, err := chainOf(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		if chain.Seq == 0 {
			if _, err := campaignByID(ctx, tx, in.ID); err != nil {
				return err
			}
		}
		return identity.Audit(ctx, tx, org, identity.Change{Action: "decisions.export", Kind: "campaign", ID: in.ID, After: map[string]int64{"upTo": chain.Seq}})
	})
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", "application/x-ndjson")
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "decisions-"+s.now().UTC().Format("20060102T150405Z")+".jsonl"))
		hc.SetStatus(http.StatusOK)
		if err := s.ExportDecisions(hc.Context(), org, in.ID, hc.BodyWriter()); err != nil && hc.Context().Err() == nil {
			s.c.Log.ErrorContext(hc.Context(), "an export of decisions was cut short", "campaign", in.ID, "error", err)
		}
	}}, nil
}
