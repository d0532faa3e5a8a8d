package envelope

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
)

const (
	// oldFor is how long a version is kept as old at least: longer than what is sealed and not listed as a Column lives, such
	// as the answers to idempotency keys.
	oldFor = 48 * time.Hour
	// retiredFor is how long a version stays that nothing uses: files of a process that is away, a restored backup.
	retiredFor = 30 * 24 * time.Hour
	resealPage = 200
)

// Column is a column of a table whose values are sealed, and stay. A context lists its own, so that they can be sealed
// anew after a rotation, or for another organisation.
type Column struct {
	Table, Column string
	Org           string   // column of the organisation; "": the values are the installation's
	Key           []string // columns that name a row, text
	Master        bool     // the table is in the master's database
	Purpose       string   // of the [Box] that seals; "": the Keyring itself does
	// AAD gives what a row's value is bound to.
	AAD func(orgID string, key []string) []byte
}

// Tending is what Tend needs.
type Tending struct {
	Columns []Column
	// Uses reports whether files of an organisation are encrypted under a version. It may be nil.
	Uses func(ctx context.Context, orgID string, id KeyID) (bool, error)
}

// Tended is what Tend did.
type Tended struct {
	Resealed, Rewrapped, Retired, Deleted int
	Failed                                int // values that do not open; each is in the log
}

// Tend seals values anew that are not under their organisation's active key, wraps keys anew that are not under the current
// wrapper, retires versions that nothing uses any more, and deletes them a month later. It runs every hour, in any number
// of processes.
func (k *Keyring) Tend(ctx context.Context, t Tending) (out Tended, err error) {
	pass := &resealing{k: k, used: map[keyName]bool{}}
	for _, c := range t.Columns {
		if err := pass.column(ctx, c, ""); err != nil {
			return pass.out, fmt.Errorf("seal %s anew: %w", c.Table, err)
		}
	}
	if err := pass.column(ctx, keptColumn(), ""); err != nil {
		return pass.out, err
	}
	if pass.out.Rewrapped, err = k.rewrapRest(ctx); err != nil {
		return pass.out, err
	}
	return pass.out, pass.retire(ctx, t.Uses)
}

// Reseal seals the values of one organisation anew that are not under its active key.
func (k *Keyring) Reseal(ctx context.Context, orgID string, columns []Column) (out Tended, err error) {
	pass := &resealing{k: k, used: map[keyName]bool{}}
	if orgID == Installation {
		columns = append(slices.Clone(columns), keptColumn())
	}
	for _, c := range columns {
		if (c.Org == "") != (orgID == Installation) {
			continue
		}
		if err := pass.column(ctx, c, orgID); err != nil {
			return pass.out, fmt.Errorf("seal %s anew: %w", c.Table, err)
		}
	}
	return pass.out, nil
}

func keptColumn() Column {
	return Column{Table: "kept_secrets", Column: "sealed", Key: []string{"name"}, Master: true,
		AAD: func(_ string, key []string) []byte { return keptAAD(key[0]) }}
}

type resealing struct {
	k    *Keyring
	used map[keyName]bool
	out  Tended
}

// value is one sealed value with what names it.
type value struct {
	org    string
	key    []string
	sealed []byte
}

// column goes through a column, of one organisation or, when org is "", of all.
func (p *resealing) column(ctx context.Context, c Column, org string) error {
	d := p.k.c.DB
	switch {
	case c.Master:
		return p.in(ctx, d.Master(), c, org)
	case org != "":
		return d.Within(ctx, org, "seal values anew", func(ctx context.Context, in *db.DB) error { return p.in(ctx, in, c, org) })
	}
	return d.EachPlacement(ctx, "seal values anew", func(ctx context.Context, in *db.DB) error { return p.in(ctx, in, c, org) })
}

func (p *resealing) in(ctx context.Context, in *db.DB, c Column, org string) error {
	var after *value
	for {
		page, err := c.page(ctx, in, org, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if err := p.value(ctx, c, &page[i]); err != nil {
				return err
			}
		}
		after = &page[len(page)-1]
	}
}

func (c *Column) names() []string {
	if c.Org == "" {
		return c.Key
	}
	return append([]string{c.Org}, c.Key...)
}

// page reads the values after one, in the order of what names them.
func (c *Column) page(ctx context.Context, in *db.DB, org string, after *value) (out []value, err error) {
	names := c.names()
	err = in.ReadSystem(ctx, "seal values anew", func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Table(c.Table).Where("? IS NOT NULL AND length(?) > 0", bun.Ident(c.Column), bun.Ident(c.Column)).Limit(resealPage)
		at := bun.Safe("(")
		for i, n := range names {
			q = q.ColumnExpr("?", bun.Ident(n)).OrderExpr("?", bun.Ident(n))
			if i > 0 {
				at += ", "
			}
			at += bun.Safe(`"` + n + `"`)
		}
		q = q.ColumnExpr("?", bun.Ident(c.Column))
		if org != "" && c.Org != "" {
			q = q.Where("? = ?", bun.Ident(c.Org), org)
		}
		if after != nil {
			last := after.key
			if c.Org != "" {
				last = append([]string{after.org}, after.key...)
			}
			q = q.Where("? > (?)", at+")", bun.List(last))
		}
		rows, err := q.Rows(ctx)
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // rows.Err says what there is
		for rows.Next() {
			all, sealed := make([]string, len(names)), []byte(nil)
			to := make([]any, 0, len(names)+1)
			for i := range all {
				to = append(to, &all[i])
			}
			if err := rows.Scan(append(to, &sealed)...); err != nil {
				return err
			}
			v := value{org: Installation, key: all, sealed: sealed}
			if c.Org != "" {
				v.org, v.key = all[0], all[1:]
			}
			out = append(out, v)
		}
		return rows.Err()
	})
	return out, err
}

