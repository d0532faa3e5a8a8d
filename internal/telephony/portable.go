package telephony

import (
	"context"
	"fmt"
)

// OpenSecret opens what a phone's column secret holds, for who carries an organisation elsewhere.
func (s *Service) OpenSecret(ctx context.Context, orgID, id string, sealed []byte) ([]byte, error) {
	return s.c.Sealer.Open(ctx, orgID, sealed, phoneAAD(id))
}

// SealSecret makes of it what the column holds in its new place.
func (s *Service) SealSecret(ctx context.Context, orgID, id string, plain []byte) ([]byte, error) {
	return s.c.Sealer.Seal(ctx, orgID, plain, phoneAAD(id))
}

// PhoneNames is the kind of phones' user names in the database's list of names.
const PhoneNames = phoneName

// OpenTrunkSecret opens what a trunk's column secret holds.
func (s *Service) OpenTrunkSecret(ctx context.Context, orgID, id string, sealed []byte) ([]byte, error) {
	return s.c.Sealer.Open(ctx, orgID, sealed, trunkAAD(id))
}

// SealTrunkSecret makes of a password what the column holds.
func (s *Service) SealTrunkSecret(ctx context.Context, orgID, id string, plain []byte) ([]byte, error) {
	sealed, err := s.c.Sealer.Seal(ctx, orgID, plain, trunkAAD(id))
	if err != nil {
		return nil, fmt.Errorf("seal a trunk's password: %w", err)
	}
	return sealed, nil
}
