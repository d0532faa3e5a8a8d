package campaign

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/campaign/dial"
)

func (s *Service) leadRoutes(api huma.API) {
	const at = "/api/v1/campaigns/{id}/leads"
	huma.Register(api, operation("list-campaign-leads", "GET", at, "campaign:read", "List a campaign's leads in the order of their list", 200), s.httpLeads)
	huma.Register(api, operation("add-campaign-leads", "POST", at, "campaign:update", "Add people, and tell of each what became of it", 200), s.httpAddLeads)
	huma.Register(api, operation("recycle-campaign-leads", "POST", at+"/recycle", "campaign:update", "Have leads that are done called again", 200), s.httpRecycle)
	huma.Register(api, operation("get-campaign-lead", "GET", at+"/{leadId}", "campaign:read", "Get a lead with what happened to it", 200), s.httpLead)
	huma.Register(api, operation("update-campaign-lead", "PATCH", at+"/{leadId}", "campaign:update", "Change what is known of a lead that nobody calls just now", 200), s.httpUpdateLead)
	huma.Register(api, operation("delete-campaign-lead", "DELETE", at+"/{leadId}", "campaign:update", "Remove a lead that was never called", http.StatusNoContent), s.httpDeleteLead)
	huma.Register(api, operation("call-back-campaign-lead", "POST", at+"/{leadId}/callback", "campaign:update", "Have a lead called at a time, before others", 200), s.httpCallBack)
}

type leadPath struct {
	ID     string `path:"id" maxLength:"64" doc:"The campaign's id"`
	LeadID string `path:"leadId" maxLength:"64"`
}

type listLeadsInput struct {
	ID          string `path:"id" maxLength:"64" doc:"The campaign's id"`
	Cursor      string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit       int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	State       string `query:"state" enum:"new,waiting,dialling,in_call,done,do_not_call"`
	Outcome     string `query:"outcome" maxLength:"40"`
	Disposition string `query:"disposition" maxLength:"200"`
	ImportID    string `query:"importId" maxLength:"64"`
	Search      string `query:"q" maxLength:"100" doc:"A part of the name, or digits of the number"`
	Offset      int    `query:"offset" minimum:"0" maximum:"10000000" doc:"Leave out so many first: for a list in which one jumps; reading all of it by cursor is cheaper"`
}

type leadsBody struct {
	Body struct {
		Items []Lead  `json:"items"`
		Next  *string `json:"next" doc:"Cursor of the next page, null at the end"`
		Total *int64  `json:"total" doc:"How many there are; null with filters other than state: that would have to be counted"`
	}
}

type addLeadsInput struct {
	ID   string `path:"id" maxLength:"64" doc:"The campaign's id"`
	Body struct {
		Leads []NewLead `json:"leads" minItems:"1" maxItems:"1000"`
	}
}

type addedLeadsBody struct {
	Body struct {
		Items []AddedLead `json:"items" doc:"In the order of the request"`
	}
}

type recycleInput struct {
	ID   string `path:"id" maxLength:"64" doc:"The campaign's id"`
	Body struct {
		Outcomes     []dial.Outcome `json:"outcomes,omitempty" maxItems:"20" doc:"Leads whose last attempt ended so; left out: any"`
		Dispositions []string       `json:"dispositions,omitempty" maxItems:"100"`
		ImportID     string         `json:"importId,omitempty" maxLength:"64"`
	}
}

type recycledBody struct{ Body Recycled }

type leadBody struct{ Body Lead }

type leadDetailBody struct{ Body LeadDetail }

type updateLeadInput struct {
	ID     string `path:"id" maxLength:"64" doc:"The campaign's id"`
	LeadID string `path:"leadId" maxLength:"64"`
	Body   struct {
		Number    *string           `json:"number,omitempty" minLength:"1" maxLength:"40" doc:"As people write it; only of a person who was never called"`
		Name      *string           `json:"name,omitempty" maxLength:"200"`
		Country   *string           `json:"country,omitempty" maxLength:"2"`
		Region    *string           `json:"region,omitempty" maxLength:"3"`
		Zone      *string           `json:"zone,omitempty" maxLength:"64"`
		Variables map[string]string `json:"variables,omitempty" maxProperties:"100" doc:"In place of those before"`
	}
}

type callBackInput struct {
	ID     string `path:"id" maxLength:"64" doc:"The campaign's id"`
	LeadID string `path:"leadId" maxLength:"64"`
	Body   struct {
		At time.Time `json:"at" doc:"From now on, within 90 days; the rules on calling hold all the same"`
	}
}

func (s *Service) httpLeads(ctx context.Context, in *listLeadsInput) (*leadsBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	f := LeadFilter{State: in.State, Outcome: in.Outcome, Disposition: in.Disposition, ImportID: in.ImportID, Search: in.Search, Offset: in.Offset}
	items, next, total, err := s.Leads(ctx, org, in.ID, f, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &leadsBody{}
	out.Body.Items = items
	if next != "" {
		out.Body.Next = &next
	}
	if total >= 0 {
		out.Body.Total = &total
	}
	return out, nil
}

func (s *Service) httpAddLeads(ctx context.Context, in *addLeadsInput) (*addedLeadsBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	out := &addedLeadsBody{}
	out.Body.Items, err = s.AddLeads(ctx, org, in.ID, in.Body.Leads)
	return out, err
}

func (s *Service) httpRecycle(ctx context.Context, in *recycleInput) (*recycledBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.Recycle(ctx, org, in.ID, in.Body.Outcomes, in.Body.Dispositions, in.Body.ImportID)
	return &recycledBody{r}, err
}

func (s *Service) httpLead(ctx context.Context, in *leadPath) (*leadDetailBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	l, err := s.LeadDetail(ctx, org, in.ID, in.LeadID)
	return &leadDetailBody{l}, err
}

func (s *Service) httpUpdateLead(ctx context.Context, in *updateLeadInput) (*leadBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	b := in.Body
	l, err := s.UpdateLead(ctx, org, in.ID, in.LeadID, LeadChange{Number: b.Number, Name: b.Name, Country: b.Country, Region: b.Region, Zone: b.Zone, Variables: b.Variables})
	return &leadBody{l}, err
}

func (s *Service) httpDeleteLead(ctx context.Context, in *leadPath) (*struct{}, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteLead(ctx, org, in.ID, in.LeadID)
}

func (s *Service) httpCallBack(ctx context.Context, in *callBackInput) (*leadBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	l, err := s.CallBack(ctx, org, in.ID, in.LeadID, in.Body.At)
	return &leadBody{l}, err
}
