package gateway

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// WriteProblem answers a plain handler's request with err as problem+json.
func WriteProblem(w http.ResponseWriter, err error) {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.Wrap(fault.Internal, err, "something went wrong on our side; it was logged, please try again")
	}
	w.Header().Set("Content-Type", f.ContentType(""))
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f)
}
