package mail

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/coder/quartz"
)

const (
	outboxSize  = 1000
	outboxTries = 4
	firstWait   = 5 * time.Second // doubles with each try
	closeWait   = 10 * time.Second
)

// OutboxConfig is what NewOutbox needs.
type OutboxConfig struct {
	Sender Sender
	Clock  quartz.Clock
	Log    *slog.Logger
}

// Outbox sends letters in the background. What a letter says is asked for when its turn comes, so that whoever posts
// it takes the same time whether there is anything to send or not. Letters are kept in memory only: they hold links
// that must not lie in a database.
type Outbox struct {
	cfg   OutboxConfig
	queue chan Letter
	life  context.Context
	end   context.CancelFunc
	done  chan struct{}

	mu     sync.Mutex
	closed bool
}

// Letter writes a message. It gives nil when there is nothing to send.
type Letter func(ctx context.Context) (*Message, error)

// NewOutbox starts an outbox. Close it.
func NewOutbox(c OutboxConfig) *Outbox {
	o := &Outbox{cfg: c, queue: make(chan Letter, outboxSize), done: make(chan struct{})}
	o.life, o.end = context.WithCancel(context.Background())
	go o.run()
	return o
}

// Enabled reports whether letters can be sent at all; not by a nil Outbox.
func (o *Outbox) Enabled() bool { return o != nil && o.cfg.Sender.Enabled() }

// Post puts a letter into the queue. It never waits: when the queue is full, or closed, the letter is dropped and the
// log says so. A nil Outbox drops it.
func (o *Outbox) Post(l Letter) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		o.cfg.Log.Warn("a letter was not sent: the server stops")
		return
	}
	select {
	case o.queue <- l:
	default:
		o.cfg.Log.Warn("a letter was not sent: too many wait", "waiting", outboxSize)
	}
}

// Close sends what waits, for some seconds, and drops the rest. It may be called twice.
func (o *Outbox) Close(ctx context.Context) {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.queue)
	}
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	select {
	case <-o.done:
	case <-ctx.Done():
		o.end()
		<-o.done
	}
	o.end()
}

func (o *Outbox) run() {
	defer close(o.done)
	for l := range o.queue {
		o.deliver(l)
	}
}

func (o *Outbox) deliver(l Letter) {
	m, err := l(o.life)
	if err != nil {
		o.cfg.Log.Error("a letter could not be written", "error", err)
		return
	}
	if m == nil {
		return
	}
	wait := firstWait
	for try := 1; ; try++ {
		if err = o.cfg.Sender.Send(o.life, *m); err == nil {
			return
		}
		if errors.Is(err, ErrRefused) || try == outboxTries || o.life.Err() != nil {
			break
		}
		t := o.cfg.Clock.NewTimer(wait, "mail", "retry")
		select {
		case <-t.C:
		case <-o.life.Done():
			t.Stop()
		}
		wait *= 2
	}
	// Neither to whom nor about what: the log is read by others.
	o.cfg.Log.Error("a letter was not sent", "error", err)
}
