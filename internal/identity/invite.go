package identity

import "time"

const (
	invitationValid = 7 * 24 * time.Hour
	invitationKept  = 30 * 24 * time.Hour // after it expired, so that it can be sent again
)
