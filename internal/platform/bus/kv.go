package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	kvPrefix   = "PARLEY_"
	kvMaxBytes = 8 << 20 // of one bucket; more are refused
	kvMaxValue = 64 << 10
	kvTries    = 32 // of an Incr that others disturb
)

// KV is a bucket of small values that all processes on the bus see and that expire: presence, locks, counters. It is in
// memory, without a copy on disk: after a restart of the (last) server it is empty. It is safe for concurrent use.
type KV struct {
	kv  jetstream.KeyValue
	ttl time.Duration
}

// Entry is a value with the number of its change.
type Entry struct {
	Value    []byte
	Revision uint64
	At       time.Time // when it was put, by the bus's clock
}

// KV opens a bucket, and makes it if it is new; a process that follows waits until another one has. A value expires ttl
// after it was put; 0 is never.
func (b *Bus) KV(ctx context.Context, bucket string, ttl time.Duration) (*KV, error) {
	if b.c.Follow {
		var kv jetstream.KeyValue
		err := b.await(ctx, func(ctx context.Context) (err error) {
			kv, err = b.js.KeyValue(ctx, kvPrefix+bucket)
			return err
		})
		if err != nil {
			return nil, kvFail("open", bucket, err)
		}
		return &KV{kv: kv, ttl: ttl}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	kv, err := b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: kvPrefix + bucket, TTL: ttl, Storage: jetstream.MemoryStorage, Replicas: b.c.Replicas,
		MaxBytes: kvMaxBytes, MaxValueSize: kvMaxValue, LimitMarkerTTL: max(ttl, time.Second),
	})
	if err != nil {
		return nil, kvFail("open", bucket, err)
	}
	return &KV{kv: kv, ttl: ttl}, nil
}

// Get gives a value; fault.NotFound when there is none, or none any more.
func (k *KV) Get(ctx context.Context, key string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	e, err := k.kv.Get(ctx, key)
	if err != nil {
		return Entry{}, kvFail("read", key, err)
	}
	return Entry{Value: e.Value(), Revision: e.Revision(), At: e.Created()}, nil
}

// Put sets a value, whatever was there, and gives its revision. It lives for the bucket's ttl from now on.
func (k *KV) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	rev, err := k.kv.Put(ctx, key, value)
	if err != nil {
		return 0, kvFail("put", key, err)
	}
	return rev, nil
}

// Create sets a value that must not be there: fault.Conflict when it is. A ttl above 0 is this key's own.
func (k *KV) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var opts []jetstream.KVCreateOpt
	if ttl > 0 {
		opts = append(opts, jetstream.KeyTTL(ttl))
	}
	rev, err := k.kv.Create(ctx, key, value, opts...)
	if err != nil {
		return 0, kvFail("create", key, err)
	}
	return rev, nil
}

// Update sets a value that nobody has changed since revision: fault.Conflict otherwise.
func (k *KV) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	rev, err := k.kv.Update(ctx, key, value, revision)
	if err != nil {
		return 0, kvFail("change", key, err)
	}
	return rev, nil
}

// Delete removes a value. A revision above 0 must be the last one. One that is not there is no error.
func (k *KV) Delete(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var opts []jetstream.KVDeleteOpt
	if revision > 0 {
		opts = append(opts, jetstream.LastRevision(revision))
	}
	if err := k.kv.Delete(ctx, key, opts...); err != nil {
		return kvFail("delete", key, err)
	}
	return nil
}

// Incr adds to a counter and gives the sum. Each change lets it live for the bucket's ttl from then on.
func (k *KV) Incr(ctx context.Context, key string, by int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for range kvTries {
		e, err := k.Get(ctx, key)
		var sum int64
		switch {
		case fault.Is(err, fault.NotFound):
			sum = by
			_, err = k.Create(ctx, key, strconv.AppendInt(nil, sum, 10), 0)
		case err != nil:
			return 0, err
		default:
			old, bad := strconv.ParseInt(string(e.Value), 10, 64)
			if bad != nil {
				return 0, fmt.Errorf("bus: %s is no counter: %w", key, bad)
			}
			sum = old + by
			_, err = k.Update(ctx, key, strconv.AppendInt(nil, sum, 10), e.Revision)
		}
		if err == nil {
			return sum, nil
		}
		if !fault.Is(err, fault.Conflict) {
			return 0, err
		}
	}
	return 0, fault.New(fault.Conflict, "the counter %s changes too fast; try again", key)
}

func kvFail(what, key string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrKeyDeleted):
		return fault.Wrap(fault.NotFound, err, "there is no %s", key)
	case errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return fault.Wrap(fault.Conflict, err, "%s was changed by somebody else", key)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "the bus took too long to %s %s", what, key)
	}
	return fmt.Errorf("bus: %s %s: %w", what, key, err)
}
