package campaign

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"
	"github.com/xuri/excelize/v2"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	reportPage  = 500
	reportCalls = 50        // ids of a lead's calls in its row
	mostSheet   = 1_048_000 // rows that a sheet of Excel has
)

// Report is what came of a campaign.
type Report struct {
	Campaign     Campaign         `json:"campaign"`
	Leads        map[string]int64 `json:"leads" doc:"By state"`
	Outcomes     map[string]int64 `json:"outcomes" doc:"Attempts by how they ended"`
	Dispositions map[string]int64 `json:"dispositions"`
	Refused      map[string]int64 `json:"refused" doc:"Refusals to call, by the rule"`
	Attempts     int64            `json:"attempts"`
	PerLead      map[string]int64 `json:"attemptsPerLead" doc:"How many leads had so many attempts: {\"0\": 120, \"1\": 80}"`
	TalkMS       int64            `json:"talkMs"`
	Cost         float64          `json:"cost" doc:"In the currency of the budget, by its prices"`
	At           time.Time        `json:"at"`
}

// Report sums up a campaign.
func (s *Service) Report(ctx context.Context, orgID, id string) (Report, error) {
	r := Report{PerLead: map[string]int64{}, At: s.now().UTC()}
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := campaignByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if r.Campaign, err = row.campaign(); err != nil {
			return err
		}
		t, err := readTally(ctx, tx, id, 0, 0)
		if err != nil {
			return err
		}
		counts := t.sum()
		r.Leads, r.Outcomes = under(counts, "lead:"), under(counts, "outcome:")
		r.Dispositions, r.Refused = under(counts, "disposition:"), under(counts, "refused:")
		r.Attempts, r.TalkMS, r.Cost = counts["attempts"], counts["talkMs"], float64(counts["cost"])/1e6
		var per []struct{ Attempts, N int64 }
		err = tx.NewRaw("SELECT attempts, count(*) AS n FROM campaign_leads WHERE organisation_id = ? AND campaign_id = ? GROUP BY attempts", orgID, id).Scan(ctx, &per)
		if err != nil {
			return fmt.Errorf("count attempts of leads: %w", err)
		}
		for _, p := range per {
			r.PerLead[strconv.FormatInt(p.Attempts, 10)] = p.N
		}
		return nil
	})
	return r, err
}

// table is where rows of a report go.
type table interface {
	Row(cells []string) error
	Close() error
}

// csvTable writes CSV (RFC 4180) that no spreadsheet takes for formulas.
type csvTable struct{ w *csv.Writer }

// Row implements table.
func (t csvTable) Row(cells []string) error { return t.w.Write(harmless(cells)) }

// Close implements table.
func (t csvTable) Close() error {
	t.w.Flush()
	return t.w.Error()
}

// sheetTable writes an Excel file; rows beyond what fits into memory are in a temporary file. Its cells are text: no formula.
type sheetTable struct {
	to   io.Writer
	file *excelize.File
	rows *excelize.StreamWriter
	n    int
}

func newSheet(w io.Writer) (*sheetTable, error) {
	f := excelize.NewFile()
	rows, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		return nil, fmt.Errorf("begin an Excel file: %w", err)
	}
	return &sheetTable{to: w, file: f, rows: rows}, nil
}

// Row implements table.
func (t *sheetTable) Row(cells []string) error {
	if t.n++; t.n > mostSheet {
		return fault.New(fault.TooLarge, "an Excel file has at most %d rows; take CSV", mostSheet)
	}
	row := make([]any, len(cells))
	for i, c := range cells {
		row[i] = c
	}
	return t.rows.SetRow("A"+strconv.Itoa(t.n), row)
}

// Close implements table.
func (t *sheetTable) Close() error {
	if err := t.rows.Flush(); err != nil {
		return err
	}
	_, err := t.file.WriteTo(t.to)
	return err
}

