package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/voice"
	"github.com/parley-voice/parley/internal/voice/httptool"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/local"
	"github.com/parley-voice/parley/internal/voice/provider/openai"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

const toolTimeout = 10 * time.Second

// vendors finds the speech and language services an agent names.
type vendors struct {
	agents *agent.Service
	local  *local.Engine
	sim    *sim.Vendor // nil: there are none
	out    *outbound
	clock  quartz.Clock
	log    *slog.Logger

	mu      sync.Mutex
	clients map[string]*openai.Client // by connection and models; connections are kept warm between calls
}

// maxClients bounds the connections kept; more than that many changes in one run start afresh.
const maxClients = 256

func newVendors(agents *agent.Service, engine *local.Engine, rehearsal sim.Config, out *outbound, log *slog.Logger) *vendors {
	return &vendors{
		agents: agents, local: engine, clock: rehearsal.Clock, log: log, clients: map[string]*openai.Client{},
		sim: sim.New(rehearsal), out: out,
	}
}

// services are what one call uses.
type services struct {
	stt                provider.STT
	tts                provider.TTS
	llm                provider.LLM
	sttName, ttsName   string
	llmName, voiceName string
}

// of gives the services that a definition names; seed is the call's.
func (v *vendors) of(ctx context.Context, orgID string, d *agent.Definition, seed uint64) (services, error) {
	var out services
	out.voiceName = d.Voice.Voice
	for _, s := range []struct {
		service string
		ref     agent.ModelRef
	}{{agent.ServiceSTT, d.Models.STT}, {agent.ServiceLLM, d.Models.LLM}, {agent.ServiceTTS, d.Models.TTS}} {
		vendor := s.ref.Vendor
		if vendor == "" {
			if s.service == agent.ServiceLLM {
				continue
			}
			vendor = agent.VendorLocal
		}
		switch vendor {
		case agent.VendorLocal:
			if s.service == agent.ServiceSTT && !v.local.Check().Recognition {
				continue // without the recogniser's programs callers still type and use keys
			}
			out.use(s.service, vendor, v.local, v.local, nil)
		case agent.VendorSim:
			if v.sim == nil {
				return out, fault.Field("models."+s.service, "this installation has no simulated vendors; choose another one")
			}
			simulated := v.sim.Call(seed)
			out.use(s.service, vendor, simulated.STT(), simulated, simulated)
		case agent.VendorOpenAI:
			c, conn, err := v.client(ctx, orgID, s.service, s.ref)
			if err != nil {
				return out, err
			}
			out.use(s.service, conn.Name, c, c, c)
			if s.service == agent.ServiceTTS && out.voiceName == "" {
				out.voiceName = conn.Defaults.Voice
			}
		default:
			return out, fault.Field("models."+s.service, "the vendor %q is unknown; choose another one", vendor)
		}
	}
	return out, nil
}

func (s *services) use(service, name string, stt provider.STT, tts provider.TTS, llm provider.LLM) {
	switch service {
	case agent.ServiceSTT:
		s.stt, s.sttName = stt, name
	case agent.ServiceTTS:
		s.tts, s.ttsName = tts, name
	case agent.ServiceLLM:
		if llm != nil {
			s.llm, s.llmName = llm, name
		}
	}
}

// client gives the adapter of a saved connection, made anew when the connection or its key changed.
func (v *vendors) client(ctx context.Context, orgID, service string, ref agent.ModelRef) (*openai.Client, agent.Connection, error) {
	conn, err := v.agents.Connection(ctx, orgID, ref.ModelID)
	if err != nil {
		return nil, conn, err
	}
	if err := v.out.permits(conn.BaseURLs.Of(service)); err != nil {
		return nil, conn, err
	}
	end := openai.Endpoint{BaseURL: conn.BaseURLs.Of(service), Key: conn.Keys.Of(service), Model: ref.Model}
	cfg := openai.Config{TTSRate: conn.Defaults.TTSRate, Voice: conn.Defaults.Voice, Egress: v.out.dialer(ctx, orgID), Clock: v.clock, Log: v.log}
	switch service {
	case agent.ServiceSTT:
		end.Model = first(end.Model, conn.Defaults.STT)
		cfg.STT = end
	case agent.ServiceLLM:
		end.Model = first(end.Model, conn.Defaults.LLM)
		cfg.LLM = end
	case agent.ServiceTTS:
		end.Model = first(end.Model, conn.Defaults.TTS)
		cfg.TTS = end
	}
	// The key is part of the identity, so that a changed one is used at once; it stays in memory.
	id := strings.Join([]string{orgID, conn.ID, service, end.BaseURL, end.Key, end.Model, cfg.Voice}, "\x00")
	v.mu.Lock()
	defer v.mu.Unlock()
	if c, ok := v.clients[id]; ok {
		return c, conn, nil
	}
	c, err := openai.New(cfg)
	if err != nil {
		return nil, conn, err
	}
	if len(v.clients) >= maxClients {
		for k, old := range v.clients {
			_ = old.Close()
			delete(v.clients, k)
		}
	}
	v.clients[id] = c
	return c, conn, nil
}

// tools makes what a prompt agent's language model may use.
func (v *vendors) tools(ctx context.Context, orgID string, defs []agent.Tool) ([]voice.Tool, error) {
	var out []voice.Tool
	for _, t := range defs {
		switch t.Kind {
		case agent.ToolHangup:
			out = append(out, voice.HangupTool())
		case agent.ToolTransfer:
			out = append(out, voice.TransferTool(t.Targets))
		case agent.ToolHTTP:
			var params json.RawMessage
			if t.Parameters != nil {
				b, err := json.Marshal(t.Parameters)
				if err != nil {
					return nil, fault.Wrap(fault.Internal, err, "the parameters of tool %s cannot be written", t.Name)
				}
				params = b
			}
			timeout := time.Duration(t.TimeoutMS) * time.Millisecond
			if timeout <= 0 {
				timeout = toolTimeout
			}
			tool, err := httptool.New(httptool.Config{
				Name: t.Name, Description: t.Description, Parameters: params, Method: t.Method, URL: t.URL, Timeout: timeout, Client: v.out.client(ctx, orgID),
			})
			if err != nil {
				return nil, err
			}
			out = append(out, tool)
		}
	}
	return out, nil
}

func (v *vendors) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.clients {
		_ = c.Close()
	}
	clear(v.clients)
	v.out.close()
	_ = v.local.Close()
}

func first(values ...string) string {
	for _, s := range values {
		if s != "" {
			return s
		}
	}
	return ""
}
