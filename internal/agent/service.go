package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const (
	maxAgents   = 500
	maxVersions = 10_000
)

// Prober asks a service of a vendor for its models.
type Prober interface {
	Probe(ctx context.Context, service, baseURL, key string) (models []string, err error)
}

// Config is what a Service needs.
type Config struct {
	DB     *db.DB
	Sealer envelope.Sealer
	Prober Prober
	// LocalStatus tells what of the built-in speech engines works; nil says nothing of them.
	LocalStatus func() (ok bool, message string)
	// Quota is how many agents an organisation may have, nil for any number. It may be nil.
	Quota func(ctx context.Context, orgID string) (*int64, error)
	// Assignable refuses a person or a project that is not the organisation's; "" is none. It may be nil.
	Assignable func(ctx context.Context, orgID, userID, projectID string) error
	// NoSimulation leaves the simulated vendors out: nothing offers them, and no definition may name them.
	NoSimulation bool
	Rand         io.Reader // confirmation codes; default crypto/rand
	Clock        quartz.Clock
	Log          *slog.Logger
}

// Service manages agents, models and appointments.
type Service struct {
	c     Config
	cache *cache
}

// New makes a Service.
func New(c Config) *Service {
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{c: c, cache: newCache(c.Clock)}
}

func (s *Service) now() int64 { return s.c.Clock.Now().UnixMilli() }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// NewAgent is what an agent is made from.
type NewAgent struct {
	Name, Slug string
	Definition *Definition
	Note       string
	By         string // user id
	Owner      string // user id, "": nobody
	ProjectID  string // "": of no project
	Publish    bool
}

// Create makes an agent with its first version.
func (s *Service) Create(ctx context.Context, orgID string, n NewAgent) (Agent, error) {
	if err := checkName(n.Name); err != nil {
		return Agent{}, err
	}
	if err := checkSlug(n.Slug); err != nil {
		return Agent{}, err
	}
	raw, err := s.encode(ctx, orgID, n.Definition)
	if err != nil {
		return Agent{}, err
	}
	most, err := s.quota(ctx, orgID)
	if err != nil {
		return Agent{}, err
	}
	if err := s.assignable(ctx, orgID, n.Owner, n.ProjectID); err != nil {
		return Agent{}, err
	}
	now := s.now()
	row := &agentRow{ID: newID(), OrganisationID: orgID, Slug: n.Slug, Name: n.Name, Kind: n.Definition.Kind, LatestVersion: 1,
		OwnerID: n.Owner, ProjectID: n.ProjectID, CreatedAt: now, UpdatedAt: now}
	if n.Publish {
		one := 1
		row.PublishedVersion = &one
	}
	if err := s.c.DB.Claim(ctx, slugName, n.Slug, orgID); err != nil {
		return Agent{}, err
	}
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := identity.UnderLimit(ctx, tx, orgID, "agents", most, countAgents); err != nil {
			return err
		}
		if err := insertAgent(ctx, tx, row); err != nil {
			return err
		}
		v := &versionRow{OrganisationID: orgID, AgentID: row.ID, Number: 1, ID: newID(), Definition: raw, Note: n.Note, CreatedBy: n.By, CreatedAt: now}
		if err := insertVersion(ctx, tx, v); err != nil {
			return err
		}
		return audit(ctx, tx, "agent.create", row.ID, nil, agentAudit{row.agent(), v.audit()})
	})
	s.cache.forget(orgID)
	return row.agent(), err
}

func insertVersion(ctx context.Context, tx *db.Tx, r *versionRow) error {
	if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
		return fmt.Errorf("insert version: %w", err)
	}
	return nil
}

// encode checks a definition and writes it as it is stored.
func (s *Service) encode(ctx context.Context, orgID string, d *Definition) (string, error) {
	if d == nil {
		return "", fault.Field("body.definition", "an agent needs a definition")
	}
	problems := Validate(d)
	more, err := s.checkModels(ctx, orgID, d)
	if err != nil {
		return "", err
	}
	if err := refuse(append(problems, more...)); err != nil {
		return "", err
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return "", fault.Field("body.definition", "the definition cannot be written as JSON: %s", err)
	}
	return string(raw), nil
}

