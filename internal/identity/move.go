package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/db"
)

// OrganisationPlace is where an organisation's data is.
type OrganisationPlace struct {
	Placement string `json:"placement" enum:"shared,own"`
	Region    string `json:"region" doc:"\"\" is where the installation is"`
}

// OrganisationMove is a move of an organisation to another placement or region: the one under way, or one that is over.
type OrganisationMove struct {
	ID         string            `json:"id"`
	From       OrganisationPlace `json:"from"`
	To         OrganisationPlace `json:"to"`
	State      string            `json:"state" enum:"waiting,copying,switching,cleaning,moved,rolled_back" doc:"waiting: no process is at it; cleaning: it has moved, and what it left behind is removed"`
	Rows       int64             `json:"rows" doc:"Rows copied"`
	Total      int64             `json:"total" doc:"Rows there were when it began; 0 when not counted yet"`
	Changes    int64             `json:"changes" doc:"Changes made meanwhile that were brought along"`
	HeldMs     int64             `json:"heldMs" doc:"The longest time in which writers waited"`
	Cancelling bool              `json:"cancelling" doc:"It is being taken back"`
	Problem    string            `json:"problem" doc:"What the last try failed at; it is tried again each minute"`
	StartedAt  time.Time         `json:"startedAt"`
	EndedAt    *time.Time        `json:"endedAt"`
}

func moveView(m db.MoveStatus) OrganisationMove {
	return OrganisationMove{ID: m.ID, From: OrganisationPlace(m.From), To: OrganisationPlace(m.To), State: m.State, Rows: m.Rows, Total: m.Total, Changes: m.Changes,
		HeldMs: m.Held.Milliseconds(), Cancelling: m.Cancelled, Problem: m.Problem, StartedAt: m.StartedAt, EndedAt: m.EndedAt}
}

// RegionView is a place where organisations may have databases of their own.
type RegionView struct {
	Name     string `json:"name"`
	Database string `json:"database" doc:"Engine and place, without credentials"`
	Files    string `json:"files" doc:"Where recordings are kept"`
	Search   string `json:"search" doc:"Where the index of what was said is; \"\" when calls of this region are found by number and name only"`
}

// MoveOrganisation writes down that an organisation is to be moved, with its audit entry and whatever Config.EnqueueMove adds
// to have it done.
func (s *Service) MoveOrganisation(ctx context.Context, id, placement, region string) (OrganisationMove, error) {
	var out OrganisationMove
	err := s.cfg.DB.InSystem(ctx, "move an organisation", func(ctx context.Context, tx *db.Tx) error {
		if _, err := organisationByID(ctx, tx, id); err != nil {
			return err
		}
		m, err := tx.StartMove(ctx, id, placement, region)
		if err != nil {
			return err
		}
		out = moveView(m)
		if err := Audit(ctx, tx, id, Change{Action: "organisation.move", Kind: "organisation", ID: id, Before: out.From, After: out.To}); err != nil {
			return err
		}
		if s.cfg.EnqueueMove == nil {
			return nil
		}
		return s.cfg.EnqueueMove(ctx, tx, id)
	})
	return out, err
}

// CancelMove has a move taken back that has not switched yet.
func (s *Service) CancelMove(ctx context.Context, id string) error {
	return s.cfg.DB.InSystem(ctx, "cancel a move", func(ctx context.Context, tx *db.Tx) error {
		if _, err := organisationByID(ctx, tx, id); err != nil {
			return err
		}
		if err := tx.CancelMove(ctx, id); err != nil {
			return err
		}
		if err := Audit(ctx, tx, id, Change{Action: "organisation.move_cancel", Kind: "organisation", ID: id}); err != nil {
			return err
		}
		if s.cfg.EnqueueMove == nil {
			return nil
		}
		return s.cfg.EnqueueMove(ctx, tx, id)
	})
}

// Moved is the audit entry of a move that is over: for db.Config.Moved.
func Moved(ctx context.Context, tx *db.Tx, m db.MoveStatus) error {
	c := Change{Action: "organisation.moved", Kind: "organisation", ID: m.OrganisationID, Before: OrganisationPlace(m.From), After: OrganisationPlace(m.To)}
	if m.State == db.MoveRolledBack {
		c.Action, c.After, c.Reason = "organisation.move_undone", c.Before, m.Problem
		if m.Problem != "" {
			c.Outcome = OutcomeFailed
		}
	}
	return Audit(ctx, tx, m.OrganisationID, c)
}

// Moves gives a page of an organisation's moves, latest first: the one under way leads the first page.
func (s *Service) Moves(ctx context.Context, id, cursor string, limit int) ([]OrganisationMove, *string, error) {
	if _, err := s.SettingsOf(ctx, id); err != nil {
		return nil, nil, err // there is no such organisation
	}
	var out []OrganisationMove
	if cursor == "" {
		m, err := s.cfg.DB.MoveUnderWay(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if m != nil {
			out = append(out, moveView(*m))
		}
	}
	past, err := s.cfg.DB.PastMoves(ctx, id, cursor, limit+1-len(out))
	if err != nil {
		return nil, nil, err
	}
	for _, m := range past {
		out = append(out, moveView(m))
	}
	out, next := pageCut(out, limit, func(m OrganisationMove) string { return m.ID })
	return out, next, nil
}

func (s *Service) moveRoutes(api huma.API) {
	op := func(status int, id, method, path, permission, summary string) huma.Operation {
		return tagged("Installation", status, operation(id, method, path, permission, summary))
	}
	huma.Register(api, op(http.StatusOK, "super-list-regions", "GET", "/api/v1/super/regions", "super:read",
		"Where organisations may have databases of their own"), s.superRegions)
	huma.Register(api, op(http.StatusAccepted, "super-move-organisation", "POST", "/api/v1/super/organisations/{id}/move", "super:update",
		"Move an organisation to another placement or region while it is used"), s.superMove)
	huma.Register(api, op(http.StatusAccepted, "super-cancel-move", "POST", "/api/v1/super/organisations/{id}/move/cancel", "super:update",
		"Take back a move that has not switched yet"), s.superCancelMove)
	huma.Register(api, op(http.StatusOK, "super-list-moves", "GET", "/api/v1/super/organisations/{id}/moves", "super:read",
		"An organisation's moves, the one under way first"), s.superMoves)
}

func (s *Service) superRegions(_ context.Context, _ *struct{}) (*listOf[RegionView], error) {
	if s.cfg.Regions == nil {
		return listReply([]RegionView{}, nil, nil)
	}
	return listReply(s.cfg.Regions(), nil, nil)
}

type superMoveInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Placement string `json:"placement" enum:"shared,own"`
		Region    string `json:"region,omitempty" maxLength:"40" doc:"One of the setting regions; only for a database of its own"`
	}
}

func (s *Service) superMove(ctx context.Context, in *superMoveInput) (*replyOf[OrganisationMove], error) {
	return reply(s.MoveOrganisation(ctx, in.ID, in.Body.Placement, in.Body.Region))
}

func (s *Service) superCancelMove(ctx context.Context, in *idPath) (*struct{}, error) {
	return nil, s.CancelMove(ctx, in.ID)
}

type superMovesInput struct {
	ID     string `path:"id" maxLength:"64"`
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"25" minimum:"1" maximum:"100"`
}

func (s *Service) superMoves(ctx context.Context, in *superMovesInput) (*listOf[OrganisationMove], error) {
	return listReply(s.Moves(ctx, in.ID, in.Cursor, in.Limit))
}
