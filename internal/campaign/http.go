package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/campaign/simulate"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// patch is settings of which only some are named: the others stay as they are, or as is usual.
type patch struct{ raw json.RawMessage }

// UnmarshalJSON implements json.Unmarshaler.
func (p *patch) UnmarshalJSON(b []byte) error {
	p.raw = bytes.Clone(b)
	return nil
}

// Schema implements huma.SchemaProvider: that of Settings, with nothing required.
func (patch) Schema(r huma.Registry) *huma.Schema {
	return loose(r, r.Schema(reflect.TypeFor[Settings](), true, "CampaignSettings"))
}

// loose copies a schema with all that it refers to, and requires nothing.
func loose(r huma.Registry, s *huma.Schema) *huma.Schema {
	for s.Ref != "" {
		s = r.SchemaFromRef(s.Ref)
	}
	out := *s
	out.Required = nil
	if s.Properties != nil {
		out.Properties = make(map[string]*huma.Schema, len(s.Properties))
		for name, of := range s.Properties {
			out.Properties[name] = loose(r, of)
			if !slices.Contains(s.Required, name) {
				out.Properties[name].Nullable = true // null takes it away
			}
		}
	}
	out.PrecomputeMessages()
	return &out
}

// over puts what is named over s. A map or a list that is named replaces the one before.
func (p *patch) over(s Settings) (*Settings, error) {
	if p == nil || len(p.raw) == 0 {
		return nil, nil
	}
	s.Schedule.Hours, s.Outcomes = keep(p.raw, s.Schedule.Hours, "schedule", "hours"), keep(p.raw, s.Outcomes, "outcomes")
	s.Retry.On = keep(p.raw, s.Retry.On, "retry", "on")
	if err := json.Unmarshal(p.raw, &s); err != nil {
		return nil, fault.Field("body.settings", "the settings cannot be read: %s", err)
	}
	return &s, nil
}

// keep gives was unless raw names another value: decoding would add to a map, and not replace it.
func keep[M ~map[K]V, K comparable, V any](raw json.RawMessage, was M, path ...string) M {
	for _, name := range path {
		var in map[string]json.RawMessage
		if json.Unmarshal(raw, &in) != nil || in[name] == nil {
			return was
		}
		raw = in[name]
	}
	return M{}
}

type campaignPath struct {
	ID string `path:"id" maxLength:"64" doc:"The campaign's id"`
}

type campaignBody struct{ Body Campaign }

type listCampaignsInput struct {
	Cursor    string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit     int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
	State     string `query:"state" enum:"draft,checked,scheduled,running,paused,finished,stopped" doc:"Campaigns in this state only"`
	ProjectID string `query:"projectId" maxLength:"64" doc:"Campaigns of this project only"`
	Archived  bool   `query:"archived" doc:"The archived ones, in place of the others"`
}

type campaignsBody struct {
	Body struct {
		Items []Campaign `json:"items"`
		Next  *string    `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

type createCampaignInput struct {
	Body struct {
		Name      string `json:"name" minLength:"1" maxLength:"100"`
		Settings  *patch `json:"settings,omitempty" doc:"What is left out is as usual"`
		ProjectID string `json:"projectId,omitempty" maxLength:"64"`
	}
}

type updateCampaignInput struct {
	ID string `path:"id" maxLength:"64" doc:"The campaign's id"`

	Body struct {
		Name      *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Settings  *patch  `json:"settings,omitempty" doc:"What is left out stays"`
		ProjectID *string `json:"projectId,omitempty" maxLength:"64" doc:"Empty: of no project"`
	}
}

type pauseInput struct {
	ID string `path:"id" maxLength:"64" doc:"The campaign's id"`

	Body struct {
		Why string `json:"why,omitempty" maxLength:"500" doc:"For those who wonder"`
	} `required:"false"`
}

type duplicateInput struct {
	ID string `path:"id" maxLength:"64" doc:"The campaign's id"`

	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"100"`
	}
}

type archiveInput struct {
	ID string `path:"id" maxLength:"64" doc:"The campaign's id"`

	Body struct {
		Archived bool `json:"archived"`
	}
}

type preflightBody struct{ Body Preflight }

type progressBody struct{ Body Progress }

type simulateInput struct {
	ID string `path:"id" maxLength:"64" doc:"The campaign's id"`

	Body struct {
		Start  *time.Time      `json:"start,omitempty" doc:"Left out: now, or when the campaign begins"`
		Runs   int             `json:"runs,omitempty" minimum:"1" maximum:"100" default:"20"`
		People *simulatePeople `json:"people,omitempty" doc:"How people behave; what is left out is a guess of ours"`
	} `required:"false"`
}

