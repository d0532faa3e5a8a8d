package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const mostUses = 20 // agents that are named beside a key

// keySet says who set a key and when.
type keySet struct {
	By    string `json:"by"` // a user's id; "": nobody signed in
	At    int64  `json:"at"`
	Times int    `json:"times"` // it was set
}

// noteKeys notes which keys were set, and forgets those that were removed.
func (m *modelSettings) noteKeys(before, after Keys, by string, now int64) {
	for _, sv := range services {
		switch {
		case after.Of(sv) == "":
			delete(m.KeysSet, sv)
		case after.Of(sv) != before.Of(sv):
			if m.KeysSet == nil {
				m.KeysSet = map[string]keySet{}
			}
			m.KeysSet[sv] = keySet{By: by, At: now, Times: m.KeysSet[sv].Times + 1}
		}
	}
}

// Of reports whether a service has a key.
func (h HasKey) Of(service string) bool {
	return map[string]bool{ServiceSTT: h.STT, ServiceLLM: h.LLM, ServiceTTS: h.TTS}[service]
}

// keysChanged names the services whose keys are new in after, and those that have none any more. before is nil for a new
// connection.
func keysChanged(before, after *modelRow) (fresh, gone []string, err error) {
	var was modelSettings
	if before != nil {
		if was, err = before.settings(); err != nil {
			return nil, nil, err
		}
	}
	is, err := after.settings()
	for _, sv := range services {
		switch {
		case was.HasKey.Of(sv) && !is.HasKey.Of(sv):
			gone = append(gone, sv)
		case is.HasKey.Of(sv) && is.KeysSet[sv] != was.KeysSet[sv]:
			fresh = append(fresh, sv)
		}
	}
	return fresh, gone, err
}

// HeldSecrets lists the keys of an organisation's connections to vendors, after the one with id after, with the agents whose
// published version uses the connection, at most 20 of them.
func (s *Service) HeldSecrets(ctx context.Context, orgID, after string, limit int) (out []envelope.Held, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		out = nil
		from, _, _ := strings.Cut(after, "/")
		var rows []modelRow
		err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND id >= ? AND keys IS NOT NULL", orgID, from).OrderExpr("id").Limit(maxModels).Scan(ctx)
		if err != nil {
			return fmt.Errorf("list the keys of connections: %w", err)
		}
		for i := range rows {
			if len(out) >= limit {
				break
			}
			keys, err := heldKeys(ctx, tx, &rows[i], after)
			if err != nil {
				return err
			}
			out = append(out, keys...)
		}
		out = out[:min(limit, len(out))]
		return nil
	})
	return out, err
}

// heldKeys tells of the keys of one connection whose ids come after one.
func heldKeys(ctx context.Context, tx *db.Tx, row *modelRow, after string) (out []envelope.Held, err error) {
	set, err := row.settings()
	if err != nil {
		return nil, err
	}
	var uses []envelope.Use
	for _, sv := range []string{ServiceLLM, ServiceSTT, ServiceTTS} { // by name: ids are sorted
		id := row.ID + "/" + sv
		if !set.HasKey.Of(sv) || id <= after {
			continue
		}
		if uses == nil {
			if uses, err = usersOf(ctx, tx, row.ID); err != nil {
				return nil, err
			}
		}
		h := envelope.Held{ID: id, Kind: "modelKey", Name: row.Name, Part: sv, ObjectKind: "model", ObjectID: row.ID, Sealed: row.Keys, UsedBy: uses}
		if k, ok := set.KeysSet[sv]; ok {
			t := at(k.At)
			h.SetBy, h.SetAt = k.By, &t
		}
		out = append(out, h)
	}
	return out, nil
}

// usersOf gives agents whose published version uses a connection.
func usersOf(ctx context.Context, tx *db.Tx, modelID string) ([]envelope.Use, error) {
	var rows []struct {
		ID   string `bun:"id"`
		Name string `bun:"name"`
	}
	err := tx.NewSelect().TableExpr("agents AS a").ColumnExpr("a.id, a.name").
		Join("JOIN agent_versions AS v ON v.agent_id = a.id AND v.number = a.published_version").
		Where("a.organisation_id = ?", tx.OrgID()).Where("v.organisation_id = ?", tx.OrgID()).
		Where("v.definition LIKE ?", `%"modelId":"`+modelID+`"%`).OrderExpr("a.id").Limit(mostUses).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("select the model's agents: %w", err)
	}
	out := []envelope.Use{}
	for _, r := range rows {
		out = append(out, envelope.Use{Kind: "agent", ID: r.ID, Name: r.Name})
	}
	return out, nil
}
