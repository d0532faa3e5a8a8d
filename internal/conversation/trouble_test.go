package conversation

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// smallDisk makes files on a disk that takes so many bytes.
type smallDisk struct {
	mu   sync.Mutex
	left int
	only string // files that count, by suffix
}

func (d *smallDisk) set(left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = left
}

func (d *smallDisk) Create(path string) (File, error) {
	f, err := osFiles{}.Create(path)
	if err != nil || !strings.HasSuffix(path, d.only) {
		return f, err
	}
	return &smallFile{f, d}, nil
}

type smallFile struct {
	File
	disk *smallDisk
}

// Write writes what there is room for, as a file system does.
func (f *smallFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := min(len(p), f.disk.left)
	f.disk.left -= n
	m, err := f.File.Write(p[:n])
	if err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: "spool", Err: syscall.ENOSPC}
	}
	return m, err
}

// The disk is full: the call goes on, the recording stops, and an alert says so.
func TestDiskFullStopsTheRecording(t *testing.T) {
	disk := &smallDisk{left: 20_000, only: recSuffix}
	r := onSQLite(t, func(c *Config) { c.Files = disk })
	c := r.begin(orgA, "1")
	for range 200 { // 64,000 bytes
		c.Frames(tone(160, 0x90), tone(160, 0x91))
	}
	talk(c)
	must(t, r.Flush(r.ctx()))
	must(t, r.Flush(r.ctx())) // the alert is an entry of the next batch
	d, err := r.Get(r.ctx(), orgA, c.ID())
	must(t, err)
	if d.Status != StatusInProgress || len(d.Alerts) != 1 || d.Alerts[0].Code != codeDiskFull || !strings.Contains(d.Alerts[0].Text, "disk is full") {
		t.Fatalf("%+v", d)
	}
	c.Frames(tone(160, 0x90), nil)
	disk.set(1 << 20)
	c.End(Ending{By: "caller"})
	r.settle()
	d, err = r.Get(r.ctx(), orgA, c.ID())
	must(t, err)
	if d.Recording.State != RecordingAvailable || d.Recording.DurationMs != 1000 || d.Turns != 1 {
		t.Errorf("%+v", d)
	}
	rec, err := r.OpenRecording(r.ctx(), orgA, c.ID(), LaneBoth)
	must(t, err)
	defer rec.Close()
	if rec.DurationMs != 1000 {
		t.Errorf("%d ms", rec.DurationMs)
	}
	if f := r.facts(orgA); f["call.error"] != 1 {
		t.Errorf("facts %v", f)
	}
}

func TestNoRoomForEvenTheFirstChunk(t *testing.T) {
	r := onSQLite(t, func(c *Config) { c.Files = &smallDisk{only: recSuffix} })
	c := r.begin(orgA, "1")
	for range chunkFrames {
		c.Frames(tone(160, 0x90), nil)
	}
	must(t, r.Flush(r.ctx()))
	c.End(Ending{By: "caller"})
	r.settle()
	d, err := r.Get(r.ctx(), orgA, c.ID())
	if err != nil || d.Recording.State != RecordingFailed || len(d.Alerts) != 1 || d.Alerts[0].Code != codeDiskFull {
		t.Errorf("%+v %v", d, err)
	}
}

// An event log that cannot be written waits, and goes on whole when there is room again.
func TestDiskFullDelaysTheLog(t *testing.T) {
	disk := &smallDisk{left: 3000, only: logSuffix}
	r := onSQLite(t, func(c *Config) { c.Files = disk })
	c := r.begin(orgA, "1")
	for range 3 {
		talk(c)
		must(t, r.Flush(r.ctx()))
	}
	disk.set(1 << 20)
	c.End(Ending{By: "caller"})
	r.settle()
	n := int64(0)
	must(t, r.StreamEvents(r.ctx(), orgA, c.ID(), func(line []byte) error {
		e, _, err := decodeEntry(line, nil)
		if n++; e.Seq != n {
			t.Errorf("entry %d has seq %d", n, e.Seq)
		}
		return err
	}))
	if n != 37 {
		t.Errorf("%d entries", n)
	}
}

// slowDisk hangs until it is let go.
type slowDisk struct{ entered, gate chan struct{} }

func (d *slowDisk) Create(path string) (File, error) {
	select {
	case d.entered <- struct{}{}:
	default: // that it hangs is known
	}
	<-d.gate
	return osFiles{}.Create(path)
}

