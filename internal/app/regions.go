package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/donotcall"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/jobs"
	"github.com/parley-voice/parley/internal/platform/search"
)

const reindexTimeout = 12 * time.Hour

// region is where the data of one region is. A region of the embedded mode is a folder that has it all.
type region struct {
	database string         // a URL with {database}, or a folder
	files    *blob.Config   // nil: none
	search   *search.Config // nil: none
	view     identity.RegionView
}

// pairs reads NAME=WHERE pairs.
func pairs(s string) map[string]string {
	m := map[string]string{}
	for pair := range strings.FieldsSeq(s) {
		name, at, _ := strings.Cut(pair, "=")
		m[name] = at
	}
	return m
}

// places gives every region, the home region as "".
func (c *Config) places() map[string]region {
	home := region{files: &blob.Config{URL: c.BlobURL, DataDir: c.DataDir}, search: &search.Config{URL: c.SearchURL, DataDir: c.DataDir, Kind: "calls"}}
	home.view = identity.RegionView{Database: shownDatabase(c.DatabaseURL, c.DataDir), Files: shownPlace(c.BlobURL, filepath.Join(c.DataDir, "blobs")),
		Search: shownPlace(c.SearchURL, filepath.Join(c.DataDir, "search"))}
	out := map[string]region{"": home}
	files, index := pairs(c.RegionBlobs), pairs(c.RegionSearch)
	for name, at := range c.regions() {
		r := region{database: at}
		folder := ""
		if !isPostgres(at) {
			folder = at
		}
		if u := files[name]; u != "" || folder != "" {
			r.files = &blob.Config{URL: u, DataDir: folder}
		}
		if u := index[name]; u != "" || folder != "" {
			r.search = &search.Config{URL: u, DataDir: folder, Kind: "calls"}
		}
		r.view = identity.RegionView{Name: name, Database: shownDatabase(at, "")}
		if folder != "" {
			r.view.Database = "SQLite, " + folder
		}
		if r.files != nil {
			r.view.Files = shownPlace(r.files.URL, filepath.Join(folder, "blobs"))
		}
		if r.search != nil {
			r.view.Search = shownPlace(r.search.URL, filepath.Join(folder, "search"))
		}
		out[name] = r
	}
	return out
}

