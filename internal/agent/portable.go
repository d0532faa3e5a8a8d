package agent

import "context"

// OpenSecret opens what a model's column keys holds, for who carries an organisation elsewhere.
func (s *Service) OpenSecret(_ context.Context, orgID, modelID string, sealed []byte) ([]byte, error) {
	return s.c.Sealer.Open(sealed, (&modelRow{OrganisationID: orgID, ID: modelID}).aad())
}

// SealSecret makes of it what the column holds in its new place.
func (s *Service) SealSecret(_ context.Context, orgID, modelID string, plain []byte) ([]byte, error) {
	return s.c.Sealer.Seal(plain, (&modelRow{OrganisationID: orgID, ID: modelID}).aad())
}
