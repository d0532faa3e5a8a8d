package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	handlerTimeout = 30 * time.Second
	ackWait        = handlerTimeout + 10*time.Second
	maxDeliver     = 8 // tries of a message whose handler fails; then it is given up, with an error in the log
	maxInFlight    = 128
	ephemeralIdle  = time.Minute
	nakFirst       = 250 * time.Millisecond
	nakMost        = time.Minute
)

// SubConfig says what a subscription gets.
type SubConfig struct {
	// Durable names the subscription. Its place is kept across restarts, and processes that use the same name share
	// its messages. It reads Facts; a message whose handler fails comes again. "" is ephemeral: each process
	// gets everything from From on, in order, once.
	Durable string
	// Live reads the realtime feed. Only ephemeral subscriptions may.
	Live bool
	// From is the first sequence number wanted. 0 is: everything kept for a durable one (the first time), only what
	// is new for an ephemeral one.
	From uint64
	// Filter is the types wanted: "call.ended", or "call.*" for all of call. Empty is everything.
	Filter []string
	// OrgID limits it to one organisation. "" is all.
	OrgID string
}

// Handler takes a message. A durable subscription repeats a message whose handler returned an error.
type Handler func(ctx context.Context, m Msg) error

// Subscription is a running subscription.
type Subscription struct {
	stop context.CancelFunc
	done chan struct{}
}

// Stop ends the subscription and waits for its handler to return. It is safe twice.
func (s *Subscription) Stop() {
	s.stop()
	<-s.done
}

