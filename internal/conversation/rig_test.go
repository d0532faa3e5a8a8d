package conversation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

const (
	orgA = "11111111-1111-7111-8111-111111111111"
	orgB = "22222222-2222-7222-8222-222222222222"
)

// rig is a service with everything it needs, on a clock that only the test moves.
type rig struct {
	*Service
	t     testing.TB
	d     *db.DB
	clock *quartz.Mock
	live  *watcher
	blobs *memoryBlobs
	dir   string
}

// each runs fn on both engines.
func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) { fn(t, newRig(t, d, t.TempDir(), nil)) })
}

func onSQLite(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	return newRig(t, dbtest.SQLite(t, Migrations()), t.TempDir(), change)
}

func newRig(t testing.TB, d *db.DB, dir string, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, d: d, clock: quartz.NewMock(t), live: &watcher{}, blobs: &memoryBlobs{files: map[string][]byte{}}, dir: dir}
	r.clock.Set(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	r.start(change)
	t.Cleanup(r.stop)
	return r
}

func (r *rig) start(change func(*Config)) {
	r.t.Helper()
	c := Config{DB: r.d, Blobs: r.blobs, Keys: envelopetest.New(7), DataDir: r.dir, Live: r.live, Clock: r.clock, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	var err error
	r.Service, err = New(c)
	must(r.t, err)
	must(r.t, r.Start(r.ctx()))
}

func (r *rig) stop() {
	if err := r.Close(r.ctx()); err != nil {
		r.t.Logf("close: %v", err)
	}
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r.t.Cleanup(cancel)
	return ctx
}

// begin begins a call from a caller, answered.
func (r *rig) begin(org, from string) *Call {
	r.t.Helper()
	c, err := r.Begin(r.ctx(), NewCall{OrgID: org, Channel: "sip", Direction: "inbound", From: from, FromName: "Ann", To: "front-desk",
		AgentID: "agent-1", AgentSlug: "front-desk", AgentName: "Front desk", AgentVersion: 3, Metadata: map[string]any{"k": "v"}})
	must(r.t, err)
	r.pass(time.Millisecond)
	c.Answered(Answer{Rate: 8000, Codec: "PCMU"})
	return c
}

// pass lets time go by, in steps no longer than the shortest timer: the service may set one at any moment, and the
// clock must not jump over it.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	for d > 0 {
		step := min(d, saveEvery)
		if next, ok := r.clock.Peek(); ok {
			step = min(step, next)
		}
		r.clock.Advance(step).MustWait(r.ctx())
		d -= step
	}
}

// settle writes, saves and stores everything.
func (r *rig) settle() {
	r.t.Helper()
	must(r.t, r.Flush(r.ctx()))
	must(r.t, r.finisher.finishNow(r.ctx()))
}

// facts gives what waits in the outbox for an organisation, by type.
func (r *rig) facts(org string) map[string]int {
	r.t.Helper()
	n := map[string]int{}
	must(r.t, r.d.ReadTenant(r.ctx(), org, func(ctx context.Context, tx *db.Tx) error {
		var rows []db.OutboxRow
		err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", org).Scan(ctx)
		for _, row := range rows {
			n[row.Type]++
		}
		return err
	}))
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// watcher keeps what was published live.
type watcher struct {
	mu    sync.Mutex
	facts []event.Fact
}

func (w *watcher) PublishLive(_ string, f event.Fact) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = append(w.facts, f)
	return true
}

func (w *watcher) seen() []event.Fact {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]event.Fact(nil), w.facts...)
}

// memoryBlobs is a blob store that can fail.
type memoryBlobs struct {
	mu    sync.Mutex
	files map[string][]byte
	fail  error
	gets  int
}

func (m *memoryBlobs) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memoryBlobs) Put(_ context.Context, key string, r io.Reader) error {
	b, err := io.ReadAll(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(err, m.fail); err != nil {
		return err
	}
	m.files[key] = b
	return nil
}

func (m *memoryBlobs) GetRange(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	b, ok := m.files[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b[offset : offset+length])), m.fail
}

func (m *memoryBlobs) Size(_ context.Context, key string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.files[key]
	if !ok {
		return 0, fs.ErrNotExist
	}
	return int64(len(b)), m.fail
}

func (m *memoryBlobs) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil {
		delete(m.files, key)
	}
	return m.fail
}

func (m *memoryBlobs) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.files)
}

// tone is a frame whose samples µ-law keeps exactly.
func tone(n int, code byte) []int16 {
	f := make([]int16, n)
	for i := range f {
		f[i] = muLawLinear[code^byte(i&1)<<7]
	}
	return f
}
