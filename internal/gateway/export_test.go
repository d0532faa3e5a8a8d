package gateway

import "context"

// Exchange is one round of Share.
func (l *Limits) Exchange(ctx context.Context) error { return l.exchange(ctx) }
