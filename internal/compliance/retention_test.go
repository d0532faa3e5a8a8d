package compliance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
)

// store holds things of every class and says when it was asked to delete.
type store struct {
	asked []string
	fail  error
}

func (s *store) Purge(_ context.Context, org, class string, before time.Time, keep func(string, ...string) bool) (map[string]int64, error) {
	s.asked = append(s.asked, fmt.Sprintf("%s %s %s %v%v%v", org[:2], class, before.Format(time.DateOnly), keep("call-1"), keep("call-2", "sip:+49-30-123456@x"), keep("call-3", "+4940")))
	return map[string]int64{class: 2}, s.fail
}

func days(n int64) *int64 { return &n }

func TestRetention(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := asUser(t.Context())
		s := &store{}
		r.cfg.Purgers = []Purger{s}
		must(t, r.Retain(ctx))
		if len(s.asked) != 0 {
			t.Errorf("without settings: %v", s.asked)
		}
		_, err := r.SetRetention(ctx, orgA, RetentionSettings{RecordingDays: days(30), TranscriptDays: days(60), EventLogDays: days(60), CallDays: days(90)})
		must(t, err)
		for _, h := range [][2]string{{ScopeCall, "call-1"}, {ScopePerson, "0049 (30) 123456"}} {
			_, err := r.Hold(ctx, orgA, h[0], h[1], "case")
			must(t, err)
		}
		must(t, r.Retain(ctx))
		want := []string{"11 calls 2025-12-02 truetruefalse", "11 recordings 2026-01-31 truetruefalse", "11 transcripts 2026-01-01 truetruefalse", "11 eventLogs 2026-01-01 truetruefalse"}
		if !slices.Equal(s.asked, want) {
			t.Errorf("%v", s.asked)
		}
		v, err := r.Retention(ctx, orgA)
		must(t, err)
		if !maps.Equal(v.LastRun, map[string]int64{"calls": 2, "recordings": 2, "transcripts": 2, "eventLogs": 2}) || v.UpdatedAt == nil || *v.RecordingDays != 30 {
			t.Errorf("%+v", v)
		}
		s.fail = errors.New("away")
		if err := r.Retain(ctx); err == nil || len(s.asked) != 8 {
			t.Errorf("a failure stopped the others: %v, %d", err, len(s.asked))
		}
		if got := r.actions(); got["retention.update"] != 1 || got["hold.create"] != 2 {
			t.Errorf("%v", got)
		}
		must(t, r.d.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			n, err := tx.NewSelect().Model((*db.OutboxRow)(nil)).Where("data LIKE '%4930123456%'").Count(ctx)
			if n > 0 {
				t.Error("the audit trail, which outlives an erasure, names a person")
			}
			return err
		}))
	})
}

