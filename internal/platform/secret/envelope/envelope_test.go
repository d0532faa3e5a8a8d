package envelope_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

func master(t testing.TB, digit string) *secret.Key {
	t.Helper()
	k, err := secret.ParseKey(strings.Repeat(digit, 64))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// service is a Wrapper that can fail as a key management service does.
type service struct {
	envelope.Wrapper
	mu   sync.Mutex
	err  error
	asks int
}

func newService(t testing.TB, digit string) *service {
	return &service{Wrapper: envelope.NewLocal(master(t, digit))}
}

func (s *service) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *service) ask() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks++
	return s.err
}

func (s *service) Unwrap(ctx context.Context, wrapped []byte, aad string) ([]byte, error) {
	if err := s.ask(); err != nil {
		return nil, err
	}
	return s.Wrapper.Unwrap(ctx, wrapped, aad)
}

func (s *service) Wrap(ctx context.Context, key []byte, aad string) ([]byte, error) {
	if err := s.ask(); err != nil {
		return nil, err
	}
	return s.Wrapper.Wrap(ctx, key, aad)
}

// process makes a keyring, as one process has it.
func process(t testing.TB, d *db.DB, c envelope.Config, old *secret.Key) *envelope.Keyring {
	t.Helper()
	c.DB = d
	if c.Wrapper == nil {
		c.Wrapper = envelope.NewLocal(master(t, "a"))
	}
	k, err := envelope.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Start(t.Context(), func(context.Context) (*secret.Key, error) { return old, nil }); err != nil {
		t.Fatal(err)
	}
	return k
}

func each(t *testing.T, fn func(t *testing.T, d *db.DB)) {
	dbtest.Each(t, []db.Migrations{envelope.Migrations()}, fn)
}

func seal(t testing.TB, k *envelope.Keyring, org, plain, aad string) []byte {
	t.Helper()
	b, err := k.Seal(t.Context(), org, []byte(plain), []byte(aad))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func opens(t testing.TB, k *envelope.Keyring, org string, sealed []byte, aad, want string) {
	t.Helper()
	if b, err := k.Open(t.Context(), org, sealed, []byte(aad)); err != nil || string(b) != want {
		t.Errorf("opened %q, %v; want %q", b, err, want)
	}
}

func TestSealedForOneOrganisationAndPlace(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		a, b := process(t, d, envelope.Config{}, nil), process(t, d, envelope.Config{}, nil)
		sealed := seal(t, a, "one", "hello", "row 1")
		opens(t, a, "one", sealed, "row 1", "hello")
		opens(t, b, "one", sealed, "row 1", "hello")
		if _, err := a.Open(t.Context(), "one", sealed, []byte("row 2")); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("in another place: %v", err)
		}
		if _, err := a.Open(t.Context(), "two", sealed, []byte("row 1")); !errors.Is(err, envelope.ErrNoKey) {
			t.Errorf("by another organisation: %v", err)
		}
		for i := range sealed {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1
			if got, err := a.Open(t.Context(), "one", bad, []byte("row 1")); err == nil {
				t.Fatalf("byte %d altered, and opened as %q", i, got)
			}
		}
		box, other := a.Box("phones"), a.Box("sign-on")
		boxed, err := box.Seal(t.Context(), "one", []byte("x"), []byte("p"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := box.Open(t.Context(), "one", boxed, []byte("p")); err != nil || string(got) != "x" {
			t.Errorf("box: %q %v", got, err)
		}
		if _, err := other.Open(t.Context(), "one", boxed, []byte("p")); !errors.Is(err, secret.ErrOpen) {
			t.Errorf("another box: %v", err)
		}
	})
}

// Two processes that seal for a new organisation at the same time get one key.
func TestOneKeyForAll(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		ids := make([]envelope.KeyID, 8)
		for i := range ids {
			k := process(t, d, envelope.Config{}, nil)
			wg.Go(func() {
				f, err := k.FileKey(t.Context(), "new", "records")
				if err != nil {
					t.Error(err)
				}
				ids[i] = f.ID
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Errorf("keys %v", ids)
			}
		}
	})
}

