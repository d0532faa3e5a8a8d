package client

import (
	"context"
	"net/http"
)

// Bearer sends an API token with each request.
func Bearer(token string) RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}
