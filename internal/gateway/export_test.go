package gateway

import (
	"context"
	"net/http"
)

// Exchange is one round of Share.
func (l *Limits) Exchange(ctx context.Context) error { return l.exchange(ctx) }

// Handler is the server's handler with everything around it.
func (s *Server) Handler() http.Handler { return s.srv.Handler }
