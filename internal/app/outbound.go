package app

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/egress"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/voice/httptool"
	"github.com/parley-voice/parley/internal/voice/provider/openai"
)

// Who may name addresses in private networks (outbound-private).
const (
	privateFirst = "first" // the installation's first organisation, whose owner set it up
	privateAll   = "all"
	privateNone  = "none"
)

const (
	vendorConnect = 3 * time.Second
	toolConnect   = 10 * time.Second
	toolAnswer    = 30 * time.Second
)

// outbound is where the process connects on behalf of organisations (docs/decisions/0020-outbound.md).
type outbound struct {
	rules   egress.Rules
	private string
	// oldest gives the id of the installation's first organisation, "" while there is none.
	oldest func(ctx context.Context) (string, error)
	first  atomic.Pointer[string] // once there is one it stays

	tools, toolsInside *http.Client // shared by all agents' tools
	encrypted          bool         // nothing is sent without TLS
}

func newOutbound(rules egress.Rules, private string, oldest func(ctx context.Context) (string, error)) *outbound {
	return &outbound{rules: rules, private: private, oldest: oldest,
		tools:       httptool.NewClient(toolAnswer, rules.Dialer(false, toolConnect)),
		toolsInside: httptool.NewClient(toolAnswer, rules.Dialer(true, toolConnect))}
}

func (a *App) newOutbound() (*outbound, error) {
	rules, err := egress.Parse(a.cfg.OutboundAllow, a.cfg.OutboundDeny)
	if err != nil {
		return nil, err
	}
	out := newOutbound(rules, a.cfg.OutboundPrivate, func(ctx context.Context) (string, error) {
		ids, err := a.identity.OrganisationIDs(ctx, "", 1)
		if err != nil || len(ids) == 0 {
			return "", err
		}
		return ids[0], nil
	})
	if out.encrypted = a.cfg.Strict; out.encrypted {
		for _, c := range []*http.Client{out.tools, out.toolsInside} {
			c.Transport = encryptedOnly{c.Transport}
		}
	}
	return out, nil
}

// permits refuses a vendor's address without TLS where nothing is sent in the clear.
func (o *outbound) permits(address string) error {
	if u, err := url.Parse(address); o.encrypted && (err != nil || u.Scheme != "https" && u.Scheme != "wss") {
		return fault.New(fault.NotPossible, "the connection's address is not https, and this installation sends nothing in the clear; change it under Models")
	}
	return nil
}

// inside reports whether an organisation's addresses may be in private networks without being named in outbound-allow.
func (o *outbound) inside(ctx context.Context, orgID string) bool {
	switch o.private {
	case privateAll:
		return true
	case privateNone:
		return false
	}
	if id := o.first.Load(); id != nil {
		return *id == orgID
	}
	id, err := o.oldest(ctx)
	if err != nil || id == "" {
		return false
	}
	o.first.Store(&id)
	return id == orgID
}

// client is what an organisation's tools use.
func (o *outbound) client(ctx context.Context, orgID string) *http.Client {
	if o.inside(ctx, orgID) {
		return o.toolsInside
	}
	return o.tools
}

// dialer is what an organisation's vendors are reached by.
func (o *outbound) dialer(ctx context.Context, orgID string) *egress.Dialer {
	return o.rules.Dialer(o.inside(ctx, orgID), vendorConnect)
}

func (o *outbound) close() {
	o.tools.CloseIdleConnections()
	o.toolsInside.CloseIdleConnections()
}

// prober asks vendors for their models, where the organisation that asks may reach them.
type prober struct {
	config openai.Config
	to     func() *outbound
}

// Probe implements agent.Prober.
func (p prober) Probe(ctx context.Context, service, baseURL, key string) ([]string, error) {
	who, _ := identity.From(ctx)
	if err := p.to().permits(baseURL); err != nil {
		return nil, err
	}
	c := p.config
	c.Egress = p.to().dialer(ctx, who.OrgID)
	return openai.Prober{Config: c}.Probe(ctx, service, baseURL, key)
}

func (c *Config) checkOutbound(bad complain) {
	const remedy = "give networks, addresses and host names separated by commas, such as 10.1.0.0/16,ollama.example.com,*.example.net"
	if _, err := egress.Parse(c.OutboundAllow, ""); err != nil {
		bad("outbound-allow", remedy, "%v", err)
	}
	if _, err := egress.Parse("", c.OutboundDeny); err != nil {
		bad("outbound-deny", remedy+", or * to let nothing be reached but what outbound-allow names", "%v", err)
	}
	if c.OutboundPrivate != "" && !slices.Contains([]string{privateFirst, privateAll, privateNone}, c.OutboundPrivate) {
		bad("outbound-private", "use first, all or none", "%q says nobody", c.OutboundPrivate)
	}
}
