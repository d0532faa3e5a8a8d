package telephony_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/telephony"
)

// Each change of a phone leaves its entry, and no entry holds a password.
func TestChangesAreAudited(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, s *telephony.Service) {
		ctx := t.Context()
		p, made, err := s.Create(ctx, orgA, telephony.NewPhone{Username: "desk.1", DisplayName: "Desk"})
		if err != nil {
			t.Fatal(err)
		}
		_, second, err := s.Update(ctx, orgA, p.ID, telephony.Change{Password: new(string)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, orgA, p.ID); err != nil {
			t.Fatal(err)
		}
		var got []string
		err = d.ReadTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			var rows []db.OutboxRow
			err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND type = ?", orgA, "audit.entry").Order("seq").Scan(ctx)
			for _, r := range rows {
				var e event.Audited
				if err := json.Unmarshal([]byte(r.Data), &e); err != nil {
					return err
				}
				got = append(got, e.Action+" "+string(e.After))
				if strings.Contains(r.Data, made) || strings.Contains(r.Data, second) || e.ObjectID != p.ID {
					t.Errorf("%s", r.Data)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		const after = `{"username":"desk.1","displayName":"Desk","encryptedOnly":false,"newPassword":true}`
		if want := "phone.create " + after + ", phone.update " + after + ", phone.delete "; strings.Join(got, ", ") != want {
			t.Errorf("%v", got)
		}
	})
}
