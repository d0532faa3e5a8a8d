package conversation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// versions are an organisation's data key in versions, of which the last is for new files.
type versions struct {
	envelopetest.Sealer
	last *byte
}

func (v versions) key(id envelope.KeyID, org, purpose string) []byte {
	k, _ := envelopetest.New(id[0]).CachedFileKey(org, purpose)
	return k.Key
}

func (v versions) CachedFileKey(org, purpose string) (envelope.FileKey, bool) {
	id := envelope.KeyID{*v.last}
	return envelope.FileKey{ID: id, Key: v.key(id, org, purpose)}, true
}

func (v versions) FileKey(_ context.Context, org, purpose string) (envelope.FileKey, error) {
	k, _ := v.CachedFileKey(org, purpose)
	return k, nil
}

func (v versions) FileKeyByID(_ context.Context, org string, id envelope.KeyID, purpose string) ([]byte, error) {
	if id[0] == 0 || id[0] > *v.last {
		return nil, envelope.ErrNoKey
	}
	return v.key(id, org, purpose), nil
}

func (r *rig) pieces(org, call string, kind FileKind) (out []byte) {
	r.t.Helper()
	found, err := r.ReadFile(r.ctx(), org, call, kind, func(p []byte) error { out = append(append(out, p...), '\n'); return nil })
	if err != nil || !found {
		r.t.Fatalf("%s of %s: found %v, %v", kind, call, found, err)
	}
	return out
}

func (r *rig) keyName(org, call string) string {
	r.t.Helper()
	row, err := r.row(r.ctx(), org, call)
	must(r.t, err)
	return row.FileKey
}

// After the data key got a new version the files of calls are encrypted anew under it, a few at a time, whatever interrupts that; what is
// said in them stays, a file that nobody can open stays as it is, and then nothing needs the old version any more.
func TestFilesAreEncryptedAnew(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		last := byte(1)
		r.stop()
		r.start(func(c *Config) { c.Keys = versions{envelopetest.New(7), &last} })
		var calls []string
		said := map[string][]byte{}
		for range 3 {
			id := r.finished(orgA, "+4930123456")
			calls = append(calls, id)
			for kind := range FileKinds() {
				said[id+string(kind)] = r.pieces(orgA, id, kind)
			}
		}
		r.intoDatabase(orgA, calls[1])
		other := r.finished(orgB, "+4930123456")
		old := envelope.KeyID{1}
		if n, err := r.ResealFiles(r.ctx(), orgA, 100); err != nil || n != 0 {
			t.Fatalf("before there is a new version: %d files, %v", n, err)
		}
		last = 2
		r.blobs.mu.Lock()
		damaged, err := r.row(r.ctx(), orgA, calls[2])
		must(t, err)
		whole := bytes.Clone(r.blobs.files[damaged.RecKey])
		r.blobs.files[damaged.RecKey] = append(bytes.Clone(whole[:80]), bytes.Repeat([]byte{1}, len(whole)-80)...)
		r.blobs.mu.Unlock()

		if n, err := r.ResealFiles(r.ctx(), orgA, 2); err != nil || n > 3 || n < 2 {
			t.Fatalf("a few: %d files, %v", n, err)
		}
		if got := r.keyName(orgA, calls[0]); got != old.String() {
			t.Errorf("the row names %s before anybody looked at the files again", got)
		}
		gone, cancel := context.WithCancel(r.ctx())
		cancel()
		if _, err := r.ResealFiles(gone, orgA, 100); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		for range 3 {
			_, err := r.ResealFiles(r.ctx(), orgA, 100)
			must(t, err)
		}
		for _, id := range calls[:2] {
			if got := r.keyName(orgA, id); got != (envelope.KeyID{2}).String() {
				t.Errorf("call %s is under %s", id, got)
			}
			for kind := range FileKinds() {
				if got := r.pieces(orgA, id, kind); !bytes.Equal(got, said[id+string(kind)]) {
					t.Errorf("the %s of %s is not what it was", kind, id)
				}
				r.under(orgA, id, kind, envelope.KeyID{2})
			}
		}
		if used, err := r.UsesKey(r.ctx(), orgA, old); err != nil || !used {
			t.Errorf("the damaged file's key counts as used: %v, %v", used, err)
		}
		r.blobs.mu.Lock()
		if bytes.Equal(r.blobs.files[damaged.RecKey], whole) || len(r.blobs.files[damaged.RecKey]) != len(whole) {
			t.Error("a damaged file was written anew")
		}
		r.blobs.files[damaged.RecKey] = whole
		r.blobs.mu.Unlock()
		for range 2 {
			_, err := r.ResealFiles(r.ctx(), orgA, 100)
			must(t, err)
		}
		if used, err := r.UsesKey(r.ctx(), orgA, old); err != nil || used {
			t.Errorf("nothing needs the old version any more: %v, %v", used, err)
		}
		if got := r.keyName(orgB, other); got != old.String() {
			t.Errorf("another organisation's files are under %s", got)
		}
	})
}

// under demands which key a stored file is under.
func (r *rig) under(org, call string, kind FileKind, want envelope.KeyID) {
	r.t.Helper()
	_, src, err := r.openFile(r.ctx(), org, call, kind.suffix())
	must(r.t, err)
	defer src.close()
	if h, err := readHead(io.NewSectionReader(src, 0, src.size)); err != nil || h.key != want {
		r.t.Errorf("the %s of %s is under %v, %v", kind, call, h.key, err)
	}
}

// intoDatabase puts a call's event log where that of a call without a disk is.
func (r *rig) intoDatabase(org, call string) {
	r.t.Helper()
	row, err := r.row(r.ctx(), org, call)
	must(r.t, err)
	r.blobs.mu.Lock()
	b := r.blobs.files[row.LogKey]
	r.blobs.mu.Unlock()
	must(r.t, r.d.InTenant(r.ctx(), org, func(ctx context.Context, tx *db.Tx) error {
		if err := put(ctx, tx, []fileRow{{OrganisationID: org, CallID: call, Suffix: logSuffix, Data: b}}, "call_id, suffix", "data"); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model((*callRow)(nil)).Set("log_key = ?", inDB).Where("c.organisation_id = ? AND c.id = ?", org, call).Exec(ctx)
		return err
	}))
}
