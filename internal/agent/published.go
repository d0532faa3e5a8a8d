package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	// fresh is how long a snapshot is used without asking the database again: another process may have
	// published meanwhile. This process forgets at once.
	fresh = 3 * time.Second
	// maxCached bounds the snapshots in memory; when it is reached all are forgotten.
	maxCached = 2000
)

// cache holds what calls start from. A call costs a map read; the database is asked once in fresh.
type cache struct {
	clock quartz.Clock

	mu      sync.RWMutex
	entries map[cacheKey]cacheEntry
	epoch   uint64 // raised by forget: a read that began before must not be kept
}

type cacheKey struct{ org, name string }

type cacheEntry struct {
	snap  *Snapshot
	until time.Time
}

func newCache(clock quartz.Clock) *cache {
	return &cache{clock: clock, entries: map[cacheKey]cacheEntry{}}
}

func (c *cache) get(k cacheKey) (*Snapshot, uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[k]
	if !ok || !c.clock.Now().Before(e.until) {
		return nil, c.epoch
	}
	return e.snap, c.epoch
}

func (c *cache) put(k cacheKey, s *Snapshot, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if len(c.entries) >= maxCached {
		clear(c.entries)
	}
	c.entries[k] = cacheEntry{snap: s, until: c.clock.Now().Add(fresh)}
}

// forget drops an organisation's snapshots, and those found across organisations.
func (c *cache) forget(org string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for k := range c.entries {
		if k.org == org || k.org == "" {
			delete(c.entries, k)
		}
	}
}

// Forget drops what is cached of an organisation's agents, as when another process has changed them.
func (s *Service) Forget(orgID string) { s.cache.forget(orgID) }

// Published gives the version of an agent that calls use, by slug or id. It is cached: cheap enough for every
// call set-up.
func (s *Service) Published(ctx context.Context, orgID, name string) (*Snapshot, error) {
	k := cacheKey{orgID, name}
	snap, epoch := s.cache.get(k)
	if snap != nil {
		return snap, nil
	}
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		r, err := agentByName(ctx, tx, name)
		if err != nil {
			return err
		}
		if r.PublishedVersion == nil {
			return fault.New(fault.NotPossible, "agent %q is a draft; publish a version of it first", r.Slug)
		}
		v, err := versionOf(ctx, tx, r.ID, *r.PublishedVersion)
		if err != nil {
			return err
		}
		snap, err = snapshot(r, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.cache.put(k, snap, epoch)
	return snap, nil
}

// Version gives any version as a call would use it, for trying a draft. It is not cached.
func (s *Service) Version(ctx context.Context, orgID, name string, number int) (*Snapshot, error) {
	var snap *Snapshot
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		r, err := agentByName(ctx, tx, name)
		if err != nil {
			return err
		}
		v, err := versionOf(ctx, tx, r.ID, number)
		if err != nil {
			return err
		}
		snap, err = snapshot(r, v)
		return err
	})
	return snap, err
}

func snapshot(r *agentRow, v *versionRow) (*Snapshot, error) {
	d, err := parseDefinition(v.Definition)
	if err != nil {
		return nil, fmt.Errorf("version %d of agent %s: %w", v.Number, r.ID, err)
	}
	snap := &Snapshot{OrgID: r.OrganisationID, AgentID: r.ID, Slug: r.Slug, Name: r.Name, Version: v.Number, Definition: d}
	if d.Flow != nil && d.Kind == KindFlow {
		if snap.Flow, err = flow.Compile(d.Flow); err != nil {
			return nil, fmt.Errorf("version %d of agent %s: %w", v.Number, r.ID, err)
		}
	}
	return snap, nil
}

// maxHolders bounds how many organisations are asked for an agent by its slug.
const maxHolders = 100

// ResolveSlug finds the published agent a caller named without naming an organisation, as in sip:SLUG@host. Where
// several have one of that name, the oldest organisation's answers: a newcomer takes nobody's calls away.
func (s *Service) ResolveSlug(ctx context.Context, slug string) (*Snapshot, error) {
	k := cacheKey{"", slug}
	snap, epoch := s.cache.get(k)
	if snap != nil {
		return snap, nil
	}
	row, err := s.holder(ctx, slug)
	if err != nil {
		return nil, fmt.Errorf("resolve agent: %w", err)
	}
	if row == nil {
		return nil, fault.New(fault.NotFound, "there is no published agent %q", slug)
	}
	snap, err = s.Published(ctx, row.OrganisationID, row.ID)
	if err != nil {
		return nil, err
	}
	s.cache.put(k, snap, epoch)
	return snap, nil
}

// holder gives the published agent of a slug whose organisation is the oldest; nil when there is none. The list of
// names may have organisations whose agent was renamed or deleted.
func (s *Service) holder(ctx context.Context, slug string) (*agentRow, error) {
	orgs, err := s.c.DB.Holders(ctx, slugName, slug, maxHolders)
	if err != nil {
		return nil, err
	}
	slices.Sort(orgs) // ids tell when they were made (UUIDv7, RFC 9562 section 5.7)
	for _, org := range orgs {
		var rows []agentRow
		err := s.c.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Where("organisation_id = ?", org).Where("slug = ?", slug).
				Where("published_version IS NOT NULL").Limit(1).Scan(ctx)
		})
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			return &rows[0], nil
		}
	}
	return nil, nil
}
