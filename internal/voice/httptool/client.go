package httptool

import (
	"net/http"
	"time"

	"github.com/parley-voice/parley/internal/platform/egress"
)

const dialTimeout = 10 * time.Second

// NewClient makes the client that agents' tools share. A redirect is an answer, not followed: the arguments of a call go
// where the agent's author said and nowhere else, and there only as far as the dialer lets it. No proxy of the environment
// is used: it would dial for us, unjudged.
func NewClient(timeout time.Duration, to *egress.Dialer) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: to.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 100, MaxIdleConnsPerHost: 20, IdleConnTimeout: 90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
