package campaign

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Lead is a person of a campaign's list.
type Lead struct {
	ID          string            `json:"id"`
	CampaignID  string            `json:"campaignId"`
	ImportID    string            `json:"importId" doc:"Empty: it was added by itself"`
	Line        int64             `json:"line" doc:"Of the file"`
	Number      string            `json:"number" doc:"E.164"`
	Name        string            `json:"name"`
	Country     string            `json:"country" doc:"Of the address, ISO 3166-1 alpha-2"`
	Region      string            `json:"region"`
	Zone        string            `json:"zone" doc:"IANA"`
	Variables   map[string]string `json:"variables"`
	State       dial.State        `json:"state" enum:"new,waiting,dialling,in_call,done,do_not_call"`
	Outcome     dial.Outcome      `json:"outcome" doc:"Of the last attempt; empty: there was none"`
	Disposition string            `json:"disposition" doc:"What the agent, or the outcome mapping, made of it"`
	Attempts    int64             `json:"attempts"`
	Why         string            `json:"why" doc:"Why it is in this state, in a sentence"`
	DueAt       *time.Time        `json:"dueAt" doc:"When it is called next, at the earliest; null: never"`
	UpdatedAt   time.Time         `json:"updatedAt"`
}

// leadRow is a lead as it is stored.
type leadRow struct {
	bun.BaseModel `bun:"table:campaign_leads"`

	ID             string `bun:",pk"`
	OrganisationID string
	CampaignID     string
	ImportID       string
	Line           int64
	Number         string
	Name           string
	Country        string
	Region         string
	Zone           string
	Variables      string // JSON
	State          dial.State
	Outcome        dial.Outcome
	Disposition    string
	Attempts       int64
	Why            string
	Urgency        dial.Rank
	DueAt          *int64
	UpdatedAt      int64
}

func (r *leadRow) lead() (Lead, error) {
	l := Lead{ID: r.ID, CampaignID: r.CampaignID, ImportID: r.ImportID, Line: r.Line, Number: r.Number, Name: r.Name, Country: r.Country, Region: r.Region, Zone: r.Zone,
		State: r.State, Outcome: r.Outcome, Disposition: r.Disposition, Attempts: r.Attempts, Why: r.Why, UpdatedAt: at(r.UpdatedAt)}
	if r.DueAt != nil {
		t := at(*r.DueAt)
		l.DueAt = &t
	}
	if err := json.Unmarshal([]byte(r.Variables), &l.Variables); err != nil {
		return l, fmt.Errorf("variables of lead %s: %w", r.ID, err)
	}
	return l, nil
}

// attemptRow is an attempt as it is stored.
type attemptRow struct {
	bun.BaseModel `bun:"table:campaign_attempts"`

	ID             string `bun:",pk"`
	OrganisationID string
	CampaignID     string
	LeadID         string
	Position       int64
	Number         string
	Zone           string
	Fence          int64
	DecisionID     string
	PlannedAt      int64
	AnsweredAt     int64
	EndedAt        *int64
	Outcome        dial.Outcome
	Disposition    string
	CallbackAt     int64
	Reason         string
	Status         int64
	TalkMS         int64 `bun:"talk_ms"`
	Cost           int64
	TrunkID        string
	Caller         string
}

func leadByID(ctx context.Context, tx *db.Tx, campaignID, id string) (*leadRow, error) {
	var row leadRow
	err := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", campaignID).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "the campaign has no lead %q", id)
	}
	if err != nil {
		return nil, fmt.Errorf("select lead: %w", err)
	}
	return &row, nil
}

// setLead writes where a lead is in its life.
func setLead(ctx context.Context, tx *db.Tx, row *leadRow) error {
	_, err := tx.NewUpdate().Model(row).Column("state", "outcome", "disposition", "attempts", "why", "urgency", "due_at", "updated_at").
		Where("organisation_id = ?", tx.OrgID()).Where("id = ?", row.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update lead: %w", err)
	}
	return nil
}

// setLeads is setLead of many, some in one statement.
func setLeads(ctx context.Context, tx *db.Tx, rows []*leadRow) error {
	cast := "?"
	if tx.Dialect() == db.Postgres { // what is NULL in every row has no type there
		cast = "CAST(? AS BIGINT)"
	}
	for chunk := range slices.Chunk(rows, rowsAtOnce) {
		query := "WITH v (id, state, outcome, disposition, attempts, why, urgency, due_at, updated_at) AS (VALUES "
		var ids []string
		var args []any
		for i, r := range chunk {
			if i > 0 {
				query += ", "
			}
			query += "(?, ?, ?, ?, ?, ?, ?, " + cast + ", ?)"
			ids = append(ids, r.ID)
			args = append(args, r.ID, r.State, r.Outcome, r.Disposition, r.Attempts, r.Why, r.Urgency, r.DueAt, r.UpdatedAt)
		}
		// The ids are named once more, and the organisation is compared in a way that no index helps with, so that leads are found by
		// their ids: PostgreSQL knows nothing of a list that was just imported, thinks it short, and would compare all of it with each.
		query += `) UPDATE campaign_leads SET state = v.state, outcome = v.outcome, disposition = v.disposition, attempts = v.attempts, why = v.why, urgency = v.urgency,
			due_at = v.due_at, updated_at = v.updated_at FROM v WHERE campaign_leads.organisation_id || '' = ? AND campaign_leads.id IN (?) AND campaign_leads.id = v.id`
		if _, err := tx.ExecContext(ctx, query, append(args, tx.OrgID(), bun.List(ids))...); err != nil {
			return fmt.Errorf("update leads: %w", err)
		}
	}
	return nil
}

// apply brings a lead where n says.
func (r *leadRow) apply(n dial.Next, now time.Time, t tally) {
	t.move(string(r.State), string(n.State), 1)
	r.State, r.Why, r.DueAt, r.UpdatedAt = n.State, n.Says, nil, now.UnixMilli()
	if n.State == dial.Waiting {
		due := n.At.UnixMilli()
		r.DueAt, r.Urgency = &due, n.Rank
	}
}
