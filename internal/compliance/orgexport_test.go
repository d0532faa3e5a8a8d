package compliance

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// cabinet keeps files in memory. made is what Make does.
type cabinet struct {
	made  func(ctx context.Context, told func(string, int64)) error
	files map[string]string
}

// Make implements OrganisationFiles.
func (s *cabinet) Make(ctx context.Context, org, id, passphrase string, told func(string, int64)) (OrganisationFile, error) {
	if s.made != nil {
		if err := s.made(ctx, told); err != nil {
			return OrganisationFile{}, err
		}
	}
	s.files[org+"/"+id] = "all under " + passphrase
	return OrganisationFile{Bytes: 9, Rows: map[string]int64{"agents": 2}, Files: map[string]int64{}}, nil
}

// CheckPassphrase implements OrganisationFiles.
func (*cabinet) CheckPassphrase(p string) error {
	if len(p) < 12 {
		return fault.New(fault.Invalid, "too short")
	}
	return nil
}

// Open implements OrganisationFiles.
func (s *cabinet) Open(_ context.Context, org, id string) (io.ReadCloser, error) {
	f, ok := s.files[org+"/"+id]
	if !ok {
		return nil, fault.New(fault.NotFound, "it is not there")
	}
	return io.NopCloser(strings.NewReader(f)), nil
}

// Remove implements OrganisationFiles.
func (s *cabinet) Remove(_ context.Context, org, id string) error {
	delete(s.files, org+"/"+id)
	return nil
}

const passphrase = "four horses in a field"

// eachCabinet runs a test on both engines, with a cabinet.
func eachCabinet(t *testing.T, fn func(t *testing.T, r *rig, files *cabinet)) {
	each(t, func(t *testing.T, r *rig) {
		files := &cabinet{files: map[string]string{}}
		r.cfg.Files, r.cfg.Sealer = files, envelopetest.New(3)
		r.cfg.EnqueueExport = func(context.Context, *db.Tx, string) error { return nil }
		fn(t, r, files)
	})
}

func (r *rig) orgExport(id string) OrganisationExport {
	r.t.Helper()
	v, err := r.OrganisationExport(r.t.Context(), orgA, id)
	must(r.t, err)
	return v
}

// A file is asked for, made, downloaded and, after a day, gone.
func TestOrganisationExport(t *testing.T) {
	eachCabinet(t, func(t *testing.T, r *rig, files *cabinet) {
		ctx := asUser(t.Context())
		if _, err := r.RequestExport(ctx, orgA, "short"); !fault.Is(err, fault.Invalid) {
			t.Errorf("a short passphrase: %v", err)
		}
		v, err := r.RequestExport(ctx, orgA, passphrase)
		must(t, err)
		if v.State != "waiting" || v.RequestedBy == "" {
			t.Errorf("%+v", v)
		}
		if _, err := r.RequestExport(ctx, orgA, passphrase); !fault.Is(err, fault.Conflict) {
			t.Errorf("a second one at once: %v", err)
		}
		if _, err := r.DownloadExport(ctx, orgA, v.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("before it is made: %v", err)
		}
		must(t, r.CarryExport(t.Context(), orgA, v.ID))
		must(t, r.CarryExport(t.Context(), orgA, v.ID)) // a job may be done twice
		got := r.orgExport(v.ID)
		if got.State != "ready" || got.Bytes != 9 || got.File == nil || got.File.Rows["agents"] != 2 || got.ExpiresAt == nil {
			t.Errorf("%+v", got)
		}
		if _, err := r.OrganisationExport(ctx, orgB, v.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation: %v", err)
		}
		f, err := r.DownloadExport(ctx, orgA, v.ID)
		must(t, err)
		if b, err := io.ReadAll(f); err != nil || string(b) != "all under "+passphrase {
			t.Errorf("%q, %v", b, err)
		}
		if n := r.orgExport(v.ID).Downloads; n != 1 {
			t.Errorf("%d downloads", n)
		}
		must(t, r.ExpireExports(t.Context()))
		if len(files.files) != 1 {
			t.Error("it is gone too early")
		}
		r.clock.Advance(25 * time.Hour)
		if _, err := r.DownloadExport(ctx, orgA, v.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("after a day: %v", err)
		}
		must(t, r.ExpireExports(t.Context()))
		if got := r.orgExport(v.ID); got.State != "removed" || len(files.files) != 0 {
			t.Errorf("%+v, and %v is left", got, files.files)
		}
		var kept []string
		must(t, r.d.ReadTenant(t.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewRaw("SELECT id FROM organisation_exports WHERE passphrase IS NOT NULL").Scan(ctx, &kept)
		}))
		if len(kept) != 0 {
			t.Errorf("the passphrase is kept: %v", kept)
		}
	})
}

