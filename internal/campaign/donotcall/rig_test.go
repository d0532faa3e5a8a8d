package donotcall_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/donotcall"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

const (
	org   = "018f0000-0000-7000-8000-0000000000a1"
	other = "018f0000-0000-7000-8000-0000000000a2"
)

var begin = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// consents are what people allowed, by number.
type consents map[string]donotcall.Consent

func (c consents) ConsentsOf(_ context.Context, _ *db.Tx, numbers []string, _ policy.Purpose, _ bool, _ time.Time) (map[string]donotcall.Consent, error) {
	out := map[string]donotcall.Consent{}
	for _, n := range numbers {
		if k, ok := c[n]; ok {
			out[n] = k
		}
	}
	return out, nil
}

// rig is a Service with what it needs.
type rig struct {
	*donotcall.Service
	testing.TB
	db     *db.DB
	blobs  *blob.Regions
	clock  *quartz.Mock
	folder string
	spread []string
	given  consents
}

func newRig(t testing.TB, d *db.DB) *rig {
	t.Helper()
	blobs, err := blob.OpenRegions(t.Context(), blob.RegionsConfig{Home: blob.Config{DataDir: t.TempDir()}, Kinds: []string{donotcall.BlobKind},
		Where: func(context.Context, string) (blob.At, error) { return blob.At{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	clock := quartz.NewMock(t)
	clock.Set(begin)
	r := &rig{TB: t, db: d, blobs: blobs, clock: clock, given: consents{}}
	r.Service, r.folder = r.process()
	return r
}

// process makes a Service as another process on another machine would have it.
func (r *rig) process() (*donotcall.Service, string) {
	r.Helper()
	book, err := policy.Shipped()
	if err != nil {
		r.Fatal(err)
	}
	folder := r.TempDir()
	s, err := donotcall.New(donotcall.Config{DB: r.db, Blobs: r.blobs, Folder: folder, Consents: r.given, Book: book, Clock: r.clock, Random: salt(),
		Spread: func(_ context.Context, _ string, numbers ...string) error {
			r.spread = append(r.spread, numbers...)
			return nil
		}})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(s.Close)
	return s, folder
}

// salt is randomness that is the same in every run.
func salt() io.Reader {
	sum := sha256.Sum256([]byte("salt"))
	return bytes.NewReader(bytes.Repeat(sum[:], 64))
}

func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	dbtest.Each(t, []db.Migrations{campaign.Migrations()}, func(t *testing.T, d *db.DB) { fn(t, newRig(t, d)) })
}

// facts asks as a campaign does, and fetches what is missing.
func (r *rig) facts(s *donotcall.Service, lists []string, numbers ...string) map[string]campaign.Known {
	r.Helper()
	var out map[string]campaign.Known
	ask := func() error {
		return r.db.InTenant(r.Context(), org, func(ctx context.Context, tx *db.Tx) (err error) {
			out, err = s.Of(ctx, tx, campaign.Asked{Lists: lists, Numbers: numbers, Purpose: policy.Sales, Automated: true, Now: r.clock.Now()})
			return err
		})
	}
	err := ask()
	if errors.Is(err, campaign.ErrFetch) {
		if err = s.Fetch(r.Context(), org); err == nil {
			err = ask()
		}
	}
	if err != nil {
		r.Fatal(err)
	}
	return out
}

func (r *rig) own() donotcall.List {
	r.Helper()
	l, err := r.Own(r.Context(), org)
	if err != nil {
		r.Fatal(err)
	}
	return l
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func lines(numbers ...string) io.Reader { return strings.NewReader(strings.Join(numbers, "\n")) }