// simulatePeople is how people behave, as far as it is said.
type simulatePeople struct{ raw json.RawMessage }

// UnmarshalJSON implements json.Unmarshaler.
func (p *simulatePeople) UnmarshalJSON(b []byte) error {
	p.raw = bytes.Clone(b)
	return nil
}

// Schema implements huma.SchemaProvider: that of simulate.People, with nothing required.
func (simulatePeople) Schema(r huma.Registry) *huma.Schema {
	return loose(r, r.Schema(reflect.TypeFor[simulate.People](), true, "SimulatedPeople"))
}

type simulationBody struct{ Body Simulation }

type hoursInput struct {
	ID string `path:"id" maxLength:"64" doc:"The campaign's id"`

	From time.Time `query:"from" doc:"RFC 3339; left out: 28 days ago"`
	To   time.Time `query:"to" doc:"RFC 3339; left out: now"`
}

type hoursBody struct {
	Body struct {
		Items []Hour `json:"items"`
	}
}

func operation(id, method, path, permission, summary string, status int) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"campaigns"}, DefaultStatus: status,
		MaxBodyBytes: 1 << 20, Metadata: map[string]any{"permission": permission}}
}

// matching lets an operation compare If-Match with the campaign that it changes.
func matching(op huma.Operation) huma.Operation {
	op.Metadata["ifMatch"] = "campaign"
	return op
}

// Routes adds the operations to api.
func (s *Service) Routes(api huma.API) {
	const at = "/api/v1/campaigns"
	s.decisionRoutes(api)
	huma.Register(api, operation("list-campaigns", "GET", at, "campaign:read", "List campaigns, the newest first", 200), s.httpList)
	huma.Register(api, operation("create-campaign", "POST", at, "campaign:create", "Make a draft of a campaign", 201), s.httpCreate)
	huma.Register(api, operation("get-campaign", "GET", at+"/{id}", "campaign:read", "Get a campaign", 200), s.httpGet)
	huma.Register(api, matching(operation("update-campaign", "PATCH", at+"/{id}", "campaign:update", "Change a campaign; one that runs goes on by the new settings", 200)), s.httpUpdate)
	huma.Register(api, matching(operation("delete-campaign", "DELETE", at+"/{id}", "campaign:delete", "Delete a campaign that does not run, with its leads", http.StatusNoContent)), s.httpDelete)
	check := matching(operation("mark-campaign-checked", "POST", at+"/{id}/check", "campaign:update", "Look whether anything is in a draft's way, and mark it as checked", 200))
	check.Description = "What is in its way is the error, as that of a start. Whoever may start it sees that it is ready; a change of its settings makes it a draft again. A start looks once more."
	huma.Register(api, check, s.httpCheck)
	huma.Register(api, matching(operation("start-campaign", "POST", at+"/{id}/start", "campaign:run", "Start a campaign, now or when its time begins", 200)), s.httpStart)
	huma.Register(api, matching(operation("pause-campaign", "POST", at+"/{id}/pause", "campaign:run", "Call nobody more; running calls end by themselves", 200)), s.httpPause)
	huma.Register(api, matching(operation("resume-campaign", "POST", at+"/{id}/resume", "campaign:run", "Go on with a paused campaign", 200)), s.httpResume)
	huma.Register(api, matching(operation("stop-campaign", "POST", at+"/{id}/stop", "campaign:run", "End a campaign for good; running calls end by themselves", 200)), s.httpStop)
	huma.Register(api, matching(operation("archive-campaign", "POST", at+"/{id}/archive", "campaign:update", "Put a campaign that is over out of sight, or back", 200)), s.httpArchive)
	huma.Register(api, operation("duplicate-campaign", "POST", at+"/{id}/duplicate", "campaign:create", "Make a draft with a campaign's settings, without its leads", 201), s.httpDuplicate)
	huma.Register(api, operation("check-campaign", "GET", at+"/{id}/preflight", "campaign:read", "Tell what is in the way of a start", 200), s.httpPreflight)
	huma.Register(api, operation("simulate-campaign", "POST", at+"/{id}/simulate", "campaign:read", "Predict how a campaign would go", 200), s.httpSimulate)
	huma.Register(api, operation("get-campaign-progress", "GET", at+"/{id}/progress", "campaign:read", "Tell how a campaign goes", 200), s.httpProgress)
	s.importRoutes(api)
	s.importFormatRoutes(api)
	s.leadRoutes(api)
	s.doneLeadsRoutes(api)
	s.manyProgressRoutes(api)
	s.reportRoutes(api)
	s.webhookRoutes(api)
	huma.Register(api, operation("list-campaign-hours", "GET", at+"/{id}/hours", "campaign:read", "What happened hour by hour", 200), s.httpHours)
	s.liveRoutes(api)
}