// WriteReport writes one row for each lead, or for each attempt, as CSV or XLSX.
func (s *Service) WriteReport(ctx context.Context, orgID, id, rows, format string, w io.Writer) (err error) {
	var to table = csvTable{csv.NewWriter(w)}
	if format == "xlsx" {
		sheet, err := newSheet(w)
		if err != nil {
			return err
		}
		defer func() { _ = sheet.file.Close() }() // removes its temporary file
		to = sheet
	}
	if rows == "attempts" {
		err = s.reportAttempts(ctx, orgID, id, to)
	} else {
		err = s.reportLeads(ctx, orgID, id, to)
	}
	if err != nil {
		return err
	}
	return to.Close()
}

func (s *Service) reportLeads(ctx context.Context, orgID, id string, to table) error {
	var names []string
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		names, err = variablesOf(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	head := []string{"number", "name", "country", "region", "zone", "state", "outcome", "disposition", "attempts", "lastAttemptAt", "talkSeconds", "cost", "callIds", "why", "leadId"}
	for _, n := range names {
		head = append(head, "var:"+n)
	}
	if err := to.Row(append(head, "otherVariables")); err != nil {
		return err
	}
	for after := ""; ; {
		var rows []leadRow
		calls := map[string][]attemptRow{}
		err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
			rows, calls, err = leadsWithCalls(ctx, tx, id, after)
			return err
		})
		if err != nil {
			return err
		}
		for i := range rows {
			cells, err := leadCells(&rows[i], calls[rows[i].ID], names)
			if err != nil {
				return err
			}
			if err := to.Row(cells); err != nil {
				return err
			}
			after = rows[i].ID
		}
		if len(rows) < reportPage {
			return nil
		}
	}
}

// leadsWithCalls gives the next leads of a campaign and their attempts.
func leadsWithCalls(ctx context.Context, tx *db.Tx, id, after string) ([]leadRow, map[string][]attemptRow, error) {
	var rows []leadRow
	err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", id).Where("id > ?", after).OrderExpr("id").Limit(reportPage).Scan(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read leads: %w", err)
	}
	calls := map[string][]attemptRow{}
	var ids []string
	for i := range rows {
		if rows[i].Attempts > 0 {
			ids = append(ids, rows[i].ID)
		}
	}
	if len(ids) == 0 {
		return rows, calls, nil
	}
	var attempts []attemptRow
	err = tx.NewSelect().Model(&attempts).Column("id", "lead_id", "planned_at", "talk_ms", "cost").Where("organisation_id = ?", tx.OrgID()).
		Where("lead_id IN (?)", bun.List(ids)).OrderExpr("lead_id, position").Scan(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read attempts: %w", err)
	}
	for _, a := range attempts {
		calls[a.LeadID] = append(calls[a.LeadID], a)
	}
	return rows, calls, nil
}

func leadCells(r *leadRow, calls []attemptRow, names []string) ([]string, error) {
	vars := map[string]string{}
	if err := json.Unmarshal([]byte(r.Variables), &vars); err != nil {
		return nil, fmt.Errorf("variables of lead %s: %w", r.ID, err)
	}
	last, talk, cost := "", int64(0), int64(0)
	var ids []string
	for _, a := range calls {
		last = at(a.PlannedAt).Format(time.RFC3339)
		talk, cost = talk+a.TalkMS, cost+a.Cost
		if len(ids) < reportCalls {
			ids = append(ids, a.ID)
		}
	}
	out := []string{r.Number, r.Name, r.Country, r.Region, r.Zone, string(r.State), string(r.Outcome), r.Disposition, strconv.FormatInt(r.Attempts, 10), last,
		seconds(talk), money(cost), strings.Join(ids, " "), r.Why, r.ID}
	for _, n := range names {
		out = append(out, vars[n])
		delete(vars, n)
	}
	if len(vars) == 0 {
		return append(out, ""), nil
	}
	rest, err := json.Marshal(vars)
	return append(out, string(rest)), err
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 1, 64) }

