package conversation

import (
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/search"
)

// What app puts in.
var (
	_ Publisher = (*bus.Bus)(nil)
	_ Blobs     = (*blob.Store)(nil)
	_ Search    = search.Index(nil)
)
