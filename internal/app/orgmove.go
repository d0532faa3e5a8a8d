package app

import (
	"context"

	"github.com/parley-voice/parley/internal/platform/db"
)

// MoveOrganisation brings an organisation's data to another placement or region while it is used.
func (a *Admin) MoveOrganisation(ctx context.Context, orgID, placement, region string) (db.MoveReport, error) {
	return a.app.db.Move(ctx, orgID, placement, region)
}

// AbortMove takes back a move that has not switched yet.
func (a *Admin) AbortMove(ctx context.Context, orgID string) error {
	return a.app.db.AbortMove(ctx, orgID)
}
