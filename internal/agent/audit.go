package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

// audit stores what was done with an agent in the audit trail.
func audit(ctx context.Context, tx *db.Tx, action, id string, before, after any) error {
	return identity.Audit(ctx, tx, tx.OrgID(), identity.Change{Action: action, Kind: "agent", ID: id, Before: before, After: after})
}

// agentAudit is a new agent with its first version.
type agentAudit struct {
	Agent
	Version versionAudit `json:"version"`
}

// versionAudit stands for a version: the definition itself is kept with the agent, and its digest tells whether it is still
// the one.
type versionAudit struct {
	Number int    `json:"number"`
	Note   string `json:"note"`
	SHA256 string `json:"definitionSha256"`
}

func (r *versionRow) audit() versionAudit {
	sum := sha256.Sum256([]byte(r.Definition))
	return versionAudit{r.Number, r.Note, hex.EncodeToString(sum[:])}
}

// modelAudit is a connection after a change: as the API shows it, which is without its keys, and which of those are new or gone.
type modelAudit struct {
	Model
	NewKeys     []string `json:"newKeys,omitempty"`
	RemovedKeys []string `json:"removedKeys,omitempty"`
}

// auditModel stores what was done with a connection.
func auditModel(ctx context.Context, tx *db.Tx, action string, before, after *modelRow) error {
	c := identity.Change{Action: action, Kind: "model"}
	for _, side := range []struct {
		row *modelRow
		to  *any
	}{{before, &c.Before}, {after, &c.After}} {
		if side.row == nil {
			continue
		}
		view, err := side.row.model()
		if err != nil {
			return err
		}
		c.ID, *side.to = side.row.ID, view
		if side.row != after {
			continue
		}
		changed := modelAudit{Model: view}
		if changed.NewKeys, changed.RemovedKeys, err = keysChanged(before, after); err != nil {
			return err
		}
		c.After = changed
	}
	return identity.Audit(ctx, tx, tx.OrgID(), c)
}
