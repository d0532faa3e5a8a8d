package mongolog

import (
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Codes of https://www.mongodb.com/docs/manual/reference/error-codes/ that say that somebody may not.
var forbidden = []int{
	13,   // Unauthorized
	18,   // AuthenticationFailed
	8000, // AtlasError: most often a wrong password
}

// fault puts an error of the driver into words. Its text may name the user and never the password.
func (s *Sink) fault(err error) error {
	code, say := fault.Unavailable, "the platform log's database %s cannot be reached"
	var refused *auth.Error
	codes := mongo.ErrorCodes(err)
	switch {
	case errors.As(err, &refused) || slices.ContainsFunc(codes, func(c int) bool { return slices.Contains(forbidden, c) }):
		code, say = fault.Forbidden, "the platform log's database %s refuses the user: check the password, authSource, and the right to insert and find"
	case mongo.IsTimeout(err):
		code, say = fault.Timeout, "the platform log's database %s does not answer in time"
	case len(codes) > 0 && !mongo.IsNetworkError(err):
		code, say = fault.Upstream, "the platform log's database %s answered an error"
	}
	return fault.Wrap(code, errors.New(short(err.Error())), say, s.place)
}

func short(s string) string {
	if len(s) > maxSaid {
		s = strings.ToValidUTF8(s[:maxSaid], "") + "…"
	}
	return s
}
