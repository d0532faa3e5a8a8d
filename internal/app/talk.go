package app

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/webrtc"
)

// talk lets a signed-in browser call an agent: one POST carries the offer and brings the answer.
type talk struct {
	agents   *agent.Service
	identity *identity.Service
	calls    *calls
	webrtc   func() *webrtc.Server // nil result: browser calls are off
}

type talkInput struct {
	ID   string `path:"id" maxLength:"64" doc:"Agent, by id or slug"`
	Body struct {
		SDP     string   `json:"sdp" maxLength:"100000" doc:"The browser's offer, with its candidates gathered"`
		Codecs  []string `json:"codecs,omitempty" maxItems:"4" doc:"Order of preference: G722, opus, PCMU"`
		Version int      `json:"version,omitempty" minimum:"0" doc:"Try this version, published or not"`
	}
}

type talkOutput struct {
	Body struct {
		SDP    string `json:"sdp" doc:"The answer"`
		CallID string `json:"callId"`
	}
}

// Routes adds the operation.
func (t *talk) Routes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "talk-to-agent", Method: http.MethodPost, Path: "/api/v1/agents/{id}/talk", Summary: "Call an agent from the browser (WebRTC)",
		Description:   "The data channel `parley` carries JSON both ways: `{\"type\":\"text\",\"text\":…}` and `{\"type\":\"dtmf\",\"digit\":…}` to the agent, `{\"type\":\"entry\",\"entry\":…}` from it.",
		Tags:          []string{"Calls"},
		DefaultStatus: http.StatusCreated, Metadata: map[string]any{"permission": "call:create", "narrow": true},
	}, t.offer)
}

func (t *talk) offer(ctx context.Context, in *talkInput) (*talkOutput, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return nil, fault.New(fault.Unauthorized, "sign in first")
	}
	server := t.webrtc()
	if server == nil {
		return nil, fault.New(fault.Unavailable, "browser calls are off (webrtc-addr); turn them on or call by SIP")
	}
	if err := t.agents.Reach(ctx, p.OrgID, in.ID); err != nil {
		return nil, err
	}
	snap, err := t.agents.Published(ctx, p.OrgID, in.ID)
	if in.Body.Version > 0 {
		snap, err = t.agents.Version(ctx, p.OrgID, in.ID, in.Body.Version)
	}
	if err != nil {
		return nil, err
	}
	account, err := t.identity.Account(ctx, p)
	if err != nil {
		return nil, err
	}
	// The call outlives the request.
	ctx = identity.Unscoped(context.WithoutCancel(ctx))
	answer, leg, err := server.Offer(ctx, webrtc.OfferRequest{
		SDP: in.Body.SDP, AgentSlug: snap.Slug, From: account.User.Email, FromName: account.User.Name, Codecs: in.Body.Codecs,
	})
	if err != nil {
		return nil, err
	}
	rec, err := t.calls.begin(ctx, leg, snap, p.UserID)
	if err != nil {
		t.calls.refuse(leg, media.Cause{By: "system", Code: "overloaded", Text: err.Error()})
		return nil, err
	}
	go t.calls.hold(ctx, leg, rec, snap, nil, answerTimeout)
	t.calls.settled(ctx)
	out := &talkOutput{}
	out.Body.SDP, out.Body.CallID = answer, rec.ID()
	return out, nil
}
