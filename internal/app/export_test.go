package app

import (
	"context"

	"github.com/parley-voice/parley/internal/platform/db"
)

// CheckAWS judges the credentials that the machine has for S3 and AWS KMS.
func CheckAWS(ctx context.Context, c Config) error { return c.checkAWS(ctx) }

// Migrations are those of all contexts, for tests whose databases have the tables already: see dbtest.
func Migrations() []db.Migrations { return migrations() }