// Problems tells what is wrong with a definition, the organisation's models included.
func (s *Service) Problems(ctx context.Context, orgID string, d *Definition) ([]flow.Problem, error) {
	more, err := s.checkModels(ctx, orgID, d)
	return append(Validate(d), more...), err
}

// Get finds an agent by id or slug.
func (s *Service) Get(ctx context.Context, orgID, name string) (Agent, error) {
	var out Agent
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		r, err := agentByName(ctx, tx, name)
		if err == nil {
			out = r.agent()
		}
		return err
	})
	return out, err
}

// List gives a page of agents, oldest first, and the cursor of the next; of one project unless projectID is "".
func (s *Service) List(ctx context.Context, orgID, projectID, cursor string, limit int) ([]Agent, string, error) {
	var rows []agentRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("id > ?", cursor)
		if projectID != "" {
			q = q.Where("project_id = ?", projectID)
		}
		return identity.ScopeOf(ctx).Where(q, "owner_id").OrderExpr("id").Limit(int64(limit + 1)).Scan(ctx)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list agents: %w", err)
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out := make([]Agent, len(rows))
	for i := range rows {
		out[i] = rows[i].agent()
	}
	return out, next, nil
}

// Change is what can be changed of an agent; nil leaves it as it is.
type Change struct{ Name, Slug, OwnerID, ProjectID *string }

// Update changes an agent's name and slug, whose it is and what project it belongs to.
func (s *Service) Update(ctx context.Context, orgID, id string, c Change) (Agent, error) {
	name, slug := c.Name, c.Slug
	if err := s.assignable(ctx, orgID, value(c.OwnerID), value(c.ProjectID)); err != nil {
		return Agent{}, err
	}
	if name != nil {
		if err := checkName(*name); err != nil {
			return Agent{}, err
		}
	}
	if slug != nil {
		if err := checkSlug(*slug); err != nil {
			return Agent{}, err
		}
		if err := s.c.DB.Claim(ctx, slugName, *slug, orgID); err != nil {
			return Agent{}, err
		}
	}
	return s.change(ctx, orgID, id, "agent.update", func(ctx context.Context, tx *db.Tx, r *agentRow) error {
		if name != nil {
			r.Name = *name
		}
		if c.OwnerID != nil {
			r.OwnerID = *c.OwnerID
		}
		if c.ProjectID != nil {
			r.ProjectID = *c.ProjectID
		}
		if slug != nil && *slug != r.Slug {
			if _, err := oneAgent(identity.Unscoped(ctx), tx, "slug = ?", *slug); err == nil {
				return slugTaken(*slug)
			} else if !fault.Is(err, fault.NotFound) {
				return err
			}
			r.Slug = *slug
		}
		return nil
	})
}

// change reads an agent, lets fn change it, and writes it with its audit entry, in one transaction. Where action is empty fn
// has written the entry.
func (s *Service) change(ctx context.Context, orgID, id, action string, fn func(context.Context, *db.Tx, *agentRow) error) (Agent, error) {
	var out Agent
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		r, err := agentByID(ctx, tx, id)
		if err != nil {
			return err
		}
		before := r.agent()
		if err := etag.Check(ctx, "agent", before); err != nil {
			return err
		}
		if err := fn(ctx, tx, r); err != nil {
			return err
		}
		r.UpdatedAt = s.now()
		out = r.agent()
		if err := updateAgent(ctx, tx, r); err != nil || action == "" {
			return err
		}
		return audit(ctx, tx, action, id, before, out)
	})
	s.cache.forget(orgID)
	return out, err
}

