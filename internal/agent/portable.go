package agent

import "context"

// OpenSecret opens what a model's column keys holds, for who carries an organisation elsewhere.
func (s *Service) OpenSecret(ctx context.Context, orgID, modelID string, sealed []byte) ([]byte, error) {
	return s.c.Sealer.Open(ctx, orgID, sealed, modelAAD(orgID, modelID))
}

// SealSecret makes of it what the column holds in its new place.
func (s *Service) SealSecret(ctx context.Context, orgID, modelID string, plain []byte) ([]byte, error) {
	return s.c.Sealer.Seal(ctx, orgID, plain, modelAAD(orgID, modelID))
}
