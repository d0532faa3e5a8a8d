package campaign

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// LookAgain looks at the beginning of an uploaded list as if it were written so; what f leaves out is found as at first. The
// import has the columns and the mapping that come of it.
func (s *Service) LookAgain(ctx context.Context, orgID, campaignID, id string, f leadfile.Format) (out Import, sample leadfile.Sample, err error) {
	if s.c.Blobs == nil || s.c.Sealer == nil {
		return out, sample, fault.New(fault.Unavailable, "this process keeps no files; ask one that does")
	}
	var row *importRow
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err = importByID(ctx, tx, campaignID, id)
		return err
	})
	if err != nil {
		return out, sample, err
	}
	if err := row.mustBeUploaded(); err != nil {
		return out, sample, err
	}
	key, err := s.c.Sealer.Open(ctx, orgID, row.FileKey, listAAD(orgID, id))
	if err != nil {
		return out, sample, fmt.Errorf("open the key of a list: %w", err)
	}
	in, err := s.openList(ctx, row, key)
	if err != nil {
		return out, sample, err
	}
	if sample, err = leadfile.SniffAs(in, f); err != nil {
		return out, sample, err
	}
	required, err := s.requiredOf(ctx, orgID, campaignID)
	if err != nil {
		return out, sample, err
	}
	out, err = s.changeImport(ctx, orgID, campaignID, id, func(ctx context.Context, tx *db.Tx, row *importRow, _ *campaignRow) error {
		if err := row.mustBeUploaded(); err != nil {
			return err
		}
		if err := row.found(ctx, tx, &sample, required); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "campaign.import.format", Kind: "campaignImport", ID: id, After: sample.Format})
	})
	return out, sample, err
}

// mustBeUploaded refuses what can only be said of a list before it is read.
func (r *importRow) mustBeUploaded() error {
	if r.State != ImportUploaded {
		return fault.New(fault.Conflict, "the import is %s; send the file again", r.State)
	}
	return nil
}

func (s *Service) importFormatRoutes(api huma.API) {
	huma.Register(api, operation("format-campaign-import", "POST", "/api/v1/campaigns/{id}/imports/{importId}/format", "campaign:import",
		"Say how an uploaded list is written where that was not found out, and see what comes of it", http.StatusOK), s.httpLookAgain)
}

type lookAgainInput struct {
	ID       string `path:"id" maxLength:"64" doc:"The campaign's id"`
	ImportID string `path:"importId" maxLength:"64"`
	Body     struct {
		Encoding  string `json:"encoding,omitempty" enum:"utf-8,utf-16le,utf-16be,windows-1252" doc:"Left out: it is found out"`
		Delimiter string `json:"delimiter,omitempty" maxLength:"1" doc:"Left out: it is found out"`
	}
}

func (s *Service) httpLookAgain(ctx context.Context, in *lookAgainInput) (*uploadBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	v, sample, err := s.LookAgain(ctx, org, in.ID, in.ImportID, leadfile.Format{Encoding: in.Body.Encoding, Delimiter: in.Body.Delimiter})
	if err != nil {
		return nil, err
	}
	return &uploadBody{UploadedImport{v, sampleOf(v, &sample)}}, nil
}