func money(millionths int64) string { return strconv.FormatFloat(float64(millionths)/1e6, 'f', 4, 64) }

func (s *Service) reportAttempts(ctx context.Context, orgID, id string, to table) error {
	err := to.Row([]string{"callId", "leadId", "number", "attempt", "plannedAt", "answeredAt", "endedAt", "outcome", "disposition", "reason", "sipStatus", "talkSeconds", "cost", "caller", "trunkId"})
	if err != nil {
		return err
	}
	var last attemptRow
	for {
		var rows []attemptRow
		err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("campaign_id = ?", id).
				Where("planned_at > ? OR planned_at = ? AND id > ?", last.PlannedAt, last.PlannedAt, last.ID).OrderExpr("planned_at, id").Limit(reportPage).Scan(ctx)
		})
		if err != nil {
			return fmt.Errorf("read attempts: %w", err)
		}
		for _, a := range rows {
			ended := int64(0)
			if a.EndedAt != nil {
				ended = *a.EndedAt
			}
			err := to.Row([]string{a.ID, a.LeadID, a.Number, strconv.FormatInt(a.Position, 10), moment(a.PlannedAt), moment(a.AnsweredAt), moment(ended), string(a.Outcome), a.Disposition,
				a.Reason, strconv.FormatInt(a.Status, 10), seconds(a.TalkMS), money(a.Cost), a.Caller, a.TrunkID})
			if err != nil {
				return err
			}
			last = a
		}
		if len(rows) < reportPage {
			return nil
		}
	}
}

// moment writes a stored time; nothing for 0.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return at(ms).Format(time.RFC3339Nano)
}

func (s *Service) reportRoutes(api huma.API) {
	const at = "/api/v1/campaigns/{id}/report"
	huma.Register(api, operation("get-campaign-report", "GET", at, "campaign:read", "What came of a campaign", 200), s.httpReport)
	huma.Register(api, file(operation("download-campaign-report", "GET", at+"/file", "campaign:read", "A row for each lead or each attempt, as CSV or XLSX", 200), "text/csv", xlsxType), s.httpReportFile)
}

const xlsxType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

type reportBody struct{ Body Report }

type reportFileInput struct {
	ID     string `path:"id" maxLength:"64" doc:"The campaign's id"`
	Format string `query:"format" enum:"csv,xlsx" default:"csv"`
	Rows   string `query:"rows" enum:"leads,attempts" default:"leads"`
}

func (s *Service) httpReport(ctx context.Context, in *campaignPath) (*reportBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.Report(ctx, org, in.ID)
	return &reportBody{r}, err
}

func (s *Service) httpReportFile(ctx context.Context, in *reportFileInput) (*huma.StreamResponse, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	// It is noted first: whoever takes the file away has left the trace.
	err = s.c.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		c, err := campaignByID(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		total, err := readTally(ctx, tx, c.ID, 0, 0)
		if err != nil {
			return err
		}
		if n := countLeads(total); in.Format == "xlsx" && in.Rows == "leads" && n >= mostSheet {
			return fault.Field("query.format", "an Excel file has at most %d rows, the campaign %d leads; take CSV", mostSheet, n)
		}
		return identity.Audit(ctx, tx, org, identity.Change{Action: "campaign.report", Kind: "campaign", ID: in.ID, After: map[string]string{"format": in.Format, "rows": in.Rows}})
	})
	if err != nil {
		return nil, err
	}
	kind, name := "text/csv; charset=utf-8", fmt.Sprintf("campaign-%s-%s.%s", in.ID, in.Rows, in.Format)
	if in.Format == "xlsx" {
		kind = xlsxType
	}
	return s.stream(kind, name, func(ctx context.Context, w io.Writer) error {
		return s.WriteReport(ctx, org, in.ID, in.Rows, in.Format, w)
	}), nil
}

func countLeads(t tally) (n int64) {
	for _, state := range dial.States {
		n += t[0]["lead:"+string(state)]
	}
	return n
}
