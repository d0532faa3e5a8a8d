package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/jobs"
)

const complianceTimeout = time.Hour // of the daily jobs: they go through all organisations, and on where they were

// newTrails makes the context; the command line uses it without jobs and without what holds data.
func (a *App) newTrails(ctx context.Context, c compliance.Config) (*compliance.Service, error) {
	signer, err := a.auditSigner(ctx)
	if err != nil {
		return nil, err
	}
	c.DB, c.Signer, c.Organisations, c.Clock, c.Log = a.db, signer, a.identity.OrganisationIDs, a.clock, a.log
	return compliance.New(c)
}

// auditSigner signs with one key for ever, whatever wraps data keys: what was signed years ago must still be proved.
func (a *App) auditSigner(ctx context.Context) (*compliance.KeySigner, error) {
	seed, err := a.keptSecret(ctx, "audit signature")
	if err != nil {
		return nil, err
	}
	return compliance.NewKeySigner(seed)
}

// buildTrails makes the context with what holds data.
func (a *App) buildTrails(ctx context.Context) (err error) {
	sink, err := a.platformLogSink()
	if err != nil {
		return err
	}
	c := compliance.Config{
		Purgers: []compliance.Purger{a.records, a.campaigns}, Persons: []compliance.PersonData{a.records, a.campaigns, a.agents, a.identity},
		Enqueue: func(ctx context.Context, tx *db.Tx, id string) error {
			return a.want(ctx, tx, erasePerson{}.Kind(), id)
		},
		Files: orgFiles{a}, Sealer: a.keyring, Fresh: a.identity.Fresh,
		EnqueueExport: func(ctx context.Context, tx *db.Tx, id string) error {
			return a.want(ctx, tx, exportOrg{}.Kind(), id)
		},
	}
	if sink != nil {
		c.Sink = sink
		if a.cfg.CopyLogs {
			c.TrailSink = sink
		}
	}
	a.trails, err = a.newTrails(ctx, c)
	return err
}

// startTrails begins to write the audit trails and registers the daily jobs. It runs before the workers start.
func (a *App) startTrails(ctx context.Context) error {
	long := jobs.KindConfig{Timeout: complianceTimeout}
	err := jobs.Register(a.jobs, long, func(ctx context.Context, org string, e erasePerson) error { return a.trails.Carry(ctx, org, e.ID) })
	if err != nil {
		return err
	}
	if err := jobs.Register(a.jobs, long, func(ctx context.Context, _ string, _ sealTrails) error {
		return errors.Join(a.trails.Seal(ctx), a.sealDecisions(ctx))
	}); err != nil {
		return err
	}
	if err := jobs.Register(a.jobs, long, func(ctx context.Context, _ string, _ retainData) error { return a.trails.Retain(ctx) }); err != nil {
		return err
	}
	if err := jobs.Every(a.jobs, 24*time.Hour, sealTrails{}); err != nil {
		return err
	}
	if err := jobs.Every(a.jobs, 24*time.Hour, retainData{}); err != nil {
		return err
	}
	if err := a.trails.Start(ctx, a.bus); err != nil {
		return fmt.Errorf("audit trail: %w", err)
	}
	a.onStop("audit trail", func(context.Context) error { a.trails.Close(); return nil })
	return nil
}

// sealDecisions proves and signs the decisions of every organisation's campaigns. One that fails does not keep the others from
// their turn.
func (a *App) sealDecisions(ctx context.Context) error {
	const page = 500
	var all error
	for after := ""; ; {
		orgs, err := a.identity.OrganisationIDs(ctx, after, page)
		if err != nil {
			return errors.Join(all, err)
		}
		for _, org := range orgs {
			after = org
			all = errors.Join(all, a.campaigns.SealDecisions(ctx, org))
		}
		if len(orgs) < page || ctx.Err() != nil {
			return errors.Join(all, ctx.Err())
		}
	}
}

// ExportDecisions writes an organisation's decisions to call and not to call, of one campaign or of all. That they were
// exported is an entry of the audit trail.
func (a *Admin) ExportDecisions(ctx context.Context, organisation, campaignID string, w io.Writer) error {
	org, err := a.app.identity.FindOrganisation(ctx, organisation)
	if err != nil {
		return err
	}
	signer, err := a.app.auditSigner(ctx)
	if err != nil {
		return err
	}
	c, err := campaign.New(campaign.Config{DB: a.app.db, Signer: signer, Clock: a.app.clock, Log: a.app.log})
	if err != nil {
		return err
	}
	err = a.app.db.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, org, identity.Change{Action: "decisions.export", Kind: "campaign", ID: campaignID, Reason: "command line"})
	})
	if err != nil {
		return err
	}
	return c.ExportDecisions(ctx, org, campaignID, w)
}

// erasePerson is the job that carries out one person's erasure.
type erasePerson struct {
	ID string `json:"id"`
}

// Kind implements jobs.Args.
func (erasePerson) Kind() string { return "compliance.erase" }

// sealTrails is the daily job that proves and signs the audit trails.
type sealTrails struct{}

// Kind implements jobs.Args.
func (sealTrails) Kind() string { return "compliance.seal" }

// retainData is the daily job that deletes what is past its term.
type retainData struct{}

// Kind implements jobs.Args.
func (retainData) Kind() string { return "compliance.retain" }

// newAuditor makes what notes requests that leave no audit entry of their own. It ends after the web server.
func (a *App) newAuditor() *gateway.Auditor {
	lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_audit_lost_total", Help: "Audit entries that could not be stored; the log has them."})
	a.reg.MustRegister(lost)
	n := gateway.NewAuditor(gateway.AuditorConfig{DB: a.db, Clock: a.clock, Log: a.log, Lost: func(n int) { lost.Add(float64(n)) }})
	a.onStop("audit notes", func(context.Context) error { n.Close(); return nil })
	return n
}

// auditOf makes the context for the command line and finds the organisation.
func (a *Admin) auditOf(ctx context.Context, organisation string) (s *compliance.Service, org string, err error) {
	if s, err = a.app.newTrails(ctx, compliance.Config{}); err != nil {
		return nil, "", err
	}
	if organisation == identity.Platform {
		return s, organisation, nil
	}
	org, err = a.app.identity.FindOrganisation(ctx, organisation)
	return s, org, err
}

// ExportAudit writes an organisation's audit trail. That it was exported is an entry of the next export.
func (a *Admin) ExportAudit(ctx context.Context, organisation string, w io.Writer) error {
	s, org, err := a.auditOf(ctx, organisation)
	if err != nil {
		return err
	}
	note := func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, org, identity.Change{Action: "audit.export", Kind: "audit", Reason: "command line"})
	}
	if org == identity.Platform {
		err = a.app.db.InSystem(ctx, "note an export of the platform log", note)
	} else {
		err = a.app.db.InTenant(ctx, org, note)
	}
	if err != nil {
		return err
	}
	return s.Export(ctx, org, w)
}

// AuditKeys gives the keys that signed an organisation's audit trail.
func (a *Admin) AuditKeys(ctx context.Context, organisation string) (compliance.AuditKeys, error) {
	s, org, err := a.auditOf(ctx, organisation)
	if err != nil {
		return compliance.AuditKeys{}, err
	}
	keys, err := s.Keys(ctx, org)
	return compliance.AuditKeys{Keys: keys}, err
}
