package agent

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// ServiceProbe is what one service answered.
type ServiceProbe struct {
	OK      bool     `json:"ok"`
	Message string   `json:"message"`
	Models  []string `json:"models" doc:"Names of the models it offers"`
}

// Probe is what a connection's services answered, by service.
type Probe struct {
	Services map[string]ServiceProbe `json:"services"`
}

// ProbeModel asks a saved connection's services for their models, and keeps the result as its status.
func (s *Service) ProbeModel(ctx context.Context, orgID, id string) (Probe, error) {
	if builtInID(id) {
		out := Probe{Services: map[string]ServiceProbe{}}
		for _, m := range s.builtIn() {
			for _, sv := range m.Services {
				if m.ID == id {
					out.Services[sv] = ServiceProbe{OK: m.Status.OK, Message: m.Status.Message, Models: []string{}}
				}
			}
		}
		return out, nil
	}
	c, err := s.Connection(ctx, orgID, id)
	if err != nil {
		return Probe{}, err
	}
	out := s.probe(ctx, c.BaseURLs, c.Keys)
	ok, message := out.summary()
	now := s.now()
	return out, s.writeModel(ctx, orgID, id, func(_ context.Context, _ *db.Tx, row *modelRow) error {
		row.StatusOk, row.StatusMessage, row.CheckedAt = ok, message, &now
		return nil
	})
}

// ProbeInput asks services that are not saved yet. Keys that are left out are taken from the connection id.
func (s *Service) ProbeInput(ctx context.Context, orgID, id string, in ModelInput) (Probe, error) {
	if in.BaseURLs == nil {
		return Probe{}, fault.Field("body.baseUrls", "give the addresses to ask")
	}
	if err := checkURLs(*in.BaseURLs); err != nil {
		return Probe{}, err
	}
	var keys Keys
	if id != "" {
		c, err := s.Connection(ctx, orgID, id)
		if err != nil {
			return Probe{}, err
		}
		// A kept key goes only where it went before: otherwise whoever may edit could read it.
		for _, k := range []struct {
			service string
			from    string
			to      *string
		}{{ServiceSTT, c.Keys.STT, &keys.STT}, {ServiceLLM, c.Keys.LLM, &keys.LLM}, {ServiceTTS, c.Keys.TTS, &keys.TTS}} {
			if in.BaseURLs.Of(k.service) == c.BaseURLs.Of(k.service) {
				*k.to = k.from
			}
		}
	}
	if in.Keys != nil {
		in.Keys.apply(&keys)
	}
	return s.probe(ctx, *in.BaseURLs, keys), nil
}

// probe asks all services at once, each with a time-out.
func (s *Service) probe(ctx context.Context, urls URLs, keys Keys) Probe {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	out := Probe{Services: map[string]ServiceProbe{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, sv := range services {
		base := urls.Of(sv)
		if base == "" {
			continue
		}
		wg.Go(func() {
			p := s.probeService(ctx, sv, base, keys.Of(sv))
			mu.Lock()
			defer mu.Unlock()
			out.Services[sv] = p
		})
	}
	wg.Wait()
	return out
}

func (s *Service) probeService(ctx context.Context, service, base, key string) ServiceProbe {
	models, err := s.c.Prober.Probe(ctx, service, base, key)
	if models == nil {
		models = []string{}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return ServiceProbe{Message: "No answer in time. Check the address, and that the server runs.", Models: models}
	case err != nil:
		return ServiceProbe{Message: sentence(err), Models: models}
	}
	return ServiceProbe{OK: true, Message: "It answers.", Models: models}
}

// sentence gives what a person can use of an error.
func sentence(err error) string {
	msg := err.Error()
	if len(msg) > 300 {
		msg = msg[:300]
	}
	return strings.ToValidUTF8(msg, "")
}

func (p Probe) summary() (ok bool, message string) {
	ok = len(p.Services) > 0
	var bad []string
	for _, sv := range services {
		if r, has := p.Services[sv]; has && !r.OK {
			ok = false
			bad = append(bad, sv+": "+r.Message)
		}
	}
	if ok {
		return true, "All services answer."
	}
	return false, strings.Join(bad, " ")
}
