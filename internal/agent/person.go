package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

const personPage = 500

// personAppointment is an appointment as a person gets it.
type personAppointment struct {
	ID      string    `json:"id"`
	CallID  string    `json:"callId"`
	Name    string    `json:"name"`
	Phone   string    `json:"phone"`
	Start   time.Time `json:"start"`
	Minutes int       `json:"minutes"`
	Status  string    `json:"status"`
}

// appointmentsOf calls fn with the appointments under a person's number, some at a time.
func (s *Service) appointmentsOf(ctx context.Context, org, needle string, match func(string) bool, fn func(ctx context.Context, rows []appointmentRow) error) error {
	like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(needle) + "%"
	for after := ""; ; {
		var rows, theirs []appointmentRow
		err := s.c.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Where("organisation_id = ? AND id > ?", org, after).
				Where(`replace(replace(lower(phone), ' ', ''), '-', '') LIKE ? ESCAPE '\'`, like).OrderExpr("id").Limit(personPage).Scan(ctx)
		})
		if err != nil {
			return fmt.Errorf("find a person's appointments: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].ID
		for _, r := range rows {
			if match(r.Phone) {
				theirs = append(theirs, r)
			}
		}
		if err := fn(ctx, theirs); err != nil {
			return err
		}
	}
}

// ExportPerson hands over a person's appointments.
func (s *Service) ExportPerson(ctx context.Context, org, needle string, match func(string) bool, put func(string, func(io.Writer) error) error) error {
	return put("appointments.ndjson", func(w io.Writer) error {
		enc := json.NewEncoder(w)
		return s.appointmentsOf(ctx, org, needle, match, func(_ context.Context, rows []appointmentRow) error {
			for _, r := range rows {
				err := enc.Encode(personAppointment{r.ID, r.CallID, r.Name, r.Phone, at(r.StartAt).UTC(), r.Minutes, r.Status})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// ErasePerson deletes a person's appointments, except those of calls that keep says are held.
func (s *Service) ErasePerson(ctx context.Context, org, needle string, match func(string) bool, keep func(string, ...string) bool) (map[string]int64, int64, error) {
	erased, kept := map[string]int64{}, int64(0)
	err := s.appointmentsOf(ctx, org, needle, match, func(ctx context.Context, rows []appointmentRow) error {
		var ids []string
		for _, r := range rows {
			if keep(r.CallID, r.Phone) {
				kept++
				continue
			}
			ids = append(ids, r.ID)
		}
		if len(ids) == 0 {
			return nil
		}
		err := s.c.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.NewDelete().Model((*appointmentRow)(nil)).Where("organisation_id = ? AND id IN (?)", org, bun.List(ids)).Exec(ctx)
			if err != nil {
				return fmt.Errorf("delete a person's appointments: %w", err)
			}
			return identity.Audit(ctx, tx, org, identity.Change{Action: "person.appointments.delete", Kind: "appointments",
				After: map[string]int{"appointments": len(ids)}})
		})
		if err == nil {
			erased["appointments"] += int64(len(ids))
		}
		return err
	})
	return erased, kept, err
}
