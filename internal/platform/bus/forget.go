package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Forget removes every fact of an organisation from both streams, and has it overwritten on disk.
func (b *Bus) Forget(ctx context.Context, orgID string) error {
	return b.eachOf(ctx, orgID, func(ctx context.Context, s jetstream.Stream, subject string) error {
		for {
			seqs, err := some(ctx, s, subject)
			if err != nil || len(seqs) == 0 {
				return err
			}
			for _, seq := range seqs {
				// One that is gone meanwhile was too old.
				if err := s.SecureDeleteMsg(ctx, seq); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
					return err
				}
			}
		}
	})
}

const (
	forgetBatch   = 500
	forgetTimeout = 10 * time.Minute
)

// some gives the numbers of the first messages of a subject.
func some(ctx context.Context, s jetstream.Stream, subject string) ([]uint64, error) {
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil || len(info.State.Subjects) == 0 {
		return nil, err
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true})
	if err != nil {
		return nil, err
	}
	batch, err := c.FetchNoWait(forgetBatch)
	if err != nil {
		return nil, err
	}
	var seqs []uint64
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return nil, err
		}
		seqs = append(seqs, meta.Sequence.Stream)
	}
	return seqs, batch.Error()
}

// Remembered counts the facts of an organisation that the streams have.
func (b *Bus) Remembered(ctx context.Context, orgID string) (n int64, err error) {
	err = b.eachOf(ctx, orgID, func(ctx context.Context, s jetstream.Stream, subject string) error {
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
		if err == nil {
			for _, count := range info.State.Subjects {
				n += int64(count)
			}
		}
		return err
	})
	return n, err
}

func (b *Bus) eachOf(ctx context.Context, orgID string, fn func(ctx context.Context, s jetstream.Stream, subject string) error) error {
	if err := token(orgID); err != nil {
		return fmt.Errorf("bus: organisation: %w", err)
	}
	for name, stem := range map[string]string{factStream: factSubject, liveStream: liveSubject} {
		ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
		s, err := b.js.Stream(ctx, name)
		if err == nil {
			err = fn(ctx, s, stem+orgID+".>")
		}
		cancel()
		if err != nil {
			return fmt.Errorf("the stream %s: %w", name, err)
		}
	}
	return nil
}
