package donotcall

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
)

// Of implements campaign.Facts: one query for each kind of fact, however many numbers.
func (s *Service) Of(ctx context.Context, tx *db.Tx, a campaign.Asked) (map[string]campaign.Known, error) {
	var lists []listRow
	q := tx.NewSelect().Model(&lists).Column("id", "name", "version", "own").Where("organisation_id = ?", tx.OrgID())
	if len(a.Lists) > 0 {
		q = q.Where("scope = ? OR id IN (?)", ScopeOrganisation, bun.List(a.Lists))
	} else {
		q = q.Where("scope = ?", ScopeOrganisation)
	}
	if err := q.OrderExpr("id").Scan(ctx); err != nil {
		return nil, fmt.Errorf("select lists: %w", err)
	}
	registers, holding, err := s.holding(ctx, tx, a.Numbers)
	if err != nil {
		return nil, err
	}
	snap := snapshot(lists, registers)
	out := make(map[string]campaign.Known, len(a.Numbers))
	for _, n := range a.Numbers {
		out[n] = campaign.Known{Snapshot: snap, Registers: holding[n]}
	}
	if err := s.consents(ctx, tx, a, out); err != nil {
		return nil, err
	}
	return out, listed(ctx, tx, lists, a.Numbers, out)
}

// consents adds what people allowed.
func (s *Service) consents(ctx context.Context, tx *db.Tx, a campaign.Asked, out map[string]campaign.Known) error {
	if s.c.Consents == nil {
		return nil
	}
	given, err := s.c.Consents.ConsentsOf(ctx, tx, a.Numbers, a.Purpose, a.Automated, a.Now)
	if err != nil {
		return err
	}
	for n, c := range given {
		k := out[n]
		k.Consent, k.ConsentID = c.State, c.ID
		out[n] = k
	}
	return nil
}

// listed adds the lists that hold numbers. Who opted out withdrew what they allowed before.
func listed(ctx context.Context, tx *db.Tx, lists []listRow, numbers []string, out map[string]campaign.Known) error {
	if len(lists) == 0 || len(numbers) == 0 {
		return nil
	}
	byID := make(map[string]*listRow, len(lists))
	ids := make([]string, len(lists))
	for i := range lists {
		ids[i], byID[lists[i].ID] = lists[i].ID, &lists[i]
	}
	var found []struct{ ListID, Number string }
	err := tx.NewRaw("SELECT list_id, number FROM do_not_call_numbers WHERE organisation_id = ? AND number IN (?) AND list_id IN (?) ORDER BY number, list_id",
		tx.OrgID(), bun.List(numbers), bun.List(ids)).Scan(ctx, &found)
	if err != nil {
		return fmt.Errorf("select listed numbers: %w", err)
	}
	for _, f := range found {
		k, l := out[f.Number], byID[f.ListID]
		k.Listed = append(k.Listed, l.Name)
		if l.Own {
			k.Consent = policy.Withdrawn
		}
		out[f.Number] = k
	}
	return nil
}

