package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/platform/db"
)

// erasedNumber stands in place of an erased person's number where rows need one that differs.
const erasedNumber = "erased:"

// numbersOf gives the numbers of a person as any table of campaigns has them. needle is a part that every form has.
func (s *Service) numbersOf(ctx context.Context, orgID, needle string, match func(address string) bool) (out []string, err error) {
	var all []string
	like := "%" + strings.NewReplacer("%", "", "_", "").Replace(needle) + "%"
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewRaw(`SELECT number FROM campaign_decisions WHERE organisation_id = ? AND number LIKE ? UNION SELECT number FROM campaign_leads WHERE organisation_id = ? AND number LIKE ?
			UNION SELECT number FROM campaign_attempts WHERE organisation_id = ? AND number LIKE ? UNION SELECT number FROM do_not_call_removals WHERE organisation_id = ? AND number LIKE ?
			UNION SELECT number FROM do_not_call_numbers WHERE organisation_id = ? AND number LIKE ?`, orgID, like, orgID, like, orgID, like, orgID, like, orgID, like).Scan(ctx, &all)
	})
	if err != nil {
		return nil, fmt.Errorf("look for a person's numbers: %w", err)
	}
	for _, n := range all {
		if match(n) {
			out = append(out, n)
		}
	}
	return out, nil
}

// ExportPerson hands over all that campaigns have of a person, file by file.
func (s *Service) ExportPerson(ctx context.Context, orgID, needle string, match func(address string) bool, put func(name string, write func(io.Writer) error) error) error {
	numbers, err := s.numbersOf(ctx, orgID, needle, match)
	if err != nil || len(numbers) == 0 {
		return err
	}
	for _, table := range []string{"campaign_leads", "campaign_attempts", "campaign_decisions", "do_not_call_numbers", "do_not_call_removals"} {
		err := put(table+".ndjson", func(w io.Writer) error {
			return s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
				var rows []map[string]any
				err := tx.NewSelect().Table(table).ColumnExpr("*").Where("organisation_id = ?", orgID).Where("number IN (?)", bun.List(numbers)).Scan(ctx, &rows)
				enc := json.NewEncoder(w)
				for i := 0; i < len(rows) && err == nil; i++ {
					for k, v := range rows[i] {
						if b, ok := v.([]byte); ok {
							rows[i][k] = string(b)
						}
					}
					err = enc.Encode(rows[i])
				}
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ErasePerson takes a person out of leads, attempts and decisions, except what keep says is held. Decisions stay in their chain
// and name nobody: their number and its salt go. That somebody is on a do-not-call list stays too, or they would be called
// again; it is counted as kept.
func (s *Service) ErasePerson(ctx context.Context, orgID, needle string, match func(address string) bool, keep func(id string, parties ...string) bool) (map[string]int64, int64, error) {
	erased, kept := map[string]int64{}, int64(0)
	numbers, err := s.numbersOf(ctx, orgID, needle, match)
	for _, n := range numbers {
		if keep != nil && keep("", n) {
			kept++
			continue
		}
		listed := int64(0)
		err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
			listed, err = s.erase(ctx, tx, n, erased)
			return err
		})
		kept += listed
		if err != nil {
			return erased, kept, err
		}
	}
	if err != nil {
		return erased, kept, err
	}
	n, err := s.eraseRejects(ctx, orgID, func(address string) bool { return match(address) && (keep == nil || !keep("", address)) })
	if n > 0 {
		erased["rejectedRows"] += n
	}
	return erased, kept, err
}

// eraseRejects removes the rows of lists that were rejected and name the person. Numbers stand there as people wrote them, so that all
// rows are looked at.
func (s *Service) eraseRejects(ctx context.Context, orgID string, match func(address string) bool) (n int64, err error) {
	var imports []importRow
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&imports).Column("id", "region").Where("organisation_id = ?", orgID).Where("rejected > 0").OrderExpr("id").Scan(ctx)
	})
	for i := 0; i < len(imports) && err == nil; i++ {
		more := int64(0)
		more, err = s.eraseRejectsOf(ctx, orgID, &imports[i], match)
		n += more
	}
	if err != nil {
		return n, fmt.Errorf("erase a person from rejected rows: %w", err)
	}
	return n, nil
}

// eraseRejectsOf does it for one import, page by page.
func (s *Service) eraseRejectsOf(ctx context.Context, orgID string, in *importRow, match func(address string) bool) (n int64, err error) {
	for after := int64(0); ; {
		var rows []rejectRow
		var found []int64
		err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
			err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("import_id = ?", in.ID).Where("line > ?", after).OrderExpr("line").Limit(reportPage).Scan(ctx)
			if err != nil {
				return err
			}
			for i := range rows {
				if rows[i].names(in.Region, match) {
					found = append(found, rows[i].Line)
				}
			}
			for chunk := range slices.Chunk(found, rowsAtOnce) {
				_, err := tx.NewDelete().Model((*rejectRow)(nil)).Where("organisation_id = ?", orgID).Where("import_id = ?", in.ID).Where("line IN (?)", bun.List(chunk)).Exec(ctx)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += int64(len(found))
		if len(rows) < reportPage {
			return n, nil
		}
		after = rows[len(rows)-1].Line
	}
}

// names reports whether a cell is the person's address, in any form in which a list of the region may have it.
func (r *rejectRow) names(region string, match func(address string) bool) bool {
	var cells []string
	if json.Unmarshal([]byte(r.Cells), &cells) != nil {
		return false
	}
	return slices.ContainsFunc(cells, func(c string) bool { return match(c) || match(leadfile.Number(c, region)) })
}

// erase takes one number out, and gives on how many do-not-call lists it stays.
func (s *Service) erase(ctx context.Context, tx *db.Tx, number string, erased map[string]int64) (listed int64, err error) {
	if err := tx.Lock(ctx, "campaigns of "+tx.OrgID()); err != nil { // plans touch the same leads
		return 0, err
	}
	for _, c := range []struct{ what, query string }{
		{"decisions", "UPDATE campaign_decisions SET number = '', salt = '' WHERE organisation_id = ? AND number = ?"},
		{"attempts", "UPDATE campaign_attempts SET number = '" + erasedNumber + "' || id WHERE organisation_id = ? AND number = ?"},
		{"leads", "UPDATE campaign_leads SET number = '" + erasedNumber + "' || id, name = '', country = '', region = '', zone = '', variables = '{}', due_at = NULL, why = '' WHERE organisation_id = ? AND number = ?"},
		{"removals", "DELETE FROM do_not_call_removals WHERE organisation_id = ? AND number = ?"},
	} {
		if c.what == "leads" {
			if err := s.endLeads(ctx, tx, number); err != nil {
				return 0, err
			}
		}
		res, err := tx.ExecContext(ctx, c.query, tx.OrgID(), number)
		if err != nil {
			return 0, fmt.Errorf("erase a person from %s: %w", c.what, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		if n > 0 {
			erased[c.what] += n
		}
	}
	err = tx.NewRaw("SELECT count(*) FROM do_not_call_numbers WHERE organisation_id = ? AND number = ?", tx.OrgID(), number).Scan(ctx, &listed)
	return listed, err
}

// endLeads has leads of a number that wait be done, and counted so.
func (s *Service) endLeads(ctx context.Context, tx *db.Tx, number string) error {
	return s.endQueued(ctx, tx, []string{number}, dial.Next{State: dial.Done, Says: "The person was erased."})
}
