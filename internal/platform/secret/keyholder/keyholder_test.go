package keyholder_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/bus/natstest"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/platform/secret/keyholder"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
)

const (
	within = 20 * time.Second
	place  = "clinic/0123456789abcdef" // of a data key
)

var dataKey = bytes.Repeat([]byte("k3y!"), secret.KeySize/4)

// house is an installation: a bus with the shipped permissions, and a database in which processes find each other's public keys.
type house struct {
	t    *testing.T
	nats *natstest.Server
	db   *db.DB
	log  *text
}

// text is a log that several write to.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func build(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, nats: natstest.Run(t), db: dbtest.SQLite(t, signing.Migrations()), log: &text{}}
	h.bus("worker", false) // makes the streams
	return h
}

func (h *house) bus(role string, follow bool) *bus.Bus {
	h.t.Helper()
	b, err := bus.Open(h.t.Context(), bus.Config{URL: h.nats.URL, Login: bus.Login{SeedFile: h.nats.Seeds[role], CA: h.nats.CA}, Follow: follow, Inbox: "_INBOX_" + role})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(b.Close)
	return b
}

// signing gives the keys of a new process of a role.
func (h *house) signing(role string) *signing.Keyring {
	h.t.Helper()
	k, err := signing.New(signing.Config{DB: h.db, Roles: []string{role}, Alone: true})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := k.Rotate(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return k
}

// master is the master key that holders have.
func master(t *testing.T) *envelope.Local {
	t.Helper()
	k, err := secret.NewKey(bytes.Repeat([]byte{9}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return envelope.NewLocal(k)
}

// holder starts a holder of this wrapper.
func (h *house) holder(self string, w envelope.Wrapper, change ...func(*keyholder.HolderConfig)) *bus.Bus {
	h.t.Helper()
	b := h.bus("worker", true)
	c := keyholder.HolderConfig{
		Bus: b, Signing: h.signing("worker"), Role: "worker", Self: self, Askers: []string{"gateway", "media"}, Current: w.ID(),
		Wrapper: func(id string) (envelope.Wrapper, error) {
			if id != w.ID() {
				return nil, fault.New(fault.Unavailable, "there is no %s here", id)
			}
			return w, nil
		},
		Log: slog.New(slog.NewTextHandler(h.log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	if err := keyholder.Serve(h.t.Context(), c); err != nil {
		h.t.Fatal(err)
	}
	if err := b.Ping(h.t.Context()); err != nil { // the subscriptions are there
		h.t.Fatal(err)
	}
	return b
}

// asker is the configuration of a process of a role that asks.
func (h *house) asker(role string) keyholder.AskerConfig {
	return keyholder.AskerConfig{Bus: h.bus(role, true), Signing: h.signing(role), Role: role, Holders: []string{"worker"}, Wait: within}
}

func find(t *testing.T, c keyholder.AskerConfig) *keyholder.Asker {
	t.Helper()
	a, err := keyholder.Find(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// tap is a bus that remembers what passes, and may answer itself.
type tap struct {
	keyholder.Bus
	mu     sync.Mutex
	passed [][]byte
	answer func(ctx context.Context, q bus.Question) ([]byte, error) // nil: the real one does
}

func (p *tap) Ask(ctx context.Context, q bus.Question) ([]byte, error) {
	p.mu.Lock()
	p.passed = append(p.passed, q.Data)
	p.mu.Unlock()
	ask := p.Bus.Ask
	if p.answer != nil {
		ask = p.answer
	}
	b, err := ask(ctx, q)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed = append(p.passed, b)
	return b, err
}

// A process without the master key wraps and unwraps as one that has it, and the holder's log says for whom.
func TestWrapsForOthers(t *testing.T) {
	h := build(t)
	local := master(t)
	h.holder("one", local)
	for _, role := range []string{"gateway", "media"} {
		a := find(t, h.asker(role))
		if a.Current() != local.ID() {
			t.Errorf("what wraps is %q", a.Current())
		}
		w := a.Wrapper(local.ID())
		wrapped, err := w.Wrap(t.Context(), dataKey, place)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := local.Unwrap(t.Context(), wrapped, place); err != nil || !bytes.Equal(got, dataKey) {
			t.Errorf("the master key makes of it %q, %v", got, err)
		}
		if got, err := w.Unwrap(t.Context(), wrapped, place); err != nil || !bytes.Equal(got, dataKey) {
			t.Errorf("%s got %q, %v", role, got, err)
		}
		for what, c := range map[string]struct {
			wrapped []byte
			place   string
		}{"another place": {wrapped, "clinic/fedcba9876543210"}, "altered": {append([]byte{1}, wrapped...), place}, "nothing": {nil, place}} {
			if _, err := w.Unwrap(t.Context(), c.wrapped, c.place); !errors.Is(err, secret.ErrOpen) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := a.Wrapper("local:other").Wrap(t.Context(), dataKey, place); !fault.Is(err, fault.Unavailable) {
			t.Errorf("what nobody has wraps: %v", err)
		}
		if log := h.log.String(); !strings.Contains(log, "do=unwrap role="+role+" organisation=clinic") || !strings.Contains(log, "do=wrap role="+role) {
			t.Errorf("the log does not tell of it: %s", log)
		}
	}
	if strings.Contains(h.log.String(), string(dataKey[:8])) {
		t.Error("a data key is in the log")
	}
}

// Nothing that passes over the bus holds a data key.
func TestNobodyOverhears(t *testing.T) {
	h := build(t)
	local := master(t)
	h.holder("one", local)
	c := h.asker("gateway")
	p := &tap{Bus: c.Bus}
	c.Bus = p
	w := find(t, c).Wrapper(local.ID())
	wrapped, err := w.Wrap(t.Context(), dataKey, place)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Unwrap(t.Context(), wrapped, place); err != nil || !bytes.Equal(got, dataKey) {
		t.Fatal(got, err)
	}
	if len(p.passed) != 10 { // an offer to find one, and an offer and an exchange each
		t.Errorf("%d messages passed", len(p.passed))
	}
	for _, m := range p.passed {
		for _, form := range []string{string(dataKey), hex.EncodeToString(dataKey), base64.StdEncoding.EncodeToString(dataKey), "clinic", "unwrap"} {
			if bytes.Contains(m, []byte(form)) {
				t.Errorf("%q passed in %.80s", form, m)
			}
		}
	}
}

// Whoever can write to the bus as a role but has not its signing key gets nothing, and what is asked is not answered twice as
// something else.
func TestWhoIsSentAway(t *testing.T) {
	h := build(t)
	local := master(t)
	h.holder("one", local)
	wrapped, err := local.Wrap(t.Context(), dataKey, place)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(role string, b keyholder.Bus, s keyholder.Signing) error {
		a := find(t, keyholder.AskerConfig{Bus: b, Signing: s, Role: role, Holders: []string{"worker"}, Wait: within})
		_, err := a.Wrapper(local.ID()).Unwrap(t.Context(), wrapped, place)
		return err
	}
	gateway, own := h.bus("gateway", true), h.signing("gateway")
	for what, err := range map[string]error{
		"no token":                               ask("gateway", gateway, signer{Signing: own, token: "not a token"}),
		"a token of another role":                ask("gateway", gateway, signer{Signing: h.signing("media"), as: "media"}),
		"a token for another holder":             ask("gateway", gateway, signer{Signing: own, audience: "key holder two"}),
		"a token of another request":             ask("gateway", gateway, signer{Signing: own, say: map[string]string{"request": "another"}}),
		"a token that says nothing":              ask("gateway", gateway, signer{Signing: own, say: map[string]string{}}),
		"a token by a key that nobody published": ask("gateway", gateway, signer{Signing: stranger(t), verify: own}),
		"another role's subject":                 ask("media", subject{gateway, "gateway"}, h.signing("media")),
		"altered on its way": ask("gateway", &tap{Bus: gateway, answer: func(ctx context.Context, q bus.Question) ([]byte, error) {
			if n := len(q.Data); n > 0 {
				q.Data = bytes.Replace(q.Data, []byte(`"sealed":"`), []byte(`"sealed":"AAAA`), 1)
			}
			return gateway.Ask(ctx, q)
		}}, own),
		"rubbish": ask("gateway", &tap{Bus: gateway, answer: func(ctx context.Context, q bus.Question) ([]byte, error) {
			if len(q.Data) > 0 {
				q.Data = []byte("{")
			}
			return gateway.Ask(ctx, q)
		}}, own),
		"far too much": ask("gateway", &tap{Bus: gateway, answer: func(ctx context.Context, q bus.Question) ([]byte, error) {
			if len(q.Data) > 0 {
				q.Data = make([]byte, 65<<10)
			}
			return gateway.Ask(ctx, q)
		}}, own),
	} {
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "sent this process away") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if log := h.log.String(); strings.Contains(log, "was handled") || strings.Count(log, "sent away") < 10 {
		t.Errorf("somebody got a key, or it is not told: %s", log)
	}
}

// A holder that does not know a role answers it nothing, though the bus lets it ask.
func TestRolesThatMayNotAsk(t *testing.T) {
	h := build(t)
	local := master(t)
	h.holder("one", local, func(c *keyholder.HolderConfig) { c.Askers = []string{"media"} })
	if _, err := find(t, h.asker("gateway")).Wrapper(local.ID()).Wrap(t.Context(), dataKey, place); !fault.Is(err, fault.Unavailable) {
		t.Errorf("the gateway is told %v", err)
	}
	if !strings.Contains(h.log.String(), `the role \"gateway\" may not ask`) {
		t.Errorf("the log tells %s", h.log)
	}
	if _, err := find(t, h.asker("media")).Wrapper(local.ID()).Wrap(t.Context(), dataKey, place); err != nil {
		t.Error(err)
	}
}

// A holder is not a way to have other things encrypted or decrypted than data keys.
func TestNothingButDataKeys(t *testing.T) {
	h := build(t)
	local := master(t)
	h.holder("one", local)
	w := find(t, h.asker("gateway")).Wrapper(local.ID())
	for what, c := range map[string]struct {
		key   []byte
		place string
	}{"a sentence": {[]byte("something else"), place}, "nothing": {nil, place}, "no place": {dataKey, "clinic"}, "no organisation": {dataKey, "/1"}} {
		if _, err := w.Wrap(t.Context(), c.key, c.place); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s is wrapped: %v", what, err)
		}
	}
	long, err := local.Wrap(t.Context(), []byte("what the master key sealed besides"), place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unwrap(t.Context(), long, place); !errors.Is(err, secret.ErrOpen) {
		t.Errorf("something else is unwrapped: %v", err)
	}
}

// signer changes what a process says of itself.
type signer struct {
	keyholder.Signing
	verify       keyholder.Signing // where it is another's
	token        string
	as, audience string
	say          map[string]string
}

func (s signer) Token(ctx context.Context, role, audience, subject string, valid time.Duration, data map[string]string) (string, error) {
	if s.token != "" {
		return s.token, nil
	}
	if s.as != "" {
		role = s.as
	}
	if s.audience != "" {
		audience = s.audience
	}
	if s.say != nil {
		data = s.say
	}
	return s.Signing.Token(ctx, role, audience, subject, valid, data)
}

func (s signer) Verify(ctx context.Context, token, audience string, roles ...string) (signing.Claims, error) {
	if s.verify != nil {
		return s.verify.Verify(ctx, token, audience, roles...)
	}
	return s.Signing.Verify(ctx, token, audience, roles...)
}

// stranger signs as a gateway with a key that is not in the installation's database.
func stranger(t *testing.T) keyholder.Signing {
	t.Helper()
	k, err := signing.New(signing.Config{DB: dbtest.SQLite(t, signing.Migrations()), Roles: []string{"gateway"}, Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// subject asks under another role than it is sealed for.
type subject struct {
	keyholder.Bus
	role string
}

func (o subject) Ask(ctx context.Context, q bus.Question) ([]byte, error) {
	q.Role = o.role
	return o.Bus.Ask(ctx, q)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("there is no %s", what)
		}
	}
}
