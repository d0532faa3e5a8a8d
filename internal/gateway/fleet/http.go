package fleet

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type instanceView struct {
	ID        string    `json:"id" doc:"The process's name"`
	Role      string    `json:"role" doc:"gateway, media, worker, or all"`
	Version   string    `json:"version"`
	Address   string    `json:"address,omitempty" doc:"Where its internal server listens; none when nothing is sent to it"`
	Region    string    `json:"region,omitempty" doc:"Whose organisations it serves; none: everybody's"`
	Zone      string    `json:"zone,omitempty"`
	Calls     int       `json:"calls" doc:"Running now"`
	Capacity  int       `json:"capacity" doc:"Most calls at once"`
	Draining  bool      `json:"draining" doc:"It takes no new work"`
	Breaker   string    `json:"breaker" enum:"closed,open,half-open" doc:"open: requests are kept away from it; half-open: it is tried again"`
	HeardMs   int64     `json:"heardMs" doc:"Milliseconds since it was last heard by the process that answers"`
	InFlight  int       `json:"inFlight" doc:"Requests from the process that answers which it has not answered yet"`
	StartedAt time.Time `json:"startedAt"`
}

type roleView struct {
	Role     string   `json:"role"`
	Status   string   `json:"status" enum:"ok,degraded,down"`
	Reasons  []string `json:"reasons" doc:"Why it is not ok"`
	Calls    int      `json:"calls"`
	Capacity int      `json:"capacity" doc:"Of the instances that take new work"`
}

type instancesOutput struct {
	Body struct {
		Status  string         `json:"status" enum:"ok,degraded,down"`
		Reasons []string       `json:"reasons" doc:"Why it is not ok"`
		Roles   []roleView     `json:"roles"`
		Items   []instanceView `json:"items"`
	}
}

// Routes adds the operation by which an installation's administrator sees its processes.
func Routes(api huma.API, report func() Report) {
	huma.Register(api, huma.Operation{
		OperationID: "super-list-instances", Method: http.MethodGet, Path: "/api/v1/super/instances", Tags: []string{"Installation"},
		Summary: "Every process of the installation, and how it is", Metadata: map[string]any{"permission": "super:read"},
	}, func(context.Context, *struct{}) (*instancesOutput, error) { return view(report()), nil })
}

func view(r Report) *instancesOutput {
	out := &instancesOutput{}
	b := &out.Body
	b.Status, b.Reasons, b.Roles, b.Items = string(r.Status), append([]string{}, r.Reasons...), []roleView{}, []instanceView{}
	for _, role := range r.Roles {
		b.Roles = append(b.Roles, roleView{Role: role.Role, Status: string(role.Status), Reasons: append([]string{}, role.Reasons...),
			Calls: role.Calls, Capacity: role.Capacity})
		for _, i := range role.Instances {
			b.Items = append(b.Items, instanceView{ID: i.ID, Role: i.Role, Version: i.Version, Address: i.URL, Region: i.Region, Zone: i.Zone, Calls: i.Calls,
				Capacity: i.Capacity, Draining: i.Draining, Breaker: string(i.Breaker), HeardMs: i.Age.Milliseconds(), InFlight: i.InFlight, StartedAt: i.Started.UTC()})
		}
	}
	return out
}
