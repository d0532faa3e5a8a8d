package webrtc

import (
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// logs sends pion's log to ours. Pion warns of much that is the peer's doing; none of it is above debug.
type logs struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l logs) NewLogger(scope string) logging.LeveledLogger {
	return scoped{l.log.With("pion", scope)}
}

type scoped struct{ log *slog.Logger }

func (s scoped) Trace(string)          {}
func (s scoped) Tracef(string, ...any) {}
func (s scoped) Debug(string)          {}
func (s scoped) Debugf(string, ...any) {}
func (s scoped) Info(string)           {}
func (s scoped) Infof(string, ...any)  {}
func (s scoped) Warn(m string)         { s.log.Debug(m) }
func (s scoped) Warnf(f string, a ...any) {
	s.log.Debug(fmt.Sprintf(f, a...))
}
func (s scoped) Error(m string) { s.log.Debug(m) }
func (s scoped) Errorf(f string, a ...any) {
	s.log.Debug(fmt.Sprintf(f, a...))
}