type opener interface {
	Open(ctx context.Context, orgID string, sealed, aad []byte) ([]byte, error)
	Seal(ctx context.Context, orgID string, plain, aad []byte) ([]byte, error)
}

// sealer is what seals the column.
func (c *Column) sealer(k *Keyring) opener {
	if c.Purpose != "" {
		return k.Box(c.Purpose)
	}
	return k
}

// value seals one value anew unless it is under the active key.
func (p *resealing) value(ctx context.Context, c Column, v *value) error {
	active, err := p.k.active(ctx, v.org)
	if err != nil {
		if final(err) || errors.Is(err, ErrNoKey) || isShredded(err) {
			p.out.Failed++
			return nil
		}
		return err
	}
	id, enveloped := SealedUnder(v.sealed)
	if enveloped && id == active.id {
		return nil
	}
	s, aad := c.sealer(p.k), c.AAD(v.org, v.key)
	plain, err := s.Open(ctx, v.org, v.sealed, aad)
	if err != nil {
		p.used[keyName{v.org, id}] = true
		p.out.Failed++
		p.k.c.Log.Error("a sealed value does not open and cannot be sealed anew", "table", c.Table, "organisation", v.org, "row", v.key, "error", err)
		return ctx.Err()
	}
	sealed, err := s.Seal(ctx, v.org, plain, aad)
	clear(plain)
	if err != nil {
		return err
	}
	p.out.Resealed++
	return p.k.store(ctx, c, v, sealed)
}

// store replaces a value unless somebody changed it meanwhile.
func (k *Keyring) store(ctx context.Context, c Column, v *value, sealed []byte) error {
	change := func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewUpdate().Table(c.Table).Set("? = ?", bun.Ident(c.Column), sealed).Where("? = ?", bun.Ident(c.Column), v.sealed)
		if c.Org != "" {
			q = q.Where("? = ?", bun.Ident(c.Org), v.org)
		}
		for i, n := range c.Key {
			q = q.Where("? = ?", bun.Ident(n), v.key[i])
		}
		_, err := q.Exec(ctx)
		return err
	}
	switch {
	case c.Org == "":
		return k.write(ctx, change)
	case c.Master:
		return k.c.DB.Master().InTenant(ctx, v.org, change)
	}
	return k.c.DB.InTenant(ctx, v.org, change)
}

// rewrapRest wraps keys that a process wrapped while the wrapper was changed.
func (k *Keyring) rewrapRest(ctx context.Context) (done int, err error) {
	s, err := k.readState(ctx)
	if err != nil {
		return 0, err
	}
	to, err := k.wrapper(s.WrapperID)
	if err != nil {
		return 0, err
	}
	for {
		n, err := k.rewrapSome(ctx, to)
		done += n
		if err != nil || n == 0 {
			return done, err
		}
	}
}

// retire moves versions on that were replaced a while ago.
func (p *resealing) retire(ctx context.Context, uses func(context.Context, string, KeyID) (bool, error)) error {
	k, now := p.k, p.k.c.Clock.Now()
	var rows []keyRow
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).ExcludeColumn("wrapped").Where("state <> ? AND changed_at < ?", stateActive, now.Add(-oldFor).UnixMilli()).Scan(ctx)
	})
	if err != nil {
		return fmt.Errorf("find versions to retire: %w", err)
	}
	for i := range rows {
		r := &rows[i]
		id, err := ParseKeyID(r.KeyID)
		if err != nil {
			return err
		}
		used := p.used[keyName{r.OrganisationID, id}]
		if !used && uses != nil {
			if used, err = uses(ctx, r.OrganisationID, id); err != nil {
				return fmt.Errorf("does anything use key %s of organisation %s: %w", r.KeyID, r.OrganisationID, err)
			}
		}
		if err := p.moveOn(ctx, r, used, now); err != nil {
			return err
		}
	}
	return nil
}

// moveOn changes the state of a version by whether it is used.
func (p *resealing) moveOn(ctx context.Context, r *keyRow, used bool, now time.Time) error {
	to := r.State
	switch {
	case used:
		to = stateOld
	case r.State == stateOld:
		to = stateRetired
	case milli(r.ChangedAt).Before(now.Add(-retiredFor)):
		to = ""
	}
	if to == r.State {
		return nil
	}
	return p.k.write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if to == "" {
			p.out.Deleted++
			_, err = tx.NewDelete().Model(r).WherePK().Where("state = ?", stateRetired).Exec(ctx)
		} else {
			if to == stateRetired {
				p.out.Retired++
			}
			_, err = tx.NewUpdate().Model(r).Set("state = ?", to).Set("changed_at = ?", now.UnixMilli()).WherePK().Where("state = ?", r.State).Exec(ctx)
		}
		if err != nil {
			return err
		}
		return changed(ctx, tx)
	})
}
