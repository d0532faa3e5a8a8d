package telephony

import (
	"context"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

// phoneAudit is a phone in the audit trail: never its password, only that there is a new one.
type phoneAudit struct {
	Username    string `json:"username"`
	DisplayName string `json:"displayName"`
	Encrypted   bool   `json:"encryptedOnly"`
	NewPassword bool   `json:"newPassword"`
	UserID      string `json:"userId,omitempty"`
	ProjectID   string `json:"projectId,omitempty"`
}

// audit stores what was done with a phone in the audit trail.
func audit(ctx context.Context, tx *db.Tx, action string, before, after *phoneRow, newPassword bool) error {
	c := identity.Change{Action: action, Kind: "phone"}
	if before != nil {
		c.ID, c.Before = before.ID, auditOf(before, false)
	}
	if after != nil {
		c.ID, c.After = after.ID, auditOf(after, newPassword || before == nil)
	}
	return identity.Audit(ctx, tx, tx.OrgID(), c)
}

func auditOf(row *phoneRow, newPassword bool) phoneAudit {
	return phoneAudit{Username: row.Username, DisplayName: row.DisplayName, Encrypted: row.EncryptedOnly, NewPassword: newPassword, UserID: row.UserID, ProjectID: row.ProjectID}
}