// A disk that hangs costs entries and sound, both counted and told of, and never holds up the call. What was lost is
// silence: the rest stays in its place.
func TestAHangingDiskCostsNoTime(t *testing.T) {
	disk := &slowDisk{make(chan struct{}, 1), make(chan struct{})} // entered keeps one: the writer may be there first
	r := onSQLite(t, func(c *Config) { c.Files = disk })
	c := r.begin(orgA, "1")
	c.Append(event.Entry{Kind: event.EntryVADStart})
	flushed := make(chan error, 1)
	ctx := r.ctx()
	go func() { flushed <- r.Flush(ctx) }()
	<-disk.entered
	c.Frames(tone(160, 0x90), nil)
	for i := range 3 * maxPending {
		c.Append(event.Entry{AtUS: int64(i), Kind: event.EntryVADStart})
	}
	for range 19 * chunkFrames {
		c.Frames(tone(160, 0x90), tone(160, 0x90))
	}
	if _, lost := c.lanes.count(); lost == 0 {
		t.Fatal("nothing was lost, so nothing was tested")
	}
	close(disk.gate)
	must(t, <-flushed)
	must(t, r.Flush(r.ctx()))
	for range 2 * chunkFrames {
		c.Frames(tone(160, 0xa0), nil)
	}
	frames, lost := c.lanes.count()
	c.End(Ending{By: "caller"})
	r.settle()
	d, err := r.Get(r.ctx(), orgA, c.ID())
	must(t, err)
	codes := map[string]int{}
	for _, a := range d.Alerts {
		codes[a.Code]++
	}
	if codes[codeLogGap] == 0 || codes[codeRecordGap] == 0 {
		t.Errorf("alerts %v", d.Alerts)
	}
	rec, err := r.OpenRecording(r.ctx(), orgA, c.ID(), LaneCaller)
	must(t, err)
	defer rec.Close()
	quiet := int64(0)
	frame := make([]byte, 320)
	_, err = rec.Seek(44, 0)
	must(t, err)
	for i := range rec.DurationMs / 20 {
		if _, err := rec.Read(frame); err != nil {
			t.Fatal(err)
		}
		v := int16(uint16(frame[0]) | uint16(frame[1])<<8)
		if v == 0 {
			quiet++
		}
		if v == tone(1, 0xa0)[0] && i < frames-2*chunkFrames {
			t.Errorf("frame %d sounds like the last ones", i)
		}
	}
	if rec.DurationMs/20 < frames-chunkFrames || quiet < lost-chunkFrames || quiet > lost {
		t.Errorf("%d of %d frames, %d quiet of %d lost", rec.DurationMs/20, frames, quiet, lost)
	}
}

// A blob store that is away delays, and loses nothing.
func TestBlobStoreAway(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.blobs.setFail(errors.New("away"))
		c := r.begin(orgA, "1")
		talk(c)
		for range chunkFrames {
			c.Frames(tone(160, 0x90), nil)
		}
		must(t, r.Flush(r.ctx()))
		c.End(Ending{By: "caller"})
		must(t, r.Flush(r.ctx()))
		if err := r.finisher.finishNow(r.ctx()); err == nil {
			t.Error("no error")
		}
		d, err := r.Get(r.ctx(), orgA, c.ID())
		if err != nil || d.Recording.State != RecordingRunning || r.inMemory() != 0 {
			t.Fatalf("%+v %v", d, err)
		}
		if rec, err := r.OpenRecording(r.ctx(), orgA, c.ID(), LaneBoth); err != nil {
			t.Errorf("from the spool: %v", err)
		} else {
			rec.Close()
		}
		r.blobs.setFail(nil)
		must(t, r.finisher.sweep(r.ctx()))
		d, err = r.Get(r.ctx(), orgA, c.ID())
		if err != nil || d.Recording.State != RecordingAvailable || r.blobs.count() != 2 {
			t.Errorf("%+v %v", d, err)
		}
		if _, err := os.Stat(r.spoolPath(c.ID(), recSuffix)); !os.IsNotExist(err) {
			t.Errorf("left in the spool: %v", err)
		}
	})
}

