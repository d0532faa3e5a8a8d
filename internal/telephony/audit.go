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
}

// audit stores what was done with a phone in the audit trail.
func audit(ctx context.Context, tx *db.Tx, action string, before, after *phoneRow, newPassword bool) error {
	c := identity.Change{Action: action, Kind: "phone"}
	if before != nil {
		c.ID, c.Before = before.ID, phoneAudit{Username: before.Username, DisplayName: before.DisplayName, Encrypted: before.EncryptedOnly}
	}
	if after != nil {
		c.ID, c.After = after.ID, phoneAudit{after.Username, after.DisplayName, after.EncryptedOnly, newPassword || before == nil}
	}
	return identity.Audit(ctx, tx, tx.OrgID(), c)
}