// Subscribe runs h for each message, one after the other, until ctx ends, Stop or Close. The handler's context ends
// with it.
func (b *Bus) Subscribe(ctx context.Context, c SubConfig, h Handler) (*Subscription, error) {
	if c.Durable != "" && c.Live {
		return nil, errors.New("bus: a durable subscription reads Facts, not Live")
	}
	reqCtx, cancelReq := context.WithTimeout(ctx, requestTimeout)
	defer cancelReq()
	cons, err := b.consumer(reqCtx, c)
	if err != nil {
		return nil, err
	}
	iter, err := cons.Messages(jetstream.PullMaxMessages(maxInFlight))
	if err != nil {
		return nil, fmt.Errorf("bus: subscribe: %w", err)
	}
	subCtx, stop := context.WithCancel(ctx)
	unhook := context.AfterFunc(b.ctx, stop)
	s := &Subscription{stop: stop, done: make(chan struct{})}
	r := runner{bus: b, c: c, h: h, log: b.c.Log.With("subscription", c.Durable)}
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

func (b *Bus) consumer(ctx context.Context, c SubConfig) (jetstream.Consumer, error) {
	stem, stream := factSubject, factStream
	if c.Live {
		stem, stream = liveSubject, liveStream
	}
	subjects, err := filter(stem, c.OrgID, c.Filter)
	if err != nil {
		return nil, err
	}
	policy := jetstream.DeliverAllPolicy
	if c.From > 0 {
		policy = jetstream.DeliverByStartSequencePolicy
	} else if c.Durable == "" {
		policy = jetstream.DeliverNewPolicy
	}
	var cons jetstream.Consumer
	if c.Durable == "" {
		cons, err = b.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
			FilterSubjects: subjects, DeliverPolicy: policy, OptStartSeq: c.From, InactiveThreshold: ephemeralIdle,
		})
	} else {
		cons, err = b.durable(ctx, stream, jetstream.ConsumerConfig{
			Durable: c.Durable, FilterSubjects: subjects, DeliverPolicy: policy, OptStartSeq: c.From,
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: maxDeliver, MaxAckPending: maxInFlight,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("bus: subscribe: %w", err)
	}
	return cons, nil
}

// durable makes a consumer, or takes up the one that is there: its start cannot be changed, and its place is what
// matters.
func (b *Bus) durable(ctx context.Context, stream string, c jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	old, err := b.js.Consumer(ctx, stream, c.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return b.js.CreateOrUpdateConsumer(ctx, stream, c)
	}
	if err != nil {
		return nil, err
	}
	c.DeliverPolicy, c.OptStartSeq = old.CachedInfo().Config.DeliverPolicy, old.CachedInfo().Config.OptStartSeq
	return b.js.UpdateConsumer(ctx, stream, c)
}

// filter turns types into subjects.
func filter(stem, orgID string, types []string) ([]string, error) {
	org := "*"
	if orgID != "" {
		if err := token(orgID); err != nil {
			return nil, fmt.Errorf("bus: organisation: %w", err)
		}
		org = orgID
	}
	if len(types) == 0 {
		return []string{stem + org + ".>"}, nil
	}
	subjects := make([]string, 0, len(types))
	for _, t := range types {
		base, wild := strings.CutSuffix(t, ".*")
		for part := range strings.SplitSeq(base, ".") {
			if err := token(part); err != nil {
				return nil, fmt.Errorf("bus: filter %q: %w", t, err)
			}
		}
		if wild {
			base += ".>"
		}
		subjects = append(subjects, stem+org+"."+base)
	}
	return subjects, nil
}

type runner struct {
	bus *Bus
	c   SubConfig
	h   Handler
	log *slog.Logger
}

func (r runner) run(ctx context.Context, iter jetstream.MessagesContext) {
	for {
		raw, err := iter.Next()
		switch {
		case errors.Is(err, jetstream.ErrMsgIteratorClosed) || ctx.Err() != nil:
			return
		case err != nil: // a missed heartbeat or a lost connection; the iterator goes on by itself
			r.log.Warn("subscription interrupted", "error", err)
			continue
		}
		m, tries, err := message(raw)
		if err != nil {
			r.log.Error("unreadable message dropped", "subject", raw.Subject(), "error", err)
			r.settle(raw.Term())
			continue
		}
		err = r.call(ctx, m)
		switch {
		case r.c.Durable == "":
			if err != nil {
				r.log.Warn("live handler failed", "type", m.Type, "key", m.Key, "error", err)
			}
		case err == nil:
			r.settle(raw.Ack())
		case ctx.Err() != nil: // stopping: it comes again at once, here or elsewhere
			r.settle(raw.Nak())
			return
		case tries >= maxDeliver:
			r.log.Error("message given up", "type", m.Type, "key", m.Key, "id", m.ID, "tries", tries, "error", err)
			r.settle(raw.Term())
		default:
			r.log.Warn("handler failed; it is tried again", "type", m.Type, "key", m.Key, "id", m.ID, "tries", tries, "error", err)
			r.settle(raw.NakWithDelay(backoff(tries)))
		}
	}
}

// settle notes a failed acknowledgement: the message comes again, which handlers bear.
func (r runner) settle(err error) {
	if err != nil {
		r.log.Warn("message not acknowledged; it comes again", "error", err)
	}
}

func (r runner) call(ctx context.Context, m Msg) (err error) {
	ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.h(ctx, m)
}

func backoff(tries uint64) time.Duration {
	return min(nakMost, nakFirst<<min(tries-1, 16))
}

// message reads what envelope wrote.
func message(raw jetstream.Msg) (Msg, uint64, error) {
	meta, err := raw.Metadata()
	if err != nil {
		return Msg{}, 0, err
	}
	rest := raw.Subject()
	for _, stem := range []string{factSubject, liveSubject} {
		rest = strings.TrimPrefix(rest, stem)
	}
	org, typ, ok := strings.Cut(rest, ".")
	if !ok {
		return Msg{}, 0, errors.New("no organisation in the subject")
	}
	at, err := strconv.ParseInt(raw.Headers().Get(headerAt), 10, 64)
	if err != nil {
		return Msg{}, 0, fmt.Errorf("time: %w", err)
	}
	return Msg{
		Seq: meta.Sequence.Stream, ID: raw.Headers().Get(jetstream.MsgIDHeader), OrgID: org, Type: typ,
		Key: raw.Headers().Get(headerKey), At: time.UnixMilli(at).UTC(), Data: raw.Data(),
	}, meta.NumDelivered, nil
}
