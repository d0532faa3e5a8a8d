package openai

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/parley-voice/parley/internal/voice/provider"
)

const maxModels = 500

// Prober asks servers for their models.
type Prober struct{ Config Config }

// Probe asks one service for its models. Config gives the time-outs.
func (p Prober) Probe(ctx context.Context, service, baseURL, key string) ([]string, error) {
	c := p.Config
	s := provider.Service(service)
	e := Endpoint{BaseURL: baseURL, Key: key}
	c.STT, c.LLM, c.TTS = Endpoint{}, Endpoint{}, Endpoint{}
	switch s {
	case provider.ServiceSTT:
		c.STT = e
	case provider.ServiceLLM:
		c.LLM = e
	default:
		c.TTS = e
	}
	cl, err := New(c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = cl.Close() }()
	return cl.models(ctx, s)
}

func (cl *Client) models(ctx context.Context, s provider.Service) ([]string, error) {
	res, err := cl.send(ctx, s, http.MethodGet, "/models", "", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.body.Close() }()
	raw, err := res.body.all(maxEvent)
	if err != nil {
		return nil, err
	}
	type model struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	var list struct {
		Data   []model `json:"data"`
		Models []model `json:"models"`
	}
	if err := json.Unmarshal(raw, &list); err != nil || list.Data == nil && list.Models == nil {
		return nil, cl.fail(s, "bad_response", false, err, "the server answers, but with no list of models; check the address")
	}
	var out []string
	for _, m := range append(list.Data, list.Models...) {
		name := m.ID
		if name == "" {
			name = m.Name
		}
		if name != "" && len(name) < 200 && len(out) < maxModels {
			out = append(out, name)
		}
	}
	return out, nil
}