// Delete removes an agent and its versions. Its calls keep its name.
func (s *Service) Delete(ctx context.Context, orgID, id string) error {
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		r, err := agentByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*versionRow)(nil)).Where("organisation_id = ?", orgID).Where("agent_id = ?", id).Exec(ctx); err != nil {
			return fmt.Errorf("delete versions: %w", err)
		}
		if _, err := tx.NewDelete().Model(r).WherePK().Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return fmt.Errorf("delete agent: %w", err)
		}
		return audit(ctx, tx, "agent.delete", id, r.agent(), nil)
	})
	s.cache.forget(orgID)
	return err
}

// AddVersion keeps a new state of an agent. It changes no call before it is published.
func (s *Service) AddVersion(ctx context.Context, orgID, id string, d *Definition, note, by string) (Version, error) {
	raw, err := s.encode(ctx, orgID, d)
	if err != nil {
		return Version{}, err
	}
	if len([]rune(note)) > 500 {
		return Version{}, fault.Field("body.note", "the note has more than 500 characters; shorten it")
	}
	var out Version
	_, err = s.change(ctx, orgID, id, "", func(ctx context.Context, tx *db.Tx, r *agentRow) error {
		if r.LatestVersion >= maxVersions {
			return fault.New(fault.Conflict, "the agent has %d versions; make a new agent from the latest", r.LatestVersion)
		}
		r.LatestVersion++
		if r.PublishedVersion == nil {
			r.Kind = d.Kind
		}
		v := &versionRow{OrganisationID: orgID, AgentID: r.ID, Number: r.LatestVersion, ID: newID(), Definition: raw, Note: note,
			CreatedBy: by, CreatedAt: s.now()}
		if err := insertVersion(ctx, tx, v); err != nil {
			return err
		}
		if out, err = v.version(r.PublishedVersion); err != nil {
			return err
		}
		return audit(ctx, tx, "agent.version.create", id, nil, v.audit())
	})
	return out, err
}

// GetVersion finds one version.
func (s *Service) GetVersion(ctx context.Context, orgID, id string, number int) (Version, error) {
	var out Version
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		a, err := agentByName(ctx, tx, id)
		if err != nil {
			return err
		}
		v, err := versionOf(ctx, tx, a.ID, number)
		if err != nil {
			return err
		}
		out, err = v.version(a.PublishedVersion)
		return err
	})
	return out, err
}

// Versions gives a page of versions, newest first, and the cursor of the next.
func (s *Service) Versions(ctx context.Context, orgID, id, cursor string, limit int) ([]Version, string, error) {
	before := maxVersions + 1
	if cursor != "" {
		n, err := strconv.Atoi(cursor)
		if err != nil {
			return nil, "", fault.Field("query.cursor", "%q is no cursor; use next of the page before", cursor)
		}
		before = n
	}
	var out []Version
	next := ""
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		a, err := agentByName(ctx, tx, id)
		if err != nil {
			return err
		}
		var rows []versionRow
		err = tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("agent_id = ?", a.ID).Where("number < ?", before).
			OrderExpr("number DESC").Limit(int64(limit + 1)).Scan(ctx)
		if err != nil {
			return fmt.Errorf("list versions: %w", err)
		}
		for i := range rows[:min(limit, len(rows))] {
			v, err := rows[i].version(a.PublishedVersion)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		if len(rows) > limit {
			next = strconv.Itoa(rows[limit-1].Number)
		}
		return nil
	})
	return out, next, err
}

// Publish makes a version the one that calls use from now on. Running calls keep theirs.
func (s *Service) Publish(ctx context.Context, orgID, id string, number int) (Agent, error) {
	return s.change(ctx, orgID, id, "agent.publish", func(ctx context.Context, tx *db.Tx, r *agentRow) error {
		v, err := versionOf(ctx, tx, r.ID, number)
		if err != nil {
			return err
		}
		d, err := parseDefinition(v.Definition)
		if err != nil {
			return fmt.Errorf("version %d of agent %s: %w", number, id, err)
		}
		r.PublishedVersion, r.Kind = &number, d.Kind
		return nil
	})
}