func TestWhatTheMasterKeySealedStillOpens(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		old := master(t, "a")
		plain, err := old.Seal([]byte("vendor key"), []byte("model 1"))
		if err != nil {
			t.Fatal(err)
		}
		boxed, err := old.Box("phones").Seal([]byte("digest"))
		if err != nil {
			t.Fatal(err)
		}
		k := process(t, d, envelope.Config{}, old)
		opens(t, k, "one", plain, "model 1", "vendor key")
		if got, err := k.Box("phones").Open(t.Context(), "one", boxed, []byte("any")); err != nil || string(got) != "digest" {
			t.Errorf("%q %v", got, err)
		}
		if !bytes.Equal(k.LegacyFileKey("records"), old.Derive("records")) {
			t.Error("recordings of before cannot be read")
		}
		// The master key is replaced: what it sealed still opens, though nobody gives it any more.
		next := envelope.Config{Wrapper: envelope.NewLocal(master(t, "b")), Previous: []envelope.Wrapper{envelope.NewLocal(old)}}
		if _, err := process(t, d, next, nil).Rewrap(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		next.Previous = nil
		opens(t, process(t, d, next, nil), "one", plain, "model 1", "vendor key")
		// A new installation never had one.
		if k := process(t, dbtest.SQLite(t, envelope.Migrations()), envelope.Config{}, nil); k.Legacy() != nil {
			t.Error("a new installation has a legacy key")
		}
	})
}

func TestKeptSecrets(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		a, b := process(t, d, envelope.Config{}, nil), process(t, d, envelope.Config{}, nil)
		first, err := a.Kept(t.Context(), "audit", nil)
		if err != nil || len(first) != 32 {
			t.Fatal(first, err)
		}
		if again, err := b.Kept(t.Context(), "audit", bytes.Repeat([]byte{1}, 32)); err != nil || !bytes.Equal(first, again) {
			t.Errorf("another process: %x %v", again, err)
		}
		given := bytes.Repeat([]byte{7}, 32)
		if got, err := b.Kept(t.Context(), "other", given); err != nil || !bytes.Equal(got, given) {
			t.Errorf("given: %x %v", got, err)
		}
	})
}

func TestRotate(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		a, b := process(t, d, envelope.Config{}, nil), process(t, d, envelope.Config{}, nil)
		one := seal(t, a, "org", "1", "")
		opens(t, b, "org", one, "", "1")
		if v, err := a.Rotate(t.Context(), "org"); err != nil || v != 2 {
			t.Fatal(v, err)
		}
		two := seal(t, a, "org", "2", "")
		before, _ := envelope.SealedUnder(one)
		after, _ := envelope.SealedUnder(two)
		if before == after {
			t.Error("the new version does not seal")
		}
		opens(t, a, "org", one, "", "1")
		opens(t, b, "org", two, "", "2")
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if id, _ := envelope.SealedUnder(seal(t, b, "org", "3", "")); id != after {
			t.Error("the other process goes on with the old version")
		}
	})
}

// The master key is replaced while two processes read, write and make keys.
func TestRewrapWhileWorking(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		oldKey, newKey := envelope.NewLocal(master(t, "a")), envelope.NewLocal(master(t, "b"))
		first := process(t, d, envelope.Config{Wrapper: oldKey}, nil)
		for i := range 30 {
			seal(t, first, fmt.Sprint("org ", i), "x", "")
		}
		both := envelope.Config{Wrapper: newKey, Previous: []envelope.Wrapper{oldKey}, Most: 4} // so that keys are unwrapped all the time
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		type kept struct {
			org    string
			sealed []byte
		}
		var mu sync.Mutex
		var all []kept
		var wg sync.WaitGroup
		began := make(chan struct{}, 2)
		for p := range 2 {
			k := process(t, d, both, nil)
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					org := fmt.Sprintf("org %d", i%30)
					if i%10 == 9 {
						org = fmt.Sprintf("new %d %d", p, i)
					}
					b, err := k.Seal(t.Context(), org, []byte("x"), nil)
					if err == nil {
						_, err = k.Open(t.Context(), org, b, nil)
					}
					if err != nil {
						t.Errorf("while the keys are wrapped anew: %v", err)
						return
					}
					mu.Lock()
					all = append(all, kept{org, b})
					mu.Unlock()
					if i == 20 {
						began <- struct{}{}
					}
				}
			})
		}
		<-began
		<-began
		n, err := process(t, d, both, nil).Rewrap(t.Context(), nil)
		if err != nil || n < 31 {
			t.Errorf("wrapped %d, %v", n, err)
		}
		stop()
		wg.Wait()
		last := process(t, d, envelope.Config{Wrapper: newKey}, nil)
		for _, v := range all {
			opens(t, last, v.org, v.sealed, "", "x")
		}
		s, err := last.Status(t.Context())
		if err != nil || len(s.Wrappers) != 1 || s.Wrappers[0].ID != newKey.ID() || s.Wrapper != newKey.ID() {
			t.Errorf("status %+v, %v", s, err)
		}
	})
}

