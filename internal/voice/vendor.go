package voice

import (
	"context"
	"errors"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// vendorError makes any error a *provider.Error.
func vendorError(err error, s provider.Service, vendor string) *provider.Error {
	var e *provider.Error
	if errors.As(err, &e) {
		return e
	}
	out := &provider.Error{Service: s, Vendor: vendor, Code: "failed", Message: err.Error(), Cause: err}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		out.Code, out.Message = "timeout", "no answer in time"
	}
	return out
}
