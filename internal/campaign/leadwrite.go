package campaign

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
)

// newLead is a lead of a campaign that was not called yet and is due at once. An import and whoever adds leads one by one make
// them here, so that addLeads may take for granted what they have in common.
func newLead(tx *db.Tx, campaignID, importID string, now int64) leadRow {
	return leadRow{ID: newID(), OrganisationID: tx.OrgID(), CampaignID: campaignID, ImportID: importID, Variables: "{}", State: dial.New, Urgency: dial.RankNew,
		DueAt: &now, UpdatedAt: now}
}

// leadColumns are the columns that differ between new leads; the others are the first row's.
const leadColumns = 8

// sharedColumns are what new leads of one insert have in common.
func sharedColumns(campaignID string, r *leadRow) []any {
	return []any{r.OrganisationID, campaignID, r.ImportID, *r.DueAt, r.UpdatedAt, string(dial.New), int64(dial.RankNew)}
}

const insertLeads = `INSERT INTO campaign_leads (organisation_id, campaign_id, import_id, due_at, updated_at, state, urgency,
	outcome, disposition, attempts, why, id, line, number, name, country, region, zone, variables) `

// addLeads inserts new leads of a campaign, all due at the same time and of one import or of none, and gives how many were
// added: a number is in a campaign once. A million of them are added in a minute, so the statements are written by hand.
func addLeads(ctx context.Context, tx *db.Tx, campaignID string, rows []leadRow) (added int64, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	if tx.Dialect() == db.Postgres {
		added, err = addLeadsPostgres(ctx, tx, campaignID, rows)
	} else {
		added, err = addLeadsSQLite(ctx, tx, campaignID, rows)
	}
	if err != nil {
		return 0, fmt.Errorf("insert leads: %w", err)
	}
	t := tally{}
	t.add(0, "lead:"+string(dial.New), added)
	return added, t.save(ctx, tx, campaignID)
}

// addLeadsPostgres sends each column as one array.
func addLeadsPostgres(ctx context.Context, tx *db.Tx, campaignID string, rows []leadRow) (added int64, err error) {
	var texts [7][]string // id, number, name, country, region, zone, variables
	for i := range texts {
		texts[i] = make([]string, len(rows))
	}
	lines := make([]int64, len(rows))
	for i := range rows {
		r := &rows[i]
		lines[i] = r.Line
		for c, v := range [7]string{r.ID, r.Number, r.Name, r.Country, r.Region, r.Zone, r.Variables} {
			texts[c][i] = v
		}
	}
	const query = insertLeads + `SELECT $1, $2, $3, $4, $5, $6, $7, '', '', 0, '', u.* FROM unnest($8::text[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]) u
		ON CONFLICT (organisation_id, number, campaign_id) DO NOTHING`
	args := append([]any{pgx.QueryExecModeDescribeExec}, sharedColumns(campaignID, &rows[0])...) // the connection's own mode sends text, which arrays do not fit
	args = append(args, texts[0], lines, texts[1], texts[2], texts[3], texts[4], texts[5], texts[6])
	err = tx.Pgx(func(c *pgx.Conn) error {
		tag, err := c.Exec(ctx, query, args...)
		added = tag.RowsAffected()
		return err
	})
	return added, err
}

// insertRows is how many rows a statement of SQLite has: enough that its cost is the rows', and below the parameters it may have.
const insertRows = 100

func addLeadsSQLite(ctx context.Context, tx *db.Tx, campaignID string, rows []leadRow) (added int64, err error) {
	shared := sharedColumns(campaignID, &rows[0])
	args := make([]any, 0, len(shared)+insertRows*leadColumns)
	var whole *sql.Stmt
	for chunk := range slices.Chunk(rows, insertRows) {
		args = append(args[:0], shared...)
		for i := range chunk {
			r := &chunk[i]
			args = append(args, r.ID, r.Line, r.Number, r.Name, r.Country, r.Region, r.Zone, r.Variables)
		}
		var res sql.Result
		if len(chunk) < insertRows {
			res, err = tx.SQL().ExecContext(ctx, sqliteInsert(len(chunk), len(shared)), args...)
		} else {
			if whole == nil {
				if whole, err = tx.SQL().PrepareContext(ctx, sqliteInsert(insertRows, len(shared))); err != nil {
					return 0, err
				}
				defer func() { err = errors.Join(err, whole.Close()) }()
			}
			res, err = whole.ExecContext(ctx, args...)
		}
		if err != nil {
			return 0, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		added += n
	}
	return added, nil
}

// sqliteInsert writes the statement for n rows. Its parameters have no numbers: the driver would look each up by its name.
func sqliteInsert(n, shared int) string {
	var b strings.Builder
	b.WriteString("WITH s AS (SELECT " + marks(shared) + ") " + insertLeads + "SELECT s.*, '', '', 0, '', v.* FROM s, (VALUES ")
	row := "(" + marks(leadColumns) + ")"
	b.WriteString(row + strings.Repeat(","+row, n-1))
	b.WriteString(") v WHERE true ON CONFLICT (organisation_id, number, campaign_id) DO NOTHING")
	return b.String()
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }
