package conversation

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/search"
)

// memoryIndex remembers which calls can be found.
type memoryIndex struct {
	mu   sync.Mutex
	docs map[string]bool
}

func (m *memoryIndex) Put(_ context.Context, _ string, docs []search.Doc) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range docs {
		m.docs[d.ID] = true
	}
	return nil
}

func (m *memoryIndex) Delete(_ context.Context, _ string, ids []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		delete(m.docs, id)
	}
	return nil
}

func (m *memoryIndex) Find(context.Context, string, string, int) ([]string, error) { return nil, nil }

func (m *memoryIndex) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.docs[id]
}

// finished makes a call that has ended and is stored with everything.
func (r *rig) finished(org, from string) string {
	r.t.Helper()
	c := r.begin(org, from)
	talk(c)
	c.Append(event.Entry{Kind: event.EntryToolResult, Text: "lookup", Data: map[string]any{"id": "1", "ok": true, "ms": 12.0, "result": "secret"}})
	caller, agent := tone(160, 0x90), tone(160, 0xa0)
	for range 60 {
		c.Frames(caller, agent)
	}
	must(r.t, r.Flush(r.ctx()))
	r.pass(4 * time.Second)
	c.End(Ending{By: "caller"})
	r.settle()
	<-c.Saved()
	return c.ID()
}

func nobody(string, ...string) bool { return false }

// audits gives the audit facts in the outbox by action.
func (r *rig) audits(org string) map[string][]event.Audited {
	r.t.Helper()
	out := map[string][]event.Audited{}
	must(r.t, r.d.ReadTenant(r.ctx(), org, func(ctx context.Context, tx *db.Tx) error {
		var rows []db.OutboxRow
		err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND type = ?", org, "audit.entry").Order("seq").Scan(ctx)
		for _, row := range rows {
			var e event.Audited
			must(r.t, json.Unmarshal([]byte(row.Data), &e))
			out[e.Action] = append(out[e.Action], e)
		}
		return err
	}))
	return out
}

func TestPurgeByClass(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		index := &memoryIndex{docs: map[string]bool{}}
		r.search = index
		ctx := r.ctx()
		old, heldCall, other := r.finished(orgA, "+4930123456"), r.finished(orgA, "+4930999999"), r.finished(orgB, "+4930123456")
		r.pass(time.Second)
		limit := r.clock.Now()
		r.pass(time.Second)
		young := r.finished(orgA, "+4930123456")
		keep := func(id string, parties ...string) bool { return slices.Contains(parties, "+4930999999") }
		blobs := r.blobs.count()
		for _, c := range []struct {
			class string
			gone  func() bool
			blobs int
		}{
			{classRecordings, func() bool {
				d, err := r.Get(ctx, orgA, old)
				must(t, err)
				_, err = r.OpenRecording(ctx, orgA, old, LaneBoth)
				return err != nil && d.Recording.State == RecordingNone && d.Recording.DeletedAt != nil
			}, 1},
			{classTranscripts, func() bool {
				items, _, err := r.Transcript(ctx, orgA, old, 0, 10)
				must(t, err)
				turns, _, err := r.Turns(ctx, orgA, old, -1, 10)
				must(t, err)
				return len(items) == 0 && turns[1].CallerText == "" && turns[1].FirstFrameMs != nil && !index.has(old)
			}, 0},
			{classEventLogs, func() bool {
				entries, _, err := r.Events(ctx, orgA, old, EventQuery{Limit: 10})
				must(t, err)
				return len(entries) == 0
			}, 1},
			{classCalls, func() bool { _, err := r.Get(ctx, orgA, old); return errors.Is(err, errNoCall) }, 0},
		} {
			if c.gone() {
				t.Fatalf("%s: gone before", c.class)
			}
			n, err := r.Purge(ctx, orgA, c.class, limit, keep)
			must(t, err)
			if n[c.class] != 1 || n["files"] != int64(c.blobs) || !c.gone() {
				t.Errorf("%s: %v, gone %v", c.class, n, c.gone())
			}
			blobs -= c.blobs
			if r.blobs.count() != blobs {
				t.Errorf("%s: %d blobs are left, want %d", c.class, r.blobs.count(), blobs)
			}
			if n, err := r.Purge(ctx, orgA, c.class, limit, keep); err != nil || len(n) != 0 {
				t.Errorf("%s again: %v %v", c.class, n, err)
			}
		}
		for org, ids := range map[string][]string{orgA: {heldCall, young}, orgB: {other}} {
			for _, id := range ids {
				if items, _, err := r.Transcript(ctx, org, id, 0, 10); err != nil || len(items) != 3 || !index.has(id) {
					t.Errorf("%s: %d items, %v", id, len(items), err)
				}
			}
		}
		if got := r.audits(orgA)["retention.delete"]; len(got) != 4 || got[0].Kind != classRecordings || string(got[0].After) != `{"files":1,"recordings":1}` {
			t.Errorf("%+v", got)
		}
		if n, err := r.Purge(ctx, orgA, "letters", limit, keep); err != nil || n != nil {
			t.Errorf("another context's class: %v %v", n, err)
		}
	})
}

// A run that fails or dies half way leaves what the next one finishes.
func TestPurgeGoesOn(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		id := r.finished(orgA, "1001")
		later := r.clock.Now().Add(time.Hour)
		r.blobs.setFail(errors.New("away"))
		if n, err := r.Purge(r.ctx(), orgA, classRecordings, later, nobody); err == nil || len(n) != 0 {
			t.Errorf("%v %v", n, err)
		}
		r.blobs.setFail(nil)
		// It died after the files went and before the rows did.
		row, err := findCall(r.ctx(), r.d, orgA, id, reach{})
		must(t, err)
		must(t, r.blobs.Delete(r.ctx(), row.RecKey))
		if n, err := r.Purge(r.ctx(), orgA, classRecordings, later, nobody); err != nil || n[classRecordings] != 1 {
			t.Errorf("%v %v", n, err)
		}
		// A call that goes on is nobody's to delete.
		live := r.begin(orgA, "1002")
		must(t, r.Flush(r.ctx()))
		if n, err := r.Purge(r.ctx(), orgA, classCalls, later, nobody); err != nil || n[classCalls] != 1 {
			t.Errorf("%v %v", n, err)
		}
		if _, err := r.Get(r.ctx(), orgA, live.ID()); err != nil {
			t.Error(err)
		}
		live.End(Ending{By: "caller"})
	})
}

func TestOnePersonsCalls(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := r.ctx()
		match := func(a string) bool {
			return strings.HasSuffix(strings.NewReplacer("-", "", " ", "").Replace(strings.Split(a, "@")[0]), "4930123456")
		}
		first, second, stranger := r.finished(orgA, "sip:+49-30-123 456@192.0.2.1"), r.finished(orgA, "+4930123456"), r.finished(orgA, "+4940123456")
		foreign := r.finished(orgB, "+4930123456")
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		must(t, r.ExportPerson(ctx, orgA, "0123456", match, func(name string, write func(io.Writer) error) error {
			f, err := z.Create(name)
			must(t, err)
			return write(f)
		}))
		must(t, z.Close())
		zr, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
		must(t, err)
		sizes := map[string]uint64{}
		for _, f := range zr.File {
			sizes[f.Name] = f.UncompressedSize64
		}
		for _, id := range []string{first, second} {
			for _, name := range []string{"call.json", "transcript.ndjson", "events.ndjson", "recording.wav"} {
				if sizes["calls/"+id+"/"+name] == 0 {
					t.Errorf("%s of %s is missing or empty", name, id)
				}
			}
		}
		if len(sizes) != 8 {
			t.Errorf("files %v", slices.Sorted(maps.Keys(sizes)))
		}
		live := r.begin(orgA, "+4930123456")
		must(t, r.Flush(ctx))
		keep := func(id string, _ ...string) bool { return id == second }
		erased, kept, err := r.ErasePerson(ctx, orgA, "0123456", match, keep)
		if err == nil || erased[classCalls] != 1 || kept != 1 {
			t.Errorf("while a call goes on: %v, %d kept, %v", erased, kept, err)
		}
		live.End(Ending{By: "caller"})
		r.settle()
		<-live.Saved()
		erased, kept, err = r.ErasePerson(ctx, orgA, "0123456", match, keep)
		must(t, err)
		if erased[classCalls] != 1 || kept != 1 {
			t.Errorf("%v, %d kept", erased, kept)
		}
		for id, there := range map[string]bool{first: false, second: true, stranger: true, live.ID(): false} {
			if _, err := r.Get(ctx, orgA, id); (err == nil) != there {
				t.Errorf("%s: %v", id, err)
			}
		}
		if _, err := r.Get(ctx, orgB, foreign); err != nil {
			t.Errorf("another organisation's: %v", err)
		}
	})
}

func TestWhatIsDoneWithCallsIsAudited(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		id := r.finished(orgA, "1001")
		got := r.audits(orgA)["tool.run"]
		if len(got) != 1 || got[0].ActorKind != "agent" || got[0].ActorID != "agent-1" || got[0].ObjectID != id || got[0].Outcome != "done" ||
			string(got[0].After) != `{"ms":12,"tool":"lookup"}` {
			t.Errorf("%+v", got)
		}
		d := &desk{s: r.Service}
		r.calls = d
		c := r.begin(orgA, "1002")
		must(t, r.Flush(r.ctx()))
		ctx := identity.With(r.ctx(), identity.Principal{UserID: "u1", OrgID: orgA})
		_, err := r.Hangup(ctx, orgA, c.ID())
		must(t, err)
		if got := r.audits(orgA)["call.hangup"]; len(got) != 1 || got[0].ActorID != "u1" || got[0].ObjectID != c.ID() {
			t.Errorf("%+v", got)
		}
	})
}
