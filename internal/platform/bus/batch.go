package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	batchGather  = 25 * time.Millisecond // how long a batch waits for more once it has a message
	defaultBatch = 256
)

// BatchConfig says what a batch subscription gets.
type BatchConfig struct {
	// Durable names the subscription, as in [SubConfig]. It must not be empty.
	Durable string
	Filter  []string
	Most    int // messages in a batch; 256
}

// BatchHandler takes messages together. When it returns an error all of them come again, later and later, and for ever:
// none is given up. A handler that must not be stopped by one bad message has to put that one aside itself.
type BatchHandler func(ctx context.Context, ms []Msg) error

// SubscribeBatch runs h for what arrives, many messages at a time, one batch after the other: for consumers that pay for
// each transaction, and may lose nothing.
func (b *Bus) SubscribeBatch(ctx context.Context, c BatchConfig, h BatchHandler) (*Subscription, error) {
	if c.Durable == "" {
		return nil, errors.New("bus: a batch subscription needs a name")
	}
	if c.Most <= 0 {
		c.Most = defaultBatch
	}
	subjects, err := filter(factSubject, "", c.Filter)
	if err != nil {
		return nil, err
	}
	reqCtx, cancelReq := context.WithTimeout(ctx, requestTimeout)
	defer cancelReq()
	cons, err := b.durable(reqCtx, factStream, jetstream.ConsumerConfig{
		Durable: c.Durable, FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: 2 * c.Most,
	})
	if err != nil {
		return nil, fmt.Errorf("bus: subscribe: %w", err)
	}
	iter, err := cons.Messages(jetstream.PullMaxMessages(c.Most))
	if err != nil {
		return nil, fmt.Errorf("bus: subscribe: %w", err)
	}
	subCtx, stop := context.WithCancel(ctx)
	unhook := context.AfterFunc(b.ctx, stop)
	s := &Subscription{stop: stop, done: make(chan struct{})}
	r := batchRunner{runner: runner{bus: b, c: SubConfig{Durable: c.Durable}, log: b.c.Log.With("subscription", c.Durable)}, most: c.Most, h: h}
	var watching sync.WaitGroup
	watching.Go(func() {
		<-subCtx.Done()
		iter.Stop()
	})
	b.wg.Go(func() {
		defer close(s.done)
		r.run(subCtx, iter)
		unhook()
		stop()
		watching.Wait()
	})
	return s, nil
}

type batchRunner struct {
	runner
	most int
	h    BatchHandler
}

func (r batchRunner) run(ctx context.Context, iter jetstream.MessagesContext) {
	for {
		raws, ms, tries, closed := r.gather(ctx, iter)
		if closed || ctx.Err() != nil {
			for _, raw := range raws {
				r.settle(raw.Nak())
			}
			return
		}
		if len(ms) == 0 {
			continue
		}
		err := r.handle(ctx, ms)
		for _, raw := range raws {
			switch {
			case err == nil:
				r.settle(raw.Ack())
			case ctx.Err() != nil:
				r.settle(raw.Nak())
			default:
				r.settle(raw.NakWithDelay(backoff(tries)))
			}
		}
		if err != nil && ctx.Err() == nil {
			r.log.Error("a batch failed; it is tried again", "messages", len(ms), "tries", tries, "error", err)
		}
	}
}

// gather waits for a message and takes those that follow it at once. Tries is the highest of theirs.
func (r batchRunner) gather(ctx context.Context, iter jetstream.MessagesContext) (raws []jetstream.Msg, ms []Msg, tries uint64, closed bool) {
	for len(ms) < r.most && ctx.Err() == nil {
		var opts []jetstream.NextOpt
		if len(ms) > 0 {
			opts = append(opts, jetstream.NextMaxWait(batchGather))
		}
		raw, err := iter.Next(opts...)
		if err != nil {
			closed = errors.Is(err, jetstream.ErrMsgIteratorClosed)
			if len(ms) == 0 && ctx.Err() == nil && !closed {
				r.log.Warn("subscription interrupted", "error", err)
			}
			return raws, ms, tries, closed
		}
		m, n, err := message(raw)
		if err != nil {
			r.log.Error("unreadable message dropped", "subject", raw.Subject(), "error", err)
			r.settle(raw.Term())
			continue
		}
		raws, ms, tries = append(raws, raw), append(ms, m), max(tries, n)
	}
	return raws, ms, tries, false
}

func (r batchRunner) handle(ctx context.Context, ms []Msg) (err error) {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.h(ctx, ms)
}
