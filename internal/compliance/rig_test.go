package compliance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

const (
	orgA = "11111111-1111-7111-8111-111111111111"
	orgB = "22222222-2222-7222-8222-222222222222"
)

// rig is a service on a clock that only the test moves.
type rig struct {
	*Service
	t     testing.TB
	d     *db.DB
	clock *quartz.Mock
	next  int
}

func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB, db.Config) *db.DB{
		db.SQLite: func(t testing.TB, c db.Config) *db.DB {
			c.DataDir = t.TempDir()
			return dbtest.Open(t, c, Migrations())
		},
		db.Postgres: func(t testing.TB, c db.Config) *db.DB {
			c.URL = dbtest.PostgresURL(t)
			return dbtest.Open(t, c, Migrations())
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := quartz.NewMock(t)
			clock.Set(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
			fn(t, newRig(t, open(t, db.Config{Clock: clock}), clock, nil))
		})
	}
}

func newRig(t testing.TB, d *db.DB, clock *quartz.Mock, change func(*Config)) *rig {
	t.Helper()
	c := Config{DB: d, Signer: signer(t, 1), Clock: clock, Log: slog.New(slog.DiscardHandler),
		Organisations: func(_ context.Context, after string, _ int) ([]string, error) {
			if after != "" {
				return nil, nil
			}
			return []string{orgA, orgB}, nil
		}}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	must(t, err)
	return &rig{Service: s, t: t, d: d, clock: clock}
}

func signer(t testing.TB, n byte) *KeySigner {
	t.Helper()
	k, err := NewKeySigner(bytes.Repeat([]byte{n}, 32))
	must(t, err)
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fact is a message as the bus brings it.
func (r *rig) fact(org string, f event.Audited) bus.Msg {
	r.t.Helper()
	r.next++
	f.OrgID = org
	if f.At == 0 {
		f.At = r.clock.Now().UnixMilli()
	}
	b, err := json.Marshal(f)
	must(r.t, err)
	return bus.Msg{ID: fmt.Sprintf("id-%05d", r.next), OrgID: org, Type: "audit.entry", At: r.clock.Now(), Data: b}
}

func full(i int) event.Audited {
	return event.Audited{ActorKind: "token", ActorID: "user-1", TokenID: "token-1", Impersonator: "super-1", Action: "agent.publish", Outcome: "done",
		Kind: "agent", ObjectID: fmt.Sprint("agent-", i), Before: json.RawMessage(`{ "name": "a<b" }`), After: json.RawMessage(`{"name":"ü","n":1.50}`),
		Reason: "because", IP: "192.0.2.7", UserAgent: "curl/8", RequestID: "r-1", Operation: "publish-agent"}
}

// fill appends n entries.
func (r *rig) fill(org string, n int) {
	r.t.Helper()
	var ms []bus.Msg
	for i := range n {
		ms = append(ms, r.fact(org, full(i)))
	}
	must(r.t, r.take(r.t.Context(), ms))
}

func (r *rig) export(org string) string {
	r.t.Helper()
	var b bytes.Buffer
	must(r.t, r.Export(r.t.Context(), org, &b))
	return b.String()
}

func (r *rig) exec(org, query string, args ...any) {
	r.t.Helper()
	must(r.t, r.d.InTenant(r.t.Context(), org, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewRaw(query, args...).Exec(ctx)
		return err
	}))
}

// actions counts audit facts in the outbox by action.
func (r *rig) actions() map[string]int {
	r.t.Helper()
	out := map[string]int{}
	must(r.t, r.d.ReadSystem(r.t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
		var rows []db.OutboxRow
		err := tx.NewSelect().Model(&rows).Scan(ctx)
		for _, row := range rows {
			var f event.Audited
			must(r.t, json.Unmarshal([]byte(row.Data), &f))
			out[f.Action]++
		}
		return err
	}))
	return out
}

func asUser(ctx context.Context) context.Context {
	return identity.With(ctx, identity.Principal{UserID: "user-1", OrgID: orgA, Role: "owner", Permissions: []string{"*"}})
}
