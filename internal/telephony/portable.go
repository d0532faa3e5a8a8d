package telephony

import "context"

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