// What goes wrong while a file is made: it fails, its process ends or dies, or nobody wants it any more.
func TestOrganisationExportTrouble(t *testing.T) {
	eachCabinet(t, func(t *testing.T, r *rig, files *cabinet) {
		ctx := asUser(t.Context())
		v, err := r.RequestExport(ctx, orgA, passphrase)
		must(t, err)
		files.made = func(context.Context, func(string, int64)) error {
			return fault.New(fault.Unavailable, "the disk is full")
		}
		must(t, r.CarryExport(t.Context(), orgA, v.ID))
		if got := r.orgExport(v.ID); got.State != "failed" || got.Error != "the disk is full" {
			t.Errorf("%+v", got)
		}
		v, err = r.RequestExport(ctx, orgA, passphrase) // after one that failed
		must(t, err)
		files.made = func(context.Context, func(string, int64)) error { return errors.New("secret path /var/lib") }
		must(t, r.CarryExport(t.Context(), orgA, v.ID))
		if got := r.orgExport(v.ID); got.State != "failed" || strings.Contains(got.Error, "secret") {
			t.Errorf("%+v", got)
		}
		// Its process ends: the job stays, and another process makes the file.
		v, err = r.RequestExport(ctx, orgA, passphrase)
		must(t, err)
		ending, end := context.WithCancel(t.Context())
		files.made = func(ctx context.Context, _ func(string, int64)) error { end(); <-ctx.Done(); return ctx.Err() }
		if err := r.CarryExport(ending, orgA, v.ID); !errors.Is(err, context.Canceled) {
			t.Errorf("a process that ends: %v", err)
		}
		files.made = nil
		must(t, r.CarryExport(t.Context(), orgA, v.ID))
		if got := r.orgExport(v.ID); got.State != "ready" {
			t.Errorf("made by another process: %+v", got)
		}
		// Its process dies: after five minutes another may begin.
		dead, err := r.RequestExport(ctx, orgA, passphrase)
		must(t, err)
		r.clock.Advance(4 * time.Minute)
		if _, err := r.RequestExport(ctx, orgA, passphrase); !fault.Is(err, fault.Conflict) {
			t.Errorf("after four minutes: %v", err)
		}
		r.clock.Advance(2 * time.Minute)
		v, err = r.RequestExport(ctx, orgA, passphrase)
		must(t, err)
		if got := r.orgExport(dead.ID); got.State != "failed" {
			t.Errorf("%+v", got)
		}
		// Removed while it is made: progress is told, then the making ends and no file is left.
		files.made = func(ctx context.Context, told func(string, int64)) error {
			told("rows", 42)
			r.clock.Advance(exportBeat).MustWait(ctx)
			if got := r.orgExport(v.ID); got.State != "running" || got.Stage != "rows" || got.Bytes != 42 {
				t.Errorf("%+v", got)
			}
			must(t, r.RemoveExport(asUser(context.WithoutCancel(ctx)), orgA, v.ID))
			r.clock.Advance(exportBeat).MustWait(context.WithoutCancel(ctx))
			<-ctx.Done()
			return ctx.Err()
		}
		must(t, r.CarryExport(t.Context(), orgA, v.ID))
		if got := r.orgExport(v.ID); got.State != "removed" || files.files[orgA+"/"+v.ID] != "" {
			t.Errorf("%+v, %v", got, files.files)
		}
		must(t, r.CarryExport(t.Context(), orgA, v.ID)) // nobody wants it
		list, err := r.OrganisationExports(ctx, orgA)
		if must(t, err); len(list) != 5 || list[0].ID != v.ID {
			t.Errorf("%d exports: %+v", len(list), list)
		}
	})
}

// Only an owner who has just proved who they are takes the organisation out: no administrator, no token, nobody who acts as
// the owner.
func TestWhoExports(t *testing.T) {
	eachCabinet(t, func(t *testing.T, r *rig, _ *cabinet) {
		_, api := humatest.New(t, huma.DefaultConfig("exports", "1"))
		r.Routes(api)
		var stale error
		r.cfg.Fresh = func(context.Context, identity.Principal) error { return stale }
		const path = "/api/v1/organisation/exports"
		body := map[string]string{"passphrase": passphrase}
		owner := identity.Principal{UserID: "u", OrgID: orgA, Role: identity.RoleOwner, Permissions: []string{"*"}, SessionID: "s"}
		token, acting, admin := owner, owner, owner
		token.TokenID, acting.Impersonator, admin.Role = "t", "somebody", identity.RoleAdmin
		for name, p := range map[string]identity.Principal{"a token": token, "somebody who acts as the owner": acting, "an administrator": admin} {
			ctx := identity.With(t.Context(), p)
			for _, code := range []int{api.PostCtx(ctx, path, body).Code, api.GetCtx(ctx, path).Code, api.GetCtx(ctx, path+"/x/file").Code, api.DeleteCtx(ctx, path+"/x").Code} {
				if code != http.StatusForbidden {
					t.Errorf("%s: %d", name, code)
				}
			}
		}
		ctx := identity.With(t.Context(), owner)
		stale = fault.New(fault.Reauthenticate, "confirm that it is you")
		if a, b := api.PostCtx(ctx, path, body).Code, api.GetCtx(ctx, path+"/x/file").Code; a < 400 || b == http.StatusNotFound {
			t.Errorf("without a fresh proof: %d and %d", a, b)
		}
		stale = nil
		if res := api.PostCtx(ctx, path, body); res.Code != http.StatusAccepted || strings.Contains(res.Body.String(), passphrase) {
			t.Errorf("an owner: %d %s", res.Code, res.Body)
		}
		if res := api.GetCtx(ctx, path); res.Code != http.StatusOK || !strings.Contains(res.Body.String(), `"waiting"`) {
			t.Errorf("the list: %d %s", res.Code, res.Body)
		}
	})
}
