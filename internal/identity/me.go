package identity

import (
	"context"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Fresh refuses a session whose person did not prove lately who they are.
func (s *Service) Fresh(ctx context.Context, p Principal) error {
	return s.cfg.DB.ReadSystem(ctx, "did somebody prove lately who they are", func(ctx context.Context, tx *db.Tx) error {
		return s.fresh(ctx, tx, p)
	})
}

// UpdateMe changes a person's own name, which is the same in all their organisations; nil leaves it. An identity provider that
// provisions the person may change it again.
func (s *Service) UpdateMe(ctx context.Context, p Principal, name *string) (Account, error) {
	if err := p.Personal(); err != nil {
		return Account{}, err
	}
	if name != nil {
		n, err := requiredName("body.name", *name)
		if err != nil {
			return Account{}, err
		}
		name = &n
	}
	err := s.cfg.DB.InSystem(ctx, "change one's own name", func(ctx context.Context, tx *db.Tx) error {
		var row userRow
		if err := one(ctx, tx, &row, "person", "id = ?", p.UserID); err != nil {
			return err
		}
		before := row.user()
		if name != nil {
			row.Name = *name
		}
		if _, err := tx.NewUpdate().Model(&row).Column("name").WherePK().Exec(ctx); err != nil {
			return err
		}
		return s.auditOwn(ctx, tx, p.UserID, Change{Action: "user.update", Kind: "user", ID: p.UserID, Before: before, After: row.user()})
	})
	if err != nil {
		return Account{}, err
	}
	return s.Account(ctx, p)
}
