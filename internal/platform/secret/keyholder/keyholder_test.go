package keyholder_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

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
	answer func(q bus.Question) ([]byte, error) // nil: the real one does
}

func (p *tap) Ask(ctx context.Context, q bus.Question) ([]byte, error) {
	p.mu.Lock()
	p.passed = append(p.passed, q.Data)
	p.mu.Unlock()
	ask := func(q bus.Question) ([]byte, error) { return p.Bus.Ask(ctx, q) }
	if p.answer != nil {
		ask = p.answer
	}
	b, err := ask(q)
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
		"altered on its way": ask("gateway", &tap{Bus: gateway, answer: func(q bus.Question) ([]byte, error) {
			if n := len(q.Data); n > 0 {
				q.Data = bytes.Replace(q.Data, []byte(`"sealed":"`), []byte(`"sealed":"AAAA`), 1)
			}
			return gateway.Ask(t.Context(), q)
		}}, own),
		"rubbish": ask("gateway", &tap{Bus: gateway, answer: func(q bus.Question) ([]byte, error) {
			if len(q.Data) > 0 {
				q.Data = []byte("{")
			}
			return gateway.Ask(t.Context(), q)
		}}, own),
		"far too much": ask("gateway", &tap{Bus: gateway, answer: func(q bus.Question) ([]byte, error) {
			if len(q.Data) > 0 {
				q.Data = make([]byte, 65<<10)
			}
			return gateway.Ask(t.Context(), q)
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

// No offer is believed that a worker did not sign, so nobody else is given a data key to wrap.
func TestOffersOfOthers(t *testing.T) {
	h := build(t)
	h.holder("one", master(t))
	mine, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	c := h.asker("gateway")
	through := c.Bus
	p := &tap{Bus: through}
	c.Bus = p
	a := find(t, c)
	gateway := h.signing("gateway")
	public := base64.RawURLEncoding.EncodeToString(mine.PublicKey().Bytes())
	for what, change := range map[string]func(o map[string]any){
		"another public key": func(o map[string]any) { o["public"] = mine.PublicKey().Bytes() },
		"another holder":     func(o map[string]any) { o["holder"] = "two" },
		"another wrapper":    func(o map[string]any) { o["wrapper"] = "local:mine" },
		"no token":           func(o map[string]any) { delete(o, "token") },
		"nothing":            func(o map[string]any) { clear(o) },
		"signed by another role": func(o map[string]any) {
			o["public"] = mine.PublicKey().Bytes()
			o["token"], err = gateway.Token(t.Context(), "gateway", "askers for keys", "one", time.Minute, map[string]string{"public": public, "wrapper": fmt.Sprint(o["wrapper"])})
			if err != nil {
				t.Error(err)
			}
		},
	} {
		asked := 0
		p.answer = func(q bus.Question) ([]byte, error) {
			asked++
			if len(q.Data) > 0 {
				t.Errorf("%s: a request was sent", what)
			}
			b, err := through.Ask(t.Context(), q)
			if err != nil {
				return nil, err
			}
			var o map[string]any
			if err := json.Unmarshal(b, &o); err != nil {
				return nil, err
			}
			change(o)
			return json.Marshal(o)
		}
		if _, err := a.Wrapper(a.Current()).Wrap(t.Context(), dataKey, place); !fault.Is(err, fault.Unavailable) || asked != 3 {
			t.Errorf("%s: asked %d times, %v", what, asked, err)
		}
	}
}

// An answer that somebody else sealed, altered or sent in the clear is none.
func TestAnswersOfOthers(t *testing.T) {
	h := build(t)
	local := master(t)
	h.holder("one", local)
	c := h.asker("gateway")
	through := c.Bus
	p := &tap{Bus: through}
	c.Bus = p
	w := find(t, c).Wrapper(local.ID())
	var before []byte
	for what, change := range map[string]func(b []byte) []byte{
		"altered":            func(b []byte) []byte { return bytes.Replace(b, []byte(`"sealed":"`), []byte(`"sealed":"AAAA`), 1) },
		"rubbish":            func([]byte) []byte { return []byte("no") },
		"empty":              func([]byte) []byte { return nil },
		"refused by anybody": func([]byte) []byte { return []byte(`{"problem":"forbidden"}`) },
		"an earlier one":     func([]byte) []byte { return before },
		"far too long":       func([]byte) []byte { return make([]byte, 65<<10) },
	} {
		p.answer = func(q bus.Question) ([]byte, error) {
			b, err := through.Ask(t.Context(), q)
			if len(q.Data) == 0 || err != nil {
				return b, err
			}
			return change(b), nil
		}
		if what == "an earlier one" {
			p.answer = func(q bus.Question) ([]byte, error) {
				b, err := through.Ask(t.Context(), q)
				before = b
				return b, err
			}
			if _, err := w.Wrap(t.Context(), dataKey, place); err != nil {
				t.Fatal(err)
			}
			earlier := before
			p.answer = func(q bus.Question) ([]byte, error) {
				if len(q.Data) == 0 {
					return through.Ask(t.Context(), q)
				}
				return earlier, nil
			}
		}
		if _, err := w.Wrap(t.Context(), dataKey, place); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Who waits for a holder says so, and finds it once it is there.
func TestFindWaits(t *testing.T) {
	h := build(t)
	c := h.asker("gateway")
	log := &text{}
	c.Log = slog.New(slog.NewTextHandler(log, nil))
	found := make(chan error, 1)
	go func() {
		_, err := keyholder.Find(t.Context(), c)
		found <- err
	}()
	eventually(t, "word of waiting", func() bool { return strings.Contains(log.String(), "waiting for a process that has the master key") })
	h.holder("one", master(t))
	if err := <-found; err != nil {
		t.Error(err)
	}
}

// Without a holder nobody waits for ever, at the start or later, and is told what to do.
func TestNobodyAnswers(t *testing.T) {
	h := build(t)
	c := h.asker("gateway")
	mock := quartz.NewMock(t)
	trap := mock.Trap().NewTicker("keyholder", "again")
	c.Clock = mock
	gone := make(chan error, 1)
	go func() {
		_, err := keyholder.Find(t.Context(), c)
		gone <- err
	}()
	trap.MustWait(t.Context()).MustRelease(t.Context())
	trap.Close()
	for range 240 { // a minute
		mock.Advance(250 * time.Millisecond).MustWait(t.Context())
	}
	err := <-gone
	remedy := func(what string, err error, code fault.Code) {
		t.Helper()
		if !fault.Is(err, code) || !strings.Contains(err.Error(), "role worker") || !strings.Contains(err.Error(), "deploy/nats/parley.conf") {
			t.Errorf("%s: %v", what, err)
		}
	}
	remedy("at the start", err, fault.Unavailable)

	local := master(t)
	c.Clock, c.Wait = nil, 2*time.Second
	b := h.holder("one", local)
	w := find(t, c).Wrapper(local.ID())
	b.Close()
	_, err = w.Wrap(t.Context(), dataKey, place)
	remedy("later", err, fault.Unavailable)

	// One that takes questions and says nothing, such as one that hangs.
	silent := h.bus("worker", true)
	if err := silent.Answer(t.Context(), "keys", "silent", func(ctx context.Context, _ string, _ []byte) []byte { <-ctx.Done(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := silent.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Wait = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = keyholder.Find(ctx, c)
	remedy("by one that hangs", err, fault.Timeout)
}

// What a server does not let a process ask is not answered, and its remedy is the same.
func TestRoleThatTheServerRefuses(t *testing.T) {
	h := build(t)
	h.holder("one", master(t))
	c := h.asker("gateway")
	c.Bus, c.Wait = h.bus("media", true), 50*time.Millisecond // with another role's nkey
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := keyholder.Find(ctx, c); !fault.Is(err, fault.Timeout) || !strings.Contains(err.Error(), "lets this one publish parley.ask.keys.gateway") {
		t.Errorf("it is told %v", err)
	}
}

// Of several holders one may stop, or not have what another one has: the question goes to the next.
func TestOneOfSeveral(t *testing.T) {
	h := build(t)
	local := master(t)
	one := h.holder("one", local)
	h.holder("two", local)
	c := h.asker("gateway")
	p := &tap{Bus: c.Bus}
	c.Bus = p
	w := find(t, c).Wrapper(local.ID())
	for range 8 {
		if _, err := w.Wrap(t.Context(), dataKey, place); err != nil {
			t.Fatal(err)
		}
	}
	// Its offer is the last thing it does.
	through, stopped := p.Bus, false
	p.answer = func(q bus.Question) ([]byte, error) {
		b, err := through.Ask(t.Context(), q)
		if len(q.Data) == 0 && !stopped && bytes.Contains(b, []byte(`"holder":"one"`)) {
			stopped = true
			one.Close()
		}
		return b, err
	}
	for i := 0; !stopped; i++ {
		if _, err := w.Wrap(t.Context(), dataKey, place); err != nil {
			t.Fatal(err)
		}
		if i > 10_000 {
			t.Fatal("one of two is never asked")
		}
	}
	if _, err := w.Wrap(t.Context(), dataKey, place); err != nil {
		t.Error(err)
	}
}

// What a holder's own key service says is what who asked is told: its refusal ends it, its absence does not.
func TestWhatTheKeyServiceSays(t *testing.T) {
	h := build(t)
	f := &failing{}
	h.holder("one", f)
	w := find(t, h.asker("gateway")).Wrapper(f.ID())
	for _, code := range []fault.Code{fault.Forbidden, fault.NotFound, fault.Timeout, fault.Unavailable} {
		f.set(fault.New(code, "the key service says no"))
		if _, err := w.Unwrap(t.Context(), dataKey, place); !fault.Is(err, code) || !strings.Contains(err.Error(), "the key service says no") {
			t.Errorf("%s: %v", code, err)
		}
	}
	f.set(errors.New("dial tcp 10.0.0.9: refused"))
	if _, err := w.Unwrap(t.Context(), dataKey, place); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "10.0.0.9") {
		t.Errorf("it is told %v", err)
	}
}

// failing is a key service that fails.
type failing struct {
	mu  sync.Mutex
	err error
}

func (f *failing) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) fail() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return nil, f.err
}

func (*failing) ID() string                                               { return "kms:failing" }
func (f *failing) Wrap(context.Context, []byte, string) ([]byte, error)   { return f.fail() }
func (f *failing) Unwrap(context.Context, []byte, string) ([]byte, error) { return f.fail() }

func TestConfigurationsThatAreNotWhole(t *testing.T) {
	if err := keyholder.Serve(t.Context(), keyholder.HolderConfig{}); err == nil {
		t.Error("a holder of nothing serves")
	}
	if _, err := keyholder.Find(t.Context(), keyholder.AskerConfig{}); err == nil {
		t.Error("nobody finds somebody")
	}
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
