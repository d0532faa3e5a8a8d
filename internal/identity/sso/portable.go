package sso

import "context"

// OpenSecret opens what a connection's column secret holds, for who carries an organisation elsewhere.
func (s *Service) OpenSecret(_ context.Context, orgID, connectionID string, sealed []byte) ([]byte, error) {
	return s.cfg.Sealer.Open(sealed, secretPlace(&connectionRow{OrganisationID: orgID, ID: connectionID}))
}

// SealSecret makes of it what the column holds in its new place.
func (s *Service) SealSecret(_ context.Context, orgID, connectionID string, plain []byte) ([]byte, error) {
	return s.cfg.Sealer.Seal(plain, secretPlace(&connectionRow{OrganisationID: orgID, ID: connectionID}))
}
