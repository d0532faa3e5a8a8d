package sso

import "context"

// OpenSecret opens what a connection's column secret holds, for who carries an organisation elsewhere.
func (s *Service) OpenSecret(ctx context.Context, orgID, connectionID string, sealed []byte) ([]byte, error) {
	return s.cfg.Sealer.Open(ctx, orgID, sealed, secretPlace(orgID, connectionID))
}

// SealSecret makes of it what the column holds in its new place.
func (s *Service) SealSecret(ctx context.Context, orgID, connectionID string, plain []byte) ([]byte, error) {
	return s.cfg.Sealer.Seal(ctx, orgID, plain, secretPlace(orgID, connectionID))
}
