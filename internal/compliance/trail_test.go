package compliance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
)

func TestFactsBecomeChains(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		ms := []bus.Msg{r.fact(orgA, full(1)), r.fact(orgB, full(1)), r.fact(orgA, full(2)), r.fact(identity.Platform, full(3))}
		must(t, r.take(ctx, ms))
		must(t, r.take(ctx, ms)) // the bus repeats what was not acknowledged
		must(t, r.take(ctx, []bus.Msg{ms[2], r.fact(orgA, full(4)), ms[0]}))
		if n := r.Appended(); n != 5 {
			t.Errorf("%d entries were counted", n)
		}
		for org, want := range map[string]int{orgA: 3, orgB: 1, identity.Platform: 1} {
			items, next, err := r.Entries(ctx, org, AuditFilter{}, "", 50)
			must(t, err)
			if len(items) != want || next != "" {
				t.Fatalf("%s has %d entries, next %q", org, len(items), next)
			}
			slices.Reverse(items)
			prev := genesis
			for i, e := range items {
				if e.Seq != int64(i+1) || e.PrevHash != prev || e.Hash != e.sum(org) || e.At != r.clock.Now().UTC() {
					t.Errorf("%s: entry %d is %+v", org, i+1, e)
				}
				prev = e.Hash
			}
			e := items[0]
			if e.ActorKind != "token" || e.TokenID != "token-1" || e.ImpersonatorID != "super-1" || string(e.Before) != `{"name":"a\u003cb"}` ||
				string(e.After) != `{"name":"ü","n":1.50}` || e.IP != "192.0.2.7" || e.Operation != "publish-agent" {
				t.Errorf("%s: %+v", org, e)
			}
		}
	})
}

// Nothing that happened is missing, though it cannot be read or the database would not take it.
func TestOddFactsAreKept(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		odd := full(1)
		odd.Reason, odd.UserAgent = "nul \x00 and "+strings.Repeat("ü", maxText), "bad \xff bytes"
		odd.Before, odd.After = json.RawMessage(`"\u0000"`), json.RawMessage(`null`)
		unreadable := r.fact(orgA, odd)
		unreadable.Data = json.RawMessage(`{"at":"yesterday"}`)
		large := full(2)
		large.After = json.RawMessage(`"` + strings.Repeat("x", 60<<10) + `"`)
		ms := []bus.Msg{r.fact(orgA, odd), unreadable}
		for range 12 {
			ms = append(ms, r.fact(orgA, large))
		}
		must(t, r.take(t.Context(), ms))
		items, _, err := r.Entries(t.Context(), orgA, AuditFilter{Action: "audit.unreadable"}, "", 50)
		must(t, err)
		if len(items) != 1 || items[0].Outcome != "failed" || items[0].Reason == "" {
			t.Errorf("the unreadable fact is %+v", items)
		}
		if rep, err := Verify(strings.NewReader(r.export(orgA)), VerifyOptions{}); err != nil || rep.Entries != 14 {
			t.Errorf("%+v %v", rep, err)
		}
	})
}

// Processes share the work; one at a time appends to a chain, and no number is given twice.
func TestAppendersTakeTurns(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const workers, batches = 4, 6
		var wg sync.WaitGroup
		errs := make(chan error, workers*batches)
		var all [][]bus.Msg
		for range workers * batches {
			all = append(all, []bus.Msg{r.fact(orgA, full(1)), r.fact(orgB, full(2)), r.fact(orgA, full(3))})
		}
		for w := range workers {
			wg.Go(func() {
				for i := range batches {
					errs <- r.take(t.Context(), all[w*batches+i])
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			must(t, err)
		}
		rep, err := Verify(strings.NewReader(r.export(orgA)), VerifyOptions{})
		must(t, err)
		if rep.Entries != 2*workers*batches {
			t.Errorf("%+v", rep)
		}
	})
}

// The whole way: a change and its entry commit together, and the entry arrives in the chain, once.
func TestFromTheChangeToTheChain(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir()})
		must(t, err)
		defer b.Close()
		relay := bus.NewRelay(r.d, b)
		ctx := identity.WithOrigin(asUser(t.Context()), &identity.Origin{IP: "192.0.2.7", RequestID: "r-9", Operation: "op"})
		must(t, r.d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			return identity.Audit(ctx, tx, orgA, identity.Change{Action: "thing.create", Kind: "thing", ID: "1", After: map[string]string{"a": "b"}})
		}))
		if err := r.d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			must(t, identity.Audit(ctx, tx, orgA, identity.Change{Action: "thing.undone"}))
			return context.Canceled
		}); err == nil {
			t.Fatal("it committed")
		}
		arrived := make(chan struct{}, 10)
		sub, err := b.SubscribeBatch(t.Context(), bus.BatchConfig{Durable: subscription, Filter: []string{"audit.entry"}}, func(ctx context.Context, ms []bus.Msg) error {
			defer func() { arrived <- struct{}{} }()
			return r.take(ctx, ms)
		})
		must(t, err)
		defer sub.Stop()
		_, err = relay.Flush(t.Context())
		must(t, err)
		<-arrived
		items, _, err := r.Entries(ctx, orgA, AuditFilter{}, "", 10)
		must(t, err)
		if len(items) != 1 || items[0].Action != "thing.create" || items[0].ActorID != "user-1" || items[0].IP != "192.0.2.7" || items[0].RequestID != "r-9" ||
			string(items[0].After) != `{"a":"b"}` {
			t.Errorf("%+v", items)
		}
	})
}

func TestFilters(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		start := r.clock.Now()
		for i, action := range []string{"agent.create", "agent.publish", "agents.x", "call.recording.read", "agent.delete"} {
			f := event.Audited{ActorKind: "user", ActorID: fmt.Sprint("u", i%2), Action: action, Outcome: []string{"done", "denied"}[i%2], Kind: "k", ObjectID: fmt.Sprint(i),
				IP: fmt.Sprint("192.0.2.", i), At: start.Add(time.Duration(i) * time.Hour).UnixMilli()}
			must(t, r.take(ctx, []bus.Msg{r.fact(orgA, f), r.fact(orgB, f)}))
		}
		for want, f := range map[string]AuditFilter{
			"43210": {}, "410": {Action: "agent.*"}, "1": {Action: "agent.publish"}, "31": {Actor: "u1"}, "420": {Outcome: "done"}, "2": {ObjectID: "2"},
			"3": {IP: "192.0.2.3"}, "32": {From: start.Add(2 * time.Hour), To: start.Add(4 * time.Hour)}, "": {Kind: "other"}, "40": {Actor: "u0", Action: "agent.*"},
		} {
			var got string
			for cursor, first := "", true; first || cursor != ""; first = false {
				items, next, err := r.Entries(ctx, orgA, f, cursor, 2)
				must(t, err)
				for _, e := range items {
					got += e.ObjectID
				}
				cursor = next
			}
			if got != want {
				t.Errorf("%+v gave %q, want %q", f, got, want)
			}
		}
		if _, _, err := r.Entries(ctx, orgA, AuditFilter{}, "x", 2); err == nil {
			t.Error("a cursor that is none was taken")
		}
	})
}
