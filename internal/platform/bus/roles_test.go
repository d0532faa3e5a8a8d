package bus_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/bus/natstest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// as connects as a role of the server does.
func as(t *testing.T, s *natstest.Server, role string) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{URL: s.URL, Login: bus.Login{SeedFile: s.Seeds[role], CA: s.CA}, Follow: role != "worker", Inbox: "_INBOX_" + role})
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	t.Cleanup(b.Close)
	return b
}

// Each role has what it needs from a server that gives no more than the configuration that is shipped.
func TestRolesOnTheShippedConfiguration(t *testing.T) {
	s := natstest.Run(t)
	early := make(chan *bus.Bus) // it waits for the streams
	go func() {
		b, err := bus.Open(context.Background(), bus.Config{URL: s.URL, Login: bus.Login{SeedFile: s.Seeds["gateway"], CA: s.CA}, Follow: true, Inbox: "_INBOX_gateway"})
		if err != nil {
			t.Error(err)
		}
		early <- b
	}()
	worker := as(t, s, "worker")
	gateway := <-early
	if gateway == nil {
		t.FailNow()
	}
	t.Cleanup(gateway.Close)
	media := as(t, s, "media")

	news, _ := collect(t, gateway, bus.SubConfig{Live: true})
	changed, _ := collect(t, media, bus.SubConfig{Live: true, Filter: []string{"identity.changed"}})
	facts, _ := collect(t, worker, bus.SubConfig{Durable: "facts"})
	if !media.PublishLive(org, event.CallStatus{CallID: "c", Status: "ringing"}) {
		t.Error("the media role's news was not taken")
	}
	if m := <-news; m.Key != "c" {
		t.Errorf("the gateway got %+v", m)
	}
	publish(t, worker, "1", event.IdentityChanged{OrgID: org})
	for who, ch := range map[string]<-chan bus.Msg{"media": changed, "gateway": news, "worker": facts} {
		if m := <-ch; m.Type != "identity.changed" {
			t.Errorf("%s got %+v", who, m)
		}
	}
	heard := make(chan string, 1)
	if err := media.Listen(t.Context(), "phone", func(b []byte) { heard <- string(b) }); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(media.Ping(t.Context()), gateway.Tell("phone", []byte("desk"))); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "desk" {
		t.Errorf("heard %q", got)
	}

	other := as(t, s, "media")
	if _, err := other.AskPeer(t.Context(), "one", "phones", nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("who asks nobody is told %v", err)
	}
	if err := media.ServePeer(t.Context(), "one", "phones", func(b []byte) []byte { return append(b, '!') }); err != nil {
		t.Fatal(err)
	}
	if err := media.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if b, err := other.AskPeer(t.Context(), "one", "phones", []byte("desk")); err != nil || string(b) != "desk!" {
			t.Errorf("the answer is %q, %v", b, err)
		}
	}

	for _, bucket := range []string{"LIMITS", "FLEET", "TOKENS", "PLACES", "CARRIERS"} {
		if _, err := worker.KV(t.Context(), bucket, time.Minute); err != nil {
			t.Fatalf("%s: %v", bucket, err)
		}
	}
	for _, c := range []struct {
		b           *bus.Bus
		bucket, key string
	}{{gateway, "LIMITS", "a"}, {gateway, "FLEET", "gateway.1"}, {media, "FLEET", "media.1"}, {media, "TOKENS", "n"}, {media, "PLACES", "o"}, {media, "CARRIERS", "media.1"}} {
		kv, err := c.b.KV(t.Context(), c.bucket, time.Minute)
		if err != nil {
			t.Fatalf("%s: %v", c.bucket, err)
		}
		if _, err := kv.Create(t.Context(), c.key, []byte("x"), 0); err != nil {
			t.Errorf("%s %s: %v", c.bucket, c.key, err)
		}
		if e, err := kv.Get(t.Context(), c.key); err != nil || string(e.Value) != "x" {
			t.Errorf("%s %s: %s %v", c.bucket, c.key, e.Value, err)
		}
	}
}

// dial connects with a role's key and nothing of ours around it. What the server refuses arrives in the channel.
func dial(t *testing.T, s *natstest.Server, role string) (*nats.Conn, <-chan string) {
	t.Helper()
	refused := make(chan string, 16)
	key, err := nats.NkeyOptionFromSeed(s.Seeds[role])
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.URL, key, nats.RootCAs(s.CA), nats.CustomInboxPrefix("_INBOX_"+role),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err.Error() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, refused
}

