package voice

import (
	"context"
)

// Session is one call.
type Session struct {
	cfg Config
}

// New makes a session of an answered leg. Nothing runs until Run.
func New(c Config) (*Session, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return &Session{cfg: c}, nil
}

// Run holds the conversation and returns when the call is over: somebody hung up, the agent ended it or
// ctx was cancelled (the caller then hears nothing more). It returns at most some seconds after the
// leg's end, with every goroutine of the call gone.
func (s *Session) Run(ctx context.Context) Outcome {
	<-ctx.Done()
	return Outcome{}
}
