package telephony

import "context"

// OpenSecret opens what a phone's column secret holds, for who carries an organisation elsewhere.
func (s *Service) OpenSecret(_ context.Context, _, _ string, sealed []byte) ([]byte, error) {
	return s.c.Sealer.Open(sealed)
}

// SealSecret makes of it what the column holds in its new place.
func (s *Service) SealSecret(_ context.Context, _, _ string, plain []byte) ([]byte, error) {
	return s.c.Sealer.Seal(plain)
}

// PhoneNames is the kind of phones' user names in the database's list of names.
const PhoneNames = phoneName