// What one role's key may do, another's may not: the server says so, whatever the process does.
func TestRolesAreKeptApart(t *testing.T) {
	s := natstest.Run(t)
	worker := as(t, s, "worker")
	for _, bucket := range []string{"LIMITS", "FLEET", "TOKENS", "PLACES", "CARRIERS"} {
		if _, err := worker.KV(t.Context(), bucket, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		subject string
		may     string // roles
	}{
		{"parley.fact." + org + ".identity.changed", "worker"},
		{"parley.live." + org + ".call.status", "media worker"},
		{"$KV.PARLEY_LIMITS.a", "gateway worker"},
		{"$KV.PARLEY_TOKENS.n", "media worker"},
		{"$KV.PARLEY_FLEET.media.1", "media worker"},
		{"$KV.PARLEY_PLACES.o", "media worker"},
		{"parley.peer.0123456789abcdef.message", "media"},
		{"parley.ask.keys.gateway", "gateway"},
		{"parley.ask.keys.gateway.0f8fad5b", "gateway"},
		{"parley.ask.keys.media", "media"},
		{"parley.ask.keys.media.0f8fad5b", "media"},
		{"parley.ask.keys.worker", ""},
		{"$KV.PARLEY_CARRIERS.media.1", "media worker"},
		{"$KV.PARLEY_FLEET.gateway.1", "gateway worker"},
		{"$JS.API.STREAM.UPDATE.PARLEY_LIVE", "worker"},
		{"$JS.API.STREAM.DELETE.PARLEY_FACTS", ""},
		{"$JS.API.STREAM.PURGE.PARLEY_FACTS", ""},
		{"$JS.API.STREAM.MSG.GET.PARLEY_FACTS", "worker"},
		{"$JS.API.CONSUMER.CREATE.PARLEY_FACTS.x", "worker"},
		{"$JS.API.CONSUMER.CREATE.PARLEY_LIVE.x.parley.live.*.>", "gateway worker"},
		{"$JS.API.CONSUMER.CREATE.PARLEY_LIVE.x", "gateway worker"},
		{"$SYS.REQ.SERVER.PING", ""},
	} {
		for _, role := range natstest.Roles {
			nc, refused := dial(t, s, role)
			if err := errors.Join(nc.Publish(c.subject, nil), nc.FlushTimeout(20*time.Second)); err != nil {
				t.Fatal(err)
			}
			// The refusal comes before the answer to the flush, but the client tells of it from another goroutine.
			if strings.Contains(c.may, role) {
				select {
				case err := <-refused:
					t.Errorf("%s may not publish %s: %s", role, c.subject, err)
				default:
				}
			} else if got := <-refused; !strings.Contains(strings.ToLower(got), "permissions violation") {
				t.Errorf("%s publishes %s: %s", role, c.subject, got)
			}
			nc.Close()
		}
	}
	for _, role := range natstest.Roles {
		for _, subject := range []string{"parley.fact.>", "parley.live.>", "_INBOX.>", ">", "parley.peer.>", "parley.ask.>", "parley.ask.keys.>"} {
			if role == "media" && subject == "parley.peer.>" || role == "worker" && subject == "parley.ask.keys.>" {
				continue
			}
			nc, refused := dial(t, s, role)
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			if got := <-refused; !strings.Contains(strings.ToLower(got), "permissions violation") {
				t.Errorf("%s subscribes to %s: %s", role, subject, got)
			}
			nc.Close()
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s := natstest.Run(t)
	other := natstest.Run(t)
	for name, c := range map[string]bus.Config{
		"no key":                   {URL: s.URL, Login: bus.Login{CA: s.CA}},
		"a key of somewhere else":  {URL: s.URL, Login: bus.Login{CA: s.CA, SeedFile: other.Seeds["worker"]}},
		"another server's name":    {URL: s.URL, Login: bus.Login{CA: other.CA, SeedFile: s.Seeds["worker"]}},
		"no TLS":                   {URL: strings.Replace(s.URL, "tls:", "nats:", 1), Login: bus.Login{SeedFile: s.Seeds["worker"]}},
		"a seed that is not there": {URL: s.URL, Login: bus.Login{SeedFile: filepath.Join(t.TempDir(), "none")}},
	} {
		if b, err := bus.Open(t.Context(), c); err == nil {
			b.Close()
			t.Errorf("%s: it was let in", name)
		}
	}
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	if nc, err := nats.Connect(s.URL, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool})); err == nil {
		nc.Close()
		t.Error("a client without an nkey was let in")
	}
}

// A process that follows does not wait for ever.
func TestFollowersSayWhoIsMissing(t *testing.T) {
	s := natstest.Run(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := bus.Open(ctx, bus.Config{URL: s.URL, Login: bus.Login{SeedFile: s.Seeds["media"], CA: s.CA}, Follow: true, Inbox: "_INBOX_media"})
	if err == nil || !strings.Contains(err.Error(), "worker role") {
		t.Errorf("it says %v", err)
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		t.Error(err)
	}
}

func TestLoginFiles(t *testing.T) {
	s := natstest.Run(t)
	if err := (bus.Login{SeedFile: s.Seeds["media"], CA: s.CA}).Check(); err != nil {
		t.Error(err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]bus.Login{"seed": {SeedFile: bad}, "CA": {CA: bad}, "certificate": {Cert: bad, Key: bad}, "none": {SeedFile: bad + "x"}} {
		if err := l.Check(); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "nothing") {
			t.Errorf("%s: the error shows what is in the file: %v", name, err)
		}
	}
}
