package voice

import (
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/amd"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// inboxSize bounds what waits for the session. The leg's goroutine never waits: what finds the inbox full is
// dropped and counted, signalling first. The call's own goroutines wait.
const inboxSize = 128

// msgKind names a msg.
type msgKind uint8

const (
	msgVADStart    msgKind = iota + 1 // frame, lag
	msgVADEnd                         // frame, lag
	msgDigest                         // frame: count, sha
	msgLeg                            // leg
	msgResult                         // result
	msgSTTDown                        // err: no recogniser for the rest of the call
	msgFirstFrame                     // gen, at
	msgSpoke                          // gen: a sentence was heard
	msgDone                           // gen: everything was heard
	msgStarved                        // gen: nothing more comes in the midst of it
	msgFirstAudio                     // gen, at
	msgVoiceFail                      // gen, err, service
	msgBrainDone                      // gen, err, expect
	msgRetry                          // gen, err, service: a failure that was made good
	msgNote                           // gen, at, entry
	msgCollect                        // gen, rule
	msgHangup                         // gen, text
	msgTransfer                       // gen, text
	msgTransferred                    // text: target, err
	msgFiller                         // gen, text
	msgPanic                          // text: where and what
	msgAnswerer                       // signal, answerer: who has answered
	msgOutcome                        // at, entry: stands whatever becomes of the reply
)

// msg is anything that reaches the session's goroutine.
type msg struct {
	kind    msgKind
	gen     int
	frame   int64
	lag     time.Duration
	at      time.Time
	text    string
	err     error
	service provider.Service
	leg     *media.LegEvent
	result  *provider.STTResult
	expect  *provider.Expect
	entry   *event.Entry
	rule    *DigitRule

	signal   amd.Signal
	answerer *amd.Result
}

// offer is for the leg's goroutine: it never waits.
func (s *Session) offer(m msg) bool {
	select {
	case s.inbox <- m:
		return true
	default:
		s.droppedEvents.Add(1)
		return false
	}
}

// send is for the call's own goroutines: it waits until the session takes it or is over.
func (s *Session) send(m msg) {
	select {
	case s.inbox <- m:
	case <-s.over:
	}
}
