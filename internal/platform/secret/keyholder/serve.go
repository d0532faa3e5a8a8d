package keyholder

import (
	"context"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// workTime bounds one answer: a key service may be behind it.
const workTime = 10 * time.Second

// HolderConfig is what Serve needs.
type HolderConfig struct {
	Bus     Bus
	Signing Signing
	Role    string   // this process's, which its signing key is for
	Self    string   // this process's name on the bus
	Askers  []string // roles that may ask
	Current string   // ID of what wraps by this process's settings
	// Wrapper gives what has an ID, of those that this process has.
	Wrapper func(id string) (envelope.Wrapper, error)
	Log     *slog.Logger
}

type holder struct {
	c       HolderConfig
	private hpke.PrivateKey
}

// Serve answers until ctx ends or the bus closes. Each key that is wrapped or unwrapped for somebody is logged with the role
// that asked and the organisation whose key it is.
func Serve(ctx context.Context, c HolderConfig) error {
	if c.Bus == nil || c.Signing == nil || c.Wrapper == nil || c.Log == nil || c.Role == "" || c.Self == "" || c.Current == "" {
		return errors.New("keyholder: HolderConfig is not whole")
	}
	private, err := kem().GenerateKey()
	if err != nil {
		return fmt.Errorf("a key for the key holder: %w", err)
	}
	h := &holder{c: c, private: private}
	return c.Bus.Answer(ctx, service, c.Self, h.answer)
}

// answer gives an offer, or what came of a request.
func (h *holder) answer(ctx context.Context, role string, data []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	var out any
	var err error
	if len(data) == 0 {
		out, err = h.offer(ctx)
	} else {
		out, err = h.exchange(ctx, role, data)
	}
	if err != nil {
		h.c.Log.Warn("a process that asked about a data key was sent away", "role", role, "error", err)
		out = passing{Problem: "the key holder cannot answer that; its log says why"}
	}
	b, err := json.Marshal(out)
	if err != nil { // bytes and strings
		panic(err)
	}
	return b
}

func (h *holder) offer(ctx context.Context) (offer, error) {
	o := offer{Holder: h.c.Self, Wrapper: h.c.Current, Public: h.private.PublicKey().Bytes()}
	var err error
	o.Token, err = h.c.Signing.Token(ctx, h.c.Role, askerAudience, o.Holder, tokenLife, o.vouched())
	return o, err
}

// exchange opens a request, does what it asks and seals the answer to who asked. An error is told to nobody but the log:
// whoever sent that is not known to be what they say.
func (h *holder) exchange(ctx context.Context, role string, data []byte) (passing, error) {
	var p passing
	if len(data) > maxMessage {
		return p, errors.New("the request is too long")
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return passing{}, errors.New("the request is not JSON")
	}
	recipient, err := hpke.NewRecipient(p.Encapsulated, h.private, kdf(), aead(), info(role))
	if err != nil {
		return passing{}, fmt.Errorf("the request does not open: %w", err)
	}
	plain, err := recipient.Open(nil, p.Sealed)
	if err != nil {
		return passing{}, errors.New("the request does not open: it was sealed to another holder, by another role, or altered")
	}
	defer clear(plain)
	var r request
	if err := json.Unmarshal(plain, &r); err != nil {
		return passing{}, errors.New("what is in the request is not JSON")
	}
	defer clear(r.Data)
	if err := h.admit(ctx, role, &r, p.Encapsulated); err != nil {
		return passing{}, err
	}
	a := h.do(ctx, role, &r)
	defer clear(a.Data)
	said, err := json.Marshal(a)
	if err != nil {
		return passing{}, err
	}
	defer clear(said)
	seal, err := back(recipient)
	if err != nil {
		return passing{}, err
	}
	return passing{Sealed: seal.Seal(nil, nil, said, nil)}, nil
}

// admit judges who asks, by the token that their process signed.
func (h *holder) admit(ctx context.Context, role string, r *request, encapsulated []byte) error {
	for _, may := range h.c.Askers {
		if may != role {
			continue
		}
		claims, err := h.c.Signing.Verify(ctx, r.Token, holderAudience(h.c.Self), role)
		if err != nil {
			return err
		}
		if claims.Data["request"] != r.digest(encapsulated) {
			return fault.New(fault.Unauthorized, "the token is another request's")
		}
		return nil
	}
	return fault.New(fault.Forbidden, "the role %q may not ask for data keys", role)
}

// do wraps or unwraps. Nothing but keys of the size of a data key, for a place of one, passes: this is not a way to have other
// things decrypted.
func (h *holder) do(ctx context.Context, role string, r *request) answer {
	org, id, _ := strings.Cut(r.AAD, "/")
	out, err := h.work(ctx, r, org != "" && id != "")
	if err == nil {
		h.c.Log.Info("a data key was handled for another process", "do", r.Op, "role", role, "organisation", org, "key", id)
		return answer{Data: out}
	}
	h.c.Log.Warn("a data key could not be handled for another process", "do", r.Op, "role", role, "organisation", org, "key", id, "error", err)
	if errors.Is(err, secret.ErrOpen) {
		return answer{Code: notOpened, Message: "the data key does not open"}
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return answer{Code: f.Code, Message: f.Message}
	}
	return answer{Code: fault.Unavailable, Message: "the key holder failed; its log says why"}
}

func (h *holder) work(ctx context.Context, r *request, place bool) ([]byte, error) {
	if !place {
		return nil, fault.New(fault.Invalid, "that is no data key's place")
	}
	w, err := h.c.Wrapper(r.Wrapper)
	if err != nil {
		return nil, err
	}
	switch r.Op {
	case opWrap:
		if len(r.Data) != secret.KeySize {
			return nil, fault.New(fault.Invalid, "a data key has %d bytes", secret.KeySize)
		}
		return w.Wrap(ctx, r.Data, r.AAD)
	case opUnwrap:
		out, err := w.Unwrap(ctx, r.Data, r.AAD)
		if err == nil && len(out) != secret.KeySize {
			clear(out)
			return nil, secret.ErrOpen
		}
		return out, err
	}
	return nil, fault.New(fault.Invalid, "a key holder wraps and unwraps, and nothing else")
}