func TestTheWrongMasterKeyIsRefused(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		process(t, d, envelope.Config{}, nil)
		wrong, err := envelope.New(envelope.Config{DB: d, Wrapper: envelope.NewLocal(master(t, "b"))})
		if err != nil {
			t.Fatal(err)
		}
		err = wrong.Start(t.Context(), nil)
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), envelope.NewLocal(master(t, "a")).ID()) {
			t.Errorf("error %v", err)
		}
		found := envelope.Config{DB: d, Wrapper: envelope.NewLocal(master(t, "b")), Find: func(string) (envelope.Wrapper, error) { return envelope.NewLocal(master(t, "a")), nil }}
		process(t, d, found, nil)
	})
}

func TestShred(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		var told []string
		audit := func(_ context.Context, _ *db.Tx, org, action string, _ any) error {
			told = append(told, org+" "+action)
			return nil
		}
		a, b := process(t, d, envelope.Config{Audit: audit}, nil), process(t, d, envelope.Config{}, nil)
		sealed, other := seal(t, a, "org", "1", ""), seal(t, a, "other", "2", "")
		if _, err := a.Rotate(t.Context(), "org"); err != nil {
			t.Fatal(err)
		}
		opens(t, b, "org", sealed, "", "1")
		p, err := a.Shred(t.Context(), "org")
		if err != nil || len(p.Keys) != 2 || p.OrganisationID != "org" || p.Keys[0].Version != 1 || p.Keys[0].Fingerprint == p.Keys[1].Fingerprint {
			t.Fatalf("%+v %v", p, err)
		}
		if again, err := a.Shred(t.Context(), "org"); err != nil || fmt.Sprint(again) != fmt.Sprint(p) {
			t.Errorf("again: %+v %v", again, err)
		}
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, k := range map[string]*envelope.Keyring{"here": a, "elsewhere": b, "later": process(t, d, envelope.Config{}, nil)} {
			if _, err := k.Open(t.Context(), "org", sealed, nil); !errors.Is(err, envelope.ErrNoKey) {
				t.Errorf("%s: opened: %v", name, err)
			}
			if _, err := k.Seal(t.Context(), "org", []byte("3"), nil); !fault.Is(err, fault.NotPossible) {
				t.Errorf("%s: sealed: %v", name, err)
			}
			opens(t, k, "other", other, "", "2")
			if got, err := k.Shredded(t.Context(), "org"); err != nil || got == nil || fmt.Sprint(*got) != fmt.Sprint(p) {
				t.Errorf("%s: proof %+v %v", name, got, err)
			}
		}
		if got, err := a.Shredded(t.Context(), "other"); err != nil || got != nil {
			t.Errorf("not shredded: %+v %v", got, err)
		}
		if _, err := a.Shred(t.Context(), envelope.Installation); err == nil {
			t.Error("the installation was shredded")
		}
		if p, err := a.Shred(t.Context(), "never sealed"); err != nil || len(p.Keys) != 0 {
			t.Errorf("without keys: %+v %v", p, err)
		}
		if strings.Join(told, ",") != "org key.rotate,org key.shred,never sealed key.shred" {
			t.Errorf("audit %v", told)
		}
	})
}

