package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Questions that one of several processes answers. The subject is parley.ask.SERVICE.ROLE, or parley.ask.SERVICE.ROLE.TO for
// one process. ROLE is who asks: the server lets nobody publish under a role that is not theirs (deploy/nats/parley.conf).
const (
	askSubject = "parley.ask."
	answerers  = 8   // questions that a process answers at once
	askQueue   = 256 // questions that wait; more are dropped, and asked again by who asked
)

// Question is what is asked of a service: of any process that answers, or of To.
type Question struct {
	Service string
	Role    string // of who asks
	To      string
	Data    []byte
}

func (q Question) subject() (string, error) {
	if err := errors.Join(token(q.Service), token(q.Role)); err != nil {
		return "", fmt.Errorf("bus: ask: %w", err)
	}
	subject := askSubject + q.Service + "." + q.Role
	if q.To == "" {
		return subject, nil
	}
	if err := token(q.To); err != nil {
		return "", fmt.Errorf("bus: ask: %w", err)
	}
	return subject + "." + q.To, nil
}

// Ask asks a question and waits for the answer: fault.Unavailable at once when nobody answers to it, fault.Timeout when nobody
// does before ctx ends, which is also what a server makes of a question that it does not let this process ask.
func (b *Bus) Ask(ctx context.Context, q Question) ([]byte, error) {
	subject, err := q.subject()
	if err != nil {
		return nil, err
	}
	m, err := b.nc.RequestWithContext(ctx, subject, q.Data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fault.Wrap(fault.Unavailable, err, "nobody answers to %s", subject)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.Wrap(fault.Timeout, err, "%s was not answered in time", subject)
	case err != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "%s could not be asked", subject)
	}
	return m.Data, nil
}

// Answer runs h for the questions of a service, those to self and its share of those to anybody, until ctx ends or Close. h is
// told the role that asks; what it gives is the answer.
func (b *Bus) Answer(ctx context.Context, service, self string, h func(ctx context.Context, role string, data []byte) []byte) error {
	anybody, err := Question{Service: service, Role: "role"}.subject()
	if err != nil {
		return err
	}
	if err := token(self); err != nil {
		return fmt.Errorf("bus: answer: %w", err)
	}
	stem := anybody[:len(anybody)-len("role")]
	questions := make(chan *nats.Msg, askQueue)
	shared, err := b.nc.ChanQueueSubscribe(stem+"*", service, questions)
	if err != nil {
		return fmt.Errorf("bus: answer %s: %w", service, err)
	}
	own, err := b.nc.ChanSubscribe(stem+"*."+self, questions)
	if err != nil {
		return fmt.Errorf("bus: answer %s: %w", service, errors.Join(err, shared.Unsubscribe()))
	}
	b.wg.Go(func() { // before Close goes on, so that who asks afterwards is told at once that nobody is here
		select {
		case <-ctx.Done():
		case <-b.ctx.Done():
		}
		_, _ = shared.Unsubscribe(), own.Unsubscribe() // the connection may be closed already
	})
	for range answerers {
		b.wg.Go(func() { b.answer(ctx, questions, len(stem), h) })
	}
	return nil
}

func (b *Bus) answer(ctx context.Context, questions <-chan *nats.Msg, stem int, h func(context.Context, string, []byte) []byte) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-questions:
			role, _, _ := strings.Cut(m.Subject[stem:], ".")
			answer := h(ctx, role, m.Data)
			if m.Reply == "" {
				continue
			}
			if err := m.Respond(answer); err != nil {
				b.c.Log.Debug("an answer was not sent", "subject", m.Subject, "error", err)
			}
		}
	}
}