// snapshot names the state of all that was asked: the lists by their versions, the registers by their digests.
func snapshot(lists []listRow, registers []registerRow) string {
	h := sha256.New()
	for _, l := range lists {
		fmt.Fprintf(h, "list %s %d\n", l.ID, l.Version)
	}
	for _, r := range registers {
		fmt.Fprintf(h, "register %s %s\n", r.Name, r.Digest)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// holding gives the registers that are asked, and which of them hold which numbers.
func (s *Service) holding(ctx context.Context, tx *db.Tx, numbers []string) (registers []registerRow, holding map[string][]string, err error) {
	if registers, err = askedRegisters(ctx, tx); err != nil {
		return nil, nil, err
	}
	open, err := s.cache.opened(registers)
	if err != nil {
		return nil, nil, err
	}
	holding = map[string][]string{}
	for i, r := range open {
		for _, n := range numbers {
			has, err := r.has(n)
			if err != nil {
				return nil, nil, fmt.Errorf("ask register %s: %w", registers[i].Name, err)
			}
			if has {
				holding[n] = append(holding[n], registers[i].Name)
			}
		}
	}
	return registers, holding, nil
}

// knowledge is what is known of a number beside lists.
type knowledge struct {
	registers []string
	consent   Consent
}

// outside asks registers and consents of numbers, for people who look them up.
func (s *Service) outside(ctx context.Context, tx *db.Tx, numbers []string) (map[string]knowledge, error) {
	_, holding, err := s.holding(ctx, tx, numbers)
	if err != nil {
		return nil, err
	}
	given := map[string]Consent{}
	if s.c.Consents != nil {
		if given, err = s.c.Consents.ConsentsOf(ctx, tx, numbers, policy.Sales, true, s.now()); err != nil {
			return nil, err
		}
	}
	out := make(map[string]knowledge, len(numbers))
	for _, n := range numbers {
		out[n] = knowledge{registers: holding[n], consent: given[n]}
	}
	return out, nil
}

// Fetch implements campaign.Facts: it brings the files of registers here, outside of any transaction.
func (s *Service) Fetch(ctx context.Context, orgID string) error {
	var registers []registerRow
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		registers, err = askedRegisters(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	return s.cache.fetch(ctx, registers)
}

// withRegisters runs fn, and again once the registers that it lacked are here.
func (s *Service) withRegisters(ctx context.Context, orgID string, fn func() error) error {
	err := fn()
	for range 2 { // another version may have come meanwhile
		if !errors.Is(err, campaign.ErrFetch) {
			return err
		}
		if err := s.Fetch(ctx, orgID); err != nil {
			return err
		}
		err = fn()
	}
	return err
}

// askedRegisters gives the registers that are asked, by name.
func askedRegisters(ctx context.Context, tx *db.Tx) ([]registerRow, error) {
	var rows []registerRow
	err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("asked").OrderExpr("name").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("select registers: %w", err)
	}
	return rows, nil
}

// Preflight implements campaign.Preflighter: the registers that the leads' countries ask for are here, and not too old.
func (s *Service) Preflight(ctx context.Context, orgID string, c campaign.Campaign) ([]campaign.Obstacle, error) {
	var have []registerRow
	var countries []string
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		if have, err = askedRegisters(ctx, tx); err != nil {
			return err
		}
		countries, err = countriesOf(ctx, tx, c, s.c.Book)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := []campaign.Obstacle{}
	for _, need := range s.c.Book.AllRegisters() {
		if !slices.Contains(need.Purposes, c.Settings.Purpose) && len(need.Purposes) > 0 || !slices.ContainsFunc(need.Countries, func(c string) bool { return slices.Contains(countries, c) }) {
			continue
		}
		if o, found := obstacle(need, have, s.now()); found {
			out = append(out, o)
		}
	}
	return out, nil
}

// obstacle says what is wrong with the register that a rule needs.
func obstacle(need policy.Register, have []registerRow, now time.Time) (campaign.Obstacle, bool) {
	o := campaign.Obstacle{Code: "registers", Blocking: true}
	i := slices.IndexFunc(have, func(r registerRow) bool { return r.Name == need.Name })
	if i < 0 {
		o.Message = fmt.Sprintf("People in %s are called to sell, and the register %s is not here: %s (%s). Import it under Do not call.", join(need.Countries), need.Name, need.Says, need.Cite)
		return o, true
	}
	old := now.Sub(at(have[i].AsOf))
	if need.Fresh <= 0 || old <= need.Fresh {
		return o, false
	}
	o.Message = fmt.Sprintf("The register %s is of %s, %d days old; it may be %d (%s). Import a newer one.", need.Name, at(have[i].AsOf).Format(time.DateOnly), int(old.Hours()/24), int(need.Fresh.Hours()/24), need.FreshCite)
	return o, true
}

func join(words []string) string {
	out := ""
	for i, w := range words {
		if i > 0 {
			out += ", "
		}
		out += w
	}
	return out
}