// A call that is over within a moment leaves no file anywhere: its log and sound are saved with its row.
func TestAShortCallNeedsNoFiles(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		c := r.begin(orgA, "1")
		talk(c)
		c.Frames(tone(160, 0x90), nil)
		c.End(Ending{By: "caller"})
		check := func(when string) {
			t.Helper()
			if entries, _, err := r.Events(r.ctx(), orgA, c.ID(), EventQuery{Limit: 100}); err != nil || len(entries) != 13 {
				t.Errorf("%s: %d entries, %v", when, len(entries), err)
			}
			rec, err := r.OpenRecording(r.ctx(), orgA, c.ID(), LaneBoth)
			if err != nil || rec.DurationMs != 20 {
				t.Fatalf("%s: %v", when, err)
			}
			rec.Close()
		}
		for _, sh := range r.shards {
			must(t, sh.drainNow(r.ctx()))
		}
		check("not saved")
		r.settle()
		check("saved")
		if left, err := r.spooledCalls(); err != nil || len(left) != 0 || r.blobs.count() != 0 {
			t.Errorf("in the spool: %v, in the blob store: %d, %v", left, r.blobs.count(), err)
		}
		if d, err := r.Get(r.ctx(), orgA, c.ID()); err != nil || d.Recording.State != RecordingAvailable {
			t.Errorf("%+v %v", d, err)
		}
		if _, err := r.OpenRecording(r.ctx(), orgB, c.ID(), LaneBoth); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation: %v", err)
		}
	})
}

// A database that fails delays; each fact goes out once.
func TestDatabaseAway(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		rename := func(from, to string) {
			t.Helper()
			must(t, r.alter("ALTER TABLE "+from+" RENAME TO "+to))
		}
		rename("call_transcript", "elsewhere")
		c := r.begin(orgA, "1")
		talk(c)
		c.End(Ending{By: "caller"})
		for range 8 {
			if err := r.Flush(r.ctx()); err == nil {
				t.Error("saved without a table")
			}
		}
		if d, err := r.Get(r.ctx(), orgA, c.ID()); err != nil || d.Status != StatusEnded {
			t.Errorf("from memory: %+v %v", d, err)
		}
		rename("elsewhere", "call_transcript")
		r.settle()
		if items, _, err := r.Transcript(r.ctx(), orgA, c.ID(), 0, 10); err != nil || len(items) != 3 {
			t.Errorf("%v %v", items, err)
		}
		if f := r.facts(orgA); f["call.started"] != 1 || f["call.ended"] != 1 || f["call.transcript"] != 3 {
			t.Errorf("facts %v", f)
		}
	})
}

// alter changes the schema, as its owner.
func (r *rig) alter(sql string) error {
	return r.d.InTenant(r.ctx(), orgA, func(ctx context.Context, tx *db.Tx) error {
		if tx.Dialect() == db.Postgres {
			sql = "RESET ROLE; " + sql
		}
		_, err := tx.ExecContext(ctx, sql)
		return err
	})
}

// One call that the database will not have does not keep the others from being saved.
func TestOneBadCallDoesNotSpoilTheOthers(t *testing.T) {
	r := onSQLite(t, nil)
	must(t, r.alter("CREATE TRIGGER bad BEFORE INSERT ON calls WHEN NEW.from_addr = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END"))
	bad := r.begin(orgA, "bad")
	for range poisonAfter {
		c := r.begin(orgA, "good")
		c.End(Ending{By: "caller"})
		_ = r.Flush(r.ctx()) // fails for the bad one
		<-c.Saved()
	}
	must(t, r.Flush(r.ctx()))
	if r.find(orgA, bad.ID()) != nil {
		t.Error("the bad call is still tried")
	}
}

// Everything is given at once by many; nothing is lost and seqs have no gaps.
func TestManyAtOnce(t *testing.T) {
	r := onSQLite(t, nil)
	c := r.begin(orgA, "1")
	const parties, each = 8, 100
	var wg sync.WaitGroup
	for range parties {
		wg.Go(func() {
			for i := range each {
				c.Append(event.Entry{AtUS: int64(i), Kind: event.EntryVADStart})
				c.SetMetadata(map[string]any{"i": i})
				c.Note(event.EntryHold, "", map[string]any{"on": true})
			}
		})
	}
	wg.Wait()
	r.pass(time.Second)
	c.End(Ending{})
	r.settle()
	entries, next, err := r.Events(r.ctx(), orgA, c.ID(), EventQuery{Limit: 10_000})
	must(t, err)
	if len(entries) != 2*parties*each+1 && len(entries) < maxPending || next != 0 {
		t.Errorf("%d entries", len(entries))
	}
	for i, e := range entries {
		if e.Seq != int64(i+1) {
			t.Fatalf("entry %d has seq %d", i, e.Seq)
		}
	}
}
