package compliance

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func (s *Service) exportRoutes(api huma.API) {
	const each = "/organisation/exports/{id}"
	huma.Register(api, op("list-organisation-exports", http.MethodGet, "/organisation/exports", "organisation:export", "Files of the whole organisation, newest first"), s.listExports)
	huma.Register(api, created(op("create-organisation-export", http.MethodPost, "/organisation/exports", "organisation:export",
		"Ask for a file of the whole organisation, as parley org export writes it; a job makes it. For an owner who has just proved who they are"), http.StatusAccepted), s.postExport)
	huma.Register(api, op("get-organisation-export", http.MethodGet, each, "organisation:export", "How far a file of the whole organisation is"), s.getExport)
	huma.Register(api, download(op("download-organisation-export", http.MethodGet, each+"/file", "organisation:export",
		"Download the file, for a day after it was made. For an owner who has just proved who they are"), "application/octet-stream"), s.getExportFile)
	huma.Register(api, created(op("delete-organisation-export", http.MethodDelete, each, "organisation:export", "Remove the file, or stop making it"), http.StatusNoContent), s.deleteExport)
}

// ownerOf gives who asks, if it is an owner who signed in: nobody else takes everything out.
func ownerOf(ctx context.Context) (identity.Principal, error) {
	p, err := who(ctx)
	if err == nil {
		err = p.Personal()
	}
	if err == nil && p.Role != identity.RoleOwner {
		err = fault.New(fault.Forbidden, "only an owner may take the whole organisation out; ask one")
	}
	return p, err
}

// freshOwner is ownerOf for what needs a fresh proof.
func (s *Service) freshOwner(ctx context.Context) (identity.Principal, error) {
	p, err := ownerOf(ctx)
	if err == nil && s.cfg.Fresh != nil {
		err = s.cfg.Fresh(ctx, p)
	}
	return p, err
}

func (s *Service) listExports(ctx context.Context, _ *struct{}) (*body[listOf[OrganisationExport]], error) {
	p, err := ownerOf(ctx)
	if err != nil {
		return nil, err
	}
	return pageOf(s.exportPage(ctx, p.OrgID))
}

func (s *Service) exportPage(ctx context.Context, org string) ([]OrganisationExport, string, error) {
	list, err := s.OrganisationExports(ctx, org)
	return list, "", err
}

type exportInput struct {
	Body struct {
		Passphrase string `json:"passphrase,omitempty" maxLength:"1000" doc:"Encrypts the file; whoever imports it needs it, and nobody here keeps it once the file is made"`
	}
}

func (s *Service) postExport(ctx context.Context, in *exportInput) (*body[OrganisationExport], error) {
	p, err := s.freshOwner(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.RequestExport(ctx, p.OrgID, in.Body.Passphrase)
	return &body[OrganisationExport]{v}, err
}

type exportPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) getExport(ctx context.Context, in *exportPath) (*body[OrganisationExport], error) {
	p, err := ownerOf(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.OrganisationExport(ctx, p.OrgID, in.ID)
	return &body[OrganisationExport]{v}, err
}

func (s *Service) getExportFile(ctx context.Context, in *exportPath) (*huma.StreamResponse, error) {
	p, err := s.freshOwner(ctx)
	if err != nil {
		return nil, err
	}
	f, err := s.DownloadExport(ctx, p.OrgID, in.ID)
	if err != nil {
		return nil, err
	}
	return s.stream("application/octet-stream", "organisation-"+in.ID+".parley", func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, f)
		return errors.Join(err, f.Close())
	}), nil
}

func (s *Service) deleteExport(ctx context.Context, in *exportPath) (*struct{}, error) {
	p, err := ownerOf(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RemoveExport(ctx, p.OrgID, in.ID)
}
