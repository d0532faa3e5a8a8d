package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Shared is a store of small values that all instances see, with a revision for each change: a bucket of NATS KV.
type Shared interface {
	// Get gives a value and its revision; revision 0 says that there is none.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Put writes a value if its revision is still that one, 0: if there is none. ErrChanged when it is not.
	Put(ctx context.Context, key string, value []byte, revision uint64) error
}

// ErrChanged says that somebody else wrote a shared value meanwhile.
var ErrChanged = errors.New("gateway: the shared value has changed")

// SharedKV shares by a bucket of the bus.
func SharedKV(kv *bus.KV) Shared { return sharedKV{kv} }

type sharedKV struct{ kv *bus.KV }

// Get implements Shared.
func (s sharedKV) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	e, err := s.kv.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, 0, nil
	}
	return e.Value, e.Revision, err
}

// Put implements Shared.
func (s sharedKV) Put(ctx context.Context, key string, value []byte, revision uint64) (err error) {
	if revision == 0 {
		_, err = s.kv.Create(ctx, key, value, 0)
	} else {
		_, err = s.kv.Update(ctx, key, value, revision)
	}
	if fault.Is(err, fault.Conflict) {
		return ErrChanged
	}
	return err
}

const (
	shareEvery   = time.Second
	shareMost    = 2000 // keys in one round; of the others the instances know their own part only
	shareTries   = 5
	shareTimeout = 5 * time.Second
)

// Share tells other instances every second what was used here, and learns what was used there, until ctx ends. A limit may
// be exceeded by what all instances let through within that second; it is made up for, because use is added up.
func (l *Limits) Share(ctx context.Context) {
	if l == nil || l.c.Shared == nil {
		return
	}
	tick := l.c.Clock.NewTicker(shareEvery, "limits", "share")
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := l.exchange(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			l.c.Log.Warn("rate limits are not shared; each instance counts alone", "error", err)
		} else if err == nil && failing {
			l.c.Log.Info("rate limits are shared again")
		}
		failing = err != nil
	}
}

// exchange is one round. What cannot be told in it is not told later: it would be old by then.
func (l *Limits) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	now := l.c.Clock.Now()
	var failed error
	for key, spent := range l.meter.spending(now, shareMost) {
		tat, err := l.add(ctx, key, spent, now)
		if err != nil {
			if failed = err; ctx.Err() != nil {
				break
			}
			continue
		}
		l.meter.learn(key, tat)
	}
	return failed
}

// add puts what was used here on top of what all used: theoretical arrival times add up.
func (l *Limits) add(ctx context.Context, key string, spent time.Duration, now time.Time) (time.Time, error) {
	sum := sha256.Sum256([]byte(key)) // keys hold addresses, which are nobody's business
	name := hex.EncodeToString(sum[:16])
	for range shareTries {
		value, revision, err := l.c.Shared.Get(ctx, name)
		if err != nil {
			return time.Time{}, err
		}
		tat := now
		if us, err := strconv.ParseInt(string(value), 10, 64); err == nil && time.UnixMicro(us).After(now) {
			tat = time.UnixMicro(us)
		}
		tat = tat.Add(spent)
		err = l.c.Shared.Put(ctx, name, strconv.AppendInt(nil, tat.UnixMicro(), 10), revision)
		if !errors.Is(err, ErrChanged) {
			return tat, err
		}
	}
	return time.Time{}, ErrChanged
}
