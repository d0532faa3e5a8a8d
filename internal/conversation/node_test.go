package conversation

import (
	"context"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// told counts the facts of a type that wait in the outbox.
func (r *rig) told(kind string) (n int) {
	r.t.Helper()
	must(r.t, r.d.ReadSystem(r.ctx(), "test", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewRaw(`SELECT count(*) FROM outbox WHERE type = ?`, kind).Scan(ctx, &n)
	}))
	return n
}

// A process that is gone has its calls ended by another, once; when it comes back with its disk, what that holds is added.
func TestCallsOfAProcessThatIsGone(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		c := r.begin(orgA, "1")
		talk(c)
		for range 60 {
			c.Frames(tone(160, 0x90), nil)
		}
		must(t, r.Flush(r.ctx()))
		other := newRig(t, r.d, t.TempDir(), func(c *Config) { c.Reader, c.Blobs = true, r.blobs })
		if _, err := other.Begin(r.ctx(), NewCall{OrgID: orgA}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a reader began a call: %v", err)
		}
		holder := func() string {
			t.Helper()
			n, err := other.Holder(r.ctx(), orgA, c.ID())
			must(t, err)
			return n
		}
		if got := holder(); got != r.Node() || got == "" || other.Node() != "" {
			t.Errorf("the call is held by %q, the node is %q", got, r.Node())
		}
		if _, err := other.Holder(r.ctx(), orgB, c.ID()); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation learns who holds it: %v", err)
		}
		live, err := other.CountLive(r.ctx(), orgA)
		must(t, err)
		if live[c.state.row.AgentID] != 1 || len(live) != 1 {
			t.Errorf("live: %v", live)
		}

		for i, want := range []struct {
			gone bool
			n    int
		}{{false, 0}, {true, 1}, {true, 0}} {
			n, err := other.EndLost(r.ctx(), func(node string) bool { return want.gone && node == r.Node() })
			if err != nil || n != want.n {
				t.Fatalf("%d: ended %d: %v", i, n, err)
			}
		}
		d, err := other.Get(r.ctx(), orgA, c.ID())
		if err != nil || d.Status != StatusEnded || d.EndReason != ReasonInterrupted || d.Recording.State != RecordingRunning {
			t.Errorf("%+v %v", d, err)
		}
		if holder() != r.Node() || r.told("call.ended") != 1 {
			t.Errorf("held by %q, the end told %d times", holder(), r.told("call.ended"))
		}

		r.crash()
		r.start(nil)
		must(t, r.finisher.sweep(r.ctx()))
		entries, _, err := other.Events(r.ctx(), orgA, c.ID(), EventQuery{Limit: 100})
		if err != nil || len(entries) == 0 {
			t.Errorf("%d entries: %v", len(entries), err)
		}
		d, err = other.Get(r.ctx(), orgA, c.ID())
		if err != nil || d.EndReason != ReasonInterrupted || d.Recording.State != RecordingAvailable || d.Recording.DurationMs == 0 {
			t.Errorf("after it came back: %+v %v", d, err)
		}
		if holder() != "" || r.told("call.ended") != 1 {
			t.Errorf("held by %q, the end told %d times", holder(), r.told("call.ended"))
		}
	})
}