func TestRetentionThatMakesNoSense(t *testing.T) {
	r := sqliteRig(t)
	for what, c := range map[string]RetentionSettings{
		"a year of audit": {AuditDays: days(364)}, "no days": {CallDays: days(0)}, "too many": {RecordingDays: days(99999)},
		"the log outlives the transcript": {TranscriptDays: days(10), EventLogDays: days(11)}, "the log for ever": {TranscriptDays: days(10)},
	} {
		if _, err := r.SetRetention(asUser(t.Context()), orgA, c); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if v, err := r.Retention(t.Context(), orgA); err != nil || v.UpdatedAt != nil {
		t.Errorf("%+v %v", v, err)
	}
}

func TestHolds(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := asUser(t.Context())
		var ids []string
		for i := range 5 {
			h, err := r.Hold(ctx, orgA, ScopeCall, fmt.Sprint("call-", i), "case")
			must(t, err)
			ids = append(ids, h.ID)
		}
		h, err := r.Release(ctx, orgA, ids[2], "over")
		must(t, err)
		if h.ReleasedAt == nil || h.ReleasedBy != "user-1" || h.ReleaseReason != "over" {
			t.Errorf("%+v", h)
		}
		for _, all := range []bool{false, true} {
			var got []string
			for cursor, first := "", true; first || cursor != ""; first = false {
				items, next, err := r.Holds(ctx, orgA, all, cursor, 2)
				must(t, err)
				for _, it := range items {
					got = append(got, it.Subject)
				}
				cursor = next
			}
			if want := map[bool]int{false: 4, true: 5}[all]; len(got) != want || got[0] != "call-4" {
				t.Errorf("%v: %v", all, got)
			}
		}
		for what, err := range map[string]error{
			"twice":   second(r.Release(ctx, orgA, ids[2], "again")),
			"foreign": second(r.Release(ctx, orgB, ids[1], "x")), "no reason": second(r.Release(ctx, orgA, ids[1], " ")),
			"scope": second(r.Hold(ctx, orgA, "planet", "", "x")), "nobody": second(r.Hold(ctx, orgA, ScopePerson, "Anna", "x")),
			"no call": second(r.Hold(ctx, orgA, ScopeCall, " ", "x")), "why": second(r.Hold(ctx, orgA, ScopeOrganisation, "", " ")),
		} {
			if err == nil {
				t.Errorf("%s was taken", what)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestAddressesOfOnePerson(t *testing.T) {
	for typed, want := range map[string]string{
		"+49 30 123456": "+4930123456", "0049-30-123.456": "+4930123456", "sip:+49-30-123456@192.0.2.1;user=phone": "+4930123456", "tel:+49(30)123456": "+4930123456",
		`"Anna" <sip:+4930123456@x>`: "+4930123456", "030 123456": "030123456", "Anna@Example.com ": "anna@example.com", "mailto:anna@example.com?subject=x": "anna@example.com",
		"sips:Front-Desk@Parley": "front-desk@parley", "101": "101", "sip:101@x": "101@x", "": "",
	} {
		if got := normal(typed); got != want {
			t.Errorf("%q is %q, want %q", typed, got, want)
		}
	}
	for _, bad := range []string{"", "Anna", "101", "+", "@x", "x@"} {
		if s, err := newSubject("x", bad); err == nil {
			t.Errorf("%q became %q", bad, s)
		}
	}
	s, err := newSubject("x", "0049 30 123456")
	must(t, err)
	if s.needle() != "0123456" || !s.match("sip:+4930123456@x") || s.match("+4940123456") {
		t.Errorf("%s", s.needle())
	}
}

// Terms that somebody else set since they were read are not overwritten by If-Match. A daily run is no change.
func TestRetentionChangedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		_, api := humatest.New(t, huma.DefaultConfig("retention", "1"))
		r.Routes(api)
		ctx := asUser(t.Context())
		const path = "/api/v1/retention"
		read := func() string { return api.GetCtx(ctx, path).Header().Get("ETag") }
		put := func(tag string, callDays int64) int {
			e := &etag.Expected{Kind: "retention", Tags: []string{etag.WithPart(tag, `"whole"`)}}
			return api.PutCtx(etag.With(ctx, e), path, RetentionSettings{CallDays: days(callDays)}).Code
		}
		first := read()
		if code := put(first, 30); first == "" || code != http.StatusOK {
			t.Fatalf("what was read is changed with %d", code)
		}
		if code := put(first, 10); code != http.StatusPreconditionFailed {
			t.Errorf("what was changed since: %d", code)
		}
		second := read()
		must(t, r.noteRun(ctx, orgA, map[string]int64{"calls": 1}))
		if got := read(); got != second {
			t.Errorf("a daily run made %s of %s", got, second)
		}
		if code := put(second, 20); code != http.StatusOK {
			t.Errorf("after a daily run: %d", code)
		}
		v, err := r.Retention(ctx, orgA)
		if must(t, err); *v.CallDays != 20 {
			t.Errorf("%+v", v)
		}
	})
}
