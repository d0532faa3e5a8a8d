package app

import "context"

// CheckAWS judges the credentials that the machine has for S3 and AWS KMS.
func CheckAWS(ctx context.Context, c Config) error { return c.checkAWS(ctx) }