func mustID(t testing.TB, sealed []byte) envelope.KeyID {
	t.Helper()
	id, ok := envelope.SealedUnder(sealed)
	if !ok {
		t.Fatal("no key id")
	}
	return id
}

// The key service goes away: what is in memory is used on, for a while; what is not cannot be had.
func TestServiceIsAway(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		clock, s := quartz.NewMock(t), newService(t, "a")
		k := process(t, d, envelope.Config{Wrapper: s, Clock: clock}, nil)
		sealed := seal(t, k, "org", "1", "")
		seal(t, process(t, d, envelope.Config{Wrapper: s}, nil), "cold", "1", "")
		ctx := t.Context()
		pass := func(total time.Duration) { // and something uses the key all the time
			for at := time.Duration(0); at < total; at += 20 * time.Minute {
				clock.Advance(20 * time.Minute)
				_, _ = k.Open(ctx, "org", sealed, nil)
				_ = k.Check(ctx) // fails while the service is away
			}
		}
		away := fault.New(fault.Unavailable, "the key service is away")
		s.fail(away)
		pass(2 * time.Hour)
		opens(t, k, "org", sealed, "", "1")
		if _, ok := k.CachedFileKey("org", "records"); !ok {
			t.Error("the key is not in memory")
		}
		if _, ok := k.CachedFileKey("cold", "records"); ok {
			t.Error("a key that nobody used is in memory")
		}
		if _, err := k.FileKey(ctx, "cold", "records"); !errors.Is(err, away) {
			t.Errorf("error %v", err)
		}
		if _, err := k.FileKey(ctx, "new", "records"); !errors.Is(err, away) {
			t.Errorf("error %v", err)
		}
		s.fail(nil)
		if _, err := k.FileKey(ctx, "cold", "records"); err != nil {
			t.Error(err)
		}
		pass(40 * time.Minute)
		opens(t, k, "org", sealed, "", "1")
		// A service that refuses is obeyed within the life of a key.
		s.fail(fault.New(fault.Forbidden, "the key is disabled"))
		pass(2 * time.Hour)
		if _, ok := k.CachedFileKey("org", "records"); ok {
			t.Error("the key of a service that refuses is used on")
		}
		if _, err := k.Open(ctx, "org", sealed, nil); !fault.Is(err, fault.Forbidden) {
			t.Errorf("error %v", err)
		}
	})
}

// What another process changed is noticed by the poll.
func TestRunNotices(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		clock := quartz.NewMock(t)
		a, b := process(t, d, envelope.Config{}, nil), process(t, d, envelope.Config{Clock: clock}, nil)
		sealed := seal(t, b, "org", "1", "")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		trap := clock.Trap().NewTicker("envelope", "poll")
		defer trap.Close()
		go func() { defer close(done); b.Run(ctx) }()
		trap.MustWait(ctx).MustRelease(ctx)
		if _, err := a.Shred(ctx, "org"); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); ; {
			clock.Advance(5 * time.Second).MustWait(ctx)
			if _, err := b.Open(ctx, "org", sealed, nil); errors.Is(err, envelope.ErrNoKey) {
				break
			}
			if time.Now().After(end) {
				t.Fatal("a key that was destroyed elsewhere is used on")
			}
		}
		stop()
		<-done
	})
}

func TestKeysOutOfUseAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB) {
		s := newService(t, "a")
		k := process(t, d, envelope.Config{Wrapper: s, Most: 3}, nil)
		var sealed [][]byte
		for i := range 5 {
			sealed = append(sealed, seal(t, k, fmt.Sprint(i), "x", ""))
		}
		for i := range sealed {
			opens(t, k, fmt.Sprint(i), sealed[i], "", "x")
		}
		before := s.asks
		if _, err := k.Kept(t.Context(), "any", nil); err != nil || s.asks != before {
			t.Errorf("the installation's key was not in memory: %d, %v", s.asks-before, err)
		}
	})
}
