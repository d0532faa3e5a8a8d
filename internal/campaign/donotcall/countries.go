package donotcall

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/nyaruka/phonenumbers"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
)

// sampled is how many leads are looked at to tell their countries.
const sampled = 2000

// countriesOf gives the countries that a campaign calls, as far as registers are concerned: its own, those of some of its
// leads, and those whose numbers any lead has. Where a country code is of several countries and the leads that were looked at
// are of none of them, all of them count.
func countriesOf(ctx context.Context, tx *db.Tx, c campaign.Campaign, book *policy.Book) ([]string, error) {
	out := []string{}
	add := func(country string) {
		if country != "" && !slices.Contains(out, country) {
			out = append(out, country)
		}
	}
	add(c.Settings.Country)
	var leads []struct{ Number, Country string }
	err := tx.NewRaw("SELECT number, country FROM campaign_leads WHERE organisation_id = ? AND campaign_id = ? AND due_at IS NOT NULL LIMIT ?", tx.OrgID(), c.ID, sampled).Scan(ctx, &leads)
	if err != nil {
		return nil, fmt.Errorf("select some leads: %w", err)
	}
	for _, l := range leads {
		add(l.Country)
		if n, err := phonenumbers.Parse(l.Number, "ZZ"); err == nil {
			add(phonenumbers.GetRegionCodeForNumber(n))
		}
	}
	asked := map[int]bool{}
	for _, r := range book.AllRegisters() {
		for _, country := range r.Countries {
			code := phonenumbers.GetCountryCodeForRegion(country)
			if code == 0 || asked[code] {
				continue
			}
			asked[code] = true
			others := phonenumbers.GetRegionCodesForCountryCode(code)
			if slices.ContainsFunc(others, func(o string) bool { return slices.Contains(out, o) }) {
				continue
			}
			any, err := anyLead(ctx, tx, c.ID, "+"+strconv.Itoa(code))
			if err != nil {
				return nil, err
			}
			if any {
				for _, o := range others {
					add(o)
				}
			}
		}
	}
	return out, nil
}

// anyLead tells whether a lead's number begins so.
func anyLead(ctx context.Context, tx *db.Tx, campaignID, prefix string) (bool, error) {
	var found []string
	err := tx.NewRaw("SELECT id FROM campaign_leads WHERE organisation_id = ? AND number >= ? AND number < ? AND campaign_id = ? LIMIT 1", tx.OrgID(), prefix, prefix+":", campaignID).Scan(ctx, &found)
	if err != nil {
		return false, fmt.Errorf("look for leads of a country: %w", err)
	}
	return len(found) > 0, nil
}
