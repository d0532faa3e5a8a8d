package gateway

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

type originsView struct {
	Items []string `json:"items" maxItems:"100" doc:"https://host[:port] of sites whose pages may call the API with a token of the organisation"`
}

type allowedOriginsInput struct{ Body originsView }

type allowedOriginsOutput struct{ Body originsView }

// Routes adds the gateway's own operations.
func (c *CORS) Routes(api huma.API) {
	op := func(id, method, permission, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/api/v1/organisation/origins", Summary: summary, Tags: []string{"Edge"},
			Metadata: map[string]any{"permission": permission, "ifMatch": "origins"}}
	}
	huma.Register(api, op("get-allowed-origins", http.MethodGet, "organisation:read", "Sites whose pages may call the API"),
		func(ctx context.Context, _ *struct{}) (*allowedOriginsOutput, error) {
			orgID, err := orgOf(ctx)
			if err != nil {
				return nil, err
			}
			list, err := c.Origins(ctx, orgID)
			return &allowedOriginsOutput{originsView{list}}, err
		})
	huma.Register(api, op("set-allowed-origins", http.MethodPut, "organisation:update", "Replace the sites whose pages may call the API"),
		func(ctx context.Context, in *allowedOriginsInput) (*allowedOriginsOutput, error) {
			orgID, err := orgOf(ctx)
			if err != nil {
				return nil, err
			}
			list, err := c.SetOrigins(ctx, orgID, in.Body.Items)
			return &allowedOriginsOutput{originsView{list}}, err
		})
}

func orgOf(ctx context.Context) (string, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return "", fault.New(fault.Unauthorized, "sign in, or send an API token")
	}
	return p.OrgID, nil
}
