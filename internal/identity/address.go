package identity

import (
	"context"
	"fmt"
	"strings"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxAddress   = 40
	addressTries = 50
)

// addressFrom makes an address of an organisation's name: sip:AGENT.ADDRESS@host reaches its agents.
func addressFrom(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := b.String()
	s = strings.Trim(s[:min(len(s), maxAddress-4)], "-") // leaves room for a number
	if s == "" {
		return "organisation"
	}
	return s
}

func checkAddress(s string) error {
	if s == "" || len(s) > maxAddress || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") {
		return fault.Field("body.address", "%q is no address; use up to %d small letters, digits and hyphens, such as city-clinic", s, maxAddress)
	}
	return nil
}

// insertOrganisation stores a new organisation under the first free address made of its name.
func insertOrganisation(ctx context.Context, tx *db.Tx, org *organisationRow) error {
	base := addressFrom(org.Name)
	org.Address = base
	for n := 2; ; n++ {
		taken, err := addressTaken(ctx, tx, org.Address)
		if err != nil {
			return err
		}
		if !taken {
			break
		}
		org.Address = fmt.Sprintf("%s-%d", base, n)
		if n > addressTries {
			org.Address = "org-" + org.ID // very many of one name: an address that is free for certain
			break
		}
	}
	_, err := tx.NewInsert().Model(org).Exec(ctx)
	if err != nil {
		return fmt.Errorf("create an organisation: %w", err)
	}
	return nil
}

func addressTaken(ctx context.Context, tx *db.Tx, address string) (bool, error) {
	return tx.NewSelect().Model((*organisationRow)(nil)).Where("address = ?", address).Exists(ctx)
}

// AtAddress gives the organisation with an address: for calls that name it.
func (s *Service) AtAddress(ctx context.Context, address string) (orgID string, err error) {
	unknown := fault.New(fault.NotFound, "no organisation has the address %q", address)
	if checkAddress(address) != nil {
		return "", unknown
	}
	var rows []organisationRow
	err = s.cfg.DB.ReadSystem(ctx, "whose address is it", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("address = ?", address).Scan(ctx)
	})
	if err != nil {
		return "", err
	}
	if len(rows) == 0 {
		return "", unknown
	}
	return rows[0].ID, nil
}
