package db

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Name declares a column whose values outsiders use without naming an organisation, such as a phone's user name in a SIP
// request. The master keeps whose they are, so that finding the organisation does not mean asking every database.
type Name struct {
	Kind   string // such as "phone"
	Table  string
	Column string
	Unique bool // one organisation of the whole server may have it
}

type nameRow struct {
	bun.BaseModel `bun:"table:org_names"`

	Kind           string `bun:"kind,pk"`
	Name           string `bun:"name,pk"`
	OrganisationID string `bun:"organisation_id,pk"`
	CreatedAt      int64  `bun:"created_at"`
}

// Claim notes that a name is an organisation's, before the row that has it is stored. A unique name that another
// organisation has is refused as a Conflict. To claim twice changes nothing.
func (d *DB) Claim(ctx context.Context, kind, name, orgID string) error {
	n, err := d.nameKind(kind)
	if err != nil {
		return err
	}
	return d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		if n.Unique {
			if tx.Dialect() == Postgres { // two that claim at once wait for each other
				if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext(?))", kind+"\x01"+name); err != nil {
					return err
				}
			}
			taken, err := tx.NewSelect().Model((*nameRow)(nil)).Where("kind = ? AND name = ? AND organisation_id <> ?", kind, name, orgID).Exists(ctx)
			if err != nil {
				return fmt.Errorf("look up a name: %w", err)
			}
			if taken {
				return fault.New(fault.Conflict, "the name %q is taken; choose another", name)
			}
		}
		row := &nameRow{Kind: kind, Name: name, OrganisationID: orgID, CreatedAt: tx.Now().UnixMilli()}
		if _, err := tx.NewInsert().Model(row).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx); err != nil {
			return fmt.Errorf("claim a name: %w", err)
		}
		return nil
	})
}

// Release gives a name up, after the row that had it is gone.
func (d *DB) Release(ctx context.Context, kind, name, orgID string) error {
	return d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewDelete().Model((*nameRow)(nil)).Where("kind = ? AND name = ? AND organisation_id = ?", kind, name, orgID).Exec(ctx)
		return err
	})
}

// ReleaseAll gives all names of an organisation up.
func (d *DB) ReleaseAll(ctx context.Context, orgID string) error {
	return d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewDelete().Model((*nameRow)(nil)).Where("organisation_id = ?", orgID).Exec(ctx)
		return err
	})
}

// Holders gives the organisations that have a name, at most limit.
func (d *DB) Holders(ctx context.Context, kind, name string, limit int) (orgs []string, err error) {
	err = d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		return tx.NewSelect().Model((*nameRow)(nil)).Column("organisation_id").Where("kind = ? AND name = ?", kind, name).
			OrderExpr("organisation_id").Limit(int64(limit)).Scan(ctx, &orgs)
	})
	return orgs, err
}

func (s *state) nameKind(kind string) (Name, error) {
	s.schema.Lock()
	defer s.schema.Unlock()
	for _, m := range s.schema.ms {
		for _, n := range m.Names {
			if n.Kind == kind {
				return n, nil
			}
		}
	}
	return Name{}, fmt.Errorf("db: no Migrations declares the names of kind %q", kind)
}

// noteNames enters the names of the shared database that are not in the list yet: of rows older than the list itself.
func (d *DB) noteNames(ctx context.Context) error {
	return d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		d.schema.Lock()
		ms := d.schema.ms
		d.schema.Unlock()
		for _, m := range ms {
			for _, n := range m.Names {
				if err := tx.enterNames(ctx, n); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// enterNames copies a column's values into the list. The rows must be in the same database.
func (tx *Tx) enterNames(ctx context.Context, n Name) error {
	_, err := tx.NewRaw("INSERT INTO org_names (kind, name, organisation_id, created_at) SELECT DISTINCT ?, ?, organisation_id, ? FROM ? WHERE ? <> '' ON CONFLICT DO NOTHING",
		n.Kind, bun.Ident(n.Column), tx.Now().UnixMilli(), bun.Ident(n.Table), bun.Ident(n.Column)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note the names of kind %s: %w", n.Kind, err)
	}
	return nil
}