// organisation is whose campaigns these are.
func organisation(ctx context.Context) (string, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return "", fault.New(fault.Unauthorized, "sign in first")
	}
	return p.OrgID, nil
}

func answer(c Campaign, err error) (*campaignBody, error) {
	if err != nil {
		return nil, err
	}
	return &campaignBody{c}, nil
}

func (s *Service) httpList(ctx context.Context, in *listCampaignsInput) (*campaignsBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.list(ctx, org, listing{Cursor: in.Cursor, State: in.State, Project: in.ProjectID, Archived: in.Archived, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &campaignsBody{}
	out.Body.Items = items
	if next != "" {
		out.Body.Next = &next
	}
	return out, nil
}

func (s *Service) httpCreate(ctx context.Context, in *createCampaignInput) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	set, err := in.Body.Settings.over(Usual())
	if err != nil {
		return nil, err
	}
	return answer(s.Create(ctx, org, NewCampaign{Name: in.Body.Name, Settings: set, ProjectID: in.Body.ProjectID}))
}

func (s *Service) httpGet(ctx context.Context, in *campaignPath) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Get(ctx, org, in.ID))
}

func (s *Service) httpUpdate(ctx context.Context, in *updateCampaignInput) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Update(ctx, org, in.ID, Change{Name: in.Body.Name, ProjectID: in.Body.ProjectID, Settings: in.Body.Settings.over}))
}

func (s *Service) httpDelete(ctx context.Context, in *campaignPath) (*struct{}, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.Delete(ctx, org, in.ID)
}

func (s *Service) httpCheck(ctx context.Context, in *campaignPath) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Check(ctx, org, in.ID))
}

func (s *Service) httpStart(ctx context.Context, in *campaignPath) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Start(ctx, org, in.ID))
}

func (s *Service) httpPause(ctx context.Context, in *pauseInput) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Pause(ctx, org, in.ID, in.Body.Why))
}

func (s *Service) httpResume(ctx context.Context, in *campaignPath) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Resume(ctx, org, in.ID))
}

func (s *Service) httpStop(ctx context.Context, in *campaignPath) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Stop(ctx, org, in.ID))
}

func (s *Service) httpArchive(ctx context.Context, in *archiveInput) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Archive(ctx, org, in.ID, in.Body.Archived))
}

func (s *Service) httpDuplicate(ctx context.Context, in *duplicateInput) (*campaignBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Duplicate(ctx, org, in.ID, in.Body.Name))
}

func (s *Service) httpPreflight(ctx context.Context, in *campaignPath) (*preflightBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.Preflight(ctx, org, in.ID)
	return &preflightBody{p}, err
}

func (s *Service) httpProgress(ctx context.Context, in *campaignPath) (*progressBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.Progress(ctx, org, in.ID)
	return &progressBody{p}, err
}

func (s *Service) httpHours(ctx context.Context, in *hoursInput) (*hoursBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	to := in.To
	if to.IsZero() {
		to = s.now()
	}
	from := in.From
	if from.IsZero() {
		from = to.Add(-28 * 24 * time.Hour)
	}
	if !from.Before(to) || to.Sub(from) > 366*24*time.Hour {
		return nil, fault.Field("query.from", "from is before to, by at most 366 days")
	}
	out := &hoursBody{}
	out.Body.Items, err = s.Hours(ctx, org, in.ID, from, to)
	return out, err
}

func (s *Service) httpSimulate(ctx context.Context, in *simulateInput) (*simulationBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	var start time.Time
	if in.Body.Start != nil {
		start = *in.Body.Start
	}
	var people json.RawMessage
	if in.Body.People != nil {
		people = in.Body.People.raw
	}
	runs := in.Body.Runs
	if runs == 0 {
		runs = simulationRuns
	}
	p, err := s.Simulate(ctx, org, in.ID, start, people, min(runs, mostRuns))
	return &simulationBody{p}, err
}
