package keyholder

import (
	"context"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const (
	tries       = 3 // of one question, each with whichever holder offers
	defaultWait = 5 * time.Second
	findTimeout = time.Minute // for a holder, at the start
	findEvery   = 250 * time.Millisecond
)

// AskerConfig is what Find needs.
type AskerConfig struct {
	Bus     Bus
	Signing Signing
	Role    string        // this process's, which its signing key and its login to the bus are for
	Holders []string      // roles whose offers are believed
	Wait    time.Duration // for an offer, and twice that for what came of a request; 5 seconds
	Clock   quartz.Clock
	Log     *slog.Logger
}

// Asker asks holders. It is safe for concurrent use and keeps no connection to one of them: each question goes to whoever is
// there.
type Asker struct {
	c       AskerConfig
	current string
}

// Find waits for a holder, at most a minute.
func Find(ctx context.Context, c AskerConfig) (*Asker, error) {
	if c.Bus == nil || c.Signing == nil || c.Role == "" || len(c.Holders) == 0 {
		return nil, errors.New("keyholder: AskerConfig is not whole")
	}
	if c.Wait == 0 {
		c.Wait = defaultWait
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a := &Asker{c: c}
	until := c.Clock.NewTimer(findTimeout, "keyholder", "find")
	defer until.Stop()
	again := c.Clock.NewTicker(findEvery, "keyholder", "again")
	defer again.Stop()
	for told := false; ; told = true {
		o, err := a.offer(ctx)
		if err == nil {
			a.current = o.Wrapper
			return a, nil
		}
		if !told {
			c.Log.Info("waiting for a process that has the master key", "role", c.Role, "error", err)
		}
		select {
		case <-again.C:
		case <-until.C:
			return nil, a.missing(err)
		case <-ctx.Done():
			return nil, a.missing(err)
		}
	}
}

// missing says what to do when nobody answers.
func (a *Asker) missing(err error) error {
	code := fault.Unavailable
	if fault.Is(err, fault.Timeout) {
		code = fault.Timeout
	}
	return fault.Wrap(code, err, "no process that has the master key answers: start one with the role %s and its setting key or kms, and see that NATS lets this one publish parley.ask.%s.%s.> (deploy/nats/parley.conf)",
		a.c.Holders[0], service, a.c.Role)
}

// Current is the ID of what wraps by the settings of the holder that was found.
func (a *Asker) Current() string { return a.current }

// Wrapper gives what has an ID at the holders.
func (a *Asker) Wrapper(id string) envelope.Wrapper { return &remote{a, id} }

// remote implements envelope.Wrapper.
type remote struct {
	a  *Asker
	id string
}

// ID implements envelope.Wrapper.
func (r *remote) ID() string { return r.id }

// Wrap implements envelope.Wrapper.
func (r *remote) Wrap(ctx context.Context, key []byte, aad string) ([]byte, error) {
	return r.a.ask(ctx, request{Op: opWrap, Wrapper: r.id, AAD: aad, Data: key})
}

// Unwrap implements envelope.Wrapper.
func (r *remote) Unwrap(ctx context.Context, wrapped []byte, aad string) ([]byte, error) {
	return r.a.ask(ctx, request{Op: opUnwrap, Wrapper: r.id, AAD: aad, Data: wrapped})
}

// ask tries until somebody answers for good: a holder may stop between its offer and its answer, or not have a wrapping key yet
// that another one has.
func (a *Asker) ask(ctx context.Context, r request) ([]byte, error) {
	var err error
	for range tries {
		var out []byte
		if out, err = a.once(ctx, r); err == nil {
			return out, nil
		}
		if ctx.Err() != nil || !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
			break
		}
	}
	return nil, err
}

func (a *Asker) once(ctx context.Context, r request) ([]byte, error) {
	o, err := a.offer(ctx)
	if err != nil {
		return nil, a.missing(err)
	}
	public, err := kem().NewPublicKey(o.Public)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the key holder's public key is none")
	}
	encapsulated, sender, err := hpke.NewSender(public, kdf(), aead(), info(a.c.Role))
	if err != nil {
		return nil, fmt.Errorf("seal to the key holder: %w", err)
	}
	r.Token, err = a.c.Signing.Token(ctx, a.c.Role, holderAudience(o.Holder), r.Op, tokenLife, map[string]string{"request": r.digest(encapsulated)})
	if err != nil {
		return nil, fmt.Errorf("sign for the key holder: %w", err)
	}
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	p := passing{Encapsulated: encapsulated}
	if p.Sealed, err = sender.Seal(nil, plain); err != nil {
		return nil, fmt.Errorf("seal to the key holder: %w", err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*a.c.Wait)
	defer cancel()
	said, err := a.c.Bus.Ask(ctx, bus.Question{Service: service, Role: a.c.Role, To: o.Holder, Data: data})
	if err != nil {
		return nil, a.missing(err)
	}
	return opened(sender, said)
}

// opened reads an answer.
func opened(sender exporter, said []byte) ([]byte, error) {
	var p passing
	if len(said) > maxMessage || json.Unmarshal(said, &p) != nil {
		return nil, fault.New(fault.Unavailable, "the key holder's answer cannot be read")
	}
	if p.Problem != "" || len(p.Sealed) == 0 {
		return nil, fault.New(fault.Unavailable, "the key holder sent this process away; its log says why")
	}
	open, err := back(sender)
	if err != nil {
		return nil, err
	}
	plain, err := open.Open(nil, nil, p.Sealed, nil)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the answer is not the key holder's, or was altered")
	}
	defer clear(plain)
	var a answer
	if err := json.Unmarshal(plain, &a); err != nil {
		return nil, fault.New(fault.Unavailable, "the key holder's answer cannot be read")
	}
	switch a.Code {
	case "":
		return a.Data, nil
	case notOpened:
		return nil, secret.ErrOpen
	}
	return nil, fault.New(a.Code, "the key holder says: %s", a.Message)
}

// offer asks whoever is there for a public key, and believes it when a holder's role signed it.
func (a *Asker) offer(ctx context.Context) (offer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.c.Wait)
	defer cancel()
	var o offer
	b, err := a.c.Bus.Ask(ctx, bus.Question{Service: service, Role: a.c.Role})
	if err != nil {
		return o, err
	}
	if len(b) > maxMessage || json.Unmarshal(b, &o) != nil || o.Holder == "" || o.Wrapper == "" {
		return o, fault.New(fault.Unavailable, "a key holder's offer cannot be read")
	}
	claims, err := a.c.Signing.Verify(ctx, o.Token, askerAudience, a.c.Holders...)
	if err != nil || claims.Subject != o.Holder || !maps.Equal(claims.Data, o.vouched()) {
		return o, fault.Wrap(fault.Unavailable, err, "an offer to wrap data keys is not signed by a process of the role %s; do the clocks agree?", a.c.Holders[0])
	}
	return o, nil
}
