package identity_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/mail"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// post keeps the letters that were sent.
type post struct {
	sent chan mail.Message
	off  bool
}

func (p *post) Send(_ context.Context, m mail.Message) error { p.sent <- m; return nil }
func (p *post) Enabled() bool                                { return !p.off }

// signOn is a service with an owner, Anna.
type signOn struct {
	*identity.Service
	db    *db.DB
	clock *quartz.Mock
	cfg   identity.Config
	post  *post
	box   *mail.Outbox
	anna  identity.Account
}

const annaIP = "192.0.2.7"

// eachSignOn runs fn on both engines.
func eachSignOn(t *testing.T, fn func(t *testing.T, s *signOn)) {
	dbtest.Each(t, []db.Migrations{identity.Migrations()}, func(t *testing.T, d *db.DB) { fn(t, newSignOn(t, d)) })
}

func newSignOn(t *testing.T, d *db.DB) *signOn {
	t.Helper()
	clock := quartz.NewMock(t).WithLogger(quartz.NoOpLogger)
	clock.Set(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC))
	s := &signOn{db: d, clock: clock, post: &post{sent: make(chan mail.Message, 100)}}
	s.box = mail.NewOutbox(mail.OutboxConfig{Sender: s.post, Clock: clock, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { s.box.Close(context.Background()) })
	s.cfg = identity.Config{
		DB: d, Passwords: quick, Clock: clock, Log: slog.New(slog.DiscardHandler), Sealer: envelopetest.New(0x5a), Outbox: s.box, PublicURL: func() string { return "https://parley.example" },
	}
	s.Service = s.another(t)
	var err error
	if s.anna, err = s.CreateOwner(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	return s
}

// another is a second process on the same database: nothing is remembered.
func (s *signOn) another(t *testing.T) *identity.Service {
	t.Helper()
	other, err := identity.New(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return other
}

// letters closes the outbox and gives the subjects of what was sent, and the last text.
func (s *signOn) letters(t *testing.T) (subjects []string, last string) {
	t.Helper()
	s.box.Close(t.Context())
	for {
		select {
		case m := <-s.post.sent:
			subjects, last = append(subjects, m.Subject), m.Text
		default:
			return subjects, last
		}
	}
}

// from is a context of a request from an address.
func from(t *testing.T, ip string) context.Context {
	t.Helper()
	return identity.WithOrigin(t.Context(), &identity.Origin{IP: ip, UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", RequestID: "r1", Operation: "sign-in"})
}

// signIn signs Anna in with her password alone.
func (s *signOn) signIn(t *testing.T) (identity.Principal, string) {
	t.Helper()
	acc, cookie, err := s.SignIn(from(t, annaIP), owner.Email, owner.Password, annaIP)
	if err != nil || cookie == "" {
		t.Fatalf("sign in: %+v, %v", acc, err)
	}
	return s.session(t, cookie), cookie
}

func (s *signOn) session(t *testing.T, cookie string) identity.Principal {
	t.Helper()
	p, err := s.Session(t.Context(), cookie)
	if err != nil {
		t.Fatalf("session: %v", err)
	}
	return p
}

// audited lists the audit entries of an action.
func (s *signOn) audited(t *testing.T, action string) []event.Audited {
	t.Helper()
	var rows []string
	err := s.db.ReadSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().TableExpr("outbox").Column("data").Where("type = ?", event.Audited{}.Type()).Order("seq").Scan(ctx, &rows)
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []event.Audited
	for _, raw := range rows {
		if strings.Contains(raw, owner.Password) {
			t.Errorf("an audit entry holds a password: %s", raw)
		}
		var e event.Audited
		if err := json.Unmarshal([]byte(raw), &e); err != nil {
			t.Fatal(err)
		}
		if e.Action == action {
			out = append(out, e)
		}
	}
	return out
}

// routes adds the operations, whose permissions scopes are checked against.
func routes(t *testing.T, s *identity.Service) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	s.Routes(humago.New(mux, huma.DefaultConfig("test", "1")))
	return mux
}
