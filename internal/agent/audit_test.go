package agent_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
)

// Each change leaves its entry, and no entry holds a key.
func TestChangesAreAudited(t *testing.T) {
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		const canary = "sk-canary-31337"
		m, err := w.CreateModel(ctx, orgA, agent.ModelInput{Name: new("box"), BaseURLs: &agent.URLs{LLM: "http://127.0.0.1:1/v1"},
			Keys: &agent.KeyChange{LLM: new(canary)}})
		check(err)
		_, err = w.ChangeModel(ctx, orgA, m.ID, agent.ModelInput{Name: new("crate"), Keys: &agent.KeyChange{LLM: new(canary + "-2")}})
		check(err)
		check(w.DeleteModel(ctx, orgA, m.ID))
		a, err := w.Create(ctx, orgA, agent.NewAgent{Name: "One", Slug: "one", Definition: prompt()})
		check(err)
		_, err = w.AddVersion(ctx, orgA, a.ID, prompt(), "second", "u")
		check(err)
		_, err = w.Publish(ctx, orgA, a.ID, 2)
		check(err)
		_, err = w.Update(ctx, orgA, a.ID, agent.Change{Name: new("Two")})
		check(err)
		check(w.Delete(ctx, orgA, a.ID))
		var got []string
		check(w.db.ReadTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			var rows []db.OutboxRow
			err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND type = ?", orgA, "audit.entry").Order("seq").Scan(ctx)
			for _, r := range rows {
				var e event.Audited
				check(json.Unmarshal([]byte(r.Data), &e))
				got = append(got, e.Action)
				if strings.Contains(r.Data, canary) {
					t.Errorf("%s holds a key", e.Action)
				}
				if (e.Before == nil) != strings.HasSuffix(e.Action, ".create") || (e.After == nil) != strings.HasSuffix(e.Action, ".delete") {
					t.Errorf("%s: before %s, after %s", e.Action, e.Before, e.After)
				}
			}
			return err
		}))
		want := "model.create model.update model.delete agent.create agent.version.create agent.publish agent.update agent.delete"
		if strings.Join(got, " ") != want {
			t.Errorf("%v", got)
		}
	})
}