// checkRegions finds regions that nothing could be kept in.
func (c *Config) checkRegions(bad complain) {
	for pair := range strings.FieldsSeq(c.Regions) {
		if name, at, ok := strings.Cut(pair, "="); !ok || !zoneForm.MatchString(name) || at == "" {
			bad("regions", "write NAME=WHERE pairs separated by spaces, such as eu=postgres://user:password@host/{database}", "a part of it is no NAME=WHERE")
			return // what is said of regions below names them, and this may be a password
		}
	}
	regions := c.regions()
	for setting, value := range map[string]string{"region-blobs": c.RegionBlobs, "region-search": c.RegionSearch} {
		for pair := range strings.FieldsSeq(value) {
			name, at, ok := strings.Cut(pair, "=")
			schemes := []string{"s3", "file"}
			if setting == "region-search" {
				schemes = []string{"http", "https"}
			}
			u, err := url.Parse(at)
			switch {
			case !ok || err != nil || !zoneForm.MatchString(name) || !slices.Contains(schemes, u.Scheme):
				bad(setting, "write NAME=URL pairs separated by spaces, such as eu=s3://bucket?region=eu-central-1 or eu=https://user:password@host:9200", "a part of it is no NAME=URL")
			case regions[name] == "":
				bad(setting, "name a region of the setting regions", "there is no region %q", name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		if r := c.places()[name]; r.files == nil {
			bad("region-blobs", "add "+name+"=s3://bucket?region=... or "+name+"=file:///folder", "the region %q has no place for recordings: they would not be in it", name)
		}
	}
}

// shownDatabase and shownPlace show where something is, without credentials.
func shownDatabase(at, dataDir string) string {
	if isPostgres(at) {
		return "PostgreSQL, " + host(at)
	}
	return "SQLite, " + filepath.Join(dataDir, "parley.db")
}

func shownPlace(at, folder string) string {
	if at == "" {
		return folder
	}
	u, err := url.Parse(at)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "file":
		return u.Path
	case u.Scheme == "s3":
		out := "s3://" + u.Host
		if r := u.Query().Get("region"); r != "" {
			out += ", " + r
		}
		if e := u.Query().Get("endpoint"); e != "" {
			out += ", " + host(e)
		}
		return out
	}
	return u.Scheme + "://" + u.Host
}

func host(at string) string {
	u, err := url.Parse(strings.ReplaceAll(at, "{database}", "database"))
	if err != nil {
		return ""
	}
	if u.Host == "" {
		return u.Query().Get("host")
	}
	return u.Host
}

// residency tells where an organisation's data is.
func (a *App) residency(at db.Placement) identity.RegionView { return a.cfg.places()[at.Region].view }

// regionList lists the regions other than the installation's own.
func (a *App) regionList() []identity.RegionView {
	places := a.cfg.places()
	delete(places, "")
	out := make([]identity.RegionView, 0, len(places))
	for _, name := range slices.Sorted(maps.Keys(places)) {
		out = append(out, places[name].view)
	}
	return out
}

// files is the follower of moves: it opens the stores when it is needed, which on the command line is seldom.
type files struct {
	a  *App
	mu sync.Mutex
}

func (f *files) open(ctx context.Context) (*blob.Regions, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.a.blobs != nil {
		return f.a.blobs, nil
	}
	c := blob.RegionsConfig{Regions: map[string]blob.Config{}, Kinds: []string{"calls", "audit", blobExports, donotcall.BlobKind, campaign.BlobKind}, Where: func(ctx context.Context, orgID string) (blob.At, error) {
		r, err := f.a.db.Residence(ctx, orgID)
		return blob.At(r), err
	}}
	for name, r := range f.a.cfg.places() {
		if name == "" {
			c.Home = *r.files
		} else if r.files != nil {
			c.Regions[name] = *r.files
		}
	}
	s, err := blob.OpenRegions(ctx, c)
	if err != nil {
		return nil, err
	}
	f.a.onStop("blobs", func(context.Context) error { return s.Close() })
	f.a.blobs = s
	return s, nil
}

// Check implements db.Follower.
func (f *files) Check(name string) error {
	if r, ok := f.a.cfg.places()[name]; ok && r.files == nil {
		return fault.Field("region", "the region %q has no place for recordings; add it to the setting region-blobs (PARLEY_REGION_BLOBS)", name)
	}
	return nil
}

// Copy implements db.Follower.
func (f *files) Copy(ctx context.Context, orgID, from, to string) error {
	return f.do(ctx, func(s *blob.Regions) error { return s.Copy(ctx, orgID, from, to) })
}

// Settle implements db.Follower.
func (f *files) Settle(ctx context.Context, orgID, from, to string) error {
	return f.do(ctx, func(s *blob.Regions) error { return s.Settle(ctx, orgID, from, to) })
}

// Undo implements db.Follower.
func (f *files) Undo(ctx context.Context, orgID, from, to string) error {
	return f.do(ctx, func(s *blob.Regions) error { return s.Undo(ctx, orgID, from, to) })
}

func (f *files) do(ctx context.Context, fn func(s *blob.Regions) error) error {
	s, err := f.open(ctx)
	if err != nil {
		return err
	}
	return fn(s)
}

// regionSearch keeps each organisation's words in the index of its region. A region without one has none: calls are found
// by number and name there.
type regionSearch struct {
	at    map[string]search.Index
	where func(ctx context.Context, orgID string) (db.Placement, error)
}

func (a *App) openSearch(ctx context.Context) (*regionSearch, error) {
	s := &regionSearch{at: map[string]search.Index{}, where: a.db.Placement}
	for name, r := range a.cfg.places() {
		if r.search == nil {
			continue
		}
		c := *r.search
		c.Log = a.log
		index, err := search.Open(ctx, c)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.at[name] = index
	}
	return s, nil
}

func (s *regionSearch) of(ctx context.Context, orgID string) (search.Index, error) {
	p, err := s.where(ctx, orgID)
	if err != nil {
		return nil, err
	}
	return s.at[p.Region], nil
}

// Put implements search.Index.
func (s *regionSearch) Put(ctx context.Context, orgID string, docs []search.Doc) error {
	index, err := s.of(ctx, orgID)
	if err != nil || index == nil {
		return err
	}
	return index.Put(ctx, orgID, docs)
}

// Delete implements search.Index: in all regions, for one that moved may still be in another one's.
func (s *regionSearch) Delete(ctx context.Context, orgID string, ids []string) error {
	var err error
	for _, index := range s.at {
		err = errors.Join(err, index.Delete(ctx, orgID, ids))
	}
	return err
}

// Find implements search.Index.
func (s *regionSearch) Find(ctx context.Context, orgID, query string, limit int) ([]string, error) {
	index, err := s.of(ctx, orgID)
	if err != nil || index == nil {
		return nil, err
	}
	return index.Find(ctx, orgID, query, limit)
}

// Count implements search.Index: in all regions.
func (s *regionSearch) Count(ctx context.Context, orgID string) (int64, error) {
	all := int64(0)
	for _, index := range s.at {
		n, err := index.Count(ctx, orgID)
		if err != nil {
			return all, err
		}
		all += n
	}
	return all, nil
}

// Drop implements search.Index: in all regions.
func (s *regionSearch) Drop(ctx context.Context, orgID string) error {
	var err error
	for _, index := range s.at {
		err = errors.Join(err, index.Drop(ctx, orgID))
	}
	return err
}

// Close implements search.Index.
func (s *regionSearch) Close() error {
	var err error
	for _, index := range s.at {
		err = errors.Join(err, index.Close())
	}
	return err
}

// reindex is the job that makes an organisation's index in its new region.
type reindex struct {
	OrgID string `json:"organisation"`
}

// Kind implements jobs.Args.
func (reindex) Kind() string { return "organisation.reindex" }

// followMoves has the words of organisations that moved indexed in their new region, and forgotten in the old one.
func (a *App) followMoves(ctx context.Context) error {
	err := jobs.Register(a.jobs, jobs.KindConfig{Timeout: reindexTimeout}, func(ctx context.Context, _ string, r reindex) error {
		p, err := a.db.Placement(ctx, r.OrgID)
		if err != nil {
			return err
		}
		for name, index := range a.search.at {
			if name != p.Region {
				err = errors.Join(err, index.Drop(ctx, r.OrgID))
			}
		}
		return errors.Join(err, a.records.Reindex(ctx, r.OrgID))
	})
	if err != nil {
		return err
	}
	_, err = a.bus.Subscribe(ctx, bus.SubConfig{Durable: "search-follows", Filter: []string{event.OrganisationMoved{}.Type()}}, func(ctx context.Context, m bus.Msg) error {
		var moved event.OrganisationMoved
		if err := json.Unmarshal(m.Data, &moved); err != nil {
			return fmt.Errorf("organisation.moved: %w", err)
		}
		return a.db.InSystem(ctx, "index an organisation that moved", func(ctx context.Context, tx *db.Tx) error {
			return jobs.Insert(ctx, a.jobs, tx, reindex{moved.OrgID}, jobs.Options{})
		})
	})
	return err
}

// moved is told of a move that is over, in its transaction.
func (a *App) moved(ctx context.Context, tx *db.Tx, m db.MoveStatus) error {
	if m.State == db.MoveMoved && m.From.Region != m.To.Region {
		if err := tx.PublishFor(ctx, m.OrganisationID, event.OrganisationMoved{OrgID: m.OrganisationID, From: m.From.Region, To: m.To.Region}); err != nil {
			return err
		}
	}
	return identity.Moved(ctx, tx, m)
}
