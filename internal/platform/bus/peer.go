package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Messages from one process to one other, which nobody keeps. The subject is parley.peer.TO.NAME.
const peerSubject = "parley.peer."

// ToPeer sends a message to the process that serves to. Whether it arrives is not known.
func (b *Bus) ToPeer(to, name string, data []byte) error {
	subject, err := peer(to, name)
	if err != nil {
		return err
	}
	if err := b.nc.Publish(subject, data); err != nil {
		return fmt.Errorf("bus: %s: %w", subject, err)
	}
	return nil
}

// AskPeer asks the process that serves to, and waits for its answer: fault.NotFound at once when there is none.
func (b *Bus) AskPeer(ctx context.Context, to, name string, data []byte) ([]byte, error) {
	subject, err := peer(to, name)
	if err != nil {
		return nil, err
	}
	m, err := b.nc.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fault.Wrap(fault.NotFound, err, "nobody answers to %s", subject)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.Wrap(fault.Timeout, err, "%s took too long to answer", subject)
	case err != nil:
		return nil, fmt.Errorf("bus: %s: %w", subject, err)
	}
	return m.Data, nil
}

// ServePeer runs h for each message of that name to to, until ctx ends or Close. What h gives is the answer to who asked. h
// must not wait.
func (b *Bus) ServePeer(ctx context.Context, to, name string, h func(data []byte) []byte) error {
	return b.servePeer(ctx, to, name, func(m *nats.Msg) { b.respond(m, h(m.Data)) })
}

// ServePeerEach is ServePeer for an h that takes its time: each message has a goroutine of its own, at most so many at once; the
// others wait, in the order in which they came.
func (b *Bus) ServePeerEach(ctx context.Context, to, name string, most int, h func(ctx context.Context, data []byte) []byte) error {
	places := make(chan struct{}, most)
	return b.servePeer(ctx, to, name, func(m *nats.Msg) {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		go func() {
			defer func() { <-places }()
			b.respond(m, h(ctx, m.Data))
		}()
	})
}

func (b *Bus) servePeer(ctx context.Context, to, name string, take nats.MsgHandler) error {
	subject, err := peer(to, name)
	if err != nil {
		return err
	}
	sub, err := b.nc.Subscribe(subject, take)
	if err != nil {
		return fmt.Errorf("bus: %s: %w", subject, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() }) // the connection may be closed already
	return nil
}

// respond answers who asked, if somebody waits for it.
func (b *Bus) respond(m *nats.Msg, answer []byte) {
	if m.Reply == "" {
		return
	}
	if err := m.Respond(answer); err != nil {
		b.c.Log.Debug("an answer was not sent", "subject", m.Subject, "error", err)
	}
}

func peer(to, name string) (string, error) {
	if err := errors.Join(token(to), token(name)); err != nil {
		return "", fmt.Errorf("bus: peer: %w", err)
	}
	return peerSubject + to + "." + name, nil
}
