package conversation

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// The test binary runs itself as the process that is killed: childEnv holds its data folder.
const childEnv = "PARLEY_TEST_CHILD"

const childCalls = 3

// child keeps calls at the pace of real ones, says now and then how many frames can be read of each, and never ends by itself.
func child() int {
	ctx := context.Background()
	dir := os.Getenv(childEnv)
	d, err := db.Open(ctx, db.Config{DataDir: dir})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s, err := New(Config{DB: d, Blobs: &memoryBlobs{}, Keys: envelopetest.New(7), DataDir: dir, Live: &watcher{}, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = s.Start(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var calls []*Call
	for i := range childCalls {
		c, err := s.Begin(ctx, NewCall{OrgID: orgA, Channel: "sip", From: fmt.Sprint(i)})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		c.Answered(Answer{Rate: 8000, Codec: "PCMU"})
		calls = append(calls, c)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	for n := 1; ; n++ {
		<-tick.C
		for _, c := range calls {
			c.Frames(tone(160, byte(n)|0x80), tone(160, 0x95))
			c.Append(event.Entry{AtUS: int64(n) * 20_000, Kind: event.EntrySTTFinal, Turn: n, Text: fmt.Sprintf("word %d", n)})
		}
		if n%10 != 0 {
			continue
		}
		fewest := int64(n)
		for _, c := range calls {
			rec, err := s.OpenRecording(ctx, orgA, c.ID(), LaneCaller)
			if err != nil {
				fewest = 0 // nothing is on the disk yet
				continue
			}
			fewest = min(fewest, rec.DurationMs/20)
			rec.Close()
		}
		fmt.Println(n, fewest)
	}
}

// Killed without warning, the process leaves calls that the next one ends as interrupted, whole up to the last second: no
// more than that is ever held in memory, and what could be read before is there after.
func TestKillLosesAtMostASecond(t *testing.T) {
	dir := t.TempDir()
	d := dbtest.Open(t, db.Config{DataDir: dir}, Migrations())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if held := drainEvery + settleAfter + saveEvery; held >= time.Second {
		t.Errorf("news are held for %s", held)
	}
	n, sure := 0, 0 // frames given, frames that could be read
	for lines := bufio.NewScanner(out); sure < 50 && lines.Scan(); {
		if _, err := fmt.Sscan(lines.Text(), &n, &sure); err != nil {
			t.Fatalf("the child says %q", lines.Text())
		}
	}
	must(t, cmd.Process.Kill()) // SIGKILL
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	if sure < 50 {
		t.Fatalf("the child did not get far: %d of %d frames", sure, n)
	}
	t.Logf("%d of %d frames could be read", sure, n)
	r := newRig(t, d, dir, nil)
	calls, _, err := r.List(ctx, orgA, ListQuery{Limit: 10})
	must(t, err)
	if len(calls) != childCalls {
		t.Fatalf("%d calls", len(calls))
	}
	for _, c := range calls {
		if c.Status != StatusEnded || c.EndReason != ReasonInterrupted || c.EndedBy != "system" || c.DurationMs < int64(sure)*20 {
			t.Errorf("call %+v", c)
		}
		checkRemains(t, r, c.ID, sure)
	}
	if f := r.facts(orgA); f["call.ended"] != childCalls || f["call.started"] != childCalls {
		t.Errorf("facts %v", f)
	}
	r.pass(2 * sweepEvery)
	must(t, r.finisher.finishNow(ctx))
	left, err := r.spooledCalls()
	if err != nil || len(left) != 0 || r.blobs.count() != 2*childCalls {
		t.Errorf("left in the spool: %v, blobs %d, %v", left, r.blobs.count(), err)
	}
	for _, c := range calls {
		checkRemains(t, r, c.ID, sure)
	}
}

// checkRemains looks for the first sure frames, entries and items of an interrupted call.
func checkRemains(t *testing.T, r *rig, id string, sure int) {
	t.Helper()
	n := 0
	var last event.Entry
	must(t, r.StreamEvents(r.ctx(), orgA, id, func(line []byte) error {
		e, _, err := decodeEntry(line, nil)
		n++
		if e.Seq != int64(n) {
			t.Errorf("entry %d has seq %d", n, e.Seq)
		}
		last = e
		return err
	}))
	if n <= sure || last.Kind != event.EntryEnded || last.Data["code"] != ReasonInterrupted {
		t.Errorf("%d entries of %d, last %+v", n, sure, last)
	}
	items := 0
	must(t, r.EachItem(r.ctx(), orgA, id, func(it TranscriptItem) error {
		items++
		if it.Text != fmt.Sprintf("word %d", items) {
			t.Errorf("item %d: %+v", items, it)
		}
		return nil
	}))
	if items != n-1 {
		t.Errorf("%d items of %d", items, n-1)
	}
	rec, err := r.OpenRecording(r.ctx(), orgA, id, LaneCaller)
	must(t, err)
	defer rec.Close()
	if rec.DurationMs < int64(sure)*20 {
		t.Errorf("%d ms of sound, want %d", rec.DurationMs, sure*20)
	}
	_, err = rec.Seek(44, io.SeekStart)
	must(t, err)
	for i := int64(1); i <= rec.DurationMs/20; i++ {
		frame := make([]byte, 320)
		_, err := io.ReadFull(rec, frame)
		must(t, err)
		if got, want := int16(uint16(frame[0])|uint16(frame[1])<<8), tone(1, byte(i)|0x80)[0]; got != want {
			t.Fatalf("frame %d begins with %d, want %d", i, got, want)
		}
	}
}

// crash stops a rig's service as a kill would: nothing more is written.
func (r *rig) crash() {
	r.cancel()
	r.wait.Wait()
}

func TestRecovery(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := r.ctx()
		torn := r.begin(orgA, "torn")
		talk(torn)
		for range 60 {
			torn.Frames(tone(160, 0x90), nil)
		}
		must(t, r.Flush(ctx))
		// Written to the spool, never saved: the database knows nothing of these two.
		unknown := r.begin(orgB, "unknown")
		talk(unknown)
		ended := r.begin(orgA, "ended")
		ended.Note(event.EntryHold, "", nil)
		for _, sh := range r.shards {
			must(t, sh.drainNow(ctx))
		}
		ended.End(Ending{By: "caller", Reason: "normal", Text: "Bye."})
		for _, sh := range r.shards {
			must(t, sh.drainNow(ctx))
		}
		silent := r.begin(orgA, "silent")
		must(t, r.saver.saveNow(ctx)) // no files
		for org, id := range map[string]string{orgB: unknown.ID(), orgA: ended.ID()} {
			must(t, r.d.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.NewDelete().Model((*callRow)(nil)).Where("organisation_id = ? AND id = ?", org, id).Exec(ctx)
				return err
			}))
		}
		talk(silent)
		r.crash()
		for _, suffix := range []string{recSuffix, logSuffix} {
			f, err := os.OpenFile(r.spoolPath(torn.ID(), suffix), os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write([]byte{200, 0, 0, 0, 1, 2, 3})
			must(t, err)
			must(t, f.Close())
		}
		must(t, os.WriteFile(r.spoolPath(silent.ID(), logSuffix), []byte("PLY1"), 0o600)) // not even its head

		r.start(nil)
		for _, c := range []struct {
			call    *Call
			org     string
			reason  string
			entries int
			soundMs int64
		}{{torn, orgA, ReasonInterrupted, 13, 1000}, {unknown, orgB, ReasonInterrupted, 13, 0}, {ended, orgA, "normal", 2, 0},
			{silent, orgA, ReasonInterrupted, 0, 0}} {
			d, err := r.Get(ctx, c.org, c.call.ID())
			must(t, err)
			entries, _, err := r.Events(ctx, c.org, c.call.ID(), EventQuery{Limit: 100})
			must(t, err)
			if d.Status != StatusEnded || d.EndReason != c.reason || len(entries) != c.entries || d.Recording.DurationMs != c.soundMs {
				t.Errorf("%s: %d entries, %+v", d.From, len(entries), d)
			}
		}
		items, _, err := r.Transcript(ctx, orgB, unknown.ID(), 0, 10)
		if err != nil || len(items) != 3 {
			t.Errorf("%v %v", items, err)
		}
		must(t, r.finisher.sweep(ctx))
		if left, err := r.spooledCalls(); err != nil || len(left) != 0 {
			t.Errorf("left in the spool: %v %v", left, err)
		}
		p, err := r.RecordingPeaks(ctx, orgA, torn.ID(), 10)
		if err != nil || p.DurationMs != 1000 || p.Caller[5] == 0 || p.Agent[5] != 0 {
			t.Errorf("%+v %v", p, err)
		}
	})
}

// Calls of another node are none of ours, and files nobody can read harm nobody.
func TestRecoveryLeavesWhatIsNotOurs(t *testing.T) {
	r := onSQLite(t, nil)
	c := r.begin(orgA, "1")
	talk(c)
	must(t, r.Flush(r.ctx()))
	other := newRig(t, r.d, t.TempDir(), nil)
	if d, err := other.Get(r.ctx(), orgA, c.ID()); err != nil || d.Status != StatusInProgress {
		t.Errorf("another node ended the call: %+v %v", d, err)
	}
	if _, _, err := other.Events(r.ctx(), orgA, c.ID(), EventQuery{Limit: 1}); err != nil {
		t.Errorf("events on another node: %v", err)
	}
	stranger := newID()
	must(t, os.WriteFile(r.spoolPath(stranger, logSuffix), []byte("PLY1"+strings.Repeat("x", 300)), 0o600))
	must(t, os.WriteFile(filepath.Join(r.dir, "spool", "notes.txt"), nil, 0o600))
	r.crash()
	r.start(func(c *Config) { c.Clock = quartz.NewReal() })
	if d, err := r.Get(r.ctx(), orgA, c.ID()); err != nil || d.EndReason != ReasonInterrupted {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := os.Stat(r.spoolPath(stranger, logSuffix)); err != nil {
		t.Errorf("a file that cannot be read was touched: %v", err)
	}
	if _, err := r.Get(r.ctx(), orgA, stranger); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}
