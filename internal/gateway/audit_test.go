package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

type itemInput struct {
	ID string `path:"id"`
}

// audited is an API whose operations do, deny and fail, with an auditor on a clock that only the test moves.
type audited struct {
	t     *testing.T
	d     *db.DB
	a     *gateway.Auditor
	h     http.Handler
	clock *quartz.Mock
	logs  *bytes.Buffer
	lost  int
}

func newAudited(t *testing.T, d *db.DB) *audited {
	t.Helper()
	f := &audited{t: t, d: d, clock: quartz.NewMock(t), logs: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(f.logs, nil))
	f.a = gateway.NewAuditor(gateway.AuditorConfig{DB: d, Clock: f.clock, Log: log, Lost: func(n int) { f.lost += n }})
	t.Cleanup(f.a.Close)
	mux := http.NewServeMux()
	api := gateway.NewAPI(mux, gateway.APIConfig{Version: "1", Auth: people(), Audit: f.a, Log: slog.New(slog.DiscardHandler)})
	add := func(method, path, permission, audit string, do func(ctx context.Context, in *itemInput) (*struct{}, error)) {
		op := huma.Operation{OperationID: strings.ToLower(method) + strings.ReplaceAll(strings.ReplaceAll(path, "/{id}", ""), "/", "-"), Method: method, Path: path,
			DefaultStatus: http.StatusNoContent, Metadata: map[string]any{"permission": permission}}
		if audit != "" {
			op.Metadata["audit"] = audit
		}
		huma.Register(api, op, do)
	}
	fine := func(context.Context, *itemInput) (*struct{}, error) { return nil, nil }
	add("GET", "/thing/{id}", "thing:read", "", fine)
	add("GET", "/sound/{id}", "thing:read", "thing.sound.read", fine)
	add("POST", "/thing/{id}", "thing:update", "", fine)
	add("POST", "/question/{id}", "thing:read", "", fine)
	add("DELETE", "/thing/{id}", "thing:delete", "", func(ctx context.Context, in *itemInput) (*struct{}, error) {
		return nil, d.InTenant(ctx, "a", func(ctx context.Context, tx *db.Tx) error {
			return identity.Audit(ctx, tx, "a", identity.Change{Action: "thing.own", Kind: "thing", ID: in.ID})
		})
	})
	add("PUT", "/thing/{id}", "thing:update", "", func(_ context.Context, in *itemInput) (*struct{}, error) {
		if in.ID == "mine" {
			return nil, fault.New(fault.Forbidden, "only yours")
		}
		return nil, fault.New(fault.Conflict, "no")
	})
	f.h = mux
	return f
}

func (f *audited) do(who, method, path string, want int) {
	f.t.Helper()
	r := httptest.NewRequestWithContext(f.t.Context(), method, path, nil)
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	r = r.WithContext(identity.WithOrigin(r.Context(), &identity.Origin{IP: "192.0.2.9", UserAgent: "test", RequestID: "r1"}))
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, r)
	if w.Code != want {
		f.t.Fatalf("%s %s gave %d: %s", method, path, w.Code, w.Body)
	}
}

// entries closes the auditor and gives what was written, as "org actor action outcome id operation".
func (f *audited) entries() []string {
	f.t.Helper()
	f.a.Close()
	var out []string
	err := f.d.ReadSystem(f.t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
		var rows []db.OutboxRow
		err := tx.NewSelect().Model(&rows).Order("seq").Scan(ctx)
		for _, row := range rows {
			var e event.Audited
			if err := json.Unmarshal([]byte(row.Data), &e); err != nil {
				return err
			}
			if e.IP != "192.0.2.9" || e.UserAgent != "test" || e.RequestID != "r1" {
				f.t.Errorf("from where? %+v", e)
			}
			out = append(out, strings.TrimSpace(fmt.Sprintln(e.OrgID, e.ActorID, e.Action, e.Outcome, e.ObjectID, e.Operation, string(e.After))))
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatIsNoted(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		f := newAudited(t, d)
		f.do("owner-a", "GET", "/thing/1", 204) // harmless
		f.do("owner-a", "POST", "/question/1", 204)
		f.do("", "POST", "/thing/1", 401)          // nobody
		f.do("owner-a", "PUT", "/thing/1", 409)    // nothing changed
		f.do("owner-a", "POST", "/thing/1", 204)   // noted here
		f.do("owner-b", "POST", "/thing/1", 204)   // in its own organisation
		f.do("reader", "GET", "/sound/7", 204)     // sensitive
		f.do("reader", "POST", "/thing/2", 403)    // denied by the gateway
		f.do("owner-a", "PUT", "/thing/mine", 403) // denied by the service
		if got := f.entries(); len(got) != 5 {
			t.Errorf("%v", got)
		} else {
			byOrg := map[string][]string{}
			for _, e := range got {
				byOrg[e[:1]] = append(byOrg[e[:1]], e)
			}
			same(t, byOrg["a"], "a 1 thing.update done 1 post-thing", "a 3 thing.sound.read done 7 get-sound",
				"a 3 thing.update denied  post-thing", "a 1 thing.update denied  put-thing")
			same(t, byOrg["b"], "b 2 thing.update done 1 post-thing")
		}
	})
}

// A service that wrote its own entry in the transaction of the change is not repeated.
func TestOwnEntryIsEnough(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		f := newAudited(t, d)
		f.do("owner-a", "DELETE", "/thing/5", 204)
		same(t, f.entries(), "a 1 thing.own done 5 delete-thing")
	})
}

// A scanner leaves one entry for each operation and window, and the number of the others.
func TestRepeatsAreCounted(t *testing.T) {
	f := newAudited(t, dbtest.SQLite(t))
	for i := range 500 {
		f.do("reader", "POST", fmt.Sprint("/thing/", i), 403)
		f.do("reader", "GET", "/sound/7", 204)
	}
	f.do("reader", "GET", "/sound/8", 204)
	f.clock.Advance(10 * time.Second).MustWait(t.Context())
	for range 6 {
		f.clock.Advance(10 * time.Second).MustWait(t.Context())
	}
	f.do("reader", "POST", "/thing/1", 403) // a new window
	got := f.entries()
	want := map[string]int{`a 3 thing.update denied  post-thing`: 2, `a 3 thing.update denied  post-thing {"repeats":499}`: 1,
		`a 3 thing.sound.read done 7 get-sound`: 1, `a 3 thing.sound.read done 7 get-sound {"repeats":499}`: 1, `a 3 thing.sound.read done 8 get-sound`: 1}
	for _, e := range got {
		want[e]--
	}
	for e, n := range want {
		if n != 0 {
			t.Errorf("%q: %d too few", e, n)
		}
	}
}

// What the database does not take stands in the log, and the request is answered all the same.
func TestNotesAreNotSilentlyLost(t *testing.T) {
	d, err := db.Open(t.Context(), db.Config{DataDir: t.TempDir()}) // not migrated: nothing can be written
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	f := newAudited(t, d)
	f.do("owner-a", "POST", "/thing/1", 204)
	f.a.Close()
	f.a.Close()
	f.do("owner-a", "POST", "/thing/2", 204) // after the end
	if logs := f.logs.String(); f.lost != 2 || strings.Count(logs, "action=thing.update") != 2 || !strings.Contains(logs, "request=r1") {
		t.Errorf("%d lost; %s", f.lost, logs)
	}
}
