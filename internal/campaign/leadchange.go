package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// LeadChange is what can be changed of a lead; nil leaves it.
type LeadChange struct {
	Number                      *string // as people write it; only of a person who was never called
	Name, Country, Region, Zone *string
	Variables                   map[string]string // in place of those before
}

// UpdateLead changes what is known of a person. The audit trail names the fields and not what they hold: it outlives an erasure.
func (s *Service) UpdateLead(ctx context.Context, orgID, campaignID, id string, c LeadChange) (Lead, error) {
	campaign, err := s.Get(ctx, orgID, campaignID)
	if err != nil {
		return Lead{}, err
	}
	required, err := s.required(ctx, orgID, campaign)
	if err != nil {
		return Lead{}, err
	}
	return s.changeLead(ctx, orgID, campaignID, id, "append", "lead.update", func(ctx context.Context, tx *db.Tx, r *leadRow, t tally) (any, error) {
		l := leadfile.Lead{Row: int(r.Line), Number: r.Number, Name: r.Name, Country: r.Country, Region: r.Region, Zone: r.Zone}
		if err := json.Unmarshal([]byte(r.Variables), &l.Variables); err != nil {
			return nil, fmt.Errorf("variables of lead %s: %w", id, err)
		}
		var fields []string
		for name, f := range map[string]struct{ to, of *string }{"number": {c.Number, &l.Number}, "name": {c.Name, &l.Name}, "country": {c.Country, &l.Country}, "region": {c.Region, &l.Region}, "zone": {c.Zone, &l.Zone}} {
			if f.to != nil {
				*f.of = strings.TrimSpace(*f.to)
				fields = append(fields, name)
			}
		}
		if c.Variables != nil {
			l.Variables = c.Variables
			fields = append(fields, "variables")
		}
		if field, why := leadfile.Check(&l, campaign.Settings.Country, required); why != "" {
			return nil, fault.Field("body."+field, "%s", why)
		}
		if l.Number != r.Number {
			if err := s.renumber(ctx, tx, r, l.Number, t); err != nil {
				return nil, err
			}
		}
		r.Variables = "{}"
		if err := r.fill(&l); err != nil {
			return nil, err
		}
		r.UpdatedAt = s.now().UnixMilli()
		_, err := tx.NewUpdate().Model(r).Column("name", "country", "region", "zone", "variables", "updated_at").Where("organisation_id = ?", orgID).Where("id = ?", id).Exec(ctx)
		if err != nil {
			return nil, fmt.Errorf("update lead: %w", err)
		}
		slices.Sort(fields)
		return map[string]any{"campaignId": campaignID, "fields": fields}, nil
	})
}

// renumber gives a person who was never called another number, E.164. Attempts and their decisions are of a number: of one that
// was called it stays. What was decided for the number before counts no more.
func (s *Service) renumber(ctx context.Context, tx *db.Tx, r *leadRow, number string, t tally) error {
	if !r.uncalled() {
		return fault.Field("body.number", "%s was called already, and that must stay on record; add the other number as somebody new", r.Number)
	}
	if _, err := lockCampaign(ctx, tx, r.CampaignID); err != nil { // whoever adds leads holds it too
		return err
	}
	var n int
	err := tx.NewRaw("SELECT count(*) FROM campaign_leads WHERE organisation_id = ? AND number = ? AND campaign_id = ?", tx.OrgID(), number, r.CampaignID).Scan(ctx, &n)
	if err != nil {
		return fmt.Errorf("look for a number: %w", err)
	}
	if n > 0 {
		return fault.Field("body.number", "%s is on the campaign's list already", number)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE campaign_leads SET number = ? WHERE organisation_id = ? AND id = ?", number, tx.OrgID(), r.ID); err != nil {
		return fmt.Errorf("update a lead's number: %w", err)
	}
	r.Number = number
	if r.State == dial.New {
		return nil
	}
	now := s.now()
	r.apply(dial.Next{State: dial.Waiting, At: now, Rank: dial.RankNew, Says: "Its number was changed."}, now, t)
	return setLead(ctx, tx, r)
}
